"""Dry runs of a dataset, and checks of training loaders."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Executor
from contextlib import contextmanager
from dataclasses import replace
from os import PathLike
from typing import TYPE_CHECKING, Any

import numpy as np

from fiftyone_coco_audit.augmentation.pipelines import Pipeline
from fiftyone_coco_audit.columns import dataset_of, require_some
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.errors import CocoAuditError, check_whole
from fiftyone_coco_audit.fields import FieldSpec, check_paths_are_free
from fiftyone_coco_audit.files import require_images, without_files
from fiftyone_coco_audit.findings import make_finding, severest_first
from fiftyone_coco_audit.loading.diagnosis import check_options
from fiftyone_coco_audit.loading.loaders import LoaderRun, length_of, run_loader
from fiftyone_coco_audit.loading.pipelines import AlbumentationsPipeline
from fiftyone_coco_audit.loading.reports import DryRun
from fiftyone_coco_audit.loading.rules import OF_PIXELS
from fiftyone_coco_audit.loading.runner import run_pipeline
from fiftyone_coco_audit.loading.stages import Decoding
from fiftyone_coco_audit.parallel import check_workers
from fiftyone_coco_audit.progress import Progress, progress_bar, staged
from fiftyone_coco_audit.reading import imported_categories
from fiftyone_coco_audit.rule_selection import (
    not_run_notes,
    run_elsewhere,
    selected_rules,
)
from fiftyone_coco_audit.statistics.inputs import (
    LabeledSamples,
    read_labeled_images,
)
from fiftyone_coco_audit.storage.publishing import (
    may_write_part,
    publish_fields,
)

if TYPE_CHECKING:
    import fiftyone as fo

_FUNCTION = "dry_run"
_ADDED_BOX_PARAMS = (
    "The A.Compose has no bbox_params, so in training it would fail on boxes or not "
    "transform them. bbox_params were added for this run only: add "
    "bbox_params=A.BboxParams(format=..., label_fields=[...]) to it."
)
_NOT_WRITTEN = "It was interrupted, so no results were written to the samples."
_NO_PIXELS = (
    "The dataset was imported without image files, so only targets were compared. "
    "Import it again with images_dir to compare the images too."
)
_FIELDS = (
    FieldSpec("dry_run_status", "str", "ok, suspicious, failed, or not run"),
    FieldSpec("dry_run_error", "str", "The failure, in one sentence"),
    FieldSpec("dry_run_seconds", "float", "Seconds for reading and transforming it"),
)


@database_errors_explained()
def dry_run(
    samples: fo.SampleCollection,
    pipeline: Any,
    *,
    label_field: str = "ground_truth",
    decoding: Decoding | None = None,
    seed: int = 51,
    write_fields: bool = True,
    executor: Executor | None = None,
    workers: int | None = None,
    progress: Progress = None,
) -> DryRun | LoaderRun:
    """Reads, decodes and transforms every sample, as training does.

    Given a loader instead of a pipeline, it calls :func:`check_loader`.

    Each failure is attributed to its sample, stage and transform. The fields
    ``dry_run_status``, ``dry_run_error`` and ``dry_run_seconds`` are written to the
    samples. Ctrl-C ends it early and returns the results so far, which are written
    only if there are no earlier results.

    Args:
        samples: a dataset or a view of whole images
        pipeline: an Albumentations pipeline in any form that
            :meth:`.augmentation.pipelines.Pipeline.parse` reads, or a function that
            takes ``(image, boxes, ids)`` and returns the same; or your own loader or
            dataset
        label_field: the field of the ground truth
        decoding: how images are decoded; by default, with OpenCV to RGB, in their EXIF
            orientation
        seed: the random seed
        write_fields: whether to write the fields
        executor: what runs it, such as a Dask client's ``get_executor()``; by default
            processes of this machine
        workers: the number of processes, by default one for each core
        progress: whether to show a progress bar, as everywhere in FiftyOne

    Returns:
        a :class:`.reports.DryRun`, or a :class:`.loaders.LoaderRun` for a loader

    Raises:
        CocoAuditError: if the pipeline or the data do not allow it
    """
    check_whole("seed", seed)
    check_workers(executor, workers)
    if decoding is not None and not callable(decoding):
        raise CocoAuditError(
            f"decoding is {decoding!r}: it must be Decoding(...) of "
            "fiftyone_coco_audit.loading.stages"
        )
    if _is_loader(pipeline):
        return check_loader(
            samples, pipeline, label_field=label_field, progress=progress
        )
    called = _as_callable(pipeline, seed)
    dataset = dataset_of(samples)
    if write_fields:
        check_paths_are_free(dataset, [field.path for field in _FIELDS], _FUNCTION)
    labeled = read_labeled_images(
        samples, label_field, sizes_required=False, progress=False
    )
    require_some(labeled.images, "load")
    require_images(labeled.images.filepaths)
    running = staged(progress, "Running the pipeline")
    options: dict[str, Any] = {"executor": executor, "workers": workers}
    with _bar(len(labeled.images), running) as report:
        result = run_pipeline(
            labeled.images, called, decoding=decoding, progress=report, **options
        )
    notes = [*labeled.left_out]
    if isinstance(called, AlbumentationsPipeline) and called.lacks_box_params:
        notes.append(_ADDED_BOX_PARAMS)
    if write_fields:
        some = result.counts()["not run"] < len(result)
        if result.complete or some and may_write_part(dataset, _FUNCTION):
            _write(samples, labeled, result, progress)
        else:
            notes.append(_NOT_WRITTEN)
    return replace(result, notes=(*result.notes, *notes))


@database_errors_explained()
def check_loader(
    samples: fo.SampleCollection,
    loader: Any,
    *,
    label_field: str = "ground_truth",
    box_format: str | None = None,
    first_label: int | None = None,
    channels: str = "rgb",
    select: Iterable[str] | None = None,
    ignore: Iterable[str] = (),
    progress: Progress = None,
) -> LoaderRun:
    """Compares everything that a training loader returns with a dataset's labels.

    It names lost, repeated and extra boxes, boxes in another format or scale, with an
    offset or with x and y swapped, images that were changed without their boxes or have
    swapped channels or odd values, permuted classes, and samples that come twice or
    never. Only PyTorch's own loaders need PyTorch.

    Args:
        samples: the dataset or view that the loader reads; in the same order, if the
            loader returns no image ids
        loader: an iterable of batches, such as a ``DataLoader`` of PyTorch, or a
            dataset with ``__getitem__`` and ``__len__``. Switch off random
            augmentation, except flips, rotations by 90 degrees and colors
        label_field: the field of the ground truth
        box_format: the intended format of the boxes, such as ``"xyxy"``; see
            :class:`.diagnosis.TargetChecker`
        first_label: the intended label of the first class
        channels: the intended order of channels
        select: codes, starts of codes or names of the rules to run, such as
            ``["CA64", "lost-labels"]``; all rules of loaders by default
        ignore: those not to run
        progress: whether to show a progress bar, as everywhere in FiftyOne

    Returns:
        a :class:`.loaders.LoaderRun`

    Raises:
        CocoAuditError: if the loader or the data do not allow it
    """
    rules = selected_rules(select, ignore, ["loader"])
    check_options(box_format, first_label, channels)
    labeled = read_labeled_images(samples, label_field, progress=False)
    require_some(labeled.images, "load")
    not_run = run_elsewhere(rules, ["loader"])
    if without_files(labeled.images.filepaths):
        not_run |= {r.code: _NO_PIXELS for r in rules if r.code in OF_PIXELS}
    if len(not_run) == len(rules):
        raise CocoAuditError(f"No rule can run. {_NO_PIXELS}")
    ids = labeled.columns.coco_id
    with _bar(length_of(loader), staged(progress, "Loading")) as report:
        found = run_loader(
            labeled.images,
            loader,
            image_ids=None if None in ids else ids,
            category_ids=_category_ids(samples, labeled),
            box_format=box_format,
            first_label=first_label,
            channels=channels,
            crowds=labeled.crowds,
            progress=report,
        )
    mistakes = tuple(one for one in found.check.mistakes if one.rule in rules)
    return replace(
        found,
        check=replace(found.check, mistakes=mistakes),
        notes=(*found.notes, *not_run_notes(not_run)),
        findings=severest_first(
            make_finding(mistake.rule, mistake, labeled) for mistake in mistakes
        ),
        samples=samples,
        not_run=not_run,
    )


def _is_loader(source: Any) -> bool:
    if isinstance(source, (list, tuple)):
        # Batches, and no transforms
        return bool(source) and all(isinstance(s, (list, tuple)) for s in source)
    if isinstance(source, (str, PathLike, Mapping, Pipeline)):
        return False
    return not _is_albumentations(source) and (
        hasattr(source, "__iter__") or hasattr(source, "__getitem__")
    )


def _is_albumentations(source: Any) -> bool:
    classes = type(source).__mro__
    return any(cls.__module__.startswith("albumentations.") for cls in classes)


def _as_callable(pipeline: Any, seed: int) -> Any:
    if callable(pipeline) and not _is_albumentations(pipeline):
        if not isinstance(pipeline, Pipeline):
            return pipeline
    return AlbumentationsPipeline(Pipeline.parse(pipeline), seed)


def _category_ids(
    samples: fo.SampleCollection, labeled: LabeledSamples
) -> list[int] | None:
    """The ids of the classes in the COCO file, where an import has kept them all."""
    by_name = {c["name"]: c["id"] for c in imported_categories(samples) or ()}
    names = labeled.images.classes
    if not all(isinstance(by_name.get(name), int) for name in names):
        return None
    return [by_name[name] for name in names]


@contextmanager
def _bar(total: int | None, progress: Progress) -> Iterator[Callable[[int, int], None]]:
    """FiftyOne's progress bar as a function of how many are done, of all if known."""
    with progress_bar(progress, total=total) as bar:
        yield lambda done, _: bar.update(done - bar.iteration)


def _write(
    samples: fo.SampleCollection,
    labeled: LabeledSamples,
    result: DryRun,
    progress: Progress,
) -> None:
    seconds = result.sample_seconds
    values = {
        "dry_run_status": result.status.tolist(),
        "dry_run_error": [error or None for error in result.error],
        "dry_run_seconds": [
            None if unknown else second
            for second, unknown in zip(
                seconds.tolist(), np.isnan(seconds).tolist(), strict=True
            )
        ],
    }
    publish_fields(
        samples,
        labeled.columns,
        _FIELDS,
        values,
        {},
        function=_FUNCTION,
        group="dry run",
        progress=progress,
    )
