"""Transforms as the records of ``A.to_dict``: written, built, and as Python source."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from math import inf
from typing import Any

from fiftyone_coco_audit.augmentation.catalog import (
    init_parameters,
    label_params,
    plain,
    problem_of,
    spelled,
    transform_class,
)
from fiftyone_coco_audit.errors import CocoAuditError

#: The key of a record that names its class
CLASS_KEY = "__class_fullname__"
_COMPOSITION_PARAMS = ("p", "n", "replace", "channels")
# The maximum values of the parameters that drop boxes
_LIMITS = {"min_visibility": 1, "min_area": inf, "min_width": inf, "min_height": inf}


def record_of(transform: Any) -> dict[str, Any] | None:
    """A transform as ``A.to_dict`` writes it; None if that cannot be read again.

    What it writes of a subclass can contain parameters that only the base class has.
    """
    cls = type(transform)
    if cls.__module__.split(".")[0] != "albumentations" or not cls.is_serializable():
        return None
    if is_composition(transform):
        records = [record_of(child) for child in transform.transforms]
        names = [name for name in _COMPOSITION_PARAMS if name in init_parameters(cls)]
        own = {name: getattr(transform, name) for name in names}
        if any(record is None for record in records):
            return None
        return {CLASS_KEY: cls.__name__, **plain(own), "transforms": records}
    try:
        written = transform.to_dict_private()
    except (NotImplementedError, TypeError):
        return None
    known = init_parameters(cls)
    return {
        CLASS_KEY: cls.__name__,
        **{name: plain(value) for name, value in written.items() if name in known},
    }


def is_composition(transform: Any) -> bool:
    """Whether a transform consists of others."""
    import albumentations as A

    # ColorJitter uses `transforms` for something else
    return isinstance(transform, A.BaseCompose)


def build_transform(record: Any, where: str) -> Any:
    """Makes a transform from its record."""
    if not isinstance(record, Mapping) or CLASS_KEY not in record:
        raise CocoAuditError(
            f"{where} is {str(record)[:60]!r}, which has no {CLASS_KEY!r} that names "
            "a transform, as A.to_dict writes it"
        )
    cls = transform_class(str(record[CLASS_KEY]), where)
    named = f"{where}, {cls.__name__},"
    params = {str(key): value for key, value in record.items() if key != CLASS_KEY}
    children = params.pop("transforms", None)
    if children is not None:
        if not isinstance(children, list):
            raise CocoAuditError(f"{named} has 'transforms' that are not a list")
        known = init_parameters(cls)
        params = {
            name: params[name]
            for name in _COMPOSITION_PARAMS
            if name in params and name in known
        }
        for name, fits in _FITS.items():
            if name in params and not fits(params[name]):
                raise CocoAuditError(
                    f"{named.rstrip(',')} cannot have {name}={params[name]!r}"
                )
        params["transforms"] = [
            build_transform(child, f"{where}.{n}")
            for n, child in enumerate(children, 1)
        ]
    else:
        params = spelled(cls, params)
        problem = problem_of(cls, params)
        if problem is not None:
            raise CocoAuditError(f"{named.rstrip(',')} {problem}")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return cls(**_tuples(params))
    except Exception as error:
        text = " ".join(str(error).split())
        raise CocoAuditError(f"{named} cannot be created: {text}") from None


_FITS: dict[str, Callable[[Any], bool]] = {
    "p": lambda p: isinstance(p, (int, float)) and 0 <= p <= 1,
    "n": lambda n: isinstance(n, int) and n > 0,
}


def _tuples(params: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no tuples, but older versions accept only tuples as ranges."""
    return {
        name: tuple(value)
        if isinstance(value, list) and all(isinstance(v, (int, float)) for v in value)
        else value
        for name, value in params.items()
    }


def params_of(cls_name: str, params: Any) -> dict[str, Any]:
    """Box or keypoint parameters that are not the default, by name, checked."""
    import albumentations as A

    if not params:
        return {}
    cls = getattr(A, cls_name)
    if not isinstance(params, Mapping):
        raise CocoAuditError(f"The pipeline's {cls_name} are not a dictionary")
    params = spelled(cls, params)
    known = init_parameters(cls)
    kept = {
        name: plain(value)
        for name, value in params.items()
        if name in known and plain(value) != plain(known[name].default)
    }
    unknown = [name for name in params if name not in known and params[name]]
    if unknown and not unknown[0].startswith("_"):
        raise CocoAuditError(
            f"The pipeline's {cls_name} have no parameter {unknown[0]!r}: their "
            f"parameters are {', '.join(known)}"
        )
    for name, most in _LIMITS.items():
        value = kept.get(name, 0)
        if not isinstance(value, (int, float)) or not 0 <= value <= most:
            up_to = "" if most == inf else f" to {most}"
            raise CocoAuditError(
                f"The pipeline's {cls_name} cannot have {name}={value!r}: it must be a "
                f"number from 0{up_to}"
            )
    try:
        default = "coco" if cls_name == "BboxParams" else "xy"
        label_params(cls, **{"format": default, **kept})
    except Exception as error:
        raise CocoAuditError(
            f"The pipeline's {cls_name} are invalid: {error}"
        ) from None
    return kept


def source_of(record: Mapping[str, Any], cls_name: str | None = None) -> str:
    """The Python call that makes a transform from a record."""
    import albumentations as A

    name = cls_name or str(record[CLASS_KEY])
    module = "A.pytorch" if not hasattr(A, name) else "A"
    defaults = init_parameters(
        transform_class(name, name) if cls_name is None else getattr(A, name)
    )
    arguments = []
    if "transforms" in record:
        inner = ", ".join(source_of(child) for child in record["transforms"])
        arguments.append(f"[{inner}]")
    for key, value in record.items():
        if key in (CLASS_KEY, "transforms"):
            continue
        default = defaults[key].default if key in defaults else None
        if plain(default) != value:
            arguments.append(f"{key}={_literal(value)}")
    return f"{module}.{name}({', '.join(arguments)})"


def _literal(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(v, (int, float)) for v in value):
        return repr(tuple(value))
    return repr(value)
