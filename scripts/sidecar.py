#!/usr/bin/env python3
"""Tell Valohai what an output is: data set version, tags and properties, in NAME.metadata.json.

The form is Valohai's (https://docs.valohai.com/data/data-versioning/metadata-overview); it is read
when the output is uploaded, so this goes before a file is made read-only.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from training.command import run
from training.identity import identify
from training.report import say
from training.sidecar import describe

from updater.errors import UsageError
from updater.manifest import from_json


def main() -> None:
    """Parse the command line and run the step."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("output", type=Path, help="the file that it is about")
    parser.add_argument("--data", type=Path, help="prepared data set that is in it")
    parser.add_argument("--dataset", default="", help="Valohai's data set to make a version of")
    parser.add_argument("--manifest", type=Path, help="of the bundle that is in it")
    parser.add_argument("--tag", action="append", default=[])
    parser.add_argument("--alias", default="", help="a name that moves to it")
    options = parser.parse_args()
    if options.dataset and options.data is None:
        raise UsageError("goes with --data, whose content is the version", where="--dataset")
    properties: dict[str, object] = {}
    version = ""
    if options.data is not None:
        identity = identify(options.data)
        version = identity.version
        properties |= {
            "dataset_version": version,
            "train_sha256": identity.train_sha256,
            "val_sha256": identity.val_sha256,
            "train_pictures": identity.train_pictures,
            "val_pictures": identity.val_pictures,
        }
    if options.manifest is not None:
        manifest = from_json(_content(options.manifest), where=str(options.manifest))
        properties |= {"version": manifest.version, **manifest.provenance, **manifest.metrics}
    describe(
        options.output,
        tags=options.tag,
        alias=options.alias,
        dataset=f"dataset://{options.dataset}/{version}" if options.dataset else "",
        properties=properties,
    )
    say(step="sidecar", file=options.output.name, **properties)


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise UsageError(f"cannot be read: {error.strerror}", where=str(path)) from error


if __name__ == "__main__":
    run(main)
