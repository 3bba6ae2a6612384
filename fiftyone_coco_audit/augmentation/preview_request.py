"""A request of an audit to the panel *Augmentation Preview*: what to show next.

Panels have no address that something could be sent to, so it is left in FiftyOne's
execution store of the dataset, where the panel finds it when it is opened or the view
changes.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from fiftyone_coco_audit.augmentation.pipelines import Pipeline
from fiftyone_coco_audit.augmentation.presets import PRESETS
from fiftyone_coco_audit.fiftyone_internals import execution_store

if TYPE_CHECKING:
    import fiftyone as fo
    from fiftyone.operators.store import ExecutionStore

_STORE, _KEY = "coco_audit", "augmentation_preview"
# An old request would surprise the user
_SECONDS = 600


@dataclass(frozen=True)
class RequestedPreview:
    """What the panel should show.

    Args:
        pipeline: the name of a preset, or the text of a pipeline
        label_field: the field of the ground truth
        seed: of all draws
    """

    pipeline: str
    label_field: str
    seed: int

    @classmethod
    def of(cls, pipeline: Pipeline, label_field: str, seed: int) -> RequestedPreview:
        """A request to show a pipeline.

        Raises:
            CocoAuditError: if the pipeline cannot be written as text
        """
        name = pipeline.name
        is_preset = name in PRESETS and pipeline == Pipeline.parse(name)
        return cls(name if is_preset else pipeline.to_json(), label_field, seed)


def request_preview(dataset: fo.Dataset, preview: RequestedPreview) -> None:
    """Leaves a request for the panel, for ten minutes."""
    _store(dataset).set(_KEY, {"id": uuid4().hex, **asdict(preview)}, ttl=_SECONDS)


def requested_preview(dataset: fo.Dataset) -> tuple[str, RequestedPreview] | None:
    """The request for the panel and its id, if there is one.

    It stays there, since the App can ask several times before it knows the answer.
    """
    left = _store(dataset).get(_KEY)
    return None if left is None else (left.pop("id"), RequestedPreview(**left))


def _store(dataset: fo.Dataset) -> ExecutionStore:
    return execution_store(dataset, _STORE)
