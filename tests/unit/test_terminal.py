"""What the programs print."""

import numpy as np
import pandas as pd

from fiftyone_coco_audit.terminal import worst_images


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


def test_as_many_as_asked_for():
    lines = worst_images(frame(a=0.1, b=0.2, c=0.3), "/data", count=2).splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["images/a.png", "images/b.png"]


def test_columns_stay_in_line():
    lines = worst_images(frame(a=0.1, **{"b" * 100: 0.2}), "/data/images").splitlines()
    assert len({len(line) for line in lines}) == 1
    assert lines[2].split()[0].startswith("...b")
    assert len(lines[0]) < 100
