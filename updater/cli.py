"""``sitewatch-update``: what is done to model bundles on a device."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from updater.bundle import verify_folder
from updater.errors import SitewatchError
from updater.manifest import Manifest
from updater.version import VERSION

EPILOG = """\
exit codes: 0 done, 2 wrong arguments, 4 the bundle is damaged or not understood

examples:
  sitewatch-update bundle show packaging/model
  sitewatch-update bundle verify /var/lib/sitewatch/models/current
"""


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command and returns its exit code."""
    arguments = _parser().parse_args(argv)
    try:
        manifest = verify_folder(arguments.folder)
    except SitewatchError as error:
        print(f"sitewatch-update: {error}", file=sys.stderr)
        return error.exit_code
    print(summary(manifest) if arguments.action == "show" else f"{arguments.folder}: complete")
    return 0


def summary(manifest: Manifest) -> str:
    """A bundle in a few lines, for people."""
    lines = [
        f"{manifest.name} {manifest.version}",
        f"classes     {', '.join(manifest.classes)}",
        f"input       {manifest.input.width}x{manifest.input.height} {manifest.input.layout}",
        f"output      {manifest.output.layout}",
        f"thresholds  score {manifest.thresholds.score:g}, IoU {manifest.thresholds.iou:g}",
        f"golden      {len(manifest.golden)} pictures",
        f"needs       Sitewatch {manifest.minimum_daemon} or newer",
    ]
    lines += [f"metric      {name} = {value:g}" for name, value in manifest.metrics.items()]
    lines += [f"{name:<11} {text}" for name, text in manifest.provenance.items()]
    lines += [f"file        {entry.path}  {entry.size_bytes} bytes" for entry in manifest.files]
    return "\n".join(lines)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="sitewatch-update",
        description="Checks model bundles.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--version", action="version", version=f"sitewatch {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True)
    bundle = commands.add_parser("bundle", help="look into an unpacked bundle")
    actions = bundle.add_subparsers(dest="action", required=True)
    for name, text in (
        ("show", "check it and print what it is"),
        ("verify", "check every file's size and hash"),
    ):
        action = actions.add_parser(name, help=text, description=text)
        action.add_argument("folder", type=Path, help="folder with manifest.json")
    return parser
