"""Predictions read and matched to the images and categories of a dataset."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from fiftyone_coco_audit.coco import rules
from fiftyone_coco_audit.coco.categories import read_categories
from fiftyone_coco_audit.coco.ids import Id, distinct_ids
from fiftyone_coco_audit.coco.images import read_image_names
from fiftyone_coco_audit.coco.matching import (
    ImagesOf,
    PredictionTarget,
    match_images,
    positions_hint,
    which,
)
from fiftyone_coco_audit.coco.objects import CocoObjects, ObjectReader, References
from fiftyone_coco_audit.coco.read import (
    CocoFile,
    ResultsFile,
    Source,
    read_predictions,
)
from fiftyone_coco_audit.coco.records import column, dicts
from fiftyone_coco_audit.coco.report import ProblemLog, describe
from fiftyone_coco_audit.coco.schema import names_for_others
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.wording import listed, none_of, quoted

_OR_BY_NAMES = (
    "or give the predictions as a COCO file with `images` and `categories`, which is "
    "matched by names"
)


def read_matched(
    source: Source, target: PredictionTarget, log: ProblemLog
) -> tuple[CocoObjects, list[str]]:
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
        match.images_of,
        [
            len(target.skeletons[name].labels) if name in target.skeletons else 0
            for name in match.names
        ],
    )
    objects = ObjectReader(references, log, names_for_others()).predictions(records)
    if records and not len(objects):
        first = next(
            p for p in log.problems if p.kind == "prediction" and p.severity == "error"
        )
        raise CocoAuditError(
            f"{none_of(records, 'prediction', file.name, 'can')} be used with "
            f"{target.name}{match.hint}; this is the first: {first.reason}"
        )
    _note_parents(objects, match.names, target, log)
    found = any(row >= 0 for row in match.image_rows.values())
    if isinstance(file, CocoFile) and file.images and not found:
        raise CocoAuditError(
            f"{none_of(file.images, 'image', file.name, 'is')} in "
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
        images_of: the image of each record, where not only its id decides
        hint: what is to be said if no prediction can be used
    """

    image_rows: Mapping[Id, int]
    category_rows: dict[Id, int]
    names: list[str]
    unknown_image: Callable[[Id], str]
    unknown_category: Callable[[Id], str]
    images_of: ImagesOf | None = None
    hint: str = ""


def _note_parents(
    objects: CocoObjects, names: list[str], target: PredictionTarget, log: ProblemLog
) -> None:
    """Warns of predictions for categories that only group others."""
    parents = [row for row, name in enumerate(names) if name in target.parents]
    count = int(np.isin(objects.category, parents).sum())
    called = listed([names[row] for row in parents])
    reason = (
        f"they are of {called}, which groups other categories and has no objects, so "
        "none can be right"
    )
    log.note(rules.PREDICTION_OF_PARENT, "prediction", count, reason)


def _match_by_id(
    file: ResultsFile, target: PredictionTarget, log: ProblemLog
) -> _Match:
    """Matches a list of results, by ids or by file names."""
    by_id = target.rows
    images_of = match_images(file.predictions, target, log)
    if not by_id and not (images_of.rows >= 0).any():
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
            f"several images with the same `coco_id`, such as {twice!r}, as if it "
            "came from several COCO files: import each into its own dataset, "
            f"{_OR_BY_NAMES}"
        )
    categories = target.categories
    if categories is None:
        categories = _categories_of_info(file, target)
    records = dicts(file.predictions)
    image_ids, category_ids = (
        distinct_ids(column(records, key)) for key in ("image_id", "category_id")
    )
    hint = positions_hint(category_ids, len(categories))
    ids_by_name = {name: id_ for id_, name in categories.items()}

    def unknown_category(id_: Id) -> str:
        said = f"its `category_id` is {id_!r}"
        if id_ in ids_by_name:
            known = ids_by_name[id_]
            return f"{said}, the name of the category {known!r} of {target.name}"
        return f"{said}, which names no category of {target.name}{hint}"

    return _Match(
        image_rows=by_id,
        category_rows={id_: row for row, id_ in enumerate(categories)},
        names=list(categories.values()),
        unknown_image=str,  # each record has its own reason
        unknown_category=unknown_category,
        images_of=images_of,
        hint="" if image_ids & by_id.keys() else positions_hint(image_ids, len(by_id)),
    )


def _categories_of_info(file: ResultsFile, target: PredictionTarget) -> dict[Id, str]:
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
            f"{needs}but {target.name} does not have the ids of its categories: "
            f"import its COCO file with import_coco, or {set_them}"
        )
    log = ProblemLog(f'the info["categories"] of {target.name}', "")
    categories = read_categories(stored, log)
    if any(problem.severity != "note" for problem in log.problems):
        raise CocoAuditError(f"{needs}but {describe(log.problems[0])}: {set_them}")
    known = set(categories.names)
    others = [sorted(set(classes) - known) for classes in target.label_classes]
    if others and all(others):
        raise CocoAuditError(
            f'{needs}but the info["categories"] of {target.name} do not cover its '
            f"labels, such as {quoted(others[0][0])}: {set_them}"
        )
    return dict(zip(categories.ids, categories.names, strict=True))


def _match_by_name(file: CocoFile, target: PredictionTarget, log: ProblemLog) -> _Match:
    """Matches a COCO file with ids of its own, by file and category names."""
    named = read_image_names(file.images, target.filepaths, log)
    used = distinct_ids(column(dicts(file.annotations), "category_id"))
    categories = read_categories(file.categories, log, used=used)
    names = categories.names
    if target.categories is not None:
        names = list(target.categories.values())
    row_of = {name: row for row, name in enumerate(names)}
    called = dict(zip(categories.ids, categories.names, strict=True))

    def unknown_image(id_: Id) -> str:
        if id_ not in named:
            return f"its `image_id` is {id_!r}, which names no image of {file.name}"
        name, meaning = named[id_]
        if meaning.rows:
            return f"its image {name!r} {which(meaning, target)}"
        return (
            f"its image {name!r} is not in {target.name}, which has "
            f"{target.filepaths[0]!r}, for example"
        )

    return _Match(
        image_rows={id_: meaning.row_or_code for id_, (_, meaning) in named.items()},
        category_rows={
            id_: row_of[name] for id_, name in called.items() if name in row_of
        },
        names=names,
        unknown_image=unknown_image,
        unknown_category=lambda id_: (
            f"its category {called[id_]!r} is not in {target.name}, which has "
            f"{next(iter(names), None)!r}, for example"
            if id_ in called
            else f"its `category_id` is {id_!r}, which names no category of {file.name}"
        ),
    )
