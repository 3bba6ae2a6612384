"""Repeating the images of rare classes, as a simulation and as a field of samples."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.display import TextSummary
from fiftyone_coco_audit.errors import CocoAuditError, check_number
from fiftyone_coco_audit.fields import FieldSpec, check_paths_are_free
from fiftyone_coco_audit.fiftyone_internals import root_dataset
from fiftyone_coco_audit.progress import Progress
from fiftyone_coco_audit.statistics.classes import ClassStatistics
from fiftyone_coco_audit.statistics.inputs import (
    LabeledSamples,
    read_labeled_images,
)
from fiftyone_coco_audit.statistics.resampling import (
    ResamplingEffect,
    SideEffect,
    default_threshold,
    effective_number_weights,
    inverse_frequency_weights,
    save_sampler_weights,
)
from fiftyone_coco_audit.storage.publishing import publish_fields

if TYPE_CHECKING:
    import fiftyone as fo
    import pandas as pd

_FUNCTION = "simulate_resampling"
_FIELD = "repeat_factor"


@dataclass(frozen=True, repr=False)
class Resampling(TextSummary):
    """What repeating the images of rare classes does to a dataset.

    Args:
        effect: the effect on all classes
        labeled: which sample each position is
    """

    effect: ResamplingEffect
    labeled: LabeledSamples

    def _about(self) -> str:
        return self.effect._about()

    def sentences(self) -> list[str]:
        """What it does to an epoch, and to classes that are not rare."""
        return self.effect.sentences()

    @property
    def threshold(self) -> float:
        """The share of images below which a class is repeated."""
        return self.effect.threshold

    def classes(self) -> pd.DataFrame:
        """The classes before and after, with weights for the loss.

        Returns:
            the frame of :meth:`.resampling.ResamplingEffect.to_frame`, with columns
            ``inverse_frequency_weight`` and ``effective_number_weight``
        """
        frame = self.effect.to_frame()
        counts = self.effect.classes.objects
        frame["inverse_frequency_weight"] = inverse_frequency_weights(counts)
        frame["effective_number_weight"] = effective_number_weights(counts)
        return frame

    def images(self) -> pd.DataFrame:
        """The repeat factor of each image, by sample id."""
        import pandas as pd

        return pd.DataFrame(
            {
                "filepath": list(self.labeled.images.filepaths),
                _FIELD: self.effect.factors.image,
            },
            index=pd.Index(map(str, self.labeled.columns.ids), name="id"),
        )

    def side_effects(self, min_gain: float = 1.05) -> list[SideEffect]:
        """Classes that are raised although they are not rare, the most raised first.

        Args:
            min_gain: by what the images of a class must be multiplied to count
        """
        return self.effect.side_effects(min_gain)

    def save_weights(self, path: str | os.PathLike[str]) -> Path:
        """Writes what a PyTorch ``WeightedRandomSampler`` takes.

        Args:
            path: of the JSON file; see :func:`.resampling.save_sampler_weights`

        Returns:
            the path

        Raises:
            CocoAuditError: if the file cannot be written
        """
        return save_sampler_weights(
            path, self.labeled.images.filepaths, self.effect.factors.image
        )


@database_errors_explained()
def simulate_resampling(
    samples: fo.SampleCollection,
    *,
    label_field: str = "ground_truth",
    threshold: float | None = None,
    exponent: float = 0.5,
    weights_path: str | os.PathLike[str] | None = None,
    write_fields: bool = True,
    progress: Progress = None,
) -> Resampling:
    """Simulates repeat factor sampling of rare classes, as in LVIS.

    The sample field ``repeat_factor`` is how often each image is drawn in an epoch.

    Args:
        samples: a dataset or a view of whole images
        label_field: the field of the ground truth
        threshold: the share of images below which a class is repeated; by default,
            one that suits the dataset: see :func:`.resampling.default_threshold`
        exponent: how strongly to repeat; 0 repeats nothing, LVIS uses 0.5
        weights_path: a JSON file to write for a PyTorch ``WeightedRandomSampler``
        write_fields: whether to write the field
        progress: whether to show progress bars, as everywhere in FiftyOne

    Returns:
        a :class:`Resampling`

    Raises:
        CocoAuditError: if the arguments or the data do not allow it; nothing is
            written then
    """
    if threshold is not None:
        check_number("threshold", threshold)
    check_number("exponent", exponent)
    labeled = read_labeled_images(samples, label_field, progress=progress)
    if weights_path is not None and not len(labeled.images):
        raise CocoAuditError("There are no images that a sampler could draw")
    classes = ClassStatistics(labeled.images)
    if threshold is None:
        threshold = default_threshold(classes.presence, exponent=exponent)
    made = Resampling(ResamplingEffect(classes, threshold, exponent), labeled)
    factors = made.effect.factors.image
    dataset = root_dataset(samples)
    if write_fields:
        check_paths_are_free(dataset, [_FIELD], _FUNCTION)
    if weights_path is not None:
        made.save_weights(weights_path)
    if write_fields:
        text = (
            "How often to draw the image in an epoch, for rare classes "
            f"(LVIS repeat factor, threshold {threshold:.3g}, exponent {exponent:g})"
        )
        publish_fields(
            samples,
            labeled.columns,
            [FieldSpec(_FIELD, "float", text)],
            {_FIELD: factors.tolist()},
            {},
            function=_FUNCTION,
            group="statistics",
            progress=progress,
        )
    return made
