"""The fields that statistics write, and where their values come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.fields import FieldSpec, Kind
from fiftyone_coco_audit.statistics.anchor_sets import STATUSES
from fiftyone_coco_audit.statistics.anchors import SIZE_GROUPS
from fiftyone_coco_audit.statistics.batching import ASPECT_GROUPS
from fiftyone_coco_audit.statistics.overview import Statistics
from fiftyone_coco_audit.statistics.shapes import SIZE_CLASSES

Values = Callable[[Statistics], NDArray[Any]]


@dataclass(frozen=True)
class Column:
    """A column of statistics that becomes a field.

    Args:
        name: the name of the field, or of the attribute of labels
        kind: the type of its values
        description: what it holds; ``{resize}``, ``{anchors}`` and ``{label_field}``
            are filled in
        values: its values, one an image or one an object
    """

    name: str
    kind: Kind
    description: str
    values: Values

    def column(self, statistics: Statistics) -> list[Any]:
        """The values as FiftyOne stores them; None for NaN."""
        values = self.values(statistics)
        column: list[Any] = values.tolist()
        if values.dtype.kind == "f":
            for row in np.flatnonzero(np.isnan(values)).tolist():
                column[row] = None
        return column


def _named(names: Sequence[str], codes: NDArray[np.int64]) -> NDArray[np.object_]:
    return np.array(names, dtype=object)[codes]


OF_IMAGES = (
    Column(
        "aspect_ratio",
        "float",
        "Width / height of the image",
        lambda s: s.images.aspect_ratio,
    ),
    Column(
        "megapixels",
        "float",
        "Millions of pixels of the image",
        lambda s: s.images.megapixels,
    ),
    Column(
        "aspect_group",
        "str",
        "Images to batch together: tall (under 1:2), portrait, landscape, wide "
        "(over 2:1)",
        lambda s: _named(ASPECT_GROUPS, s.images.aspect_group),
    ),
    Column(
        "num_objects",
        "int",
        "Objects in {label_field}, without crowd regions",
        lambda s: s.shapes.num_objects,
    ),
    Column(
        "num_classes",
        "int",
        "Classes in {label_field}, without crowd regions",
        lambda s: s.shapes.num_classes,
    ),
)
OF_OBJECTS = (
    Column(
        "box_aspect_ratio",
        "float",
        "Width / height of the box",
        lambda s: s.shapes.box_aspect_ratio,
    ),
    Column(
        "relative_area",
        "float",
        "Area as a share of the image",
        lambda s: s.shapes.relative_area,
    ),
    Column(
        "size_class",
        "str",
        "COCO's size by area: small (under 32 x 32 pixels), medium, large (over 96 x "
        "96)",
        lambda s: _named(SIZE_CLASSES, s.shapes.size_class),
    ),
    Column(
        "truncated",
        "bool",
        "Whether the box touches the border of the image",
        lambda s: s.shapes.truncated,
    ),
    Column(
        "input_size",
        "float",
        "Square root of the box's area in pixels at the network's input ({resize})",
        lambda s: s.network_input.input_size,
    ),
    Column(
        "input_size_class",
        "str",
        "input_size in groups, as FiftyOne's scenarios take no floats",
        lambda s: _named(SIZE_GROUPS, s.anchor_matches.size_group),
    ),
    Column(
        "anchor_iou",
        "float",
        "IoU with the best anchor of {anchors} at the network's input ({resize})",
        lambda s: s.anchor_matches.best_iou,
    ),
    Column(
        "anchor_status",
        "str",
        "What {anchors} make of the object ({resize}): positive (learned), ignored, or "
        "unreachable",
        lambda s: _named(STATUSES, s.anchor_matches.status),
    ),
)


def specs(statistics: Statistics, label_field: str) -> list[FieldSpec]:
    """The fields that statistics of a label field write."""
    words = {
        "resize": statistics.resize,
        "anchors": statistics.anchors.name,
        "label_field": label_field,
    }
    prefixed = [("", column) for column in OF_IMAGES]
    prefixed += [(f"{label_field}.detections.", column) for column in OF_OBJECTS]
    return [
        FieldSpec(
            f"{prefix}{column.name}", column.kind, column.description.format(**words)
        )
        for prefix, column in prefixed
    ]
