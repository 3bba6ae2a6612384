"""Anchors as people write them: words that are each followed by their values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from fiftyone_coco_audit.errors import CocoAuditError

EXAMPLE = "'sizes 32,64,128 ratios .5,1,2 strides 8,16,32'"


def _numbers(text: str) -> list[float]:
    return [float(number) for number in text.split(",")]


def _sizes(text: str) -> list[list[float]]:
    return [_numbers(level) for level in text.split("/")]


def _shapes(text: str) -> list[list[list[float]]]:
    return [
        [[float(side) for side in shape.split("x")] for shape in level.split(",")]
        for level in text.split("/")
    ]


#: The words that describe anchors, and how the text after each is read
_WORDS: dict[str, Callable[[str], Any]] = {
    "sizes": _sizes,
    "ratios": _numbers,
    "anchors": _shapes,
    "ranges": _numbers,
    "strides": _numbers,
    "iou": _numbers,
    "ratio": float,
    "offset": float,
}
_COMMON = {"strides", "offset", "name"}
_BY_SCORE = {"iou", "force", "ratio"}
#: What each way to describe anchors goes with
_KINDS: dict[str, set[str]] = {
    "sizes": {"sizes", "ratios", *_COMMON, *_BY_SCORE},
    "anchors": {"anchors", *_COMMON, *_BY_SCORE},
    "ranges": {"ranges", *_COMMON},
}


def read_words(text: str, names: Iterable[str]) -> dict[str, Any]:
    """Reads the words of a text; see :meth:`.anchor_sets.AnchorSet.parse`.

    Args:
        text: the text
        names: what could have been meant instead, for the message

    Returns:
        a dict of the words and their values

    Raises:
        CocoAuditError: if there are others
    """
    values: dict[str, Any] = {}
    words = iter(re.sub(r"\s*([,/])\s*", r"\1", text).split())
    for word in words:
        value = "" if word == "force" else next(words, "")
        try:
            values[word] = True if word == "force" else _WORDS[word](value)
        except (KeyError, ValueError):
            raise CocoAuditError(
                f"anchors are {text!r}, where {f'{word} {value}'.strip()!r} cannot be "
                f"understood: give one of {', '.join(names)}, or something like "
                f"{EXAMPLE}"
            ) from None
    return values


def kind_of_words(values: Mapping[str, Any]) -> str:
    """Tells how words describe anchors.

    Args:
        values: words and their values

    Returns:
        ``"sizes"``, ``"anchors"`` or ``"ranges"``

    Raises:
        CocoAuditError: if words are missing, or do not go together
    """
    kinds = [kind for kind in _KINDS if kind in values]
    if not kinds or "strides" not in values:
        raise CocoAuditError(
            f"anchors need strides and one of {', '.join(_KINDS)}, but have "
            f"{', '.join(map(str, values)) or 'none of them'}: give something like "
            f"{EXAMPLE}"
        )
    kind = kinds[0]
    unknown = [word for word in values if word not in _KINDS[kind]]
    if "ratio" in values:
        unknown += [word for word in ("iou", "force") if word in values]
    if unknown:
        raise CocoAuditError(
            f"anchors have {unknown[0]!r}, which has no meaning together with "
            f"{'ratio' if 'ratio' in values else kind}: leave it out, or give "
            f"something like {EXAMPLE}"
        )
    return kind


def write_words(values: Mapping[str, Any]) -> str:
    """Writes words and their values as :func:`read_words` reads them.

    Sides of anchors are written to a hundredth of a pixel.
    """
    return " ".join(_text(word, value) for word, value in values.items())


def _text(word: str, value: Any) -> str:
    if value is True:
        return word
    if not isinstance(value, list):
        return f"{word} {_number(value)}"
    if word == "anchors":
        levels = [
            ",".join(f"{_number(round(w, 2))}x{_number(round(h, 2))}" for w, h in level)
            for level in value
        ]
        return f"{word} {'/'.join(levels)}"
    return f"{word} {','.join(map(_number, value))}"


def _number(value: float) -> str:
    return f"{value:.10g}"
