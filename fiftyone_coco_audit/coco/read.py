"""COCO files as parsed JSON, with one clear sentence for any error."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import suppress
from typing import Any, NamedTuple

from fiftyone_coco_audit.coco.formats import (
    json_lines,
    name_of_content,
    name_of_data,
)
from fiftyone_coco_audit.coco.paths import absolute_path
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.files import open_file
from fiftyone_coco_audit.memory import garbage_collection_paused
from fiftyone_coco_audit.wording import json_kind

# The keys under which tools put a list of results in a dict
_RESULT_KEYS = ("predictions", "detections", "results", "annotations")

# The keys that say where an object is
_SHAPES = frozenset({"bbox", "segmentation", "keypoints"})

Source = str | os.PathLike[str] | dict[str, Any] | list[Any]


class CocoFile(NamedTuple):
    """The lists of a COCO file and the name to call it by in messages."""

    name: str
    images: list[Any]
    annotations: list[Any]
    categories: list[Any]


class ResultsFile(NamedTuple):
    """A list of predictions and the name to call it by in messages."""

    name: str
    predictions: list[Any]


def read_json(source: Source, role: str) -> tuple[Any, str]:
    """Reads a JSON file.

    Args:
        source: a path, or what is already parsed
        role: what the file is, for messages

    Returns:
        a tuple of the parsed JSON and the name of the file

    Raises:
        CocoAuditError: if the file cannot be read or is not JSON
    """
    if isinstance(source, (dict, list)):
        return source, f"<{role}>"

    path = absolute_path(source, f"{role} file")
    try:
        with open_file(path) as file:
            content = file.read().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise CocoAuditError(
            f"The {role} file {path} cannot be read ({error.strerror}); check the path"
        ) from error
    if not content.strip():
        raise CocoAuditError(f"The {role} file {path} is empty; export it again")

    try:
        with garbage_collection_paused():
            data = _parse(content)
    except ValueError as error:
        data = None if name_of_content(content) else _read_lines(content, role, path)
        if data is None:
            reason = name_of_content(content) or (
                f"is not valid JSON ({error}); export it again"
            )
            raise CocoAuditError(f"The {role} file {path} {reason}") from error
    # The report stores the name, and a database stores only UTF-8
    name = os.path.basename(path).encode(errors="backslashreplace").decode()
    return data, name


def _parse(content: bytes) -> Any:
    """Parses JSON, also with half of a surrogate pair in a text.

    Python writes such text, and reads it; the faster parser refuses the whole file.

    Raises:
        ValueError: if it is not JSON
    """
    import pydantic_core

    try:
        return pydantic_core.from_json(content)
    except ValueError as error:
        if "hex escape" not in str(error):
            raise
        with suppress(ValueError, RecursionError):
            return json.loads(content)
        raise


def _read_lines(content: bytes, role: str, path: str) -> list[Any] | None:
    """Reads JSON Lines, where each line is a record.

    Returns:
        the records, ``None`` if it is not JSON Lines

    Raises:
        CocoAuditError: if it is, and cannot be used
    """
    records: list[Any] = []
    for number, line in json_lines(content):
        try:
            records.append(_parse(line))
        except ValueError as error:
            if len(records) < 2:
                return None
            raise CocoAuditError(
                f"The {role} file {path} is JSON Lines, and line {number:,} is not "
                f"valid JSON ({error}); export it again"
            ) from error
        if not isinstance(records[-1], dict):
            return None
    if len(records) < 2:
        return None
    if role != "predictions":
        raise CocoAuditError(
            f"The {role} file {path} is JSON Lines, with a record on each line, but a "
            "COCO file is one dict with `images`, `annotations` and `categories`; "
            "export it as COCO"
        )
    return records


def read_annotations(source: Source) -> CocoFile:
    """Reads a COCO file of ground truth.

    Args:
        source: a path, or an already parsed COCO dict

    Returns:
        a :class:`CocoFile`

    Raises:
        CocoAuditError: if it is not a COCO file of objects
    """
    data, name = read_json(source, "annotations")
    tool = name_of_data(data)
    if isinstance(data, list) and tool is not None:
        raise CocoAuditError(
            f"{name} is not a COCO file but looks like {tool}; export it as COCO, with "
            "`images`, `annotations` and `categories`"
        )
    if isinstance(data, list) or _results_in(data) is not None:
        what = "a list" if isinstance(data, list) else "only results"
        raise CocoAuditError(
            f"{name} holds {what}, like a file of predictions, but annotations are a "
            "dict with `images`, `annotations` and `categories`; give the ground "
            "truth as `annotations` and this file as `predictions`"
        )
    coco = _coco_file(data, name, "annotations")
    if not coco.images:
        raise CocoAuditError(
            f"{name} lists no images, so there is nothing to import: give a COCO file "
            "whose `images` are not empty"
        )
    return coco


def read_predictions(source: Source) -> ResultsFile | CocoFile:
    """Reads a file of predictions.

    Args:
        source: a path, a list of results, or a COCO dict

    Returns:
        a :class:`ResultsFile` for a list of results, or a :class:`CocoFile` for a
        COCO dict with its own ids

    Raises:
        CocoAuditError: if it is neither
    """
    data, name = read_json(source, "predictions")
    results = data if isinstance(data, list) else _results_in(data)
    if results is not None:
        if results and not any(map(_has_shape, _dicts(results))):
            tool = name_of_data(results)
            raise CocoAuditError(
                f"No record of {name} has a `bbox`, `segmentation` or `keypoints`"
                f"{f', and it looks like {tool}' if tool else ''}; give detections, "
                "each with image_id, category_id, bbox and score"
            )
        return ResultsFile(name, results)
    coco = _coco_file(data, name, "predictions")
    if coco.annotations and not any("score" in a for a in _dicts(coco.annotations)):
        raise CocoAuditError(
            f"No annotation of {name} has a `score`, so it looks like ground truth; "
            "give it as `annotations`, or add the scores"
        )
    return coco


def _results_in(data: Any) -> list[Any] | None:
    """The only list of results in a dict that has no images, ``None`` if none is.

    Some tools write ``{"predictions": [...]}``.
    """
    if not isinstance(data, dict) or "images" in data:
        return None
    found = [
        records
        for key in _RESULT_KEYS
        if isinstance(records := data.get(key), list)
        and any("image_id" in r and "score" in r for r in _dicts(records))
    ]
    return found[0] if len(found) == 1 else None


def _has_shape(record: dict[str, Any]) -> bool:
    return not _SHAPES.isdisjoint(record)


def _dicts(records: list[Any]) -> Iterator[dict[str, Any]]:
    return (record for record in records if isinstance(record, dict))


def _coco_file(data: Any, name: str, role: str) -> CocoFile:
    """Checks the outer form of a COCO dict."""
    if not isinstance(data, dict):
        raise CocoAuditError(
            f"{name} holds {json_kind(data)}, but a COCO file is a dict with "
            "`images`, `annotations` and `categories`"
        )
    if "images" not in data:
        tool = name_of_data(data)
        hint = f"; it looks like {tool}" if tool else ""
        raise CocoAuditError(
            f"{name} has no list `images`, so it is not a COCO file{hint}; give a "
            "file with `images`, `annotations` and `categories`"
        )
    lists = []
    for key in ("images", "annotations", "categories"):
        records = data.get(key)
        if records is not None and not isinstance(records, list):
            raise CocoAuditError(
                f"`{key}` of {name} is {json_kind(records)}, but must be a list"
            )
        lists.append(records or [])
    images, annotations, categories = lists

    if any("dets" in image for image in _dicts(images)):
        raise CocoAuditError(
            f"{name} is in the format of YOLACT's web viewer, with detections inside "
            "`images`; export COCO results instead (YOLACT's --output_coco_json)"
        )
    if annotations and not any(map(_has_shape, _dicts(annotations))):
        hint = (
            "it looks like a file of captions"
            if any("caption" in a for a in _dicts(annotations))
            else "it holds no objects"
        )
        raise CocoAuditError(
            f"No annotation of {name} has a `bbox`, `segmentation` or `keypoints`: "
            f"{hint}; give a file of object instances"
        )
    if annotations and not categories:
        raise CocoAuditError(
            f"{name} has no `categories`, so its {role} have no names; add the list "
            "of categories with `id` and `name`"
        )
    return CocoFile(name, images, annotations, categories)
