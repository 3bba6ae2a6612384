"""Names files that are not COCO files, so that a user knows what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from fiftyone_coco_audit.files import pointer

# The first bytes of compressed files: gzip, zip, bzip2, xz, Zstandard
_COMPRESSED = b"\x1f\x8b", b"PK\x03\x04", b"BZh", b"\xfd7zXZ", b"\x28\xb5\x2f\xfd"
_BEGINNINGS: tuple[tuple[tuple[bytes, ...], str], ...] = (
    (_COMPRESSED, "is compressed; unpack it first"),
    (
        (b"<!doctype html", b"<html"),
        "is a web page, maybe one that asks for a login; download the file itself",
    ),
    (
        (b"<?xml", b"<annotation"),
        "is XML, as Pascal VOC and CVAT write it; export it as COCO instead",
    ),
    (
        tuple(bytes([0x80, protocol]) for protocol in range(2, 6)),
        "is a Python pickle; write its content as JSON",
    ),
    ((b"\x93NUMPY",), "is a NumPy array; write its content as JSON"),
    ((b"PAR1",), "is a Parquet table; write its content as JSON"),
    (
        (b"{'", b"[{'"),
        "is text of Python and no JSON, which has \" for '; write it with json.dump",
    ),
)
_YOLO = re.compile(rb"\d+( [-+\d.eE]+){4,}\s*(\n|$)")

# The keys of files from other tools, and the names of those files
_KEYS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"image", "annotations"}), "the per-image file of Segment Anything"),
    (frozenset({"shapes", "imagePath"}), "a LabelMe file"),
    (frozenset({"_via_img_metadata"}), "a VIA project"),
    (frozenset({"bboxes", "labels", "scores"}), "an MMDetection file of one image"),
    (frozenset({"type", "features"}), "GeoJSON"),
    (frozenset({"item", "annotations"}), "a Darwin or V7 file"),
    (frozenset({"message"}), "a server's response and not a file"),
)
_RECORD_KEYS: tuple[tuple[frozenset[str], str], ...] = (
    (frozenset({"data", "annotations"}), "a Label Studio export"),
    (frozenset({"image", "annotations"}), "a CreateML file"),
    (frozenset({"regions", "filename"}), "a VIA export"),
    (frozenset({"image_id", "instances"}), "detectron2's predictions by image"),
    (frozenset({"file_name", "annotations"}), "a detectron2 dataset"),
)


def name_of_content(content: bytes) -> str | None:
    """Names the format of a file that is not JSON, and says what to do.

    Args:
        content: the bytes of the file

    Returns:
        a clause without a subject; ``None`` if it may be JSON
    """
    if found := pointer(content):
        return found
    beginning = content[:100].lstrip().lower()
    for beginnings, clause in _BEGINNINGS:
        if content.startswith(beginnings) or beginning.startswith(beginnings):
            return clause
    if _YOLO.match(content):
        return "is a YOLO text file for one image; convert it to COCO first"
    if content.startswith((b"\xff\xfe", b"\xfe\xff")) or b"\0" in content[:2]:
        return "is in UTF-16, but JSON must be in UTF-8; save it as UTF-8"
    try:
        content.decode()
    except UnicodeDecodeError as no_text:
        return (
            f"is not in UTF-8, as JSON must be (byte {no_text.start:,} is "
            f"0x{content[no_text.start]:02x}, maybe Latin-1); save it as UTF-8"
        )
    return None


def name_of_data(data: Any) -> str | None:
    """The tool whose files parsed JSON looks like, ``None`` if it is not known."""
    if isinstance(data, dict):
        keys = {key for key in data if isinstance(key, str)}
        for needed, name in _KEYS:
            if needed <= keys:
                return name
        records = list(data.values())
    else:
        records = data if isinstance(data, list) else []
    first = next((record for record in records if isinstance(record, dict)), {})
    return next((name for needed, name in _RECORD_KEYS if needed <= first.keys()), None)


def json_lines(content: bytes) -> Iterator[tuple[int, bytes]]:
    """Yields the number and the content of each line that is not empty."""
    for number, line in enumerate(content.splitlines(), 1):
        if line.strip():
            yield number, line
