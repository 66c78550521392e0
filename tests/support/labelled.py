"""Pictures with boxes on disk, and captures as they come back from a bucket."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from scripts.labelling.picture import Box, LabelledPicture
from updater.captures import Found, Model, Pixels, Reason, Sidecar, Taken, to_json
from updater.upload.names import Destination

CLASSES = ("helmet", "head", "person")
BOXES = (Box("head", 10.25, 20.5, 40.75, 61.0), Box("helmet", 100.0, 5.0, 131.3, 44.9))


def scene(seed: int, width: int = 320, height: int = 180) -> Image.Image:
    """A picture that looks like no other seed's: large blocks of colour."""
    rng = np.random.default_rng(seed)
    blocks = Image.fromarray(rng.integers(0, 256, (9, 16, 3), dtype=np.uint8))
    return blocks.resize((width, height), Image.Resampling.NEAREST)


def jpeg(image: Image.Image, quality: int = 92) -> bytes:
    """The picture as a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def write_picture(path: Path, seed: int, width: int = 320, height: int = 180) -> Path:
    """A JPEG at that place, folders made."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(jpeg(scene(seed, width, height)))
    return path


def labelled(path: Path, seed: int, boxes: Sequence[Box] = BOXES) -> LabelledPicture:
    """A picture on disk with boxes."""
    data = write_picture(path, seed).read_bytes()
    return LabelledPicture(path, hashlib.sha256(data).hexdigest(), 320, 180, tuple(boxes))


def write_capture(
    root: Path, seed: int, *, device: str = "cam-1", day: int = 22, boxes: Sequence[Box] = BOXES
) -> Path:
    """A capture below a copy of a bucket, as the upload names it.

    Returns:
        The picture; its sidecar lies beside it.
    """
    data = jpeg(scene(seed))
    sidecar = Sidecar(
        sequence=seed,
        device=device,
        taken=Taken(f"2026-11-{day:02}T08:00:00.000000Z", True, "b", 1.0, 1.0, 1.0, seed),
        picture=Pixels(320, 180, len(data), hashlib.sha256(data).hexdigest()),
        model=Model("2026.11.1", CLASSES),
        detections=tuple(Found(b.name, b.score or 0.5, b.corners) for b in boxes),
        reasons=(Reason("uncertain_score", 0.8),),
        value=0.8,
        phash="0" * 16,
    )
    text = to_json(sidecar)
    destination = Destination("pictures", "site-7")
    key, sidecar_key = destination.keys(sidecar, hashlib.sha256(text).hexdigest())
    picture = root / Path(key).relative_to(destination.prefix)
    picture.parent.mkdir(parents=True, exist_ok=True)
    picture.write_bytes(data)
    (root / Path(sidecar_key).relative_to(destination.prefix)).write_bytes(text)
    return picture
