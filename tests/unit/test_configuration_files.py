"""The files that are written from the configuration's fields, as they stand in the project."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from daemon import configfile
from daemon.config import Config
from daemon.configdoc import render_default
from scripts.write_configuration import RENDERED


@pytest.mark.parametrize(("path", "render"), RENDERED.items(), ids=lambda value: str(value)[-16:])
def test_file_is_current(path: Path, render: Callable[[], str]) -> None:
    assert path.read_text() == render(), "run: .venv/bin/python -m scripts.write_configuration"


def test_default_file_changes_no_default() -> None:
    assert configfile.parse(render_default(), where="default") == Config()


def test_every_line_can_be_uncommented() -> None:
    text = render_default()
    zones = re.compile(r"^# \[\[zones\]\]\n(^#.*\n)+", re.MULTILINE)
    uncommented, count = re.subn(r"^#(\w+ = )", r"\1", zones.sub("", text), flags=re.MULTILINE)
    assert count > 50
    assert configfile.parse(uncommented, where="uncommented") == Config()


def test_the_example_in_the_readme_is_valid(project_root: Path) -> None:
    example = re.search(r"```toml\n(.*?)```", (project_root / "README.md").read_text(), re.DOTALL)
    assert example is not None
    assert configfile.parse(example[1], where="README.md").zones[0].name == "scaffold"
