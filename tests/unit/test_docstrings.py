"""The examples in docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import numpy as np

import fiftyone_coco_audit

PURE = (
    "areas",
    "boxes",
    "objects",
    "wording",
    "escaping",
    "evaluation.",
    "statistics.",
    "rle",
)
MODULES = [
    module.name
    for module in pkgutil.walk_packages(
        fiftyone_coco_audit.__path__, "fiftyone_coco_audit."
    )
    if module.name.removeprefix("fiftyone_coco_audit.").startswith(PURE)
]


def test_examples() -> None:
    for name in MODULES:
        module = importlib.import_module(name)
        outcome = doctest.testmod(
            module, extraglobs={"np": np}, optionflags=doctest.NORMALIZE_WHITESPACE
        )
        assert outcome.failed == 0, name
