"""Which file is meant: by hash, by path, by nothing less; and what a picture is."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest
from PIL import Image

from scripts.labelling import pictures
from scripts.labelling.captures import day_in_path
from scripts.labelling.index import NotFoundError, PictureIndex, group_on_disk
from scripts.labelling.picture import Entry
from scripts.labelling.pictures import PictureError, measure, open_upright
from scripts.labelling.problems import LabellingError
from scripts.labelling.references import parts
from tests.support.labelled import jpeg, scene, write_capture, write_picture
from updater.errors import StorageError


def named(reference: str, sha256: str | None = None) -> Entry:
    return Entry(reference, (), "somewhere", sha256=sha256)


@pytest.mark.parametrize(
    ("reference", "folders"),
    [
        ("s3://bucket/cam%201/a.jpg", ("cam 1", "a.jpg")),
        ("https://x.y/cam/a.jpg?X-Amz-Signature=b.jpg#c", ("cam", "a.jpg")),
        ("/data/local-files/?d=cam%201/a.jpg", ("cam 1", "a.jpg")),
        ("/data/upload/3/0a1b2c3d-a.jpg", ("data", "upload", "3", "0a1b2c3d-a.jpg")),
        ("C:\\cam\\a.jpg", ("C:", "cam", "a.jpg")),
        ("../../cam/./a 100%.jpg", ("cam", "a 100%.jpg")),
        ("https://[bad/a.jpg", ("https:", "[bad", "a.jpg")),
        ("", ()),
    ],
)
def test_what_can_be_compared_of_a_reference(reference: str, folders: tuple[str, ...]) -> None:
    assert parts(reference) == folders


def test_equal_names_are_told_apart_by_their_folders(tmp_path: Path) -> None:
    first = write_picture(tmp_path / "cam1" / "a.jpg", 1)
    second = write_picture(tmp_path / "cam2" / "a.jpg", 2)
    index = PictureIndex([tmp_path])
    assert index.find(named("s3://bucket/site/cam1/a.jpg")) == first
    assert index.find(named("cam2/a")) == second
    with pytest.raises(NotFoundError, match=r"2 pictures may be meant by 'a\.jpg'"):
        index.find(named("a.jpg"))
    with pytest.raises(NotFoundError, match="no picture called"):
        index.find(named("cam1/b.jpg"))
    with pytest.raises(NotFoundError, match="no picture called"):
        index.find(named("cam1/a.png"))


def test_a_picture_of_that_name_in_another_folder_is_another_picture(tmp_path: Path) -> None:
    write_picture(tmp_path / "cam2" / "a.jpg", 2)
    flat = write_picture(tmp_path / "b.jpg", 3)
    index = PictureIndex([tmp_path])
    with pytest.raises(NotFoundError, match=r"no picture called 'a\.jpg'"):
        index.find(named("s3://bucket/cam1/a.jpg"))
    assert index.find(named("a.jpg")).parent.name == "cam2"
    assert index.find(named("s3://bucket/cam1/b.jpg")) == flat


def test_copies_of_one_photograph_are_not_in_doubt(tmp_path: Path) -> None:
    write_picture(tmp_path / "cam1" / "a.jpg", 1)
    write_picture(tmp_path / "cam2" / "a.jpg", 1)
    assert PictureIndex([tmp_path, tmp_path / "cam1"]).find(named("a.jpg")).name == "a.jpg"


def test_a_hash_finds_whatever_the_name_and_never_falls_back_to_it(tmp_path: Path) -> None:
    file = write_picture(tmp_path / "a.jpg", 1)
    digest = hashlib.sha256(file.read_bytes()).hexdigest()
    index = PictureIndex([tmp_path])
    assert index.find(named("other.jpg", digest)) == file
    assert index.find(named(f"cam-1.20261122.{digest}")) == file
    with pytest.raises(NotFoundError, match="no picture with sha256 abab"):
        index.find(named("a.jpg", "ab" * 32))


def test_names_that_label_studio_made_of_uploads(tmp_path: Path) -> None:
    file = write_picture(tmp_path / "my photo.jpg", 1)
    index = PictureIndex([tmp_path])
    assert index.find(named("/data/upload/3/0a1b2c3d-my%20photo.jpg")) == file
    assert index.find(named("0a1b2c3d-my photo")) == file


def test_a_folder_that_is_none_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LabellingError, match="no such folder"):
        PictureIndex([tmp_path / "absent"])


def test_a_group_is_a_camera_and_a_day(tmp_path: Path) -> None:
    picture = write_capture(tmp_path, 1, device="cam-2", day=21)
    assert group_on_disk(picture) == "cam-2/2026-11-21"
    picture.with_suffix(".json").unlink()
    assert group_on_disk(picture) == "cam-2/2026-11-21"
    assert group_on_disk(write_picture(tmp_path / "a.jpg", 2)) is None


def test_a_damaged_sidecar_is_no_group(tmp_path: Path) -> None:
    picture = write_capture(tmp_path, 1)
    picture.with_suffix(".json").write_text("{}")
    with pytest.raises(StorageError):
        group_on_disk(picture)


@pytest.mark.parametrize(
    "path", ["cam/2026/13/01/a.jpg", "cam/2026/1/1/a.jpg", "2026/11/22/a.jpg", "a/b/c/d/e.jpg"]
)
def test_folders_that_are_no_day(path: str) -> None:
    assert day_in_path(Path(path)) is None


def test_a_picture_is_measured_as_it_is_shown(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    scene(1).save(tmp_path / "turned.jpg", exif=exif)
    scene(1).rotate(-90, expand=True).save(tmp_path / "upright.png")
    turned, upright = measure(tmp_path / "turned.jpg"), measure(tmp_path / "upright.png")
    assert (turned.width, turned.height, turned.suffix) == (180, 320, ".jpg")
    assert (upright.width, upright.height, upright.suffix) == (180, 320, ".png")
    assert (turned.phash ^ upright.phash).bit_count() <= 4
    assert open_upright(tmp_path / "turned.jpg", 64).size[0] < 320


@pytest.mark.parametrize("damage", ["cut", "text", "absent", "gif", "bits"])
def test_what_is_no_whole_picture_is_refused(tmp_path: Path, damage: str) -> None:
    path = tmp_path / "a.jpg"
    data = jpeg(scene(1))
    if damage == "cut":
        path.write_bytes(data[: len(data) // 2])
    elif damage == "text":
        path.write_text("not a picture")
    elif damage == "gif":
        scene(1).save(path, "GIF")
    elif damage == "bits":
        path.write_bytes(data[:20] + b"\xff" * 200 + data[220:])
    with pytest.raises(PictureError):
        measure(path)


def test_a_picture_too_large_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write_picture(tmp_path / "a.jpg", 1)
    monkeypatch.setattr(pictures, "PICTURE_MAX_PIXELS", 100)
    with pytest.raises(PictureError, match="320x180 pixels are too many"):
        measure(path)
    monkeypatch.setattr(pictures, "PICTURE_MAX_BYTES", 100)
    with pytest.raises(PictureError, match="larger than 100 bytes"):
        measure(path)
