"""``manifest.sig``: four lines that say who vouches for a manifest.

    sitewatch-signature: 1
    algorithm: ed25519
    key: 5c2f9d0e8a7b6c41
    signature: <base64 of 64 bytes>

Signed are the exact bytes of ``manifest.json``, with nothing before or after them, so that
``openssl pkeyutl -verify -rawin`` can check one too. The file itself is not signed: it names a key
and nothing depends on it unless that key's signature holds.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass

from updater.errors import TrustError

FORMAT = 1
SIGNATURE_BYTES = 64
"""Of Ed25519: RFC 8032, section 5.1.6."""

TEXT_PATTERN = re.compile(
    rb"sitewatch-signature: (?P<format>[0-9]{1,9})\n"
    rb"algorithm: (?P<algorithm>[a-z0-9-]{1,32})\n"
    rb"key: (?P<key>[0-9a-f]{16})\n"
    rb"signature: (?P<signature>[A-Za-z0-9+/]{1,400}={0,2})\n"
)
HINT = "Sign the bundle again with 'sitewatch-update bundle create --key KEYFILE'"


@dataclass(frozen=True, slots=True)
class Signature:
    """A signature file's content.

    Attributes:
        key_id: of the key that is said to have made it.
        raw: 64 bytes.
    """

    key_id: str
    raw: bytes


def encode(signature: Signature) -> bytes:
    """The bytes of ``manifest.sig``."""
    lines = (
        f"sitewatch-signature: {FORMAT}",
        "algorithm: ed25519",
        f"key: {signature.key_id}",
        f"signature: {base64.b64encode(signature.raw).decode()}",
    )
    return "\n".join((*lines, "")).encode()


def parse(data: bytes, *, where: str) -> Signature:
    """Reads a signature file; exactly what :func:`encode` writes is accepted.

    Args:
        data: the file's bytes, bounded by whoever read them.
        where: named in errors.

    Raises:
        TrustError: it has another form, format, algorithm or length.
    """
    match = TEXT_PATTERN.fullmatch(data)
    if match is None:
        raise TrustError("is no signature as Sitewatch writes it", where=where, hint=HINT)
    if (found := int(match["format"])) != FORMAT:
        raise TrustError(
            f"is a signature of format {found}, and this version reads format {FORMAT}",
            where=where,
            hint="Install a newer Sitewatch first",
        )
    if match["algorithm"] != b"ed25519":
        raise TrustError(
            f"is signed by {match['algorithm'].decode()}, and only ed25519 is accepted",
            where=where,
            hint=HINT,
        )
    try:
        raw = base64.b64decode(match["signature"], validate=True)
    except binascii.Error as error:
        raise TrustError("its signature is not base64", where=where, hint=HINT) from error
    signature = Signature(match["key"].decode(), raw)
    if len(raw) != SIGNATURE_BYTES:
        raise TrustError(
            f"its signature has {len(raw)} bytes, and one of Ed25519 has {SIGNATURE_BYTES}",
            where=where,
            hint=HINT,
        )
    if encode(signature) != data:
        # Unused bits in base64's last character would make two files of one signature.
        raise TrustError("is no signature as Sitewatch writes it", where=where, hint=HINT)
    return signature
