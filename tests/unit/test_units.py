"""The units as systemd itself judges them; nothing is started."""

from __future__ import annotations

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
UNITS = ROOT / "systemd"
SYSUSERS = ROOT / "packaging/debian/sitewatch.sysusers"

MOST_EXPOSED = {
    "sitewatch.service": 2.0,  # it opens cameras
    "sitewatch-recover.service": 1.5,
    "sitewatch-probation.service": 1.5,
    "sitewatch-update@.service": 1.5,
    "sitewatch-upload.service": 1.5,
}
services = pytest.mark.parametrize("name", MOST_EXPOSED)
needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed"
)


@pytest.fixture
def installed(tmp_path: Path) -> Path:
    """A root file system with the units, and the programs that they start."""
    shutil.copytree(UNITS, tmp_path / "usr/lib/systemd/system")
    for program in ("usr/bin/sitewatch", "usr/bin/sitewatch-update", "bin/kill"):
        path = tmp_path / program
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\n")
        path.chmod(0o755)
    return tmp_path


def analyze(*arguments: str) -> str:
    done = subprocess.run(
        ["systemd-analyze", *arguments], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr


def test_every_service_has_its_bound() -> None:
    assert {path.name for path in UNITS.glob("*.service")} == MOST_EXPOSED.keys()


@needs_systemd
@services
def test_exposure(name: str, installed: Path) -> None:
    unit = name.replace("@.", "@example.")
    report = analyze("security", "--offline=true", f"--root={installed}", unit)
    overall = re.search(r"Overall exposure level for \S+: ([0-9.]+)", report)
    assert overall, report
    assert float(overall[1]) <= MOST_EXPOSED[name], report


@needs_systemd
@pytest.mark.parametrize("name", [*MOST_EXPOSED, "sitewatch-upload.timer"])
def test_systemd_understands_every_line(name: str, installed: Path) -> None:
    unit = name.replace("@.", "@example.")
    folder = installed / "usr/lib/systemd/system"
    if unit != name:
        shutil.copy(folder / name, folder / unit)
    said = analyze("verify", "--man=no", f"--root={installed}", unit)
    # Of the targets that a whole system has nothing is there; what systemd says of ours counts.
    ours = [line for line in said.splitlines() if "sitewatch" in line and "Unknown" in line]
    assert ours == []


@services
def test_no_service_runs_as_root(name: str) -> None:
    text = (UNITS / name).read_text()
    user = re.search(r"^User=(.+)$", text, re.MULTILINE)
    assert user
    assert re.search(rf"^u {user[1]} -", SYSUSERS.read_text(), re.MULTILINE)
    # "+" and "!" before a command would lift the limits.
    assert not re.search(r"^Exec\w+=[@:-]*[+!]", text, re.MULTILINE)


def test_the_camera_does_not_wait_for_network_or_time() -> None:
    text = (UNITS / "sitewatch.service").read_text()
    settings = configparser.ConfigParser(strict=False, interpolation=None, delimiters="=")
    settings.optionxform = str  # type: ignore[assignment,method-assign]
    settings.read_string(text)
    waits = " ".join(settings["Unit"].get(key, "") for key in ("After", "Wants", "Requires"))
    assert "network" not in waits
    assert "time" not in waits


def test_refused_system_calls_do_not_kill() -> None:
    for path in (UNITS / "sitewatch.service", UNITS / "sitewatch-.service.d/50-sandbox.conf"):
        assert "SystemCallErrorNumber=EPERM" in path.read_text()
