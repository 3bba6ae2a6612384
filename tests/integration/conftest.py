"""What the tests with a real database share."""

from collections.abc import Iterator

import fiftyone as fo
import pytest

from tests.workers import Worker


@pytest.fixture(scope="session", autouse=True)
def _database(mongodb: str) -> None:
    """Every test here has one."""


@pytest.fixture
def worker(mongodb: str) -> Iterator[Worker]:
    """Another process on the same database."""
    worker = Worker()
    yield worker
    worker.end()


@pytest.fixture(autouse=True)
def _no_datasets_left() -> Iterator[None]:
    """Each test leaves the database as it found it."""
    before = set(fo.list_datasets())
    yield
    for name in set(fo.list_datasets()) - before:
        fo.delete_dataset(name)
