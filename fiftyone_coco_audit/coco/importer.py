"""COCO files into FiftyOne: the ground truth, and predictions beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from fiftyone_coco_audit.coco import rules
from fiftyone_coco_audit.coco.categories import read_categories
from fiftyone_coco_audit.coco.documents import DetectionDocuments, sample_documents
from fiftyone_coco_audit.coco.ids import Id, read_ids
from fiftyone_coco_audit.coco.images import read_image_names, read_images
from fiftyone_coco_audit.coco.objects import (
    Objects,
    References,
    read_annotated,
    read_predicted,
)
from fiftyone_coco_audit.coco.paths import ImageFolder, match_file_names, unique_stems
from fiftyone_coco_audit.coco.read import (
    CocoFile,
    ResultsFile,
    Source,
    read_annotations,
    read_predictions,
)
from fiftyone_coco_audit.coco.report import (
    RUN_KEY,
    ImportReport,
    ProblemLog,
    describe,
    import_report,
    save_report,
)
from fiftyone_coco_audit.coco.schema import (
    check_label_field,
    declare_attributes,
    declare_coco_id,
    declare_label_field,
    reserved_attributes,
)
from fiftyone_coco_audit.coco.staging import (
    check_dataset_name,
    clear_fields,
    staged_dataset,
    staged_field,
)
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.fields import check_writable
from fiftyone_coco_audit.memory import garbage_collection_paused
from fiftyone_coco_audit.reading import ensure_sizes
from fiftyone_coco_audit.wording import quoted

if TYPE_CHECKING:
    import os

    import fiftyone as fo
    from numpy.typing import NDArray

Invalid = Literal["skip", "raise"]
Progress = bool | Callable[[Any], None] | None

_IMAGES_AT_ONCE = 250
_OR_BY_NAMES = (
    "or give the predictions as a COCO file with `images` and `categories`, which is "
    "matched by names"
)


@dataclass(frozen=True)
class _Target:
    """What predictions are matched to.

    Attributes:
        name: what to call it in messages
        ids: ``N`` ids of the images, ``None`` where an image has none
        filepaths: ``N`` paths of the images
        sizes: ``(N, 2)`` width and height of each image in pixels
        categories: the name of each category by its id, ``None`` if not known
        info_categories: the categories that FiftyOne's importer left in
            ``dataset.info``, ``None`` if there are none
        label_classes: the classes of the labels of each field of detections
    """

    name: str
    ids: list[Id | None]
    filepaths: list[str]
    sizes: NDArray[np.int64]
    categories: dict[Id, str] | None
    info_categories: Any = None
    label_classes: Sequence[Sequence[str]] = ()


def import_coco(
    annotations: Source,
    images_dir: str | os.PathLike[str],
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
    """Imports a COCO file, and predictions if there are any, as a new dataset.

    Boxes, ids, areas, crowds and masks are kept as the file has them. Records that
    cannot be used are set aside; :func:`import_report` tells which and why. The
    dataset appears whole, or not at all.

    Args:
        annotations: the path of a COCO file, or its parsed content
        images_dir: the folder that the file names are relative to
        predictions: the path of a list of COCO results, or of a COCO file with its
            own ids, which is matched by file names and category names; or the parsed
            content of either
        name: the name of the dataset; by default FiftyOne makes one
        label_field: the field for the annotations
        pred_field: the field for the predictions
        invalid: what to do about a record that cannot be used: ``"skip"`` it, or
            ``"raise"`` and import nothing
        overwrite: whether to replace a dataset of that name
        persistent: whether the dataset outlives the database's session
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
    name = fo.get_default_dataset_name() if name is None else name
    check_dataset_name(name, overwrite=overwrite)
    check_label_field(label_field)
    if predictions is not None:
        check_label_field(pred_field)
        if pred_field == label_field:
            raise CocoAuditError(
                f"Annotations and predictions cannot both go to the field "
                f"{label_field!r}; choose another pred_field"
            )
    folder = ImageFolder(images_dir)

    with garbage_collection_paused():
        coco = read_annotations(annotations)
        log = ProblemLog(coco.name, label_field)
        images = read_images(coco.images, folder, log)
        if not images.ids:
            raise CocoAuditError(
                f"{coco.name} has no image that can be used; the first is this: "
                f"{describe(log.problems[0])}"
            )
        categories = read_categories(coco.categories, log)
        references = References(
            {id_: row for row, id_ in enumerate(images.ids)},
            {id_: row for row, id_ in enumerate(categories.ids)},
            images.sizes,
        )
        objects = read_annotated(
            coco.annotations, references, log, reserved=reserved_attributes()
        )
        target = _Target(
            name=coco.name,
            ids=list(images.ids),
            filepaths=images.filepaths,
            sizes=images.sizes,
            categories=dict(zip(categories.ids, categories.names, strict=True)),
        )
        del coco

        labels = {label_field: (objects, categories.names)}
        report = ImportReport(len(images.ids), len(objects), {}, log.problems)
        if predictions is not None:
            log = ProblemLog("", pred_field)
            labels[pred_field] = _read_predictions(predictions, target, log)
            report.predictions[pred_field] = len(labels[pred_field][0])
            report.problems += log.problems
        if invalid == "raise":
            report.raise_first_error()

        with staged_dataset(
            name, overwrite=overwrite, persistent=persistent
        ) as dataset:
            declare_coco_id(dataset, images.ids, "coco_id")
            for field, (of_field, _) in labels.items():
                declare_label_field(dataset, field, "import_coco")
                declare_attributes(dataset, field, of_field, "import_coco")
            documents = {
                field: DetectionDocuments(of_field, names, images.sizes)
                for field, (of_field, names) in labels.items()
            }
            for start, stop in _portions(len(images.ids), progress):
                dataset._sample_collection.insert_many(
                    sample_documents(dataset, images, documents, start, stop)
                )
            dataset.classes = {label_field: categories.names}
            dataset.info["coco_audit"] = {"categories": categories.records}
            save_report(dataset, report)
    return dataset


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

    A list of COCO results is matched by the ids of images and categories that
    :func:`import_coco` stored, or FiftyOne's own importer with ``include_id=True``:
    ``coco_id`` of the samples and ``dataset.info["categories"]``. A COCO file with its
    own ids is matched by file names and category names, on any dataset of images. The
    field appears whole, or not at all.

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
    import fiftyone.core.odm as foo
    from bson import ObjectId
    from pymongo import UpdateOne

    _check_invalid(invalid)
    _check_flags(overwrite=overwrite)
    check_label_field(pred_field)
    if not isinstance(dataset, fo.Dataset) or dataset.media_type != "image":
        raise CocoAuditError(
            "Predictions can only be added to a dataset of images, not to a view or "
            "another kind of media; pass the dataset itself"
        )
    clear_fields(dataset)
    if dataset.has_field(pred_field):
        if not overwrite:
            raise CocoAuditError(
                f"Dataset {dataset.name!r} has a field {pred_field!r} already; choose "
                "another pred_field, or pass overwrite=True to replace it"
            )
        check_writable(dataset, [pred_field], "add_coco_predictions")

    with garbage_collection_paused():
        sample_ids, target = _target_of(dataset, progress)
        log = ProblemLog("", pred_field)
        objects, names = _read_predictions(predictions, target, log)
        report = ImportReport(0, 0, {pred_field: len(objects)}, log.problems)
        if invalid == "raise":
            report.raise_first_error()

        documents = DetectionDocuments(objects, names, target.sizes)
        with staged_field(dataset, pred_field, "add_coco_predictions") as field:
            declare_attributes(dataset, field, objects, "add_coco_predictions")
            now = datetime.now(timezone.utc)
            for start, stop in _portions(len(sample_ids), progress):
                updates = [
                    UpdateOne(
                        {"_id": ObjectId(id_)},
                        {"$set": {field: document, "last_modified_at": now}},
                    )
                    for id_, document in zip(
                        sample_ids[start:stop],
                        documents.of_images(start, stop),
                        strict=True,
                    )
                ]
                foo.bulk_write(updates, dataset._sample_collection)

    whole = import_report(dataset) if dataset.has_run(RUN_KEY) else ImportReport()
    whole.predictions[pred_field] = len(objects)
    whole.problems = [p for p in whole.problems if p.field != pred_field]
    whole.problems += report.problems
    save_report(dataset, whole)
    return report


def _check_invalid(invalid: str) -> None:
    if invalid not in ("skip", "raise"):
        raise CocoAuditError(f"invalid must be 'skip' or 'raise', not {invalid!r}")


def _check_flags(**flags: Any) -> None:
    for name, value in flags.items():
        if not isinstance(value, bool):  # "no" would replace a dataset
            raise CocoAuditError(f"{name} must be True or False, not {value!r}")


def _portions(count: int, progress: Progress) -> Iterator[tuple[int, int]]:
    """Yields the first and last of each portion of images, showing the progress."""
    import fiftyone.core.utils as fou

    with fou.ProgressBar(total=count, progress=progress) as bar:
        for start in range(0, count, _IMAGES_AT_ONCE):
            stop = min(start + _IMAGES_AT_ONCE, count)
            yield start, stop
            bar.update(stop - start)


def _target_of(dataset: fo.Dataset, progress: Progress) -> tuple[list[str], _Target]:
    """The samples of a dataset as what predictions are matched to."""
    if not len(dataset):
        raise CocoAuditError(
            f"Dataset {dataset.name!r} has no samples, so there is nothing to add "
            "predictions to; add its images first"
        )
    ensure_sizes(dataset, progress)
    sample_ids, filepaths, widths, heights = dataset.values(
        ["id", "filepath", "metadata.width", "metadata.height"]
    )
    stored = dataset.info.get("coco_audit", {}).get("categories")
    ids: list[Id | None] = [None] * len(sample_ids)
    if dataset.has_field("coco_id"):
        ids, _ = read_ids(dataset.values("coco_id"))
    target = _Target(
        name=f"dataset {dataset.name!r}",
        ids=ids,
        filepaths=filepaths,
        sizes=np.array([widths, heights], dtype=np.int64).T,
        categories=None if stored is None else {c["id"]: c["name"] for c in stored},
        info_categories=dataset.info.get("categories"),
        label_classes=[] if stored is not None else _label_classes(dataset),
    )
    return sample_ids, target


def _label_classes(dataset: fo.Dataset) -> list[list[str]]:
    """The classes of the labels of each field of detections that has any."""
    import fiftyone as fo

    fields = dataset.get_field_schema(embedded_doc_type=fo.Detections)
    found = [dataset.distinct(f"{field}.detections.label") for field in fields]
    return [classes for classes in found if classes]


def _read_predictions(
    source: Source, target: _Target, log: ProblemLog
) -> tuple[Objects, list[str]]:
    """Reads predictions of either form.

    Returns:
        a tuple of the predictions and the name of each category

    Raises:
        CocoAuditError: if not one of them can be used
    """
    file = read_predictions(source)
    log.file = file.name
    if isinstance(file, ResultsFile):
        records, match = file.predictions, _match_by_id(file, target, log)
    else:
        records, match = file.annotations, _match_by_name(file, target, log)

    references = References(
        match.image_rows,
        match.category_rows,
        target.sizes,
        match.unknown_image,
        match.unknown_category,
    )
    objects = read_predicted(records, references, log, reserved=reserved_attributes())
    if records and not len(objects):
        first = next(p for p in log.problems if p.kind == "prediction")
        raise CocoAuditError(
            f"None of the {len(records):,} predictions of {file.name} can be used with "
            f"{target.name}; this is the first: {first.reason}"
        )
    if isinstance(file, CocoFile) and file.images and not match.image_rows:
        raise CocoAuditError(
            f"None of the {len(file.images):,} images of {file.name} is in "
            f"{target.name}, which has {target.filepaths[0]!r}, for example; give the "
            "predictions for its images"
        )
    return objects, match.names


@dataclass(frozen=True)
class _Match:
    """How predictions refer to the images and categories of a target.

    Attributes:
        image_rows: the row of each image by the id that the predictions use
        category_rows: the row in ``names`` by the category id that they use
        names: the name of each category
        unknown_image: words the reason for an id that is not in ``image_rows``
        unknown_category: words the reason for one that is not in ``category_rows``
    """

    image_rows: dict[Id, int]
    category_rows: dict[Id, int]
    names: list[str]
    unknown_image: Callable[[Id], str]
    unknown_category: Callable[[Id], str]


def _match_by_id(file: ResultsFile, target: _Target, log: ProblemLog) -> _Match:
    """Matches a list of results, by ids or by the stems of the file names.

    Ultralytics writes the stem as ``image_id`` where it is not a number.
    """
    by_id: dict[Id, int] = {
        id_: row for row, id_ in enumerate(target.ids) if id_ is not None
    }
    if not by_id:
        raise CocoAuditError(
            f"{file.name} refers to images by their COCO ids, but the samples of "
            f"{target.name} have no `coco_id`: import its COCO file with import_coco, "
            f"or with FiftyOne's importer and include_id=True, {_OR_BY_NAMES}"
        )
    if len(by_id) < sum(id_ is not None for id_ in target.ids):
        counts = Counter(id_ for id_ in target.ids if id_ is not None)
        twice = counts.most_common(1)[0][0]
        raise CocoAuditError(
            f"{file.name} refers to images by their COCO ids, but {target.name} has "
            f"several images of one `coco_id`, such as {twice!r}, as if it was made of "
            f"several COCO files: import each as a dataset of its own, {_OR_BY_NAMES}"
        )
    categories = target.categories
    if categories is None:
        categories = _categories_of_info(file, target)
    stems = unique_stems(target.filepaths)
    texts = [
        id_
        for record in file.predictions
        if isinstance(record, dict) and type(id_ := record.get("image_id")) is str
    ]
    by_stem = sum(id_ in stems and id_ not in by_id for id_ in read_ids(texts)[0])
    log.note(
        rules.MATCHED_BY_FILE_STEM,
        "prediction",
        by_stem,
        "their image_id is the name of an image file without its ending",
    )
    example = next(iter(by_id))
    return _Match(
        image_rows=dict(chain(stems.items(), by_id.items())),
        category_rows={id_: row for row, id_ in enumerate(categories)},
        names=list(categories.values()),
        unknown_image=lambda id_: (
            f"its `image_id` is {id_!r}, which names no image of {target.name}; that "
            f"has {example!r}, for example"
        ),
        unknown_category=lambda id_: (
            f"its `category_id` is {id_!r}, which names no category of {target.name}"
        ),
    )


def _categories_of_info(file: ResultsFile, target: _Target) -> dict[Id, str]:
    """The names of categories by their ids, as FiftyOne's importer has stored them.

    Raises:
        CocoAuditError: if it has not, or they are not those of the labels
    """
    needs = f"{file.name} refers to categories by their COCO ids, "
    set_them = (
        'set dataset.info["categories"] to the `categories` of its COCO file, such as '
        f'[{{"id": 1, "name": "cat"}}], {_OR_BY_NAMES}'
    )
    stored = target.info_categories
    if not stored or not isinstance(stored, list):
        raise CocoAuditError(
            f"{needs}and which category has which id is not known of {target.name}: "
            f"import its COCO file with import_coco, or {set_them}"
        )
    log = ProblemLog(f'the info["categories"] of {target.name}', "")
    categories = read_categories(stored, log)
    if log.problems:
        raise CocoAuditError(f"{needs}but {describe(log.problems[0])}: {set_them}")
    known = set(categories.names)
    others = [sorted(set(classes) - known) for classes in target.label_classes]
    if others and all(others):
        raise CocoAuditError(
            f'{needs}but the info["categories"] of {target.name} are not those of its '
            f"labels, as {quoted(others[0][0])} is not among them: {set_them}"
        )
    return dict(zip(categories.ids, categories.names, strict=True))


def _match_by_name(file: CocoFile, target: _Target, log: ProblemLog) -> _Match:
    """Matches a COCO file with ids of its own, by file and category names."""
    named, image_rows = read_image_names(
        file.images, lambda names: match_file_names(names, target.filepaths), log
    )
    categories = read_categories(file.categories, log)
    names = categories.names
    if target.categories is not None:
        names = list(target.categories.values())
    row_of = {name: row for row, name in enumerate(names)}
    called = dict(zip(categories.ids, categories.names, strict=True))
    return _Match(
        image_rows=image_rows,
        category_rows={
            id_: row_of[name] for id_, name in called.items() if name in row_of
        },
        names=names,
        unknown_image=lambda id_: (
            f"its image {named[id_]!r} is not in {target.name}, which has "
            f"{target.filepaths[0]!r}, for example"
            if id_ in named
            else f"its `image_id` is {id_!r}, which names no image of {file.name}"
        ),
        unknown_category=lambda id_: (
            f"its category {called[id_]!r} is not in {target.name}, which has "
            f"{next(iter(names), None)!r}, for example"
            if id_ in called
            else f"its `category_id` is {id_!r}, which names no category of {file.name}"
        ),
    )
