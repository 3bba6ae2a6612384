"""What is timed, each in a process of its own: ``python -m benchmarks.tasks TASK ...``.

A task prints one line of JSON: its seconds by step, its peak of memory, and a
figure by which two tasks can be seen to have done the same.
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.augmenting import (
    damage_bare,
    damage_ours,
    dry_run_bare,
    dry_run_in_one,
    dry_run_in_two,
)
from benchmarks.data import Files
from benchmarks.timing import Seconds, timed

# As many as the draws of a bootstrap that must cost less than an evaluation
_DRAWS = 100


def import_ours(files: Files, seconds: Seconds, options: dict[str, Any]) -> float:
    """Import of both files, or of the first only, by ``import_coco``."""
    # As the others do: loading FiftyOne and reaching its database is not timed
    import fiftyone as fo

    from fiftyone_coco_audit import import_coco

    fo.list_datasets()
    with_predictions = options.get("predictions", True)
    with timed(seconds, "total"):
        dataset = import_coco(
            files.annotations,
            files.images,
            predictions=files.predictions if with_predictions else None,
            name="benchmark ours",
            overwrite=True,
            progress=False,
        )
    return len(dataset)


def import_stock(files: Files, seconds: Seconds, options: dict[str, Any]) -> float:
    """Import of both files by FiftyOne's importer and ``add_coco_labels``.

    Without predictions it is the importer alone.
    """
    import fiftyone as fo
    import fiftyone.utils.coco as fouc

    fo.config.show_progress_bars = False
    fo.list_datasets()
    label_type = "segmentations" if options.get("masks") else "detections"
    with timed(seconds, "total"):
        dataset = fo.Dataset.from_dir(
            dataset_type=fo.types.COCODetectionDataset,
            data_path=str(files.images),
            labels_path=str(files.annotations),
            label_types=label_type,
            label_field="ground_truth",
            include_id=True,
            name="benchmark stock",
            overwrite=True,
        )
        if options.get("predictions", True):
            fouc.add_coco_labels(
                dataset,
                "predictions",
                json.loads(files.predictions.read_text()),
                json.loads(files.annotations.read_text())["categories"],
                label_type=label_type,
                coco_id_field="coco_id" if dataset.has_field("coco_id") else None,
            )
    return len(dataset)


def core_ours(files: Files, seconds: Seconds, options: dict[str, Any]) -> float:
    """Matching, accumulation, per-image AP and marks of labels, from columns."""
    from benchmarks.columns import read
    from fiftyone_coco_audit.evaluation.error_types import classify_errors
    from fiftyone_coco_audit.evaluation.metrics import evaluate_objects
    from fiftyone_coco_audit.evaluation.per_image import score_images
    from fiftyone_coco_audit.evaluation.per_label import label_outcomes
    from fiftyone_coco_audit.evaluation.settings import Settings

    masks = bool(options.get("masks"))
    truth, predictions, num_images, num_categories = read(files, masks=masks)
    with timed(seconds, "total"):
        evaluation = evaluate_objects(
            truth,
            predictions,
            num_images=num_images,
            num_categories=num_categories,
            settings=Settings(iou_type="segm" if masks else "bbox"),
        )
        score_images(evaluation)
        label_outcomes(evaluation)
    with timed(seconds, "types of error"):
        classify_errors(evaluation)
    return evaluation.summary()["AP"]


def core_pycocotools(files: Files, seconds: Seconds, options: dict[str, Any]) -> float:
    """``COCOeval.evaluate`` and ``accumulate``."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    return _cocoeval(COCO, COCOeval, files, seconds, options)


def core_hotcoco(files: Files, seconds: Seconds, options: dict[str, Any]) -> float:
    """The same of hotcoco."""
    from hotcoco import COCO, COCOeval

    return _cocoeval(COCO, COCOeval, files, seconds, options)


def core_ultrafast(files: Files, seconds: Seconds, options: dict[str, Any]) -> float:
    """The same of ultrafast-pycocotools."""
    from ultrafast_pycocotools import COCO, COCOeval

    return _cocoeval(COCO, COCOeval, files, seconds, options)


def core_vernier(files: Files, seconds: Seconds, options: dict[str, Any]) -> float:
    """The same of vernier, which reads the predictions of masks meanwhile."""
    from vernier.instance import Bbox, CocoDataset, Evaluator, Segm

    masks = bool(options.get("masks"))
    truth = CocoDataset.from_json(files.annotations.read_bytes())
    found: Any = files.predictions.read_bytes()
    if not masks:
        found = np.array(
            [
                [one["image_id"], *one["bbox"], one["score"], one["category_id"]]
                for one in json.loads(found)
            ]
        )
    evaluator = Evaluator(Segm() if masks else Bbox(), parity_mode="strict")
    with timed(seconds, "total"):
        summary = evaluator.evaluate(truth, found, num_threads=1)
    return float(summary.stats[0])


def core_error_costs(files: Files, seconds: Seconds, _: dict[str, Any]) -> float:
    """``results.error_costs()`` from what was matched."""
    from fiftyone_coco_audit.evaluation.analysis.error_costs import error_costs

    evaluation, classes = _evaluated(files)
    with timed(seconds, "total"):
        costs = error_costs(evaluation, classes)
    return float(costs.to_frame()["dAP"].sum())


def core_influence(files: Files, seconds: Seconds, _: dict[str, Any]) -> float:
    """``results.influence()`` from what was matched."""
    from fiftyone_coco_audit.evaluation.analysis.influence import image_influence

    evaluation, _classes = _evaluated(files)
    with timed(seconds, "total"):
        influence = image_influence(evaluation.ranking(), evaluation.num_images)
    return float(influence.max())


def core_bootstrap(files: Files, seconds: Seconds, _: dict[str, Any]) -> float:
    """AP of all classes in 100 draws of images, from what was matched."""
    from fiftyone_coco_audit.evaluation.analysis.bootstrap import bootstrap_ap

    evaluation, _classes = _evaluated(files)
    with timed(seconds, "total"):
        draws = bootstrap_ap(
            evaluation.ranking(), evaluation.num_images, num_draws=_DRAWS
        )
    return float(draws.mean())


def core_intervals(files: Files, seconds: Seconds, _: dict[str, Any]) -> float:
    """``results.intervals(num_draws=100)`` from what was matched."""
    from fiftyone_coco_audit.evaluation.analysis.intervals import metric_intervals

    evaluation, classes = _evaluated(files)
    place = np.arange(evaluation.num_images)
    with timed(seconds, "total"):
        intervals = metric_intervals(evaluation, classes, place, _DRAWS)
    return float(intervals.to_frame()["high"].iloc[0])


def _evaluated(files: Files) -> tuple[Any, list[str]]:
    """An evaluation in columns, and the names of its classes."""
    from benchmarks.columns import read
    from fiftyone_coco_audit.evaluation.metrics import evaluate_objects
    from fiftyone_coco_audit.evaluation.settings import Settings

    truth, predictions, num_images, num_categories = read(files, masks=False)
    evaluation = evaluate_objects(
        truth,
        predictions,
        num_images=num_images,
        num_categories=num_categories,
        settings=Settings(),
    )
    return evaluation, [str(number) for number in range(num_categories)]


def _cocoeval(
    coco: Any, cocoeval: Any, files: Files, seconds: Seconds, options: dict[str, Any]
) -> float:
    results = json.loads(files.predictions.read_text())
    if options.get("masks"):
        for result in results:
            del result["bbox"]
    with contextlib.redirect_stdout(io.StringIO()):
        truth = coco(str(files.annotations))
        detections = truth.loadRes(results)
        evaluator = cocoeval(
            truth, detections, "segm" if options.get("masks") else "bbox"
        )
        with timed(seconds, "total"):
            evaluator.evaluate()
            evaluator.accumulate()
        evaluator.summarize()
    return float(evaluator.stats[0])


def evaluate_ours(files: Files, seconds: Seconds, _: dict[str, Any]) -> float:
    """``evaluate()`` as a whole on the dataset that ``import_ours`` made."""
    import fiftyone as fo

    from fiftyone_coco_audit.evaluation import evaluating as run

    dataset = fo.load_dataset("benchmark ours")
    if dataset.list_evaluations():
        dataset.delete_evaluations()
    _time_steps(run, seconds, read_inputs="read", publish_values="write")
    with timed(seconds, "total"):
        results = run.evaluate(dataset, progress=False)
    seconds["compute"] = seconds["total"] - seconds["read"] - seconds["write"]
    return results.summary()["AP"]


def evaluate_stock(files: Files, seconds: Seconds, options: dict[str, Any]) -> float:
    """``evaluate_detections(compute_mAP=True)`` on the first images of that dataset."""
    import fiftyone as fo

    fo.config.show_progress_bars = False
    dataset = fo.load_dataset("benchmark ours")
    view = dataset.limit(options["limit"])
    if "stock" in dataset.list_evaluations():
        dataset.delete_evaluation("stock")
    with timed(seconds, "total"):
        results = view.evaluate_detections(
            "predictions", gt_field="ground_truth", eval_key="stock", compute_mAP=True
        )
    dataset.delete_evaluation("stock")
    return float(results.mAP())


def statistics_ours(_: Files, seconds: Seconds, __: dict[str, Any]) -> float:
    """``compute_statistics()`` on the dataset that ``import_ours`` made."""
    return _statistics(seconds, write_fields=True)


def statistics_unwritten(_: Files, seconds: Seconds, __: dict[str, Any]) -> float:
    """The same without fields, but with the frames of images, objects and classes."""
    return _statistics(seconds, write_fields=False)


def _statistics(seconds: Seconds, *, write_fields: bool) -> float:
    import fiftyone as fo

    from fiftyone_coco_audit import delete_fields_of
    from fiftyone_coco_audit.statistics import computing as run

    dataset = fo.load_dataset("benchmark ours")
    delete_fields_of(dataset, "compute_statistics")
    seconds.update(read=0, write=0)
    _time_steps(run, seconds, read_labeled_images="read", publish_fields="write")
    with timed(seconds, "total"):
        made = run.compute_statistics(
            dataset, write_fields=write_fields, progress=False
        )
        if not write_fields:
            made.images(), made.objects(), made.classes()
    seconds["compute"] = seconds["total"] - seconds["read"] - seconds["write"]
    return float(made.statistics.network_input.input_size.mean())


def audit_ours(_: Files, seconds: Seconds, __: dict[str, Any]) -> float:
    """``audit()`` on that dataset."""
    import fiftyone as fo

    from fiftyone_coco_audit import auditing

    dataset = fo.load_dataset("benchmark ours")
    _time_steps(auditing, seconds, read_labeled_images="read", save_run="write")
    with timed(seconds, "total"):
        found = auditing.audit(dataset, progress=False)
    seconds["compute"] = seconds["total"] - seconds["read"] - seconds["write"]
    return len(found)


def panel_opened(_: Files, seconds: Seconds, __: dict[str, Any]) -> float:
    """All tabs of the panel for that dataset, which is read for them."""
    from fiftyone_coco_audit.panels.audit_controls import AuditControls

    reading = _reading(seconds)
    return _draw_tabs(reading, AuditControls(), seconds)


def panel_redrawn(_: Files, seconds: Seconds, __: dict[str, Any]) -> float:
    """All tabs once more, after a change of the resize policy."""
    from fiftyone_coco_audit.panels.audit_controls import AuditControls

    reading = _reading({})
    _draw_tabs(reading, AuditControls(), {})
    return _draw_tabs(reading, AuditControls(resize_size="1280"), seconds)


def _reading(seconds: Seconds) -> Any:
    import fiftyone as fo

    from fiftyone_coco_audit.panels.session import LoadedFields

    dataset = fo.load_dataset("benchmark ours")
    with timed(seconds, "total"), timed(seconds, "read"):
        return LoadedFields().get(dataset, "ground_truth")


def _draw_tabs(reading: Any, controls: Any, seconds: Seconds) -> float:
    """Draws the tabs, and returns the number of their blocks."""
    from fiftyone_coco_audit.panels.tabs import (
        anchors,
        classes,
        findings,
        images,
        objects,
    )

    blocks = 0
    for tab in (images, objects, classes, anchors, findings):
        with timed(seconds, "total"), timed(seconds, tab.__name__.rpartition(".")[2]):
            blocks += len(tab.build(reading, controls).blocks)
    return blocks


def _time_steps(module: Any, seconds: Seconds, **steps: str) -> None:
    """Times functions that a module calls, by the names of the steps that they are."""
    for function, step in steps.items():
        setattr(module, function, _timing(getattr(module, function), seconds, step))


def _timing(function: Callable[..., Any], seconds: Seconds, step: str) -> Any:
    def run(*args: Any, **kwargs: Any) -> Any:
        with timed(seconds, step):
            return function(*args, **kwargs)

    return run


TASKS = {
    function.__name__.replace("_", "-"): function
    for function in (
        import_ours,
        import_stock,
        core_ours,
        core_pycocotools,
        core_hotcoco,
        core_ultrafast,
        core_vernier,
        core_error_costs,
        core_influence,
        core_bootstrap,
        core_intervals,
        evaluate_ours,
        evaluate_stock,
        statistics_ours,
        statistics_unwritten,
        audit_ours,
        panel_opened,
        panel_redrawn,
        damage_ours,
        damage_bare,
        dry_run_bare,
        dry_run_in_one,
        dry_run_in_two,
    )
}


def main() -> None:
    """Runs the task that the first argument names."""
    task, paths, options = sys.argv[1], json.loads(sys.argv[2]), json.loads(sys.argv[3])
    if "core" in task:
        os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
    files = Files(**{name: Path(path) for name, path in paths.items()})
    seconds: Seconds = {}
    figure = TASKS[task](files, seconds, options)
    print(json.dumps({"seconds": seconds, "peak_mb": _peak_mb(), "figure": figure}))


def _peak_mb() -> float:
    """The peak of memory of this process, in MB.

    What ``getrusage`` tells begins with the peak of the process that started it.
    """
    status = Path("/proc/self/status").read_text()
    return int(re.search(r"VmHWM:\s+(\d+) kB", status)[1]) / 1024


if __name__ == "__main__":
    main()
