"""A booted Debian with the real package. Slow, and for root alone: asked for by a variable.

``scripts/test-system`` does all of it. By hand: ``SITEWATCH_SYSTEM="bookworm trixie" scripts/test
tests/system``; the package is built by scripts/build-deb from the last commit, or taken from
``SITEWATCH_DEBS``, a folder.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support import rootfs, rtsp
from tests.support.box import Box, obstacle
from tests.support.cable import Cable
from tests.support.installed import DEB
from tests.support.site import Site
from tests.support.videos import write_video

ROOT = Path(__file__).resolve().parents[2]
SUITES_VARIABLE = "SITEWATCH_SYSTEM"
DEBS_VARIABLE = "SITEWATCH_DEBS"
RELEASES = {"bookworm": "deb12", "trixie": "deb13"}

VIDEO_S, FRAMES_PER_S = 600, 5
VIDEO = "/srv/site.mkv"


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skips all of this where it was not asked for, or cannot be."""
    reason = obstacle()
    if not os.environ.get(SUITES_VARIABLE):
        reason = f'boots whole systems: set {SUITES_VARIABLE}, e.g. to "bookworm trixie"'
    for item in items:
        if reason and Path(__file__).parent in item.path.parents:
            item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session", params=os.environ.get(SUITES_VARIABLE, "bookworm").split())
def suite(request: pytest.FixtureRequest) -> str:
    """The Debian release to boot."""
    return str(request.param)


@pytest.fixture(scope="session")
def deb(suite: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The package for it."""
    pattern = f"sitewatch_*+{RELEASES[suite]}_amd64.deb"
    if named := os.environ.get(DEBS_VARIABLE):
        return next(Path(named).glob(pattern))
    folder = tmp_path_factory.mktemp("deb")
    command = f"{ROOT}/scripts/build-deb --suite {suite} --arch amd64 --output {folder}"
    subprocess.run(command.split(), check=True)
    return next(folder.glob(pattern))


@pytest.fixture(scope="session")
def video(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten minutes of a bare-headed person who sways a little."""
    picture = Image.open(ROOT / "packaging/model/golden/bare-head.jpg").convert("RGB")
    rgb = np.asarray(picture.resize((416, 312)))
    sways = [np.ascontiguousarray(np.roll(rgb, 3 * step, axis=1)) for step in (0, 1, 2, 1)]
    frames = (sways[number % len(sways)] for number in range(VIDEO_S * FRAMES_PER_S))
    return write_video(tmp_path_factory.mktemp("video") / "site.mkv", frames, rate=FRAMES_PER_S)


@pytest.fixture
def box(suite: str, deb: Path, video: Path, tmp_path: Path) -> Iterator[Box]:
    """A Debian with a configuration, a video as its camera, and the package beside it."""
    folder = tmp_path / "box"
    with Box(rootfs.debian(suite), folder) as booted:
        booted.put(deb, DEB)
        booted.put(video, VIDEO)
        booted.write(
            "/etc/sitewatch/sitewatch.toml",
            f'[source]\nkind = "file"\nlocation = "{VIDEO}"\n[mqtt]\nenabled = false\n',
        )
        yield booted
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def site(suite: str, deb: Path, tmp_path: Path) -> Iterator[Site]:
    """A Debian with the package beside it, and a site around it, for which it is configured."""
    if reason := rtsp.missing():
        pytest.skip(reason)
    folder, cable = tmp_path / "box", Cable.new()
    with Box(rootfs.debian(suite), folder, cable=cable) as booted:
        booted.put(deb, DEB)
        with Site(booted, cable, tmp_path / "site") as around:
            yield around
    shutil.rmtree(folder, ignore_errors=True)
