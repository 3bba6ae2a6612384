"""What the programs print about a dataset, and the App that they serve."""

from __future__ import annotations

import errno
import os
import shutil
import socket
import unicodedata
from collections.abc import Sequence
from contextlib import suppress
from threading import Timer
from typing import TYPE_CHECKING

import psutil

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.escaping import printable
from fiftyone_coco_audit.fiftyone_internals import server_processes

if TYPE_CHECKING:
    import fiftyone as fo
    import pandas as pd

    from fiftyone_coco_audit.auditing import Audit
    from fiftyone_coco_audit.evaluation.results import CocoResults

_WIDEST_NAME = 50
_WIDEST_CLASS = 30
_COUNTS = "tp", "fp", "fn"
_PATIENCE = 5.0  # seconds


def print_results(results: CocoResults, images_dir: str | os.PathLike[str]) -> None:
    """Prints the metrics of an evaluation, its worst classes and its worst images.

    Args:
        results: the evaluation
        images_dir: the folder that file names are shown relative to
    """
    results.print_summary()
    counting = f"tp, fp and fn at {results.counting}"
    print(f"\nThe worst classes ({counting})")
    print(worst_classes(results.per_class()))
    print(f"\nThe worst images ({counting})")
    print(worst_images(results.per_image(), images_dir))


def print_next_steps(steps: Audit, most: int = 5) -> None:
    """Prints the findings about results that would gain most.

    Args:
        steps: an audit of results
        most: how many findings to print
    """
    print("\nWhat to do next, by the AP that it gains (95% interval)")
    print(steps.to_text(terminal_width(), most))


def terminal_width() -> int:
    """The width of the terminal in characters, 100 if there is none."""
    return shutil.get_terminal_size((100, 24)).columns


def worst_images(
    scores: pd.DataFrame, images_dir: str | os.PathLike[str], count: int = 10
) -> str:
    """A table of the images with the lowest AP.

    Args:
        scores: the images, with columns ``filepath``, ``status``, ``ap``, ``tp``,
            ``fp`` and ``fn``
        images_dir: the folder that file names are shown relative to
        count: the number of images

    Returns:
        lines of text; images without an AP are left out, and so are those with an AP
        of 1, which are not bad at all
    """
    worst = _worst(scores, "ap", count)
    if not len(worst):
        return _no_worst(scores["ap"], "image")
    folder = os.path.expanduser(images_dir)
    files = [_shorten(os.path.relpath(path, folder)) for path in worst["filepath"]]
    rows = zip(
        files,
        worst["status"],
        map(_imperfect, worst["ap"]),
        *(map("{:,}".format, worst[name]) for name in _COUNTS),
        strict=True,
    )
    return _table([("file", "status", "AP", *_COUNTS), *rows], texts=2)


def worst_classes(scores: pd.DataFrame, count: int = 10) -> str:
    """A table of the classes with the lowest AP.

    Args:
        scores: by class, with columns ``objects``, ``predictions``, ``AP``, ``tp``,
            ``fp`` and ``fn``
        count: the number of classes

    Returns:
        lines of text; classes without an AP, or with one of 1, are left out
    """
    worst = _worst(scores, "AP", count)
    if not len(worst):
        return _no_worst(scores["AP"], "class")
    counts = "objects", "predictions", *_COUNTS
    rows = zip(
        (printable(" ".join(name.split()), _WIDEST_CLASS) for name in worst.index),
        map(_imperfect, worst["AP"]),
        *(map("{:,}".format, worst[name]) for name in counts),
        strict=True,
    )
    return _table([("class", "AP", *counts), *rows], texts=1)


def _worst(scores: pd.DataFrame, ap: str, count: int) -> pd.DataFrame:
    """The rows with the lowest AP below 1."""
    by, ascending = [ap, "fn", "fp"], [True, False, False]
    below_1 = scores[scores[ap] < 1]
    return below_1.sort_values(by, ascending=ascending, kind="stable")[:count]


def _no_worst(ap: pd.Series, what: str) -> str:
    return f"  No {what} has an AP{' below 1' if ap.notna().any() else ''}"


def _imperfect(ap: float) -> str:
    """An AP below 1, which does not look like 1, even by rounding."""
    return f"{min(ap, 0.999):.3f}"


def _table(rows: Sequence[Sequence[str]], texts: int) -> str:
    """Rows in columns that stay in line, whatever their letters.

    Args:
        rows: the heads of the columns, then the rows
        texts: how many columns, from the left, hold text; the others hold numbers
    """
    widths = [max(map(_width, column)) for column in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = []
        for n, (text, width) in enumerate(zip(row, widths, strict=True)):
            blank = " " * (width - _width(text))
            cells.append(text + blank if n < texts else blank + text)
        lines.append("  " + "  ".join(cells))
    return "\n".join(lines)


def _width(text: str) -> int:
    """How many columns of a terminal a text takes: East Asian letters take two."""
    marks = sum(map(bool, map(unicodedata.combining, text)))
    wide = sum(unicodedata.east_asian_width(letter) in "WF" for letter in text)
    return len(text) + wide - marks


def _shorten(name: str) -> str:
    name = printable(name)
    return name if len(name) <= _WIDEST_NAME else f"...{name[3 - _WIDEST_NAME :]}"


def check_address(address: str, port: int) -> None:
    """Checks that the App can be served at an address.

    FiftyOne would take whoever listens there already for its own App.

    Raises:
        CocoAuditError: if it cannot
    """
    try:
        with socket.socket() as probe:
            # A port that was freed a moment ago can be used, as by the App
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((address, port))
    except (OSError, OverflowError, UnicodeError) as error:
        if isinstance(error, OSError) and error.errno == errno.EADDRINUSE:
            why = (
                "another program, maybe an App, is using it; choose another with --port"
            )
        elif isinstance(error, (OverflowError, PermissionError)):
            why = "choose one from 1024 to 65535 with --port"
        else:
            reason = getattr(error, "strerror", None) or error
            why = (
                f"this machine does not have that address ({reason}); change --address"
            )
        raise CocoAuditError(
            f"Port {port} of {address} cannot be used: {why}"
        ) from error


def serve(
    samples: fo.SampleCollection,
    *,
    color_scheme: fo.ColorScheme | None = None,
    port: int = 5151,
    address: str = "127.0.0.1",
) -> None:
    """Serves the App with a dataset or view until it is interrupted.

    Args:
        samples: what the App shows
        color_scheme: in which colors
        port: the port to listen at
        address: the address to listen at

    Raises:
        CocoAuditError: if the App cannot be served there
    """
    from fiftyone.core.service import ServiceListenTimeout
    from fiftyone.core.session import Session

    check_address(address, port)
    print("Starting the App...", flush=True)
    try:
        # launch_app() would add advice on other machines, and a banner
        session = Session(
            view=samples.view(),
            color_scheme=color_scheme,
            port=port,
            address=address,
            remote=True,
        )
    except ServiceListenTimeout as error:
        raise CocoAuditError(
            "The App has not started within a minute, maybe because the machine is "
            "busy; all results are kept, and `fiftyone app launch` shows them"
        ) from error
    try:
        print(f"The App is at {session.url} (Ctrl-C ends it)", flush=True)
        session.wait(-1)
    except KeyboardInterrupt:
        print()
    finally:
        _close(session)


def _close(session: fo.Session) -> None:
    """Ends the App, even if somebody is still looking at it.

    With Python 3.12 and later FiftyOne's server would wait for the last browser to
    leave, and FiftyOne for its server.
    """
    leave = Timer(_PATIENCE, _kill, [server_processes(session.server_port)])
    leave.start()
    try:
        session.close()
    finally:
        leave.cancel()


def _kill(processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.kill()
