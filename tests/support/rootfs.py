"""Debian trees that can be booted, with what the package depends on; made once, then kept."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONTROL = ROOT / "packaging/debian/control"

SYSTEM = ("systemd", "systemd-sysv", "dbus", "udev", "procps", "ca-certificates")
TESTED_WITH = ("mosquitto", "mosquitto-clients", "nginx-light")

MAKE_TIMEOUT_S = 1800


class MissingError(Exception):
    """This machine lacks what it takes; the text says what."""


def cache() -> Path:
    """The folder that scripts/build-deb keeps its own trees in too."""
    named = os.environ.get("SITEWATCH_CACHE")
    usual = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "sitewatch"
    return Path(named) if named else usual


def dependencies() -> tuple[str, ...]:
    """The Debian packages that ours depends on, by name."""
    text = CONTROL.read_text().partition("\nDepends:")[2].partition("\nRecommends:")[0]
    names = (item.split()[0] for item in text.split(",") if not item.strip().startswith("$"))
    return tuple(name for name in names if not re.match(r"lib|systemd$", name))


def debian(suite: str, architecture: str = "amd64") -> Path:
    """A bootable tree of a Debian release.

    Args:
        suite: ``bookworm`` or ``trixie``.
        architecture: as Debian names it.

    Returns:
        Its folder; to be used as the lower layer of an overlay, never written to.

    Raises:
        MissingError: it cannot be made here.
        subprocess.CalledProcessError: making it failed.
    """
    packages = ",".join((*SYSTEM, "python3", *dependencies(), *TESTED_WITH))
    stamp = hashlib.sha256(f"{suite} {architecture} {packages}".encode()).hexdigest()
    folder = cache() / f"root-{suite}-{architecture}"
    stamp_file = folder.with_suffix(".stamp")
    cache().mkdir(parents=True, exist_ok=True)
    with folder.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if folder.is_dir() and stamp_file.is_file() and stamp_file.read_text() == stamp:
            return folder
        if os.geteuid() != 0 or shutil.which("mmdebstrap") is None:
            raise MissingError("making a Debian takes root and mmdebstrap")
        stamp_file.unlink(missing_ok=True)
        shutil.rmtree(folder, ignore_errors=True)
        _make(suite, architecture, packages, folder)
        stamp_file.write_text(stamp)
    return folder


def _make(suite: str, architecture: str, packages: str, folder: Path) -> None:
    subprocess.run(
        [
            *("mmdebstrap", "--mode=root", "--variant=minbase", f"--architectures={architecture}"),
            *(f"--include={packages}", "--format=directory", "--skip=output/dev"),
            '--aptopt=Acquire::Languages "none"',
            '--aptopt=APT::Install-Recommends "false"',
            *(f"--dpkgopt=path-exclude=/usr/share/{name}/*" for name in ("man", "locale", "doc")),
            "--dpkgopt=force-unsafe-io",
            # Servers are started by the tests, where they want them.
            "--customize-hook=chroot $1 systemctl --quiet disable mosquitto nginx",
            "--customize-hook=: > $1/etc/machine-id; echo camera > $1/etc/hostname",
            *(suite, str(folder)),
        ],
        check=True,
        timeout=MAKE_TIMEOUT_S,
        stdout=subprocess.DEVNULL,
    )
