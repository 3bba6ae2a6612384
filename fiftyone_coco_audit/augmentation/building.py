"""A pipeline under construction: transforms are added, moved and set one at a time."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fiftyone_coco_audit.augmentation.catalog import (
    Parameter,
    TransformType,
    spelled,
    transform_class,
    transform_types,
)
from fiftyone_coco_audit.augmentation.pipelines import Pipeline

_CLASS = "__class_fullname__"
# First values of parameters that have no default, or no sufficient one
_FIRST = {"integer": 512, "range": [256, 512], "number": 1.0}
_FIRST_OF = {
    "magnitude": 10,
    "max_size": 640,
    "num_grid_xy": [4, 4],
    "percent": 0.1,
    "size": [512, 512],
}
# Transforms that do nothing by default, or are invalid without parameters
_FIRST_OF_TRANSFORM = {
    "XYMasking": {
        "num_masks_x": [1, 1],
        "num_masks_y": [1, 1],
        "mask_x_length": [16, 32],
        "mask_y_length": [16, 32],
    }
}
# OpenCV's constants, by parameter
_NUMBERED = {
    "border_mode": ("constant", "replicate", "reflect", "wrap", "reflect_101"),
    "interpolation": (
        "nearest",
        "linear",
        "cubic",
        "area",
        "lanczos4",
        "linear_exact",
        "nearest_exact",
    ),
}


@dataclass(frozen=True)
class PipelineDraft:
    """A pipeline that is being built, and may not be valid at the moment.

    Attributes:
        document: the result of ``A.to_dict`` of it
    """

    document: Mapping[str, Any]

    @classmethod
    def of(cls, pipeline: Pipeline) -> PipelineDraft:
        """A draft to begin with.

        Raises:
            CocoAuditError: if the pipeline cannot be written as text
        """
        return cls(pipeline.to_dict())

    @classmethod
    def from_json(cls, text: str) -> PipelineDraft:
        """Reads what :meth:`to_json` wrote."""
        return cls(json.loads(text))

    def to_json(self) -> str:
        """The draft as text."""
        return json.dumps(self.document)

    def pipeline(self) -> Pipeline:
        """The pipeline.

        Raises:
            CocoAuditError: if it is not valid
        """
        return Pipeline.parse(self.document, name="built")

    @property
    def records(self) -> list[dict[str, Any]]:
        """The transforms, in the format of ``A.to_dict``."""
        return [dict(record) for record in self.document["transform"]["transforms"]]

    def names(self) -> list[str]:
        """The names of the transforms, in order."""
        return [str(record[_CLASS]).rpartition(".")[2] for record in self.records]

    def type_of(self, place: int) -> TransformType | None:
        """The definition of a transform; None for a composition, such as ``OneOf``."""
        return transform_types().get(self.names()[place])

    def add(self, name: str) -> PipelineDraft:
        """With one more transform at the end, which is always applied."""
        values = {
            one.name: _FIRST_OF.get(one.name, _FIRST.get(one.kind))
            for one in transform_types()[name].parameters
            if one.required or (one.default is None and one.name in _FIRST_OF)
        }
        cls = transform_class(name, "The transform")
        values |= spelled(cls, _FIRST_OF_TRANSFORM.get(name, {}))
        return self._with([*self.records, {_CLASS: name, "p": 1.0, **values}])

    def remove(self, place: int) -> PipelineDraft:
        """Without a transform."""
        records = self.records
        del records[place]
        return self._with(records)

    def move(self, place: int, to: int) -> PipelineDraft:
        """With a transform in another place."""
        records = self.records
        records.insert(to, records.pop(place))
        return self._with(records)

    def set(self, place: int, name: str, value: Any) -> PipelineDraft:
        """With another value of a parameter; None for its default."""
        records = self.records
        records[place].pop(name, None)
        if value is not None:
            records[place][name] = value
        return self._with(records)

    def set_box_param(self, name: str, value: Any) -> PipelineDraft:
        """With another value of a parameter of ``A.BboxParams``; None for its default.

        It decides which boxes are kept.
        """
        params = dict(self.document["transform"].get("bbox_params") or {})
        params.pop(name, None)
        if value is not None:
            params[name] = value
        return self._changed(bbox_params=params or None)

    def _with(self, records: list[dict[str, Any]]) -> PipelineDraft:
        return self._changed(transforms=records)

    def _changed(self, **values: Any) -> PipelineDraft:
        inner = {**self.document["transform"], **values}
        return replace(self, document={**self.document, "transform": inner})


def value_of(text: str) -> Any:
    """The value of a parameter that was typed into a form.

    Examples::

        >>> value_of("0.5"), value_of("-45, 45"), value_of("random"), value_of(" ")
        (0.5, [-45, 45], 'random', None)
    """
    text = text.strip()
    if not text:
        return None
    for candidate in (text, f"[{text}]"):
        try:
            return json.loads(candidate)
        except json.JSONDecodeError:
            continue
    return text


def text_of(value: Any) -> str:
    """The text for a value of a parameter in a form.

    Examples::

        >>> text_of(0.5), text_of([-45, 45]), text_of("random"), text_of(None)
        ('0.5', '-45, 45', 'random', '')
    """
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if isinstance(value, (list, tuple)):
        return json.dumps(list(value))[1:-1]
    return json.dumps(value)


def options_of(parameter: Parameter) -> list[tuple[str, str]]:
    """The options of a parameter: texts and their labels.

    Returns:
        pairs, the first for :func:`value_of`; empty if there is no choice
    """
    if parameter.kind == "boolean":
        return [("true", "yes"), ("false", "no")]
    numbered = _NUMBERED.get(parameter.name.removeprefix("mask_"), ())
    choices = parameter.choices
    if parameter.kind == "integer" and numbered:
        # Up to 2.0, Albumentations did not list them; it always accepts these
        choices = tuple(range(5))
    elif parameter.kind != "choice":
        return []
    return [(text_of(choice), str(_called(choice, numbered))) for choice in choices]


def _called(choice: Any, numbered: tuple[str, ...]) -> Any:
    known = isinstance(choice, int) and 0 <= choice < len(numbered)
    return numbered[choice] if known else choice
