#!/usr/bin/env python3
"""Run an update flow of JFrog Connect on groups of devices, a canary first, and wait for them."""

from __future__ import annotations

import argparse
import json
import secrets
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.cloud import options, report, rollout
from scripts.cloud.fleet import Order, Status
from scripts.cloud.rollout import Rollout, StageReport, Waiting
from scripts.training.command import run
from scripts.training.places import input_folder, output_folder
from updater.errors import UsageError

PUBLICATION = "publication.json"


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        description=__doc__,
        epilog="exit codes: 0 enough devices of every group succeeded, 2, 3 arguments and token, "
        "20 Connect, 23 too few succeeded: groups after that one were not started",
    )
    add = made.add_argument
    add(
        "--publication", type=Path, metavar="FILE",
        default=input_folder("publication", output_folder("publish")) / PUBLICATION,
        help="of scripts/publish.py: version and parameters (default: %(default)s)",
    )  # fmt: skip
    add("--version", help="of the deployment tag (default: the publication's)")
    add(
        "--parameter", action="append", default=[], metavar="NAME=VALUE",
        help="of the flow; none is secret (default: artifactory-path and sha256 of the "
        "publication)",
    )  # fmt: skip
    add("--no-parameters", action="store_true", help="the flow has none")
    add("--no-wait", action="store_true", help="start the flow on the groups and end")
    add("--ca-file", type=Path, metavar="FILE", help="authorities to judge the server by (PEM)")
    add("--output", type=Path, default=output_folder("connect"), metavar="DIR")
    options.add_connect(made)
    return made


def main() -> None:
    """Run the step."""
    given = parser().parse_args()
    version, parameters = told_by(given)
    stages = options.stages(given)
    order = Order(
        flow=given.flow_id,
        group="",
        app=given.app_name,
        version=version,
        comment=f"sitewatch {version} {secrets.token_hex(4)}".replace("  ", " "),
        parameters=parameters,
    )
    made = Rollout(options.connect(given), order, Waiting(given.timeout, given.poll))
    if given.no_wait:
        if given.canary:
            raise UsageError("a canary is waited for", where="--no-wait")
        for stage in stages:
            name = made.start(stage.group)
            report.say(step="connect", group=stage.group, deployment=name, version=version)
        return
    reports = made.run(stages)
    for one in reports:
        report.tell(rollout.rendered(one))
        report.say(step="connect", version=version, **summary(one))
    report.write_json(given.output / "rollout.json", [as_json(one) for one in reports])
    rollout.check(reports, stages)


def told_by(given: argparse.Namespace) -> tuple[str, dict[str, str]]:
    """Version and parameters: what is given, else what the publication says.

    Raises:
        UsageError: a parameter is no pair, or the publication cannot be read.
    """
    parameters = {}
    for pair in given.parameter:
        name, sign, value = pair.partition("=")
        if not sign or not name:
            raise UsageError(f"{pair[:80]!r} is not NAME=VALUE", where="--parameter")
        parameters[name] = value
    version = given.version or ""
    bare = given.no_parameters or given.api == "v1"
    if version and (parameters or bare):
        return version, parameters
    try:
        found = json.loads(given.publication.read_text(encoding="utf-8"))
        version = version or str(found["version"])
        if not parameters and not bare:
            parameters = {
                "artifactory-path": str(found["artifactory_path"]),
                "sha256": str(found["sha256"]),
            }
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            "is no publication",
            where=str(given.publication),
            hint="Give --version, and --parameter or --no-parameters",
        ) from error
    return version, parameters


def summary(one: StageReport) -> dict[str, object]:
    """Of a stage, as metadata."""
    count = {str(s): sum(result.status is s for result in one.results) for s in Status}
    return {"group": one.stage.group, "deployment": one.deployment, "verdict": one.verdict, **count}


def as_json(one: StageReport) -> dict[str, object]:
    """Of a stage, device by device."""
    devices = [
        {
            "uuid": result.device.uuid,
            "name": result.device.name,
            "status": result.status,
            "note": rollout.printable(result.note),
        }
        for result in one.results
    ]
    return {**summary(one), "timed_out": one.timed_out, "devices": devices}


if __name__ == "__main__":
    run(main)
