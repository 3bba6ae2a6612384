"""Albumentations pipelines: read from wherever users have them, checked, rebuilt."""

from __future__ import annotations

import copy
import hashlib
import json
import random
import re
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from math import inf
from pathlib import Path
from typing import Any

import numpy as np

from fiftyone_coco_audit.augmentation.catalog import (
    compose,
    init_parameters,
    label_params,
    plain,
    problem_of,
    spelled,
    transform_class,
    transform_types,
)
from fiftyone_coco_audit.augmentation.presets import PRESETS
from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.escaping import shortened
from fiftyone_coco_audit.names import kind_of
from fiftyone_coco_audit.wording import counted

_CLASS = "__class_fullname__"
_WITH_BOX_PARAMS = ("Compose", "ReplayCompose")
_COMPOSE = (*_WITH_BOX_PARAMS, "Sequential")
_COMPOSITION_PARAMS = ("p", "n", "replace", "channels")
#: They turn pixels into a network's numbers: no label and no picture needs them
_NUMBERS_ONLY = {"FromFloat", "Normalize", "ToFloat", "ToTensorV2"}
#: How deep compositions may be nested; each level takes Python several calls
MOST_NESTED = 20
# The greatest values of the parameters by which boxes are dropped
_LIMITS = {"min_visibility": 1, "min_area": inf, "min_width": inf, "min_height": inf}
#: Names of the label fields that carry ids and classes through the pipeline
IDS, CLASSES, KEYPOINT_IDS = "label_ids", "label_classes", "keypoint_ids"

_FILES = (".json", ".yaml", ".yml")
# What pipelines begin with in Python, which is pasted where their JSON is meant
_CODE = re.compile(
    r"\b(A|albumentations)\.[A-Z]\w*\(|^\s*(import|from) albumentations\b"
)
_ONE_AT_A_TIME = threading.RLock()

_Compiled = tuple[Any, list[tuple[str, Any]]]


class PipelineError(CocoAuditError):
    """A transform that failed on a sample.

    Attributes:
        step: the step of the pipeline that failed; None where it was none of them
    """

    def __init__(self, message: str, step: Step | None = None):
        super().__init__(message)
        self.step = step


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


@dataclass(frozen=True, repr=False)
class Pipeline(ShortRepr):
    """An Albumentations pipeline that was checked, and that can be taken apart.

    It is read by :meth:`parse`. It can be sent to other processes; threads wait for
    each other, as what draws random numbers is the pipeline's own.

    Attributes:
        steps: the transforms, in order
        p: with what probability the pipeline as a whole is applied
        box_params: ``A.BboxParams`` as the user has them, by name; which boxes are
            dropped is decided by them, so they are judged with the pipeline
        keypoint_params: ``A.KeypointParams``, likewise
        name: a name for reports
        lacks_box_params: whether it was given as an ``A.Compose`` without
            ``bbox_params``, which does not move boxes as it should
    """

    steps: tuple[Step, ...]
    p: float = 1.0
    box_params: Mapping[str, Any] = field(default_factory=dict)
    keypoint_params: Mapping[str, Any] = field(default_factory=dict)
    name: str = "pipeline"
    lacks_box_params: bool = False

    def _about(self) -> str:
        name = repr(shortened(self.name, 40))
        return f"{name} of {counted(len(self), 'transform')}"

    def __str__(self) -> str:
        return "\n".join([f"{self.name}:", *(f"  {step}" for step in self.steps)])

    @classmethod
    def parse(cls, source: Any, *, name: str | None = None) -> Pipeline:
        """Reads a pipeline. Never evaluates code.

        Args:
            source: an Albumentations transform, composition, or list of transforms;
                what ``A.to_dict`` gives, or its text in JSON or YAML; the path of a
                file that ``A.save`` wrote; the name of a preset; or a list of
                ``{"transform": "Rotate", "params": {"limit": 10, "p": 1}}``
            name: a name for reports

        Returns:
            a :class:`Pipeline`

        Raises:
            CocoAuditError: if it is none of these, or a transform or a parameter of it
                cannot be
        """
        try:
            return cls._read(source, name)
        except RecursionError:
            raise _too_deep() from None

    @classmethod
    def _read(cls, source: Any, name: str | None) -> Pipeline:
        if isinstance(source, Pipeline):
            return source if name is None else replace(source, name=name)
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

    def __len__(self) -> int:
        return len(self.steps)

    def step(self, number: int) -> Step:
        """The step that was given in the place ``number``, from 1.

        Raises:
            CocoAuditError: if there is none
        """
        for step in self.steps:
            if step.number == number:
                return step
        numbers = ", ".join(str(step.number) for step in self.steps) or "none"
        raise CocoAuditError(
            f"The pipeline has no transform {number}: its transforms are {numbers}"
        )

    def without(self, *numbers: int) -> Pipeline:
        """The pipeline without some of its steps; all others draw as they did."""
        left_out = [self.step(number) for number in numbers]
        steps = tuple(step for step in self.steps if step not in left_out)
        named = " and ".join(map(str, left_out))
        return replace(self, steps=steps, name=f"{self.name} without {named}")

    def only(self, number: int) -> Pipeline:
        """One step of the pipeline, which draws as it did among the others."""
        step = self.step(number)
        return replace(self, steps=(step,), name=f"{self.name}, only {step}")

    def prefix(self, count: int) -> Pipeline:
        """The first ``count`` steps of the pipeline, which draw as in the whole."""
        return replace(self, steps=self.steps[:count], name=f"{self.name}[:{count}]")

    def with_box_params(self, **params: Any) -> Pipeline:
        """The pipeline with other parameters of ``A.BboxParams``.

        Args:
            **params: parameters by name; None for what the pipeline has

        Raises:
            CocoAuditError: if a parameter cannot have that value
        """
        given = {name: value for name, value in params.items() if value is not None}
        if not given:
            return self
        changed = _params_of("BboxParams", {**self.box_params, **given})
        text = ", ".join(f"{name}={value}" for name, value in given.items())
        return replace(
            self,
            box_params=changed,
            name=f"{self.name} with {text}",
            lacks_box_params=False,
        )

    def to_dict(self) -> dict[str, Any]:
        """The pipeline as ``A.to_dict`` gives it.

        Raises:
            CocoAuditError: if a transform is the user's own, or holds data
        """
        import albumentations as A

        transforms = []
        for step in self.steps:
            record = _record(step.transform)
            if record is None:
                raise CocoAuditError(
                    f"Transform {step.number}, {step.name}, cannot be written as text: "
                    "it holds Python code or data of its own"
                )
            transforms.append(record)
        composed = {
            _CLASS: "Compose",
            "p": self.p,
            "transforms": transforms,
            "bbox_params": dict(self.box_params) or None,
            "keypoint_params": dict(self.keypoint_params) or None,
        }
        return {"__version__": A.__version__, "transform": composed}

    def to_json(self) -> str:
        """The pipeline as text that ``A.from_dict`` and :meth:`parse` read.

        Raises:
            CocoAuditError: if a transform is the user's own, or holds data
        """
        return json.dumps(self.to_dict(), indent=2)

    def to_python(self) -> str:
        """Source text that builds the pipeline; parameters at their default are left.

        Raises:
            CocoAuditError: if a transform is the user's own, or holds data
        """
        composed = self.to_dict()["transform"]
        lines = ["import albumentations as A", "", "transform = A.Compose(", "    ["]
        lines += [f"        {_source(one)}," for one in composed["transforms"]]
        lines.append("    ],")
        for key, cls in (
            ("bbox_params", "BboxParams"),
            ("keypoint_params", "KeypointParams"),
        ):
            if composed[key]:
                lines.append(f"    {key}={_source(composed[key], cls)},")
        if self.p != 1:
            lines.append(f"    p={self.p!r},")
        return "\n".join([*lines, ")", ""])

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name[0] != "_"}

    def __call__(self, seed: int, sample: str, draw: int, **data: Any) -> Any:
        """Applies the pipeline, by random numbers of its own.

        They depend on the three arguments and on the place of each transform alone:
        not on what ran before, in which process, nor on which other transforms there
        are. With versions of Albumentations before 1.4.21, and with its
        successor, they depend on the latter.

        Args:
            seed: the seed of the whole run
            sample: a name of the sample
            draw: the number of the draw
            **data: the targets

        Returns:
            the targets as Albumentations returns them

        Raises:
            PipelineError: if a transform fails
        """
        with _ONE_AT_A_TIME:
            return self._call(f"{seed}/{sample}/{draw}/", data)

    def _call(self, prefix: str, data: Mapping[str, Any]) -> Any:
        composed, drawing = self._compiled("keypoints" in data)
        try:
            with _seeded(drawing, prefix):
                return composed(**data)
        except Exception as error:
            step = self._failed(error, composed)
            what = f"Transform {step.number}, {step.name}," if step else "The pipeline"
            text = " ".join(str(error).split()) or type(error).__name__
            raise PipelineError(f"{what} failed: {text}", step) from error

    def add_layers(self, names: Sequence[str]) -> None:
        """Lets the pipeline take further targets that are moved as masks are."""
        with _ONE_AT_A_TIME:
            missing = [name for name in names if name not in self._layers]
            if missing:
                self._layers.update(dict.fromkeys(missing, "mask"))
                for composed, _ in self._variants.values():
                    composed.add_targets(dict(self._layers))

    @cached_property
    def has_dropout(self) -> bool:
        """Whether a transform overwrites pixels without moving them."""
        from fiftyone_coco_audit.augmentation.dropouts import DropoutMarker

        def within(transform: Any) -> bool:
            return isinstance(transform, DropoutMarker) or (
                _is_composition(transform) and any(map(within, transform.transforms))
            )

        return within(self._compiled(False)[0])

    @cached_property
    def _kept(self) -> list[Step]:
        return [step for step in self.steps if step.name not in _NUMBERS_ONLY]

    @cached_property
    def _variants(self) -> dict[bool, _Compiled]:
        """Without and with keypoints, as needed: a composition takes them or not."""
        return {}

    @cached_property
    def _layers(self) -> dict[str, str]:
        return {}

    def _compiled(self, keypoints: bool) -> _Compiled:
        with _ONE_AT_A_TIME:
            if keypoints not in self._variants:
                self._variants[keypoints] = self._compile(keypoints)
            return self._variants[keypoints]

    def _compile(self, keypoints: bool) -> _Compiled:
        """The composition that carries our ids, and all in it that draws."""
        from fiftyone_coco_audit.augmentation.dropouts import nodes, with_label_targets

        box_params = {
            **self.box_params,
            "format": "pascal_voc",
            "label_fields": [IDS, CLASSES],
        }
        keypoint_params = {
            **self.keypoint_params,
            "format": "xy",
            "label_fields": [KEYPOINT_IDS],
        }
        transforms = [
            with_label_targets(copy.deepcopy(one.transform)) for one in self._kept
        ]
        composed = compose(
            transforms,
            box_params=box_params,
            keypoint_params=keypoint_params if keypoints else None,
            p=self.p,
            additional_targets=dict(self._layers),
        )
        drawing = [("0", composed)]
        for step, transform in zip(self._kept, transforms, strict=True):
            drawing += nodes(transform, str(step.number))
        return composed, drawing

    def _failed(self, error: BaseException, composed: Any) -> Step | None:
        """The step in which an error was raised, by the calls that led there."""
        from fiftyone_coco_audit.augmentation.dropouts import nodes

        owner = {
            id(node): step
            for step, transform in zip(self._kept, composed.transforms, strict=True)
            for _, node in nodes(transform, "")
        }
        found, trace = None, error.__traceback__
        while trace is not None:
            running = trace.tb_frame.f_locals.get("self")
            found = owner.get(id(running), found)
            trace = trace.tb_next
        return found


def _number(text: str) -> int:
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")


@contextmanager
def _seeded(drawing: Sequence[tuple[str, Any]], prefix: str) -> Iterator[None]:
    """Gives everything that draws random numbers a source of its own."""
    if hasattr(drawing[0][1], "set_random_state"):
        for key, node in drawing:
            number = _number(prefix + key)
            node.set_random_state(
                np.random.Generator(np.random.Philox(key=number)),
                random.Random(number),
            )
    # Where Albumentations before 1.4.21 drew from, and a user's own transform may
    python_state, numpy_state = random.getstate(), np.random.get_state()  # noqa: NPY002
    try:
        random.seed(_number(prefix))
        np.random.seed(_number(prefix) % 2**32)  # noqa: NPY002
        yield
    finally:
        random.setstate(python_state)
        np.random.set_state(numpy_state)  # noqa: NPY002


def preset(name: str) -> Pipeline:
    """Builds a preset for the installed version of Albumentations.

    Args:
        name: one of :data:`.presets.PRESETS`

    Returns:
        a :class:`Pipeline`

    Raises:
        CocoAuditError: if there is no preset of that name
    """
    if name not in PRESETS:
        raise CocoAuditError(
            f"There is no preset {name!r}: the presets are {', '.join(PRESETS)}"
        )
    chosen = PRESETS[name]
    # The dropouts of the first versions of Albumentations 1.4 do not know of boxes
    able = transform_types()
    steps = [
        {"transform": transform, "params": dict(params)}
        for transform, params in chosen.transforms
        if transform in able
    ]
    pipeline = Pipeline.parse(steps, name=name)
    if not chosen.box_params:
        return pipeline
    return replace(
        pipeline.with_box_params(format="coco", **chosen.box_params), name=name
    )


def _read_text(text: str, name: str | None) -> Pipeline:
    stripped = text.strip()
    if stripped in PRESETS:
        return preset(stripped)
    if "\n" not in stripped and stripped.lower().endswith(_FILES):
        return _read_file(Path(stripped), name)
    return _read_document(stripped, "The pipeline", name or "pipeline")


def _read_file(path: Path, name: str | None) -> Pipeline:
    try:
        text = path.expanduser().read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is no text"
        raise CocoAuditError(
            f"The pipeline {str(path)!r} cannot be read: {reason}"
        ) from None
    return _read_document(
        text.strip(), f"The pipeline {str(path)!r}", name or path.stem
    )


def _read_document(text: str, what: str, name: str) -> Pipeline:
    load = _load_json if text.startswith(("{", "[")) else _load_yaml
    if _CODE.search(text) and load is _load_yaml:
        raise CocoAuditError(
            f"{what} is Python code, which is not evaluated: give what "
            "json.dumps(A.to_dict(transform)) makes of it"
        )
    document = load(text, what)
    if isinstance(document, (Mapping, list)) and document:
        return Pipeline.parse(document, name=name)
    raise CocoAuditError(
        f"{what} is {text[:40]!r}, which is neither JSON or YAML of A.to_dict, nor a "
        f"list of transforms, nor one of the presets {', '.join(PRESETS)}"
    )


def _load_json(text: str, what: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise CocoAuditError(
            f"{what} is no valid JSON in line {error.lineno}, column {error.colno}: "
            f"{error.msg[:1].lower()}{error.msg[1:]}"
        ) from None
    except ValueError as error:
        # Such as numbers of thousands of digits
        raise CocoAuditError(f"{what} is no valid JSON: {_first_part(error)}") from None


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
        raise CocoAuditError(f"{what} is no valid YAML{place}: {problem}") from None
    except ValueError as error:
        # Such as days that no month has
        raise CocoAuditError(f"{what} is no valid YAML: {_first_part(error)}") from None


def _read_record(record: Mapping[str, Any], name: str) -> Pipeline:
    inner = record.get("transform", record)
    if isinstance(inner, str):
        return _read_steps([record], name)
    if not isinstance(inner, Mapping) or _CLASS not in inner:
        raise CocoAuditError(
            "The pipeline is a dictionary without 'transform' as A.to_dict writes it: "
            "pass that, or a list of {'transform': name, 'params': {...}}"
        )
    kind = str(inner[_CLASS]).rpartition(".")[2]
    if kind not in _COMPOSE:
        return _pipeline([_build(inner, "Transform 1")], name=name)
    # Names another module than Albumentations', or an unknown composition
    transform_class(str(inner[_CLASS]), "The pipeline")
    children = inner.get("transforms")
    if not isinstance(children, list):
        raise CocoAuditError(
            "The pipeline has no list of 'transforms', as A.to_dict writes it"
        )
    return _pipeline(
        [_build(one, f"Transform {n}") for n, one in enumerate(children, 1)],
        p=_probability(inner.get("p", 1.0)),
        box_params=_params_of("BboxParams", inner.get("bbox_params")),
        keypoint_params=_params_of("KeypointParams", inner.get("keypoint_params")),
        name=name,
        lacks_box_params=kind in _WITH_BOX_PARAMS and not inner.get("bbox_params"),
    )


def _read_steps(entries: Sequence[Any], name: str) -> Pipeline:
    transforms = []
    for number, entry in enumerate(entries, 1):
        where = f"Transform {number}"
        if not isinstance(entry, Mapping) or not ({"transform", _CLASS} & set(entry)):
            raise CocoAuditError(
                f"{where} of the list is {entry!r}, which is not like "
                "{'transform': 'Rotate', 'params': {'limit': 10}}"
            )
        if _CLASS in entry:
            transforms.append(_build(entry, where))
            continue
        params = entry.get("params") or {}
        if not isinstance(params, Mapping):
            raise CocoAuditError(
                f"{where}, {entry['transform']}, has params {params!r}, which is no "
                "dictionary of parameters by name"
            )
        transforms.append(_build({_CLASS: entry["transform"], **params}, where))
    return _pipeline(transforms, name=name)


def _read_object(source: Any, name: str) -> Pipeline:
    import albumentations as A

    one = isinstance(source, (A.BasicTransform, A.BaseCompose))
    if not one and not isinstance(source, Sequence):
        raise CocoAuditError(
            f"The pipeline is {kind_of(source)}: pass an Albumentations pipeline, a "
            "list of transforms, its JSON, a path or the name of a preset"
        )
    if one and type(source).__name__ not in _COMPOSE:
        _check_depth([source])
        return _pipeline([_own_copy(source, 1)], name=name)
    transforms = list(source.transforms if one else source)
    for number, transform in enumerate(transforms, 1):
        if not isinstance(transform, (A.BasicTransform, A.BaseCompose)):
            raise CocoAuditError(
                f"Transform {number} is {kind_of(transform)}, which is no transform of "
                "Albumentations: replace it by one"
            )
    # Copying recurses too
    _check_depth(transforms)
    processors = source.processors if one else {}
    params = {key: vars(processor.params) for key, processor in processors.items()}
    return _pipeline(
        [_own_copy(transform, n) for n, transform in enumerate(transforms, 1)],
        p=float(source.p) if one else 1.0,
        box_params=_params_of("BboxParams", params.get("bboxes")),
        keypoint_params=_params_of("KeypointParams", params.get("keypoints")),
        name=name,
        lacks_box_params=type(source).__name__ in _WITH_BOX_PARAMS
        and "bboxes" not in params,
    )


def _own_copy(transform: Any, number: int) -> Any:
    """A copy, so that what the user has is neither changed nor can change ours."""
    try:
        copied = copy.deepcopy(transform)
    except Exception as error:
        raise CocoAuditError(
            f"Transform {number}, {type(transform).__name__}, cannot be copied "
            f"({error}): let it hold nothing such as open files"
        ) from None
    # ReplayCompose has its transforms write down what they draw
    copied.set_deterministic(False)
    return copied


def _too_deep() -> CocoAuditError:
    return CocoAuditError(
        "The pipeline is nested too deep to be read, or holds itself: compositions "
        f"may be nested {MOST_NESTED} deep"
    )


def _check_depth(transforms: Sequence[Any]) -> None:
    """Checks that a pipeline can be copied, sent and run without a RecursionError."""
    level = list(transforms)
    for _ in range(MOST_NESTED + 1):
        level = [c for one in level if _is_composition(one) for c in one.transforms]
    if level:
        raise _too_deep()


def _pipeline(transforms: Sequence[Any], **fields: Any) -> Pipeline:
    _check_depth(transforms)
    steps = []
    for number, transform in enumerate(transforms, 1):
        params = dict(_record(transform) or {"p": transform.p})
        params.pop(_CLASS, None)
        steps.append(Step(number, type(transform).__name__, params, transform))
    return Pipeline(steps=tuple(steps), **fields)


def _record(transform: Any) -> dict[str, Any] | None:
    """A transform as ``A.to_dict`` writes it; None where that cannot be read again.

    What it writes of a subclass can contain parameters that only the base class has.
    """
    cls = type(transform)
    if cls.__module__.split(".")[0] != "albumentations" or not cls.is_serializable():
        return None
    if _is_composition(transform):
        records = [_record(child) for child in transform.transforms]
        names = [name for name in _COMPOSITION_PARAMS if name in init_parameters(cls)]
        own = {name: getattr(transform, name) for name in names}
        if any(record is None for record in records):
            return None
        return {_CLASS: cls.__name__, **plain(own), "transforms": records}
    try:
        written = transform.to_dict_private()
    except (NotImplementedError, TypeError):
        return None
    known = init_parameters(cls)
    return {
        _CLASS: cls.__name__,
        **{name: plain(value) for name, value in written.items() if name in known},
    }


def _is_composition(transform: Any) -> bool:
    import albumentations as A

    # ColorJitter has something else that it calls transforms
    return isinstance(transform, A.BaseCompose)


def _build(record: Any, where: str) -> Any:
    """Makes a transform of its record."""
    if not isinstance(record, Mapping) or _CLASS not in record:
        raise CocoAuditError(
            f"{where} is {str(record)[:60]!r}, which names no transform as A.to_dict "
            f"does in {_CLASS!r}"
        )
    cls = transform_class(str(record[_CLASS]), where)
    named = f"{where}, {cls.__name__},"
    params = {str(key): value for key, value in record.items() if key != _CLASS}
    children = params.pop("transforms", None)
    if children is not None:
        if not isinstance(children, list):
            raise CocoAuditError(f"{named} has 'transforms' that are no list")
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
            _build(child, f"{where}.{n}") for n, child in enumerate(children, 1)
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
        raise CocoAuditError(f"{named} cannot be made: {text}") from None


_FITS: dict[str, Callable[[Any], bool]] = {
    "p": lambda p: isinstance(p, (int, float)) and 0 <= p <= 1,
    "n": lambda n: isinstance(n, int) and n > 0,
}


def _tuples(params: Mapping[str, Any]) -> dict[str, Any]:
    """JSON has no tuples, and older versions take nothing else for a range."""
    return {
        name: tuple(value)
        if isinstance(value, list) and all(isinstance(v, (int, float)) for v in value)
        else value
        for name, value in params.items()
    }


def _probability(value: Any) -> float:
    if isinstance(value, (int, float)) and 0 <= value <= 1:
        return float(value)
    raise CocoAuditError(
        f"The pipeline has the probability p={value!r}, which is not from 0 to 1"
    )


def _params_of(cls_name: str, params: Any) -> dict[str, Any]:
    """Box or keypoint parameters that are not the default, by name, checked."""
    import albumentations as A

    if not params:
        return {}
    cls = getattr(A, cls_name)
    if not isinstance(params, Mapping):
        raise CocoAuditError(f"The pipeline's {cls_name} are no dictionary")
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
            f"The pipeline's {cls_name} have no parameter {unknown[0]!r}: they have "
            f"{', '.join(known)}"
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
        raise CocoAuditError(f"The pipeline's {cls_name} cannot be: {error}") from None
    return kept


def _source(record: Mapping[str, Any], cls_name: str | None = None) -> str:
    """The call that makes a transform of a record."""
    import albumentations as A

    name = cls_name or str(record[_CLASS])
    module = "A.pytorch" if not hasattr(A, name) else "A"
    defaults = init_parameters(
        transform_class(name, name) if cls_name is None else getattr(A, name)
    )
    arguments = []
    if "transforms" in record:
        inner = ", ".join(_source(child) for child in record["transforms"])
        arguments.append(f"[{inner}]")
    for key, value in record.items():
        if key in (_CLASS, "transforms"):
            continue
        default = defaults[key].default if key in defaults else None
        if plain(default) != value:
            arguments.append(f"{key}={_literal(value)}")
    return f"{module}.{name}({', '.join(arguments)})"


def _literal(value: Any) -> str:
    if isinstance(value, list) and all(isinstance(v, (int, float)) for v in value):
        return repr(tuple(value))
    return repr(value)
