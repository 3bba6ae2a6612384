"""A browser for the tests: found, or installed by ``python scripts/browser.py``."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from apt import apt_install

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")

# Where Playwright's own goes, and the program in it
DOWNLOADS = Path(__file__).resolve().parents[1] / ".cache" / "playwright"
DOWNLOADED = (
    "chromium-*/chrome-linux*/chrome",
    "chromium-*/chrome-mac*/*.app/Contents/MacOS/*",
)


def find_browser() -> Path | None:
    """Finds a Chromium: the one that ``CHROMIUM`` names, one on PATH, or Playwright's.

    Returns:
        the path of the program, or ``None`` if there is none that runs
    """
    names = filter(None, (os.environ.get("CHROMIUM"), *NAMES))
    candidates = [Path(path) for path in map(shutil.which, names) if path]
    for pattern in DOWNLOADED:
        candidates += DOWNLOADS.glob(pattern)
    return next(filter(_runs, candidates), None)


def install_browser() -> None:
    """Installs Debian's Chromium where we may, else Playwright's own."""
    # libatomic1 is for the program by which Playwright drives any browser.
    if apt_install("chromium", "libatomic1") and find_browser():
        return
    subprocess.run(
        [sys.executable, "-m", "playwright", "install", "chromium"],
        env=os.environ | {"PLAYWRIGHT_BROWSERS_PATH": str(DOWNLOADS)},
    )


def _runs(program: Path) -> bool:
    # Ubuntu's chromium-browser, for one, may be a script that says to install a snap.
    try:
        process = subprocess.run([program, "--version"], capture_output=True)
    except OSError:
        return False
    return process.returncode == 0


if __name__ == "__main__":
    if find_browser() is None:
        install_browser()
    print(f"The browser for the tests: {find_browser() or 'none found'}")
