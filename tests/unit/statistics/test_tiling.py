import numpy as np
import pytest

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.statistics.network_input import InputStatistics
from fiftyone_coco_audit.statistics.resizing import ResizePolicy
from fiftyone_coco_audit.statistics.tiling import (
    input_side,
    plan_tiles,
    propose_tiling,
    tiling_effect,
)
from tests.labeled import labeled

parse = ResizePolicy.parse


def sahi_starts(length, tile, overlap):
    """The tiles along a side, one by one, as SAHI's get_slice_bboxes makes them."""
    starts, start = [], 0
    while True:
        end = start + tile
        if end >= length:
            return [*starts, max(length - tile, 0)]
        starts.append(start)
        start = end - overlap


@pytest.mark.parametrize("tile,overlap", [(100, 0), (100, 20), (128, 64), (640, 100)])
def test_tiles_are_those_of_sahi(tile, overlap):
    size = np.random.default_rng(0).integers(20, 2000, (200, 2)).astype(float)
    size = np.vstack([size, [tile, tile], [tile + 1, 2 * tile - overlap]])
    plan = plan_tiles(size, tile, overlap)
    for image, (width, height) in enumerate(size):
        left, top = plan.starts(image)
        assert left.tolist() == sahi_starts(width, tile, overlap)
        assert top.tolist() == sahi_starts(height, tile, overlap)
        assert plan.tiles_per_image[image] == len(left) * len(top)


def test_small_images_are_one_tile():
    plan = plan_tiles(np.array([[100.0, 80], [300, 80]]), 200, 50)
    assert plan.tiles_per_image.tolist() == [1, 2]
    assert plan.tile_size.tolist() == [[100, 80], [200, 80]]
    assert plan.starts(1)[0].tolist() == [0, 100]


@pytest.mark.parametrize("overlap", [-1, 200, 300])
def test_overlap_is_less_than_the_tile(overlap):
    with pytest.raises(CocoAuditError, match="Tiles of 200 px cannot overlap"):
        plan_tiles(np.array([[300.0, 300]]), 200, overlap)


def best_tile(made, row, tile, overlap, side):
    """The share and size of an object in each tile, one by one; the best of them."""
    image = made.objects.image[row]
    width, height = made.size[image]
    x, y, w, h = made.objects.box[row]
    x0, y0, x1, y1 = max(x, 0), max(y, 0), min(x + w, width), min(y + h, height)
    best = 0.0
    for left in sahi_starts(width, tile, overlap):
        for top in sahi_starts(height, tile, overlap):
            across = min(x1, left + tile) - max(x0, left)
            down = min(y1, top + tile) - max(y0, top)
            best = max(best, max(across, 0) * max(down, 0))
    scale = side / max(min(width, tile), min(height, tile))
    return best / ((x1 - x0) * (y1 - y0)), np.sqrt(best) * scale


@pytest.mark.parametrize("tile,overlap", [(100, 0), (160, 40), (256, 128), (90, 80)])
def test_effect_is_that_of_the_best_of_all_tiles(tile, overlap):
    rng = np.random.default_rng(1)
    sizes = rng.integers(60, 700, (30, 2))
    rows = []
    for image in np.repeat(np.arange(30), 20):
        start = rng.random(2) * sizes[image] * 0.95 - 2
        rows.append((int(image), "a", [*start, *(rng.random(2) * 150 + 3)]))
    made = labeled(sizes.tolist(), rows)
    effect = tiling_effect(made, tile, overlap, 640)
    share, size = np.transpose(
        [best_tile(made, row, tile, overlap, 640) for row in range(len(rows))]
    )
    assert effect.visible_share == pytest.approx(share)
    assert effect.input_size == pytest.approx(size)
    assert effect.cut.tolist() == (share < 1 - 1e-9).tolist()
    assert 0 < effect.num_cut < len(rows)
    assert effect.share_below(100) == pytest.approx((size < 100).mean())
    assert effect.num_tiles == effect.plan.tiles_per_image.sum()


def test_no_object_within_the_overlap_is_cut():
    rng = np.random.default_rng(2)
    start = rng.random((500, 2)) * [1800, 900]
    rows = [(0, "a", [*xy, *rng.random(2) * 64]) for xy in start]
    assert tiling_effect(labeled([(1920, 1080)], rows), 256, 64, 640).num_cut == 0


def test_side_of_tiles():
    assert input_side(parse("letterbox 640x352")) == 352
    assert input_side(parse("shortest_side 800 max 1333")) == 800
    assert input_side(parse("longest_side 1024")) == 1024


def test_proposal_makes_objects_large_and_cuts_few():
    rng = np.random.default_rng(3)
    rows = [
        (n % 10, "a", [*rng.random(2) * [3900, 2900], *np.full(2, rng.uniform(20, 40))])
        for n in range(300)
    ]
    made = labeled([(4000, 3000)] * 10, rows)
    resize = parse("letterbox 640")
    before = InputStatistics(made, resize).input_size
    assert (before < 16).all()
    effect = propose_tiling(made, resize)
    assert effect.input_side == 640
    assert effect.plan.tile % 32 == effect.plan.overlap % 32 == 0
    assert effect.share_below(16) <= 0.05
    # The next larger tile would make too many too small, the next overlap is not needed
    assert tiling_effect(made, effect.plan.tile + 32, 64, 640).share_below(16) > 0.05
    assert effect.plan.overlap == 64
    assert effect.num_cut == 0


def test_proposal_does_not_enlarge_what_has_no_pixels():
    rows = [(0, "a", [100 * n, 50, 4, 4]) for n in range(30)]
    effect = propose_tiling(labeled([(4000, 3000)], rows), parse("letterbox 640"))
    assert effect.plan.tile == 320
    assert effect.share_below(16) == 1


def test_proposal_of_large_objects_overlaps_by_half_a_tile():
    small = [(0, "a", [100 * n, 50, 20, 20]) for n in range(10)]
    large = [(0, "a", [100 * n, 50, 2000, 2000]) for n in range(10)]
    made = labeled([(4000, 3000)], small + large)
    effect = propose_tiling(made, parse("letterbox 640"))
    assert (effect.plan.tile, effect.plan.overlap) == (800, 400)
    assert effect.num_cut == 10


def test_tiles_are_of_no_use():
    rows = [(0, "a", [50, 50, 100, 100])]
    assert propose_tiling(labeled([(640, 480)], rows), parse("letterbox 640")) is None
    assert propose_tiling(labeled([(640, 480)]), parse("letterbox 640")) is None
    assert propose_tiling(labeled([(4000, 480)], rows), parse("none")) is None


def test_nothing_is_no_error():
    for sizes in ([], [(640, 480)]):
        effect = tiling_effect(labeled(sizes), 320, 32, 640)
        assert effect.num_cut == 0
        assert effect.share_below(16) == 0
        assert effect.num_tiles == 6 * len(sizes)
