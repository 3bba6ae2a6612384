"""Debian's packages, where they can be had without asking anybody."""

import os
import shutil
import subprocess


def apt_install(*packages: str) -> bool:
    """Installs packages with apt-get, where that is there and we are root.

    Args:
        *packages: their names

    Returns:
        whether they are installed now
    """
    if os.name != "posix" or os.geteuid() != 0 or not shutil.which("apt-get"):
        return False
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    return all(
        subprocess.run(["apt-get", "-q", *arguments], env=environment).returncode == 0
        for arguments in (
            ["update"],
            ["install", "-y", "--no-install-recommends", *packages],
        )
    )
