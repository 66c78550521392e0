"""The order of trust, in one place: nothing is parsed before somebody vouches for it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from updater import manifest as manifests
from updater.archive import DEFAULT_LIMITS, Archive
from updater.bundle import verify_folder
from updater.errors import BundleError
from updater.manifest import MANIFEST_NAME, SIGNATURE_NAME, Manifest
from updater.trust.keys import KeyRing
from updater.trust.rules import Signer, verify_manifest


@dataclass(frozen=True, slots=True)
class Examined:
    """A manifest that is vouched for and understood; its files are not yet looked at.

    Attributes:
        manifest: of the bundle.
        digest: sha256 of its bytes, 64 hex digits.
        signer: who vouches; None for an unsigned bundle where that is allowed.
    """

    manifest: Manifest
    digest: str
    signer: Signer | None


def examine(
    archive: Archive,
    ring: KeyRing | None,
    *,
    require_signature: bool,
    accept_retired: bool = False,
) -> Examined:
    """Signature, then manifest, then whether the archive holds exactly what it lists.

    ``open_archive`` has kept the limits and the directory's rules before this;
    ``rules.check_installable`` and ``Archive.unpack`` follow.

    Args:
        archive: opened.
        ring: the keys of this device; None looks into a bundle without asking who made it, which
            is no ground for installing it.
        require_signature: whether an unsigned bundle is refused.
        accept_retired: whether a retired key still vouches.

    Raises:
        TrustError: nobody vouches for the manifest.
        BundleError: the manifest is not understood, or the archive holds something else.
        StorageError: the archive cannot be read.
    """
    data = archive.read_manifest()
    signer = None
    if ring is not None:
        signer = verify_manifest(
            data,
            archive.read_signature(),
            ring,
            require_signature=require_signature,
            accept_retired=accept_retired,
            where=f"{archive.where}: {SIGNATURE_NAME}",
        )
    manifest = manifests.from_json(data, where=f"{archive.where}: {MANIFEST_NAME}")
    archive.check_files(manifest.files)
    return Examined(manifest, hashlib.sha256(data).hexdigest(), signer)


def examine_folder(
    folder: Path,
    ring: KeyRing | None,
    *,
    require_signature: bool,
    accept_retired: bool = False,
) -> Examined:
    """The same for an unpacked bundle; here every file's size and sha256 is checked as well.

    Args:
        folder: of the bundle.
        ring: as for :func:`examine`.
        require_signature: likewise.
        accept_retired: likewise; true for a release that is installed already.

    Raises:
        TrustError: nobody vouches for the manifest.
        BundleError: the manifest is not understood, or the folder holds something else.
    """
    data = manifests.read_bytes(folder)
    signer = None
    if ring is not None:
        signer = verify_manifest(
            data,
            _signature_in(folder),
            ring,
            require_signature=require_signature,
            accept_retired=accept_retired,
            where=str(folder / SIGNATURE_NAME),
        )
    manifest = verify_folder(folder, data)
    return Examined(manifest, hashlib.sha256(data).hexdigest(), signer)


def _signature_in(folder: Path) -> bytes | None:
    path = folder / SIGNATURE_NAME
    try:
        with path.open("rb") as file:
            return file.read(DEFAULT_LIMITS.signature_bytes + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BundleError(f"cannot be read: {error.strerror}", where=str(path)) from error
