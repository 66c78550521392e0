"""A camera's whole life on a booted Debian, at a site of which it alone is inside the box."""

from __future__ import annotations

import itertools
import shlex
import time
from dataclasses import replace
from pathlib import Path

from tests.support.box import Box
from tests.support.installed import (
    UNIT,
    changed_s,
    current_origin,
    gap_s,
    install,
    is_active,
    relabel,
)
from tests.support.releases import copy_bundle
from tests.support.site import TOKEN, VERDICT_TIMEOUT_S, Site, first_arrivals
from updater import manifest as manifests
from updater.manifest import MANIFEST_NAME

QUIET_GOLDEN = "golden/nobody.jpg"
WATCHDOG_TIMEOUT_S = 60.0
"""The unit's WatchdogSec=, the time it leaves for dying, and its RestartSec=."""
NEWER_DEB = "/root/newer.deb"
OUTAGE_ALERTS = 20
PULLED_S = 5.0
"""Shorter than source.stall_timeout_s."""


def test_from_installation_to_purge(site: Site, bundle: Path, tmp_path: Path) -> None:
    """One life, in which no alert is lost: the last line counts them all."""
    shipped = manifests.read(bundle).version
    first_frame(site)
    assert site.model() == (shipped, "committed")
    site.trust()
    better_model(site, bundle)
    worse_model(site, mislabelled(bundle, tmp_path / "mislabelled"))
    reboot_on_probation(site, bundle)
    hung(site)
    camera_unplugged(site)
    broker_gone(site)
    cable_pulled(site)
    upgrade(site)
    removed_and_installed_again(site)
    numbers = first_arrivals(site.alerts)
    assert numbers == list(range(1, numbers[-1] + 1))
    print(f"alerts received: {len(numbers)}, none missing")
    purge(site.box)


def first_frame(site: Site) -> None:
    begun_s = time.monotonic()
    install(site.box)
    first_s = changed_s(site.box, "ActiveEnterTimestamp") - begun_s
    print(f"\nfrom apt's start to the first processed frame: {first_s:.1f} s")
    alert = site.next_alerts(1)[0]
    assert (alert["type"], alert["violation"]) == ("start", "bare_head")
    site.wait_for_availability("online")


def better_model(site: Site, bundle: Path) -> None:
    pid = site.box.property(UNIT, "MainPID")
    url = site.publish(bundle, "2026.12.1")
    site.box.write("/root/token", TOKEN, mode=0o600)
    begun_s = time.monotonic()
    answer = site.update("install", url, "--token-file /root/token")
    assert answer.returncode == 0, answer.stderr
    print(f"a better model: {answer.stdout.strip()}, {time.monotonic() - begun_s:.1f} s")
    assert site.model() == ("2026.12.1", "committed")
    assert site.next_alerts()[-1]["model_version"] == "2026.12.1"
    status = site.status()
    assert status["frames"]["failed"] == 0
    assert site.box.property(UNIT, "MainPID") == pid


def worse_model(site: Site, bundle: Path) -> None:
    """By the unit, with the token as its credential, as docs/package.md has it."""
    pid = site.box.property(UNIT, "MainPID")
    url = site.publish(bundle, "2026.12.2")
    site.box.write(
        "/etc/systemd/system/sitewatch-update@.service.d/token.conf",
        "[Service]\nLoadCredential=token:/etc/sitewatch/credentials/token\nExecStart=\n"
        "ExecStart=:/usr/bin/sitewatch-update install --token-file %d/token -- %I\n",
    )
    site.box.run("systemctl daemon-reload")
    unit = site.box.run(f"systemd-escape --template sitewatch-update@.service {url}").stdout.strip()
    begun_s = time.monotonic()
    start = f"systemctl start {shlex.quote(unit)}"
    ended = site.box.run(start, check=False, timeout_s=VERDICT_TIMEOUT_S).returncode
    said = site.box.journal(unit)
    assert ended != 0, said
    assert "2026.12.2: rolled back to 2026.12.1: it finds " in said, said
    assert site.box.property(unit, "ExecMainStatus") == "13"
    print(f"a worse model: rolled back after {time.monotonic() - begun_s:.1f} s")
    site.box.run(f"systemctl reset-failed {shlex.quote(unit)}")
    assert site.model() == ("2026.12.1", "committed")
    site.box.eventually(
        lambda: site.next_alerts(1)[-1]["model_version"] == "2026.12.1", 30, "it still runs"
    )
    assert site.box.property(UNIT, "MainPID") == pid


def reboot_on_probation(site: Site, bundle: Path) -> None:
    url = site.publish(bundle, "2026.12.3")
    answer = site.update("install", url, "--token-file /root/token --no-wait")
    assert answer.returncode == 0, answer.stderr
    assert site.model() == ("2026.12.3", "on_probation")
    begun_s = time.monotonic()
    site.box.reboot()
    site.box.eventually(lambda: is_active(site.box), 60, "it does not watch")
    watching_s = changed_s(site.box, "ActiveEnterTimestamp") - begun_s
    print(f"a reboot: {watching_s:.1f} s to the first processed frame")
    site.box.eventually(
        lambda: site.model() == ("2026.12.3", "committed"), 60, "there is no verdict"
    )
    assert site.next_alerts()[-1]["model_version"] == "2026.12.3"


def hung(site: Site) -> None:
    pid = site.box.property(UNIT, "MainPID")
    stopped_s = time.monotonic()
    site.box.run(f"systemctl kill --signal=STOP --kill-whom=main {UNIT}")
    site.box.eventually(
        lambda: site.box.property(UNIT, "MainPID") not in ("0", pid) and is_active(site.box),
        WATCHDOG_TIMEOUT_S,
        "it hangs",
    )
    back_s = changed_s(site.box, "ActiveEnterTimestamp") - stopped_s
    print(f"hung: {back_s:.1f} s to the first processed frame")
    assert "watchdog" in site.box.journal(UNIT).casefold()
    site.next_alerts()


def camera_unplugged(site: Site) -> None:
    restarts = int(site.box.property(UNIT, "NRestarts"))
    site.camera.kill()
    site.box.eventually(
        lambda: int(site.box.property(UNIT, "NRestarts")) > restarts, 60, "it is not started anew"
    )
    assert not is_active(site.box)
    site.wait_for_availability("offline")
    plugged_s = time.monotonic()
    site.camera.start()
    site.box.eventually(lambda: is_active(site.box), 60, "it stays blind")
    back_s = changed_s(site.box, "ActiveEnterTimestamp") - plugged_s
    print(f"the camera is back: {back_s:.1f} s to the first processed frame")
    site.next_alerts()
    site.wait_for_availability("online")


def broker_gone(site: Site) -> None:
    pid = site.box.property(UNIT, "MainPID")
    site.broker.stop()
    site.box.eventually(
        lambda: site.status()["outbox"]["queued"] >= OUTAGE_ALERTS, 60, "nothing is kept"
    )
    begun_s = time.monotonic()
    site.broker.start()
    site.next_alerts(OUTAGE_ALERTS)
    print(f"the broker is back: {time.monotonic() - begun_s:.1f} s to {OUTAGE_ALERTS} alerts")
    assert site.box.property(UNIT, "MainPID") == pid


def cable_pulled(site: Site) -> None:
    """Camera and broker are gone at once without a word, but not for long."""
    pid = site.box.property(UNIT, "MainPID")
    site.cable.pull()
    time.sleep(PULLED_S)
    site.cable.plug()
    site.next_alerts()
    assert site.box.property(UNIT, "MainPID") == pid


def upgrade(site: Site) -> None:
    relabel(site.box, NEWER_DEB, "9.0+deb12")
    seen = len(site.alerts)
    install(site.box, deb=NEWER_DEB)
    print(f"upgrade: {gap_s(site.box):.1f} s without detection")
    assert is_active(site.box)
    site.next_alerts()
    taken_s = [alert["monotonic_s"] for alert in site.alerts[seen - 1 :]]
    longest_s = max(after - before for before, after in itertools.pairwise(taken_s))
    print(f"... {longest_s:.1f} s from an alert to the next")
    assert site.model() == ("2026.12.3", "committed")
    install(site.box, "--allow-downgrades")
    print(f"and back: {gap_s(site.box):.1f} s without detection")
    site.next_alerts()
    assert site.model() == ("2026.12.3", "committed")


def removed_and_installed_again(site: Site) -> None:
    site.box.run("apt-get remove -y sitewatch")
    site.wait_for_availability("offline")
    install(site.box)
    assert is_active(site.box)
    assert site.model() == ("2026.12.3", "committed")
    site.next_alerts()


def purge(box: Box) -> None:
    box.run("apt-get purge -y sitewatch")
    assert box.run("ls -d /var/lib/sitewatch", check=False).returncode != 0
    install(box)
    assert current_origin(box) == "floor"


def mislabelled(bundle: Path, folder: Path) -> Path:
    """The shipped model with its classes mixed up, and no golden picture that would tell."""
    first, *others = manifests.read(bundle).classes
    manifest = copy_bundle(bundle, folder, "1", classes=(*others, first))
    quiet = tuple(each for each in manifests.read(bundle).golden if each.file == QUIET_GOLDEN)
    (folder / MANIFEST_NAME).write_bytes(manifests.to_json(replace(manifest, golden=quiet)))
    return folder
