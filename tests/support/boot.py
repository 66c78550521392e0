"""``python -m tests.support.boot SUITE``: makes a Debian and boots it, as the tests will.

Nothing of ours is in it, so where this fails it is the computer that cannot.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

from tests.support import rootfs
from tests.support.box import Box, BoxError, obstacle


def why_not(suite: str) -> str:
    """What is in the way; "" if it boots."""
    if reason := obstacle():
        return reason
    try:
        with (
            tempfile.TemporaryDirectory(prefix="sitewatch-boot-") as folder,
            Box(rootfs.debian(suite), Path(folder) / "box") as box,
        ):
            box.run("systemctl list-units")
    except (BoxError, rootfs.MissingError, subprocess.SubprocessError) as error:
        return str(error)
    return ""


if __name__ == "__main__":
    sys.exit(why_not(*sys.argv[1:]) or 0)
