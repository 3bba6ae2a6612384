"""What all tests share: a FiftyOne of their own, and the real data."""

import atexit
import os
import signal
from contextlib import ExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings as hypothesis_settings

from fiftyone_environment import CACHE, ROOT, database, settings

if TYPE_CHECKING:
    from coco_audit_demo import DemoPaths

IN_CI = os.environ.get("CI") == "true"
# Each of several processes has a folder and a database of its own
WORKER = os.environ.get("PYTEST_XDIST_WORKER", "")
STATE = CACHE / "test" / WORKER

hypothesis_settings.register_profile("default", deadline=None)
hypothesis_settings.register_profile("ci", deadline=None, derandomize=True)
hypothesis_settings.load_profile("ci" if IN_CI else "default")

# A shell lets what it runs in the background ignore Ctrl-C, and all that this starts;
# some tests are about it.
signal.signal(signal.SIGINT, signal.default_int_handler)

# FiftyOne reads its settings when it is first imported, which other modules do.
os.environ.update(settings(STATE))
if WORKER:
    os.environ["FIFTYONE_DATABASE_NAME"] += f"_{WORKER}"


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Says which tests one of several processes runs.

    A module stays together, for its fixtures are dear; so do all tests of the App, two
    of which at once would be too much for a machine of two cores.
    """
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):
        def _split_scope(self, nodeid: str) -> str:
            module = super()._split_scope(nodeid)
            return "app" if module.startswith("tests/app/") else module

    return Scheduling(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Leaves out the tests on real data where there are none.

    Those on the demo are slow, as it takes a while to make.
    """
    for item in items:
        if "demo_files" in getattr(item, "fixturenames", ()):
            item.add_marker(pytest.mark.slow)
    data = _real_data()
    if data.is_dir():
        return
    if IN_CI and (ROOT.parent / "shared").is_dir():
        raise pytest.UsageError(f"In CI the real data must be there: {data} is not")
    for item in items:
        if item.get_closest_marker("real_data"):
            item.add_marker(pytest.mark.skip(reason=f"no real data in {data}"))


def _real_data() -> Path:
    default = ROOT.parent / "shared" / "data"
    return Path(os.environ.get("COCO_AUDIT_TEST_DATA", default))


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of the real data, for tests marked ``real_data``."""
    return _real_data()


@pytest.fixture(scope="session")
def demo_files(tmp_path_factory: pytest.TempPathFactory) -> "DemoPaths":
    """The demo as it is by default, as files that no test may change."""
    from coco_audit_demo import generate

    return generate(tmp_path_factory.mktemp("demo") / "set")


@pytest.fixture(scope="session")
def mongodb() -> str:
    """The URI of the database of this session, which FiftyOne is told of."""
    stack = ExitStack()
    # FiftyOne uses its database once more as Python exits, by a function that it
    # registers later, and which is therefore called earlier.
    atexit.register(stack.close)
    folder = stack.enter_context(TemporaryDirectory(prefix="database-", dir=STATE))
    uri = stack.enter_context(database(Path(folder)))
    os.environ["FIFTYONE_DATABASE_URI"] = uri

    import fiftyone as fo

    fo.config.database_uri = uri
    return uri
