"""Files that are written whole, or not at all."""

from __future__ import annotations

import os
from pathlib import Path

from fiftyone_coco_audit.errors import CocoAuditError


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Writes a text file; one that is there is replaced as a whole, or left as it is.

    Args:
        path: of the file
        text: what it is to hold

    Returns:
        the path

    Raises:
        CocoAuditError: if it cannot be written
    """
    path = Path(path).expanduser()
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    except OSError as error:
        part.unlink(missing_ok=True)
        raise CocoAuditError(
            f"{path} cannot be written: {error.strerror}; choose another place"
        ) from error
    return path
