"""What the programs print."""

import socket
import unicodedata
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fiftyone.core.service import ServiceListenTimeout

from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.terminal import (
    check_address,
    serve,
    worst_classes,
    worst_images,
)


class Shown:
    """What can be shown: all that is asked of a dataset before the App starts."""

    def view(self) -> None:
        """Returns nothing."""


def frame(**aps: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "filepath": [f"/data/images/{name}.png" for name in aps],
            "status": "ok",
            "ap": list(aps.values()),
            "tp": 1,
            "fp": 2,
            "fn": range(len(aps)),
        }
    )


def test_worst_first_and_the_more_misses_of_two():
    lines = worst_images(frame(good=0.9, a=0.1, b=0.1, none=np.nan), "/data/images")
    names = [line.split()[0] for line in lines.splitlines()]
    assert names == ["file", "b.png", "a.png", "good.png"]


def test_perfect_images_are_not_the_worst():
    lines = worst_images(frame(perfect=1.0, good=0.9999), "/data/images").splitlines()
    assert [line.split()[0] for line in lines] == ["file", "good.png"]
    assert lines[1].split()[2] == "0.999"
    assert (
        worst_images(frame(a=1.0, b=np.nan), "/data") == "  No image has an AP below 1"
    )
    assert worst_images(frame(b=np.nan), "/data") == "  No image has an AP"


def test_as_many_as_asked_for():
    lines = worst_images(frame(a=0.1, b=0.2, c=0.3), "/data", count=2).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["images/a.png", "images/b.png"]


def test_columns_stay_in_line():
    lines = worst_images(frame(a=0.1, **{"b" * 100: 0.2}), "/data/images").splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2].split()[0].startswith("...b")
    assert len(lines[0]) < 100


def classes(**aps: float) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "objects": 1200,
            "predictions": range(len(aps)),
            "AP": list(aps.values()),
            "tp": 1,
            "fp": 2,
            "fn": range(len(aps)),
        },
        index=list(aps),
    )


def test_the_worst_classes_and_what_they_are_of():
    frame = classes(good=0.9, a=0.1, b=0.1, none=np.nan, perfect=1.0, near=0.9999)
    assert worst_classes(frame).splitlines() == [
        "  class     AP  objects  predictions  tp  fp  fn",
        "  b      0.100    1,200            2   1   2   2",
        "  a      0.100    1,200            1   1   2   1",
        "  good   0.900    1,200            0   1   2   0",
        "  near   0.999    1,200            5   1   2   5",
    ]


def test_at_most_ten_classes():
    frame = classes(**{f"class {n}": n / 20 for n in range(19, 0, -1)})
    lines = worst_classes(frame).splitlines()
    assert len(lines) == 11
    assert lines[1].startswith("  class 1  ")


def test_no_class_is_bad():
    assert worst_classes(classes(a=1.0)) == "  No class has an AP below 1"
    assert worst_classes(classes(a=np.nan)) == "  No class has an AP"


@pytest.mark.parametrize(
    "name",
    ["猫" * 40, "x" * 300, "naive\u0301", "two\nlines", "\x1b[2J", "cat\tdog", ""],
)
def test_columns_stay_in_line_whatever_a_class_is_called(name: str):
    lines = worst_classes(classes(**{"cat": 0.1, name: 0.2})).splitlines()
    assert len(lines) == 3
    widths = {
        sum(
            (unicodedata.east_asian_width(letter) in "WF") + 1
            for letter in line
            if not unicodedata.combining(letter)
        )
        for line in lines
    }
    assert len(widths) == 1
    assert max(widths) < 110
    assert all(line.isprintable() for line in lines)


def test_the_home_folder_is_found(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", "/data")
    lines = worst_images(frame(a=0.1), "~/images").splitlines()
    assert lines[1].split()[0] == "a.png"
    lines = worst_images(frame(a=0.1), Path("~/images")).splitlines()
    assert lines[1].split()[0] == "a.png"


def test_a_port_that_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        for refused in (
            check_address,
            lambda *at: serve(None, address=at[0], port=port),
        ):
            with pytest.raises(
                CocoAuditError, match=f"Port {port} .*another program.*--port"
            ):
                refused("127.0.0.1", port)
    check_address("127.0.0.1", port)


def test_an_app_that_does_not_start(monkeypatch: pytest.MonkeyPatch):
    def never(*_: object, **__: object) -> None:
        raise ServiceListenTimeout("server", 5151)

    # No machine can be made so busy, but by chance
    monkeypatch.setattr("fiftyone.core.session.Session", never)
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    with pytest.raises(CocoAuditError, match="has not started within a minute.*kept"):
        serve(Shown(), port=port)


@pytest.mark.parametrize(
    ("address", "port"),
    [
        ("127.0.0.1", 99999),
        ("127.0.0.1", -1),
        ("192.0.2.1", 5151),  # an address for documentation, which nobody has
        ("." * 3, 5151),
    ],
)
def test_what_is_no_address(address: str, port: int):
    # Another port is no way out where the address is at fault, nor the other way round
    said = "choose one from 1024" if address == "127.0.0.1" else "change --address"
    with pytest.raises(CocoAuditError, match=f"Port {port} of {address} .*{said}"):
        check_address(address, port)
