from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from scripts.cloud import signing
from scripts.cloud.errors import SigningError
from scripts.cloud.secrets import SIGNING_KEY
from scripts.cloud.signing import KeySource
from updater.errors import ConfigError, UsageError
from updater.trust import keys

DATA = b"the manifest"


@pytest.fixture
def key(tmp_path: Path) -> Path:
    keys.generate(tmp_path / "release.key", tmp_path / "release.pub")
    return tmp_path / "release.key"


def command(tmp_path: Path, code: str) -> KeySource:
    script = tmp_path / "vault.py"
    script.write_text(f"import base64, pathlib, sys\ndata = sys.stdin.buffer.read()\n{code}\n")
    line = shlex.join([sys.executable, str(script)])
    return KeySource(command=line, public=tmp_path / "release.pub")


def test_file_and_variable_are_the_same_key(key: Path) -> None:
    of_file = signing.load(KeySource(file=key), {})
    of_variable = signing.load(KeySource(), {SIGNING_KEY: key.read_text()})
    assert of_file.sign(DATA) == of_variable.sign(DATA)
    assert of_file.key_id == of_variable.key_id


@pytest.mark.parametrize("form", ["signature", "base64.b64encode(signature) + b'\\n'"])
def test_a_command_signs(key: Path, tmp_path: Path, form: str) -> None:
    # The vault of this test is told the signature; that of a service holds the key.
    raw = keys.load_private(key).sign(DATA)
    source = command(tmp_path, f"signature = {raw!r}\nsys.stdout.buffer.write({form})")
    made = signing.load(source, {})
    assert made.sign(DATA) == raw
    assert made.key_id == keys.load_private(key).key_id
    assert signing.ring_of(made).keys[0].verifies(raw, DATA)


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("sys.exit('s3cret')", "ended with exit code 1"),
        ("print('nothing')", "answered no signature of key"),
        ("sys.stdout.buffer.write(bytes(64))", "answered no signature of key"),
        ("", "answered no signature of key"),
    ],
)
def test_a_command_that_does_not_sign(key: Path, tmp_path: Path, code: str, message: str) -> None:
    made = signing.load(command(tmp_path, code), {})
    with pytest.raises(SigningError, match=message) as caught:
        made.sign(DATA)
    assert "s3cret" not in str(caught.value)


def test_a_command_with_a_limit_is_told_of_the_size(key: Path, tmp_path: Path) -> None:
    made = signing.load(command(tmp_path, "sys.exit(254 if len(data) > 4096 else 1)"), {})
    with pytest.raises(SigningError, match=r"code 254\. The manifest has 4097 bytes, .* 4096"):
        made.sign(bytes(4097))
    with pytest.raises(SigningError) as caught:
        made.sign(bytes(4096))
    assert caught.value.hint == ""


def test_what_names_no_key(key: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no key to sign with"):
        signing.load(KeySource(), {})
    with pytest.raises(UsageError, match="give one"):
        signing.load(KeySource(file=key, command="sign"), {})
    with pytest.raises(UsageError, match="--public-key"):
        signing.load(KeySource(command="sign"), {})
    with pytest.raises(UsageError, match="is no command"):
        signing.load(KeySource(command="sign '", public=tmp_path / "release.pub"), {})
    missing = KeySource(command="/no/such/vault", public=tmp_path / "release.pub")
    with pytest.raises(SigningError, match="cannot be run"):
        signing.load(missing, {}).sign(DATA)


def test_a_damaged_key_does_not_show(key: Path) -> None:
    secret = key.read_text().splitlines()[1]
    with pytest.raises(ConfigError, match="is no private key") as caught:
        signing.load(KeySource(), {SIGNING_KEY: key.read_text().replace("MC4", "MC5")})
    assert secret[8:40] not in str(caught.value)
    assert caught.value.__cause__ is None


def test_a_key_that_others_can_read_is_refused(key: Path) -> None:
    key.chmod(0o644)
    with pytest.raises(ConfigError, match="every user of this machine may use this secret"):
        signing.load(KeySource(file=key), {})
