"""Which pictures and labels a data set is of: a version that follows from its content."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from training.dataset import part_sha256, picture_paths

_VERSION_DIGITS: Final = 16  # 64 bits: enough for no two of a project's data sets to meet


@dataclass(frozen=True, slots=True)
class DataIdentity:
    """Of a prepared data set.

    Attributes:
        train_sha256, val_sha256: Of each part's pictures, labels and boxes to be ignored.
        train_pictures, val_pictures: How many photographs each part has.
    """

    train_sha256: str
    val_sha256: str
    train_pictures: int
    val_pictures: int

    @property
    def version(self) -> str:
        """The same for the same content, wherever and whenever it was prepared."""
        text = f"train {self.train_sha256}\nval {self.val_sha256}\n"
        return hashlib.sha256(text.encode()).hexdigest()[:_VERSION_DIGITS]


def identify(root: Path) -> DataIdentity:
    """Reads a data set's content.

    Raises:
        DatasetError: A part has no pictures.
    """
    return DataIdentity(
        part_sha256(root, "train"),
        part_sha256(root, "val"),
        len(picture_paths(root, "train")),
        len(picture_paths(root, "val")),
    )
