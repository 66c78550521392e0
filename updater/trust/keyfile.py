"""Key files: what they look like, and how they are made.

A public key's file is PEM (SubjectPublicKeyInfo, RFC 8410) below a few lines that people and this
module read; tools such as ``openssl pkey -pubin`` skip them. A private key's is PEM (PKCS#8).
"""

from __future__ import annotations

import os
import re
import stat
from pathlib import Path

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from updater.atomic import fsync_folder
from updater.errors import ConfigError, StorageError, UsageError
from updater.trust.key import KeyState, PrivateKey, PublicKey, key_id_of

KEY_FILE_MAX_BYTES = 4096
"""A public key's file has about 200 bytes, a private one's 119."""

LINE_MAX_CHARACTERS = 200
PRIVATE_MODE = 0o600
PUBLIC_MODE = 0o644
PRIVATE_MARK = "PRIVATE KEY-----"
_PUBLIC_PEM = re.compile(
    r"-----BEGIN PUBLIC KEY-----\n[A-Za-z0-9+/=\n]+-----END PUBLIC KEY-----\n?"
)
_FIELD = re.compile(r"(?P<name>[a-z]+): (?P<value>[^\n]*)")


def parse_public(text: str, *, where: str, file: Path | None = None) -> PublicKey:
    """Reads a public key's file: lines ``name: value``, then PEM; the lines may be absent.

    Raises:
        ConfigError: it is not of this form, not Ed25519, or its id is another key's.
    """
    text = text.replace("\r\n", "\n")
    head, mark, _ = text.partition("-----BEGIN")
    pem = text[len(head) :]
    if not mark or not _PUBLIC_PEM.fullmatch(pem):
        raise ConfigError(
            "is no public key",
            where=where,
            hint="A keys folder holds files made by 'sitewatch-update keys generate'",
        )
    fields = _fields(head, where)
    try:
        loaded = serialization.load_pem_public_key(pem.encode())
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError("is no public key that can be read", where=where) from error
    if not isinstance(loaded, Ed25519PublicKey):
        raise ConfigError("is no Ed25519 key", where=where)
    public = loaded.public_bytes(serialization.Encoding.Raw, serialization.PublicFormat.Raw)
    key_id = key_id_of(public)
    if fields.get("id", key_id) != key_id:
        raise ConfigError(f"says it is key {fields['id']}, and is {key_id}", where=where)
    try:
        state = KeyState(fields.get("state", KeyState.ACTIVE))
    except ValueError as error:
        raise ConfigError(
            f"state {fields['state']!r} is not one of {', '.join(KeyState)}", where=where
        ) from error
    return PublicKey(key_id, state, public, fields.get("comment", ""), file)


def encode_public(key: PublicKey) -> bytes:
    """The bytes of a public key's file."""
    pem = Ed25519PublicKey.from_public_bytes(key.public).public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    lines = [f"id: {key.key_id}", f"state: {key.state}"]
    if key.comment:
        lines.append(f"comment: {key.comment}")
    return "\n".join((*lines, "")).encode() + pem


def load_private(path: Path) -> PrivateKey:
    """Reads a signing key (PEM, PKCS#8, without a passphrase).

    Raises:
        ConfigError: it cannot be read or is no such key.
    """
    text = read_key_file(path)
    try:
        loaded = serialization.load_pem_private_key(text.encode(), password=None)
    except TypeError as error:
        raise ConfigError(
            "is protected by a passphrase",
            where=str(path),
            hint="Decrypt it first: openssl pkey -in FILE -out PLAIN",
        ) from error
    except (ValueError, UnsupportedAlgorithm) as error:
        raise ConfigError(
            "is no private key",
            where=str(path),
            hint="Make one with 'sitewatch-update keys generate'",
        ) from error
    if not isinstance(loaded, Ed25519PrivateKey):
        raise ConfigError("is no Ed25519 key", where=str(path))
    return PrivateKey(loaded)


def generate(key_file: Path, public_file: Path, *, comment: str = "") -> PublicKey:
    """Makes a key pair; neither file may exist.

    Args:
        key_file: takes the private key, mode 0600.
        public_file: takes the public key: this one goes to the devices.
        comment: what people shall call it, one line.

    Raises:
        UsageError: a file exists, both are the same, or the comment has several lines.
        StorageError: a file cannot be written.
    """
    if key_file.absolute() == public_file.absolute():
        raise UsageError("private and public key cannot be in one file", where=str(key_file))
    if not _is_line(comment):
        raise UsageError("a comment is one line of at most 200 characters", where="--comment")
    for path in (key_file, public_file):
        if path.exists() or path.is_symlink():
            raise _exists(path)
    key = Ed25519PrivateKey.generate()
    public = PrivateKey(key).public_bytes()
    made = PublicKey(key_id_of(public), KeyState.ACTIVE, public, comment, public_file)
    private_pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    _write_new(key_file, private_pem, PRIVATE_MODE)
    try:
        _write_new(public_file, encode_public(made), PUBLIC_MODE)
    except BaseException:
        key_file.unlink()
        raise
    return made


def read_key_file(path: Path) -> str:
    """A key file's text.

    Raises:
        ConfigError: it cannot be read, is too large, no plain file, or everybody may write to it.
    """
    try:
        # Without O_NONBLOCK a pipe in the folder would be waited for.
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        try:
            mode = os.fstat(descriptor).st_mode
            if not stat.S_ISREG(mode):
                raise ConfigError("is no file, and so no key", where=str(path))
            data = os.read(descriptor, KEY_FILE_MAX_BYTES + 1)
        finally:
            os.close(descriptor)
    except OSError as error:
        raise ConfigError(f"cannot be read: {error.strerror}", where=str(path)) from error
    if mode & stat.S_IWOTH:
        raise writable_by_others(path)
    if len(data) > KEY_FILE_MAX_BYTES:
        raise ConfigError(f"more than {KEY_FILE_MAX_BYTES} bytes are no key", where=str(path))
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise ConfigError("is no key: not text", where=str(path)) from error


def writable_by_others(path: Path) -> ConfigError:
    """The refusal to believe what everybody may have written."""
    return ConfigError(
        "everybody may write here, so its keys prove nothing",
        where=str(path),
        hint=f"Look at what it holds, then: chmod o-w {path}",
    )


def _write_new(path: Path, data: bytes, mode: int) -> None:
    """A new file, durable, never over another."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, mode)
    except FileExistsError as error:
        raise _exists(path) from error
    except OSError as error:
        raise StorageError(f"cannot be written: {error.strerror}", where=str(path)) from error
    try:
        with os.fdopen(descriptor, "wb") as file:
            os.fchmod(descriptor, mode)
            file.write(data)
            file.flush()
            os.fsync(descriptor)
        fsync_folder(path.parent)
    except OSError as error:
        path.unlink()
        raise StorageError(f"cannot be written: {error.strerror}", where=str(path)) from error


def _fields(head: str, where: str) -> dict[str, str]:
    fields: dict[str, str] = {}
    for line in head.splitlines():
        match = _FIELD.fullmatch(line)
        if match is None or match["name"] not in ("id", "state", "comment"):
            raise ConfigError(
                f"{line[:80]!r} is not one of 'id: ', 'state: ', 'comment: '", where=where
            )
        if match["name"] in fields:
            raise ConfigError(f"{match['name']} is there twice", where=where)
        if not _is_line(match["value"]):
            raise ConfigError(f"{match['name']} is not one line of text", where=where)
        fields[match["name"]] = match["value"]
    return fields


def _is_line(text: str) -> bool:
    return len(text) <= LINE_MAX_CHARACTERS and (not text or text.isprintable())


def _exists(path: Path) -> UsageError:
    return UsageError(
        "is there already, and a key is never overwritten",
        where=str(path),
        hint="Choose another name, or move the old one away",
    )
