"""Runs a command with a database of its own: ``with_mongodb.py STATE -- COMMAND...``.

FiftyOne, in the command, keeps its database and all else that it writes in the folder
STATE. The database server ends with the command.
"""

import argparse
import os
import signal
import subprocess
import sys
from pathlib import Path

from fiftyone_environment import database, settings
from mongodb import MongoDBError


def main() -> int:
    """Runs the command.

    Returns:
        its exit code
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("state", type=Path, help="the folder for all that is kept")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    state = arguments.state.resolve()

    try:
        with database(state / "database") as uri:
            environment = settings(state) | {"FIFTYONE_DATABASE_URI": uri}
            return _run(arguments.command, os.environ | environment)
    except MongoDBError as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 128 + signal.SIGINT


def _run(command: list[str], environment: dict[str, str]) -> int:
    process = subprocess.Popen(command, env=environment)
    # Ctrl-C reaches the command too, which ends as it sees fit; we go after it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, lambda *_: process.terminate())
    code = process.wait()
    return code if code >= 0 else 128 - code


if __name__ == "__main__":
    sys.exit(main())
