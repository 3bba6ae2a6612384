"""The keypoints of a sample: their points go through pipelines as one list."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.augmentation.targets import AugmentedSample
from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.wording import counted

if TYPE_CHECKING:
    import fiftyone as fo


@dataclass(frozen=True, repr=False)
class SampleKeypoints(ShortRepr):
    """The labels in all keypoint fields of a sample.

    Attributes:
        fields: the names of the fields
        labels: the labels, and the field that each is in
        points: ``(P, 2)`` the points of all labels in pixels, one label after the
            other; NaN where a label lacks a point
    """

    fields: tuple[str, ...] = ()
    labels: tuple[tuple[str, fo.Keypoint], ...] = ()
    points: NDArray[np.float64] = field(default_factory=lambda: np.zeros((0, 2)))

    def _about(self) -> str:
        return f"of {counted(len(self.labels), 'label')}"

    @property
    def known(self) -> NDArray[np.int64]:
        """``(K,)`` which of the points are there: those that a pipeline is given."""
        return np.flatnonzero(np.isfinite(self.points).all(axis=1))

    def after(self, drawn: AugmentedSample) -> dict[str, fo.Keypoints]:
        """What remains of the labels after a pipeline.

        Points keep their places, and those that are lost become NaN, as points that
        are not there are written in FiftyOne. Labels without any point left are gone.

        Args:
            drawn: what became of the sample

        Returns:
            new labels, by field
        """
        import fiftyone as fo

        height, width = drawn.image.shape[:2]
        points = np.full(self.points.shape, np.nan)
        points[self.known[drawn.keypoint]] = drawn.keypoints / [width, height]
        found: dict[str, list[fo.Keypoint]] = {name: [] for name in self.fields}
        stop = 0
        for name, label in self.labels:
            start, stop = stop, stop + len(label.points)
            if np.isfinite(points[start:stop]).any():
                found[name].append(
                    fo.Keypoint(
                        label=label.label,
                        tags=list(label.tags),
                        points=points[start:stop].tolist(),
                    )
                )
        return {name: fo.Keypoints(keypoints=kept) for name, kept in found.items()}


def read_keypoints(view: fo.DatasetView, size: NDArray[np.float64]) -> SampleKeypoints:
    """Reads the keypoints of a sample.

    Args:
        view: a view of that sample
        size: ``(2,)`` width and height of its image

    Returns:
        a :class:`SampleKeypoints`
    """
    import fiftyone as fo

    fields = tuple(view.get_field_schema(embedded_doc_type=fo.Keypoints))
    # Without fields that another process has added or renamed meanwhile
    sample = view.select_fields(fields).first()
    labels = tuple(
        (name, label)
        for name in fields
        if sample[name] is not None
        for label in sample[name].keypoints
    )
    points = [
        np.asarray(label.points, np.float64).reshape(-1, 2) for _, label in labels
    ]
    return SampleKeypoints(
        fields=fields,
        labels=labels,
        points=np.concatenate([np.zeros((0, 2)), *points]) * size,
    )
