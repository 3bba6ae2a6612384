"""Anchors as people write them: as text, or as a dict that JSON can hold."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.statistics.anchor_presets import PRESETS
from fiftyone_coco_audit.statistics.anchors import (
    AnchorLevel,
    AnchorSet,
    Assignment,
    Shape,
    levels_of_ranges,
    shapes_of_sizes,
)

_EXAMPLE = "'sizes 32,64,128 ratios .5,1,2 strides 8,16,32'"


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


def read_text(text: str) -> AnchorSet:
    """Reads anchors from text; see :meth:`.anchors.AnchorSet.parse`.

    Raises:
        CocoAuditError: if it describes none
    """
    preset = PRESETS.get(text.strip().lower())
    if preset is not None:
        return preset
    values: dict[str, Any] = {}
    words = iter(re.sub(r"\s*([,/])\s*", r"\1", text).split())
    for word in words:
        value = "" if word == "force" else next(words, "")
        try:
            values[word] = True if word == "force" else _WORDS[word](value)
        except (KeyError, ValueError):
            raise CocoAuditError(
                f"anchors are {text!r}, where {f'{word} {value}'.strip()!r} cannot be "
                f"understood: give one of {', '.join(PRESETS)}, or something like "
                f"{_EXAMPLE}"
            ) from None
    return read_dict(values)


def read_dict(values: Mapping[str, Any]) -> AnchorSet:
    """Reads anchors from a dict; see :meth:`.anchors.AnchorSet.parse`.

    Raises:
        CocoAuditError: if it describes none
    """
    kinds = [kind for kind in _KINDS if kind in values]
    if not kinds or "strides" not in values:
        raise CocoAuditError(
            f"anchors need strides and one of {', '.join(_KINDS)}, but have "
            f"{', '.join(map(str, values)) or 'none of them'}: give something like "
            f"{_EXAMPLE}"
        )
    kind = kinds[0]
    unknown = [word for word in values if word not in _KINDS[kind]]
    if "ratio" in values:
        unknown += [word for word in ("iou", "force") if word in values]
    if unknown:
        raise CocoAuditError(
            f"anchors have {unknown[0]!r}, which means nothing where there is "
            f"{'ratio' if 'ratio' in values else kind}: leave it out, or give "
            f"something like {_EXAMPLE}"
        )
    try:
        strides = [float(stride) for stride in values["strides"]]
        return AnchorSet(
            name=str(values.get("name", "custom anchors")),
            levels=_levels(kind, values, strides),
            assignment=_assignment(kind, values),
            offset=float(values.get("offset", 0.5 if kind == "ranges" else 0)),
        )
    except CocoAuditError:
        raise
    except (IndexError, TypeError, ValueError):
        raise CocoAuditError(
            f"anchors {dict(values)!r} have a value that is not of the form it must "
            f"be: give something like {_EXAMPLE}"
        ) from None


def _levels(
    kind: str, values: Mapping[str, Any], strides: Sequence[float]
) -> tuple[AnchorLevel, ...]:
    if kind == "ranges":
        return levels_of_ranges(strides, [float(end) for end in values["ranges"]])
    given = values[kind]
    shapes: Sequence[Sequence[Shape]]
    if kind == "sizes":
        ratios = [float(ratio) for ratio in values.get("ratios", (1,))]
        groups = [given] if np.isscalar(given[0]) else given
        shapes = [
            [_rounded(shape) for shape in shapes_of_sizes(sizes, ratios)]
            for sizes in _per_level(groups, len(strides), kind)
        ]
    else:
        groups = [given] if np.isscalar(given[0][0]) else given
        shapes = _per_level(groups, len(strides), kind)
    return tuple(
        AnchorLevel(stride, tuple((float(w), float(h)) for w, h in level))
        for stride, level in zip(strides, shapes, strict=True)
    )


def _per_level(groups: Sequence[Any], number: int, kind: str) -> Sequence[Any]:
    """As many groups as levels: a single one is divided equally among them."""
    if len(groups) == 1 and number and len(groups[0]) % number == 0:
        each = len(groups[0]) // number
        return [groups[0][each * k : each * (k + 1)] for k in range(number)]
    if len(groups) != number:
        raise CocoAuditError(
            f"anchors have {sum(map(len, groups))} {kind}, which cannot be divided "
            f"among {number} strides: give as many for each, or separate those of the "
            "levels by '/'"
        )
    return groups


def _rounded(shape: Shape) -> Shape:
    # To what the text of a set shows, so that it reads back as the same set
    return round(shape[0], 2), round(shape[1], 2)


def _assignment(kind: str, values: Mapping[str, Any]) -> Assignment:
    if kind == "ranges":
        return Assignment.by_distance()
    if "ratio" in values:
        return Assignment.by_ratio(float(values["ratio"]))
    positive, negative = values.get("iou", (0.5, 0.4))
    return Assignment(
        "iou", float(positive), float(negative), bool(values.get("force", False))
    )
