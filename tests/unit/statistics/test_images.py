import numpy as np
import pytest

from fiftyone_coco_audit.statistics.images import (
    ImageStatistics,
    dominant_aspect_ratio,
    image_kind,
    is_far,
)
from fiftyone_coco_audit.statistics.resizing import DEFAULT_RESIZE, ResizePolicy
from tests.labeled import read_labeled


def statistics(*sizes, resize="letterbox 640"):
    size = np.array(sizes, np.float64).reshape(-1, 2)
    return ImageStatistics(size, ResizePolicy.parse(resize))


def test_columns_are_as_by_hand():
    images = statistics((640, 480), (480, 640), (3840, 2160), (4096, 2024), (300, 100))
    assert images.aspect_ratio == pytest.approx([4 / 3, 3 / 4, 16 / 9, 4096 / 2024, 3])
    assert images.elongation == pytest.approx([4 / 3, 4 / 3, 16 / 9, 4096 / 2024, 3])
    assert images.megapixels.tolist() == [0.3072, 0.3072, 8.2944, 8.290304, 0.03]
    # 4096 x 2024 has a few pixels less than 4K
    assert images.is_4k.tolist() == [False, False, True, False, False]
    assert images.padding[:3] == pytest.approx([0.25, 0.25, 0.4375])
    assert images.magnification == pytest.approx([1, 1, 1 / 6, 640 / 4096, 64 / 30])
    assert images.is_shrunk.tolist() == [False, False, True, True, False]
    assert images.is_enlarged.tolist() == [False, False, False, False, True]
    assert images.distortion.tolist() == [1, 1, 1, 1, 1]
    assert images.aspect_group.tolist() == [2, 1, 2, 3, 3]


@pytest.mark.parametrize(
    ("ratios", "kind"),
    [
        ([4 / 3] * 100, "uniform"),
        ([3.0] * 100, "uniform"),
        ([1.0], "uniform"),
        ([4 / 3] * 95 + [3 / 4] * 5, "uniform"),
        ([4 / 3] * 94 + [3 / 4] * 6, "bimodal"),
        ([3 / 2] * 50 + [2 / 3] * 50, "bimodal"),
        # A factor of 4/3 from the most common
        ([16 / 9] * 60 + [4 / 3] * 40, "bimodal"),
        ([4 / 3] * 90 + [5.0] * 10, "bimodal"),
        ([4 / 3] * 89 + [5.0] * 11, "extremes"),
        ([16 / 9] * 60 + [9 / 16] * 40, "extremes"),
        ([3.0] * 50 + [1 / 3] * 50, "extremes"),
        # All are alike each to the next, but not to one
        (list(np.geomspace(0.1, 10, 200)), "extremes"),
        # Square images are never far
        ([3.0] * 70 + [1.0] * 30, "bimodal"),
    ],
)
def test_kind_follows_from_the_shares(ratios, kind):
    assert image_kind(np.array(ratios)).name == kind


def test_kind_says_why():
    assert image_kind(np.array([4 / 3] * 97 + [0.5] * 3)).reason == (
        "97% of the images have about the same aspect ratio (width / height) of 1.33."
    )
    assert image_kind(np.array([4 / 3] * 80 + [5.0] * 20)).reason == (
        "20% of the images are far from square and from the most common aspect ratio "
        "(width / height) of 1.33; the set ranges from 1.33 to 5.00."
    )
    # All but one are not all
    assert image_kind(np.array([4 / 3] * 999 + [0.5])).reason.startswith("99.9% of")
    mixed = image_kind(np.array([4 / 3] * 600 + [3 / 4] * 399 + [9.0])).reason
    assert mixed.startswith("99.9% of the images are close to square")
    ratios = np.array([4 / 3] * 70 + [3 / 4] * 20 + [1.0] * 5 + [5.0] * 5)
    assert image_kind(ratios).reason == (
        "95% of the images are close to square, or to the most common aspect "
        "ratio (width / height) of 1.33; 75% are landscape and 20% portrait."
    )


def test_far_is_neither_square_nor_common():
    ratios = np.array([4 / 3] * 5 + [0.64, 0.63, 1.65, 2.0, 2.01, 0.2])
    assert np.flatnonzero(is_far(ratios)).tolist() == [6, 9, 10]
    # 2 is a factor of just 1.5 from 4/3, and 0.63 is too narrow
    assert dominant_aspect_ratio(ratios) == pytest.approx(4 / 3)
    # Of a portrait set, 3:2 is nearly square and 5:3 is far
    assert is_far(np.array([0.75] * 5 + [3 / 2, 1.64, 5 / 3])).tolist() == (
        [False] * 7 + [True]
    )


def test_common_sizes_are_counted():
    frame = statistics(
        (480, 640), (640, 480), (640, 480), (800, 600), (480, 640), (640, 480)
    ).common_sizes()
    assert frame.to_dict("list") == {
        "width": [640, 480, 800],
        "height": [480, 640, 600],
        "count": [3, 2, 1],
        "share": [1 / 2, 1 / 3, 1 / 6],
    }
    # Of equally common sizes the largest comes first
    frame = statistics((10, 20), (30, 10), (30, 20)).common_sizes()
    assert frame["width"].tolist() == [30, 30, 10]
    assert frame["height"].tolist() == [20, 10, 20]


def test_summary_has_the_quantiles_of_all_columns():
    size = np.random.default_rng(0).integers(100, 2000, (41, 2))
    images = statistics(*size.tolist(), resize="stretch 300x200")
    summary = images.summary()
    assert list(summary.columns) == ["min", "5%", "median", "95%", "max"]
    ordered = np.sort(size[:, 0] / size[:, 1])
    # With 41 values these quantiles are values themselves
    assert summary.loc["aspect_ratio"].tolist() == pytest.approx(
        ordered[[0, 2, 20, 38, 40]]
    )
    assert summary.loc["width", "median"] == np.sort(size[:, 0])[20]
    assert summary.loc["padding", "max"] == 0
    assert summary.index.tolist() == images.to_frame().columns.tolist()
    assert len(images.to_frame()) == 41


def test_grouping_saves_in_rectangular_batches_even_of_a_letterbox():
    images = statistics(*[(640, 480), (480, 640)] * 40)
    assert images.batch_padding.random == 0
    # In nearly all batches of 8 there are both: 640 x 640
    assert images.rectangular_padding.random == pytest.approx(0.25, abs=0.005)
    assert images.rectangular_padding.grouped == 0
    varying = statistics(*images.size, resize="shortest_side 480")
    assert varying.batch_padding.random == pytest.approx(0.25, abs=0.005)
    assert varying.batch_padding.grouped == 0


def test_rectangular_batches_are_padded_to_the_stride():
    # 640 x 427 is padded to 640 x 448
    images = statistics((1280, 854))
    assert images.rectangular_padding.grouped == pytest.approx(1 - 427 / 448)


def test_proposals_are_about_these_images():
    assert "letterbox 640x480" in statistics((640, 480)).proposals.index


@pytest.mark.parametrize("resize", ["letterbox 640", "stretch 30", "none"])
def test_no_images_have_empty_columns(resize):
    images = statistics(resize=resize)
    assert len(images) == len(images.to_frame()) == len(images.common_sizes()) == 0
    assert images.kind.name == "uniform"
    assert images.batch_padding.saving == images.rectangular_padding.saving == 0
    assert len(images.proposals) == len(images.aspect_group) == len(images.is_4k) == 0
    assert images.summary().isna().to_numpy().all()
    assert is_far(images.aspect_ratio).shape == (0,)


def test_one_image_is_a_set():
    images = statistics((3, 7))
    assert images.kind.name == "uniform"
    assert images.summary().loc["aspect_ratio"].tolist() == pytest.approx([3 / 7] * 5)
    assert images.batch_padding.saving == 0
    assert images.common_sizes()["share"].tolist() == [1]


@pytest.mark.real_data
def test_photographs_of_coco_are_bimodal(shared_data):
    for name in ("coco_mini", "cocoapi100"):
        labeled, _, _ = read_labeled(shared_data / name / "annotations.json")
        images = ImageStatistics(labeled.size, DEFAULT_RESIZE)
        assert images.kind.name == "bimodal"
        assert images.common_sizes().loc[0, ["width", "height"]].tolist() == [640, 480]
