"""COCO files as parsed JSON, with one clear sentence where that cannot be."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any, NamedTuple

from fiftyone_coco_audit.coco.paths import absolute_path
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.memory import garbage_collection_paused

# How compressed files begin: gzip, zip, bzip2, xz, Zstandard
_COMPRESSED = b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"

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
    import pydantic_core

    if isinstance(source, (dict, list)):
        return source, f"<{role}>"

    path = absolute_path(source, f"{role} file")
    try:
        with open(path, "rb") as file:
            content = file.read().removeprefix(b"\xef\xbb\xbf")
    except OSError as error:
        raise CocoAuditError(
            f"The {role} file {path} cannot be read ({error.strerror}); check the path"
        ) from error
    if not content.strip():
        raise CocoAuditError(f"The {role} file {path} is empty; export it again")

    try:
        with garbage_collection_paused():
            data = pydantic_core.from_json(content)
    except ValueError as error:
        raise CocoAuditError(
            f"The {role} file {path} {_why_not_json(content, error)}"
        ) from error
    # The report holds the name, and a database holds only UTF-8
    name = os.path.basename(path).encode(errors="backslashreplace").decode()
    return data, name


def _why_not_json(content: bytes, error: ValueError) -> str:
    if content.startswith(_COMPRESSED):
        return "is compressed; unpack it first"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content[:2]:
        return "is in UTF-16, where JSON is in UTF-8; save it as UTF-8"
    try:
        content.decode()
    except UnicodeDecodeError as no_text:
        return (
            f"is not in UTF-8, as JSON is (byte {no_text.start:,} is "
            f"0x{content[no_text.start]:02x}, maybe of Latin-1); save it as UTF-8"
        )
    return f"is not JSON that can be read ({error}); export it again"


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
    if isinstance(data, list):
        raise CocoAuditError(
            f"{name} holds a list, as files of predictions do, where annotations "
            "are a dict with `images`, `annotations` and `categories`; give the "
            "ground truth as `annotations` and this file as `predictions`"
        )
    coco = _coco_file(data, name, "annotations")
    if not coco.images:
        raise CocoAuditError(f"{name} lists no images, so there is nothing to import")
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
    if isinstance(data, list):
        if data and not any("bbox" in r or "segmentation" in r for r in _dicts(data)):
            raise CocoAuditError(
                f"No record of {name} has a `bbox` or a `segmentation`; give "
                "detections, each with image_id, category_id, bbox and score"
            )
        return ResultsFile(name, data)
    coco = _coco_file(data, name, "predictions")
    if coco.annotations and not any("score" in a for a in _dicts(coco.annotations)):
        raise CocoAuditError(
            f"No annotation of {name} has a `score`, so it looks like ground truth; "
            "give it as `annotations`, or add the scores"
        )
    return coco


def _dicts(records: list[Any]) -> Iterator[dict[str, Any]]:
    return (record for record in records if isinstance(record, dict))


def _coco_file(data: Any, name: str, role: str) -> CocoFile:
    """Checks the outer form of a COCO dict."""
    if not isinstance(data, dict):
        raise CocoAuditError(
            f"{name} holds a {type(data).__name__} where a COCO file is a dict with "
            "`images`, `annotations` and `categories`"
        )
    if "images" not in data:
        hint = (
            "; it looks like the per-image file of Segment Anything"
            if "image" in data and "annotations" in data
            else ""
        )
        raise CocoAuditError(
            f"{name} has no list `images`, so it is not a COCO file{hint}; give a "
            "file with `images`, `annotations` and `categories`"
        )
    lists = []
    for key in ("images", "annotations", "categories"):
        records = data.get(key)
        if records is not None and not isinstance(records, list):
            raise CocoAuditError(
                f"`{key}` of {name} is a {type(records).__name__} where a COCO file "
                "has a list"
            )
        lists.append(records or [])
    images, annotations, categories = lists

    if any("dets" in image for image in _dicts(images)):
        raise CocoAuditError(
            f"{name} is in the format of YOLACT's web viewer, with detections inside "
            "`images`; export COCO results instead (YOLACT's --output_coco_json)"
        )
    if annotations and not any(
        "bbox" in a or "segmentation" in a for a in _dicts(annotations)
    ):
        hint = (
            "it looks like a file of captions"
            if any("caption" in a for a in _dicts(annotations))
            else "it holds no objects"
        )
        raise CocoAuditError(
            f"No annotation of {name} has a `bbox` or a `segmentation`: {hint}; give "
            "a file of object instances"
        )
    if annotations and not categories:
        raise CocoAuditError(
            f"{name} has no `categories`, so its {role} have no names; add the list "
            "of categories with `id` and `name`"
        )
    return CocoFile(name, images, annotations, categories)
