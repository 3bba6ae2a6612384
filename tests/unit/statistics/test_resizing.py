import numpy as np
import pytest

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.statistics.resizing import (
    DEFAULT_RESIZE,
    ResizePolicy,
    compare_policies,
    distortion,
    dominant_shape,
    magnification,
    padding,
    propose_sizes,
)


def sizes(*rows):
    return np.array(rows, np.float64).reshape(-1, 2)


def random_sizes(number=300, most=2000):
    return np.random.default_rng(0).integers(1, most, (number, 2)).astype(float)


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("letterbox 640", ResizePolicy("letterbox", 640, 640)),
        ("letterbox 640x384", ResizePolicy("letterbox", 640, 384)),
        ("stretch 300x200", ResizePolicy("stretch", 300, 200)),
        ("longest_side 1024", ResizePolicy("longest_side", 1024)),
        ("shortest_side 800", ResizePolicy("shortest_side", 800)),
        (
            "shortest_side 800 max 1333",
            ResizePolicy("shortest_side", 800, max_side=1333),
        ),
        ("none", ResizePolicy("none")),
    ],
)
def test_text_becomes_a_policy_and_back(text, policy):
    assert ResizePolicy.parse(text) == policy
    assert str(policy) == text
    assert ResizePolicy.parse(policy) is policy


def test_reads_text_however_it_is_spaced():
    assert ResizePolicy.parse(" stretch  300 x 200 ") == ResizePolicy(
        "stretch", 300, 200
    )
    assert str(ResizePolicy.parse("letterbox 640x640")) == "letterbox 640"
    assert str(DEFAULT_RESIZE) == "letterbox 640"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("640", "'640': it must be like"),
        (640, "640: it must be like"),
        ("letterbox -640", "it must be like"),
        ("letterbox 640.5", "it must be like"),
        ("", "it must be like"),
        ("crop 640", "'crop' is unknown; the modes are letterbox, longest_side"),
        ("letterbox", "'letterbox' needs a size in pixels: write 'letterbox 640'"),
        ("stretch 0x100", "it must be like"),
        ("letterbox 640x0", "it must be like"),
        ("none 640", "'none' has no size: write 'none'"),
        ("longest_side 640x480", "one size.*'longest_side 640', or 'letterbox 640x480"),
        ("letterbox 640 max 800", "'letterbox' has no 'max'"),
        ("none max 800", "'none' has no 'max'"),
        ("shortest_side 800 max 600", "a max of at least 800"),
    ],
)
def test_says_what_is_wrong_with_a_policy(text, message):
    with pytest.raises(CocoAuditError, match=message):
        ResizePolicy.parse(text)


@pytest.mark.parametrize(
    "wrong", [("letterbox", -1), ("stretch", 10, -1), ("shortest_side",)]
)
def test_says_that_a_size_is_missing(wrong):
    with pytest.raises(CocoAuditError, match=f"'{wrong[0]}' needs a size in pixels"):
        ResizePolicy(*wrong)


def detectron2(width, height, shortest, longest):
    """``ResizeShortestEdge.get_output_shape``, one image at a time."""
    scale = shortest / min(width, height)
    new = [shortest, scale * height] if width < height else [scale * width, shortest]
    if max(new) > longest:
        new = [side * (longest / max(new)) for side in new]
    return [int(side + 0.5) for side in new]


def test_shortest_side_is_detectron2s():
    size = random_sizes()
    size = size[size.max(axis=1) < 50 * size.min(axis=1)]
    policy = ResizePolicy.parse("shortest_side 800 max 1333")
    assert (
        policy.resized(size).tolist()
        == policy.canvas(size).tolist()
        == [detectron2(*row, 800, 1333) for row in size.tolist()]
    )


@pytest.mark.parametrize(
    ("policy", "size", "expected"),
    [
        ("shortest_side 800 max 1333", (640, 480), (1067, 800)),
        ("shortest_side 800 max 1333", (1500, 500), (1333, 444)),
        ("shortest_side 800", (1500, 500), (2400, 800)),
        # Of 12.5 pixels detectron2 makes 13, and Python's round() 12
        ("shortest_side 5", (5, 2), (13, 5)),
        ("longest_side 5", (10, 5), (5, 2)),
        ("letterbox 640", (1920, 1080), (640, 360)),
        ("letterbox 640", (1080, 1920), (360, 640)),
        ("letterbox 640x384", (1080, 1920), (216, 384)),
        ("letterbox 640", (320, 240), (640, 480)),
        ("stretch 300x200", (640, 480), (300, 200)),
        ("none", (641, 479), (641, 479)),
        # A sliver keeps a pixel
        ("longest_side 100", (5000, 3), (100, 1)),
    ],
)
def test_resizes_as_by_hand(policy, size, expected):
    resized = ResizePolicy.parse(policy).resized(sizes(size))
    assert resized.tolist() == [list(expected)]


def test_longest_side_is_albumentations_longest_max_size():
    albumentations = pytest.importorskip("albumentations")
    size = random_sizes(40, most=200)
    resize = albumentations.LongestMaxSize(max_size=101)
    expected = [
        resize(image=np.zeros((int(height), int(width), 3), np.uint8))["image"].shape
        for width, height in size
    ]
    policy = ResizePolicy.parse("longest_side 101")
    assert policy.resized(size).tolist() == [[w, h] for h, w, _ in expected]


def test_letterbox_is_ultralytics():
    size = random_sizes()
    expected = []
    for width, height in size.tolist():
        ratio = min(384 / height, 640 / width)
        expected.append([max(round(width * ratio), 1), max(round(height * ratio), 1)])
    policy = ResizePolicy.parse("letterbox 640x384")
    assert policy.resized(size).tolist() == expected
    assert np.all(policy.canvas(size) == [640, 384])


def test_padding_is_what_is_left_of_the_canvas():
    size = sizes((640, 480), (480, 640), (640, 640), (1600, 320))
    assert padding(ResizePolicy.parse("letterbox 640"), size) == pytest.approx(
        [1 / 4, 1 / 4, 0, 4 / 5]
    )
    # The portrait image becomes 360 x 480
    landscape = ResizePolicy.parse("letterbox 640x480")
    assert padding(landscape, size)[:2] == pytest.approx([0, 1 - 360 / 640])
    for policy in ("stretch 300", "shortest_side 300", "longest_side 300", "none"):
        assert not padding(ResizePolicy.parse(policy), size).any()


def test_distortion_is_the_ratio_of_the_scales():
    size = sizes((640, 480), (480, 640), (600, 200))
    assert distortion(ResizePolicy.parse("stretch 320"), size) == pytest.approx(
        [4 / 3, 4 / 3, 3]
    )
    assert distortion(ResizePolicy.parse("stretch 300x100"), size) == pytest.approx(
        [9 / 4, 4, 1]
    )
    for policy in ("letterbox 300", "shortest_side 300", "longest_side 300", "none"):
        assert np.all(distortion(ResizePolicy.parse(policy), size) == 1)


def test_magnification_is_the_scale_of_lengths():
    size = sizes((640, 480), (160, 640), (320, 240))
    assert magnification(ResizePolicy.parse("letterbox 640"), size).tolist() == [
        1,
        1,
        2,
    ]
    # 1/2 in one direction and 2 in the other
    assert magnification(ResizePolicy.parse("stretch 320"), size)[1] == pytest.approx(1)
    assert np.all(magnification(ResizePolicy.parse("none"), size) == 1)


def test_dominant_shape_is_that_of_most_images():
    ratio = np.array([0.75, 0.75, 1.30, 4 / 3, 1.42, 1.44, 5.0])
    # 1.30-1.42 and 1.33-1.44 have three each; the narrower are taken
    assert dominant_shape(ratio).tolist() == [0, 0, 1, 1, 1, 0, 0]
    # Brute force: no window of a tenth has more
    ratio = np.random.default_rng(1).lognormal(0, 0.5, 200)
    most = max(((ratio >= low) & (ratio <= 1.1 * low)).sum() for low in ratio)
    chosen = ratio[dominant_shape(ratio)]
    assert len(chosen) == most
    assert chosen.max() <= 1.1 * chosen.min()
    assert dominant_shape(np.zeros(0)).tolist() == []


def test_proposes_the_shape_and_size_of_most_images():
    size = sizes(*[(640, 480)] * 97, *[(480, 640)] * 3)
    frame = propose_sizes(size)
    assert frame.index.tolist() == [
        "letterbox 640",
        "letterbox 640x480",
        "stretch 640x480",
        "shortest_side 480 max 640",
    ]
    assert frame.index.name == "resize"
    assert frame["padding"].tolist() == pytest.approx([0.25, 0.03 * 7 / 16, 0, 0])
    assert frame["shrunk"].tolist() == pytest.approx([0, 0.03, 0, 0])
    assert not frame["enlarged"].any()
    assert frame["magnification"].tolist() == [1, 1, 1, 1]
    # Only the last makes inputs of different shapes
    assert (frame["batch_padding"] > 0).tolist() == [False, False, False, True]


def test_proposes_multiples_of_32_for_any_set():
    for seed in range(20):
        rng = np.random.default_rng(seed)
        size = np.ceil(rng.lognormal(rng.uniform(2, 9), 0.5, (20, 2)))
        for text in propose_sizes(size).index:
            policy = ResizePolicy.parse(text)
            for side in (policy.width, policy.height, policy.max_side or 0):
                assert side % 32 == 0
            assert max(policy.width, policy.height) <= 1344


def test_proposes_what_fits_portrait_images_and_the_longest_side_asked_for():
    size = sizes(*[(3000, 4000)] * 3)
    # 1008 is in the middle of 992 and 1024
    assert propose_sizes(size).index[1] == "letterbox 1024x1344"
    assert propose_sizes(size, longest=640).index[1] == "letterbox 480x640"


def test_few_images_of_another_shape_or_size_change_no_proposal():
    size = sizes(*[(640, 480)] * 60, *[(3000, 4000)] * 37, *[(3000, 300)] * 3)
    assert propose_sizes(size).index.tolist() == [
        "letterbox 640",
        "letterbox 640x480",
        "stretch 640x480",
        "shortest_side 480 max 640",
    ]


def test_square_images_need_no_second_letterbox():
    frame = propose_sizes(sizes((512, 512)))
    assert frame.index.tolist() == [
        "letterbox 512",
        "stretch 512",
        "shortest_side 512 max 512",
    ]


def test_compares_policies_by_median_and_share():
    size = sizes((640, 480), (1280, 960), (320, 240), (100, 100))
    policies = [ResizePolicy.parse("stretch 640x480"), ResizePolicy.parse("none")]
    frame = compare_policies(size, [*policies, policies[0]])
    assert frame.index.tolist() == ["stretch 640x480", "none"]
    stretched = frame.loc["stretch 640x480"]
    assert stretched["shrunk"] == 0.25
    assert stretched["enlarged"] == 0.5
    # 1, 1/2, 2 and sqrt(6.4 * 4.8); 1 three times and 4/3
    assert stretched["magnification"] == pytest.approx(1.5)
    assert stretched["distortion"] == 1


def test_no_images_give_no_rows():
    frame = propose_sizes(sizes())
    assert len(frame) == 0
    assert "batch_padding" in frame
    assert ResizePolicy.parse("letterbox 640").canvas(sizes()).shape == (0, 2)
    for function in (padding, distortion, magnification):
        assert function(DEFAULT_RESIZE, sizes()).shape == (0,)
