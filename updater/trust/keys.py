"""The public keys of a device: a folder, one file a key.

A key is added, later retired (rotation) or revoked (it was stolen), and never comes back: what is
written here last is what a device believes while it is offline.
"""

from __future__ import annotations

import stat
from dataclasses import dataclass, replace
from pathlib import Path

from updater.atomic import write_atomically
from updater.errors import ConfigError, StorageError, UsageError
from updater.trust.key import KeyState, PrivateKey, PublicKey
from updater.trust.keyfile import (
    PRIVATE_MARK,
    PUBLIC_MODE,
    encode_public,
    generate,
    load_private,
    parse_public,
    read_key_file,
    writable_by_others,
)

__all__ = [
    "KeyRing",
    "KeyState",
    "PrivateKey",
    "PublicKey",
    "add",
    "demote",
    "generate",
    "load",
    "load_private",
]

KEYS_MAX = 100
"""Files in a keys folder; a fleet rotates its key once a year or two."""

PUBLIC_SUFFIX = ".pub"


@dataclass(frozen=True, slots=True)
class KeyRing:
    """The public keys of a device.

    Attributes:
        keys: by id.
        where: the folder, named in errors.
        warnings: what somebody should look at although it does no harm yet.
    """

    keys: tuple[PublicKey, ...] = ()
    where: str = "no keys folder"
    warnings: tuple[str, ...] = ()

    def find(self, key_id: str) -> PublicKey | None:
        """The key of an id, or None."""
        return next((key for key in self.keys if key.key_id == key_id), None)

    def active(self) -> tuple[PublicKey, ...]:
        """The keys whose signatures are accepted for something new."""
        return tuple(key for key in self.keys if key.state is KeyState.ACTIVE)


def load(folder: Path) -> KeyRing:
    """Reads a folder of public keys; a folder that is not there has none.

    Every file whose name begins with no dot must be a public key. Of one key in several files the
    strictest state counts. A private key is left alone, and warned of.

    Raises:
        ConfigError: a file is no public key, or others may write to the folder or a file.
    """
    try:
        if stat.S_IMODE(folder.stat().st_mode) & stat.S_IWOTH:
            raise writable_by_others(folder)
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except FileNotFoundError:
        return KeyRing(where=str(folder))
    except OSError as error:
        raise ConfigError(
            f"cannot be read: {error.strerror}", where=str(folder), hint="Check the keys folder"
        ) from error
    if len(paths) > KEYS_MAX:
        raise ConfigError(f"{len(paths)} files, more than {KEYS_MAX} keys", where=str(folder))
    found: dict[str, PublicKey] = {}
    warnings = []
    for path in paths:
        text = read_key_file(path)
        if PRIVATE_MARK in text:
            warnings.append(f"{path}: is a private key and does not belong on a device. Remove it")
            continue
        key = parse_public(text, where=str(path), file=path)
        known = found.get(key.key_id)
        if known is None or key.state.is_stricter_than(known.state):
            found[key.key_id] = key
    ordered = tuple(found[key_id] for key_id in sorted(found))
    return KeyRing(ordered, where=str(folder), warnings=tuple(warnings))


def add(folder: Path, public_file: Path) -> PublicKey:
    """Puts a public key into a keys folder, which is made if it is not there.

    Returns:
        The key as it now lies there; one that is there already stays as it is.

    Raises:
        ConfigError: the file is no public key, or this key was retired or revoked here.
        StorageError: the folder cannot be written.
    """
    text = read_key_file(public_file)
    if PRIVATE_MARK in text:
        raise ConfigError(
            "is a private key", where=str(public_file), hint="Give the file made by --public"
        )
    key = parse_public(text, where=str(public_file))
    known = load(folder).find(key.key_id)
    if known is not None:
        if known.state is not KeyState.ACTIVE:
            raise ConfigError(
                f"key {key.key_id} was {known.state} here",
                where=str(known.file),
                hint="Sign with another key",
            )
        return known
    return _store(folder, replace(key, file=folder / f"{key.key_id}{PUBLIC_SUFFIX}"))


def demote(folder: Path, key_id: str, state: KeyState) -> PublicKey:
    """Retires or revokes a key of a folder; one that is no better already stays as it is.

    Raises:
        UsageError: the folder has no such key.
        StorageError: the folder cannot be written.
    """
    ring = load(folder)
    key = ring.find(key_id)
    if key is None:
        raise UsageError(
            f"there is no key {key_id[:80]!r}",
            where=str(folder),
            hint="'sitewatch-update keys list' shows those there are",
        )
    if not state.is_stricter_than(key.state):
        return key
    return _store(folder, replace(key, state=state))


def _store(folder: Path, key: PublicKey) -> PublicKey:
    """Writes a key to its own file, or over the file that it was read from."""
    path = key.file or folder / f"{key.key_id}{PUBLIC_SUFFIX}"
    try:
        folder.mkdir(mode=0o755, parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(f"cannot be made: {error.strerror}", where=str(folder)) from error
    # A link (configuration tools use them) is written through, not replaced by a file.
    write_atomically(path.resolve(), encode_public(key), mode=PUBLIC_MODE)
    return replace(key, file=path)
