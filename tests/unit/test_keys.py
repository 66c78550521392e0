"""Keys on disk: made once, added, retired, revoked, and never believed when in doubt."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from tests.support.signed import KEY, RETIRED_KEY, public_key
from updater.errors import ConfigError, StorageError, UsageError
from updater.trust import keys
from updater.trust.key import key_id_of
from updater.trust.keyfile import encode_public, parse_public
from updater.trust.keys import KeyState, PublicKey


@pytest.fixture
def public(tmp_path: Path) -> Path:
    """A public key's file, outside of any keys folder."""
    path = tmp_path / "one.pub"
    path.write_bytes(encode_public(public_key(KEY)))
    return path


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A keys folder that is not there yet."""
    return tmp_path / "etc/keys"


def test_a_new_pair_signs_and_verifies(tmp_path: Path) -> None:
    made = keys.generate(tmp_path / "k", tmp_path / "p", comment="release 2026")
    signature = keys.load_private(tmp_path / "k").sign(b"data")
    read = parse_public((tmp_path / "p").read_text(), where="p", file=tmp_path / "p")
    assert read == made
    assert made.state is KeyState.ACTIVE
    assert made.comment == "release 2026"
    assert read.verifies(signature, b"data")
    assert not read.verifies(signature, b"Data")
    assert not read.verifies(bytes(64), b"data")


def test_the_private_key_is_for_its_owner_alone(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        keys.generate(tmp_path / "k", tmp_path / "p")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "k").stat().st_mode) == 0o600
    assert stat.S_IMODE((tmp_path / "p").stat().st_mode) == 0o644
    assert (tmp_path / "k").read_text().startswith("-----BEGIN PRIVATE KEY-----\n")
    assert "PRIVATE" not in (tmp_path / "p").read_text()
    assert repr(keys.load_private(tmp_path / "k")).startswith("PrivateKey(")


@pytest.mark.parametrize("taken", ["k", "p"])
def test_a_key_is_never_overwritten(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).write_text("precious")
    with pytest.raises(UsageError, match="is there already, and a key is never overwritten"):
        keys.generate(tmp_path / "k", tmp_path / "p")
    assert [path.name for path in tmp_path.iterdir()] == [taken]
    assert (tmp_path / taken).read_text() == "precious"


def test_a_dangling_link_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "k").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UsageError, match="is there already"):
        keys.generate(tmp_path / "k", tmp_path / "p")
    assert not (tmp_path / "elsewhere").exists()


def test_no_half_pair_stays(tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="cannot be written: No such file"):
        keys.generate(tmp_path / "k", tmp_path / "missing/p")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("comment", ["two\nlines", "\x1b[2J", "x" * 201])
def test_a_comment_is_one_line(tmp_path: Path, comment: str) -> None:
    with pytest.raises(UsageError, match="a comment is one line"):
        keys.generate(tmp_path / "k", tmp_path / "p", comment=comment)


def test_both_in_one_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be in one file"):
        keys.generate(tmp_path / "k", tmp_path / "k")


def test_a_folder_that_is_not_there_has_no_keys(folder: Path) -> None:
    ring = keys.load(folder)
    assert ring.keys == ()
    assert ring.where == str(folder)


def test_add_makes_the_folder_and_is_idempotent(folder: Path, public: Path) -> None:
    added = keys.add(folder, public)
    assert keys.add(folder, public) == added
    assert added.file == folder / f"{KEY.key_id}.pub"
    assert keys.load(folder).keys == (added,)
    assert [path.name for path in folder.iterdir()] == [f"{KEY.key_id}.pub"]


def test_a_key_only_ever_moves_down(folder: Path, public: Path) -> None:
    keys.add(folder, public)
    for state, found in (
        (KeyState.RETIRED, KeyState.RETIRED),
        (KeyState.RETIRED, KeyState.RETIRED),
        (KeyState.REVOKED, KeyState.REVOKED),
        (KeyState.RETIRED, KeyState.REVOKED),
    ):
        assert keys.demote(folder, KEY.key_id, state).state is found
        assert keys.load(folder).keys[0].state is found
        assert keys.load(folder).active() == ()
        with pytest.raises(ConfigError, match=f"key {KEY.key_id} was {found} here"):
            keys.add(folder, public)


def test_an_unknown_id_is_named(folder: Path, public: Path) -> None:
    keys.add(folder, public)
    with pytest.raises(UsageError, match="there is no key 'beef'"):
        keys.demote(folder, "beef", KeyState.RETIRED)


def test_a_plain_public_key_of_openssl_counts(folder: Path) -> None:
    folder.mkdir(parents=True)
    text = encode_public(public_key(KEY)).decode()
    pem = text[text.index("-----BEGIN") :].replace("\n", "\r\n")
    (folder / "by-hand.pem").write_bytes(pem.encode())
    (found,) = keys.load(folder).keys
    assert (found.key_id, found.state, found.comment) == (KEY.key_id, KeyState.ACTIVE, "")
    keys.demote(folder, KEY.key_id, KeyState.REVOKED)
    assert [path.name for path in folder.iterdir()] == ["by-hand.pem"]
    assert keys.load(folder).keys[0].state is KeyState.REVOKED


def test_of_one_key_in_two_files_the_strictest_counts(folder: Path, public: Path) -> None:
    keys.add(folder, public)
    keys.demote(folder, KEY.key_id, KeyState.REVOKED)
    for name in ("0.pub", "z.pub"):
        (folder / name).write_bytes(public.read_bytes())
        assert [key.state for key in keys.load(folder).keys] == [KeyState.REVOKED]


def test_a_link_into_the_folder_is_written_through(folder: Path, public: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "linked.pub").symlink_to(public)
    keys.demote(folder, KEY.key_id, KeyState.RETIRED)
    assert (folder / "linked.pub").is_symlink()
    assert b"state: retired" in public.read_bytes()


def test_hidden_files_are_left_alone(folder: Path, public: Path) -> None:
    keys.add(folder, public)
    (folder / ".one.pub.tmp").write_text("half a write")
    assert len(keys.load(folder).keys) == 1


def test_a_private_key_among_them_is_warned_of(folder: Path, public: Path, tmp_path: Path) -> None:
    keys.add(folder, public)
    keys.generate(folder / "oops.key", tmp_path / "p2")
    ring = keys.load(folder)
    assert [key.key_id for key in ring.keys] == [KEY.key_id]
    assert ring.warnings == (
        f"{folder}/oops.key: is a private key and does not belong on a device. Remove it",
    )
    with pytest.raises(ConfigError, match="is a private key"):
        keys.add(folder, folder / "oops.key")


GOOD = encode_public(public_key(KEY)).decode()
HEAD, PEM = GOOD[: GOOD.index("-----BEGIN")], GOOD[GOOD.index("-----BEGIN") :]
OTHER_KIND = (
    generate_private_key(SECP256R1())
    .public_key()
    .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    .decode()
)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "is no public key"),
        ("hello\n", "is no public key"),
        (HEAD, "is no public key"),
        (GOOD[:-5], "is no public key"),
        (GOOD + GOOD, "is no public key"),
        (GOOD.replace("MCow", "AAAA"), "is no public key that can be read"),
        (OTHER_KIND, "is no Ed25519 key"),
        ("id: 0123456789abcdef\n" + PEM, f"says it is key 0123456789abcdef, and is {KEY.key_id}"),
        ("state: good\n" + PEM, "state 'good' is not one of active, retired, revoked"),
        ("state: active\nstate: revoked\n" + PEM, "state is there twice"),
        ("State: revoked\n" + PEM, "'State: revoked' is not one of 'id: ', 'state: '"),
        ("comment: \x1b[2J\n" + PEM, "comment is not one line of text"),
        ("x" * 5000, "more than 4096 bytes are no key"),
    ],
)
def test_a_file_that_is_no_key_stops_everything(folder: Path, text: str, message: str) -> None:
    folder.mkdir(parents=True)
    (folder / "a.pub").write_bytes(encode_public(public_key(RETIRED_KEY)))
    (folder / "b.pub").write_text(text)
    with pytest.raises(ConfigError) as caught:
        keys.load(folder)
    assert message in str(caught.value)
    assert caught.value.where == str(folder / "b.pub")


def test_what_is_not_a_file_is_refused(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "sub").mkdir()
    with pytest.raises(ConfigError, match="is no file"):
        keys.load(folder)
    (folder / "sub").rmdir()
    os.mkfifo(folder / "pipe")
    with pytest.raises(ConfigError, match="is no file"):
        keys.load(folder)
    (folder / "pipe").unlink()
    (folder / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not text"):
        keys.load(folder)
    (folder / "binary").unlink()
    (folder / "dangling").symlink_to("nowhere")
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        keys.load(folder)


def test_too_many_files_are_refused(folder: Path) -> None:
    folder.mkdir(parents=True)
    for number in range(101):
        (folder / str(number)).touch()
    with pytest.raises(ConfigError, match="101 files, more than 100 keys"):
        keys.load(folder)


@pytest.mark.parametrize("what", ["folder", "file"])
def test_keys_that_everybody_may_write_prove_nothing(folder: Path, public: Path, what: str) -> None:
    added = keys.add(folder, public)
    assert added.file is not None
    path = folder if what == "folder" else added.file
    path.chmod(path.stat().st_mode | stat.S_IWOTH)
    with pytest.raises(ConfigError, match="everybody may write here"):
        keys.load(folder)


def test_private_keys_that_cannot_be_used(tmp_path: Path, public: Path) -> None:
    key = Ed25519PrivateKey.generate()
    encrypted = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    other = generate_private_key(SECP256R1()).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    path = tmp_path / "k"
    for data, message in (
        (encrypted, "is protected by a passphrase"),
        (other, "is no Ed25519 key"),
        (public.read_bytes(), "is no private key"),
        (b"hello", "is no private key"),
    ):
        path.write_bytes(data)
        with pytest.raises(ConfigError) as caught:
            keys.load_private(path)
        assert message in str(caught.value)
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        keys.load_private(tmp_path / "missing")


def test_an_id_is_the_beginning_of_the_hash() -> None:
    # openssl pkey -pubin -outform DER | tail -c 32 | sha256sum | head -c 16
    assert key_id_of(bytes(32)) == "66687aadf862bd77"


def test_states_know_their_order() -> None:
    assert KeyState.REVOKED.is_stricter_than(KeyState.RETIRED)
    assert KeyState.RETIRED.is_stricter_than(KeyState.ACTIVE)
    assert not KeyState.ACTIVE.is_stricter_than(KeyState.ACTIVE)


def test_a_ring_finds_its_keys() -> None:
    key: PublicKey = public_key(KEY)
    ring = keys.KeyRing((key,))
    assert ring.find(KEY.key_id) is key
    assert ring.find("") is None
