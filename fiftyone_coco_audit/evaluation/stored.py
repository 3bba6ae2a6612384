"""Evaluations as text, kept with their runs: nothing is matched twice.

The text is a value of FiftyOne's own results in the database, so it is renamed, cloned
and deleted with them. FiftyOne ignores it.
"""

from __future__ import annotations

import json
import zipfile
from base64 import b64decode, b64encode
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fiftyone_coco_audit.display import ShortRepr
from fiftyone_coco_audit.evaluation.matching import Matches
from fiftyone_coco_audit.evaluation.metrics import Evaluation, accumulate
from fiftyone_coco_audit.evaluation.pairs import Pairs
from fiftyone_coco_audit.evaluation.settings import Settings
from fiftyone_coco_audit.objects import Objects
from fiftyone_coco_audit.wording import counted

# Number of the layout, to be raised when it changes
_LAYOUT = 1

# Rows of positions fit in 32 bits, and FiftyOne keeps far fewer labels
_SMALL = {np.dtype(np.int64): np.int32}


@dataclass(frozen=True, repr=False)
class EvaluatedRows(ShortRepr):
    """The samples and labels that the rows of an evaluation stand for.

    Attributes:
        classes: names of the classes
        sample_ids: ids of the samples, in the order of the dataset
        image: ``(N,)`` position of each sample among the images of the evaluation
        truth_ids: ``(M,)`` id of the label of each ground-truth object
        prediction_ids: ``(D,)`` id of the label of each prediction
    """

    classes: tuple[str, ...]
    sample_ids: NDArray[np.object_]
    image: NDArray[np.int64]
    truth_ids: NDArray[np.object_]
    prediction_ids: NDArray[np.object_]

    def _about(self) -> str:
        return f"of {counted(len(self.sample_ids), 'image')}"

    @property
    def sample(self) -> NDArray[np.int64]:
        """``(N,)`` position of each image of the evaluation among the samples."""
        return np.argsort(self.image)

    def of_images(
        self, evaluation: Evaluation, images: NDArray[np.bool_]
    ) -> EvaluatedRows:
        """The rows of an evaluation of some of the images.

        Args:
            evaluation: the evaluation of all
            images: ``(num_images,)`` which images
        """
        keep = images[self.image]
        return EvaluatedRows(
            classes=self.classes,
            sample_ids=self.sample_ids[keep],
            image=(np.cumsum(images) - 1)[self.image[keep]],
            truth_ids=self.truth_ids[images[evaluation.truth.image]],
            prediction_ids=self.prediction_ids[images[evaluation.predictions.image]],
        )


def evaluation_as_text(evaluation: Evaluation, rows: EvaluatedRows) -> str:
    """An evaluation as text.

    Masks are left out: all that is asked of them is in the pairs.

    Args:
        evaluation: an evaluation of columns
        rows: the samples and labels of its rows
    """
    matches = evaluation.matches
    about = {
        "layout": _LAYOUT,
        "settings": asdict(evaluation.settings),
        "num_images": evaluation.num_images,
        "num_categories": evaluation.num_categories,
        "classes": rows.classes,
    }
    arrays: dict[str, NDArray] = {
        "about": np.frombuffer(json.dumps(about).encode(), np.uint8),
        "sample_ids": _as_bytes(rows.sample_ids),
        "image": rows.image,
        "truth_ids": _as_bytes(rows.truth_ids),
        "prediction_ids": _as_bytes(rows.prediction_ids),
        "ignored": np.packbits(evaluation.ignored, axis=1),
        **_columns("truth", evaluation.truth),
        **_columns("predictions", evaluation.predictions),
        **_columns("pairs", evaluation.pairs),
        "matches.predictions": matches.predictions,
        "matches.rank": matches.rank,
        "matches.candidates": matches.candidates,
        # Thresholds side by side, as they mostly agree
        "matches.truth": np.ascontiguousarray(matches.truth.transpose(2, 0, 1)),
        "matches.overlap": np.ascontiguousarray(matches.overlap.T),
    }
    small = {
        name: values.astype(_SMALL.get(values.dtype, values.dtype), copy=False)
        for name, values in arrays.items()
    }
    buffer = BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, values in small.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, values, allow_pickle=False)
    return b64encode(buffer.getvalue()).decode()


def evaluation_from_text(text: str) -> tuple[Evaluation, EvaluatedRows] | None:
    """What :func:`evaluation_as_text` made a text of.

    Args:
        text: the text

    Returns:
        a tuple of the evaluation and the samples and labels of its rows, None if
        another version of this package wrote the text
    """
    with np.load(BytesIO(b64decode(text)), allow_pickle=False) as archive:
        about = json.loads(archive["about"].tobytes())
        if about["layout"] != _LAYOUT:
            return None
        arrays = {name: _wide(archive[name]) for name in archive.files}
    settings = Settings.from_dict(about["settings"])
    truth, predictions = (
        Objects(**_of(arrays, side)) for side in ("truth", "predictions")
    )
    matched = arrays["matches.truth"].transpose(1, 2, 0)
    evaluation = accumulate(
        truth,
        predictions,
        Pairs(**_of(arrays, "pairs")),
        Matches(
            predictions=arrays["matches.predictions"],
            rank=arrays["matches.rank"],
            candidates=arrays["matches.candidates"],
            truth=np.ascontiguousarray(matched).astype(np.int32),
            overlap=np.ascontiguousarray(arrays["matches.overlap"].T),
        ),
        np.unpackbits(arrays["ignored"], axis=1, count=len(truth)).astype(bool),
        num_images=about["num_images"],
        num_categories=about["num_categories"],
        settings=settings,
    )
    rows = EvaluatedRows(
        classes=tuple(about["classes"]),
        sample_ids=_as_ids(arrays["sample_ids"]),
        image=arrays["image"],
        truth_ids=_as_ids(arrays["truth_ids"]),
        prediction_ids=_as_ids(arrays["prediction_ids"]),
    )
    return evaluation, rows


def _columns(name: str, table: Objects | Pairs) -> dict[str, NDArray]:
    values = {field.name: getattr(table, field.name) for field in fields(table)}
    return {
        f"{name}.{column}": array
        for column, array in values.items()
        if isinstance(array, np.ndarray)
    }


def _of(arrays: Mapping[str, NDArray], name: str) -> dict[str, Any]:
    return {
        path.removeprefix(f"{name}."): values
        for path, values in arrays.items()
        if path.startswith(f"{name}.")
    }


def _wide(values: NDArray) -> NDArray:
    return values.astype(np.int64) if values.dtype == np.int32 else values


def _as_bytes(ids: NDArray[np.object_]) -> NDArray[np.uint8]:
    """ObjectIds in hexadecimal as ``(N, 12)`` bytes."""
    return np.frombuffer(bytes.fromhex("".join(ids)), np.uint8).reshape(-1, 12)


def _as_ids(values: NDArray[np.uint8]) -> NDArray[np.object_]:
    text = values.tobytes().hex()
    ids = [text[start : start + 24] for start in range(0, len(text), 24)]
    return np.array(ids, dtype=object)
