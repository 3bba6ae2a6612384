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

    The old ones are deleted when the new ones are in their place.

    Args:
        dataset: the dataset
        key: the key of the run
        method: the SDK function that it was
        **results: what JSON can hold
    """
    from fiftyone.core.runs import Run

    if not dataset.has_run(key):
        dataset.register_run(key, dataset.init_run(method=method))
    saved = dataset.init_run_results(key, **results)
    document = Run._get_run_doc(dataset, key)
    old = document.results
    # FiftyOne would delete the old ones before it writes
    document.results = None
    try:
        Run.save_run_results(dataset, key, saved, cache=False)
    except BaseException:
        document.results = old
        raise
    if old:
        old.delete()


def load_run(dataset: fo.Dataset, key: str) -> Any | None:
    """The results stored under a key, as attributes; None if there are none."""
    if not dataset.has_run(key):
        return None
    return dataset.load_run_results(key, cache=False)
