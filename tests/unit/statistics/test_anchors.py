import json
import math

import numpy as np
import pytest

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.statistics.anchor_fitting import propose_anchors
from fiftyone_coco_audit.statistics.anchor_presets import DEFAULT_ANCHORS
from fiftyone_coco_audit.statistics.anchor_sets import (
    IGNORED,
    POSITIVE,
    PRESETS,
    STATUSES,
    UNREACHABLE,
    AnchorLevel,
    AnchorSet,
    Assignment,
    shapes_of_sizes,
)
from fiftyone_coco_audit.statistics.anchors import AnchorMatches, boxes_at_input
from fiftyone_coco_audit.statistics.resizing import ResizePolicy
from tests.labeled import labeled

SQUARE = (640, 640)
#: One anchor of 32 x 32 at the corner of each cell of 16 x 16
ONE = AnchorSet.parse("sizes 32 strides 16")


def matches(boxes, anchors=ONE, resize="none", size=SQUARE):
    """One image with boxes, given by center and sides."""
    rows = [(0, "cat", [x - w / 2, y - h / 2, w, h]) for x, y, w, h in boxes]
    return AnchorMatches(
        labeled([size], rows), ResizePolicy.parse(resize), AnchorSet.parse(anchors)
    )


def random_set(number=300, sizes=((640, 480), (333, 500), (1000, 251)), seed=0):
    rng = np.random.default_rng(seed)
    rows = []
    for image in np.sort(rng.integers(0, len(sizes), number)).tolist():
        width, height = sizes[image]
        w = float(np.exp(rng.uniform(0, np.log(width))))
        h = float(np.exp(rng.uniform(0, np.log(height))))
        x, y = rng.uniform(0, width - w), rng.uniform(0, height - h)
        rows.append((image, str(rng.choice(["cat", "dog", "owl"])), [x, y, w, h]))
    return labeled(sizes, rows, ["ant", "cat", "dog", "owl"])


def iou(a, b):
    """Of two boxes by the book, as corners."""
    width = max(min(a[2], b[2]) - max(a[0], b[0]), 0)
    height = max(min(a[3], b[3]) - max(a[1], b[1]), 0)
    areas = [(c[2] - c[0]) * (c[3] - c[1]) for c in (a, b)]
    return width * height / (sum(areas) - width * height)


def corners(center_x, center_y, width, height):
    return (
        center_x - width / 2,
        center_y - height / 2,
        center_x + width / 2,
        center_y + height / 2,
    )


# --- the presets, by numbers that their projects publish


def test_cell_anchors_are_those_of_detectron2s_own_test():
    # tests/modeling/test_anchor_generator.py: sizes 32, 64, ratios .25, 1, 4
    assert np.array(shapes_of_sizes([32, 64], [0.25, 1, 4])) == pytest.approx(
        np.array([[64, 16], [32, 32], [16, 64], [128, 32], [64, 64], [32, 128]])
    )


def test_retinanet_of_detectron2():
    retinanet = PRESETS["retinanet"]
    assert DEFAULT_ANCHORS is retinanet
    assert [level.stride for level in retinanet.levels] == [8, 16, 32, 64, 128]
    assert [len(level.shapes) for level in retinanet.levels] == [9] * 5
    assert retinanet.shapes[0] == pytest.approx([45.2548, 22.6274], abs=1e-4)
    assert retinanet.shapes[1] == pytest.approx([32, 32])
    assert retinanet.shapes[2] == pytest.approx([22.6274, 45.2548], abs=1e-4)
    sizes = np.sqrt(retinanet.shapes.prod(axis=1))
    assert sizes[[3, 6, 36, 44]] == pytest.approx([40.3175, 50.7968, 512, 812.7493])
    assert retinanet.assignment == Assignment("iou", 0.5, 0.4, force_best=True)
    assert retinanet.offset == 0


def test_region_proposal_network_of_detectron2():
    rpn = PRESETS["faster_rcnn_fpn"]
    assert [level.stride for level in rpn.levels] == [4, 8, 16, 32, 64]
    sizes = np.sqrt(rpn.shapes.prod(axis=1)).reshape(5, 3)
    assert sizes == pytest.approx(np.array([[s] * 3 for s in (32, 64, 128, 256, 512)]))
    assert rpn.assignment == Assignment("iou", 0.7, 0.3, force_best=True)


def test_retinanet_of_torchvision_is_rounded():
    shapes = PRESETS["torchvision_retinanet"].levels[0].shapes
    # Half of 45.25 x 22.63, of 56.57 x 28.28 and of 70.71 x 35.36, rounded
    wide = [shapes[0], shapes[3], shapes[6]]
    assert wide == [(46, 22), (56, 28), (70, 36)]
    assert [shapes[1], shapes[4], shapes[7]] == [(32, 32), (40, 40), (50, 50)]


def test_ssd300_has_8732_default_boxes():
    ssd = PRESETS["ssd300"]
    cells = [math.ceil(300 / level.stride) for level in ssd.levels]
    assert cells == [38, 19, 10, 5, 3, 1]
    boxes = [n**2 * len(lv.shapes) for n, lv in zip(cells, ssd.levels, strict=True)]
    assert sum(boxes) == 8732
    # Scales .07 and .15 of 300 pixels, and the square between them
    assert ssd.shapes[:2] == pytest.approx(
        np.array([[21, 21], [30.7409, 30.7409]]), abs=1e-4
    )
    assert ssd.shapes[2:4] == pytest.approx(
        np.array([[29.6985, 14.8492], [14.8492, 29.6985]]), abs=1e-4
    )
    assert ssd.shapes.max() == 300
    assert ssd.assignment.negative == ssd.assignment.positive == 0.5


def test_yolo():
    assert PRESETS["yolov3"].shapes.tolist() == PRESETS["yolov5"].shapes.tolist()
    assert PRESETS["yolov5"].shapes[[0, 8]].tolist() == [[10, 13], [373, 326]]
    assert PRESETS["yolov7"].shapes[[0, 8]].tolist() == [[12, 16], [459, 401]]
    assert PRESETS["yolov5"].assignment.positive == 0.25
    for name in ("yolov3", "yolov5", "yolov7"):
        assert [level.stride for level in PRESETS[name].levels] == [8, 16, 32]
        assert PRESETS[name].offset == 0.5


def test_detectors_without_anchors():
    fcos = PRESETS["fcos"]
    assert [level.reach for level in fcos.levels] == [
        (0, 64),
        (64, 128),
        (128, 256),
        (256, 512),
        (512, math.inf),
    ]
    assert [level.reach[1] for level in PRESETS["yolov8"].levels] == [120, 240, 480]


# --- reading and writing


def test_sizes_ratios_and_strides():
    anchors = AnchorSet.parse("sizes 32,64,128 ratios .5,1,2 strides 8,16,32")
    assert [level.stride for level in anchors.levels] == [8, 16, 32]
    assert anchors.levels[1].shapes == ((90.51, 45.25), (64, 64), (45.25, 90.51))
    assert anchors.assignment == Assignment("iou", 0.5, 0.4)
    assert anchors.offset == 0


def test_levels_have_as_many_each_or_are_separated():
    even = AnchorSet.parse("sizes 8,16, 32,64 strides 4,8")
    assert [level.shapes for level in even.levels] == [
        ((8, 8), (16, 16)),
        ((32, 32), (64, 64)),
    ]
    uneven = AnchorSet.parse("anchors 8x8 / 10x20,20x10 strides 4,8")
    assert [len(level.shapes) for level in uneven.levels] == [1, 2]
    assert AnchorSet.parse({"sizes": [8, 16, 32, 64], "strides": [4, 8]}) == even
    assert AnchorSet.parse({"sizes": [[8, 16], [32, 64]], "strides": [4, 8]}) == even
    pairs = {"anchors": [[8, 8], [16, 16], [32, 32], [64, 64]], "strides": [4, 8]}
    assert AnchorSet.parse(pairs) == even


def test_how_anchors_are_assigned():
    text = "sizes 32 strides 8 iou .7,.3 force offset .5"
    anchors = AnchorSet.parse(text)
    assert anchors.assignment == Assignment("iou", 0.7, 0.3, force_best=True)
    assert anchors.offset == 0.5
    ratio = AnchorSet.parse("sizes 32 strides 8 ratio 4").assignment
    assert ratio == Assignment("ratio", 0.25, 0.25)
    ranges = AnchorSet.parse("ranges 64,128 strides 8,16,32")
    assert ranges.levels[2] == AnchorLevel(32, reach=(128, math.inf))
    assert not ranges.has_anchors


@pytest.mark.parametrize("name", PRESETS)
def test_presets_read_back(name):
    preset = PRESETS[name]
    assert str(preset) == name == preset.name
    assert AnchorSet.parse(f" {name.upper()} ") is preset
    assert AnchorSet.parse(preset) is preset
    assert AnchorSet.parse(json.loads(json.dumps(preset.to_dict()))) == preset


@pytest.mark.parametrize(
    "text",
    [
        "sizes 32,64,128 ratios .5,1,2 strides 8,16,32",
        "anchors 10x13.5,16x30/30x61 strides 8,16 iou 0.7,0.333 force offset 0.375",
        "anchors 10x13 strides 8 ratio 4 offset 0.5",
        "ranges 64,128 strides 8,16,32",
        "ranges 64,128,256 strides 8,16,32 offset 0",
    ],
)
def test_custom_anchors_read_back(text):
    anchors = AnchorSet.parse(text)
    assert AnchorSet.parse(str(anchors)) == anchors
    assert AnchorSet.parse(json.loads(json.dumps(anchors.to_dict()))) == anchors
    assert hash(AnchorSet.parse(str(anchors))) == hash(anchors)


def test_sets_of_the_same_name_need_not_be_the_preset():
    other = AnchorSet.parse({"name": "yolov5", "sizes": [32], "strides": [8]})
    assert str(other) == "anchors 32x32 strides 8 iou 0.5,0.4 offset 0"
    assert (
        AnchorSet.parse({**PRESETS["yolov5"].to_dict(), "name": "mine"})
        == (PRESETS["yolov5"])
    )


@pytest.mark.parametrize(
    ("anchors", "says"),
    [
        ("", "have none of them"),
        ("retina", "'retina' cannot be understood: give one of retinanet"),
        (5, "'5' cannot be understood"),
        ("sizes 32", "need strides and one of sizes, anchors, ranges, but have sizes"),
        ("sizes", "'sizes' cannot be understood"),
        ("sizes a strides 8", "'sizes a' cannot be understood"),
        ("sizes 32,64 strides 8,16,32", "2 sizes, which cannot be divided among 3"),
        ("sizes 32 strides 0", "not a positive number of pixels"),
        ("sizes nan strides 8", "not a positive number of pixels"),
        ("sizes inf strides 8", "not a positive number of pixels"),
        ("anchors 10x13x4 strides 8", "have an invalid value"),
        ("anchors 10x-13 strides 8", "not a positive number of pixels"),
        ("sizes 32 strides 8 iou .5", "have an invalid value"),
        ("sizes 32 strides 8 iou .4,.5", "positive from 0.4 and negative below 0.5"),
        ("sizes 32 strides 8 ratio .5", "a ratio of 0.5, which no object can meet"),
        ("sizes 32 strides 8 ratio 4 force", "'force', which has no meaning"),
        ("sizes 32 strides 8 ratios 0", "a ratio (height / width) that is not"),
        ("sizes 32 strides 8 offset 1", "an offset of 1, which is outside"),
        ("anchors 8x8 strides 8 ratios 1", "'ratios', which has no meaning"),
        ("sizes 8 anchors 8x8 strides 8", "'anchors', which has no meaning"),
        ("ranges 64,32 strides 8,16", "ranges that end at [64.0, 32.0]"),
        ("ranges 64 strides 8,16,32", "ranges that end at [64.0] for 3 strides"),
        ("ranges 64 strides 8,16 iou .5,.4", "'iou', which has no meaning"),
        ({"sizes": [], "strides": [8]}, "have an invalid value"),
        ({"sizes": [8], "strides": 8}, "have an invalid value"),
        ({"sizes": [8], "strides": [8], "color": 1}, "'color', which has no meaning"),
        ({"sizes": [[]], "strides": [8]}, "a level without anchors"),
    ],
)
def test_nonsense_is_explained_in_one_sentence(anchors, says):
    with pytest.raises(CocoAuditError) as error:
        AnchorSet.parse(anchors)
    assert says in str(error.value)
    assert "\n" not in str(error.value)


def test_cost_is_the_share_of_all_anchors():
    anchors = AnchorSet.parse("anchors 8x8/8x8,9x9 strides 8,16")
    # Of 64 x 64 pixels: 64 cells of one, 16 cells of two
    assert anchors.cost == pytest.approx([64 / 96, 32 / 96])


# --- where things are at the network's input


def test_boxes_are_in_the_middle_of_a_letterbox():
    images = labeled([(1280, 641)], [(0, "cat", [100, 200, 30, 40])])
    # 641 x .5 rounds to 320; 320 are padding
    box = boxes_at_input(images, ResizePolicy.parse("letterbox 640"))
    assert box.tolist() == [[50, 100 + 160, 15, 20]]
    box = boxes_at_input(images, ResizePolicy.parse("longest_side 640"))
    assert box.tolist() == [[50, 100, 15, 20]]
    box = boxes_at_input(images, ResizePolicy.parse("stretch 640x641"))
    assert box.tolist() == [[50, 200, 15, 40]]


def test_odd_padding_is_less_at_the_top():
    images = labeled([(640, 479)], [(0, "cat", [0, 0, 10, 10])])
    box = boxes_at_input(images, ResizePolicy.parse("letterbox 640"))
    assert box[0, 1] == 80


# --- closed forms


def test_an_anchor_on_its_place_has_iou_1():
    found = matches([(160, 320, 32, 32)])
    assert found.best_iou.tolist() == [1]
    assert found.anchor_box.tolist() == [[144, 304, 32, 32]]
    middle = matches([(168, 328, 32, 32)], "sizes 32 strides 16 offset .5")
    assert middle.best_iou.tolist() == [1]
    assert middle.anchor_box.tolist() == [[152, 312, 32, 32]]


def test_an_anchor_half_a_stride_off():
    found = matches([(168, 320, 32, 32), (168, 328, 32, 32)])
    # 24 x 32 of twice 32 x 32, then 24 x 24
    expected = [24 * 32 / (2 * 1024 - 24 * 32), 24 * 24 / (2 * 1024 - 24 * 24)]
    assert found.best_iou == pytest.approx(expected)
    assert found.best_shape_iou.tolist() == [1, 1]


def test_a_box_within_an_anchor_and_around_it():
    found = matches([(160, 160, 16, 8), (160, 160, 64, 64)])
    assert found.best_iou == pytest.approx([16 * 8 / 1024, 1024 / 4096])


def test_places_end_at_the_border():
    # The last cell of 640 pixels is at 624
    found = matches([(640, 624, 32, 32)])
    assert found.anchor_box.tolist() == [[608, 608, 32, 32]]
    assert found.best_iou == pytest.approx([16 * 32 / (2 * 1024 - 16 * 32)])


def test_a_letterbox_moves_boxes_off_the_cells():
    # 640 x 400: the padding of 120 is no multiple of 16
    found = matches([(160, 160, 32, 32)], resize="letterbox 640", size=(640, 400))
    assert found.best_iou == pytest.approx([24 * 32 / (2 * 1024 - 24 * 32)])


def test_status_at_the_limits():
    # 16 x 32 and 32 x 32 overlap by exactly .5, 32 x 12.8 by .4
    found = matches([(160, 160, s, 32) for s in (16, 15.9, 12.8, 12.7)])
    assert found.status.tolist() == [POSITIVE, IGNORED, IGNORED, UNREACHABLE]
    assert found.shares == {
        "positive": 0.25,
        "ignored": 0.5,
        "unreachable": 0.25,
        "forced": 0,
    }
    ratio = matches(
        [(160, 160, w, h) for w, h in ((8, 32), (8.1, 32), (32, 127), (32, 128))],
        "sizes 32 strides 16 ratio 4",
    )
    assert ratio.status.tolist() == [UNREACHABLE, POSITIVE, POSITIVE, UNREACHABLE]
    assert ratio.best_score == pytest.approx([8 / 32, 8.1 / 32, 32 / 127, 32 / 128])


def test_forced_matches_are_counted_apart():
    boxes = [(160, 160, s, 32) for s in (32, 15, 4)] + [(160, 160, 0, 0)]
    found = matches(boxes, "sizes 32 strides 16 force")
    assert found.is_forced.tolist() == [False, True, True, False]
    expected = [POSITIVE, IGNORED, UNREACHABLE, UNREACHABLE]
    assert found.status.tolist() == expected
    assert found.shares["forced"] == 0.5
    assert not matches(boxes).is_forced.any()


def test_the_best_level_and_anchor():
    anchors = "anchors 16x16,32x16/64x64,64x128 strides 8,16"
    found = matches([(160, 160, w, h) for w, h in ((64, 120), (30, 16))], anchors)
    assert found.best_anchor.tolist() == [3, 1]
    assert found.best_level.tolist() == [1, 0]
    assert found.objects_per_level.tolist() == [1, 1]


# --- against brute force


@pytest.mark.parametrize("resize", ["letterbox 320", "shortest_side 200 max 333"])
@pytest.mark.parametrize(
    "anchors",
    [
        "sizes 16,40/128 ratios .5,1,3 strides 8,32",
        "anchors 10x13,60x30/300x200 strides 16,64 offset .5",
    ],
)
def test_best_iou_is_that_of_the_whole_grid(resize, anchors):
    images = random_set(60)
    found = AnchorMatches(images, ResizePolicy.parse(resize), AnchorSet.parse(anchors))
    canvas = found.resize.canvas(images.size)
    for row, (x, y, w, h) in enumerate(found.box.tolist()):
        width, height = canvas[images.objects.image[row]]
        candidates = [
            (iou((x, y, x + w, y + h), anchor), number, anchor)
            for number, (shape, level) in enumerate(
                (s, lv) for lv in found.anchors.levels for s in lv.shapes
            )
            for column in range(math.ceil(width / level.stride))
            for line in range(math.ceil(height / level.stride))
            for anchor in [
                corners(
                    (column + found.anchors.offset) * level.stride,
                    (line + found.anchors.offset) * level.stride,
                    *shape,
                )
            ]
        ]
        best = max(candidates)[0]
        assert found.best_iou[row] == pytest.approx(best, abs=1e-12)
        ax, ay, aw, ah = found.anchor_box[row]
        own = iou((x, y, x + w, y + h), (ax, ay, ax + aw, ay + ah))
        assert own == pytest.approx(best, abs=1e-12)
        shape = found.anchors.shapes[found.best_anchor[row]]
        assert [aw, ah] == pytest.approx(shape)


@pytest.mark.parametrize("name", ["yolov5", "yolov7"])
def test_ratios_are_those_of_yolov5(name):
    images = random_set()
    found = AnchorMatches(images, ResizePolicy.parse("letterbox 640"), PRESETS[name])
    ratio = found.box[:, None, 2:] / found.anchors.shapes
    worst = np.maximum(ratio, 1 / ratio).max(axis=2)
    assert ((worst < 4).any(axis=1) == (found.status == POSITIVE)).all()
    assert (found.best_anchor == worst.argmin(axis=1)).all()
    assert found.best_score == pytest.approx(1 / worst.min(axis=1))
    assert {*found.status.tolist()} == {POSITIVE, UNREACHABLE}


def test_shape_iou_is_at_least_that_at_the_place():
    images = random_set()
    found = AnchorMatches(images, ResizePolicy.parse("letterbox 640"), DEFAULT_ANCHORS)
    for row in range(0, len(found), 10):
        w, h = found.box[row, 2:]
        ious = [
            iou(corners(0, 0, w, h), corners(0, 0, *shape))
            for shape in DEFAULT_ANCHORS.shapes
        ]
        assert found.best_shape_iou[row] == pytest.approx(max(ious))
    assert (found.best_shape_iou >= found.best_iou - 1e-12).all()


@pytest.mark.parametrize("assigned", ["iou .5,.4", "ratio 4"])
def test_objects_beyond_all_ratios_are_not_reached_at_any_size(assigned):
    anchors = AnchorSet.parse(f"sizes 32 ratios .5,1,2 strides 8 {assigned}")
    ratios = np.exp(np.linspace(np.log(1 / 60), np.log(60), 41))
    found = matches([(99, 99, 50 * r**0.5, 50 / r**0.5) for r in ratios], anchors)
    for (w, h), beyond in zip(found.box[:, 2:], found.beyond_ratios, strict=True):
        scores = []
        for ratio in (0.5, 1, 2):
            sizes = np.exp(np.linspace(0, np.log(3000), 4001))
            aw, ah = sizes / ratio**0.5, sizes * ratio**0.5
            if assigned.startswith("iou"):
                inter = np.minimum(w, aw) * np.minimum(h, ah)
                scores.append((inter / (w * h + aw * ah - inter)).max())
            else:
                least = np.minimum([w / aw, h / ah], [aw / w, ah / h])
                scores.append(least.min(axis=0).max())
        assert beyond == (max(scores) < anchors.assignment.negative)
    assert 0 < found.beyond_ratios.sum() < len(found)


def test_the_limit_of_ratios_in_closed_form():
    # IoU .4 = 1 / (2 k - 1) at k = 1.75: 2 * 1.75 ** 2 = 6.125
    anchors = "sizes 32 ratios .5,1,2 strides 8"
    found = matches(
        [(99, 99, 61.2, 10), (99, 99, 61.3, 10), (99, 99, 1, 6.13), (99, 99, 0, 9)],
        anchors,
    )
    assert found.beyond_ratios.tolist() == [False, True, True, True]


# --- objects that share an anchor


def test_objects_of_one_cell_share_an_anchor():
    images = labeled(
        [SQUARE, SQUARE],
        [
            (0, "cat", [144, 144, 32, 32]),
            (0, "cat", [400, 144, 32, 32]),
            (0, "dog", [147, 144, 32, 30]),
            (1, "cat", [144, 144, 32, 32]),
        ],
    )
    found = AnchorMatches(images, ResizePolicy.parse("none"), ONE)
    assert found.shares_anchor.tolist() == [True, False, True, False]
    other_shape = matches(
        [(160, 160, 32, 32), (160, 160, 64, 32)], "anchors 32x32,64x32 strides 16"
    )
    assert not other_shape.shares_anchor.any()


# --- without anchors


def test_levels_by_distance():
    sides = [127, 129, 257, 700, 1100]
    found = matches([(640, 640, s, s) for s in sides], "fcos", size=(1280, 1280))
    assert found.best_level.tolist() == [0, 1, 2, 3, 4]
    assert found.status.tolist() == [POSITIVE] * 5
    assert found.objects_per_level.tolist() == [1] * 5
    assert np.isnan(found.best_iou).all()
    assert found.best_anchor.tolist() == [-1] * 5
    assert found.anchor_box[0].tolist() == [640, 640, 8, 8]
    assert not found.beyond_ratios.any()
    assert not found.shares_anchor.any()


def test_what_no_location_spans():
    # DFL of YOLOv8 reaches 15 * 32 = 480 pixels to each side
    found = matches([(500, 500, s, 40) for s in (959, 961)], "yolov8", size=(1e3, 1e3))
    assert found.status.tolist() == [POSITIVE, UNREACHABLE]


def test_a_location_must_be_in_the_box():
    images = random_set(200)
    found = AnchorMatches(images, ResizePolicy.parse("letterbox 320"), PRESETS["fcos"])
    for row, (x, y, w, h) in enumerate(found.box.tolist()):
        stride = found.anchors.levels[found.best_level[row]].stride
        places = (np.arange(math.ceil(320 / stride)) + 0.5) * stride
        inside = ((x < places) & (places < x + w)).any()
        inside &= ((y < places) & (places < y + h)).any()
        assert (found.status[row] == POSITIVE) == inside
    assert 0 < found.shares["unreachable"] < 1


# --- frames


def test_frames_are_those_of_pandas():
    images = random_set()
    found = AnchorMatches(images, ResizePolicy.parse("letterbox 640"), DEFAULT_ANCHORS)
    rows = found.to_frame()
    assert len(rows) == len(images.objects)
    rows["class"] = np.array(images.classes)[images.objects.category]
    per_class = found.per_class()
    assert per_class.index.tolist() == ["ant", "cat", "dog", "owl"]
    groups = rows.groupby("class")
    assert per_class.loc["ant", "objects"] == 0
    assert np.isnan(per_class.loc["ant", "mean_anchor_iou"])
    present = per_class.drop("ant")
    assert present["objects"].tolist() == groups.size().tolist()
    means = groups["anchor_iou"].mean()
    assert present["mean_anchor_iou"].to_numpy() == pytest.approx(means.to_numpy())
    for status in STATUSES:
        share = (rows["status"] == status).groupby(rows["class"]).mean()
        column = present[f"anchor_{status}"].to_numpy()
        assert column == pytest.approx(share.to_numpy())
    forced = groups["forced"].mean().to_numpy()
    assert present["anchor_forced"].to_numpy() == pytest.approx(forced)

    per_level = found.per_level()
    assert per_level.index.tolist() == [8, 16, 32, 64, 128]
    counts = rows["level"].value_counts().reindex(range(5), fill_value=0)
    assert per_level["objects"].tolist() == counts.tolist()
    assert per_level["share"].sum() == pytest.approx(1)
    assert per_level["cost"].sum() == pytest.approx(1)
    assert per_level["anchors"].tolist() == [9] * 5


def test_sizes_at_the_input():
    sides = (7.9, 8, 15, 16, 100, 600)
    found = matches([(300, 300, s, s) for s in sides])
    assert found.size_group.tolist() == [0, 1, 1, 2, 4, 7]
    frame = found.per_size()
    assert frame["objects"].tolist() == [1, 2, 1, 0, 1, 0, 0, 1]
    assert frame.index[0] == "< 8 px"
    assert frame.index[4] == "64 - 128 px"
    assert frame.index[7] == ">= 512 px"


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("sizes", [[], [SQUARE]])
def test_sets_without_objects(name, sizes):
    found = AnchorMatches(
        labeled(sizes, classes=["cat"]),
        ResizePolicy.parse("letterbox 640"),
        PRESETS[name],
    )
    assert len(found.best_iou) == len(found.best_shape_iou) == len(found.status) == 0
    assert found.shares == dict.fromkeys([*STATUSES, "forced"], 0)
    assert found.objects_per_level.sum() == 0
    assert found.anchor_box.shape == (0, 4)
    assert found.per_class()["objects"].tolist() == [0]
    assert found.per_level()["share"].tolist() == [0] * len(found.anchors.levels)
    assert found.per_size()["objects"].sum() == len(found.to_frame()) == 0
    assert not len(found.beyond_ratios) + len(found.shares_anchor)
    proposal = propose_anchors(found.labeled, found.resize, found.anchors)
    assert not proposal.is_better


def test_boxes_without_area_are_unreachable():
    for name in PRESETS:
        found = matches([(100, 100, 0, 0), (100, 100, 0, 50)], name)
        assert found.status.tolist() == [UNREACHABLE] * 2
        assert found.shares_anchor.shape == found.beyond_ratios.shape == (2,)


def test_1200_classes():
    names = [f"class {n}" for n in range(1200)]
    rows = [(0, names[n % 1200], [n % 600, 3, 40, 40]) for n in range(2400)]
    found = AnchorMatches(
        labeled([SQUARE], rows, names), ResizePolicy.parse("none"), DEFAULT_ANCHORS
    )
    assert found.per_class()["objects"].tolist() == [2] * 1200
