"""Image files as pixels, decoded so that no file can end the process.

OpenCV's decoder of animated PNG crashes on files of a few hundred bytes, and takes the
process with it, which in the App is the server. It decodes JPEG and still PNG without a
crash (1.5 million mutated files were tried). All else is left to Pillow, which raises.
"""

from __future__ import annotations

import os
from io import BytesIO
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.files import open_file, pointer

if TYPE_CHECKING:
    from PIL.Image import Image

_JPEG, _PNG = b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n"
_ANIMATION = (b"acTL", b"fcTL", b"fdAT")


def read_file(path: str | os.PathLike[str]) -> bytes:
    """Reads a regular file.

    Raises:
        OSError: if it is none, or cannot be read
    """
    with open_file(path) as file:
        return file.read()


def is_safe_for_opencv(data: bytes) -> bool:
    """Whether OpenCV decodes a file in this process: a JPEG or a still PNG."""
    if data.startswith(_PNG):
        return not any(chunk in data for chunk in _ANIMATION)
    return data.startswith(_JPEG)


def decode(data: bytes, *, exif: bool = True, reduction: int = 1) -> NDArray[np.uint8]:
    """Decodes an image file without a crash, whatever it contains.

    Args:
        data: the bytes of the file
        exif: whether to turn the image as its EXIF data say
        reduction: 1, 2, 4 or 8: by what to divide the size, where the format allows it
            to be decoded faster

    Returns:
        ``(height, width, 3)`` RGB

    Raises:
        Exception: whatever the decoder raises
    """
    if is_safe_for_opencv(data):
        return decode_opencv(data, exif=exif, reduction=reduction)
    return decode_pillow(data, exif=exif)


def decode_opencv(
    data: bytes, *, exif: bool = True, reduction: int = 1
) -> NDArray[np.uint8]:
    """Decodes an image with OpenCV, which crashes on some files.

    Args:
        data: the bytes of the file
        exif: as for :func:`decode`
        reduction: as for :func:`decode`

    Returns:
        ``(height, width, 3)`` RGB

    Raises:
        Exception: whatever the decoder raises
    """
    import cv2

    _refuse(data)
    flags = {
        1: cv2.IMREAD_COLOR,
        2: cv2.IMREAD_REDUCED_COLOR_2,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    }[reduction]
    if not exif:
        flags |= cv2.IMREAD_IGNORE_ORIENTATION
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    if image is None:
        raise ValueError("OpenCV cannot decode it")
    return cv2.cvtColor(image, cv2.COLOR_BGR2RGB)  # type: ignore[return-value]


def decode_pillow(data: bytes, *, exif: bool = True) -> NDArray[np.uint8]:
    """Decodes an image with Pillow, or the first picture of an animation.

    Args:
        data: the bytes of the file
        exif: as for :func:`decode`

    Returns:
        ``(height, width, 3)`` RGB

    Raises:
        Exception: whatever the decoder raises
    """
    from PIL import Image, ImageOps

    _refuse(data)
    with Image.open(BytesIO(data)) as opened:
        turned = ImageOps.exif_transpose(opened) if exif else opened
        return np.asarray(_of_eight_bits(turned).convert("RGB"))


def _refuse(data: bytes) -> None:
    if not data:
        raise ValueError("the file is empty")
    if reason := pointer(data):
        raise ValueError(f"it {reason}")


def _of_eight_bits(image: Image) -> Image:
    """An image of 16 bits by its high bytes, as OpenCV does; Pillow clips them."""
    from PIL import Image

    if not image.mode.startswith("I"):
        return image
    values = np.asarray(image)
    if values.dtype.itemsize > 2 and values.max(initial=0) < 256:
        return image
    return Image.fromarray((np.clip(values, 0, 2**16 - 1) >> 8).astype(np.uint8))
