"""Models that went wrong, in bundles that are whole, signed, and pass their own golden pictures."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from scripts.cloud.assemble import POOL_NAME
from scripts.looping.archives import pack, unpack
from updater import manifest as manifests
from updater.bundle import list_files
from updater.manifest import MANIFEST_NAME, Manifest, Thresholds

SHIPPED: Final = Path(__file__).resolve().parents[2] / "packaging/model"
DEAF_SCORE: Final = 0.999
"""A threshold that nothing reaches: a slip in the last step of a good training."""


def deafen(bundle: Path) -> None:
    """Sets the working threshold so high that the model finds nothing."""
    manifest = manifests.read(bundle)
    _write(bundle, replace(manifest, thresholds=Thresholds(DEAF_SCORE, manifest.thresholds.iou)))


def disorder(bundle: Path) -> None:
    """Gives the classes each other's names: what happens where an export lists them anew."""
    manifest = manifests.read(bundle)
    _write(bundle, replace(manifest, classes=(*manifest.classes[1:], manifest.classes[0])))


@dataclass(frozen=True, slots=True)
class Fault:
    """What a model can suffer from.

    Attributes:
        name: for people.
        damage: does it, to a bundle's folder.
    """

    name: str
    damage: Callable[[Path], None]


DEAF: Final = Fault("its threshold lets nothing through", deafen)
DISORDERED: Final = Fault("its classes are in another order", disorder)


def spoil(packed: Path, fault: Fault, folder: Path) -> tuple[Path, Path]:
    """Spoils a good bundle.

    Args:
        packed: ``bundle.tar`` of the step ``export``.
        fault: what is done to it.
        folder: for the result; made.

    Returns:
        A ``bundle.tar``, and golden pictures as a careless maker might choose them: on none of
        them is anybody, and whoever finds nobody there passes.
    """
    bundle = unpack(packed, folder) / "bundle"
    fault.damage(bundle)
    quiet = folder / "quiet"
    quiet.mkdir()
    entries = []
    for golden in manifests.read(SHIPPED).golden:
        if not golden.objects:
            name = Path(golden.file).name
            shutil.copyfile(SHIPPED / golden.file, quiet / name)
            entries.append({"file": name, "objects": [], "licence": "CC0", "source": "shipped"})
    (quiet / POOL_NAME).write_text(json.dumps({"pictures": entries}))
    return pack(bundle, folder / "bundle.tar"), quiet


def _write(bundle: Path, manifest: Manifest) -> None:
    (bundle / MANIFEST_NAME).write_bytes(
        manifests.to_json(replace(manifest, files=list_files(bundle)))
    )
