from __future__ import annotations

import logging
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daemon.frames import Frame, RgbImage
from daemon.sources import folder
from daemon.sources.folder import FolderSource, read_picture
from updater.errors import SourceError


def grey(level: int, width: int = 64, height: int = 48) -> RgbImage:
    return np.full((height, width, 3), level, np.uint8)


def read_all(source: FolderSource) -> list[Frame]:
    frames = []
    with source:
        while (frame := source.read()) is not None:
            frames.append(frame)
    return frames


def test_pictures_come_in_the_order_of_their_names_at_the_rate_asked_for(tmp_path: Path) -> None:
    for name, level in (("b.png", 20), ("a.jpg", 10), ("C.PNG", 5), ("notes.txt", 0)):
        if name.endswith("txt"):
            (tmp_path / name).write_text("no picture")
        else:
            Image.fromarray(grey(level)).save(tmp_path / name)
    (tmp_path / "d.png").mkdir()  # a folder, whatever its name

    frames = read_all(FolderSource(tmp_path, frames_per_second=2))

    assert [round(float(frame.picture.rgb().mean())) for frame in frames] == [5, 10, 20]
    assert [frame.media_time_s for frame in frames] == [0.0, 0.5, 1.0]
    assert [frame.sequence for frame in frames] == [0, 1, 2]


def test_unreadable_pictures_are_counted_named_and_left_out(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    Image.fromarray(grey(1)).save(tmp_path / "1.png")
    whole = tmp_path / "3.png"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (48, 64, 3), np.uint8)).save(whole)
    (tmp_path / "2.jpg").write_bytes(b"no picture")
    (tmp_path / "4.png").write_bytes(whole.read_bytes()[:200])
    source = FolderSource(tmp_path, frames_per_second=1)

    with caplog.at_level(logging.ERROR):
        frames = read_all(source)

    assert [frame.media_time_s for frame in frames] == [0.0, 2.0]  # the gap stays a gap
    assert source.damaged == 2
    assert "2.jpg" in caplog.text
    assert "4.png" in caplog.text
    assert "2 unreadable pictures" in caplog.text


def test_a_folder_without_one_readable_picture_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "1.jpg").write_bytes(b"no picture")
    with pytest.raises(SourceError, match="none of its 1 pictures"):
        read_all(FolderSource(tmp_path, frames_per_second=1))


def test_an_empty_and_an_absent_folder_are_errors(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="contains no pictures"):
        FolderSource(tmp_path, frames_per_second=1).__enter__()
    with pytest.raises(SourceError, match="no such folder"):
        FolderSource(tmp_path / "absent", frames_per_second=1).__enter__()


def test_one_picture_alone_is_a_source_too(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(grey(9)).save(path)
    assert len(read_all(FolderSource(path, frames_per_second=1))) == 1


def test_an_interrupted_source_ends(tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(grey(number)).save(tmp_path / f"{number}.png")
    with FolderSource(tmp_path, frames_per_second=1) as source:
        assert source.read() is not None
        source.interrupt()
        assert source.read() is None


@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_exif_orientation_is_followed(tmp_path: Path, orientation: int) -> None:
    upright = np.zeros((40, 80, 3), np.uint8)
    upright[:20, :40] = 250  # top left
    # How a camera held so would have stored it: the inverse of what the tag asks for
    # (EXIF 2.3, table of tag 274).
    stored = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: upright.transpose(1, 0, 2)[::-1, ::-1],
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[274] = orientation
    path = tmp_path / "a.jpg"
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif, quality=95)

    assert np.abs(read_picture(path).astype(int) - upright).mean() < 3


@pytest.mark.parametrize("mode", ["L", "P", "RGBA", "CMYK", "1", "LA"])
def test_any_mode_becomes_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / ("a.jpg" if mode == "CMYK" else "a.png")
    Image.fromarray(grey(255)).convert(mode).save(path)
    picture = read_picture(path)
    assert picture.shape == (48, 64, 3)
    assert picture.dtype == np.uint8
    assert picture.min() > 245


def test_too_large_a_picture_is_refused_before_it_is_decoded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(grey(0, 100, 100)).save(path)
    monkeypatch.setattr(folder, "MAX_PIXELS", 9_999)
    with pytest.raises(SourceError, match="100x100 is too large"):
        read_picture(path)


def test_a_picture_that_claims_a_gigapixel_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "bomb.bmp"
    Image.fromarray(grey(0)).save(path)
    data = bytearray(path.read_bytes())
    data[18:26] = (40_000).to_bytes(4, "little") * 2  # width and height in a BMP's header
    path.write_bytes(data)
    with pytest.raises(SourceError, match="too large"):
        read_picture(path)


def test_absent_picture(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="no such file"):
        read_picture(tmp_path / "a.png")
