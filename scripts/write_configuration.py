"""Writes the default configuration files and their references from the fields in the code."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from daemon import configdoc
from updater import optiondoc, settings
from updater.settings import UpdateConfig

ROOT = Path(__file__).resolve().parents[1]
RENDERED: Mapping[Path, Callable[[], str]] = {
    ROOT / "packaging" / "sitewatch.toml": configdoc.render_default,
    ROOT / "docs" / "configuration.md": configdoc.render_reference,
    ROOT / "packaging" / "update.toml": partial(
        optiondoc.render_default, UpdateConfig, settings.DEFAULT_HEADING, reloads=False
    ),
    ROOT / "docs" / "update-configuration.md": partial(
        optiondoc.render_reference, UpdateConfig, settings.REFERENCE_HEADING, reloads=False
    ),
}


def main() -> None:
    """Writes them all."""
    for path, render in RENDERED.items():
        path.write_text(render())
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
