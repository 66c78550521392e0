"""Photographs that are the same though their files differ: saved again, or scaled. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from scripts.labelling.pictures import Measured

#: Bits of the perceptual hash in which a photograph saved again differs at most: its noise and
#: scaling move it by two, different scenes by seventeen and more (docs/captures.md).
SAME_BITS: Final = 6
#: Grey levels between cells of the grids, of the mean and of the worst cell. The hash alone would
#: take every picture of a fixed camera for the same; a person who has moved changes cells by more.
SAME_MEAN_LEVELS: Final = 2.0
SAME_WORST_LEVELS: Final = 12
#: Grids compared at once: 4 MB.
_BLOCK: Final = 1024
#: Bits set in each 16-bit number; numpy has a function for it from 2.0 on only.
_BITS: Final = np.array([n.bit_count() for n in range(2**16)], np.uint8)


def twins(pictures: Sequence[Measured], parts: Sequence[str]) -> Iterator[tuple[int, int]]:
    """Pairs of indices: a picture, and one that is the same photograph.

    For each picture the first one before it in its own part; and for each one to train on, also the
    first in another part. So there are at most two pairs a picture, however many a fixed camera
    has taken of an empty site.

    Args:
        pictures: What the files hold.
        parts: The part of each.
    """
    if not pictures:
        return
    hashes = np.array([picture.phash for picture in pictures], np.uint64)
    grids = np.stack([picture.grid.reshape(-1) for picture in pictures])
    part = np.array(parts)
    for index in range(len(pictures)):
        near = np.flatnonzero(_bit_count(hashes ^ hashes[index]) <= SAME_BITS)
        alike = part[near] == parts[index]
        groups = [near[alike & (near < index)]]
        if parts[index] == "train":
            groups.append(near[~alike])
        for group in groups:
            if (twin := _first_same(grids, index, group)) is not None:
                yield index, twin


def _bit_count(values: NDArray[np.uint64]) -> NDArray[np.uint8]:
    counts: NDArray[np.uint8] = _BITS[values.view(np.uint16).reshape(-1, 4)].sum(
        axis=1, dtype=np.uint8
    )
    return counts


def _first_same(grids: NDArray[np.uint8], index: int, others: NDArray[np.intp]) -> int | None:
    own = grids[index].astype(np.int16)
    for start in range(0, len(others), _BLOCK):
        block = others[start : start + _BLOCK]
        difference = np.abs(grids[block] - own)
        same = (difference.mean(axis=1) <= SAME_MEAN_LEVELS) & (
            difference.max(axis=1) <= SAME_WORST_LEVELS
        )
        if same.any():
            return int(block[same.argmax()])
    return None
