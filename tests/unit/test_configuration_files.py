"""The files that are written from the configuration's fields, as they stand in the project."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon import configfile
from daemon.config import Config
from scripts.write_configuration import RENDERED


@pytest.mark.parametrize(("path", "render"), RENDERED.items(), ids=lambda value: str(value)[-16:])
def test_file_is_current(path: Path, render: Callable[[], str]) -> None:
    assert path.read_text() == render(), "run: .venv/bin/python -m scripts.write_configuration"


def test_default_file_says_what_the_defaults_are(project_root: Path) -> None:
    path = project_root / "packaging" / "sitewatch.toml"
    assert configfile.load(path) == Config()


def test_every_line_can_be_uncommented(project_root: Path) -> None:
    text = (project_root / "packaging" / "sitewatch.toml").read_text()
    # Fields without a default show a path as an example; everything else must be the default.
    examples = re.compile(r'^#\w+ = "/path/to/file"\n', re.MULTILINE)
    zones = re.compile(r"^# \[\[zones\]\]\n(^#.*\n)+", re.MULTILINE)
    uncommented, count = re.subn(
        r"^#(\w+ = )", r"\1", zones.sub("", examples.sub("", text)), flags=re.MULTILINE
    )
    assert count > 50
    assert configfile.parse(uncommented, where="uncommented") == Config()
