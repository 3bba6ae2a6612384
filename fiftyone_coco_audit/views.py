"""Views that open exactly some labels."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import fiftyone as fo

logger = logging.getLogger(__name__)

#: A view holds the ids of its labels, and MongoDB takes 16 MB: 440,000 of them fit
MOST_LABELS = 400_000


#: A view of pairs holds each id twice, on its own and joined to that of its partner
MOST_PAIRS = 100_000


def cut_short(count: int) -> str | None:
    """A sentence on a view of more labels than it can hold; None if it holds all.

    Args:
        count: the number of labels
    """
    return _cut_short(count, MOST_LABELS, "labels")


def _cut_short(count: int, most: int, things: str) -> str | None:
    if count <= most:
        return None
    return (
        f"The view shows the first {most:,} of {count:,} {things}, the most that it "
        "can hold"
    )


def all_images(dataset: fo.Dataset) -> fo.SampleCollection:
    """The dataset; of groups, the images of all slices.

    Args:
        dataset: a dataset of images or groups
    """
    if dataset.media_type == "group":
        return dataset.select_group_slices(media_type="image")
    return dataset


def view_of_labels(
    samples: fo.SampleCollection, label_field: str, label_ids: Sequence[str]
) -> fo.DatasetView:
    """Opens some labels of a field.

    The same as ``select_labels(ids=..., fields=...)``, which makes MongoDB walk through
    all ids for each label: 20,000 of 36,500 labels take 4.6 s each time the App asks.
    The ids of a constant set are hashed, which takes 0.08 s.

    Of more than :data:`MOST_LABELS` the first are opened, and a warning says so.

    Args:
        samples: a dataset or view
        label_field: the field
        label_ids: the ids of the labels

    Returns:
        a view of the samples that have one of the labels, with only these labels
    """
    return view_of_fields(samples, {label_field: label_ids})


def view_of_fields(
    samples: fo.SampleCollection, label_ids: Mapping[str, Sequence[str]]
) -> fo.DatasetView:
    """Opens some labels of several fields, as :func:`view_of_labels` does of one.

    Args:
        samples: a dataset or view
        label_ids: the ids of the labels by field

    Returns:
        a view of the samples that have one of the labels of each field, with only these
    """
    import fiftyone as fo
    from fiftyone import ViewField as F

    view = samples
    for field, ids in label_ids.items():
        cut = cut_short(len(ids))
        if cut is not None:
            logger.warning(cut)
        chosen = _is_among(F("_id").to_string(), ids[:MOST_LABELS])
        view = view.filter_labels(field, chosen)
    others = samples.get_field_schema(
        ftype=fo.EmbeddedDocumentField, embedded_doc_type=fo.Label
    )
    hidden = dict.fromkeys([name for name in others if name not in label_ids], False)
    return view.mongo([{"$project": hidden}]) if hidden else view


def view_of_pairs(
    samples: fo.SampleCollection,
    label_field: str,
    label_ids: Sequence[str],
    other_field: str,
    other_ids: Sequence[str | None],
) -> fo.DatasetView:
    """Opens pairs of a label of one field and a label of another, each as a patch.

    Of more than :data:`MOST_PAIRS` the first are opened, and a warning says so.

    Args:
        samples: a dataset or view
        label_field: the field whose labels are the patches
        label_ids: the ids of these labels, each once
        other_field: the other field
        other_ids: the ids of their partners in it, None for a label without one

    Returns:
        a view with a patch for each pair, with only the partner in the other field
    """
    from fiftyone import ViewField as F

    cut = _cut_short(len(label_ids), MOST_PAIRS, "pairs")
    if cut is not None:
        logger.warning(cut)
    ids, others = label_ids[:MOST_PAIRS], other_ids[:MOST_PAIRS]
    known = [other for other in others if other is not None]
    own = F("_id").to_string()
    patches = (
        samples.filter_labels(label_field, _is_among(own, ids))
        .filter_labels(other_field, _is_among(own, known), only_matches=False)
        .to_patches(label_field, other_fields=[other_field])
    )
    # An image can hold several of the pairs. The id of a patch is that of its label
    pair = F("$_id").to_string().concat(own)
    pairs = [
        label + other
        for label, other in zip(ids, others, strict=True)
        if other is not None
    ]
    return patches.filter_labels(
        other_field, _is_among(pair, pairs), only_matches=False
    )


def _is_among(value: fo.ViewExpression, values: Sequence[str]) -> fo.ViewExpression:
    """Whether a text is one of many."""
    import fiftyone as fo

    return fo.ViewExpression([value]).is_subset(list(values))
