"""Which file is meant: pictures on disk found by what an export calls them."""

from __future__ import annotations

import hashlib
import re
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from scripts.labelling.captures import day_in_path, group_of, parse_key, read_sidecar
from scripts.labelling.picture import Entry
from scripts.labelling.pictures import Measured, measure
from scripts.labelling.problems import LabellingError
from scripts.labelling.reading import sha256_in
from scripts.labelling.references import IMAGE_SUFFIXES, parts, uploaded_name
from updater.captures import SIDECAR_SUFFIX

_UPLOAD_PREFIX: Final = re.compile(r"[0-9a-f]{8}-(?P<name>.+)")


class NotFoundError(LookupError):
    """No file, or several, may be meant."""


class PictureIndex:
    """The pictures below some folders.

    Args:
        folders: Searched whole; a folder below another is searched once.

    Raises:
        LabellingError: A folder is none.
    """

    def __init__(self, folders: Iterable[Path]) -> None:
        self._by_stem: dict[str, list[Path]] = defaultdict(list)
        self._measured: dict[Path, Measured] = {}
        self._digests: dict[Path, str] = {}
        self._by_sha256: dict[str, Path] | None = None
        self._files: list[Path] = []
        self._roots = list(dict.fromkeys(folder.resolve() for folder in folders))
        for folder in self._roots:
            if not folder.is_dir():
                raise LabellingError("no such folder", where=str(folder))
            for path in folder.rglob("*"):
                if path.suffix.lower() in IMAGE_SUFFIXES and path.is_file():
                    self._files.append(path)
        self._files = sorted(set(self._files))
        for path in self._files:
            self._by_stem[path.stem].append(path)

    def measured(self, path: Path) -> Measured:
        """What a file holds; read once.

        Raises:
            PictureError: It is no picture.
        """
        if path not in self._measured:
            self._measured[path] = measure(path)
        return self._measured[path]

    def find(self, entry: Entry) -> Path:
        """The file that an entry is about.

        By content hash where the export carries one; else by its path: of the files of that name,
        the one that shares the most folders with it, but never one in another folder.

        Raises:
            NotFoundError: There is none, or several could be meant.
        """
        if entry.file is not None:
            return entry.file
        key = parse_key(entry.reference)
        if sha256 := entry.sha256 or (key.sha256 if key else sha256_in(entry.reference)):
            return self._of_sha256(sha256)
        wanted = parts(entry.reference)
        if not wanted:
            raise NotFoundError(f"{entry.reference[:80]!r} names no file")
        found = self._of_name(wanted)
        if not found and (name := uploaded_name(entry.reference)):
            found = self._of_name((name,))
        if not found and (prefixed := _UPLOAD_PREFIX.fullmatch(wanted[-1])):
            found = self._of_name((prefixed["name"],))
        if not found:
            raise NotFoundError(f"no picture called {wanted[-1][:120]!r}")
        if len(found) > 1 and len({self._sha256_of(path) for path in found}) > 1:
            names = ", ".join(str(path) for path in found[:3])
            raise NotFoundError(
                f"{len(found)} pictures may be meant by {entry.reference[:120]!r}: {names}"
            )
        return found[0]

    def _of_name(self, wanted: Sequence[str]) -> list[Path]:
        name = Path(wanted[-1])
        suffix = name.suffix if name.suffix.lower() in IMAGE_SUFFIXES else None
        stem = name.stem if suffix else name.name
        paths = [p for p in self._by_stem.get(stem, []) if suffix in (None, p.suffix)]
        shared = {path: _common_tail(path.parts[:-1], wanted[:-1]) for path in paths}
        most = max(shared.values(), default=0)
        found = [path for path in paths if shared[path] == most]
        if most == 0 and len(wanted) > 1:
            # cam1/a.jpg is not cam2/a.jpg, though no other is here; in a folder without folders
            # the name is all there is.
            found = [path for path in found if path.parent in self._roots]
        return found

    def _of_sha256(self, sha256: str) -> Path:
        if self._by_sha256 is None:
            # Only exports that carry hashes pay for reading every picture.
            self._by_sha256 = {}
            for path in self._files:
                self._by_sha256.setdefault(self._sha256_of(path), path)
        if sha256 not in self._by_sha256:
            raise NotFoundError(f"no picture with sha256 {sha256[:16]}…")
        return self._by_sha256[sha256]

    def _sha256_of(self, path: Path) -> str:
        if path not in self._digests:
            try:
                with path.open("rb") as file:
                    self._digests[path] = hashlib.file_digest(file, "sha256").hexdigest()
            except OSError:
                # No content is not the content that is looked for; measured() reports it when
                # the file is meant by its name.
                self._digests[path] = ""
        return self._digests[path]


def group_on_disk(path: Path) -> str | None:
    """The camera and day of a picture by its sidecar, else by its folders; None when unknown.

    Raises:
        StorageError: There is a sidecar, and it cannot be used.
    """
    sidecar_file = path.with_suffix(SIDECAR_SUFFIX)
    if sidecar_file.is_file() and (sidecar := read_sidecar(sidecar_file)) is not None:
        return group_of(sidecar)
    return day_in_path(path)


def _common_tail(first: Sequence[str], second: Sequence[str]) -> int:
    count = 0
    for a, b in zip(reversed(first), reversed(second), strict=False):
        if a != b:
            break
        count += 1
    return count
