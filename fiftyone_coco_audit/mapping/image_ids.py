"""Which other images the image ids of predictions may mean."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

#: Where an id means no image
NO_IMAGE = -1


def image_meanings(
    ids: Sequence[int | str | None],
    stems: Sequence[str],
    order: NDArray[np.int64],
) -> Mapping[str, NDArray[np.int64]]:
    """The images that ids may mean instead, by interpretation.

    Args:
        ids: ``M`` ids of the images
        stems: ``M`` names of their files, without the endings
        order: ``(M,)`` position of each image in the order of the dataset

    Returns:
        by interpretation, ``(M,)`` positions of the images that ids mean under it, or
        :data:`NO_IMAGE`; empty unless all ids are whole numbers
    """
    numbers = [id_ for id_ in ids if isinstance(id_, int)]
    if len(numbers) < len(ids):
        return {}
    place = {id_: n for n, id_ in enumerate(numbers)}
    named = {
        int(stem): n
        for n, stem in enumerate(stems)
        if stem.isascii() and stem.isdecimal()
    }
    at = {position: n for n, position in enumerate(order.tolist())}
    return {
        name: np.array([places.get(id_ + more, NO_IMAGE) for id_ in numbers], np.int64)
        for name, places, more in (
            ("the id that is one higher", place, 1),
            ("the id that is one lower", place, -1),
            ("the number in the name of the file", named, 0),
            ("the position of the image, counted from 0", at, 0),
            ("the position of the image, counted from 1", at, -1),
        )
    }
