"""``python -m tests.vm arm64|powercut|memory``: see scripts/test-vm."""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

from tests.vm import arm64, image, media, memory, powercut
from tests.vm.disk import CachedDisk, DiskServer
from tests.vm.machine import Hardware, Machine, acceleration

DEBS_VARIABLE = "SITEWATCH_DEBS"
DISKS = Path("/var/tmp")  # a disk image is large, and /tmp often in memory


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--suite", choices=tuple(media.RELEASES), default="bookworm")
    kinds = parser.add_subparsers(dest="kind", required=True)
    kinds.add_parser("arm64")
    kinds.add_parser("memory")
    cuts = kinds.add_parser("powercut")
    cuts.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 16))
    cuts.add_argument("--models", type=int, default=10, help="cuts in updates of the model")
    cuts.add_argument("--packages", type=int, default=4, help="cuts in upgrades of the package")
    arguments = parser.parse_args()
    # As an exception, so that machines and disks go, too.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    began_s = time.monotonic()
    print(f"{arguments.kind}, {arguments.suite}, {datetime.now(UTC):%F %R} UTC", flush=True)
    with tempfile.TemporaryDirectory(prefix="sitewatch-vm-", dir=DISKS) as name:
        {"arm64": on_arm64, "memory": in_little_memory, "powercut": power_cuts}[arguments.kind](
            arguments, Path(name)
        )
    print(f"{time.monotonic() - began_s:.0f} s", flush=True)
    return 0


def on_arm64(arguments: argparse.Namespace, work: Path) -> None:
    """One machine, and a box on this computer to compare with."""
    hardware = prepare(arguments, work, "arm64", arm64.MEMORY_MB, media.person(), arm64.MODELS)
    reference = arm64.on_this_computer(arguments.suite, find_deb(arguments, "amd64", work), work)
    arm64.run(Machine(hardware, forgetful(hardware), work / "machine"), arguments.suite, reference)


def in_little_memory(arguments: argparse.Namespace, work: Path) -> None:
    """Two machines, one after the other."""
    scene = media.person()
    small = prepare(arguments, work, "amd64", memory.SMALL_MB, scene, memory.MODELS)
    memory.run_small(Machine(small, forgetful(small), work / "small"))
    usual = replace(small, memory_mb=memory.USUAL_MB)
    memory.run_limited(Machine(usual, forgetful(usual), work / "usual"))


def power_cuts(arguments: argparse.Namespace, work: Path) -> None:
    """One machine, whose disk forgets."""
    scene, count = media.cells(work), arguments.models + 2
    hardware = prepare(arguments, work, "amd64", powercut.MEMORY_MB, scene, count)
    subprocess.run(["cp", "--sparse=always", hardware.image.disk, work / "disk"], check=True)
    disk = CachedDisk(work / "disk")
    try:
        with DiskServer(disk, work / "disk.socket") as server:
            powercut.run(
                Machine(hardware, server.drive, work / "machine"),
                server,
                seed=arguments.seed,
                models=arguments.models,
                packages=arguments.packages,
            )
    finally:
        disk.close()


def prepare(
    arguments: argparse.Namespace,
    work: Path,
    architecture: str,
    memory_mb: int,
    scene: media.Scene,
    count: int,
) -> Hardware:
    """Finds or makes what a machine boots and what it is given to read."""
    found = image.debian(arguments.suite, architecture)
    deb = find_deb(arguments, architecture, work)
    disk = media.make(deb, scene, work, count=count)
    hardware = Hardware(found, architecture, memory_mb, disk)
    print(f"{deb.name}, qemu with {acceleration(architecture, found.kernel)}", flush=True)
    return hardware


def find_deb(arguments: argparse.Namespace, architecture: str, work: Path) -> Path:
    """The package, from the folder that a variable names, or built now."""
    named = os.environ.get(DEBS_VARIABLE)
    return media.find_deb(arguments.suite, architecture, Path(named) if named else None, work)


def forgetful(hardware: Hardware) -> str:
    """A drive: the image, where what is written is gone when the machine is."""
    return f"file={hardware.image.disk},format=raw,snapshot=on"


if __name__ == "__main__":
    sys.exit(main())
