"""Other packages that compute the same numbers, for tests to compare with."""

from __future__ import annotations

import importlib
import os
from types import ModuleType

import pytest


def peer(name: str) -> ModuleType:
    """Imports a package, or skips the test where it is not installed.

    Under ``CI=true`` the test fails instead, so that somebody notices.
    """
    if os.environ.get("CI") == "true":
        return importlib.import_module(name)
    return pytest.importorskip(name)
