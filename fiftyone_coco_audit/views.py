"""Views that open exactly some labels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import fiftyone as fo


def view_of_labels(
    samples: fo.SampleCollection, label_field: str, label_ids: Sequence[str]
) -> fo.DatasetView:
    """Opens some labels of a field.

    The same as ``select_labels(ids=..., fields=...)``, which makes MongoDB walk through
    all ids for each label: 20,000 of 36,500 labels take 4.6 s each time the App asks.
    The ids of a constant set are hashed, which takes 0.08 s.

    Args:
        samples: a dataset or view
        label_field: the field
        label_ids: the ids of the labels

    Returns:
        a view of the samples that have one of the labels, with only these labels
    """
    import fiftyone as fo
    from fiftyone import ViewField as F

    is_among = fo.ViewExpression([F("_id").to_string()]).is_subset(list(label_ids))
    view = samples.filter_labels(label_field, is_among)
    others = samples.get_field_schema(
        ftype=fo.EmbeddedDocumentField, embedded_doc_type=fo.Label
    )
    hidden = dict.fromkeys([name for name in others if name != label_field], False)
    return view.mongo([{"$project": hidden}]) if hidden else view
