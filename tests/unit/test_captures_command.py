"""The real command line on a real folder."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from PIL import Image

from daemon.captures.buffer import CaptureBuffer
from daemon.captures.reasons import CaptureReason
from daemon.cli import main
from tests.support.captures import SetClock, config, decision, jpeg
from updater import captures as stored

DAY_S = 86400.0
HEADER_LINES = 1


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three captures: uncertain (0.3), random (0.5), blinking (0.9), a day apart."""
    folder = tmp_path / "captures"
    clock = SetClock()
    buffer = CaptureBuffer(config(folder), "cam-1", clock=clock.clock())
    for number, (reason, value) in enumerate(
        [
            (CaptureReason.UNCERTAIN_SCORE, 0.3),
            (CaptureReason.RANDOM, 0.5),
            (CaptureReason.BLINKING, 0.9),
        ]
    ):
        found = decision(reason=reason, value=value, monotonic_s=clock.monotonic_s)
        buffer.store(found, jpeg(number))
        clock.passes(DAY_S)
    return folder


def names(folder: Path) -> list[str]:
    return stored.complete_names(path.name for path in folder.iterdir())


def run(*arguments: object) -> int:
    return main(["captures", *map(str, arguments)])


def test_list_is_a_table_oldest_first(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--folder", folder) == 0
    header, *rows, last = capsys.readouterr().out.splitlines()
    assert header.split()[:2] == ["NAME", "TAKEN"]
    assert [row.split()[0] for row in rows] == names(folder)
    assert "uncertain_score 0.30" in rows[0]
    assert last.startswith("3 captures, 0.")


def test_list_by_value_and_reason(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--folder", folder, "--sort", "value", "--json") == 0
    listed = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["sidecar"]["value"] for one in listed] == [0.9, 0.5, 0.3]
    assert listed[0]["size_bytes"] > len(jpeg(2))
    assert run("list", "--folder", folder, "--reason", "random", "--reason", "blinking") == 0
    assert "2 captures" in capsys.readouterr().out


def test_list_marks_what_is_uploaded_damaged_or_of_doubtful_time(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first, second, third = names(folder)
    (folder / f"{first}.stored").touch()
    (folder / f"{second}.json").write_text("{")
    raw = json.loads((folder / f"{third}.json").read_text())
    raw["taken"]["clock_synchronised"] = False
    (folder / f"{third}.json").write_text(json.dumps(raw))
    assert run("list", "--folder", folder) == 0
    rows = capsys.readouterr().out.splitlines()[HEADER_LINES:]
    assert rows[0].endswith("(uploaded)")
    assert "damaged: " in rows[1]
    assert f"{raw['taken']['utc'][:19]}?" in rows[2]
    assert run("list", "--folder", folder, "--json") == 0
    assert json.loads(capsys.readouterr().out.splitlines()[1])["problem"].startswith(str(folder))


def test_the_configuration_names_the_folder(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "sitewatch.toml"
    file.write_text(f'[captures]\nfolder = "{folder}"\n')
    assert run("list", "--config", file) == 0
    assert str(folder) in capsys.readouterr().out


@pytest.mark.parametrize("meant", ["2", "0000000002", "0000000002-2026"])
def test_show_prints_the_sidecar(
    folder: Path, meant: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run("show", meant, "--folder", folder) == 0
    shown = json.loads(capsys.readouterr().out)
    assert shown["name"] == names(folder)[2]
    assert shown["reasons"][0]["reason"] == "blinking"


def test_show_draws_the_boxes(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jpg"
    assert run("show", "2", "--folder", folder, "--draw", out) == 0
    with Image.open(out) as drawn, Image.open(io.BytesIO(jpeg(2))) as plain:
        assert drawn.size == plain.size
        assert drawn.tobytes() != plain.tobytes()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (("show", "77"), 2, "no capture '77'"),
        (("show", "00000000"), 2, "no capture '00000000'"),
        (("show", ""), 2, "3 captures are meant by ''"),
        (("purge",), 2, "3 captures would be deleted. Add --yes"),
        (("export", "{folder}/inside"), 2, "lies in the folder of the captures"),
        (("show", "2", "--draw", "/proc/no/out.jpg"), 8, "cannot be written"),
    ],
)
def test_what_makes_no_sense_is_a_clear_error(
    folder: Path,
    arguments: tuple[str, ...],
    code: int,
    message: str,
    capsys: pytest.CaptureFixture[str],
) -> None:
    filled = [argument.format(folder=folder) for argument in arguments]
    if filled == ["show", "00000000"]:
        (folder / f"{names(folder)[0]}.json").unlink()
    assert run(*filled, "--folder", folder) == code
    assert message in capsys.readouterr().err
    assert len(names(folder)) >= 2


def test_a_folder_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("list", "--folder", tmp_path / "none") == 8
    assert "cannot be read: No such file or directory" in capsys.readouterr().err


def test_show_finds_a_damaged_picture(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture = folder / f"{names(folder)[0]}.jpg"
    data = bytearray(picture.read_bytes())
    data[len(data) // 2] ^= 1
    picture.write_bytes(data)
    assert run("show", "0", "--folder", folder) == 8
    assert "sha256" in capsys.readouterr().err


def test_export_copies_and_can_be_repeated(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    for _ in range(2):
        assert run("export", target, "--folder", folder, "--reason", "blinking") == 0
    (name,) = names(target)
    assert stored.read(target, name) == stored.read(folder, name)
    assert (target / f"{name}.jpg").read_bytes() == jpeg(2)


def test_export_as_yolo(folder: Path, tmp_path: Path) -> None:
    target = tmp_path / "out"
    assert run("export", target, "--yolo", "--folder", folder) == 0
    described = dict(
        line.split(": ", 1) for line in (target / "data.yaml").read_text().splitlines()
    )
    classes = json.loads(described["names"])
    assert classes == ["helmet", "head", "person"]
    for name in names(folder):
        class_id, *numbers = (target / "labels" / f"{name}.txt").read_text().split()
        x, y, width, height = map(float, numbers)
        assert classes[int(class_id)] == "head"
        assert (x * 640, y * 360, width * 640, height * 360) == pytest.approx(
            (30, 30, 40, 40), abs=1e-3
        )
        assert (target / "images" / f"{name}.jpg").is_file()


def test_export_leaves_out_what_is_damaged_and_says_so(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / f"{names(folder)[0]}.json").write_text("{")
    assert run("export", tmp_path / "out", "--folder", folder) == 0
    assert "left out: " in capsys.readouterr().err
    assert len(names(tmp_path / "out")) == 2


def test_purge_by_reason(folder: Path) -> None:
    _, drawn, _ = names(folder)
    assert run("purge", "--reason", "random", "--yes", "--folder", folder) == 0
    assert drawn not in names(folder)
    assert len(names(folder)) == 2


def test_purge_what_is_uploaded(folder: Path) -> None:
    first, *rest = names(folder)
    (folder / f"{first}.stored").touch()
    assert run("purge", "--stored", "--yes", "--folder", folder) == 0
    assert names(folder) == rest
    assert not (folder / f"{first}.stored").exists()


def test_purge_by_age(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SetClock()
    clock.passes(2.5 * DAY_S)
    monkeypatch.setattr("daemon.commands.captures.Clock", clock.clock)
    before = names(folder)
    assert run("purge", "--older-than", "1d", "--yes", "--folder", folder) == 0
    assert names(folder) == before[2:]
    assert run("purge", "--older-than", "36h", "--folder", folder) == 0, "nothing to confirm"


def test_ages_are_unknown_without_the_limits_file(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (folder / "limits.json").unlink()
    assert run("purge", "--older-than", "1d", "--yes", "--folder", folder) == 8
    assert "limits.json: is missing" in capsys.readouterr().err
    assert len(names(folder)) == 3


@pytest.mark.parametrize("age", ["1", "x", "1w", "-1d", ""])
def test_an_age_without_sense_is_refused(
    folder: Path, age: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        run("purge", f"--older-than={age}", "--yes", "--folder", folder)
    assert caught.value.code == 2
    assert "is not an age like" in capsys.readouterr().err
    assert len(names(folder)) == 3
