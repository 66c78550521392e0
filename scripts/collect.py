#!/usr/bin/env python3
"""Bring the week's pictures from the fleet to S3, and make tasks for labelling tools of them."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.cloud import aws, collection, options, report, rollout
from scripts.cloud.aws import Amazon
from scripts.cloud.collection import Collection, ScriptPlace
from scripts.cloud.fleet import Order
from scripts.cloud.handover import Way
from scripts.cloud.http import Client
from scripts.cloud.rollout import Rollout, Waiting
from scripts.training.command import run
from scripts.training.places import output_folder
from updater.errors import UsageError
from updater.upload.names import Destination
from updater.upload.policy import PARTITIONS

TOOLS = ("label-studio", "labelbox", "sama")


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(
        description=__doc__,
        epilog="exit codes: 0 done, 2, 3 arguments and secrets, 20 a service, 23 too few devices "
        "uploaded (what arrived is counted and made tasks of all the same)",
    )
    add = made.add_argument
    add("--role-arn", required=True, help="role that may put objects below the prefix")
    add("--bucket", required=True, help="takes the pictures")
    add("--prefix", required=True, help="folder in the bucket, above the runs'")
    add("--hours", type=float, default=2.0, help="that credentials hold (default: %(default)s)")
    add("--create-only", action="store_true", help="they cannot overwrite (Amazon's S3 only)")
    add("--partition", choices=PARTITIONS, default=PARTITIONS[0])
    add("--region", default="", help="of the bucket (default: AWS's variables)")
    add("--s3-url", default="", metavar="URL", help="another server that speaks S3")
    add("--sts-url", default="", metavar="URL", help="another server that speaks STS")
    add("--hand-over", choices=tuple(map(str, Way)), default=str(Way.SCRIPT), help="credentials")
    add("--folder", default="collect", help="of the script in its repository")
    add("--copy", action="store_true", help="copy what arrived to OUTPUT/captures")
    add("--tool", choices=TOOLS, action="append", default=[], help="make tasks; may be repeated")
    add("--output", type=Path, default=output_folder("collect"), metavar="DIR")
    options.add_artifactory(made)
    options.add_connect(made)
    return made


def main() -> None:
    """Run the step."""
    given = parser().parse_args()
    # Valohai ends an execution so; the script in Artifactory must go all the same.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    way, legacy = Way(given.hand_over), given.api == "v1"
    if legacy and way is Way.PARAMETERS:
        raise UsageError("version 1 knows no parameters", where="--hand-over")
    name = collection.run_name()
    amazon = Amazon(given.region, given.s3_url, given.sts_url)
    destination = aws.run_destination(given.bucket, given.prefix, name)
    script = None
    if way is Way.SCRIPT:
        # A flow without parameters knows one path only.
        path = collection.script_path(given.repository, given.folder, "" if legacy else name)
        stranger = Client(given.artifactory, ca_file=given.ca_file)
        script = ScriptPlace(options.artifactory(given), stranger, path)
    stages = options.stages(given)
    order = Order(given.flow_id, "", given.app_name, name, f"sitewatch collect {name}")
    connect = options.connect(given)
    flow = Rollout(connect, order, Waiting(given.timeout, given.poll))
    credentials = aws.assume_role(
        amazon, given.role_arn, destination, duration_s=round(given.hours * 3600),
        create_only=given.create_only, partition=given.partition,
    )  # fmt: skip
    connect.client.secrets += credentials.secrets
    report.tell(f"{destination.url}: credentials until {credentials.expires}")
    made = Collection(amazon, destination, flow, way, script, hand_path=not legacy)
    reports, found = made.run(credentials, stages)
    for one in reports:
        report.tell(rollout.rendered(one))
    report.tell(collection.rendered(found))
    devices = {
        device: {"captures": one.captures, "pictures": one.pictures, "size_bytes": one.size_bytes}
        for device, one in found.items()
    }
    sums = {"devices": len(found), "captures": sum(one.captures for one in found.values())}
    told: dict[str, object] = {"run": name, "address": destination.url, **sums}
    report.write_json(given.output / "arrived.json", {**told, "by_device": devices})
    if given.copy or given.tool:
        copy = given.output / "captures"
        copy.mkdir(parents=True, exist_ok=True)
        told["foreign"] = aws.download(amazon, destination, found, copy)
        if given.tool:
            told |= tasks(given, destination, copy)
    report.say(step="collect", **told)
    rollout.check(reports, stages)


def tasks(given: argparse.Namespace, destination: Destination, copy: Path) -> dict[str, int]:
    """Makes tasks of the copied captures; how many, for the metadata."""
    # Who only collects needs nothing of what the pictures' formats need.
    from scripts.cloud import tasks as labelling  # noqa: PLC0415

    pictures, wrong = labelling.write(
        copy, destination, given.region, given.tool, given.output / "tasks"
    )
    return {"tasks": pictures, "left_out": wrong}


if __name__ == "__main__":
    run(main)
