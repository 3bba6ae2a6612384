#!/bin/sh
# Makes .venv, with this package (editable), its tests' tools and its linters in it.
# PYTHON names the interpreter to make it with.
set -eu
cd "$(dirname "$0")/.."

is_supported() {
    "$1" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info < (3, 14))' 2>&-
}

find_python() {
    for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
        if is_supported "$candidate"; then
            echo "$candidate"
            return
        fi
    done
    echo "No Python 3.10-3.13 is found as '${PYTHON:-python3}': install one, or name" \
        "one that is there by 'make PYTHON=/path/to/python3.11 ...'." >&2
    return 1
}

# Debian keeps a part of the venv module in a package of its own.
ensure_venv() {
    "$1" -c 'import ensurepip' 2>&- && return
    package=$("$1" -c 'import sys; print("python%d.%d-venv" % sys.version_info[:2])')
    if [ "$(id -u)" != 0 ] || ! command -v apt-get >/dev/null; then
        echo "$1 lacks the modules that make virtual environments: ask for" \
            "'apt-get install $package', or name another Python by PYTHON=." >&2
        return 1
    fi
    apt-get update -q
    DEBIAN_FRONTEND=noninteractive apt-get install -q -y "$package"
}

if ! { [ -x .venv/bin/python ] && is_supported .venv/bin/python; }; then
    python=$(find_python)
    ensure_venv "$python"
    "$python" -m venv --clear .venv
    # The one that comes with Python can be several times slower with many packages.
    .venv/bin/python -m pip install --quiet --upgrade pip
fi
.venv/bin/python -m pip install --editable '.[test,lint,bench]'
