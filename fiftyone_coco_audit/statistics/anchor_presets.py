"""Anchors of common detectors, as their own code makes them.

Where there are several versions, the source is named with each.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from fiftyone_coco_audit.statistics.anchor_sets import (
    PRESETS,
    AnchorLevel,
    AnchorSet,
    Assignment,
    Shape,
    levels_of_ranges,
    shapes_of_sizes,
)

#: Heights / widths of all anchors of RetinaNet and Faster R-CNN
_RATIOS = (0.5, 1.0, 2.0)
_SIZES = (32, 64, 128, 256, 512)


def _pyramid(
    strides: Sequence[float], shapes: Iterable[Iterable[Shape]]
) -> tuple[AnchorLevel, ...]:
    return tuple(
        AnchorLevel(stride, tuple(level))
        for stride, level in zip(strides, shapes, strict=True)
    )


def _octave(size: float) -> list[float]:
    return [size, size * 2 ** (1 / 3), size * 2 ** (2 / 3)]


def _retinanet() -> AnchorSet:
    """detectron2: ``configs/Base-RetinaNet.yaml``, ``modeling/anchor_generator.py``.

    Three sizes an octave, ``ANCHOR_GENERATOR.OFFSET`` 0, ``IOU_THRESHOLDS`` .4 and .5,
    and ``allow_low_quality_matches``, which forces the best anchor.
    """
    return AnchorSet(
        "retinanet",
        _pyramid(
            (8, 16, 32, 64, 128),
            (shapes_of_sizes(_octave(size), _RATIOS) for size in _SIZES),
        ),
        Assignment("iou", 0.5, 0.4, force_best=True),
    )


def _faster_rcnn_fpn() -> AnchorSet:
    """detectron2: ``configs/Base-RCNN-FPN.yaml`` and ``config/defaults.py``.

    The region proposal network: one size a level, ``RPN.IOU_THRESHOLDS`` .3 and .7.
    """
    return AnchorSet(
        "faster_rcnn_fpn",
        _pyramid(
            (4, 8, 16, 32, 64),
            (shapes_of_sizes([size], _RATIOS) for size in _SIZES),
        ),
        Assignment("iou", 0.7, 0.3, force_best=True),
    )


def _torchvision_retinanet() -> AnchorSet:
    """torchvision: ``models/detection/retinanet.py`` and ``anchor_utils.py``.

    As in detectron2, but sizes are cut to whole pixels, and then half the sides are
    rounded to whole pixels, halves to even.
    """
    shapes = (
        [
            (2.0 * round(width / 2), 2.0 * round(height / 2))
            for width, height in shapes_of_sizes(map(int, _octave(size)), _RATIOS)
        ]
        for size in _SIZES
    )
    return AnchorSet(
        "torchvision_retinanet",
        _pyramid((8, 16, 32, 64, 128), shapes),
        Assignment("iou", 0.5, 0.4, force_best=True),
    )


def _ssd300() -> AnchorSet:
    """torchvision: ``ssd300_vgg16`` of ``models/detection/ssd.py``, for COCO.

    The default boxes of the paper (Liu et al., "SSD: Single Shot MultiBox Detector",
    ECCV 2016) in the middle of each cell, at most as large as the input of 300 x 300.
    ``SSDMatcher``: no band between .5 and .5, and the best box is forced.
    """
    input_size = 300
    scales = (0.07, 0.15, 0.33, 0.51, 0.69, 0.87, 1.05)
    ratios = ((2,), (2, 3), (2, 3), (2, 3), (2,), (2,))
    levels = []
    for scale, larger, extra in zip(scales[:-1], scales[1:], ratios, strict=True):
        shapes = [(scale, scale), (math.sqrt(scale * larger),) * 2]
        for ratio in extra:
            long, short = scale * math.sqrt(ratio), scale / math.sqrt(ratio)
            shapes += [(long, short), (short, long)]
        levels.append(
            [(input_size * min(w, 1), input_size * min(h, 1)) for w, h in shapes]
        )
    return AnchorSet(
        "ssd300",
        _pyramid((8, 16, 32, 64, 100, 300), levels),
        Assignment("iou", 0.5, 0.5, force_best=True),
        offset=0.5,
    )


#: The anchors of ``cfg/yolov3.cfg`` of darknet and ``models/yolov5s.yaml`` of YOLOv5
_YOLO_SHAPES: tuple[tuple[Shape, ...], ...] = (
    ((10, 13), (16, 30), (33, 23)),
    ((30, 61), (62, 45), (59, 119)),
    ((116, 90), (156, 198), (373, 326)),
)
#: Those of ``cfg/training/yolov7.yaml`` of YOLOv7
_YOLOV7_SHAPES: tuple[tuple[Shape, ...], ...] = (
    ((12, 16), (19, 36), (40, 28)),
    ((36, 75), (76, 55), (72, 146)),
    ((142, 110), (192, 243), (459, 401)),
)
_YOLO_STRIDES = (8, 16, 32)


def _yolov3() -> AnchorSet:
    """Darknet's anchors, assigned as by mmdetection's ``GridAssigner``.

    The best anchor in the cell of the object's center is always its own, in darknet
    the only one; IoU .5 tells where mmdetection adds others.
    """
    return AnchorSet(
        "yolov3",
        _pyramid(_YOLO_STRIDES, _YOLO_SHAPES),
        Assignment("iou", 0.5, 0.5, force_best=True),
        offset=0.5,
    )


def _yolov5() -> AnchorSet:
    """YOLOv5: ``ComputeLoss.build_targets`` of ``utils/loss.py``, ``anchor_t`` 4."""
    return AnchorSet(
        "yolov5",
        _pyramid(_YOLO_STRIDES, _YOLO_SHAPES),
        Assignment.by_ratio(4),
        offset=0.5,
    )


def _yolov7() -> AnchorSet:
    """YOLOv7: ``find_3_positive`` of ``utils/loss.py``, ``anchor_t`` 4.

    Of these anchors, SimOTA picks those whose predictions are best.
    """
    return AnchorSet(
        "yolov7",
        _pyramid(_YOLO_STRIDES, _YOLOV7_SHAPES),
        Assignment.by_ratio(4),
        offset=0.5,
    )


def _fcos() -> AnchorSet:
    """FCOS (Tian et al., ICCV 2019), section 3.2; locations in the middle of cells."""
    return AnchorSet(
        "fcos",
        levels_of_ranges((8, 16, 32, 64, 128), (64, 128, 256, 512)),
        Assignment.by_distance(),
        offset=0.5,
    )


def _yolov8() -> AnchorSet:
    """YOLOv8: distances of at most ``reg_max - 1`` = 15 strides (``utils/tal.py``).

    Its task-aligned assigner takes locations of any level that are in the box, by what
    the network predicts there; here an object is of the finest level that can span it.
    """
    return AnchorSet(
        "yolov8",
        levels_of_ranges(_YOLO_STRIDES, [15 * stride for stride in _YOLO_STRIDES]),
        Assignment.by_distance(),
        offset=0.5,
    )


# Those of SSD300 are for "stretch 300"; all others are the same whatever the size of
# the input
for _anchors in (
    _retinanet(),
    _faster_rcnn_fpn(),
    _torchvision_retinanet(),
    _ssd300(),
    _yolov3(),
    _yolov5(),
    _yolov7(),
    _fcos(),
    _yolov8(),
):
    PRESETS[_anchors.name] = _anchors

#: It has the most anchors of all presets, so few others reach what it does not, and it
#: assigns by IoU, as most detectors with anchors do
DEFAULT_ANCHORS = PRESETS["retinanet"]
