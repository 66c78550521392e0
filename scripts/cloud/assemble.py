"""A bundle's folder made ready: golden pictures chosen, and proven by ``sitewatch selftest``.

The model runs in processes of their own, which know none of our secrets.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

from scripts.cloud import golden as goldens
from scripts.cloud.golden import Allowed, Found
from scripts.cloud.secrets import clean
from scripts.iou import Corners
from updater import manifest as manifests
from updater.atomic import write_atomically
from updater.bundle import list_files, verify_folder
from updater.errors import SelfTestError, UsageError
from updater.manifest import MANIFEST_NAME, GoldenPicture, Manifest

AS_IT_IS: Final[Mapping[str, Any]] = MappingProxyType({})

ROOT = Path(__file__).resolve().parents[2]
POOL_NAME = "allowed.json"
GOLDEN_FOLDER = "golden"
TIMEOUT_S = 900.0
SAID_MAX_CHARACTERS = 300


@dataclass(frozen=True, slots=True)
class PoolPicture:
    """A picture of a pool: where it lies, and what may be known of it."""

    path: Path
    allowed: Allowed


def read_pool(folder: Path) -> tuple[PoolPicture, ...]:
    """The allowed pictures of a folder.

    Either a bundle, whose golden pictures are public already, or pictures with an ``allowed.json``:
    ``{"pictures": [{"file", "licence", "source", "objects": [{"class_name", "box"}]}]}``. Without a
    licence and a source nobody may pass a picture on.

    Raises:
        UsageError: it is none of the two, or an entry is incomplete.
    """
    pool, bundle = folder / POOL_NAME, folder / MANIFEST_NAME
    try:
        if pool.is_file():
            return tuple(_entries(folder, pool))
        found = manifests.from_json(bundle.read_bytes(), where=str(bundle))
    except OSError as error:
        raise UsageError(
            f"neither a bundle nor pictures with {POOL_NAME}", where=str(folder)
        ) from error
    return tuple(
        PoolPicture(
            folder / picture.file,
            Allowed(
                Path(picture.file).name, tuple((one.class_name, one.box) for one in picture.objects)
            ),
        )
        for picture in found.golden
    )


def assemble(
    bundle: Path,
    pools: Sequence[Path],
    target: Path,
    *,
    most: int = goldens.MOST_PICTURES,
    asked: Mapping[str, Any] = AS_IT_IS,
) -> Manifest:
    """Copies a bundle's folder, with golden pictures chosen from pools where there are any.

    Args:
        bundle: with manifest, model and card.
        pools: folders of allowed pictures; none leaves the bundle's own golden pictures.
        target: made; must not be there.
        most: pictures to choose; more only where a class would go without.
        asked: fields of the manifest's probation, in the place of the bundle's own.

    Raises:
        BundleError: the bundle is damaged, or what is asked is out of range.
        UsageError: a pool cannot be read.
        GateError: the model can be held to too few of the pictures.
        SelfTestError: the model cannot be run here.
    """
    manifest = verify_folder(bundle)
    shutil.copytree(bundle, target)
    if asked:
        changed = replace(manifest, probation=replace(manifest.probation, **asked))
        manifest = manifests.from_json(manifests.to_json(changed), where=MANIFEST_NAME)
        _write(target, manifest)
    if not pools:
        return manifest
    pictures = {picture.allowed.name: picture for pool in pools for picture in read_pool(pool)}
    # Which classes a model has is its own affair; what it has no name for, it cannot be held to.
    usable = [
        picture
        for picture in pictures.values()
        if {name for name, _ in picture.allowed.objects} <= set(manifest.classes)
    ]
    if not usable:
        raise UsageError("no picture in the pools shows only classes of this model")
    shutil.rmtree(target / GOLDEN_FOLDER, ignore_errors=True)
    (target / GOLDEN_FOLDER).mkdir()
    for picture in usable:
        shutil.copyfile(picture.path, target / GOLDEN_FOLDER / picture.allowed.name)
    _write(target, replace(manifest, golden=()))
    chosen = goldens.choose(
        [picture.allowed for picture in usable],
        detect(target, manifest.thresholds.score * goldens.QUIET_SHARE),
        threshold=manifest.thresholds.score,
        most=most,
    )
    for picture in usable:
        if picture.allowed.name not in {golden.name for golden in chosen}:
            (target / GOLDEN_FOLDER / picture.allowed.name).unlink()
    return _write(
        target,
        replace(
            manifest,
            golden=tuple(
                GoldenPicture(f"{GOLDEN_FOLDER}/{golden.name}", golden.objects, goldens.MIN_IOU)
                for golden in chosen
            ),
        ),
    )


def detect(bundle: Path, threshold: float) -> dict[str, list[Found]]:
    """What the model finds on the golden pictures of a bundle's folder, by file name.

    Raises:
        SelfTestError: it cannot be run here.
    """
    arguments = ("detect", "--json", "--threshold", f"{threshold:.4f}", "--model", str(bundle))
    found = {}
    for line in _sitewatch(*arguments, str(bundle / GOLDEN_FOLDER)).splitlines():
        told = json.loads(line)
        found[Path(told["path"]).name] = [
            Found(one["class"], float(one["score"]), _corners(one["box"]))
            for one in told["detections"]
        ]
    return found


def prove(bundle: Path) -> None:
    """Runs the self-test that devices will run.

    Raises:
        SelfTestError: it fails here, so it would there.
    """
    _sitewatch("selftest", "--json", str(bundle))


def _sitewatch(*arguments: str) -> str:
    """Runs the daemon's command line to its end; its standard output."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH", ""))))
    try:
        done = subprocess.run(
            [sys.executable, "-m", "daemon", *arguments],
            capture_output=True,
            text=True,
            check=False,
            timeout=TIMEOUT_S,
            env={**clean(os.environ), "PYTHONPATH": path},
        )
    except subprocess.TimeoutExpired:
        raise SelfTestError(f"no answer in {TIMEOUT_S:g} s", where=arguments[0]) from None
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip() or "said nothing").splitlines()[-1]
        raise SelfTestError(
            f"ended with exit code {done.returncode}: {said[:SAID_MAX_CHARACTERS]}",
            where=f"sitewatch {arguments[0]}",
        )
    return done.stdout


def _write(folder: Path, manifest: Manifest) -> Manifest:
    written = replace(manifest, files=list_files(folder))
    write_atomically(folder / MANIFEST_NAME, manifests.to_json(written))
    return written


def _entries(folder: Path, pool: Path) -> Iterator[PoolPicture]:
    try:
        raw = json.loads(pool.read_text(encoding="utf-8"))["pictures"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise UsageError("is no list of allowed pictures", where=str(pool)) from error
    for number, entry in enumerate(raw):
        where = f"{pool}: picture {number}"
        try:
            name, rights = str(entry["file"]), (entry["licence"], entry["source"])
            objects = tuple(
                (str(one["class_name"]), _corners(one["box"])) for one in entry["objects"]
            )
        except (KeyError, TypeError, ValueError) as error:
            raise UsageError(
                "needs file, licence, source and objects with class_name and box", where=where
            ) from error
        if not all(isinstance(text, str) and text.strip() for text in rights):
            raise UsageError("without licence and source it may not be passed on", where=where)
        if Path(name).name != name or not (folder / name).is_file():
            raise UsageError(f"{name[:80]!r} is no file of this folder", where=where)
        yield PoolPicture(folder / name, Allowed(name, objects))


def _corners(raw: Sequence[object]) -> Corners:
    x1, y1, x2, y2 = (float(str(value)) for value in raw)
    return x1, y1, x2, y2
