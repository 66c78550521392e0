"""Upgrades that go wrong, and the way back."""

from __future__ import annotations

import pytest

from tests.support.box import Box, BoxError
from tests.support.installed import UNIT, current_origin, gap_s, install, is_active, relabel

NEWER_DEB = "/root/newer.deb"
NEWER = "9.0+deb"
BROKEN_PROGRAM = "echo 'raise SystemExit(1)' >usr/lib/sitewatch/daemon/cli.py"
BROKEN_SCRIPT = "sed -i '2i exit 1' DEBIAN/postinst"


def version(box: Box) -> str:
    return box.run("dpkg-query -W -f '${Version}' sitewatch").stdout


def test_a_version_that_does_not_start_is_undone_with_apt(box: Box) -> None:
    install(box)
    before = version(box)
    relabel(box, NEWER_DEB, NEWER, BROKEN_PROGRAM)
    install(box, deb=NEWER_DEB)
    assert version(box) == NEWER
    assert not is_active(box)
    install(box, "--allow-downgrades")
    assert version(box) == before
    box.eventually(lambda: is_active(box), 30, "it does not watch")
    assert current_origin(box) == "floor"


def test_a_maintainer_script_that_fails_leaves_the_camera_watching(box: Box) -> None:
    install(box)
    before, pid = version(box), box.property(UNIT, "MainPID")
    relabel(box, NEWER_DEB, NEWER, BROKEN_SCRIPT)
    with pytest.raises(BoxError, match="post-installation script"):
        install(box, deb=NEWER_DEB)
    assert is_active(box)
    assert box.property(UNIT, "MainPID") == pid
    install(box, "--allow-downgrades")
    assert version(box) == before
    assert is_active(box)
    print(f"\nback from a failed upgrade: {gap_s(box):.1f} s without detection")
