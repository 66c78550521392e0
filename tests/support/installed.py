"""The installed package in a box: apt, the camera's unit, and times."""

from __future__ import annotations

import json

from tests.support.box import Box

DEB = "/root/sitewatch.deb"
UNIT = "sitewatch.service"
APT = "apt-get install -y --no-install-recommends -o Dpkg::Options::=--force-confold"


def install(box: Box, *options: str, deb: str = DEB) -> None:
    """Installs a package as docs/package.md says, keeping the configuration that is there."""
    box.run(" ".join((APT, *options, deb)), timeout_s=300)


def relabel(box: Box, deb: str, version: str, change: str = "") -> None:
    """Makes another version of the package.

    Args:
        box: in which.
        deb: the file to be made.
        version: its version.
        change: shell command that changes the unpacked package, in its folder.
    """
    box.run(
        f"dpkg-deb -R {DEB} /root/relabelled && cd /root/relabelled && "
        f"sed -i 's/^Version: .*/Version: {version}/' DEBIAN/control && {change or ':'} && "
        f"dpkg-deb -Zgzip -z1 --build . {deb} && rm -r /root/relabelled"
    )


def is_active(box: Box) -> bool:
    """Whether the camera watches."""
    return box.run(f"systemctl is-active {UNIT}", check=False).stdout.strip() == "active"


def current_origin(box: Box) -> str:
    """Where the current model comes from: ``floor``, or a release."""
    status = json.loads(box.run("sitewatch-update status --json").stdout)
    return str(status["current"]["origin"])


def changed_s(box: Box, name: str) -> float:
    """When the camera's unit changed its state, on the clock that this machine and the box share.

    Args:
        box: in which.
        name: of a property of systemd, less its ending: ``ActiveEnterTimestamp``.
    """
    return int(box.property(UNIT, f"{name}Monotonic")) / 1e6


def gap_s(box: Box) -> float:
    """Seconds from the camera's last stop to its first processed frame after it."""
    return changed_s(box, "ActiveEnterTimestamp") - changed_s(box, "ActiveExitTimestamp")
