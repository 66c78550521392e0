"""A YOLO-layout data set in memory, and its training batches.

Layout: ``images/<part>/*.jpg``, ``labels/<part>/*.txt`` (``class cx cy w h``, relative), and
optionally ``ignore/<part>/*.txt`` of the same form: boxes of which it is not known whether
they are an object, which the loss must neither reward nor punish.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import cv2
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from training.augment import AugmentSettings, augment
from training.closeup import HEAD, HELMET, CloseUpSettings, close_up, large_enough
from training.headwear import HeadwearSettings, vary
from updater.errors import SitewatchError

#: The classes of the model, in the order of its head rows.
CLASSES: Final[tuple[str, ...]] = ("helmet", "head", "person")
#: Class number of a box to be ignored.
IGNORE: Final = -1

IMAGE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png"})

Boxes = NDArray[np.float32]
Picture = NDArray[np.uint8]


class DatasetError(SitewatchError):
    """A data set on disk cannot be used."""

    exit_code = 25


@dataclass(frozen=True, slots=True)
class Example:
    """One photograph and its boxes.

    Attributes:
        name: File name without suffix.
        picture: RGB, ``[H,W,3]``.
        boxes: ``[N,5]``: class (``IGNORE`` for a box to be ignored), x1, y1, x2, y2 in pixels.
    """

    name: str
    picture: Picture
    boxes: Boxes


def read_boxes(path: Path, width_px: int, height_px: int) -> Boxes:
    """Read a YOLO label file; a file that does not exist is a picture without objects.

    Raises:
        DatasetError: If a line is not five numbers or a number is out of range.
    """
    if not path.exists():
        return np.zeros((0, 5), np.float32)
    rows: list[tuple[float, ...]] = []
    for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            label, cx, cy, w, h = (float(word) for word in line.split())
        except ValueError as error:
            raise DatasetError(
                f"expected 'class cx cy w h', found {line[:80]!r}", where=f"{path}:{number}"
            ) from error
        if not (label >= 0 and label == int(label) and 0 < w <= 1 and 0 < h <= 1):
            raise DatasetError(
                f"class must be a whole number and sizes in (0, 1], found {line[:80]!r}",
                where=f"{path}:{number}",
            )
        rows.append((label, cx - w / 2, cy - h / 2, cx + w / 2, cy + h / 2))
    boxes = np.asarray(rows, np.float32).reshape(-1, 5)
    boxes[:, 1:] = boxes[:, 1:].clip(0, 1) * np.asarray(
        [width_px, height_px, width_px, height_px], np.float32
    )
    return boxes


def write_boxes(path: Path, boxes: Boxes, width_px: int, height_px: int) -> None:
    """Write boxes (class and corners in pixels) as a YOLO label file."""
    lines = []
    for label, x1, y1, x2, y2 in boxes.tolist():
        cx, cy = (x1 + x2) / 2 / width_px, (y1 + y2) / 2 / height_px
        w, h = (x2 - x1) / width_px, (y2 - y1) / height_px
        lines.append(f"{int(label)} {cx:.6f} {cy:.6f} {w:.6f} {h:.6f}\n")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("".join(lines), encoding="utf-8")


def read_picture(path: Path) -> Picture:
    """Read a picture as RGB ``[H,W,3]``.

    Raises:
        DatasetError: If the file is not a readable picture.
    """
    picture = cv2.imread(str(path), cv2.IMREAD_COLOR)
    if picture is None:
        raise DatasetError("not a readable picture", where=str(path), hint="Remove or replace it")
    return cv2.cvtColor(picture, cv2.COLOR_BGR2RGB).astype(np.uint8, copy=False)


def picture_paths(root: Path, part: str) -> list[Path]:
    """The pictures of one part of a data set, sorted by name.

    Raises:
        DatasetError: If there is none.
    """
    folder = root / "images" / part
    paths = sorted(p for p in folder.glob("*") if p.suffix.lower() in IMAGE_SUFFIXES)
    if not paths:
        raise DatasetError(
            "no pictures", where=str(folder), hint=f"A YOLO data set has them in images/{part}/"
        )
    return paths


def part_sha256(root: Path, part: str) -> str:
    """What one part of a data set is, in 64 hex digits: pictures, labels and boxes to be ignored.

    Figures of two models compare only where this is the same.

    Raises:
        DatasetError: If there is no picture.
    """
    digest = hashlib.sha256()
    for path in picture_paths(root, part):
        texts = [root / kind / part / f"{path.stem}.txt" for kind in ("labels", "ignore")]
        for each in (path, *texts):
            content = each.read_bytes() if each.exists() else b""
            digest.update(f"{each.name} {hashlib.sha256(content).hexdigest()}\n".encode())
    return digest.hexdigest()


def load_examples(root: Path, part: str) -> list[Example]:
    """Read one part of a data set into memory, boxes to be ignored included."""
    examples = []
    for path in picture_paths(root, part):
        picture = read_picture(path)
        height, width = picture.shape[:2]
        known = read_boxes(root / "labels" / part / f"{path.stem}.txt", width, height)
        unknown = read_boxes(root / "ignore" / part / f"{path.stem}.txt", width, height)
        unknown[:, 0] = IGNORE
        examples.append(Example(path.stem, picture, np.concatenate((known, unknown))))
    return examples


@dataclass(frozen=True, slots=True)
class SampleKey:
    """Which training picture to make: everything that it depends on."""

    index: int
    size_px: int
    mosaic: bool
    seed: int


@dataclass(frozen=True, slots=True)
class Batch:
    """Pictures ``[B,3,S,S]`` uint8 and targets ``[M,6]``: image, class, cx, cy, w, h (0 to 1)."""

    pictures: Tensor
    targets: Tensor


class TrainingSet(Dataset[tuple[Picture, Boxes]]):
    """Augmented pictures by key; the same key always gives the same picture."""

    def __init__(
        self,
        examples: Sequence[Example],
        settings: AugmentSettings,
        headwear: HeadwearSettings | None = None,
        close_ups: CloseUpSettings | None = None,
    ) -> None:
        self._examples = examples
        self._settings = settings
        self._headwear = headwear or HeadwearSettings()
        self._close = close_ups or CloseUpSettings()
        # (photograph, row of its boxes) of every head that can be shown large, by class.
        self._heads = {
            label: [
                (index, int(row))
                for index, example in enumerate(examples)
                for row in large_enough(example.boxes, label, self._close.least_head_px)
            ]
            for label in (HELMET, HEAD)
        }

    def __len__(self) -> int:
        return len(self._examples)

    def __getitem__(self, key: SampleKey) -> tuple[Picture, Boxes]:
        rng = np.random.default_rng((key.seed, key.index))
        if rng.random() < self._close.zoom:
            label = HELMET if rng.random() < self._close.zoom_helmet else HEAD
            if self._heads[label]:
                return self._close_up(label, key.size_px, rng)
        chosen = [self._examples[key.index]]
        if key.mosaic:
            others = rng.integers(len(self._examples), size=3)
            chosen.extend(self._examples[int(i)] for i in others)
        sources = [vary(each.picture, each.boxes, self._headwear, rng) for each in chosen]
        return augment(sources, key.size_px, self._settings, rng)

    def _close_up(
        self, label: int, size_px: int, rng: np.random.Generator
    ) -> tuple[Picture, Boxes]:
        """One head, large; its size is chosen here, so the usual change of scale is left out."""
        index, row = self._heads[label][int(rng.integers(len(self._heads[label])))]
        example = self._examples[index]
        picture, boxes = vary(example.picture, example.boxes, self._headwear, rng)
        fraction = float(np.exp(rng.uniform(*np.log(self._close.fraction))))
        cut = close_up(picture, boxes, row, fraction=fraction, settings=self._settings, rng=rng)
        return augment([cut], size_px, replace(self._settings, scale=(0.95, 1.05)), rng)


class EpochSampler(Sampler[list[SampleKey]]):
    """The batches of one rank for one epoch, each of one picture size.

    Every rank draws the same permutation and the same sizes (from seed and epoch) and takes its
    own share, so ranks always work on batches of equal cost and no talk between them is needed.
    """

    def __init__(
        self,
        length: int,
        batch: int,
        sizes_px: dict[int, float],
        *,
        seed: int,
        rank: int = 0,
        ranks: int = 1,
    ) -> None:
        self._length, self._batch, self._sizes = length, batch, sizes_px
        self._seed, self._rank, self._ranks = seed, rank, ranks
        self.epoch = 0
        self.mosaic_share = 0.0
        self.skipped = 0  # batches at the start of the epoch, when a run goes on within it

    def __len__(self) -> int:
        return max(1, self._length // (self._batch * self._ranks))

    def __iter__(self) -> Iterator[list[SampleKey]]:
        rng = np.random.default_rng((self._seed, self.epoch))
        need = len(self) * self._batch * self._ranks
        order = np.resize(rng.permutation(self._length), need)
        weights = np.fromiter(self._sizes.values(), np.float64)
        sizes = rng.choice(list(self._sizes), size=len(self), p=weights / weights.sum())
        mosaic = rng.random(need) < self.mosaic_share
        seeds = rng.integers(2**31, size=need)
        span = self._batch * self._ranks
        for step, size in enumerate(sizes[self.skipped :], self.skipped):
            start = step * span + self._rank * self._batch
            yield [
                SampleKey(int(order[i]), int(size), bool(mosaic[i]), int(seeds[i]))
                for i in range(start, start + self._batch)
            ]


def collate(samples: Sequence[tuple[Picture, Boxes]]) -> Batch:
    """Stack augmented pictures of one size into a batch."""
    size = samples[0][0].shape[0]
    stacked = np.stack([picture for picture, _ in samples])
    rows = []
    for number, (_, boxes) in enumerate(samples):
        row = np.empty((len(boxes), 6), np.float32)
        row[:, 0] = number
        row[:, 1] = boxes[:, 0]
        row[:, 2:4] = (boxes[:, 1:3] + boxes[:, 3:5]) / 2 / size
        row[:, 4:6] = (boxes[:, 3:5] - boxes[:, 1:3]) / size
        rows.append(row)
    pictures = torch.from_numpy(stacked).permute(0, 3, 1, 2)
    return Batch(pictures, torch.from_numpy(np.concatenate(rows)))
