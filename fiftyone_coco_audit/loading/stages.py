"""One sample through reading, decoding and a pipeline, timed and watched."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter, thread_time
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.decoding import (
    decode_opencv,
    decode_pillow,
    is_safe_for_opencv,
    read_file,
)
from fiftyone_coco_audit.errors import CocoAuditError
from fiftyone_coco_audit.loading.instruments import (
    InvalidOutput,
    Stopwatch,
    ensure_boxes,
    ensure_image,
    timed,
)
from fiftyone_coco_audit.loading.sizes import (
    OUTSIDE_TOLERANCE,
    OtherSize,
    compare_sizes,
    other_size_sentence,
)
from fiftyone_coco_audit.loading.targets import as_array, channels_last
from fiftyone_coco_audit.names import kind_of
from fiftyone_coco_audit.parallel import Elsewhere, WorkerDied, is_expendable
from fiftyone_coco_audit.wording import pixels

if TYPE_CHECKING:
    from collections.abc import Iterator

#: What every sample goes through; transforms of the image, then what the pipeline does
#: besides: labels converted, clipped, filtered and checked
STAGES = ("read", "decode", "transform", "labels")

Image = NDArray[Any]


class LoadingPipeline(Protocol):
    """What images and labels are put through."""

    def __call__(
        self, image: Image, boxes: NDArray[np.float64], ids: NDArray[np.int64]
    ) -> tuple[Image, NDArray[np.float64], NDArray[np.int64]]:
        """Transforms an image and its boxes.

        Args:
            image: ``(height, width, 3)`` uint8
            boxes: ``(n, 4)`` ``[x, y, width, height]`` in pixels
            ids: ``(n,)`` what the boxes belong to

        Returns:
            the same, transformed; fewer boxes, if some are gone
        """


@dataclass(frozen=True)
class Decoding:
    """How training decodes images.

    Args:
        decoder: ``"opencv"`` or ``"pillow"``
        exif: whether images are turned as their EXIF data say; ``cv2.imread`` does so,
            ``PIL.Image.open`` does not
        channels: ``"rgb"``, or ``"bgr"``, the order that OpenCV has by itself
    """

    decoder: Literal["opencv", "pillow"] = "opencv"
    exif: bool = True
    channels: Literal["rgb", "bgr"] = "rgb"

    def __post_init__(self) -> None:
        for name, known in (
            ("decoder", ("opencv", "pillow")),
            ("channels", ("rgb", "bgr")),
        ):
            if getattr(self, name) not in known:
                raise CocoAuditError(
                    f"{name} is {getattr(self, name)!r}: it must be {known[0]!r} or "
                    f"{known[1]!r}"
                )

    def __call__(self, data: bytes) -> NDArray[np.uint8]:
        """Decodes an image.

        Args:
            data: the bytes of its file

        Returns:
            ``(height, width, 3)``

        Raises:
            Exception: whatever the decoder raises
        """
        decode = decode_opencv if self.decoder == "opencv" else decode_pillow
        image = decode(data, exif=self.exif)
        return (
            np.ascontiguousarray(image[..., ::-1]) if self.channels == "bgr" else image
        )

    def may_crash(self, data: bytes) -> bool:
        """Whether a file may end the process that decodes it."""
        return self.decoder == "opencv" and not is_safe_for_opencv(data)


@dataclass(frozen=True)
class _Timed:
    """Decodes an image, and measures the seconds where that is done."""

    decoding: Callable[[bytes], Image]

    def __call__(self, data: bytes) -> tuple[Image, float]:
        start = perf_counter()
        image = self.decoding(data)
        return image, perf_counter() - start


@dataclass(frozen=True)
class Task:
    """A sample to be put through.

    Args:
        filepath: the path of the image
        size: width and height that the dataset says, in pixels
        boxes: ``(n, 4)`` ``[x, y, width, height]`` in pixels
        rows: ``(n,)`` rows of the objects, which serve as ids
    """

    filepath: str
    size: tuple[float, float]
    boxes: NDArray[np.float64]
    rows: NDArray[np.int64]


@dataclass
class SampleOutcome:
    """The result of a sample.

    Attributes:
        stage: the stage that failed, of :data:`STAGES`, or "" where none did
        transform: the transform that failed, if one did
        exception: the type of what it raised
        message: what it said
        suspicions: sentences on what does not fail, but cannot be right
        seconds: time by stage; of stages that were reached
        transforms: time by transform
        waiting: time of reading in which the processor had nothing to do
        num_bytes: the size of the file
        lost: rows of the objects that did not come out
        other_size: how the image's size is not that of its labels, if so
    """

    stage: str = ""
    transform: str = ""
    exception: str = ""
    message: str = ""
    suspicions: list[str] = field(default_factory=list)
    seconds: dict[str, float] = field(default_factory=dict)
    transforms: dict[str, float] = field(default_factory=dict)
    waiting: float = 0.0
    num_bytes: int = 0
    lost: tuple[int, ...] = ()
    other_size: OtherSize | None = None

    def fail(self, stage: str, error: BaseException, transform: str = "") -> None:
        """Notes what failed."""
        self.stage = stage
        self.transform = transform
        self.exception = type(error).__name__
        self.message = " ".join(str(error).split()) or self.exception


def died(found: WorkerDied) -> SampleOutcome:
    """The result of a sample whose process died."""
    return SampleOutcome(stage="worker", exception="WorkerDied", message=found.message)


class SampleRunner:
    """Puts samples through; it can be sent to other processes and used by threads.

    Args:
        pipeline: a :class:`LoadingPipeline`, which stays as it is
        decoding: how images are decoded
    """

    def __init__(self, pipeline: LoadingPipeline, decoding: Decoding) -> None:
        self.pipeline = pipeline
        self.decoding = decoding
        self._own = threading.local()
        self._elsewhere = Elsewhere(_Timed(decoding))

    def close(self) -> None:
        """Ends the process in which files were decoded that may crash the decoder."""
        self._elsewhere.close()

    def __getstate__(self) -> tuple[LoadingPipeline, Decoding]:
        return self.pipeline, self.decoding

    def __setstate__(self, state: tuple[LoadingPipeline, Decoding]) -> None:
        self.__init__(*state)  # type: ignore[misc]
        # This is another process, one of several
        import cv2

        cv2.setNumThreads(1)

    def __call__(self, task: Task) -> SampleOutcome:
        """Puts one sample through, and catches whatever is raised."""
        passage = SampleOutcome()
        start, used = perf_counter(), thread_time()
        try:
            data = read_file(task.filepath)
        except OSError as error:
            passage.fail("read", error)
            passage.message = error.strerror or passage.message
            return passage
        done, passage.num_bytes = perf_counter(), len(data)
        passage.seconds["read"] = done - start
        passage.waiting = max(done - start - (thread_time() - used), 0.0)

        start = perf_counter()
        try:
            decoded = self._decode(data)
        except Exception as error:
            passage.fail("decode", error)
            passage.seconds["decode"] = perf_counter() - start
            return passage
        if isinstance(decoded, WorkerDied):
            return died(decoded)
        image, passage.seconds["decode"] = decoded
        if _is_cut_off(data):
            passage.suspicions.append(
                "The file ends before its image does: it may have been cut off."
            )
        height, width = image.shape[:2]
        if task.size != (width, height):
            other = compare_sizes(task.size, (width, height), task.boxes)
            passage.other_size = other
            passage.suspicions.append(
                other_size_sentence(task.size, (width, height), other)
            )
        self._transform(passage, task, image)
        return passage

    def _decode(self, data: bytes) -> tuple[Image, float] | WorkerDied:
        """Decodes as training does, but never crashes this process."""
        careful = isinstance(self.decoding, Decoding) and not is_expendable()
        if careful and self.decoding.may_crash(data):
            return self._elsewhere(data)
        return _Timed(self.decoding)(data)

    def _transform(self, passage: SampleOutcome, task: Task, image: Image) -> None:
        pipeline, watch, names = self._instrumented()
        watch.reset()
        start = perf_counter()
        try:
            result = pipeline(image, task.boxes, task.rows)
        except Exception as raised:
            # Our pipelines wrap the errors of their transforms
            error = raised.__cause__ if isinstance(raised, CocoAuditError) else None
            stage = "transform" if watch.culprit or not names else "labels"
            passage.fail(stage, error or raised, watch.culprit)
            if stage == "labels":
                self._name_labels(passage, task, image)
            return
        finally:
            total = perf_counter() - start
            passage.transforms = watch.seconds
            inside = sum(watch.seconds.values()) if names else total
            passage.seconds["transform"] = inside
            passage.seconds["labels"] = max(total - inside, 0.0)
        try:
            self._check(passage, task, result)
        except InvalidOutput as error:
            passage.fail("labels" if "box" in str(error) else "transform", error)

    def _check(self, passage: SampleOutcome, task: Task, result: Any) -> None:
        if not isinstance(result, tuple) or len(result) != 3:
            raise InvalidOutput(f"returned {kind_of(result)} for a sample")
        image, boxes, ids = result
        ensure_image(image)
        boxes = ensure_boxes(boxes, ids)
        made = channels_last(as_array(image))
        if made.dtype.kind == "f" and not np.isfinite(made.min() + made.max()):
            raise InvalidOutput("returned an image with pixels that are not finite")
        height, width = made.shape[:2]
        corner = boxes[:, :2] + boxes[:, 2:]
        limit = np.array([width, height]) + OUTSIDE_TOLERANCE
        outside = (boxes[:, :2] < -OUTSIDE_TOLERANCE) | (corner > limit)
        for count, what in (
            (int(outside.any(axis=1).sum()), "outside of the image"),
            (int((boxes[:, 2:] <= 0).any(axis=1).sum()), "without an area"),
        ):
            if count:
                boxes_are = "1 box is" if count == 1 else f"{count} boxes are"
                passage.suspicions.append(f"{boxes_are} {what} after the pipeline.")
        given, found = set(task.rows.tolist()), set(np.asarray(ids).tolist())
        if found - given:
            raise InvalidOutput("returned boxes with ids that were not given")
        passage.lost = tuple(sorted(given - found))

    def _name_labels(self, passage: SampleOutcome, task: Task, image: Image) -> None:
        """Tries the labels one by one, to find those that fail."""
        pipeline, _, _ = self._instrumented()
        bad, places = [], []
        for place in range(len(task.rows)):
            one = slice(place, place + 1)
            try:
                pipeline(image, task.boxes[one], task.rows[one])
            except Exception as error:
                if type(error).__name__ == passage.exception:
                    box = ", ".join(f"{value:g}" for value in task.boxes[place])
                    bad.append(f"[{box}]")
                    places.append(place)
        if bad:
            labels = "label" if len(bad) == 1 else "labels"
            passage.message = f"{passage.message} ({labels} {', '.join(bad[:3])}"
            passage.message += f" and {len(bad) - 3} more)" if len(bad) > 3 else ")"
            passage.message += _over_border(task.boxes[places], image)

    def _instrumented(self) -> tuple[Callable[..., Any], Stopwatch, list[str]]:
        if not hasattr(self._own, "made"):
            self._own.made = timed(self.pipeline)
        made: tuple[Callable[..., Any], Stopwatch, list[str]] = self._own.made
        return made


def _over_border(boxes: NDArray[np.float64], image: Image) -> str:
    """How far boxes extend beyond their image, if that is only rounding."""
    height, width = image.shape[:2]
    over = np.hstack([-boxes[:, :2], boxes[:, :2] + boxes[:, 2:] - [width, height]])
    most = float(over.max())
    if not 0 < most <= OUTSIDE_TOLERANCE:
        return ""
    return (
        f", beyond the border by up to {pixels(most)}: Albumentations rejects such "
        "boxes unless A.BboxParams has clip=True"
    )


@contextmanager
def one_thread() -> Iterator[None]:
    """Keeps OpenCV to one thread, as it should be in a worker of a loader.

    Its threads would compete with the other workers, and a stage would seem quicker
    than it is for one of them.
    """
    import cv2

    before = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        yield
    finally:
        cv2.setNumThreads(before)


def _is_cut_off(data: bytes) -> bool:
    """Whether the end of a JPEG or PNG is missing, which OpenCV fills with gray."""
    if data.startswith(b"\xff\xd8"):
        # A thumbnail at the beginning has its own end marker
        return data.rfind(b"\xff\xd9") < len(data) // 2
    if data.startswith(b"\x89PNG"):
        return b"IEND" not in data[-64 * 1024 :]
    return False
