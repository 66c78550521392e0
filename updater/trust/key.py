"""A key by itself: its id, its state, signing and verifying."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

KEY_ID_CHARACTERS = 16


class KeyState(StrEnum):
    """What a key is still good for; a key only ever moves down this list."""

    ACTIVE = "active"
    """Its signatures are accepted."""
    RETIRED = "retired"
    """Nothing new is installed on its word; what was installed before stays good."""
    REVOKED = "revoked"
    """It may be in foreign hands: nothing it signed is accepted, and each attempt is named."""

    def is_stricter_than(self, other: KeyState) -> bool:
        """Whether less is accepted in this state."""
        order = list(KeyState)
        return order.index(self) > order.index(other)


@dataclass(frozen=True, slots=True)
class PublicKey:
    """A key whose signatures this device knows.

    Attributes:
        key_id: 16 hex digits.
        state: what it is good for.
        public: its 32 bytes.
        comment: what people call it; may be empty.
        file: where it was read; None for one that was not.
    """

    key_id: str
    state: KeyState
    public: bytes
    comment: str = ""
    file: Path | None = None

    def verifies(self, signature: bytes, data: bytes) -> bool:
        """Whether ``signature`` (64 bytes) is this key's over ``data``, whatever its state."""
        try:
            Ed25519PublicKey.from_public_bytes(self.public).verify(signature, data)
        except InvalidSignature:
            return False
        return True


class SigningKey(Protocol):
    """What can sign: a key in this process, or one that never leaves its vault."""

    @property
    def key_id(self) -> str:
        """As of its public key."""

    def sign(self, data: bytes) -> bytes:
        """64 bytes (Ed25519)."""

    def public_bytes(self) -> bytes:
        """The public key's 32 bytes."""


class PrivateKey:
    """A signing key; its bytes leave this object only as signatures.

    Attributes:
        key_id: as of its public key.
    """

    def __init__(self, key: Ed25519PrivateKey) -> None:
        self._key = key
        self.key_id = key_id_of(self.public_bytes())

    def __repr__(self) -> str:
        return f"PrivateKey({self.key_id})"

    def sign(self, data: bytes) -> bytes:
        """64 bytes, always the same for the same data (RFC 8032)."""
        return self._key.sign(data)

    def public_bytes(self) -> bytes:
        """The public key's 32 bytes."""
        return self._key.public_key().public_bytes(
            serialization.Encoding.Raw, serialization.PublicFormat.Raw
        )


def key_id_of(public: bytes) -> str:
    """The id of a public key of 32 bytes."""
    return hashlib.sha256(public).hexdigest()[:KEY_ID_CHARACTERS]
