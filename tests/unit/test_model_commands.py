"""``sitewatch detect``, ``selftest`` and ``bench`` as the command line calls them."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from daemon.cli import main
from tests.support.models import CLASSES, FOLDER, SCENE, labels, scene, write_bundle

CAMERA_ORIENTATION = 0x0112
"""Number of the EXIF field; 6 means: turn clockwise by 90 degrees to see it upright."""


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    """Names the tiny model; one runtime, so that nothing is measured."""
    return [
        "--model",
        str(FOLDER / "head_maps_int8.tflite"),
        "--labels",
        str(labels(tmp_path)),
        "--runtime",
        "litert",
        "--threads",
        "1",
    ]


@pytest.fixture
def pictures(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    Image.fromarray(scene(4)).save(folder / "a.png")
    Image.fromarray(scene(2)).save(folder / "b.png")
    (folder / "notes.txt").write_text("no picture")
    return folder


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capsys.readouterr().out.splitlines()]


def test_detect_prints_exactly_the_promised_object(
    options: list[str], pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = pictures / "a.png"

    assert main(["detect", *options, "--json", str(path)]) == 0

    (record,) = lines(capsys)
    assert set(record) == {"path", "width", "height", "detections"}
    assert (record["path"], record["width"], record["height"]) == (str(path), 256, 256)
    detections = record["detections"]
    assert isinstance(detections, list)
    assert [set(one) for one in detections] == [{"class", "score", "box"}] * 2
    by_class = {one["class"]: one for one in detections}
    assert set(by_class) == set(CLASSES)
    for name, corners in SCENE:
        assert np.abs(np.array(by_class[name]["box"]) - np.array(corners) * 4).max() < 4
        assert 0.9 < by_class[name]["score"] <= 1


def test_detect_takes_folders_in_the_order_of_their_names(
    options: list[str], pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["detect", *options, "--json", str(pictures)]) == 0
    assert [record["path"] for record in lines(capsys)] == [
        str(pictures / "a.png"),
        str(pictures / "b.png"),
    ]


def test_detect_prints_a_table_for_people(
    options: list[str], pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["detect", *options, str(pictures / "a.png")]) == 0
    head, *rows = capsys.readouterr().out.splitlines()
    assert head == f"{pictures / 'a.png'}  256x256  2 found"
    assert [row.split()[:2] for row in rows] == [["0.99", "red"], ["0.99", "yellow"]]


def test_detect_obeys_the_exif_orientation(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    upright = scene(4)[:192]
    exif = Image.Exif()
    exif[CAMERA_ORIENTATION] = 6
    lying = Image.fromarray(np.rot90(upright))
    lying.save(tmp_path / "phone.jpg", exif=exif, quality=95, subsampling=0)

    assert main(["detect", *options, "--json", str(tmp_path / "phone.jpg")]) == 0

    (record,) = lines(capsys)
    assert (record["width"], record["height"]) == (256, 192)
    detections = record["detections"]
    assert isinstance(detections, list)
    red = next(one for one in detections if one["class"] == "red")
    assert np.abs(np.array(red["box"]) - np.array(SCENE[0][1]) * 4).max() < 6


def test_detect_goes_on_after_pictures_that_cannot_be_read(
    options: list[str], pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    whole = (pictures / "a.png").read_bytes()
    (pictures / "aa_truncated.png").write_bytes(whole[: len(whole) // 2])
    (pictures / "ab_empty.jpg").write_bytes(b"")
    (pictures / "ac_text.jpg").write_text("no picture")
    absent = pictures / "absent.jpg"
    empty = pictures / "empty"
    empty.mkdir()

    code = main(["detect", *options, "--json", str(absent), str(empty), str(pictures)])

    assert code == 6
    printed = capsys.readouterr()
    assert [json.loads(line)["path"] for line in printed.out.splitlines()] == [
        str(pictures / "a.png"),
        str(pictures / "b.png"),
    ]
    complaints = printed.err.splitlines()
    for name in (absent, empty, *(pictures / n for n in (
        "aa_truncated.png", "ab_empty.jpg", "ac_text.jpg"))):  # fmt: skip
        assert len([line for line in complaints if line.startswith(f"sitewatch: {name}:")]) == 1
    assert len(complaints) == 5


def test_detect_refuses_a_decompression_bomb(
    options: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    bomb = tmp_path / "bomb.png"
    Image.new("1", (30_000, 30_000)).save(bomb)
    assert bomb.stat().st_size < 200_000

    assert main(["detect", *options, str(bomb)]) == 6

    assert f"{bomb}: " in capsys.readouterr().err


def test_detect_draws(options: list[str], pictures: Path, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    Image.fromarray(scene(1)).save(other / "a.png")
    out = tmp_path / "new/out"

    assert main(["detect", *options, "--draw", str(out), str(pictures), str(other)]) == 0

    assert sorted(path.name for path in out.iterdir()) == ["a-2.jpg", "a.jpg", "b.jpg"]
    with Image.open(out / "a.jpg") as image:
        assert image.size == (256, 256)


def test_detect_never_draws_over_its_own_pictures(
    options: list[str], pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["detect", *options, "--draw", str(pictures), str(pictures / "a.png")]) == 2
    assert "none of them is overwritten" in capsys.readouterr().err


def test_detect_says_when_a_drawing_cannot_be_written(
    options: list[str], pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = pictures / "notes.txt" / "out"
    assert main(["detect", *options, "--draw", str(out), str(pictures / "a.png")]) == 8
    assert str(out) in capsys.readouterr().err


@pytest.mark.parametrize("value", ["0", "-1", "1.5", "nan", "high"])
def test_detect_checks_the_threshold(value: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["detect", f"--threshold={value}", "x.jpg"])
    assert caught.value.code == 2
    assert "is not a score from 0.001 to 1" in capsys.readouterr().err


def test_detect_takes_a_threshold(
    options: list[str], pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = str(pictures / "a.png")
    assert main(["detect", *options, "--json", "--threshold", "0.999", picture]) == 0
    assert lines(capsys)[0]["detections"] == []
    assert main(["detect", *options, "--json", "--threshold", "0.001", picture]) == 0
    found = lines(capsys)[0]["detections"]
    assert isinstance(found, list)
    assert len(found) >= 2


def test_detect_names_an_unknown_layout(
    options: list[str], pictures: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options[1] = str(FOLDER / "classifier_int8.tflite")
    assert main(["detect", *options, str(pictures)]) == 5
    assert "int8[1,384]" in capsys.readouterr().err


def test_selftest_passes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_bundle(tmp_path / "bundle", invoke_limit_ms=60_000)

    assert main(["selftest", str(folder), "--runtime", "litert", "--json"]) == 0

    report = json.loads(capsys.readouterr().out)
    assert report["passed"] is True
    assert report["failures"] == []
    assert (report["version"], report["golden"], report["runtime"]) == ("2026.11.22", 1, "litert")
    assert report["invoke_limit_ms"] == 60_000
    assert report["invoke_ms"] > 0


def test_selftest_fails_with_every_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_bundle(tmp_path / "bundle", shown=(), invoke_limit_ms=1e-6)

    assert main(["selftest", str(folder), "--runtime", "litert", "--json"]) == 9

    printed = capsys.readouterr()
    report = json.loads(printed.out)
    assert report["passed"] is False
    assert len(report["failures"]) == 3
    for failure in report["failures"]:
        assert failure in printed.err
    assert main(["selftest", str(folder), "--runtime", "litert"]) == 9
    assert ": FAILED" in capsys.readouterr().out


def test_selftest_of_a_damaged_bundle(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = write_bundle(tmp_path / "bundle")
    (folder / "model.tflite").write_bytes(b"TFL3")
    assert main(["selftest", str(folder)]) == 4
    assert "model.tflite" in capsys.readouterr().err
    assert main(["selftest", str(tmp_path / "absent")]) == 4


def test_bench_reports_what_it_promises(
    options: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["bench", *options, "--json", "--frames", "3"]) == 0

    report = json.loads(capsys.readouterr().out)
    assert report["frame"] == "1280x720 yuv420p"
    assert (report["frames"], report["threads"], report["input"]) == (3, 1, [64, 64])
    assert report["runtime"].startswith("litert ")
    assert report["model_bytes"] == (FOLDER / "head_maps_int8.tflite").stat().st_size
    for name in ("invoke_ms", "frame_ms", "prepare_ms", "decode_ms", "rgb_frame_ms", "rss_mb"):
        assert report[name] > 0, name
    assert report["overhead_ratio"] == pytest.approx(
        report["frame_ms"] / report["invoke_ms"],
        rel=0.15,  # invoke_ms has two digits here
    )


def test_bench_shows_a_golden_picture_or_the_one_named(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_bundle(tmp_path / "bundle")
    common = ["bench", "--model", str(folder), "--runtime", "litert", "--frames", "1"]
    assert main([*common, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["model_version"] == "2026.11.22"

    assert main([*common, "--picture", str(folder / "golden/scene.png")]) == 0
    assert "frame_ms" in capsys.readouterr().out
    assert main([*common, "--picture", str(folder / "absent.png")]) == 6
    assert main([*common, "--picture", str(folder)]) == 2


@pytest.mark.parametrize("command", ["detect", "selftest", "bench"])
def test_help_has_examples(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main([command, "--help"])
    assert caught.value.code == 0
    assert "examples:" in capsys.readouterr().out
