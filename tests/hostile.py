"""Image files that end the process in which OpenCV decodes them from memory."""

import struct
import subprocess
import sys
import zlib
from pathlib import Path

_HEADER = (b"IHDR", struct.pack(">IIBBBBB", 14, 12, 1, 0, 0, 0, 0))
_PIXELS = zlib.compress(b"\0\xaa\xaa" * 12)
_NEXT = (b"fcTL", struct.pack(">IIIIIHHBB", 1, 14, 12, 0, 0, 0, 100, 0, 0))


def _png(*chunks: tuple[bytes, bytes]) -> bytes:
    parts = [
        struct.pack(">I", len(data))
        + kind
        + data
        + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    ]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def _animation(pixels: bytes) -> bytes:
    frames = (b"acTL", struct.pack(">II", 3, 0))
    return _png(_HEADER, frames, (b"IDAT", pixels), _NEXT, _HEADER)


#: An animated PNG whose second picture has another header in place of its pixels, and
#: whose first picture Pillow decodes, or does not
CRASHING = {"whole": _animation(_PIXELS), "broken": _animation(_PIXELS[:4])}


def opencv_dies_of(path: Path) -> bool:
    """Whether the installed OpenCV crashes on a file."""
    code = (
        "import sys, cv2, numpy\n"
        "cv2.imdecode(numpy.fromfile(sys.argv[1], numpy.uint8), cv2.IMREAD_COLOR)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, check=False
    )
    return done.returncode < 0
