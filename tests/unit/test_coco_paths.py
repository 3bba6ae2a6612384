"""Matching of predictions to images by their file names."""

import os

import pytest

from fiftyone_coco_audit import CocoAuditError
from fiftyone_coco_audit.coco.paths import ImageFolder, match_file_names, unique_stems

PATHS = [
    "/data/a.jpg",
    "/data/sub/a.jpg",
    "/data/sub/b.jpg",
    "/data/x/c.jpg",
    "/data/y/c.jpg",
]


def test_a_name_means_the_image_that_lies_least_deep():
    assert match_file_names(["a.jpg", "sub/a.jpg", "/data/a.jpg"], PATHS) == [0, 1, 0]


def test_names_may_be_written_with_backslashes_and_dots():
    assert match_file_names(["sub\\b.jpg", "./sub/b.jpg", "b.jpg"], PATHS) == [2, 2, 2]


def test_names_of_no_image_or_of_two():
    names = ["d.jpg", "other/a.jpg", "c.jpg", "ub/a.jpg", "jpg", ""]

    assert match_file_names(names, PATHS) == [None] * len(names)


def test_stems_that_two_images_share_are_left_out():
    assert unique_stems(PATHS) == {"b": 2}


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(CocoAuditError, match=r"cannot be read \(Permission denied\)"):
        ImageFolder(tmp_path)
