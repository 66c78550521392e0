"""Make a model bundle's folder: model, golden pictures, card, manifest.

``sitewatch-update bundle create`` makes the signed ``model.zip`` of it.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from training import checkpoint
from training.anchors import ANCHORS_PX, STRIDES_PX
from training.anew import made_anew
from training.card import Card, render
from training.dataset import CLASSES, DatasetError
from training.decode import Found, overlaps
from training.golden import Scene, scenes
from training.origin import Origin
from training.predict import Maps, detect, tflite_maps
from updater.atomic import write_atomically
from updater.bundle import list_files, verify_folder
from updater.errors import SelfTestError
from updater.manifest import (
    MANIFEST_NAME,
    MODEL_NAME,
    GoldenObject,
    GoldenPicture,
    InputSpec,
    Manifest,
    OutputSpec,
    Thresholds,
    to_template,
)

_GOLDEN_FOLDER = "golden"
_JPEG_QUALITY = 92
_LEAST_IOU = 0.5
#: A golden object must be found with this share of the score that the exporting machine saw;
#: runtimes differ in the last bits, a broken model differs in much more.
_SCORE_SHARE = 0.7
#: For the same reason nothing that is not there may come this close to the working threshold.
_QUIET_SHARE = 0.85


@dataclass(frozen=True, slots=True)
class BundleSettings:
    """What goes into a bundle.

    Attributes:
        model: The int8 ``.tflite``.
        size_px: Its input size.
        version: Of the bundle.
        thresholds: Working thresholds.
        figures: Lines that evaluation printed; those of this model and size are kept.
        provenance: Where the model comes from, by name.
        output: Folder of the bundle; an earlier bundle there is replaced when this one is whole.
        device_classes: Kinds of device it is made for; empty: all.
        checkpoint: That the model was exported from: data, commit and settings of its training go
            into the provenance.
        golden: Whether golden pictures go into it; without, ``publish.py`` chooses them.
    """

    model: Path
    size_px: int
    version: str
    thresholds: Thresholds
    figures: Path
    provenance: Mapping[str, str]
    output: Path
    device_classes: tuple[str, ...] = ()
    golden: bool = True
    checkpoint: Path | None = None


def make_bundle(settings: BundleSettings) -> Manifest:
    """Write a bundle's folder and check it.

    Raises:
        SelfTestError: If the model does not find what the golden pictures show, or finds more.
        DatasetError: If there are no figures for this model and size.
        UsageError: If the folder is there and is no bundle.
        StorageError: If it cannot be written; what was there before stays then.
    """
    with made_anew(settings.output, mark=MANIFEST_NAME) as folder:
        return _fill(folder, settings)


def _fill(folder: Path, settings: BundleSettings) -> Manifest:
    golden_folder = folder / _GOLDEN_FOLDER
    golden_folder.mkdir(parents=True)
    shutil.copyfile(settings.model, folder / MODEL_NAME)
    maps = tflite_maps(settings.model, threads=1)
    shown = scenes() if settings.golden else ()
    golden = tuple(_golden(scene, golden_folder, maps, settings) for scene in shown)
    metrics, judged_on = read_figures(settings.figures, settings.model.name, settings.size_px)
    # What the figures are of, told by those who made them: the gate compares it.
    provenance = {**_made_from(settings.checkpoint), **judged_on, **settings.provenance}
    card = Card(settings.version, settings.size_px, metrics, provenance)
    write_atomically(folder / "MODEL_CARD.md", render(card).encode())
    manifest = Manifest(
        version=settings.version,
        name="YOLOv5s hard hats",
        classes=CLASSES,
        input=InputSpec(settings.size_px, settings.size_px),
        output=OutputSpec("head_maps", strides=STRIDES_PX, anchors=ANCHORS_PX),
        thresholds=settings.thresholds,
        files=list_files(folder),
        golden=golden,
        device_classes=settings.device_classes,
        metrics=metrics,
        provenance=provenance,
    )
    write_atomically(folder / MANIFEST_NAME, to_template(manifest))
    return verify_folder(folder)


def read_figures(path: Path, model: str, size_px: int) -> tuple[dict[str, float], dict[str, str]]:
    """The figures of one model and size among the JSON lines of evaluation.

    Returns:
        Figures by name, and the identity of the pictures that they are of.

    Raises:
        DatasetError: If there is none, or not of every class.
    """
    for line in path.read_text(encoding="utf-8").splitlines():
        entry = json.loads(line)
        if (entry.get("step"), entry.get("model"), entry.get("size_px")) != (
            "evaluate",
            model,
            size_px,
        ):
            continue
        figures = {f"val/{name}": value for name, value in entry.items() if "map50" in name}
        if unknown := [name for name, value in figures.items() if value is None]:
            raise DatasetError(
                f"no figure for {', '.join(unknown)}",
                where=str(path),
                hint="The pictures that it was judged on show none of that class",
            )
        identity = {name: str(text) for name, text in entry.items() if name.endswith("_sha256")}
        return {name: float(value) for name, value in figures.items()}, identity
    raise DatasetError(
        f"no figures of {model} at {size_px} px",
        where=str(path),
        hint="Append what scripts/evaluate.py prints for it",
    )


def _made_from(path: Path | None) -> dict[str, str]:
    """Of a checkpoint; nothing from one that does not tell."""
    if path is None:
        return {}
    state = checkpoint.load(path)
    origin = Origin.from_plain(state.origin)
    return {**origin.facts(), "epoch": str(state.epoch)} if origin else {}


def _golden(scene: Scene, folder: Path, maps: Maps, settings: BundleSettings) -> GoldenPicture:
    """Write one golden picture and what must be found on it."""
    path = folder / f"{scene.name}.jpg"
    bgr = cv2.cvtColor(scene.picture, cv2.COLOR_RGB2BGR)
    if not cv2.imwrite(str(path), bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY]):
        raise DatasetError("cannot be written", where=str(path))
    # What counts is the picture as the device will read it.
    stored = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if stored is None:
        raise DatasetError("cannot be read back", where=str(path))
    picture = cv2.cvtColor(stored, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)
    found = detect(
        picture,
        settings.size_px,
        maps,
        _QUIET_SHARE * settings.thresholds.score,
        settings.thresholds.iou,
    )
    return GoldenPicture(
        file=f"{_GOLDEN_FOLDER}/{path.name}",
        objects=expectations(scene, found),
        min_iou=_LEAST_IOU,
    )


def expectations(scene: Scene, found: Found) -> tuple[GoldenObject, ...]:
    """What a self-test must find on a scene, given what the model finds here.

    Raises:
        SelfTestError: If an object is not found, or something is found that is not there.
    """
    left = list(range(len(found)))
    wanted = []
    for name, box in scene.objects:
        truth = np.asarray([box], np.float32)
        match = [
            i
            for i in left
            if CLASSES[int(found.classes[i])] == name
            and float(overlaps(truth, found.boxes[i : i + 1])[0, 0]) >= _LEAST_IOU
        ]
        if not match:
            raise SelfTestError(f"does not find the {name}", where=scene.name)
        left.remove(match[0])
        least = round(_SCORE_SHARE * float(found.scores[match[0]]), 3)
        wanted.append(GoldenObject(name, box, least))
    if left:
        raise SelfTestError(f"finds what is not there: {_tell(found, left)}", where=scene.name)
    return tuple(wanted)


def _tell(found: Found, which: Sequence[int]) -> str:
    return ", ".join(
        f"{CLASSES[int(found.classes[i])]} {found.scores[i]:.2f} at "
        f"{[round(v) for v in found.boxes[i].tolist()]}"
        for i in which
    )
