"""The rules of trust, one by one."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.signed import (
    KEY,
    RETIRED_KEY,
    REVOKED_KEY,
    RING,
    UNKNOWN_KEY,
    manifest,
    public_key,
    sign,
    to_bytes,
)
from updater.errors import TrustError
from updater.manifest import Manifest, from_json
from updater.store.journal import Failure
from updater.trust.keys import KeyRing
from updater.trust.rules import (
    DeviceFacts,
    Signer,
    check_daemon,
    check_device_class,
    check_installable,
    check_newer,
    check_not_failed,
    verify_manifest,
)

DATA = to_bytes(manifest())
MANIFEST: Manifest = from_json(DATA)
DIGEST = "d1" * 32
ARCHIVE = "a5" * 32
FAILURE = Failure(DIGEST, ARCHIVE, "2026.11.22", "finds nothing", 1.0)


def test_a_signature_that_holds_names_its_key() -> None:
    found = verify_manifest(DATA, sign(DATA), RING, require_signature=True)
    assert found == Signer(KEY.key_id, "test key")


def test_without_a_signature() -> None:
    assert verify_manifest(DATA, None, RING, require_signature=False) is None
    with pytest.raises(TrustError, match=r"manifest\.sig: the bundle is not signed\. Sign it with"):
        verify_manifest(DATA, None, RING, require_signature=True)


@pytest.mark.parametrize("required", [True, False])
def test_a_bad_signature_is_worse_than_none(required: bool) -> None:
    for signature, ring in (
        (sign(DATA + b" "), RING),
        (sign(DATA, UNKNOWN_KEY), RING),
        (sign(DATA, REVOKED_KEY), RING),
        (sign(DATA, RETIRED_KEY), RING),
        (sign(DATA), KeyRing()),
        (b"", RING),
    ):
        with pytest.raises(TrustError):
            verify_manifest(DATA, signature, ring, require_signature=required)


def test_a_retired_key_vouches_for_what_is_installed() -> None:
    signature = sign(DATA, RETIRED_KEY)
    found = verify_manifest(DATA, signature, RING, require_signature=True, accept_retired=True)
    assert found is not None
    assert found.key_id == RETIRED_KEY.key_id
    with pytest.raises(TrustError, match="is retired and signs nothing new"):
        verify_manifest(DATA, signature, RING, require_signature=True)


@pytest.mark.parametrize("accept_retired", [True, False])
def test_a_revoked_key_vouches_for_nothing(accept_retired: bool) -> None:
    with pytest.raises(TrustError, match=f"SIGNED BY REVOKED KEY {REVOKED_KEY.key_id}"):
        verify_manifest(
            DATA, sign(DATA, REVOKED_KEY), RING, require_signature=True,
            accept_retired=accept_retired,
        )  # fmt: skip


def test_a_forged_signature_accuses_no_key_of_being_revoked() -> None:
    """The state is told only of a key that really signed: else anybody could raise the alarm."""
    forged = sign(DATA + b" ", REVOKED_KEY)
    with pytest.raises(TrustError, match="does not hold"):
        verify_manifest(DATA, forged, RING, require_signature=True)


def test_an_unknown_key_is_told_beside_the_known() -> None:
    with pytest.raises(TrustError) as caught:
        verify_manifest(DATA, sign(DATA, UNKNOWN_KEY), RING, require_signature=True)
    assert caught.value.hint == (
        f"Active keys in keys: {KEY.key_id}. Add one with 'sitewatch-update keys add PUBFILE'"
    )
    with pytest.raises(TrustError, match="no keys folder: none"):
        verify_manifest(DATA, sign(DATA), KeyRing(), require_signature=True)


@given(st.binary(max_size=300), st.integers(0, 299), st.integers(1, 255))
def test_no_byte_of_what_is_signed_can_change(data: bytes, place: int, change: int) -> None:
    signature = sign(data)
    ring = KeyRing((public_key(KEY),))
    assert verify_manifest(data, signature, ring, require_signature=True) is not None
    if place < len(data):
        other = bytearray(data)
        other[place] ^= change
        with pytest.raises(TrustError, match="does not hold"):
            verify_manifest(bytes(other), signature, ring, require_signature=True)


@pytest.mark.parametrize(
    ("minimum", "version"), [("0.1.0", "0.1.0"), ("0.1", "0.1.0"), ("0.1.0", "0.1.1")]
)
def test_daemon_new_enough(minimum: str, version: str) -> None:
    check_daemon(minimum, version)


@pytest.mark.parametrize(
    ("minimum", "version"), [("0.1.1", "0.1.0"), ("0.10", "0.9"), ("1", "1-rc1")]
)
def test_daemon_too_old(minimum: str, version: str) -> None:
    with pytest.raises(TrustError) as caught:
        check_daemon(minimum, version)
    assert (
        caught.value.what == f"the bundle needs Sitewatch {minimum} or newer, and this is {version}"
    )


def test_device_class() -> None:
    check_device_class((), "")
    check_device_class((), "raspberry-pi-4")
    check_device_class(("a", "raspberry-pi-4"), "raspberry-pi-4")
    with pytest.raises(TrustError, match="the bundle is for a, b, and this device is 'c'"):
        check_device_class(("a", "b"), "c")
    with pytest.raises(TrustError, match="this device has no class in its configuration"):
        check_device_class(("a",), "")
    with pytest.raises(TrustError, match=r"is for a\\x1b"):
        check_device_class(("a\x1b",), "c")


@pytest.mark.parametrize(
    ("version", "digest", "allow", "message"),
    [
        ("2.0", "aa", False, None),
        ("1.0", "bb", False, None),  # the very same
        ("0.9", "bb", False, None),
        ("1.0", "aa", False, "version 1.0 is installed already, with other content"),
        ("1", "aa", False, "version 1 is installed already, with other content"),
        ("0.9", "aa", False, "version 0.9 is older than the installed 1.0"),
        ("1.0-rc1", "aa", False, "version 1.0-rc1 is older than the installed 1.0"),
        ("1.0", "aa", True, None),
        ("0.9", "aa", True, None),
    ],
)
def test_newer(version: str, digest: str, allow: bool, message: str | None) -> None:
    if message is None:
        check_newer(version, digest, "1.0", "bb", allow_downgrade=allow)
        return
    with pytest.raises(TrustError) as caught:
        check_newer(version, digest, "1.0", "bb", allow_downgrade=allow)
    assert caught.value.what.startswith(message)
    assert "--allow-downgrade" in caught.value.hint


def test_anything_is_newer_than_nothing() -> None:
    check_newer("0", "aa", "", "", allow_downgrade=False)


@pytest.mark.parametrize(
    ("digest", "archive", "refused"),
    [
        (DIGEST, "", True),
        ("", ARCHIVE, True),
        (DIGEST, "ff" * 32, True),
        ("ff" * 32, "ff" * 32, False),
        ("", "", False),
    ],
)
def test_failed_before(digest: str, archive: str, refused: bool) -> None:
    unknown = replace(FAILURE, digest="", archive_sha256="")
    for failures in ((FAILURE,), (unknown, FAILURE), (FAILURE, unknown)):
        check_not_failed(digest, archive, failures, retry=True)
        if refused:
            with pytest.raises(
                TrustError, match=r"failed here before: finds nothing\. Use --retry"
            ):
                check_not_failed(digest, archive, failures, retry=False)
        else:
            check_not_failed(digest, archive, failures, retry=False)


def test_the_latest_failure_is_told() -> None:
    later = replace(FAILURE, reason="too slow")
    with pytest.raises(TrustError, match="too slow"):
        check_not_failed(DIGEST, "", (FAILURE, later), retry=False)
    with pytest.raises(TrustError, match="version unknown failed"):
        check_not_failed("", ARCHIVE, (replace(FAILURE, version=""),), retry=False)


def test_all_rules_together_and_their_order() -> None:
    facts = DeviceFacts(
        committed_version="2026.11.23",
        committed_digest="cc" * 32,
        device_class="pi",
        failures=(FAILURE,),
        daemon_version="0.0.1",
    )
    wanted = replace(MANIFEST, device_classes=("pc",))
    for where, step in (
        ("minimum_daemon", {"daemon_version": "0.1.0"}),
        ("device_classes", {"device_class": "pc"}),
        ("version", {"allow_downgrade": True}),
        ("failures", {"retry": True}),
    ):
        with pytest.raises(TrustError) as caught:
            check_installable(wanted, DIGEST, ARCHIVE, facts)
        assert caught.value.where == where
        facts = replace(facts, **step)
    check_installable(wanted, DIGEST, ARCHIVE, facts)


def test_a_long_list_of_device_classes_makes_no_long_message() -> None:
    with pytest.raises(TrustError) as caught:
        check_device_class(["9" * 4096] * 50, "raspberry-pi-5")
    assert len(str(caught.value)) < 600
    assert "…" in caught.value.what
