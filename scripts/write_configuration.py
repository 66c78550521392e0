"""Writes packaging/sitewatch.toml and docs/configuration.md from the fields in daemon/config.py."""

from __future__ import annotations

from pathlib import Path

from daemon.configdoc import render_default, render_reference

ROOT = Path(__file__).resolve().parents[1]
RENDERED = {
    ROOT / "packaging" / "sitewatch.toml": render_default,
    ROOT / "docs" / "configuration.md": render_reference,
}


def main() -> None:
    """Writes both."""
    for path, render in RENDERED.items():
        path.write_text(render())
        print(path.relative_to(ROOT))


if __name__ == "__main__":
    main()
