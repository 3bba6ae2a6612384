"""Pipelines read from objects, text and files; code is never evaluated."""

from __future__ import annotations

import copy
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fiftyone_coco_audit.augmentation.catalog import transform_class, transform_types
from fiftyone_coco_audit.augmentation.presets import PRESETS
from fiftyone_coco_audit.augmentation.records import (
    CLASS_KEY,
    build_transform,
    is_composition,
    params_of,
    record_of,
)
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.names import kind_of

_WITH_BOX_PARAMS = ("Compose", "ReplayCompose")
_COMPOSE = (*_WITH_BOX_PARAMS, "Sequential")
#: How deep compositions may be nested; each level takes several Python calls
MOST_NESTED = 20
_FILES = (".json", ".yaml", ".yml")
# The start of Python code, which users paste instead of JSON
_CODE = re.compile(
    r"\b(A|albumentations)\.[A-Z]\w*\(|^\s*(import|from) albumentations\b"
)


@dataclass(frozen=True)
class Step:
    """One transform of a pipeline.

    Attributes:
        number: its place in the pipeline as it was given, from 1
        name: its name, such as ``"Rotate"``
        params: its parameters by name, the probability ``p`` among them; those of a
            composition, such as ``OneOf``, have its ``transforms`` as records
        transform: the transform itself
    """

    number: int
    name: str
    params: dict[str, Any]
    transform: Any = field(repr=False, compare=False)

    def __str__(self) -> str:
        return f"{self.number}. {self.name}"


def pipeline_fields(source: Any, name: str | None) -> dict[str, Any]:
    """Reads a pipeline; see :meth:`.pipelines.Pipeline.parse`.

    Returns:
        the fields of a :class:`.pipelines.Pipeline` by name

    Raises:
        CocoAuditError: if it cannot be one
    """
    try:
        return _read(source, name)
    except RecursionError:
        raise _too_deep() from None


def preset_fields(name: str) -> dict[str, Any]:
    """The fields of a preset; see :func:`.pipelines.preset`."""
    if name not in PRESETS:
        raise CocoAuditError(
            f"There is no preset {name!r}: the presets are {', '.join(PRESETS)}"
        )
    chosen = PRESETS[name]
    # The dropouts of the first versions of Albumentations 1.4 do not support boxes
    able = transform_types()
    steps = [
        {"transform": transform, "params": dict(params)}
        for transform, params in chosen.transforms
        if transform in able
    ]
    fields = _read_steps(steps, name)
    if chosen.box_params:
        box_params = {"format": "coco", **chosen.box_params}
        fields["box_params"] = params_of("BboxParams", box_params)
    return fields


def _read(source: Any, name: str | None) -> dict[str, Any]:
    if isinstance(source, str):
        return _read_text(source, name)
    if isinstance(source, Path):
        return _read_file(source, name)
    if isinstance(source, Mapping):
        return _read_record(source, name or "pipeline")
    if isinstance(source, Sequence) and any(
        isinstance(entry, Mapping) for entry in source
    ):
        return _read_steps(source, name or "pipeline")
    return _read_object(source, name or "pipeline")


def _read_text(text: str, name: str | None) -> dict[str, Any]:
    stripped = text.strip()
    if stripped in PRESETS:
        return preset_fields(stripped)
    if "\n" not in stripped and stripped.lower().endswith(_FILES):
        return _read_file(Path(stripped), name)
    return _read_document(stripped, "The pipeline", name or "pipeline")


def _read_file(path: Path, name: str | None) -> dict[str, Any]:
    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise CocoAuditError(
            f"The pipeline {str(path)!r} cannot be read: {reason}"
        ) from None
    return _read_document(
        text.strip(), f"The pipeline {str(path)!r}", name or path.stem
    )


def _read_document(text: str, what: str, name: str) -> dict[str, Any]:
    load = _load_json if text.startswith(("{", "[")) else _load_yaml
    if _CODE.search(text) and load is _load_yaml:
        raise CocoAuditError(
            f"{what} is Python code, which is never run: pass "
            "json.dumps(A.to_dict(transform)) instead"
        )
    document = load(text, what)
    if isinstance(document, (Mapping, list)) and document:
        return _read(document, name)
    raise CocoAuditError(
        f"{what} is {text[:40]!r}, which is neither the JSON or YAML of A.to_dict, "
        f"nor a list of transforms, nor one of the presets {', '.join(PRESETS)}"
    )


def _load_json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise CocoAuditError(
            f"{what} is not valid JSON: line {error.lineno}, column {error.colno}: "
            f"{error.msg[:1].lower()}{error.msg[1:]}"
        ) from None
    except ValueError as error:
        # Such as numbers with thousands of digits
        raise CocoAuditError(
            f"{what} is not valid JSON: {_first_part(error)}"
        ) from None


def _first_part(error: Exception) -> str:
    text = str(error).partition(";")[0].strip()
    return f"{text[:1].lower()}{text[1:]}"


def _load_yaml(text: str, what: str) -> Any:
    import yaml

    try:
        return yaml.safe_load(text)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        place = f" in line {mark.line + 1}, column {mark.column + 1}" if mark else ""
        problem = getattr(error, "problem", None) or "it cannot be read"
        raise CocoAuditError(f"{what} is not valid YAML{place}: {problem}") from None
    except ValueError as error:
        # Such as impossible dates
        raise CocoAuditError(
            f"{what} is not valid YAML: {_first_part(error)}"
        ) from None


def _read_record(record: Mapping[str, Any], name: str) -> dict[str, Any]:
    inner = record.get("transform", record)
    if isinstance(inner, str):
        return _read_steps([record], name)
    if not isinstance(inner, Mapping) or CLASS_KEY not in inner:
        raise CocoAuditError(
            "The pipeline is a dictionary without 'transform' as A.to_dict writes it: "
            "pass that, or a list of {'transform': name, 'params': {...}}"
        )
    kind = str(inner[CLASS_KEY]).rpartition(".")[2]
    if kind not in _COMPOSE:
        return _fields([build_transform(inner, "Transform 1")], name=name)
    # Names another module than Albumentations', or an unknown composition
    transform_class(str(inner[CLASS_KEY]), "The pipeline")
    children = inner.get("transforms")
    if not isinstance(children, list):
        raise CocoAuditError(
            "The pipeline has no list of 'transforms', as A.to_dict writes it"
        )
    return _fields(
        [build_transform(one, f"Transform {n}") for n, one in enumerate(children, 1)],
        p=_probability(inner.get("p", 1.0)),
        box_params=params_of("BboxParams", inner.get("bbox_params")),
        keypoint_params=params_of("KeypointParams", inner.get("keypoint_params")),
        name=name,
        lacks_box_params=kind in _WITH_BOX_PARAMS and not inner.get("bbox_params"),
    )


def _read_steps(entries: Sequence[Any], name: str) -> dict[str, Any]:
    transforms = []
    for number, entry in enumerate(entries, 1):
        where = f"Transform {number}"
        if not isinstance(entry, Mapping) or not (
            {"transform", CLASS_KEY} & set(entry)
        ):
            raise CocoAuditError(
                f"{where} of the list is {entry!r}: it must be like {{'transform': "
                "'Rotate', 'params': {'limit': 10}}"
            )
        if CLASS_KEY in entry:
            transforms.append(build_transform(entry, where))
            continue
        params = entry.get("params") or {}
        if not isinstance(params, Mapping):
            raise CocoAuditError(
                f"{where}, {entry['transform']}, has params {params!r}, which is not "
                "a dictionary of parameters"
            )
        transforms.append(
            build_transform({CLASS_KEY: entry["transform"], **params}, where)
        )
    return _fields(transforms, name=name)


def _read_object(source: Any, name: str) -> dict[str, Any]:
    import albumentations as A

    one = isinstance(source, (A.BasicTransform, A.BaseCompose))
    if not one and not isinstance(source, Sequence):
        raise CocoAuditError(
            f"The pipeline is {kind_of(source)}: pass an Albumentations pipeline, a "
            "list of transforms, its JSON, a path or the name of a preset"
        )
    if one and type(source).__name__ not in _COMPOSE:
        _check_depth([source])
        return _fields([_own_copy(source, 1)], name=name)
    transforms = list(source.transforms if one else source)
    for number, transform in enumerate(transforms, 1):
        if not isinstance(transform, (A.BasicTransform, A.BaseCompose)):
            raise CocoAuditError(
                f"Transform {number} is {kind_of(transform)}, which is not a "
                "transform of Albumentations: replace it with one"
            )
    # Copying is recursive too
    _check_depth(transforms)
    processors = source.processors if one else {}
    params = {key: vars(processor.params) for key, processor in processors.items()}
    return _fields(
        [_own_copy(transform, n) for n, transform in enumerate(transforms, 1)],
        p=float(source.p) if one else 1.0,
        box_params=params_of("BboxParams", params.get("bboxes")),
        keypoint_params=params_of("KeypointParams", params.get("keypoints")),
        name=name,
        lacks_box_params=type(source).__name__ in _WITH_BOX_PARAMS
        and "bboxes" not in params,
    )


def _own_copy(transform: Any, number: int) -> Any:
    """A copy, so that changes to the original do not affect ours."""
    try:
        copied = copy.deepcopy(transform)
    except Exception as error:
        raise CocoAuditError(
            f"Transform {number}, {type(transform).__name__}, cannot be copied "
            f"({error}): it must not contain things such as open files"
        ) from None
    # ReplayCompose makes its transforms record what they draw
    copied.set_deterministic(False)
    return copied


def _too_deep() -> CocoAuditError:
    return CocoAuditError(
        "The pipeline is nested too deeply, or contains itself: compositions can be "
        f"nested {MOST_NESTED} levels deep"
    )


def _check_depth(transforms: Sequence[Any]) -> None:
    """Checks that a pipeline can be copied, sent and run without a RecursionError."""
    level = list(transforms)
    for _ in range(MOST_NESTED + 1):
        level = [c for one in level if is_composition(one) for c in one.transforms]
    if level:
        raise _too_deep()


def _fields(transforms: Sequence[Any], **others: Any) -> dict[str, Any]:
    _check_depth(transforms)
    steps = []
    for number, transform in enumerate(transforms, 1):
        params = dict(record_of(transform) or {"p": transform.p})
        params.pop(CLASS_KEY, None)
        steps.append(Step(number, type(transform).__name__, params, transform))
    return {"steps": tuple(steps), **others}


def _probability(value: Any) -> float:
    if isinstance(value, (int, float)) and 0 <= value <= 1:
        return float(value)
    raise CocoAuditError(
        f"The pipeline has the probability p={value!r}, which is not between 0 and 1"
    )
