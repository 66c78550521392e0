"""Reads one archive as a device does and says whether anything happened that never may."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import tempfile
import zipfile
from dataclasses import dataclass
from pathlib import Path

from tests.support.signed import KEY, read
from tests.support.watch import escapes
from updater.archive import ArchiveLimits
from updater.errors import BundleError, SitewatchError, TrustError
from updater.trust.examination import Examined

LIMITS = ArchiveLimits(
    archive_bytes=1 << 20,
    file_bytes=1 << 20,
    total_bytes=2 << 20,
    ratio_exempt_bytes=1 << 16,
)
"""As on a device but smaller, so that many archives a second can be tried."""

READS_MAX = 1000
"""Calls of ``read`` for one archive: 2 for its directory, 2 an entry, and 1 for each 256 KiB."""

TEXT_MAX_CHARACTERS = 10_000
"""Of an error; a manifest's text has 4096 at most, and one is shown."""

MEMORY = "/dev/shm"
"""Where it is there, bundles are unpacked in memory: thousands of fsyncs are no good to a disk."""


class Finding(Exception):  # noqa: N818  (nobody catches it: it is the fuzzer's result)
    """What never may happen did."""


class CountingFile(io.BytesIO):
    """Counts the work that is done on it: a measure of time that no busy machine changes."""

    def __init__(self, data: bytes) -> None:
        super().__init__(data)
        self._reads_left = READS_MAX
        self._bytes_left = 3 * len(data) + 200_000

    def read(self, size: int | None = -1) -> bytes:
        found = super().read(size)
        self._reads_left -= 1
        self._bytes_left -= len(found)
        if self._reads_left < 0 or self._bytes_left < 0:
            raise Finding("reads without end")
        return found


@dataclass(frozen=True)
class Outcome:
    """What became of one archive.

    Attributes:
        error: name of the class and the error's text without what differs from one archive to the
            next; "" if it was unpacked.
    """

    error: str


class Sandbox:
    """A folder of its own, with an empty working directory and a staging folder in it."""

    def __init__(self) -> None:
        memory = MEMORY if os.access(MEMORY, os.W_OK) else None
        self.root = Path(tempfile.mkdtemp(prefix="sitewatch-fuzz-", dir=memory))
        self.staging = self.root / "staging"
        self._elsewhere = self.root / "elsewhere"
        self.staging.mkdir()
        self._elsewhere.mkdir()
        self._before = Path.cwd()
        os.chdir(self._elsewhere)

    def close(self) -> None:
        os.chdir(self._before)
        shutil.rmtree(self.root)

    def try_out(self, data: bytes) -> Outcome:
        """Reads one archive.

        Raises:
            Finding: anything else than a refusal by our own errors, or a correct unpacked bundle.
        """
        failed: SitewatchError | None = None
        examined: Examined | None = None
        with escapes() as escaped:
            try:
                examined = read(CountingFile(data), self.staging, limits=LIMITS)
            except (BundleError, TrustError) as error:
                failed = error
            except SitewatchError as error:
                raise Finding(f"a bundle is to blame, and not {type(error).__name__}") from error
        if escaped:
            raise Finding(f"written outside of the staging folder: {escaped}")
        if failed is not None:
            self._check_refusal(failed)
        if examined is not None:
            self._check_unpacked(data, examined)
        self._check_surroundings()
        if failed is None:
            return Outcome("")
        return Outcome(f"{type(failed).__name__}: {failed.what[:30]}")

    def _check_refusal(self, error: SitewatchError) -> None:
        text = str(error)
        if len(text) > TEXT_MAX_CHARACTERS:
            raise Finding(f"an error of {len(text)} characters")
        if any(self.staging.iterdir()):
            raise Finding("something half-written stays")

    def _check_unpacked(self, data: bytes, examined: Examined) -> None:
        """Each file is what the manifest promised, and what another reader of zip files finds."""
        if examined.signer is None or examined.signer.key_id != KEY.key_id:
            raise Finding("accepted without the signature of the one active key")
        wanted = {entry.path: entry.sha256 for entry in examined.manifest.files}
        wanted["manifest.json"] = examined.digest
        found = {
            path.relative_to(self.staging).as_posix(): path
            for path in self.staging.rglob("*")
            if not path.is_dir() or path.is_symlink()
        }
        if {*found} != {*wanted, "manifest.sig"}:
            raise Finding(f"unpacked {sorted(found)}, and listed are {sorted(wanted)}")
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            if sorted(archive.namelist()) != sorted(found):
                raise Finding("another reader sees other files")
            for name, path in found.items():
                content = path.read_bytes()
                if path.is_symlink() or content != archive.read(name):
                    raise Finding(f"another reader sees other content in {name}")
                if name in wanted and hashlib.sha256(content).hexdigest() != wanted[name]:
                    raise Finding(f"{name} is not what the manifest promised")
        for path in sorted(self.staging.iterdir()):
            if path.is_dir():
                shutil.rmtree(path)
            else:
                path.unlink()

    def _check_surroundings(self) -> None:
        beside = sorted(path.name for path in self.root.iterdir())
        if beside != ["elsewhere", "staging"]:
            raise Finding(f"something new beside the staging folder: {beside}")
        if any(self._elsewhere.iterdir()):
            raise Finding("something new in the working directory")
