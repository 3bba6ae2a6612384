"""Albumentations pipelines: taken apart, seeded by sample and draw, and run."""

from __future__ import annotations

import copy
import hashlib
import json
import random
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from fiftyone_coco_audit.augmentation.catalog import (
    compose,
)
from fiftyone_coco_audit.augmentation.parsing import (
    Step,
    pipeline_fields,
    preset_fields,
)
from fiftyone_coco_audit.augmentation.records import (
    CLASS_KEY,
    is_composition,
    params_of,
    record_of,
    source_of,
)
from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.escaping import shortened
from fiftyone_coco_audit.wording import counted

#: They turn pixels into a network's input, which neither labels nor pictures need
_NUMBERS_ONLY = {"FromFloat", "Normalize", "ToFloat", "ToTensorV2"}
#: Names of the label fields that carry ids and classes through the pipeline
IDS, CLASSES, KEYPOINT_IDS = "label_ids", "label_classes", "keypoint_ids"

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


@dataclass(frozen=True, repr=False)
class Pipeline(ShortRepr):
    """A validated Albumentations pipeline.

    Use :meth:`parse` to create one. It can be sent to other processes. Threads take
    turns, because the pipeline has its own random generator.

    Attributes:
        steps: the transforms, in order
        p: the probability of applying the whole pipeline
        box_params: the user's ``A.BboxParams``, by name. They decide which boxes are
            dropped, so they are part of the pipeline
        keypoint_params: the user's ``A.KeypointParams``, by name
        name: a name for reports
        lacks_box_params: whether it is an ``A.Compose`` without ``bbox_params``, which
            does not transform boxes
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
                the result of ``A.to_dict``, or its text in JSON or YAML; the path of a
                file that ``A.save`` wrote; the name of a preset; or a list of
                ``{"transform": "Rotate", "params": {"limit": 10, "p": 1}}``
            name: a name for reports

        Returns:
            a :class:`Pipeline`

        Raises:
            CocoAuditError: if it is none of these, or a transform or a parameter of it
                cannot be
        """
        if isinstance(source, Pipeline):
            return source if name is None else replace(source, name=name)
        return cls(**pipeline_fields(source, name))

    def __len__(self) -> int:
        return len(self.steps)

    def step(self, number: int) -> Step:
        """The step with this number, counted from 1.

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
        """The pipeline without some of its steps; the others keep their draws."""
        left_out = [self.step(number) for number in numbers]
        steps = tuple(step for step in self.steps if step not in left_out)
        named = " and ".join(map(str, left_out))
        return replace(self, steps=steps, name=f"{self.name} without {named}")

    def only(self, number: int) -> Pipeline:
        """One step of the pipeline, with the same draws as in the whole pipeline."""
        step = self.step(number)
        return replace(self, steps=(step,), name=f"{self.name}, only {step}")

    def prefix(self, count: int) -> Pipeline:
        """The first ``count`` steps, with the same draws as in the whole pipeline."""
        return replace(self, steps=self.steps[:count], name=f"{self.name}[:{count}]")

    def with_box_params(self, **params: Any) -> Pipeline:
        """The pipeline with other parameters of ``A.BboxParams``.

        Args:
            **params: parameters by name; None keeps the pipeline's value

        Raises:
            CocoAuditError: if a parameter cannot have that value
        """
        given = {name: value for name, value in params.items() if value is not None}
        if not given:
            return self
        changed = params_of("BboxParams", {**self.box_params, **given})
        text = ", ".join(f"{name}={value}" for name, value in given.items())
        return replace(
            self,
            box_params=changed,
            name=f"{self.name} with {text}",
            lacks_box_params=False,
        )

    def to_dict(self) -> dict[str, Any]:
        """The pipeline in the format of ``A.to_dict``.

        Raises:
            CocoAuditError: if a transform is the user's own, or holds data
        """
        import albumentations as A

        transforms = []
        for step in self.steps:
            record = record_of(step.transform)
            if record is None:
                raise CocoAuditError(
                    f"Transform {step.number}, {step.name}, cannot be written as text: "
                    "it holds Python code or data of its own"
                )
            transforms.append(record)
        composed = {
            CLASS_KEY: "Compose",
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
        """Python source that builds the pipeline, without default parameters.

        Raises:
            CocoAuditError: if a transform is the user's own, or holds data
        """
        composed = self.to_dict()["transform"]
        lines = ["import albumentations as A", "", "transform = A.Compose(", "    ["]
        lines += [f"        {source_of(one)}," for one in composed["transforms"]]
        lines.append("    ],")
        for key, cls in (
            ("bbox_params", "BboxParams"),
            ("keypoint_params", "KeypointParams"),
        ):
            if composed[key]:
                lines.append(f"    {key}={source_of(composed[key], cls)},")
        if self.p != 1:
            lines.append(f"    p={self.p!r},")
        return "\n".join([*lines, ")", ""])

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name[0] != "_"}

    def __call__(self, seed: int, sample: str, draw: int, **data: Any) -> Any:
        """Applies the pipeline, with its own random numbers.

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
        """Adds targets to the pipeline that are transformed like masks."""
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
                is_composition(transform) and any(map(within, transform.transforms))
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
    """Gives everything that draws random numbers its own source."""
    if hasattr(drawing[0][1], "set_random_state"):
        for key, node in drawing:
            number = _number(prefix + key)
            node.set_random_state(
                np.random.Generator(np.random.Philox(key=number)),
                random.Random(number),
            )
    # The source of Albumentations before 1.4.21, and perhaps of a user's own transform
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
    return Pipeline(**preset_fields(name))
