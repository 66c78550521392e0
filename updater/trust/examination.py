"""The order of trust, in one place: nothing is parsed before somebody vouches for it."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from updater import manifest as manifests
from updater.archive import Archive
from updater.manifest import MANIFEST_NAME, Manifest
from updater.trust.keys import KeyRing
from updater.trust.rules import Signer, verify_manifest
from updater.zipdirectory import SIGNATURE_NAME


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
    archive: Archive, ring: KeyRing, *, require_signature: bool, accept_retired: bool = False
) -> Examined:
    """Signature, then manifest, then whether the archive holds exactly what it lists.

    ``open_archive`` has kept the limits and the directory's rules before this;
    ``rules.check_installable`` and ``Archive.unpack`` follow.

    Raises:
        TrustError: nobody vouches for the manifest.
        BundleError: the manifest is not understood, or the archive holds something else.
        StorageError: the archive cannot be read.
    """
    data = archive.read_manifest()
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
