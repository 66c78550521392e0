"""``sitewatch run``: the configuration that a command line asks for, on a bare machine."""

from __future__ import annotations

import argparse
from pathlib import Path

import pytest

from daemon.commands.run import read_configuration
from daemon.paths import INSTALLED_BUNDLE
from updater.errors import BundleError


def arguments(**given: object) -> argparse.Namespace:
    return argparse.Namespace(**{"config": None, "source": None, "model": None, **given})


@pytest.fixture(autouse=True)
def bare_machine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration is installed, and the checkout holds no model."""
    monkeypatch.setattr("daemon.commands.run.DEFAULT_CONFIG_FILE", tmp_path / "absent.toml")
    monkeypatch.setattr("daemon.paths.CHECKOUT_BUNDLE", tmp_path / "checkout")


def test_a_named_model_needs_no_other() -> None:
    config = read_configuration(arguments(model=Path("own.tflite"), source="clip.mp4"))
    assert config.model.bundle == Path("own.tflite")
    assert (config.source.kind, config.source.location) == ("file", "clip.mp4")


def test_nothing_is_kept_where_only_root_may_write(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("XDG_STATE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    config = read_configuration(arguments(model=Path("own.tflite")))
    kept = (config.outbox.path, config.captures.folder, config.health.status_file)
    assert all(path.is_relative_to("/home/somebody") for path in kept)


@pytest.mark.skipif(INSTALLED_BUNDLE.exists(), reason="Sitewatch is installed here")
def test_without_any_model_the_error_says_what_to_do() -> None:
    with pytest.raises(BundleError, match="--model"):
        read_configuration(arguments())
