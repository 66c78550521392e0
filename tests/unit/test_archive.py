"""Reading a ``model.zip``: in a stream, into one folder, and all or nothing.

What must be refused is in ``test_attacks``.
"""

from __future__ import annotations

import errno
import hashlib
import io
import os
import random
import resource
import stat
import tracemalloc
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.attack import GOOD, GOOD_BYTES
from tests.support.rawzip import RawFile, RawZip
from tests.support.signed import FILES, bundle
from tests.support.watch import tree
from updater.archive import CHUNK_BYTES, open_archive
from updater.errors import BundleError, StorageError
from updater.manifest import FileEntry
from updater.staging import Staging
from updater.zipformat import DEFLATED, STORED

LISTED = tuple(
    FileEntry(path, len(data), hashlib.sha256(data).hexdigest()) for path, data in FILES.items()
)


def entry(path: str, data: bytes) -> FileEntry:
    return FileEntry(path, len(data), hashlib.sha256(data).hexdigest())


@pytest.fixture
def staging(tmp_path: Path) -> Path:
    folder = tmp_path / "staging"
    folder.mkdir()
    return folder


def test_what_is_unpacked_is_what_was_packed(staging: Path) -> None:
    archive = open_archive(io.BytesIO(GOOD_BYTES), where="a")
    archive.unpack(LISTED, staging)
    for path, data in FILES.items():
        assert (staging / path).read_bytes() == data
    assert (staging / "manifest.json").read_bytes() == archive.read_manifest()
    assert (staging / "manifest.sig").read_bytes() == archive.read_signature()


def test_everybody_may_read_it_and_only_its_owner_write(tmp_path: Path) -> None:
    previous = os.umask(0o077)
    try:
        folder = tmp_path / "staging"
        folder.mkdir(mode=0o700)
        open_archive(io.BytesIO(GOOD_BYTES), where="a").unpack(LISTED, folder)
    finally:
        os.umask(previous)
    modes = {name: stat.S_IMODE(mode) for name, (mode, _) in tree(tmp_path).items()}
    assert modes.pop("staging") == 0o755
    assert modes.pop("staging/golden") == 0o755
    assert set(modes.values()) == {0o644}


def test_an_unsigned_archive_has_no_signature(staging: Path) -> None:
    archive = open_archive(io.BytesIO(bundle(signature=None).to_bytes()), where="a")
    assert archive.read_signature() is None
    archive.unpack(LISTED, staging)
    assert not (staging / "manifest.sig").exists()


def test_an_archive_of_pythons_own_is_read(staging: Path) -> None:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in GOOD.files:
            archive.writestr(file.name.decode(), file.content)
    open_archive(made, where="a").unpack(LISTED, staging)
    assert (staging / "model.tflite").read_bytes() == FILES["model.tflite"]


@given(
    st.integers(0, 2**32),
    st.sampled_from((0, 1, 1999, CHUNK_BYTES - 1, CHUNK_BYTES, CHUNK_BYTES + 1, 600_000)),
    st.sampled_from((1, 3, 1 << 20)),
    st.sampled_from((STORED, DEFLATED)),
)
def test_any_content_comes_back_and_in_small_pieces(
    seed: int, size: int, period: int, method: int
) -> None:
    """Of every size about a piece's, from what deflates to nearly nothing to what does not."""
    data = (random.Random(seed).randbytes(min(size, period)) * (size // period + 1))[:size]
    raw = RawZip((RawFile(b"manifest.json", b"{}"), RawFile(b"x", data, method)))
    archive = open_archive(io.BytesIO(raw.to_bytes()), where="a")
    pieces = list(archive._content(archive.entries[1]))
    assert b"".join(pieces) == data
    assert all(0 < len(piece) <= CHUNK_BYTES for piece in pieces)
    archive.verify((entry("x", data),))


def test_memory_stays_flat_whatever_the_size(staging: Path, tmp_path: Path) -> None:
    model = random.Random(3).randbytes(24 << 20)
    path = tmp_path / "big.zip"
    raw = RawZip(
        (
            RawFile(b"manifest.json", b"{}"),
            RawFile(b"stored", model),
            RawFile(b"deflated", model, DEFLATED),
        )
    )
    path.write_bytes(raw.to_bytes())
    listed = (entry("stored", model), entry("deflated", model))
    del raw, model
    with path.open("rb") as file:
        tracemalloc.start()
        try:
            open_archive(file, where="a").unpack(listed, staging)
            _, peak_bytes = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    assert peak_bytes < 4 << 20


def test_what_was_verified_is_what_is_unpacked(staging: Path) -> None:
    file = io.BytesIO(GOOD_BYTES)
    archive = open_archive(file, where="a")
    before = archive.read_manifest(), archive.read_signature()
    place = GOOD_BYTES.index(b"golden/one.jpg")
    file.seek(0)
    file.write(bytes(place - 30))  # everything before the first picture
    with pytest.raises(BundleError, match=r"MODEL_CARD\.md: "):
        archive.unpack(LISTED, staging)
    assert (archive.read_manifest(), archive.read_signature()) == before
    assert list(staging.iterdir()) == []


def test_an_archive_that_shrinks_is_noticed(staging: Path) -> None:
    file = io.BytesIO(GOOD_BYTES)
    archive = open_archive(file, where="a")
    archive.read_manifest()
    archive.read_signature()
    file.truncate(len(GOOD_BYTES) // 2)
    with pytest.raises(BundleError, match="is shorter than its directory says"):
        archive.unpack(LISTED, staging)
    assert list(staging.iterdir()) == []


class FailingFile(io.BytesIO):
    """A file on a disk that cannot be read from some place on."""

    def __init__(self, data: bytes, good_bytes: int) -> None:
        super().__init__(data)
        self._good_bytes = good_bytes

    def read(self, size: int | None = -1) -> bytes:
        if self.tell() >= self._good_bytes:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        return super().read(size)


def test_a_disk_that_fails_is_no_bad_bundle(staging: Path) -> None:
    with pytest.raises(StorageError, match=r"a: cannot be read: Input/output error\. Check"):
        open_archive(FailingFile(GOOD_BYTES, 100), where="a")
    with pytest.raises(StorageError, match="cannot be read: "):
        _open_pipe()
    assert list(staging.iterdir()) == []


def _open_pipe() -> None:
    read, write = os.pipe()
    os.close(write)
    with os.fdopen(read, "rb") as file:
        open_archive(file, where="a")


def test_staging_must_be_an_empty_folder(staging: Path, tmp_path: Path) -> None:
    archive = open_archive(io.BytesIO(GOOD_BYTES), where="a")
    (staging / "left").write_text("over")
    with pytest.raises(StorageError, match="staging: is not empty"):
        archive.unpack(LISTED, staging)
    assert (staging / "left").read_text() == "over"
    with pytest.raises(StorageError, match="missing: cannot be written: No such file"):
        archive.unpack(LISTED, tmp_path / "missing")
    (tmp_path / "link").symlink_to(tmp_path)
    with pytest.raises(StorageError, match="link: cannot be written: "):
        archive.unpack(LISTED, tmp_path / "link")


def test_a_link_put_there_meanwhile_leads_nowhere(staging: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()

    def planting() -> Iterator[bytes]:
        (staging / "golden").symlink_to(tmp_path / "outside")
        yield b"content"

    with (
        pytest.raises(StorageError, match="golden: cannot be written: File exists"),
        Staging(staging) as writing,
    ):
        writing.write("model.tflite", planting())
        writing.write("golden/one.jpg", (b"evil",))
    assert list((tmp_path / "outside").iterdir()) == []
    assert not (staging / "model.tflite").exists()


def test_a_file_put_there_meanwhile_is_not_written_over(staging: Path, tmp_path: Path) -> None:
    (tmp_path / "target").write_text("untouched")

    def planting() -> Iterator[bytes]:
        (staging / "b").symlink_to(tmp_path / "target")
        yield b"content"

    with (
        pytest.raises(StorageError, match="b: cannot be written: File exists"),
        Staging(staging) as writing,
    ):
        writing.write("a", planting())
        writing.write("b", (b"evil",))
    assert (tmp_path / "target").read_text() == "untouched"


def test_a_folder_swapped_for_a_link_is_not_entered(staging: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    with pytest.raises(StorageError) as caught, Staging(staging) as writing:
        writing.write("golden/one.jpg", (b"one",))
        (staging / "golden").rename(tmp_path / "away")
        (staging / "golden").symlink_to(tmp_path / "outside")
        writing.write("golden/two.jpg", (b"evil",))
    assert list((tmp_path / "outside").iterdir()) == []
    assert any("golden/one.jpg stays" in note for note in caught.value.__notes__)


@pytest.mark.parametrize("stop", [KeyboardInterrupt, MemoryError])
def test_nothing_half_written_stays_whatever_stops_it(
    staging: Path, stop: type[BaseException]
) -> None:
    def stopping() -> Iterator[bytes]:
        yield b"half"
        raise stop

    with pytest.raises(stop), Staging(staging) as writing:
        writing.write("a/b/c/one", (b"whole",))
        writing.write("a/two", stopping())
    assert list(staging.iterdir()) == []


def test_a_disk_that_takes_no_more_is_named(staging: Path) -> None:
    """The limit on a file's size stands for a full disk: both stop a write in the middle."""
    archive = open_archive(io.BytesIO(GOOD_BYTES), where="a")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(StorageError, match=r"model\.tflite: cannot be written: File too large"):
            archive.unpack(LISTED, staging)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(staging.iterdir()) == []


def test_many_files_need_few_descriptors(staging: Path) -> None:
    files = {f"a{n % 7}/b{n % 5}/c/{n}": str(n).encode() for n in range(200)}
    raw = RawZip(
        (RawFile(b"manifest.json", b"{}"), *(RawFile(n.encode(), d) for n, d in files.items()))
    )
    seen = []

    class Counting(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            seen.append(len(list(Path("/proc/self/fd").iterdir())))
            return super().read(size)

    archive = open_archive(Counting(raw.to_bytes()), where="a")
    before = seen[0]
    archive.unpack(tuple(entry(name, data) for name, data in files.items()), staging)
    assert max(seen) - before < 8
    assert sum(path.is_file() for path in staging.rglob("*")) == 201
