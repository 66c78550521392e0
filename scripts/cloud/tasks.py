"""From collecting to labelling: the one place where the two meet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from scripts.labelling import sama
from scripts.labelling.captures import read_captures
from scripts.labelling.way_out import WayOut, write_tasks
from updater.upload.names import Destination

CLASSES = ("helmet", "head", "person")
"""The model's."""

LEAST_SCORE = 0.2
"""Weaker detections are no pre-labels."""


HTTPS_ONLY = ("labelbox",)
"""Tools that take no ``s3://`` address."""


def write(
    captures: Path, destination: Destination, region: str, tools: Sequence[str], output: Path
) -> tuple[int, int]:
    """Writes the tasks of labelling tools, with what the devices' model found as pre-labels.

    Args:
        captures: copy of the run's folder.
        destination: the run's folder in the bucket, where the tools find it.
        region: of the bucket, for tools that take only ``https://``; may be "".
        tools: of :data:`scripts.labelling.way_out.TOOLS`.
        output: takes the files.

    Returns:
        Pictures in the tasks, and those left out because something is wrong with them.
    """
    pictures = left_out = 0
    for tool in tools:
        address = https_address(destination, region) if tool in HTTPS_ONLY else destination.url
        found, problems = read_captures(captures, address, least_score=LEAST_SCORE)
        pictures, left_out = len(found), len(problems)
        write_tasks(tool, found, output, WayOut(CLASSES, sama.Names()))
    return pictures, left_out


def https_address(destination: Destination, region: str) -> str:
    """Of a folder, as S3 has it (Amazon S3 User Guide, "Virtual-hosted-style requests")."""
    host = ".".join(filter(None, (destination.bucket, "s3", region, "amazonaws.com")))
    return f"https://{host}/{destination.url.removeprefix(f's3://{destination.bucket}/')}"
