"""Progress bars of several threads."""

import sys
import threading

import fiftyone as fo

from fiftyone_coco_audit.progress import drawn_alone, progress_bar


def in_another_thread(function):
    thread = threading.Thread(target=function)
    thread.start()
    thread.join()


def test_bars_of_two_threads_leave_the_output_alone(capsys):
    """FiftyOne's own bars raise in this order, and leave ``sys.stdout`` closed."""
    before = sys.stdout
    opened, first_drawn, drawn, closed = (threading.Event() for _ in range(4))

    def draw():
        with progress_bar(True, total=2) as bar:
            opened.set()
            first_drawn.wait(10)
            bar.draw(force=True)
            drawn.set()
            closed.wait(10)

    other = threading.Thread(target=draw)
    with progress_bar(True, total=1) as bar:
        other.start()
        opened.wait(10)
        bar.draw(force=True)
        first_drawn.set()
        drawn.wait(10)
    closed.set()
    other.join()
    assert sys.stdout is before
    print("still open")
    assert "still open" in capsys.readouterr().out


def test_a_bar_that_is_not_drawn_still_calls_the_function(capsys):
    seen = []

    def draw():
        progress = lambda bar: seen.append((bar.stage, bar.iteration, bar.progress))  # noqa: E731
        with progress_bar(progress, total=4, stage="Counting") as bar:
            bar.update(1)
            bar.update(3)

    with drawn_alone(True):
        in_another_thread(draw)
    assert seen == [("Counting", 1, 0.25), ("Counting", 4, 1.0)]
    assert capsys.readouterr().out == ""


def test_one_thread_draws_at_a_time():
    shown = []

    def draw():
        with drawn_alone(True) as progress:
            shown.append(progress)

    with drawn_alone(True) as progress, drawn_alone(True) as nested:
        assert progress is nested is True
        in_another_thread(draw)
    in_another_thread(draw)
    assert shown == [False, True]


def test_a_silent_bar_hides_no_other(monkeypatch):
    shown = []

    def draw():
        with drawn_alone(True) as progress:
            shown.append(progress)

    with progress_bar(False, total=1):
        in_another_thread(draw)
    monkeypatch.setattr(fo.config, "show_progress_bars", False)
    for progress in (None, print):
        with drawn_alone(progress) as silent:
            assert silent is progress
            in_another_thread(draw)
    assert shown == [True] * 3
