"""Statistics of a FiftyOne dataset: read columns, compute, write columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from fiftyone_coco_audit.database import database_errors_explained
from fiftyone_coco_audit.display import TextSummary
from fiftyone_coco_audit.progress import Progress
from fiftyone_coco_audit.statistics.anchor_presets import DEFAULT_ANCHORS
from fiftyone_coco_audit.statistics.anchor_sets import AnchorSet
from fiftyone_coco_audit.statistics.fields import OF_IMAGES, OF_OBJECTS, specs
from fiftyone_coco_audit.statistics.inputs import (
    LabeledSamples,
    read_labeled_images,
)
from fiftyone_coco_audit.statistics.overview import Statistics
from fiftyone_coco_audit.statistics.resizing import DEFAULT_RESIZE, ResizePolicy
from fiftyone_coco_audit.storage.publishing import publish_fields

if TYPE_CHECKING:
    import fiftyone as fo
    import pandas as pd

_FUNCTION = "compute_statistics"
SIDEBAR_GROUP = "statistics"


@dataclass(frozen=True, repr=False)
class DatasetStatistics(TextSummary):
    """The statistics of a dataset, as frames.

    What is not in a frame is in :attr:`statistics`: heat maps, co-occurrence,
    proposals of sizes and so on.

    Args:
        statistics: the statistics of the images, by position
        labeled: which sample and label each position is
    """

    statistics: Statistics
    labeled: LabeledSamples

    def _about(self) -> str:
        return self.statistics._about()

    def sentences(self) -> list[str]:
        """The main facts, and notes on how the data was understood."""
        return [*self.statistics.sentences(), *self.labeled.notes]

    def images(self) -> pd.DataFrame:
        """The images, by sample id, in the order of the samples."""
        import pandas as pd

        frame = self.statistics.images.to_frame()
        frame.index = pd.Index(map(str, self.labeled.columns.ids), name="id")
        frame.insert(0, "filepath", list(self.labeled.images.filepaths))
        for column in OF_IMAGES:
            frame[column.name] = column.column(self.statistics)
        return frame

    def objects(self) -> pd.DataFrame:
        """The objects, by label id, in the order of the samples."""
        import numpy as np
        import pandas as pd

        objects = self.labeled.images.objects
        rows = np.arange(len(objects))
        ids = np.array([str(id_) for id_ in self.labeled.columns.ids], dtype=object)
        names = np.array(self.labeled.images.classes, dtype=object)
        return pd.DataFrame(
            {
                "sample_id": ids[objects.image],
                "class": names[objects.category],
                **dict(zip("xy", objects.box.T, strict=False)),
                "width": objects.box[:, 2],
                "height": objects.box[:, 3],
                "area": objects.area,
                **{c.name: c.column(self.statistics) for c in OF_OBJECTS},
            },
            index=pd.Index(self.labeled.label_ids(rows), name="id", dtype=object),
        )

    def classes(self) -> pd.DataFrame:
        """The classes, in the dataset's order: numbers, sizes and matching anchors."""
        statistics = self.statistics
        frame = statistics.classes.to_frame()
        for other in (
            statistics.shapes.per_class(),
            statistics.network_input.per_class(),
            statistics.anchor_matches.per_class(),
        ):
            frame = frame.join(other[other.columns.difference(frame.columns, False)])
        return frame


@database_errors_explained()
def compute_statistics(
    samples: fo.SampleCollection,
    *,
    label_field: str = "ground_truth",
    resize: str | ResizePolicy = DEFAULT_RESIZE,
    anchors: str | Mapping[str, Any] | AnchorSet = DEFAULT_ANCHORS,
    write_fields: bool = True,
    progress: Progress = None,
) -> DatasetStatistics:
    """Computes statistics of images, objects and classes, and writes them as fields.

    ``docs/fields.md`` lists the fields, such as ``aspect_ratio`` of samples and
    ``input_size`` of labels. Crowd regions have none.

    Args:
        samples: a dataset or a view of whole images
        label_field: the field of the ground truth
        resize: how images are resized for the network, such as ``"letterbox 640"``;
            see :class:`.statistics.resizing.ResizePolicy`
        anchors: the anchors of the detector; see
            :class:`.statistics.anchor_sets.AnchorSet`
        write_fields: whether to write the fields
        progress: whether to show progress bars, as everywhere in FiftyOne

    Returns:
        a :class:`DatasetStatistics`

    Raises:
        CocoAuditError: if the arguments or the data do not allow it; nothing is
            written then
    """
    resize, anchors = ResizePolicy.parse(resize), AnchorSet.parse(anchors)
    labeled = read_labeled_images(samples, label_field, progress=progress)
    statistics = Statistics(labeled.images, resize, anchors)
    if write_fields:
        _write(samples, labeled, statistics, progress)
    return DatasetStatistics(statistics, labeled)


def _write(
    samples: fo.SampleCollection,
    labeled: LabeledSamples,
    statistics: Statistics,
    progress: Progress,
) -> None:
    fields = specs(statistics, labeled.label_field)
    of_images = {column.name: column.column(statistics) for column in OF_IMAGES}
    of_objects = {
        column.name: labeled.label_column(column.column(statistics))
        for column in OF_OBJECTS
    }
    publish_fields(
        samples,
        labeled.columns,
        fields,
        of_images,
        {labeled.label_field: of_objects},
        function=_FUNCTION,
        group=SIDEBAR_GROUP,
        progress=progress,
    )
