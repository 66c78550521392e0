"""What a machine is given to read, as a disk: the package, a key, models, a video, pictures."""

from __future__ import annotations

import base64
import random
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image

from daemon.frames import RgbImage
from tests.conftest import find_shared_data
from tests.support import models
from tests.support.damage import shuffle_weights
from tests.support.videos import write_video
from tests.vm.image import format_disk
from updater import bundle as bundles
from updater.trust import keys

ROOT = Path(__file__).resolve().parents[2]
SHIPPED_MODEL = ROOT / "packaging/model"
RELEASES = {"bookworm": "deb12", "trixie": "deb13"}

DISK_BYTES = 512 << 20
FRAMES_PER_S, CALM_FRAMES = 5, 50
BALLAST_BYTES = 5_500_000
"""With base64 around it, a bundle of a tiny model is as large as the shipped one."""
SHARED_PICTURES = 5
BUILD_TIMEOUT_S = 1800

DEB, NEWER_DEB = "/mnt/sitewatch.deb", "/mnt/newer.deb"
KEY, VIDEO, PICTURES = "/mnt/site.pub", "/mnt/site.mkv", "/mnt/pictures"
MODELS = "/mnt/models"
DAMAGED_MODEL = f"{MODELS}/damaged.zip"


@dataclass(frozen=True)
class Scene:
    """What a camera sees, and with what.

    Attributes:
        bundle: folder of the model, to be packed as several versions.
        frame: the numbered picture of the video.
        frames: its length: more than are looked at between two starts.
    """

    bundle: Path
    frame: Callable[[int], RgbImage]
    frames: int


def person() -> Scene:
    """A bare-headed person who sways a little, seen by the shipped model."""
    picture = Image.open(SHIPPED_MODEL / "golden/bare-head.jpg").convert("RGB")
    rgb = np.asarray(picture.resize((416, 312)))
    return Scene(SHIPPED_MODEL, lambda number: np.roll(rgb, 3 * (number % 3), axis=1), 6000)


def cells(work: Path) -> Scene:
    """Coloured cells, seen by a tiny model: in an emulated machine it takes no time.

    Its bundle is as large as the shipped one, so as much is written.
    """
    bundle = models.write_bundle(work / "cells")
    noise = base64.encodebytes(random.Random(1).randbytes(BALLAST_BYTES))
    (bundle / "MODEL_CARD.md").write_bytes(noise)
    rgb = models.scene(4)

    def frame(number: int) -> RgbImage:
        return np.roll(rgb, 4 * models.CELL * (number // CALM_FRAMES), axis=1)

    return Scene(bundle, frame, 60_000)


def version(number: int) -> str:
    """Of the numbered model, each newer than the one before and than the package's."""
    return f"2027.1.{number}"


def model(number: int) -> str:
    """Where the machine has the numbered model; from 1."""
    return f"{MODELS}/{number}.zip"


def find_deb(suite: str, architecture: str, folder: Path | None, work: Path) -> Path:
    """The package, from a folder or else built now from the last commit.

    Raises:
        FileNotFoundError: it is not in the folder.
        subprocess.CalledProcessError: it cannot be built.
    """
    pattern = f"sitewatch_*+{RELEASES[suite]}_{architecture}.deb"
    if folder is None:
        folder = work / "deb"
        command = f"{ROOT}/scripts/build-deb --suite {suite} --arch {architecture}".split()
        subprocess.run(
            [*command, "--output", str(folder)],
            check=True,
            timeout=BUILD_TIMEOUT_S,
            stdout=subprocess.DEVNULL,
        )
    for found in folder.glob(pattern):
        return found
    raise FileNotFoundError(f"{folder}/{pattern}")


def make(deb: Path, scene: Scene, work: Path, *, count: int) -> Path:
    """Makes the disk.

    Args:
        deb: of the machine's release and architecture.
        scene: for the camera.
        work: a folder for it.
        count: of good models.

    Returns:
        The disk's file.
    """
    tree = work / "media"
    (tree / "models").mkdir(parents=True)
    shutil.copyfile(deb, tree / Path(DEB).name)
    _write_newer(deb, tree / Path(NEWER_DEB).name, work / "newer")
    keys.generate(work / "site.key", tree / Path(KEY).name)
    key = keys.load_private(work / "site.key")
    for number in range(1, count + 1):
        packed = tree / "models" / Path(model(number)).name
        bundles.create(scene.bundle, packed, version=version(number), key=key)
    damaged = work / "damaged"
    shutil.copytree(SHIPPED_MODEL, damaged)
    shuffle_weights(damaged)
    packed = tree / "models" / Path(DAMAGED_MODEL).name
    bundles.create(damaged, packed, version=version(count + 1), key=key)
    frames = (np.ascontiguousarray(scene.frame(number)) for number in range(scene.frames))
    write_video(tree / Path(VIDEO).name, frames, rate=FRAMES_PER_S)
    (tree / "pictures").mkdir()
    for path in pictures():
        shutil.copyfile(path, tree / "pictures" / path.name)
    format_disk(work / "media.ext4", tree, DISK_BYTES)
    return work / "media.ext4"


def pictures() -> list[Path]:
    """The shipped model's golden pictures, and some in-house photographs where they are."""
    data = find_shared_data()
    shared = sorted((data / "hardhat/images/val").glob("*.jpg")) if data else []
    return [*sorted((SHIPPED_MODEL / "golden").iterdir()), *shared[:SHARED_PICTURES]]


def _write_newer(deb: Path, target: Path, work: Path) -> None:
    """The same package as another version, for dpkg to upgrade to."""
    subprocess.run(["dpkg-deb", "--raw-extract", str(deb), str(work)], check=True)
    control = work / "DEBIAN/control"
    lines = [
        f"{line}+newer" if line.startswith("Version: ") else line
        for line in control.read_text().splitlines()
    ]
    control.write_text("\n".join(lines) + "\n")
    subprocess.run(
        ["dpkg-deb", "--root-owner-group", "-Zgzip", "--build", str(work), str(target)],
        check=True,
        stdout=subprocess.DEVNULL,
    )
    shutil.rmtree(work)
