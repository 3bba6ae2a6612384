"""Notes on an evaluation in FiftyOne's panel Model Evaluation.

The panel shows a note in Markdown above the numbers of each run, which users can edit.
It keeps them in an execution store of the dataset, by the id of the run's document.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from fiftyone_coco_audit.escaping import markdown
from fiftyone_coco_audit.fiftyone_internals import execution_store

if TYPE_CHECKING:
    import fiftyone as fo

#: The name of the panel, and of its store
STORE_NAME = "model_evaluation_panel_builtin"
_KEY = "notes"
_ATTEMPTS = 20


def show_in_panel(dataset: fo.Dataset, run_id: Any, notes: Sequence[str]) -> None:
    """Shows notes with a run in the panel, in place of those that it has.

    Args:
        dataset: the dataset
        run_id: the id of the document of the run
        notes: the notes; none remove those that are there
    """
    _change(dataset, lambda stored: {**stored, str(run_id): as_markdown(notes)})


def remove_from_panel(dataset: fo.Dataset, run_id: Any) -> None:
    """Removes the note of a run from the panel.

    Args:
        dataset: the dataset
        run_id: the id of the document of the run
    """
    _change(dataset, lambda stored: {**stored, str(run_id): ""})


def keep_user_note(
    dataset: fo.Dataset, old_id: Any, new_id: Any, old_notes: Sequence[str]
) -> None:
    """Moves a user's text about a run to the run that replaces it.

    Args:
        dataset: the dataset
        old_id: the id of the document of the run that is replaced
        new_id: that of the run that replaces it
        old_notes: our notes on the run that is replaced
    """

    def change(stored: dict[str, str]) -> dict[str, str]:
        written = stored.get(str(old_id)) or ""
        own = written.replace(as_markdown(old_notes), "").strip()
        both = [own, stored.get(str(new_id)) or ""]
        return {
            **stored,
            str(old_id): "",
            str(new_id): "\n\n".join(filter(None, both)),
        }

    _change(dataset, change)


def as_markdown(notes: Sequence[str]) -> str:
    """The notes as the panel shows them, empty if there are none."""
    return "\n".join(f"- {markdown(note)}" for note in notes)


def _change(
    dataset: fo.Dataset, change: Callable[[dict[str, str]], dict[str, str]]
) -> None:
    """Changes the notes of all runs at once, whoever else changes them."""
    store = execution_store(dataset, STORE_NAME)
    for _ in range(_ATTEMPTS):
        stored = store.get(_KEY)
        changed = {
            run_id: note for run_id, note in change(stored or {}).items() if note
        }
        if changed == (stored or {}):
            return
        if stored is None:
            if store.set_if_absent(_KEY, changed):
                return
        elif store.compare_and_set(_KEY, stored, changed):
            return
    raise RuntimeError(f"the store {STORE_NAME} keeps changing")
