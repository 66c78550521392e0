#!/usr/bin/env python3
"""Sign a model bundle and publish it in Artifactory, if it is better than the one in production."""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.cloud import assemble, gate, options, report, secrets, signing
from scripts.cloud.errors import GateError
from scripts.cloud.gate import GateRule, Verdict
from scripts.cloud.golden import MOST_PICTURES
from scripts.cloud.publication import Place, Publication, replaces_nothing
from scripts.cloud.signing import KeySource
from scripts.training.command import run
from scripts.training.places import input_folder, output_folder
from updater import bundle as bundles
from updater.manifest import MANIFEST_NAME, Manifest


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        description=__doc__,
        epilog="exit codes: 0 published, 2, 3 arguments and keys, 4, 9 the bundle, 20 Artifactory, "
        "21 not better than production, 22 the version is there with other bytes, 24 no signature",
    )
    add = made.add_argument
    add(
        "--bundle", type=Path, default=input_folder("bundle", output_folder("bundle")),
        metavar="DIR", help="made by scripts/bundle.py (default: %(default)s)",
    )  # fmt: skip
    add("--version", help="of the bundle (default: as its manifest says)")
    add(
        "--golden", type=Path, action="append", default=[], metavar="DIR",
        help="choose the golden pictures from a bundle, or from pictures with allowed.json; may be "
        "repeated",
    )  # fmt: skip
    add(
        "--most-golden", type=int, default=MOST_PICTURES, metavar="N",
        help="pictures; fewer make a shorter manifest (default: %(default)s)",
    )  # fmt: skip
    add(
        "--min-agreement", type=float, metavar="SHARE",
        help="of what the predecessor surely found, that devices ask it to find (default: the "
        "bundle's)",
    )  # fmt: skip
    add(
        "--max-extra-per-frame", type=float, metavar="N",
        help="objects that its predecessor does not see, that devices let pass (default: the "
        "bundle's)",
    )  # fmt: skip
    add("--metrics", type=Path, metavar="FILE", help="figures (default: the bundle's manifest)")
    add("--production", type=Path, metavar="FILE", help="figures of production on the same val")
    add("--least-gain", type=float, default=GateRule().least_gain, help="of the mean mAP50")
    add("--most-loss", type=float, default=GateRule().most_loss, help="of a class's mAP50")
    add("--force", action="store_true", help="publish although it is not better")
    add("--allow-downgrade", action="store_true", help="replace a newer version")
    add("--no-move", action="store_true", help="leave the moving model.zip where it is")
    add("--folder", default=Place().folder, help="of versions (default: %(default)s)")
    add("--pointer", default=Place().pointer, help="the moving name (default: %(default)s)")
    add("--alias", default="model-prod", help="Valohai's name for it (default: %(default)s)")
    add("--output", type=Path, default=output_folder("publish"), metavar="DIR")
    keys = made.add_argument_group(
        "signing", f"one of the two, or the key itself in the variable {secrets.SIGNING_KEY}"
    )
    keys.add_argument("--key-file", type=Path, metavar="FILE", help="private key, mode 600")
    keys.add_argument(
        "--sign-command", default="", metavar="COMMAND",
        help="signs: manifest on standard input, signature on standard output",
    )  # fmt: skip
    keys.add_argument("--public-key", type=Path, metavar="FILE", help="of the command's key")
    options.add_artifactory(made)
    return made


def main() -> None:
    """Run the step."""
    given = parser().parse_args()
    # Everything that may be missing is asked for before anything takes time.
    key = signing.load(KeySource(given.key_file, given.sign_command, given.public_key), os.environ)
    server = options.artifactory(given)
    place = Place(given.repository, given.folder, given.pointer)
    with tempfile.TemporaryDirectory(prefix="sitewatch-publish-") as temporary:
        folder = Path(temporary) / "bundle"
        asked = {
            name: value
            for name in ("min_agreement", "max_extra_per_frame")
            if (value := getattr(given, name)) is not None
        }
        manifest = assemble.assemble(
            given.bundle, given.golden, folder, most=given.most_golden, asked=asked
        )
        version = given.version or manifest.version
        first = replaces_nothing(server.find(place.moving), version)
        verdict = judged(given, manifest, first=first)
        assemble.prove(folder)
        given.output.mkdir(parents=True, exist_ok=True)
        made = bundles.create(folder, given.output / "model.zip", version=version, key=key)
    properties = {"sitewatch.key": key.key_id, "sitewatch.digest": made.digest}
    if given.force and not (verdict and verdict.better):
        properties["sitewatch.forced"] = "true"
    publication = Publication(server, place, signing.ring_of(key))
    done = publication.publish(
        made.path, version, properties,
        move=not given.no_move, allow_downgrade=given.allow_downgrade,
    )  # fmt: skip
    told = {
        "version": version,
        "artifactory_path": done.path,
        "url": done.url,
        "sha256": done.sha256,
        "digest": made.digest,
        "key": key.key_id,
        "replaced": done.replaced,
        "moved": done.moved,
    }
    report.write_json(given.output / "publication.json", told)
    tags = ["published", *(["forced"] if "sitewatch.forced" in properties else [])]
    report.write_sidecar(made.path, alias=given.alias if done.moved else "", tags=tags, **told)
    gain = {} if verdict is None else {"gain": round(verdict.gain, 6)}
    report.say(step="publish", **told, **gain, **manifest.metrics)


def judged(given: argparse.Namespace, manifest: Manifest, *, first: bool) -> Verdict | None:
    """The gate's verdict; None where there is nothing to be better than.

    Raises:
        GateError: it is not better, or nobody can tell, and it is not forced.
    """
    try:
        if given.production is None:
            if first:
                return None
            raise GateError(
                "there is a model in production, and none of its figures",
                where="--production",
                hint="Evaluate it on the same val, or publish with --force",
            )
        if given.metrics is None:
            where = str(given.bundle / MANIFEST_NAME)
            told = {**manifest.metrics, **gate.of_pictures(manifest.provenance)}
            candidate = gate.figures(told, where=where)
        else:
            candidate = gate.read_figures(given.metrics)
        verdict = gate.compare(
            candidate,
            gate.read_figures(given.production),
            GateRule(given.least_gain, given.most_loss),
        )
        if not verdict.better:
            raise GateError(
                "not better than production: " + "; ".join(verdict.reasons),
                hint="It is published with --force only",
            )
    except GateError as error:
        if not given.force:
            raise
        report.tell(f"published all the same (--force): {error}")
        return None
    return verdict


if __name__ == "__main__":
    run(main)
