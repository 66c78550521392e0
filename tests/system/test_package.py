"""The package on a booted Debian: installed, upgraded, interrupted, removed, purged."""

from __future__ import annotations

import json
import re
import time

import pytest

from tests.support.box import Box
from tests.support.installed import (
    DEB,
    UNIT,
    changed_s,
    current_origin,
    gap_s,
    install,
    is_active,
)

OTHER_UNITS = ("sitewatch-recover", "sitewatch-probation", "sitewatch-upload")


def test_installed_it_watches_at_once(box: Box) -> None:
    begun_s = time.monotonic()
    install(box)
    # apt has ended, so the unit has started: it is ready with its first processed frame.
    assert is_active(box), box.journal(UNIT)
    first_s = changed_s(box, "ActiveEnterTimestamp") - begun_s
    print(f"\nfrom apt's start to the first processed frame: {first_s:.1f} s")
    assert box.property(UNIT, "NRestarts") == "0"
    assert current_origin(box) == "floor"
    assert box.run("systemctl --failed --no-legend").stdout == ""
    status = json.loads(box.run("cat /run/sitewatch/status.json").stdout)
    assert status["frames"]["processed"] > 0
    for program in ("sitewatch", "sitewatch-update"):
        assert box.run(f"{program} --version").stdout.startswith("sitewatch 0.")
        first_line = (box.root / f"usr/bin/{program}").read_text().splitlines()[0]
        assert first_line == "#!/usr/bin/python3 -I"


def test_accounts_and_modes(box: Box) -> None:
    install(box)
    found = box.run(
        "stat -c '%a %U:%G %n' /var/lib/sitewatch /var/lib/sitewatch/* /etc/sitewatch/*"
    )
    assert set(found.stdout.splitlines()) == {
        "755 root:root /var/lib/sitewatch",
        "1770 sitewatch:sitewatch /var/lib/sitewatch/captures",
        "755 root:root /var/lib/sitewatch/incoming",
        "755 sitewatch-update:sitewatch-update /var/lib/sitewatch/models",
        "700 sitewatch:sitewatch /var/lib/sitewatch/outbox",
        "700 root:root /etc/sitewatch/credentials",
        "755 root:root /etc/sitewatch/keys",
        "644 root:root /etc/sitewatch/sitewatch.toml",
        "644 root:root /etc/sitewatch/sitewatch.toml.dpkg-dist",
        "644 root:root /etc/sitewatch/update.toml",
    }
    assert "sitewatch" in box.run("id -nG sitewatch-update").stdout.split()
    assert box.run("id -nG sitewatch").stdout.split() == ["sitewatch"]


def test_secrets_come_as_credentials(box: Box) -> None:
    install(box)
    box.write("/etc/sitewatch/credentials/mqtt/password", "secret", mode=0o600)
    box.run(f"systemctl restart {UNIT}")
    pid = box.property(UNIT, "MainPID")
    inside = (
        f"nsenter --target={pid} --mount --setuid=$(id -u sitewatch) --setgid=$(id -g sitewatch)"
    )
    there = box.run(f"{inside} cat /run/credentials/{UNIT}/mqtt_password")
    assert there.stdout == "secret"
    others = box.run(f"{inside} ls /etc/sitewatch/credentials", check=False)
    assert "Permission denied" in others.stderr
    as_updater = box.run(
        f"setpriv --reuid=sitewatch-update --regid=sitewatch-update --init-groups "
        f"cat /run/credentials/{UNIT}/mqtt_password",
        check=False,
    )
    assert "Permission denied" in as_updater.stderr


def test_each_start_is_counted_also_after_a_crash(box: Box) -> None:
    def counted() -> int:
        return box.journal("sitewatch-recover").count("Finished ")

    install(box)
    before = counted()
    box.run(f"systemctl kill --signal=KILL --kill-whom=main {UNIT}")
    box.eventually(
        lambda: box.property(UNIT, "NRestarts") == "1" and is_active(box), 60, "it stays down"
    )
    assert counted() == before + 1


def test_exposure_where_it_runs(box: Box) -> None:
    install(box)
    for unit, most in ((UNIT, 2.0), *((f"{name}.service", 1.5) for name in OTHER_UNITS)):
        report = box.run(f"systemd-analyze security --no-pager {unit}", check=False).stdout
        found = re.search(r"Overall exposure level for \S+ ([0-9.]+)", report)
        assert found, report
        assert float(found[1]) <= most, report


def test_an_upgrade_keeps_what_is_there(box: Box) -> None:
    install(box)
    box.write("/etc/sitewatch/keys/0123456789abcdef.pub", "mine")
    box.eventually(
        lambda: box.run("ls /var/lib/sitewatch/captures/*.jpg", check=False).stdout, 60, "none"
    )
    pictures = set(box.run("ls /var/lib/sitewatch/captures/*.jpg").stdout.split())
    pid = box.property(UNIT, "MainPID")
    install(box, "--reinstall")
    print(f"\nfrom the stop to the first processed frame: {gap_s(box):.1f} s")
    assert is_active(box)
    assert box.property(UNIT, "MainPID") != pid
    assert pictures <= set(box.run("ls /var/lib/sitewatch/captures/*.jpg").stdout.split())
    assert box.run("cat /etc/sitewatch/keys/*.pub").stdout == "mine"
    assert "/srv/site.mkv" in box.run("cat /etc/sitewatch/sitewatch.toml").stdout


LEFT = "systemctl list-units --no-legend --all --state=active,activating,failed 'sitewatch*'"


def test_what_is_at_work_is_stopped_before_its_files_go(box: Box) -> None:
    install(box)
    # A start of the camera has begun the recovery, which has not ended yet.
    slow = "/run/systemd/system/sitewatch-recover.service.d/slow.conf"
    box.write(slow, "[Service]\nExecStartPre=/usr/bin/sleep 600\nTimeoutStartSec=infinity\n")
    box.run("systemctl daemon-reload; systemctl restart --no-block sitewatch")
    box.eventually(
        lambda: box.property("sitewatch-recover", "SubState") == "start-pre", 60, "not begun"
    )
    box.run("apt-get purge -y sitewatch")
    assert box.run(LEFT).stdout == ""


def test_remove_keeps_the_data_and_purge_does_not(box: Box) -> None:
    def ours() -> set[str]:
        found = box.run("find / -xdev -path /proc -prune -o -name '*sitewatch*' -print")
        return set(found.stdout.split()) - {DEB}

    box.run("rm -r /etc/sitewatch")
    assert ours() == set()
    install(box)
    box.run("systemctl enable --now sitewatch-upload.timer")
    install(box, "--reinstall")
    assert box.property("sitewatch-upload.timer", "ActiveState") == "active"
    box.run("apt-get remove -y sitewatch")
    assert box.run(LEFT).stdout == ""
    assert box.run("ls /var/lib/sitewatch").stdout.split() == [
        *("captures", "incoming", "models", "outbox")
    ]
    assert box.run("ls /etc/sitewatch/sitewatch.toml").stdout
    install(box)  # as it was; without a camera now, so it is not active
    assert current_origin(box) == "floor"
    box.run("apt-get purge -y sitewatch")
    assert ours() == set()
    assert box.run("systemctl --failed --no-legend").stdout == ""


STEPS = {
    "install": ("systemd-sysusers", "py3compile", "systemd-tmpfiles", "deb-systemd-helper",
                "deb-systemd-invoke"),
    "upgrade": ("py3clean", "systemd-sysusers", "py3compile", "systemd-tmpfiles",
                "deb-systemd-helper", "deb-systemd-invoke"),
}  # fmt: skip
"""What the maintainer scripts call, in their order."""
BEFORE_UNPACKING = "py3clean"


@pytest.mark.parametrize(
    ("action", "command"),
    [(action, command) for action, commands in STEPS.items() for command in commands],
)
def test_dpkg_killed_in_a_maintainer_script(box: Box, action: str, command: str) -> None:
    if action == "upgrade":
        install(box)
    stub = f"/usr/local/sbin/{command}"
    box.write(stub, f"#!/bin/sh\nrm {stub}\nkill -KILL $(pidof dpkg)\nexit 1\n", mode=0o755)
    found = "PATH=/usr/local/sbin:$PATH dpkg --force-confold --install " + DEB
    assert box.run(found, check=False).returncode != 0
    assert not (box.root / stub.lstrip("/")).exists(), "it was not called"
    if action == "upgrade":
        assert is_active(box)

    mended = box.run("dpkg --force-confold --configure -a", check=False)
    if command == BEFORE_UNPACKING:
        # dpkg wants the package again where it ends before it has unpacked, whatever is in it.
        assert "reinstall it before" in mended.stderr
        box.run(f"dpkg --force-confold --install {DEB}")
    else:
        assert mended.returncode == 0, mended.stderr

    assert box.run("dpkg-query -W -f '${Status}' sitewatch").stdout == "install ok installed"
    assert is_active(box), box.journal(UNIT)
    assert current_origin(box) == "floor"
