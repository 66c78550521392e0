"""What the disk says anywhere ends in one line and an exit code."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from tests.support.updating import Device

pytestmark = pytest.mark.once

BROKEN = """
import sys
from updater import cli
from updater.commands import status

def broken(*_):
    raise OSError(int(number), "it is broken", "journal.json")

number, *arguments = sys.argv[1:]
status.run = broken
sys.exit(cli.main(arguments))
"""


@pytest.fixture
def device(tmp_path: Path) -> Device:
    return Device(tmp_path)


@pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EROFS, errno.EDQUOT])
def test_an_error_of_the_disk_that_nobody_expected(device: Device, number: int) -> None:
    answer = device.run("status", program=("-c", BROKEN, str(number)))
    assert answer.code == 8
    assert answer.last_line == "sitewatch-update: journal.json: it is broken. Check the disk"
    assert "Traceback" not in answer.err


def test_any_other_error_is_a_bug_and_shown_as_one(device: Device) -> None:
    answer = device.run("status", program=("-c", BROKEN, str(errno.EBADF)))
    assert answer.code == 1
    assert "Traceback" in answer.err
