"""An environment in which FiftyOne keeps to this checkout."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from mongodb import find_server, running

ROOT = Path(__file__).resolve().parents[1]
CACHE = ROOT / ".cache"


def settings(state: Path) -> dict[str, str]:
    """Returns environment variables that keep FiftyOne's files in a folder.

    The plugin is this tree itself, linked to from FiftyOne's folder of plugins. The
    database has a name of its own, for the server may be another's.

    Args:
        state: the folder

    Returns:
        a dict
    """
    plugins = state / "plugins"
    plugins.mkdir(parents=True, exist_ok=True)
    link = plugins / "coco-audit"
    if not link.exists():
        link.unlink(missing_ok=True)
        link.symlink_to(ROOT, target_is_directory=True)
    name = os.environ.get("FIFTYONE_DATABASE_NAME", f"coco_audit_{state.name}")
    return {
        "FIFTYONE_DATABASE_NAME": name,
        "FIFTYONE_DATABASE_VALIDATION": "false",  # it warns of MongoDB 6
        "FIFTYONE_DO_NOT_TRACK": "true",
        "FIFTYONE_CONFIG_PATH": str(state / "config.json"),
        "FIFTYONE_APP_CONFIG_PATH": str(state / "app_config.json"),
        "FIFTYONE_DATASET_ZOO_DIR": str(state / "zoo" / "datasets"),
        "FIFTYONE_DEFAULT_DATASET_DIR": str(state / "datasets"),
        "FIFTYONE_MODEL_ZOO_DIR": str(state / "zoo" / "models"),
        "FIFTYONE_PLUGINS_DIR": str(plugins),
        "MPLCONFIGDIR": str(state / "matplotlib"),
    }


@contextmanager
def database(folder: Path) -> Iterator[str]:
    """Gives a database: the one that FIFTYONE_DATABASE_URI names, else one of our own.

    Args:
        folder: the folder of the data of our own

    Yields:
        the URI of the database

    Raises:
        mongodb.MongoDBError: if there is none
    """
    with ExitStack() as stack:
        uri = os.environ.get("FIFTYONE_DATABASE_URI")
        if not uri:
            server = find_server(CACHE / "mongodb")
            uri = stack.enter_context(running(server, folder))
        yield uri
