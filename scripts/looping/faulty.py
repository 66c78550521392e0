"""Models that went wrong, in bundles that are whole, signed, and pass their own golden pictures."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Final

from scripts.looping.archives import pack, unpack
from tests.support.damage import shuffle_weights
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


FAULTS: Final[Mapping[str, Callable[[Path], None]]] = {
    "its weights are shuffled": shuffle_weights,
    "its threshold lets nothing through": deafen,
}


def spoil(packed: Path, fault: Callable[[Path], None], folder: Path) -> Path:
    """Spoils a good bundle.

    Its only golden picture is one on which nobody is, as a careless maker might choose: whoever
    finds nothing at all passes.

    Args:
        packed: ``bundle.tar`` of the step ``export``.
        fault: what is done to its folder.
        folder: for the result; made.

    Returns:
        A ``bundle.tar``.
    """
    bundle = unpack(packed, folder) / "bundle"
    shutil.rmtree(bundle / "golden", ignore_errors=True)
    quiet = next(golden for golden in manifests.read(SHIPPED).golden if not golden.objects)
    (bundle / "golden").mkdir()
    shutil.copyfile(SHIPPED / quiet.file, bundle / quiet.file)
    _write(bundle, replace(manifests.read(bundle), golden=(quiet,)))
    fault(bundle)
    return pack(bundle, folder / "bundle.tar")


def _write(bundle: Path, manifest: Manifest) -> None:
    (bundle / MANIFEST_NAME).write_bytes(
        manifests.to_json(replace(manifest, files=list_files(bundle)))
    )
