"""Who signs: a key from the environment, from a file, or one that never leaves its vault."""

from __future__ import annotations

import base64
import binascii
import os
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from scripts.cloud.errors import SigningError
from scripts.cloud.secrets import SIGNING_KEY, clean, read_file
from updater.errors import ConfigError, UsageError
from updater.trust.key import KeyState, PrivateKey, PublicKey, SigningKey, key_id_of
from updater.trust.keyfile import parse_public, read_key_file
from updater.trust.keys import KeyRing
from updater.trust.signature import SIGNATURE_BYTES

COMMAND_TIMEOUT_S = 120.0
KMS_MAX_BYTES = 4096
"""What AWS KMS signs at most as it is (API reference, "Sign": ``Message`` of type ``RAW``)."""


class CommandKey:
    """A key behind a command, as those of key management services are.

    The command gets the manifest's bytes on standard input and answers the signature on standard
    output: 64 bytes, or their base64.

    Args:
        command: and its arguments; no shell sees it.
        public: its public key, which a signature is held against before it is used.

    Attributes:
        key_id: of the public key.
    """

    def __init__(self, command: tuple[str, ...], public: PublicKey) -> None:
        self._command = command
        self._public = public
        self.key_id = public.key_id

    def public_bytes(self) -> bytes:
        """The public key's 32 bytes."""
        return self._public.public

    def sign(self, data: bytes) -> bytes:
        """Has the command sign.

        Raises:
            SigningError: it fails, or answers no signature of this key.
        """
        name = self._command[0]
        try:
            done = subprocess.run(
                self._command,
                input=data,
                capture_output=True,
                check=False,
                timeout=COMMAND_TIMEOUT_S,
                env=clean(os.environ),
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            reason = error.strerror if isinstance(error, OSError) else "no answer in time"
            raise SigningError(f"cannot be run: {reason}", where=name) from error
        if done.returncode != 0:
            # What it said is not repeated: nobody knows what it holds.
            raise SigningError(
                f"ended with exit code {done.returncode}", where=name, hint=_limit_hint(data)
            )
        signature = _raw(done.stdout)
        if signature is None or not self._public.verifies(signature, data):
            raise SigningError(
                f"answered no signature of key {self.key_id}",
                where=name,
                hint="It must sign standard input as it is (Ed25519, not its hash), with the key "
                "of --public-key",
            )
        return signature


@dataclass(frozen=True, slots=True)
class KeySource:
    """Where the signing key is; one of the three.

    Attributes:
        file: PEM, mode 0600.
        command: that signs.
        public: file of the command's public key.
    """

    file: Path | None = None
    command: str = ""
    public: Path | None = None


def load(source: KeySource, environment: Mapping[str, str]) -> SigningKey:
    """The signing key.

    Raises:
        UsageError: none is named, or more than one, or a command without its public key.
        ConfigError: it cannot be used.
    """
    if source.file is not None and source.command:
        raise UsageError("a key file and a command: give one", where="--key-file")
    if source.command:
        if source.public is None:
            raise UsageError(
                "a signature is held against its public key before it is used",
                where="--sign-command",
                hint="Name its file with --public-key",
            )
        public = parse_public(read_key_file(source.public), where=str(source.public))
        try:
            command = tuple(shlex.split(source.command))
        except ValueError as error:
            raise UsageError(f"is no command: {error}", where="--sign-command") from error
        if not command:
            raise UsageError("is empty", where="--sign-command")
        return CommandKey(command, public)
    if source.file is not None:
        return _parse(read_file(source.file), str(source.file))
    if environment.get(SIGNING_KEY):
        return _parse(environment[SIGNING_KEY].encode(), SIGNING_KEY)
    raise UsageError(
        "no key to sign with",
        hint=f"Name a file with --key-file, a command with --sign-command, or set {SIGNING_KEY}",
    )


def ring_of(key: SigningKey) -> KeyRing:
    """What a device that trusts this key, and no other, knows."""
    public = key.public_bytes()
    return KeyRing(
        (PublicKey(key_id_of(public), KeyState.ACTIVE, public),), where="the signing key"
    )


def _parse(data: bytes, where: str) -> PrivateKey:
    # The texts of foreign exceptions could hold parts of the key.
    try:
        # In variables of some systems a line break is written as two characters.
        loaded = serialization.load_pem_private_key(data.replace(b"\\n", b"\n"), password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm):
        raise ConfigError(
            "is no private key (PEM, PKCS#8, without a passphrase)",
            where=where,
            hint="Make one with 'sitewatch-update keys generate'",
        ) from None
    if not isinstance(loaded, Ed25519PrivateKey):
        raise ConfigError("is no Ed25519 key", where=where)
    return PrivateKey(loaded)


def _limit_hint(data: bytes) -> str:
    """What may have been wrong with data that a command refused to sign."""
    if len(data) <= KMS_MAX_BYTES:
        return ""
    return (
        f"The manifest has {len(data)} bytes, and AWS KMS signs at most {KMS_MAX_BYTES}: "
        "--most-golden makes it shorter, and so does less 'provenance'"
    )


def _raw(answer: bytes) -> bytes | None:
    """A signature as it is, or as base64."""
    if len(answer) == SIGNATURE_BYTES:
        return answer
    try:
        decoded = base64.b64decode(b"".join(answer.split()), validate=True)
    except binascii.Error:
        return None
    return decoded if len(decoded) == SIGNATURE_BYTES else None
