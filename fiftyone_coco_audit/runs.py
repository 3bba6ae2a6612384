"""What is stored with a dataset beside its samples.

It is kept as the results of a custom run, which FiftyOne keeps outside the dataset's
document, so that its size has no limit and it follows the dataset when that is renamed
or cloned.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import fiftyone as fo


def save_run(dataset: fo.Dataset, key: str, method: str, **results: Any) -> None:
    """Stores results with a dataset, in place of those under the same key.

    Args:
        dataset: the dataset
        key: the key of the run
        method: the SDK function that it was
        **results: what JSON can hold
    """
    if not dataset.has_run(key):
        dataset.register_run(key, dataset.init_run(method=method))
    saved = dataset.init_run_results(key, **results)
    dataset.save_run_results(key, saved, overwrite=True, cache=False)


def load_run(dataset: fo.Dataset, key: str) -> Any | None:
    """The results stored under a key, as attributes; None if there are none."""
    if not dataset.has_run(key):
        return None
    return dataset.load_run_results(key, cache=False)
