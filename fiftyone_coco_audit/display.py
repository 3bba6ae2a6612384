"""Results as notebooks and terminals show them: one line, or sentences if printed."""

from __future__ import annotations

from collections.abc import Sized
from typing import TYPE_CHECKING

from fiftyone_coco_audit.escaping import printable, shortened
from fiftyone_coco_audit.fiftyone_internals import root_dataset
from fiftyone_coco_audit.wording import counted

if TYPE_CHECKING:
    import fiftyone as fo


class ShortRepr:
    """Shows results with thousands of ids or arrays as one line.

    Its dataclasses need ``repr=False``, because the ``repr`` of a dataclass shows all
    that it holds.
    """

    def _about(self) -> str:
        """What the result is about, such as ``"of 200 images"``."""
        return f"of {counted(len(self), 'row')}" if isinstance(self, Sized) else ""

    def __repr__(self) -> str:
        return f"<{f'{type(self).__name__} {self._about()}'.rstrip()}>"


class TextSummary(ShortRepr):
    """Prints as sentences."""

    def sentences(self) -> list[str]:
        """The sentences to print."""
        raise NotImplementedError

    def __str__(self) -> str:
        return "\n".join(map(printable, self.sentences())) or repr(self)


def of_samples(samples: fo.SampleCollection) -> str:
    """Which dataset or view something is of, such as ``"of 'street'"``."""
    import fiftyone as fo

    # Only the name of a deleted dataset is available
    whole = isinstance(samples, fo.Dataset)
    dataset = samples if whole else root_dataset(samples)
    return f"of {'' if whole else 'a view of '}{shortened(dataset.name, 40)!r}"
