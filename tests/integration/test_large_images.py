"""Images whose labels come near to what MongoDB can store of one sample."""

from __future__ import annotations

import json
from pathlib import Path

import fiftyone as fo
import fiftyone.core.odm as foo
import numpy as np
import pytest

import fiftyone_coco_audit as ca

# So many that the overlaps of one class are few
CLASSES = 250
SIDE = 4096


def crowded(folder: Path, objects: int, predictions: int) -> fo.Dataset:
    """One image with very many labels, and predictions that each find an object."""
    rows = np.arange(objects)
    columns = int(np.ceil(objects**0.5))
    step = SIDE / columns
    corner = np.stack([rows % columns, rows // columns], axis=1) * step
    boxes = np.round(np.concatenate([corner, np.full_like(corner, step / 2)], 1), 2)
    records = [
        {"image_id": 1, "category_id": row % CLASSES + 1, "bbox": box}
        for row, box in enumerate(boxes.tolist())
    ]
    area = round(step * step / 4, 2)
    truth = {
        "images": [{"id": 1, "file_name": "a.png", "width": SIDE, "height": SIDE}],
        "categories": [{"id": n + 1, "name": f"cell {n}"} for n in range(CLASSES)],
        "annotations": [
            {**record, "id": row + 1, "area": area, "iscrowd": 0}
            for row, record in enumerate(records)
        ],
    }
    found = [{**record, "score": 0.5} for record in records[:predictions]]
    (folder / "gt.json").write_text(json.dumps(truth))
    (folder / "found.json").write_text(json.dumps(found))
    return ca.import_coco(
        folder / "gt.json",
        None,
        predictions=folder / "found.json",
        name="one large image",
        overwrite=True,
        progress=False,
    )


def megabytes(dataset: fo.Dataset) -> float:
    size = {"$project": {"bytes": {"$bsonSize": "$$ROOT"}}}
    (found,) = dataset._sample_collection.aggregate([size])
    return found["bytes"] / 2**20


def test_evaluating_again_fits_where_the_first_evaluation_does(
    mongodb: str, tmp_path: Path
) -> None:
    dataset = crowded(tmp_path, 50_000, 12_500)
    ca.evaluate(dataset, progress=False)
    # The values of another evaluation would not fit beside those of this one
    first = megabytes(dataset)
    assert 14 < first < 16
    results = ca.evaluate(dataset, iou_thresholds=[0.5], progress=False)
    assert dataset.values("eval_tp") == [12_500]
    assert megabytes(dataset) == pytest.approx(first, abs=0.01)
    assert dataset.get_evaluation_info("eval").config.iou == 0.5
    assert results.key == "eval"


def test_what_does_not_fit_is_refused_before_anything_is_written(
    mongodb: str, tmp_path: Path
) -> None:
    dataset = crowded(tmp_path, 60_000, 15_000)
    before = megabytes(dataset)
    fields = sorted(dataset.get_field_schema(flat=True))
    said = r"takes 18\.\d MB, but MongoDB allows 16 MB per image.*Nothing was"
    with pytest.raises(ca.CocoAuditError, match=said):
        ca.evaluate(dataset, progress=False)
    assert megabytes(dataset) == before
    assert sorted(dataset.get_field_schema(flat=True)) == fields
    assert dataset.list_evaluations() == []
    names = foo.get_db_conn().list_collection_names()
    assert not [name for name in names if name.startswith("coco_audit.values")]
