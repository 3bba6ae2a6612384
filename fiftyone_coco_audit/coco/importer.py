"""COCO files into FiftyOne: the ground truth, and predictions beside it."""

from __future__ import annotations

import json
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fiftyone_coco_audit.coco.addition import check_field_is_free, publish_predictions
from fiftyone_coco_audit.coco.categories import Categories, read_categories
from fiftyone_coco_audit.coco.documents import LabelDocuments, sample_documents
from fiftyone_coco_audit.coco.fitting import Truth, as_objects, note_misfit
from fiftyone_coco_audit.coco.ids import Id, distinct_ids, read_ids
from fiftyone_coco_audit.coco.images import Images, read_images
from fiftyone_coco_audit.coco.matching import PredictionTarget
from fiftyone_coco_audit.coco.names import name_of_file
from fiftyone_coco_audit.coco.objects import CocoObjects, ObjectReader, References
from fiftyone_coco_audit.coco.paths import ImageFolder, NoImageFolder
from fiftyone_coco_audit.coco.predictions import read_matched
from fiftyone_coco_audit.coco.read import Source, read_annotations
from fiftyone_coco_audit.coco.records import column, dicts
from fiftyone_coco_audit.coco.report import (
    RUN_KEY,
    ImportReport,
    Problem,
    ProblemLog,
    describe,
    report_content,
)
from fiftyone_coco_audit.coco.schema import (
    OBJECTS,
    PREDICTIONS,
    check_label_field,
    coco_id_field,
    fields_of_labels,
    keypoints_field,
    names_for_others,
)
from fiftyone_coco_audit.coco.skeletons import common_skeleton, skeletons_of
from fiftyone_coco_audit.coco.staging import check_dataset_name, staged_dataset
from fiftyone_coco_audit.coco.writing import check_categories_fit, insert_samples
from fiftyone_coco_audit.columns import read_columns, require_samples
from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.fields import declare_fields
from fiftyone_coco_audit.fiftyone_internals import root_dataset
from fiftyone_coco_audit.memory import garbage_collection_paused
from fiftyone_coco_audit.progress import progress_bar, staged
from fiftyone_coco_audit.reading import (
    class_names,
    ensure_sizes,
    imported_categories,
    parent_classes,
    read_objects,
)
from fiftyone_coco_audit.runs import save_run
from fiftyone_coco_audit.storage.exclusive import up_to_date

if TYPE_CHECKING:
    import os

    import fiftyone as fo

Invalid = Literal["skip", "raise"]
Progress = bool | Callable[[Any], None] | None

_IMAGES_AT_ONCE = 250

# Objects and the names of their categories, by label field
_Labels = dict[str, tuple[CocoObjects, list[str]]]


@database_errors_explained()
def import_coco(
    annotations: Source,
    images_dir: str | os.PathLike[str] | None = None,
    *,
    predictions: Source | None = None,
    name: str | None = None,
    label_field: str = "ground_truth",
    pred_field: str = "predictions",
    invalid: Invalid = "skip",
    overwrite: bool = False,
    persistent: bool = True,
    progress: Progress = None,
) -> fo.Dataset:
    """Imports a COCO file, and optionally predictions, as a new dataset.

    Boxes, ids, areas, crowds, masks and keypoints are kept exactly, and keypoints are
    shown in a field of their own, such as ``ground_truth_keypoints``. Records that
    cannot be used are set aside; :func:`import_report` lists them with the reasons. The
    dataset is created only when it is complete.

    Args:
        annotations: the path of a COCO file, or its parsed content
        images_dir: the folder that the file names are relative to; without it, the
            samples have no image files, and sizes come from the COCO file
        predictions: the path of a list of COCO results, or of a COCO file with its
            own ids, which is matched by file names and category names; or the parsed
            content of either
        name: the name of the dataset; by default that of the COCO file or its folder,
            or one that FiftyOne makes for parsed content
        label_field: the field for the annotations
        pred_field: the field for the predictions
        invalid: what to do about a record that cannot be used: ``"skip"`` it, or
            ``"raise"`` and import nothing
        overwrite: whether to replace a dataset of that name
        persistent: whether FiftyOne keeps the dataset after the session
        progress: whether to show a progress bar (``True`` / ``False``), FiftyOne's
            default (``None``), or a function that is called with the bar

    Returns:
        the dataset

    Raises:
        CocoAuditError: if the files, the folder or the names cannot be used
    """
    import fiftyone as fo

    _check_invalid(invalid)
    _check_flags(overwrite=overwrite, persistent=persistent)
    if name is None:
        parsed = isinstance(annotations, (dict, list))
        name = fo.get_default_dataset_name() if parsed else name_of_file(annotations)
    check_dataset_name(name, overwrite=overwrite)
    check_label_field(label_field)
    if predictions is not None:
        _check_pred_field(pred_field, label_field)
    folder = NoImageFolder() if images_dir is None else ImageFolder(images_dir)

    with garbage_collection_paused():
        truth = _read_truth(annotations, folder, label_field)
        labels = {label_field: (truth.objects, truth.categories.names)}
        counts = len(truth.images.ids), len(truth.objects)
        report = ImportReport(*counts, {}, truth.problems)
        if predictions is not None:
            log = ProblemLog("", pred_field)
            labels[pred_field] = _read_fitting(
                predictions, truth.target(), truth.truth(label_field), log
            )
            _check_apart(labels)
            report.predictions[pred_field] = len(labels[pred_field][0])
            report.problems += log.problems
        if invalid == "raise":
            report.raise_first_error()
        with staged_dataset(
            name, overwrite=overwrite, persistent=persistent
        ) as dataset:
            importing = staged(progress, "Importing")
            _insert_labels(dataset, truth.images, labels, importing)
            _set_skeletons(dataset, truth.categories, labels)
            _save_report(dataset, report, truth.categories, label_field)
    return dataset


def _set_skeletons(
    dataset: fo.Dataset, categories: Categories, labels: _Labels
) -> None:
    """Sets the skeleton of the fields of keypoints, if the categories have one."""
    import fiftyone as fo

    skeleton = common_skeleton(categories.skeletons)
    if skeleton is not None:
        dataset.skeletons = {
            keypoints_field(field): fo.KeypointSkeleton(**skeleton.stored())
            for field, (objects, _) in labels.items()
            if objects.has_keypoints
        }


def _save_report(
    dataset: fo.Dataset, report: ImportReport, categories: Categories, label_field: str
) -> None:
    dataset.classes = {label_field: categories.names}
    dataset.info["coco_audit"] = {
        "categories": json.dumps(categories.records),
        "parents": categories.parents,
        "import": report.counts(),
    }
    dataset.save()
    config = dataset.init_run(method="import_coco")
    save_run(dataset, RUN_KEY, config, report_content(report))


def _check_pred_field(pred_field: str, label_field: str) -> None:
    check_label_field(pred_field)
    if pred_field == label_field:
        raise CocoAuditError(
            f"Annotations and predictions cannot both go to the field "
            f"{label_field!r}; choose another pred_field"
        )


def _check_apart(labels: _Labels) -> None:
    """Checks that keypoints do not go to a field that is asked for.

    Raises:
        CocoAuditError: if some would
    """
    for field, (objects, _) in labels.items():
        if objects.has_keypoints and keypoints_field(field) in labels:
            raise CocoAuditError(
                f"The keypoints of {field!r} go to the field "
                f"{keypoints_field(field)!r}: choose another name for the other field"
            )


@dataclass(frozen=True)
class _Truth:
    """What the ground truth's file has.

    Attributes:
        name: what messages call the file
        images, categories, objects: its usable records
        problems: what is wrong with the others
    """

    name: str
    images: Images
    categories: Categories
    objects: CocoObjects
    problems: list[Problem]

    def truth(self, field: str) -> Truth:
        """The same as what predictions should fit."""
        return Truth(field, as_objects(self.objects), self.categories.names)

    def target(self) -> PredictionTarget:
        """The same as what predictions are matched to."""
        categories = self.categories
        return PredictionTarget(
            name=self.name,
            ids=list(self.images.ids),
            filepaths=self.images.filepaths,
            sizes=self.images.sizes,
            categories=dict(zip(categories.ids, categories.names, strict=True)),
            parents=categories.parents,
            skeletons=categories.skeletons,
        )


def _read_truth(
    annotations: Source, folder: ImageFolder | NoImageFolder, label_field: str
) -> _Truth:
    coco = read_annotations(annotations)
    log = ProblemLog(coco.name, label_field)
    images = read_images(coco.images, folder, log)
    if not images.ids:
        raise CocoAuditError(
            f"{coco.name} has no usable image; the first problem: "
            f"{describe(log.problems[0])}"
        )
    used = distinct_ids(column(dicts(coco.annotations), "category_id"))
    categories = read_categories(coco.categories, log, used=used)
    check_categories_fit(categories, coco.name)
    references = References(
        {id_: row for row, id_ in enumerate(images.ids)},
        {id_: row for row, id_ in enumerate(categories.ids)},
        images.sizes,
        num_keypoints=[
            len(categories.skeletons[name].labels)
            if name in categories.skeletons
            else 0
            for name in categories.names
        ],
    )
    reader = ObjectReader(references, log, names_for_others())
    objects = reader.annotations(coco.annotations)
    return _Truth(coco.name, images, categories, objects, log.problems)


def _insert_labels(
    dataset: fo.Dataset,
    images: Images,
    labels: _Labels,
    progress: Progress,
) -> None:
    """Inserts the samples with the labels of each field, after declaring the fields."""
    fields = [coco_id_field(images.ids, "coco_id")]
    for field, (objects, _) in labels.items():
        fields += fields_of_labels(field, objects, OBJECTS)
    declare_fields(dataset, fields, "import_coco")
    documents = [
        LabelDocuments(field, objects, names, images.sizes)
        for field, (objects, names) in labels.items()
    ]
    with closing(_portions(len(images.ids), progress)) as portions:
        for start, stop in portions:
            insert_samples(
                dataset, sample_documents(dataset, images, documents, start, stop)
            )


@database_errors_explained()
def add_coco_predictions(
    dataset: fo.Dataset,
    predictions: Source,
    *,
    pred_field: str = "predictions",
    invalid: Invalid = "skip",
    overwrite: bool = False,
    progress: Progress = None,
) -> ImportReport:
    """Adds a file of predictions to a dataset, as a new label field.

    A list of COCO results is matched by the image and category ids that
    :func:`import_coco` stored, or FiftyOne's own importer with ``include_id=True``:
    ``coco_id`` of the samples and ``dataset.info["categories"]``. If records have file
    names, images are matched by these too. A COCO file with its own ids is matched by
    file names and category names, on any dataset of images. The field is added only
    when it is complete.

    Args:
        dataset: the dataset
        predictions: the path of the file, or its parsed content
        pred_field: the field for the predictions
        invalid: what to do about a record that cannot be used: ``"skip"`` it, or
            ``"raise"`` and add nothing
        overwrite: whether to replace a field of that name
        progress: whether to show a progress bar (``True`` / ``False``), FiftyOne's
            default (``None``), or a function that is called with the bar

    Returns:
        an :class:`ImportReport` on these predictions

    Raises:
        CocoAuditError: if the file or the field cannot be used, or no prediction
            belongs to an image of the dataset
    """
    import fiftyone as fo

    _check_invalid(invalid)
    _check_flags(overwrite=overwrite)
    check_label_field(pred_field)
    require_samples(dataset)
    if not isinstance(dataset, fo.Dataset):
        raise CocoAuditError(
            "Predictions are added to a whole dataset, not to a view: pass the "
            f"dataset {root_dataset(dataset).name!r} itself"
        )
    up_to_date(dataset)
    if len(dataset) and dataset.media_type != "image":
        raise CocoAuditError(
            f"Dataset {dataset.name!r} holds media of type {dataset.media_type!r}, "
            "but predictions can only be added to images: choose a dataset of images"
        )
    check_field_is_free(dataset, pred_field, overwrite=overwrite)

    with garbage_collection_paused():
        sample_ids, target = _target_of(dataset, progress)
        log = ProblemLog("", pred_field)
        known = _truth_of(dataset, pred_field)
        objects, names = _read_fitting(predictions, target, known, log)
        report = ImportReport(0, 0, {pred_field: len(objects)}, log.problems)
        if invalid == "raise":
            report.raise_first_error()

        documents = LabelDocuments(pred_field, objects, names, target.sizes)
        adding = staged(progress, "Adding predictions")
        with closing(_portions(len(sample_ids), adding)) as portions:
            publish_predictions(
                dataset,
                pred_field,
                fields_of_labels(pred_field, objects, PREDICTIONS),
                (
                    list(zip(sample_ids[i:j], documents.of_images(i, j), strict=True))
                    for i, j in portions
                ),
                report,
                overwrite=overwrite,
                skeleton=common_skeleton(target.skeletons),
            )
    return report


def _read_fitting(
    predictions: Source, target: PredictionTarget, truth: Truth | None, log: ProblemLog
) -> tuple[CocoObjects, list[str]]:
    """Reads predictions, and notes if they do not fit the ground truth, if any."""
    objects, names = read_matched(predictions, target, log)
    if truth is not None:
        note_misfit(truth, objects, names, target, log)
    return objects, names


def _truth_of(dataset: fo.Dataset, pred_field: str) -> Truth | None:
    """The ground truth that a dataset was imported with, or else is named so."""
    import fiftyone as fo

    fields = dataset.get_field_schema(embedded_doc_type=fo.Detections)
    named = (*dataset.classes, "ground_truth")
    field = next((f for f in named if f in fields and f != pred_field), None)
    if field is None:
        return None
    # Their attributes may be of any type, and crowd regions make no difference
    columns = read_columns(dataset, {field: {}}, progress=False)
    classes = class_names(dataset, field, columns.labels[field])
    objects = read_objects(dataset, field, columns, classes, []).objects
    return Truth(field, objects, classes)


def _check_invalid(invalid: str) -> None:
    if invalid not in ("skip", "raise"):
        raise CocoAuditError(f"invalid must be 'skip' or 'raise', not {invalid!r}")


def _check_flags(**flags: Any) -> None:
    for name, value in flags.items():
        if not isinstance(value, bool):  # "no" would replace a dataset
            raise CocoAuditError(f"{name} must be True or False, not {value!r}")


def _portions(count: int, progress: Progress) -> Generator[tuple[int, int], None, None]:
    """Yields the bounds of each portion of images, and shows a bar until it ends."""
    with progress_bar(progress, total=count) as bar:
        for start in range(0, count, _IMAGES_AT_ONCE):
            stop = min(start + _IMAGES_AT_ONCE, count)
            yield start, stop
            bar.update(stop - start)


def _target_of(
    dataset: fo.Dataset, progress: Progress
) -> tuple[list[str], PredictionTarget]:
    """The samples of a dataset as what predictions are matched to."""
    ensure_sizes(dataset, progress)
    sample_ids, filepaths, widths, heights = dataset.values(
        ["id", "filepath", "metadata.width", "metadata.height"]
    )
    # len(dataset) is wrong after a crash of the database
    if not sample_ids:
        raise CocoAuditError(
            f"Dataset {dataset.name!r} has no samples, so there is nothing to add "
            "predictions to; add its images first"
        )
    stored = imported_categories(dataset)
    ids: list[Id | None] = [None] * len(sample_ids)
    if dataset.has_field("coco_id"):
        ids, _ = read_ids(dataset.values("coco_id"))
    target = PredictionTarget(
        name=f"dataset {dataset.name!r}",
        ids=ids,
        filepaths=filepaths,
        sizes=np.array([widths, heights], dtype=np.int64).T,
        categories=None if stored is None else {c["id"]: c["name"] for c in stored},
        parents=parent_classes(dataset),
        info_categories=dataset.info.get("categories"),
        label_classes=[] if stored is not None else _label_classes(dataset),
        skeletons=skeletons_of(stored or ()),
    )
    return sample_ids, target


def _label_classes(dataset: fo.Dataset) -> list[list[str]]:
    """The classes of the labels of each field of detections that has any."""
    import fiftyone as fo

    fields = dataset.get_field_schema(embedded_doc_type=fo.Detections)
    found = [dataset.distinct(f"{field}.detections.label") for field in fields]
    return [classes for classes in found if classes]
