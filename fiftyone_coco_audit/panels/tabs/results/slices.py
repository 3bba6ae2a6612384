"""How the tab *Classes* divides AP by fields of images and attributes of objects."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.evaluation.fields import all_fields
from fiftyone_coco_audit.evaluation.slicing import divide
from fiftyone_coco_audit.panels.blocks import Block, Choice, Message, Row, Text
from fiftyone_coco_audit.panels.loaded_results import LoadedResults
from fiftyone_coco_audit.panels.results_controls import ResultsControls
from fiftyone_coco_audit.panels.selections import Selection
from fiftyone_coco_audit.panels.tabs.results.shared import (
    NUM_DRAWS,
    Metric,
    metric_bars,
    points,
)
from fiftyone_coco_audit.wording import counted, quoted

if TYPE_CHECKING:
    import fiftyone as fo

_NONE = "..."
# Identifiers, and what is not about the object
_NO_GROUPS = {
    "id",
    "index",
    "filepath",
    "coco_id",
    "dataset_id",
    "mask_path",
    "label",
    "confidence",
    "rle",
}


def blocks(loaded: LoadedResults, controls: ResultsControls) -> list[Block]:
    """The choice of a field, and AP by its values."""
    dataset, _, gt_field = loaded.results.source
    known = fields_to_divide_by(dataset, gt_field)
    chosen = controls.slice_by if controls.slice_by in dict(known) else _NONE
    options = [(_NONE, _NONE), *known]
    row = Row("slices", [Choice("slice_by", "AP by", options, chosen, width=200)])
    if chosen == _NONE:
        told = "**Choose a field or an attribute of objects to see AP by its values.**"
        return [row, Text("slices_none", told)]
    try:
        return [row, loaded.once(("slices", chosen), lambda: _plot(loaded, chosen))]
    except CocoAuditError as error:
        return [row, Message("slices", str(error), "warning")]


def fields_to_divide_by(dataset: fo.Dataset, gt_field: str) -> list[tuple[str, str]]:
    """The fields of samples and attributes of objects that hold single values.

    Those of evaluations are left out: they depend on what is divided.

    Args:
        dataset: the dataset
        gt_field: the field of the ground truth

    Returns:
        pairs of a path and its label
    """
    import fiftyone as fo

    simple = (fo.StringField, fo.BooleanField, fo.IntField, fo.FloatField)
    start = f"{gt_field}.detections."
    own = {
        path
        for key in dataset.list_evaluations()
        for path in all_fields(key, gt_field, gt_field)
    }
    of_images, of_objects = [], [(f"{start}area", "area of objects")]
    for path, field in dataset.get_field_schema(flat=True).items():
        name = path.removeprefix(start)
        is_group = name.rpartition(".")[2] not in _NO_GROUPS and path not in own
        if not isinstance(field, simple) or not is_group:
            continue
        if path.startswith(start) and "." not in name and name != "area":
            of_objects.append((path, f"{name} of objects"))
        elif "." not in path or path.startswith("metadata."):
            of_images.append((path, f"{path} of images"))
    return [*of_objects, *of_images]


def _plot(loaded: LoadedResults, field: str) -> Block:
    results, evaluation = loaded.results, loaded.evaluation
    frame = results.by(field, num_draws=NUM_DRAWS)
    run = evaluation, results.rows, results.source
    _, names, (division,) = divide([run], field, None)
    places = [*range(len(names)), -1][: len(frame)]
    known = frame.dropna(subset="AP")
    if not len(known):
        return Text("slices_empty", "**No slice has an AP.**")
    of_images = division.of_images
    hover = [
        f"{counted(row.images, 'image')}, {counted(row.objects, 'object')}"
        if of_images
        else counted(row.objects, "object")
        for row in frame.itertuples()
    ]
    thin = [": too few to be sure" if one else "" for one in frame["thin"]]

    def pick(mark: int) -> Selection:
        chosen = division.place == places[mark]
        if of_images:
            return Selection(images=np.sort(results.rows.sample[chosen]))
        return Selection.of_objects(chosen & ~evaluation.ignored[0])

    worst, best = known["AP"].idxmin(), known["AP"].idxmax()
    note = ""
    if frame["all_fp"].any():
        note = (
            "Nothing is known of this attribute of predictions, so false positives "
            "count in every slice, which lowers each AP."
        )
    return metric_bars(
        "slices",
        f"AP is {points(known['AP'].min())} for {quoted(str(worst))} and "
        f"{points(known['AP'].max())} for {quoted(str(best))}.",
        [str(name) for name in frame.index],
        Metric.of(frame),
        pick,
        hover=[f"{one}{few}" for one, few in zip(hover, thin, strict=True)],
        advice=note,
    )
