from dataclasses import replace

import numpy as np
import pytest

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.statistics import anchor_fitting
from fiftyone_coco_audit.statistics.anchor_fitting import (
    Fit,
    fit_anchors,
    propose_anchors,
    refit_anchors,
)
from fiftyone_coco_audit.statistics.anchor_presets import DEFAULT_ANCHORS
from fiftyone_coco_audit.statistics.anchor_sets import PRESETS, AnchorSet
from fiftyone_coco_audit.statistics.anchors import AnchorMatches
from fiftyone_coco_audit.statistics.resizing import ResizePolicy
from tests.labeled import labeled

LETTERBOX = ResizePolicy.parse("letterbox 640")
SIZE = (640, 640)


def clouds(seed=0, each=200):
    """Boxes about 20 x 40, 100 x 50 and 300 x 300."""
    rng = np.random.default_rng(seed)
    centers = np.array([[20, 40], [100, 50], [300, 300]])
    return np.vstack([c * rng.uniform(0.9, 1.1, (each, 2)) for c in centers])


def mean_best_iou(sides, shapes):
    inter = np.minimum(sides[:, None], shapes).prod(axis=2)
    areas = sides.prod(axis=1)[:, None] + shapes.prod(axis=1)
    return (inter / (areas - inter)).max(axis=1).mean()


def made(sides, images=20, seed=0):
    """Objects of some sides, at random places of as many images."""
    rng = np.random.default_rng(seed)
    rows = [
        (n % images, "cat", [*rng.uniform(0, 640 - np.array(side)), *side])
        for n, side in enumerate(np.asarray(sides).tolist())
    ]
    return labeled([SIZE] * images, rows)


def test_k_means_finds_the_medians_of_clouds():
    sides = clouds()
    found = fit_anchors(sides, 3, method="kmeans")
    medians = [np.median(part, axis=0) for part in np.split(sides, 3)]
    assert found == pytest.approx(np.array(medians))


def test_one_anchor_is_the_median():
    sides = np.random.default_rng(0).lognormal(4, 1, (999, 2))
    found = fit_anchors(sides, 1, method="kmeans")
    assert found[0] == pytest.approx(np.median(sides, axis=0))


def test_medians_withstand_a_few_huge_boxes():
    sides = np.vstack([np.full((99, 2), 20.0), np.full((5, 2), 30.0), [[21, 600]]])
    assert fit_anchors(sides, 1, method="kmeans").tolist() == [[20, 20]]


def test_evolution_makes_anchors_fitter():
    sides = np.random.default_rng(1).lognormal(4, 0.7, (2000, 2))
    first = fit_anchors(sides, 5, method="kmeans")
    evolved = fit_anchors(sides, 5)

    def fitness(shapes):
        inter = np.minimum(sides[:, None], shapes).prod(axis=2)
        areas = sides.prod(axis=1)[:, None] + shapes.prod(axis=1)
        best = (inter / (areas - inter)).max(axis=1)
        return (best * (best >= 0.5)).mean()

    assert fitness(evolved) > fitness(first) + 0.005
    # and far better than as many squares of equally many objects
    sizes = np.quantile(np.sqrt(sides.prod(axis=1)), [0.1, 0.3, 0.5, 0.7, 0.9])
    assert fitness(first) > fitness(np.repeat(sizes[:, None], 2, axis=1)) + 0.05


def test_fits_are_repeatable_and_ordered_by_area():
    sides = np.random.default_rng(1).lognormal(4, 0.7, (500, 2))
    found = fit_anchors(sides, 6, seed=3)
    assert found.tolist() == fit_anchors(sides, 6, seed=3).tolist()
    assert found.tolist() != fit_anchors(sides, 6, seed=4).tolist()
    assert (np.diff(found.prod(axis=1)) >= 0).all()


def test_a_sample_of_many_boxes_does_for_all():
    sides = clouds(each=20_000)
    found = fit_anchors(sides, 3)
    assert mean_best_iou(sides, found) > 0.9


def test_fewer_boxes_than_anchors():
    found = fit_anchors(np.array([[10.0, 20], [10, 20]]), 4)
    assert found.shape == (4, 2)
    assert mean_best_iou(np.array([[10.0, 20]]), found) == 1


@pytest.mark.parametrize(
    ("sides", "number"), [([[1.9, 50]], 3), (np.zeros((0, 2)), 3), ([[9, 9]], 0)]
)
def test_there_must_be_something_to_fit(sides, number):
    with pytest.raises(CocoAuditError, match="at least one anchor and one box"):
        fit_anchors(np.array(sides, float), number)


@pytest.mark.parametrize("name", ["retinanet", "ssd300", "yolov3", "yolov5"])
def test_a_refitted_set_keeps_its_structure_and_is_fitter(name):
    present = PRESETS[name]
    images = made(clouds() / 2)
    matches = AnchorMatches(images, LETTERBOX, present)
    fitted = refit_anchors(matches)
    assert [level.stride for level in fitted.levels] == [
        level.stride for level in present.levels
    ]
    assert [len(level.shapes) for level in fitted.levels] == [
        len(level.shapes) for level in present.levels
    ]
    assert (fitted.assignment, fitted.offset) == (present.assignment, present.offset)
    assert AnchorSet.parse(str(fitted)) == fitted
    after = AnchorMatches(images, LETTERBOX, fitted)
    least = present.assignment.positive

    def fitness(of):
        return (of.best_score * (of.best_score >= least)).mean()

    assert fitness(after) > fitness(matches)


def test_a_fit_counts_what_is_reached():
    rows = [(0, "cat", [144, 144, s, 32]) for s in (32, 14, 4)]
    anchors = AnchorSet.parse("sizes 32 strides 16")
    matches = AnchorMatches(labeled([SIZE], rows), LETTERBOX, anchors)
    fit = Fit.of(matches)
    assert fit.positive == pytest.approx(1 / 3)
    assert fit.reach == pytest.approx(2 / 3)
    # The others are 7 and 6 of 16 pixels off: all of them is in the anchor
    assert fit.mean_iou == pytest.approx((1 + 14 / 32 + 4 / 32) / 3)


def test_small_objects_get_small_anchors():
    rng = np.random.default_rng(0)
    images = made(rng.uniform(12, 24, (1200, 2)), images=40)
    proposal = propose_anchors(images, LETTERBOX, DEFAULT_ANCHORS)
    assert proposal.is_better
    assert proposal.images == 12
    assert proposal.objects == 360
    assert proposal.after.reach > 0.95 > 0.6 > proposal.before.reach
    assert proposal.after.mean_iou > proposal.before.mean_iou
    # What is proposed does as well on objects that were not there at all
    others = made(rng.uniform(12, 24, (1200, 2)), images=40, seed=9)
    again = Fit.of(AnchorMatches(others, LETTERBOX, proposal.anchors))
    assert again.reach == pytest.approx(proposal.after.reach, abs=0.03)
    assert "On 12 held-out images" in proposal.reason


def test_what_is_measured_was_not_fitted_to():
    # Each image has boxes of its own size: fitted anchors know 70% of them
    sides = [[8 + 12 * (n % 40), 20 + 6 * (n % 7)] for n in range(2000)]
    images = made(sides, images=40)
    anchors = AnchorSet.parse("sizes 5 strides 8 ratio 1.05")
    five = replace(anchors, levels=(replace(anchors.levels[0], shapes=((5, 5),) * 40),))
    proposal = propose_anchors(images, LETTERBOX, five)
    fitted = AnchorMatches(images, LETTERBOX, proposal.anchors)
    everywhere = Fit.of(fitted).reach
    assert proposal.before.reach == 0
    assert proposal.after.reach < everywhere
    # Objects of the two parts make up the whole
    seen = (everywhere * 2000 - proposal.after.reach * 600) / 1400
    assert seen > proposal.after.reach + 0.1


def test_perfect_anchors_are_kept():
    rows = [(n % 10, "cat", [64 * (n // 10) + 48, 48, 32, 32]) for n in range(80)]
    images = labeled([SIZE] * 10, rows)
    present = AnchorSet.parse("sizes 32 strides 16")
    proposal = propose_anchors(images, LETTERBOX, present)
    assert not proposal.is_better
    assert proposal.anchors is present
    assert proposal.before == proposal.after == Fit(1, 1, 1)
    assert proposal.reason.startswith("Keep the current anchors: on ")


@pytest.mark.parametrize("seed", range(5))
def test_what_is_worse_on_other_images_is_never_proposed(seed):
    # 11 objects an image at random: little to learn, and what is learned is chance
    rng = np.random.default_rng(seed)
    images = made(rng.lognormal(4, 0.8, (220, 2)).clip(3, 600), images=20, seed=seed)
    proposal = propose_anchors(images, LETTERBOX, PRESETS["yolov3"], seed=seed)
    assert proposal.after.reach >= proposal.before.reach
    assert proposal.after.mean_iou >= proposal.before.mean_iou
    if not proposal.is_better:
        assert proposal.anchors is PRESETS["yolov3"]


def test_worse_ones_are_refused(monkeypatch):
    bad = AnchorSet.parse("sizes 3 strides 16")
    monkeypatch.setattr(anchor_fitting, "refit_anchors", lambda *_, **__: bad)
    present = AnchorSet.parse("sizes 32 strides 16")
    proposal = propose_anchors(made([[32, 32]] * 100), LETTERBOX, present)
    assert proposal.anchors is present
    assert not proposal.is_better


def test_too_little_to_fit_to():
    few = propose_anchors(made([[32, 32]] * 40), LETTERBOX, DEFAULT_ANCHORS)
    assert not few.is_better
    assert few.reason == (
        "28 objects are too few to fit 45 anchors: this takes 225, and some more to "
        "measure them on."
    )
    tiny = propose_anchors(made([[1, 50]] * 900), LETTERBOX, DEFAULT_ANCHORS)
    assert tiny.reason.startswith("0 objects are too few")
    one = propose_anchors(made([[32, 32]] * 3), LETTERBOX, AnchorSet.parse("yolov3"))
    assert one.reason.startswith("1 object is too few to fit 9 anchors: ")
    one_image = made([[32, 32]] * 900, images=1)
    assert not propose_anchors(one_image, LETTERBOX, DEFAULT_ANCHORS).is_better


def test_there_may_be_no_anchors():
    proposal = propose_anchors(made([[32, 32]] * 30), LETTERBOX, PRESETS["fcos"])
    assert not proposal.is_better
    assert proposal.reason == "There are no anchors to fit."


def test_more_reach_at_a_lower_iou_is_no_gain(monkeypatch):
    # 32 and 16 pixels; an anchor of 22.6 has an IoU of .5 with both
    rows = [
        (n % 20, "cat", [160 - side / 2, 160 - side / 2, side, side])
        for n in range(200)
        for side in (16, 32)
    ]
    between = AnchorSet.parse("sizes 22.6 strides 16")
    monkeypatch.setattr(anchor_fitting, "refit_anchors", lambda *_, **__: between)
    present = AnchorSet.parse("sizes 32 strides 16")
    images = labeled([SIZE] * 20, rows)
    reach = Fit.of(AnchorMatches(images, LETTERBOX, between)).reach
    proposal = propose_anchors(images, LETTERBOX, present)
    assert reach == 1 > proposal.before.reach == 0.5
    assert proposal.before.mean_iou == 0.625
    assert not proposal.is_better


def test_small_anchors_are_fitted_where_cells_are_small():
    images = made(np.repeat([[30, 30], [300, 300]], 200, axis=0), images=40)
    present = AnchorSet.parse("anchors 300x300/30x30 strides 8,128")
    fitted = refit_anchors(AnchorMatches(images, LETTERBOX, present))
    small, large = fitted.shapes
    assert small == pytest.approx([30, 30], rel=0.1)
    assert large == pytest.approx([300, 300], rel=0.2)
