"""Other packages that compute what we do, to be held against."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import pytest


def peer(name: str) -> ModuleType:
    """A module of the extra ``peers``; without it, the tests that ask are skipped.

    Under ``CI=true`` they fail, for else nobody would see that they no longer run.
    """
    if os.environ.get("CI") == "true":
        return importlib.import_module(name)
    return pytest.importorskip(name)
