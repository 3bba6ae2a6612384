"""Image files that another machine named: found where one is meant, else explained."""

import os
import socket
from unicodedata import normalize

import pytest
from PIL import Image

from fiftyone_coco_audit import CocoAuditError
from fiftyone_coco_audit.coco import rules
from fiftyone_coco_audit.coco.file_names import NONE, SEVERAL, meanings
from fiftyone_coco_audit.coco.images import read_images
from fiftyone_coco_audit.coco.paths import ImageFolder, NoImageFolder, read_size
from fiftyone_coco_audit.coco.report import ProblemLog
from fiftyone_coco_audit.files import NO_IMAGES, open_file

PATHS = [
    "/data/a.jpg",
    "/data/sub/a.jpg",
    "/data/sub/b.jpg",
    "/data/x/c.jpg",
    "/data/y/c.jpg",
]


def rows(names, paths=PATHS, **options):
    return [found.row_or_code for found in meanings(names, paths, **options)]


def write(folder, *names):
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (20, 10)).save(path)


def read(folder, *names):
    log = ProblemLog("x.json", "ground_truth")
    records = [
        {"id": n, "file_name": name, "width": 20, "height": 10}
        for n, name in enumerate(names)
    ]
    return read_images(records, folder, log), log


def test_a_name_means_the_image_that_lies_least_deep():
    names = ["a.jpg", "sub/a.jpg", "/data/a.jpg"]

    assert rows(names, certain=True, least_deep=True) == [0, 1, 0]
    assert rows(names, certain=True) == [SEVERAL, 1, 0]


def test_names_may_be_written_with_backslashes_and_dots():
    names = ["sub\\b.jpg", "./sub/b.jpg", "b.jpg"]

    assert rows(names, certain=True) == [2, 2, 2]


def test_names_of_no_image_or_of_two():
    names = ["d.jpg", "other/a.jpg", "c.jpg", "ub/a.jpg", "jpg", "", "/", ".."]

    assert rows(names, certain=True, least_deep=True) == [
        NONE,
        SEVERAL,
        SEVERAL,
        SEVERAL,
        *[NONE] * 4,
    ]


def test_a_guess_gives_no_file_to_two_names():
    assert rows(["x/b.jpg"]) == [2]
    assert rows(["x/b.jpg", "y/b.jpg"]) == [SEVERAL, SEVERAL]
    assert rows(["sub/b.jpg", "y/b.jpg"], certain=True) == [2, SEVERAL]
    assert rows(["x/b.jpg"], claimed=[2]) == [SEVERAL]


FOREIGN = {
    "backslashes": "sub\\b c.png",
    "absolute": "/home/ann/set/b c.png",
    "up": "../../b c.png",
    "drive": "C:\\Users\\Ann\\b c.png",
    "drive-slash": "d:/set/b c.png",
    "share": "\\\\server\\set\\b c.png",
    "url": "https://example.com/set/b%20c.png",
    "url-query": "https://example.com/b%20c.png?width=5#top",
    "bucket": "s3://bucket/set/b c.png",
    "firebase": "https://host/o/set%2Fb%20c.png?alt=media",
    "label-studio": "/data/local-files/?d=set/b%20c.png",
    "percent": "b%20c.png",
    "case": "B C.PNG",
    "case-and-drive": "C:\\B C.PNG",
    "other-folder": "images/b c.png",
}


@pytest.mark.parametrize("name", FOREIGN.values(), ids=FOREIGN)
def test_paths_of_another_machine(name, tmp_path):
    write(tmp_path, "a.png", "sub/b c.png")
    images, log = read(ImageFolder(tmp_path), "a.png", name)

    assert images.filepaths == [f"{tmp_path}/a.png", f"{tmp_path}/sub/b c.png"]
    assert not images.missing.any()
    (problem,) = log.problems
    assert (problem.code, problem.records) == (rules.FILE_FOUND_BY_NAME.code, 1)
    assert repr(name) in problem.reason


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_accents_in_two_forms(forms, tmp_path):
    there, named = (normalize(form, "Zoë.png") for form in forms)
    write(tmp_path, there)
    images, log = read(ImageFolder(tmp_path), f"/x/{named}")

    assert images.filepaths == [f"{tmp_path}/{there}"]
    assert [p.code for p in log.problems] == [rules.FILE_FOUND_BY_NAME.code]


def test_one_note_for_all(tmp_path):
    write(tmp_path, *[f"{n}.png" for n in range(9)])
    images, log = read(ImageFolder(tmp_path), *[f"D:\\set\\{n}.png" for n in range(9)])

    assert not images.missing.any()
    assert [p.records for p in log.problems] == [9]


def test_of_several_files_the_folders_above_decide(tmp_path):
    write(tmp_path, "train/a.png", "val/a.png")
    images, _ = read(ImageFolder(tmp_path), "C:\\set\\val\\a.png", "/x/train/a.png")

    assert images.filepaths == [f"{tmp_path}/val/a.png", f"{tmp_path}/train/a.png"]


@pytest.mark.parametrize(
    ("files", "names", "sentence"),
    [
        (
            ["x/a.png", "y/a.png"],
            ["C:\\a.png"],
            "the folder has 2 files of that name, x/a.png and y/a.png",
        ),
        (
            ["x/a.png", "y/a.png"],
            ["a.png"],
            "the folder has 2 files of that name, x/a.png and y/a.png",
        ),
        (
            ["A.png", "a.PNG"],
            ["a.png"],
            "the folder has 2 files of that name, A.png and a.PNG",
        ),
        (
            ["b.png", "c.png"],
            ["/x/a.png"],
            "the folder has no file of that name among its 2 files, such as b.png",
        ),
        ([], ["a.png"], "the folder has no files"),
        ([], ["/x/a.png"], "the folder has no files"),
        (
            ["train/a.png"],
            ["train/a.png", "val/a.png"],
            "the only file of that name, train/a.png, may belong to another image",
        ),
        (
            ["a.png"],
            ["C:\\a.png", "D:\\a.png"],
            "the only file of that name, a.png, may belong to another image",
        ),
    ],
)
def test_what_the_folder_holds_is_said(files, names, sentence, tmp_path):
    write(tmp_path, *files)
    images, log = read(ImageFolder(tmp_path), *names)

    assert images.missing[-1]
    assert sentence in log.problems[-1].reason
    assert images.filepaths[-1].startswith(f"{tmp_path}/")


def test_a_folder_of_very_many_files_is_not_searched(tmp_path, monkeypatch):
    monkeypatch.setattr("fiftyone_coco_audit.coco.paths._MOST_FILES", 1)
    write(tmp_path, "a.png", "b.png")
    images, log = read(ImageFolder(tmp_path), "a.png", "/x/b.png")

    assert images.missing.tolist() == [False, True]
    assert "has over 1 files, so it was not searched" in log.problems[0].reason


def test_hidden_files_are_no_candidates(tmp_path):
    write(tmp_path, "a.png", ".cache/a.png")
    images, _ = read(ImageFolder(tmp_path), "/x/a.png")

    assert images.filepaths == [f"{tmp_path}/a.png"]


def make_loop(path):
    path.symlink_to(path.name)


def make_dangling(path):
    path.symlink_to("nowhere.png")


def make_socket(path):
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(os.path.relpath(path))


SPECIAL = {
    "loop": (make_loop, "it is a symbolic link that leads back to itself"),
    "dangling": (make_dangling, "it is a symbolic link to nowhere.png, which does not"),
    "pipe": (os.mkfifo, "it is a named pipe, not a file"),
    "device": (lambda path: path.symlink_to("/dev/zero"), "it is a device, not a file"),
    "socket": (make_socket, "it is a socket, not a file"),
    "folder": (os.mkdir, "it is a folder, not a file"),
}


@pytest.mark.parametrize(("make", "reason"), SPECIAL.values(), ids=SPECIAL)
def test_only_regular_files_are_files(make, reason, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path, "b.png")
    make(tmp_path / "a.png")
    images, log = read(ImageFolder(tmp_path), "a.png", "b.png")

    assert images.missing.tolist() == [True, False]
    (problem,) = log.problems
    assert problem.code == rules.MISSING_FILE.code
    assert reason in problem.reason
    assert read_size(f"{tmp_path}/a.png") is None
    with pytest.raises(OSError, match=reason):
        open_file(tmp_path / "a.png")


def test_links_to_files_are_followed_and_loops_of_folders_end(tmp_path):
    outside, folder = tmp_path / "store", tmp_path / "images"
    write(outside, "0f3a.png", "more/c.png")
    folder.mkdir()
    (folder / "a.png").symlink_to(outside / "0f3a.png")
    (folder / "linked").symlink_to(outside / "more")
    (folder / "again").symlink_to(folder)
    images, _ = read(ImageFolder(folder), "a.png", "linked/c.png", "/x/none.png")

    assert images.missing.tolist() == [False, False, True]
    assert images.filepaths[:2] == [f"{folder}/a.png", f"{folder}/linked/c.png"]


def test_without_a_folder_nothing_is_looked_for():
    images, log = read(NoImageFolder(), "a.png", "/etc/passwd", "C:\\x\\b.png", "../c")

    assert not images.missing.any()
    assert images.filepaths == [
        f"{NO_IMAGES}/{name}" for name in ("a.png", "etc/passwd", "x/b.png", "c")
    ]
    assert [(p.code, p.records) for p in log.problems] == [("CA142", 4)]


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_a_size_from_a_file_is_the_shown_one(orientation, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.new("RGB", (40, 20)).save(tmp_path / "a.jpg", exif=exif)

    shown = (20, 40) if orientation > 4 else (40, 20)
    assert read_size(f"{tmp_path}/a.jpg") == shown


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"no image",
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"\0\0\0\x1cftypavif\0\0\0\0avifmif1miafMA1B",
    ],
)
def test_a_broken_file_has_no_size(data, tmp_path):
    (tmp_path / "a.avif").write_bytes(data)

    assert read_size(f"{tmp_path}/a.avif") is None


def test_a_broken_avif_without_a_size_does_not_stop_the_import(tmp_path):
    write(tmp_path, "b.png")
    Image.new("RGB", (64, 64), "red").save(tmp_path / "whole.avif")
    data = bytearray((tmp_path / "whole.avif").read_bytes())
    data[data.index(b"meta") + 40 :] = b"\xff" * 9
    (tmp_path / "a.avif").write_bytes(data)
    log = ProblemLog("x.json", "ground_truth")
    images = read_images(
        [{"id": 1, "file_name": "a.avif"}, {"id": 2, "file_name": "b.png"}],
        ImageFolder(tmp_path),
        log,
    )

    assert images.ids == [2]
    assert [p.code for p in log.problems] == ["CA106", "CA134"]


@pytest.mark.parametrize(
    ("record", "path", "codes"),
    [
        ({"coco_url": "http://host/val2017/a.png"}, "val2017/a.png", ["CA141"]),
        ({"coco_url": "http://host/x/a.png"}, "val2017/a.png", ["CA141", "CA140"]),
        ({"coco_url": "a.png", "file_name": "val2017/a.png"}, "val2017/a.png", []),
    ],
)
def test_lvis_names_files_by_their_urls(record, path, codes, tmp_path):
    write(tmp_path, "val2017/a.png")
    log = ProblemLog("lvis.json", "ground_truth")
    record = {"id": 1, "width": 20, "height": 10, **record}
    images = read_images([record], ImageFolder(tmp_path), log)

    assert images.filepaths == [f"{tmp_path}/{path}"]
    assert [p.code for p in log.problems] == codes


def test_a_folder_that_cannot_be_read(tmp_path, monkeypatch):
    def refuse(path):
        raise PermissionError(13, "Permission denied", path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(CocoAuditError, match=r"cannot be read \(Permission denied\)"):
        ImageFolder(tmp_path)
