"""The transforms of the installed Albumentations and their parameters.

All is read from Albumentations itself, so that it is right for whatever version is
installed, and for its successor of the same import name.
"""

from __future__ import annotations

import inspect
import types
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal, Union, get_args, get_origin

from fiftyone_coco_audit.errors import CocoAuditError

Kind = Literal["integer", "number", "boolean", "choice", "text", "range", "other"]

# Bases of transforms, which do nothing by themselves
_ABSTRACT = {
    "BaseCompose",
    "BasicTransform",
    "DualTransform",
    "ImageOnlyTransform",
    "Transform3D",
}
#: Abstract bases, and transforms that need files or data other than images and labels
_NOT_OFFERED = {
    *_ABSTRACT,
    "Lambda",
    "MaskDropout",
    "MaxSizeTransform",
    "MixUp",
    "Mosaic",
    "OverlayElements",
    "RandomCropNearBBox",
    "TextImage",
    "ToTensorV2",
}
#: Parameters that a form cannot offer
_NOT_ASKED = {"always_apply", "p", "strict"}

# What one parameter was called earlier, and which two it took the place of: versions
# 1.4 and 2 of Albumentations, and its successor, differ in little else
_RENAMED = {
    "angle_range": ("limit",),
    "clip_bboxes_on_input": ("clip",),
    "coord_format": ("format",),
    "ensure_safe_output": ("ensure_safe_range",),
    "fill": ("value", "fill_value", "cval"),
    "fill_mask": ("mask_value", "mask_fill_value", "cval_mask"),
    "border_mode": ("mode",),
}
_SPLIT = {
    "quality_range": ("quality_lower", "quality_upper"),
    "num_holes_range": ("min_holes", "max_holes"),
    "hole_height_range": ("min_height", "max_height"),
    "hole_width_range": ("min_width", "max_width"),
    "unit_size_range": ("unit_size_min", "unit_size_max"),
    "size": ("height", "width"),
}


@dataclass(frozen=True)
class Parameter:
    """One parameter of a transform.

    Attributes:
        name: as Albumentations calls it
        kind: ``"integer"``, ``"number"``, ``"boolean"``, ``"choice"``, ``"text"``,
            ``"range"`` (a lowest and a highest number), or ``"other"``
        default: the default; None where there is none
        required: whether it has no default
        minimum: the minimum number allowed, where there is a limit
        maximum: the maximum number allowed, where there is a limit
        choices: what may be chosen, for ``"choice"``; what may be said instead of a
            number or a range, such as ``"random"``, for these
        is_range: whether it is two numbers, the first not above the second
        whole: whether its numbers are integers
    """

    name: str
    kind: Kind
    default: Any = None
    required: bool = False
    minimum: float | None = None
    maximum: float | None = None
    choices: tuple[Any, ...] = ()
    is_range: bool = False
    whole: bool = False


@dataclass(frozen=True)
class TransformType:
    """A transform of Albumentations.

    Attributes:
        name: its name
        summary: the first sentence of its documentation
        moves_pixels: whether it moves boxes and masks too, or changes colors only
        p: with what probability it is applied by default
        parameters: its parameters, without the probability
    """

    name: str
    summary: str
    moves_pixels: bool
    p: float
    parameters: tuple[Parameter, ...]


@cache
def transform_types() -> dict[str, TransformType]:
    """All transforms of images and boxes in the installed Albumentations.

    Left out are those of volumes, those that need other data than the image and its
    labels, such as further images, and those that are written in Python by the user.

    Returns:
        :class:`TransformType` by name, in alphabetical order
    """
    import albumentations as A

    found = {}
    for name in sorted(dir(A)):
        cls = getattr(A, name)
        if (
            isinstance(cls, type)
            and issubclass(cls, (A.DualTransform, A.ImageOnlyTransform))
            and name == cls.__name__
            and not _left_out(cls)
        ):
            found[name] = TransformType(
                name=name,
                summary=_summary(cls),
                moves_pixels=issubclass(cls, A.DualTransform),
                p=float(init_parameters(cls)["p"].default),
                parameters=tuple(_parameters(cls)),
            )
    return found


def _left_out(cls: Any) -> bool:
    import albumentations as A

    name = cls.__name__
    if name in _NOT_OFFERED or name.startswith(("_", "Base")) or "3D" in name:
        return True
    parameters = init_parameters(cls)
    if {"reference_images", "metadata_key"} & set(parameters) or "p" not in parameters:
        return True
    # Such as one that holds an image, which text cannot express
    if not cls.is_serializable():
        return True
    return issubclass(cls, A.DualTransform) and not _knows_boxes(cls)


def _knows_boxes(cls: Any) -> bool:
    targets = getattr(cls, "_targets", ())
    targets = targets if isinstance(targets, (tuple, list, set)) else (targets,)
    return any(getattr(target, "name", "") == "BBOXES" for target in targets)


def _summary(cls: type) -> str:
    paragraph = inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0]
    return " ".join(paragraph.split()).split(". ")[0].rstrip(".")


def init_parameters(cls: type) -> dict[str, inspect.Parameter]:
    """The parameters of a class's constructor, by name."""
    return {
        name: parameter
        for name, parameter in inspect.signature(cls).parameters.items()
        if parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
    }


def _parameters(cls: Any) -> Iterable[Parameter]:
    schema = getattr(cls, "InitSchema", None)
    fields = schema.model_fields if schema is not None else {}
    for name, parameter in init_parameters(cls).items():
        if name in _NOT_ASKED:
            continue
        required = parameter.default is parameter.empty
        default = None if required else plain(parameter.default)
        field = fields.get(name)
        yield _described(
            name,
            parameter.annotation if field is None else field.annotation,
            () if field is None else field.metadata,
            default,
            required,
        )


def _described(
    name: str, annotation: Any, metadata: Iterable[Any], default: Any, required: bool
) -> Parameter:
    alternatives = _alternatives(annotation)
    choices = tuple(
        plain(choice)
        for one in alternatives
        if get_origin(one) is Literal
        for choice in get_args(one)
    )
    pairs = [one for one in alternatives if _is_pair(one)]
    numbers = [one for one in alternatives if one in (int, float)]
    whole = float not in numbers and not any(float in get_args(one) for one in pairs)
    least, most = _limits(metadata)
    kind: Kind = "other"
    if pairs and (numbers or len(alternatives) == len(pairs)):
        kind = "range"
    elif choices and not numbers:
        kind = "choice"
    elif bool in alternatives:
        kind = "boolean"
    elif numbers:
        kind = "integer" if whole else "number"
    elif str in alternatives:
        kind = "text"
    return Parameter(
        name=name,
        kind=kind,
        default=default,
        required=required,
        minimum=least,
        maximum=most,
        choices=choices,
        is_range=kind == "range",
        whole=whole and kind in ("integer", "range"),
    )


def _alternatives(annotation: Any) -> list[Any]:
    """The types of a union, without None and without annotations around them."""
    origin = get_origin(annotation)
    if hasattr(annotation, "__metadata__"):
        return _alternatives(get_args(annotation)[0])
    if origin is Union or origin is types.UnionType:
        return [one for part in get_args(annotation) for one in _alternatives(part)]
    return [] if annotation is type(None) else [annotation]


def _is_pair(annotation: Any) -> bool:
    return get_origin(annotation) is tuple and get_args(annotation) in (
        (int, int),
        (float, float),
    )


def _limits(metadata: Iterable[Any]) -> tuple[float | None, float | None]:
    """The minimum and maximum value that a schema allows.

    They are said by pydantic's ``Ge`` and ``Le``, and by the validators of ranges that
    Albumentations makes of two limits.
    """
    limits: dict[str, float | None] = {"least": None, "most": None}
    for rule in metadata:
        for key, names in (("least", ("ge", "gt")), ("most", ("le", "lt"))):
            for name in names:
                if isinstance(getattr(rule, name, None), (int, float)):
                    limits[key] = getattr(rule, name)
        function = getattr(rule, "func", None)
        if inspect.isfunction(function):
            bound = inspect.getclosurevars(function).nonlocals
            for key, name in (("least", "min_val"), ("most", "max_val")):
                if isinstance(bound.get(name), (int, float)):
                    limits[key] = bound[name]
    return limits["least"], limits["most"]


def plain(value: Any) -> Any:
    """A value in Python's own types, which JSON can represent."""
    import enum

    if isinstance(value, enum.Enum):
        return plain(value.value)
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):
        return value.tolist()
    if isinstance(value, bool) or value is None or isinstance(value, (int, float, str)):
        return value
    return str(value)


def spelled(cls: type, params: Mapping[str, Any]) -> dict[str, Any]:
    """Parameters by the names that the installed version gives them.

    A pipeline may have been written, or saved, with another version of Albumentations.

    Args:
        cls: the class of the transform
        params: values by name

    Returns:
        the same values, by the names that ``cls`` uses; unknown names
        stay unchanged
    """
    known = init_parameters(cls)
    result = dict(params)
    if "always_apply" not in known and result.pop("always_apply", False):
        result["p"] = 1.0
    for name in [name for name in result if name not in known]:
        other = next((n for n in _other_names(name) if n in known), None)
        if other is not None:
            value = result.pop(name)
            if value is not None:
                result.setdefault(other, _as_range(name, other, value))
    for pair, (low, high) in _SPLIT.items():
        if pair in result and pair not in known and {low, high} <= set(known):
            result[low], result[high] = result.pop(pair)
        elif pair in known and {low, high} & (set(result) - set(known)):
            ends = [result.pop(low, None), result.pop(high, None)]
            ends = [end for end in ends if end is not None]
            if ends:
                result.setdefault(pair, [ends[0], ends[-1]])
    return result


def _other_names(name: str) -> Iterator[str]:
    """What a parameter may be called in other versions."""
    for new, olds in _RENAMED.items():
        if name in (new, *olds):
            yield from (new, *olds)
    # The successor names all ranges this way
    for ending in ("", "_x", "_y"):
        if name.endswith(ending):
            stem = name.removesuffix(ending)
            stem = stem.removesuffix("_limit").removesuffix("_range")
            yield from (
                f"{stem}{middle}{ending}" for middle in ("_range", "_limit", "")
            )


def _as_range(name: str, other: str, value: Any) -> Any:
    """A single number once stood for a range around 0."""
    symmetric = name.split("_")[-1] == "limit" and "blur" not in name
    if symmetric and other.endswith("_range") and isinstance(value, (int, float)):
        return [-abs(value), abs(value)]
    return value


def label_params(cls: Any, **params: Any) -> Any:
    """``A.BboxParams`` or ``A.KeypointParams`` for the installed version.

    Args:
        cls: one of the two classes
        **params: by the names that any version gives them; the last to say the same
            holds
    """
    given: dict[str, Any] = {}
    for name, value in params.items():
        given |= spelled(cls, {name: value})
    return cls(**given)


def compose(
    transforms: Sequence[Any],
    *,
    box_params: Mapping[str, Any],
    keypoint_params: Mapping[str, Any] | None = None,
    **params: Any,
) -> Any:
    """``A.Compose`` for the installed version.

    Args:
        transforms: the transforms
        box_params: of ``A.BboxParams``, for :func:`label_params`
        keypoint_params: of ``A.KeypointParams``, likewise; None for no keypoints
        **params: other parameters of ``A.Compose``
    """
    import albumentations as A

    if "telemetry" in init_parameters(A.Compose):
        params["telemetry"] = False
    with warnings.catch_warnings():
        # Without a transform that moves boxes, their processor is not used
        warnings.filterwarnings("ignore", "Got processor for")
        # Ours are ids, which must not be swapped
        warnings.filterwarnings("ignore", "label_fields are set but label_mapping")
        return A.Compose(
            list(transforms),
            bbox_params=label_params(A.BboxParams, **box_params),
            keypoint_params=(
                None
                if keypoint_params is None
                else label_params(A.KeypointParams, **keypoint_params)
            ),
            **params,
        )


def problem_of(cls: Any, params: Mapping[str, Any]) -> str | None:
    """What is wrong with the parameters of a transform.

    Args:
        cls: the class of the transform
        params: values by the names that the installed version gives them

    Returns:
        the end of a sentence, None where nothing is wrong
    """
    known = init_parameters(cls)
    for name in params:
        if name not in known:
            return f"has no parameter {name!r}: its parameters are {', '.join(known)}"
    missing = [
        name
        for name, parameter in known.items()
        if parameter.default is parameter.empty and name not in params
    ]
    if missing:
        return f"needs the parameter {missing[0]!r}"
    schema = getattr(cls, "InitSchema", None)
    if schema is None:
        return None
    values = {
        name: parameter.default
        for name, parameter in known.items()
        if parameter.default is not parameter.empty
    }
    values.update(params, strict=False)
    fields = schema.model_fields
    try:
        schema(**{name: value for name, value in values.items() if name in fields})
    except Exception as error:
        return _schema_problem(error, params)
    return None


def _schema_problem(error: Exception, params: Mapping[str, Any]) -> str:
    errors = getattr(error, "errors", None)
    if errors is None:
        return f"is invalid: {error}"
    # The first error of a union's first type says as much as all of them
    first = errors()[0]
    message = first["msg"].removeprefix("Value error, ").rstrip(".")
    message = message[:1].lower() + message[1:]
    if not first["loc"]:
        return f"is invalid: {message}"
    name = str(first["loc"][0])
    if name not in params:
        return f"needs other parameters: {message}"
    return f"cannot have {name}={params[name]!r}: {message}"


def transform_class(name: str, where: str) -> Any:
    """The class of a transform, or of a composition of transforms, by its name.

    Only classes of Albumentations itself are found, of which it can rebuild a
    transform without evaluating any code.

    Args:
        name: such as ``"HorizontalFlip"``, or with the module as older versions wrote
            it, ``"albumentations.augmentations.transforms.HorizontalFlip"``
        where: what to name in an error, such as ``"transform 2"``

    Raises:
        CocoAuditError: if there is no such class
    """
    import albumentations as A

    module, _, short = str(name).rpartition(".")
    if module and module.split(".")[0] != "albumentations":
        raise CocoAuditError(
            f"{where} is {name!r}, which is not a transform of Albumentations: pass "
            "such a pipeline as a Python object"
        )
    cls: Any = getattr(A, short, None)
    if short == "ToTensorV2" and cls is None:
        cls = _to_tensor(where)
    known = isinstance(cls, type) and issubclass(cls, (A.BasicTransform, A.BaseCompose))
    if not (
        known
        and short not in _ABSTRACT
        and cls.__module__.split(".")[0] == "albumentations"
        and cls.is_serializable()
    ):
        raise CocoAuditError(
            f"{where} is {short!r}, which the installed Albumentations "
            f"{A.__version__} does not have{_similar(short)}"
        )
    return cls


def _to_tensor(where: str) -> Any:
    try:
        from albumentations.pytorch import ToTensorV2
    except ImportError:
        raise CocoAuditError(
            f"{where}, ToTensorV2, needs PyTorch, which is not installed: leave it "
            "out, because it does not change labels"
        ) from None
    return ToTensorV2


def _similar(name: str) -> str:
    from difflib import get_close_matches

    close = get_close_matches(name, transform_types(), n=1)
    return f": did you mean {close[0]!r}?" if close else ""
