from __future__ import annotations

import io
import json
from pathlib import Path

import pytest

from daemon.captures import pairs
from daemon.captures.buffer import CaptureBuffer
from daemon.captures.reasons import CaptureReason
from tests.support.captures import SetClock, config, decision, jpeg
from tests.support.users import acting_as, open_folder
from updater import captures as stored
from updater.capturelock import mark_stored
from updater.errors import BusyError, StorageError
from updater.upload.folder import DamagedError, GoneError, checked, exclusive, scan


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three captures, worth 0.2, 0.5 (random), 0.8."""
    folder = tmp_path / "captures"
    buffer = CaptureBuffer(config(folder), "cam-1", clock=SetClock().clock())
    for number, (reason, value) in enumerate(
        [
            (CaptureReason.UNCERTAIN_SCORE, 0.2),
            (CaptureReason.RANDOM, 0.5),
            (CaptureReason.BLINKING, 0.8),
        ]
    ):
        buffer.store(decision(reason=reason, value=value, sequence=number), jpeg(number))
    return folder


def names(folder: Path) -> list[str]:
    return stored.complete_names(path.name for path in folder.iterdir())


def test_what_is_there(folder: Path) -> None:
    found = scan(folder)
    assert [one.name for one in found.candidates] == names(folder)
    assert [one.value for one in found.candidates] == [0.2, 0.5, 0.8]
    assert [one.random for one in found.candidates] == [False, True, False]
    sizes = [
        sum((folder / f"{name}{suffix}").stat().st_size for suffix in (".jpg", ".json"))
        for name in names(folder)
    ]
    assert [one.size_bytes for one in found.candidates] == sizes
    assert not found.damaged


def test_what_is_marked_halved_or_foreign_is_passed_over(folder: Path) -> None:
    first, second, third = names(folder)
    mark_stored(folder, first, timeout_s=1)
    (folder / f"{second}.jpg").unlink()
    (folder / "holiday.jpg").write_bytes(b"x")
    (folder / "holiday.json").write_text("{}")
    assert [one.name for one in scan(folder).candidates] == [third]


def test_damaged_sidecars_are_told(folder: Path) -> None:
    first, second, third = names(folder)
    (folder / f"{first}.json").write_text("{")
    raw = json.loads((folder / f"{second}.json").read_text())
    (folder / f"{second}.json").write_text(json.dumps(raw | {"device": ".."}))
    (folder / f"{third}.json").write_text(json.dumps(raw))
    found = scan(folder)
    assert not found.candidates
    whats = [str(problem) for problem in found.damaged]
    assert "not JSON" in whats[0]
    assert "'..' is not the name of a device" in whats[1]
    assert f"describes {second}" in whats[2]


def test_a_checked_capture_stays_open(folder: Path) -> None:
    name = names(folder)[0]
    data = (folder / f"{name}.json").read_bytes()
    with checked(folder, name) as capture:
        pairs.remove(folder, name)
        assert capture.picture.read() == jpeg(0)
        assert capture.sidecar_file.read() == capture.sidecar_bytes == data
        assert capture.sidecar_sha256 == stored.sha256_of(data)
        assert capture.size_bytes == len(data) + len(jpeg(0))
        assert isinstance(capture.picture, io.BufferedReader)


@pytest.mark.parametrize("damage", ["flip", "longer", "shorter"])
def test_a_damaged_picture(folder: Path, damage: str) -> None:
    path = folder / f"{names(folder)[0]}.jpg"
    data = bytearray(path.read_bytes())
    if damage == "flip":
        data[len(data) // 2] ^= 1
    path.write_bytes({"flip": data, "longer": data + b"x", "shorter": data[:-1]}[damage])
    with pytest.raises(DamagedError, match="size or sha256 differ"), checked(folder, path.stem):
        pass


@pytest.mark.parametrize("suffix", [".jpg", ".json"])
def test_a_capture_that_has_gone(folder: Path, suffix: str) -> None:
    name = names(folder)[0]
    (folder / f"{name}{suffix}").unlink()
    with pytest.raises(GoneError), checked(folder, name):
        pass


def test_a_link_is_not_followed(folder: Path, tmp_path: Path) -> None:
    path = folder / f"{names(folder)[0]}.jpg"
    path.rename(tmp_path / "elsewhere.jpg")
    path.symlink_to(tmp_path / "elsewhere.jpg")
    with pytest.raises(StorageError, match="cannot be opened"), checked(folder, path.stem):
        pass


def test_two_uploads_of_one_folder(folder: Path) -> None:
    with exclusive(folder):
        with pytest.raises(BusyError, match="another upload is at work"), exclusive(folder):
            pass
        assert mark_stored(folder, names(folder)[0], timeout_s=1), "the daemon's lock is another"
    with exclusive(folder):
        pass


def test_a_folder_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="no such folder"), exclusive(tmp_path / "none"):
        pass
    with pytest.raises(StorageError, match="cannot be read"):
        scan(tmp_path / "none")


def test_pictures_that_this_user_may_not_read_are_an_error_and_no_damage() -> None:
    with open_folder() as parent:
        folder = parent / "captures"
        buffer = CaptureBuffer(config(folder), "cam-1", clock=SetClock().clock())
        name = buffer.store(decision(), jpeg()).name
        folder.chmod(0o777)
        with acting_as(64_002, 64_002):
            with pytest.raises(StorageError, match="Permission denied") as caught:
                scan(folder)
            with pytest.raises(StorageError, match="Permission denied"), checked(folder, str(name)):
                pass
        assert not isinstance(caught.value, DamagedError)
