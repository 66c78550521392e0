"""``sitewatch captures``: look at, copy out and delete the pictures kept for labelling."""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

from daemon import annotate
from daemon.captures import catalogue, export
from daemon.captures.catalogue import Capture
from daemon.captures.reasons import CaptureReason
from daemon.clock import Clock
from daemon.config import DEFAULT_CONFIG_FILE, Config
from daemon.configfile import load
from daemon.detection.detections import Detections
from daemon.frames import Box, RgbImage
from daemon.paths import without_installation
from updater.atomic import write_atomically
from updater.captures import REASONS, Sidecar, to_fields
from updater.errors import StorageError, UsageError

DRAWN_QUALITY = 90
AGE_PATTERN = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd])")
UNITS_S = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}

EPILOG = """\
exit codes: 0 done, 2 wrong arguments, 3 wrong configuration, 8 a folder or file that cannot be
read or written, or a damaged capture

examples:
  sitewatch captures list --sort value
  sitewatch captures list --reason random --json
  sitewatch captures show 17 --draw seen.jpg
  sitewatch captures export /media/usb/pictures --yolo
  sitewatch captures purge --older-than 14d --yes
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers the command."""
    parser = subparsers.add_parser(
        "captures",
        help="list, show, export and delete the pictures kept for labelling",
        description="Works on the pictures kept for labelling; the daemon may be running.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    listing = _action(actions, "list", list_captures, "list them")
    _add_reason(listing)
    listing.add_argument(
        "--sort", choices=("time", "value"), default="time",
        help="oldest first, or most valuable first (default: %(default)s)",
    )  # fmt: skip
    listing.add_argument("--json", action="store_true", help="one JSON object a line")

    show = _action(
        actions, "show", show_capture, "show what is known of one, and check its picture"
    )
    show.add_argument("name", help="its name, the beginning of it, or its number")
    show.add_argument("--draw", type=Path, metavar="OUT.jpg", help="write it with its boxes drawn")

    copying = _action(actions, "export", export_captures, "copy them to another folder")
    copying.add_argument("target", type=Path, metavar="DIR", help="made if it is not there")
    _add_reason(copying)
    copying.add_argument(
        "--yolo", action="store_true",
        help="as a YOLO data set whose labels are what the model found, to be corrected",
    )  # fmt: skip

    purge = _action(actions, "purge", purge_captures, "delete them")
    _add_reason(purge)
    purge.add_argument(
        "--older-than", type=_age_s, metavar="AGE", help="only those older, e.g. 36h or 14d"
    )
    purge.add_argument("--stored", action="store_true", help="only those that were uploaded")
    purge.add_argument("--yes", action="store_true", help="do it; without this it is only counted")


def list_captures(arguments: argparse.Namespace) -> int:
    """Lists the captures.

    Raises:
        StorageError: the folder cannot be read.
        ConfigError: the configuration is not good.
    """
    found = _chosen(arguments)
    if arguments.sort == "value":
        found.sort(key=lambda one: -(one.sidecar.value if one.sidecar else 0.0))
    if arguments.json:
        for one in found:
            print(json.dumps(_as_json(one), ensure_ascii=False))
        return 0
    if found:
        print(f"{'NAME':<36}  {'TAKEN (UTC)':<20}  VALUE  {'KB':>6}  REASONS")
    for one in found:
        print(_line(one))
    size_bytes = sum(one.size_bytes for one in found)
    print(f"{len(found)} captures, {size_bytes / 1e6:.1f} MB in {_folder(arguments)}")
    return 0


def show_capture(arguments: argparse.Namespace) -> int:
    """Prints a sidecar and checks the picture.

    Raises:
        UsageError: no capture, or several, are meant.
        StorageError: the capture is damaged or cannot be read, or the drawing cannot be written.
    """
    folder = _folder(arguments)
    sidecar = catalogue.find(folder, arguments.name)
    jpeg = catalogue.picture(folder, sidecar)
    print(json.dumps({"name": sidecar.name} | to_fields(sidecar), indent=2, ensure_ascii=False))
    if arguments.draw is not None:
        rgb = _decoded(jpeg, folder / sidecar.name)
        drawn = annotate.draw(rgb, (*annotate.marks(_detections(sidecar)), *_why(sidecar)))
        write_atomically(
            arguments.draw, annotate.encode_jpeg(drawn, quality=DRAWN_QUALITY), durable=False
        )
        print(f"drawn to {arguments.draw}", file=sys.stderr)
    return 0


def export_captures(arguments: argparse.Namespace) -> int:
    """Copies captures out.

    Raises:
        UsageError: the target lies in the captures' folder.
        StorageError: a picture is damaged, or a disk refuses.
    """
    found = _chosen(arguments)
    sidecars = [one.sidecar for one in found if one.sidecar is not None]
    for one in found:
        if one.problem:
            print(f"left out: {one.problem}", file=sys.stderr)
    copy = export.copy_yolo if arguments.yolo else export.copy
    count = copy(_folder(arguments), sidecars, arguments.target)
    print(f"{count} captures in {arguments.target}")
    return 0


def purge_captures(arguments: argparse.Namespace) -> int:
    """Deletes captures.

    Raises:
        UsageError: ``--yes`` is missing.
        StorageError: the disk refuses.
    """
    folder = _folder(arguments)
    found = _chosen(arguments)
    if arguments.older_than is not None:
        found = catalogue.older_than(found, folder, Clock().stamp(), arguments.older_than)
    if arguments.stored:
        found = [one for one in found if one.stored]
    if found and not arguments.yes:
        raise UsageError(
            f"{len(found)} captures would be deleted", where=str(folder), hint="Add --yes to do it"
        )
    print(f"{catalogue.purge(folder, found)} captures deleted from {folder}")
    return 0


def _action(
    actions: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    function: Callable[[argparse.Namespace], int],
    help_text: str,
) -> argparse.ArgumentParser:
    action = actions.add_parser(name, help=help_text, description=f"{help_text.capitalize()}.")
    action.add_argument(
        "--config", type=Path, help=f"configuration that names the folder ({DEFAULT_CONFIG_FILE})"
    )
    action.add_argument("--folder", type=Path, help="the folder, instead of the configuration's")
    action.set_defaults(run=function)
    return action


def _add_reason(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--reason", choices=REASONS, action="append",
        help="only those kept for this reason; may be given several times",
    )  # fmt: skip


def _age_s(text: str) -> float:
    match = AGE_PATTERN.fullmatch(text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not an age like 90m, 36h or 14d")
    return float(match[1]) * UNITS_S[match[2]]


def _folder(arguments: argparse.Namespace) -> Path:
    """The folder meant: named, configured, or where a checkout without installation keeps it."""
    if arguments.folder is not None:
        return Path(arguments.folder)
    if arguments.config is not None or DEFAULT_CONFIG_FILE.is_file():
        return load(arguments.config or DEFAULT_CONFIG_FILE).captures.folder
    return without_installation(Config()).captures.folder


def _chosen(arguments: argparse.Namespace) -> list[Capture]:
    reasons = set(arguments.reason or ())
    return [
        one
        for one in catalogue.load(_folder(arguments))
        if not reasons
        or (one.sidecar and reasons.intersection(found.reason for found in one.sidecar.reasons))
    ]


def _as_json(one: Capture) -> dict[str, object]:
    known = {"name": one.name, "size_bytes": one.size_bytes, "stored": one.stored}
    if one.sidecar is None:
        return known | {"problem": one.problem}
    return known | {"sidecar": to_fields(one.sidecar)}


def _line(one: Capture) -> str:
    kilobytes = f"{one.size_bytes / 1e3:6.0f}"
    if one.sidecar is None:
        return f"{one.name:<36}  {'':<20}         {kilobytes}  damaged: {one.problem}"
    sidecar = one.sidecar
    taken = sidecar.taken.utc[:19] + ("" if sidecar.taken.clock_synchronised else "?")
    reasons = ", ".join(f"{found.reason} {found.value:.2f}" for found in sidecar.reasons)
    uploaded = "  (uploaded)" if one.stored else ""
    return f"{one.name:<36}  {taken:<20}  {sidecar.value:5.2f}  {kilobytes}  {reasons}{uploaded}"


def _decoded(jpeg: bytes, where: Path) -> RgbImage:
    try:
        with Image.open(io.BytesIO(jpeg)) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise StorageError(f"not a picture: {error}", where=str(where)) from error


def _why(sidecar: Sidecar) -> list[annotate.Mark]:
    """What the picture was kept for, where no detection says it: above all, who was missed."""
    return [
        annotate.Mark(Box(*subject.box), f"{found.reason} {found.value:.2f}", annotate.OTHER_COLOUR)
        for found in sidecar.reasons
        if found.reason != CaptureReason.UNCERTAIN_SCORE
        for subject in found.subjects
    ]


def _detections(sidecar: Sidecar) -> Detections:
    found = sidecar.detections
    return Detections(
        boxes=np.asarray([one.box for one in found], np.float32).reshape(-1, 4),
        scores=np.asarray([one.score for one in found], np.float32),
        class_ids=np.asarray(
            [sidecar.model.classes.index(one.class_name) for one in found], np.int32
        ),
        classes=sidecar.model.classes,
        width=sidecar.picture.width,
        height=sidecar.picture.height,
        model_version=sidecar.model.version,
    )
