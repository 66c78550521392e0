"""The updater's configuration: what it takes, what it refuses, what it finds out itself."""

from __future__ import annotations

import platform
import re
from dataclasses import replace
from pathlib import Path

import pytest

from scripts.write_configuration import RENDERED, ROOT
from updater import settings
from updater.errors import ConfigError
from updater.settings import UpdateConfig, device_class, floor_folder, load, own_device_class, parse


def test_without_a_file_the_defaults_hold(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "DEFAULT_CONFIG_FILE", tmp_path / "update.toml")
    assert load(None) == UpdateConfig()
    (tmp_path / "update.toml").write_text("keep_releases = 5\n")
    assert load(None) == UpdateConfig(keep_releases=5)


def test_a_file_that_is_named_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "update.toml")
    assert str(caught.value) == (
        f"{tmp_path}/update.toml: cannot be read: No such file or directory. "
        "Name another file with --config"
    )


def test_a_usual_file_that_is_a_dangling_link_is_not_missing(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "update.toml").symlink_to("nowhere")
    monkeypatch.setattr(settings, "DEFAULT_CONFIG_FILE", tmp_path / "update.toml")
    with pytest.raises(ConfigError, match="cannot be read"):
        load(None)


def test_a_file_is_checked_as_a_whole(tmp_path: Path) -> None:
    path = tmp_path / "update.toml"
    path.write_text('user = "root"\n')
    with pytest.raises(ConfigError) as caught:
        load(path)
    assert str(caught.value) == (
        f"{path}: user: must not be root. What parses bundles never runs as root"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("keep_release = 3", "x: unknown key 'keep_release'. Did you mean 'keep_releases'?"),
        ("keep_releases = 1", "x: keep_releases: 1 is less than 2"),
        ('store = "models"', "x: store: must be an absolute path. The working directory is not "
         "known"),
        ('status_file = "s"', "x: status_file: must be an absolute path. The working directory is "
         "not known"),
        ('[upload]\ncaptures = "captures"', "x: upload.captures: must be an absolute path. The "
         "working directory is not known"),
        ('[upload]\nca_file = "ca.pem"', "x: upload.ca_file: must be an absolute path. The "
         "working directory is not known"),
        ('[fetch]\nca_file = "ca.pem"', "x: fetch.ca_file: must be an absolute path. The "
         "working directory is not known"),
        ('user = "a b"', "x: user: 'a b' is not a name of an account"),
        ('user = ""', "x: user: '' is not a name of an account"),
        ('device_class = "Pi 4"',
         "x: device_class: must be lower-case letters, digits, '.', '_' and '-'"),
        ("[fetch]\nrate_bytes_per_s = 100",
         "x: fetch.rate_bytes_per_s: a rate cap of 100 bytes a second is less than twice the 512 "
         "below which a connection counts as stalled. Lower stall_bytes_per_s, or raise the cap"),
        ("[probation]\nseconds = 600", "x: probation.seconds: must be less than "
         "probation.timeout_s"),
        ("[probation]\nmax_slowdown = 0.5", "x: probation.max_slowdown: must be 0 or at least 1"),
        ('[selftest]\nruntime = "onnx"',
         "x: selftest.runtime: 'onnx' is not allowed. Allowed: auto, litert, tflite-runtime"),
        ("[upload]\nmax_files = 0", "x: upload.max_files: 0 is less than 1"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, where="x")
    assert str(caught.value) == message


def test_the_shipped_file_changes_no_default_nor_does_any_of_its_lines() -> None:
    text = (ROOT / "packaging" / "update.toml").read_text()
    assert (ROOT / "packaging" / "update.toml") in RENDERED  # where a test keeps it current
    assert parse(text, where="x") == UpdateConfig()
    uncommented, count = re.subn(r"^#(\w+ = )", r"\1", text, flags=re.MULTILINE)
    assert count > 30
    assert parse(uncommented, where="x") == UpdateConfig()


@pytest.mark.parametrize(
    ("board", "machine", "kind"),
    [
        ("Raspberry Pi 4 Model B Rev 1.4\0", "aarch64", "raspberry-pi-4"),
        ("Raspberry Pi 400 Rev 1.0\0", "aarch64", "raspberry-pi-4"),
        ("Raspberry Pi Compute Module 4 Rev 1.1\0", "aarch64", "raspberry-pi-4"),
        ("Raspberry Pi 5 Model B Rev 1.0\0", "aarch64", "raspberry-pi-5"),
        ("Raspberry Pi 500 Rev 1.0\0", "aarch64", "raspberry-pi-5"),
        ("Raspberry Pi 3 Model B Plus Rev 1.3\0", "armv7l", "raspberry-pi-3"),
        ("Raspberry Pi Zero 2 W Rev 1.0\0", "aarch64", "aarch64"),
        ("Radxa ROCK 5B", "aarch64", "aarch64"),
        ("", "x86_64", "x86_64"),
    ],
)
def test_device_class(board: str, machine: str, kind: str) -> None:
    assert device_class(board, machine) == kind


def test_the_device_says_what_it_is(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    model = tmp_path / "model"
    monkeypatch.setattr(settings, "DEVICE_TREE_MODEL", model)
    assert own_device_class(UpdateConfig()) == platform.machine().lower()
    model.write_bytes(b"Raspberry Pi 5 Model B Rev 1.0\0")
    assert own_device_class(UpdateConfig()) == "raspberry-pi-5"
    assert own_device_class(UpdateConfig(device_class="yard-camera")) == "yard-camera"


def test_the_floor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, project_root: Path) -> None:
    config = UpdateConfig()
    monkeypatch.setattr(settings, "INSTALLED_FLOOR", tmp_path / "installed")
    config = replace(config, floor=tmp_path / "installed")
    assert floor_folder(config) == project_root / "packaging" / "model"
    (tmp_path / "installed").mkdir()
    (tmp_path / "installed" / "model.tflite").write_bytes(b"")
    assert floor_folder(config) == tmp_path / "installed"
    with pytest.raises(ConfigError, match=rf"^floor: no model\.tflite is in {tmp_path}/own$"):
        floor_folder(replace(config, floor=tmp_path / "own"))


def test_a_device_without_any_model(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(settings, "INSTALLED_FLOOR", tmp_path / "installed")
    monkeypatch.setattr(settings, "CHECKOUT_FLOOR", tmp_path / "checkout")
    assert floor_folder(UpdateConfig(floor=tmp_path / "installed")) is None
