"""The signature file: one way to write it, and only that way to read it."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.signed import KEY, public_key
from updater.errors import TrustError
from updater.trust.keyfile import encode_public
from updater.trust.signature import Signature, encode, parse

KEY_IDS = st.text("0123456789abcdef", min_size=16, max_size=16)


@given(KEY_IDS, st.binary(min_size=64, max_size=64))
def test_what_is_written_comes_back(key_id: str, raw: bytes) -> None:
    signature = Signature(key_id, raw)
    assert parse(encode(signature), where="sig") == signature


@given(st.data())
def test_no_other_bytes_mean_the_same(data: st.DataObject) -> None:
    written = encode(Signature("0123456789abcdef", bytes(range(64))))
    place = data.draw(st.integers(0, len(written) - 1))
    other = bytearray(written)
    other[place] = data.draw(st.integers(0, 255).filter(lambda byte: byte != written[place]))
    try:
        found = parse(bytes(other), where="sig")
    except TrustError as error:
        assert error.where == "sig"
        return
    assert found != Signature("0123456789abcdef", bytes(range(64)))
    assert encode(found) == bytes(other)


@given(st.binary(max_size=400))
def test_any_bytes_are_read_or_refused(data: bytes) -> None:
    with pytest.raises(TrustError):
        parse(data, where="sig")


def test_it_is_the_form_in_the_documentation(project_root: Path) -> None:
    written = encode(Signature("5c2f9d0e8a7b6c41", bytes(64)))
    example = written.decode().replace("A" * 86 + "==", "<base64 of 64 bytes>")
    assert example in (project_root / "docs/bundle.md").read_text()
    assert len(written) == 164


def test_openssl_verifies_what_we_sign(tmp_path: Path) -> None:
    data = b'{"a manifest": 1}\n'
    signature = parse(encode(Signature(KEY.key_id, KEY.sign(data))), where="sig")
    (tmp_path / "manifest.json").write_bytes(data)
    (tmp_path / "raw").write_bytes(signature.raw)
    (tmp_path / "key.pub").write_bytes(encode_public(public_key(KEY)))
    command = ["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", "key.pub", "-rawin",
               "-in", "manifest.json", "-sigfile", "raw"]  # fmt: skip
    run = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "Verified Successfully" in run.stdout
