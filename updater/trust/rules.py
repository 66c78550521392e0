"""The rules of trust: which bundles this device installs. Pure, no input or output.

Each raises when it is broken, and its message is what an operator reads on Connect's page; the
order in which they are asked is ``updater.trust.examination``'s and the installation's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from updater.errors import TrustError
from updater.manifest import SIGNATURE_NAME, Manifest
from updater.store.journal import Failure
from updater.trust.key import KeyState, PublicKey
from updater.trust.keys import KeyRing
from updater.trust.signature import parse
from updater.version import VERSION
from updater.versions import is_newer

SHOWN_CHARACTERS = 12
"""Of a digest in a message, as in a release's name."""

CLASSES_SHOWN = 5
CLASS_SHOWN_CHARACTERS = 64
"""Of a bundle's device classes in a message: even a signed list may be long, and the last line of
the output is what people see."""


@dataclass(frozen=True, slots=True)
class Signer:
    """Whose signature held.

    Attributes:
        key_id: of the key.
        comment: what people call it; may be empty.
    """

    key_id: str
    comment: str


@dataclass(frozen=True, slots=True)
class DeviceFacts:
    """What of a device decides whether a bundle may be installed.

    Attributes:
        committed_version: of the release that a rollback would go to; "" if there is none.
        committed_digest: of its manifest; "" likewise.
        device_class: the kind of device, as its configuration names it; "" if it names none.
        failures: bundles that failed here.
        allow_downgrade: the operator wants an older version, or another bundle of the same one.
        retry: the operator wants what failed before.
        daemon_version: of Sitewatch on this device.
    """

    committed_version: str = ""
    committed_digest: str = ""
    device_class: str = ""
    failures: tuple[Failure, ...] = ()
    allow_downgrade: bool = False
    retry: bool = False
    daemon_version: str = VERSION


def verify_manifest(
    manifest: bytes,
    signature: bytes | None,
    ring: KeyRing,
    *,
    require_signature: bool,
    accept_retired: bool = False,
    where: str = SIGNATURE_NAME,
) -> Signer | None:
    """Whether somebody this device knows vouches for these bytes.

    A signature that is there must hold even where none is required: one that does not is a sign of
    tampering, not of carelessness.

    Args:
        manifest: the exact bytes of ``manifest.json``, not yet parsed.
        signature: the exact bytes of ``manifest.sig``, or None if there are none.
        ring: the keys of this device.
        require_signature: whether an unsigned bundle is refused.
        accept_retired: for a bundle that was installed before, not for a new one.
        where: the signature's name in errors.

    Returns:
        Who vouches; None for an unsigned bundle where that is allowed.

    Raises:
        TrustError: nobody does.
    """
    if signature is None:
        if require_signature:
            raise TrustError(
                "the bundle is not signed",
                where=where,
                hint="Sign it with 'sitewatch-update bundle create --key KEYFILE'",
            )
        return None
    parsed = parse(signature, where=where)
    key = ring.find(parsed.key_id)
    if key is None:
        raise _unknown_key(parsed.key_id, ring, where)
    if not key.verifies(parsed.raw, manifest):
        raise TrustError(
            f"the signature of key {key.key_id} does not hold: the manifest or the signature "
            "was changed",
            where=where,
            hint="Do not install it; fetch the bundle again from where it was published",
        )
    check_key_state(key, accept_retired=accept_retired, where=where)
    return Signer(key.key_id, key.comment)


def check_key_state(key: PublicKey, *, accept_retired: bool, where: str) -> None:
    """A key whose signature holds must also still be good for it.

    Raises:
        TrustError: it was revoked, or retired and something new is to be installed.
    """
    if key.state is KeyState.REVOKED:
        raise TrustError(
            f"SIGNED BY REVOKED KEY {key.key_id}: whoever holds it is not to be trusted",
            where=where,
            hint="Find out where this bundle comes from",
        )
    if key.state is KeyState.RETIRED and not accept_retired:
        raise TrustError(
            f"key {key.key_id} is retired and signs nothing new",
            where=where,
            hint="Sign the bundle with an active key",
        )


def check_installable(
    manifest: Manifest, digest: str, archive_sha256: str, facts: DeviceFacts
) -> None:
    """Every rule that remains once a manifest is trusted and understood, in their order.

    Args:
        manifest: of the bundle.
        digest: sha256 of the manifest's bytes, 64 hex digits.
        archive_sha256: of the ``model.zip``, 64 hex digits, or "".
        facts: about the device.

    Raises:
        TrustError: the bundle is not for this device, or not now.
    """
    check_daemon(manifest.minimum_daemon, facts.daemon_version)
    check_device_class(manifest.device_classes, facts.device_class)
    check_newer(
        manifest.version,
        digest,
        facts.committed_version,
        facts.committed_digest,
        allow_downgrade=facts.allow_downgrade,
    )
    check_not_failed(digest, archive_sha256, facts.failures, retry=facts.retry)


def check_daemon(minimum: str, version: str) -> None:
    """The bundle needs no newer Sitewatch than this one.

    Raises:
        TrustError: it does.
    """
    if is_newer(minimum, version):
        raise TrustError(
            f"the bundle needs Sitewatch {minimum} or newer, and this is {version}",
            where="minimum_daemon",
            hint="Update Sitewatch first",
        )


def check_device_class(device_classes: Sequence[str], device_class: str) -> None:
    """The bundle is made for this kind of device; one that names no kind is made for all.

    Raises:
        TrustError: it is not.
    """
    if not device_classes or device_class in device_classes:
        return
    shown = [ascii(name)[1:-1][:CLASS_SHOWN_CHARACTERS] for name in device_classes]
    wanted = ", ".join(shown[:CLASSES_SHOWN]) + (" …" if len(shown) > CLASSES_SHOWN else "")
    found = f"is '{device_class}'" if device_class else "has no class in its configuration"
    raise TrustError(
        f"the bundle is for {wanted}, and this device {found}",
        where="device_classes",
        hint="Deploy it to another group, or set device_class",
    )


def check_newer(
    version: str,
    digest: str,
    committed_version: str,
    committed_digest: str,
    *,
    allow_downgrade: bool,
) -> None:
    """The bundle is newer than the one that is known to be good, or the very same.

    An attacker with an old signed bundle could otherwise bring back its faults.

    Raises:
        TrustError: it is older, or another bundle of the same version.
    """
    if allow_downgrade or not committed_version or digest == committed_digest:
        return
    if is_newer(version, committed_version):
        return
    if is_newer(committed_version, version):
        raise TrustError(
            f"version {version} is older than the installed {committed_version}",
            where="version",
            hint="Use --allow-downgrade if that is what you want",
        )
    raise TrustError(
        f"version {version} is installed already, with other content "
        f"({committed_digest[:SHOWN_CHARACTERS]}, and this is {digest[:SHOWN_CHARACTERS]})",
        where="version",
        hint="Give the bundle a new version, or use --allow-downgrade",
    )


def check_not_failed(
    digest: str, archive_sha256: str, failures: Sequence[Failure], *, retry: bool
) -> None:
    """The bundle did not fail here before.

    Also asked right after the download with the archive's hash alone, to spare the work.

    Args:
        digest: of the manifest; "" if it was not read yet.
        archive_sha256: of the archive; "" if it is not known.
        failures: what failed here.
        retry: the operator wants it tried again.

    Raises:
        TrustError: it did.
    """
    if retry:
        return
    for failure in reversed(failures):
        if (digest and failure.digest == digest) or (
            archive_sha256 and failure.archive_sha256 == archive_sha256
        ):
            raise TrustError(
                f"version {failure.version or 'unknown'} failed here before: {failure.reason}",
                where="failures",
                hint="Use --retry to try it again",
            )


def _unknown_key(key_id: str, ring: KeyRing, where: str) -> TrustError:
    active = ", ".join(key.key_id for key in ring.active())
    return TrustError(
        f"signed by key {key_id}, which this device does not know",
        where=where,
        hint=f"Active keys in {ring.where}: {active or 'none'}. Add one with "
        "'sitewatch-update keys add PUBFILE'",
    )
