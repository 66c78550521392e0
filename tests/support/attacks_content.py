"""Attacks in a zip that is none: signature, manifest, list of files, device, content."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from tests.support.attack import (
    DIGEST,
    GOOD,
    JPEG,
    MANIFEST_DATA,
    MODEL,
    SIGNATURE,
    Attack,
    attack,
)
from tests.support.rawzip import RawFile, RawZip, deflate
from tests.support.signed import (
    FILES,
    KEY,
    RETIRED_KEY,
    REVOKED_KEY,
    UNKNOWN_KEY,
    bundle,
    manifest,
    to_bytes,
)
from updater.errors import TrustError
from updater.manifest import PATH_PATTERN, VERSION_PATTERN
from updater.store.journal import Failure
from updater.trust.rules import DeviceFacts
from updater.trust.signature import Signature, encode
from updater.version import VERSION

NO_SIGNATURE = "is no signature as Sitewatch writes it"
NOT_LISTED = "is not listed in the manifest"
DAMAGED = "its sha256 is not the manifest's: the file is damaged"


def in_the_archive() -> Iterator[Attack]:
    """In the order in which a device asks."""
    yield from _signatures()
    yield from _manifests()
    yield from _listings()
    yield from _device_rules()
    yield from _streams()


def _signatures() -> Iterator[Attack]:
    def untrusted(name: str, made: RawZip, what: str) -> Attack:
        return attack(name, made, "manifest.sig", what, error=TrustError, exit_code=10)

    changed = MANIFEST_DATA.replace(b"2026.11.22", b"2027.11.22")
    broken = (
        f"the signature of key {KEY.key_id} does not hold: "
        "the manifest or the signature was changed"
    )
    flipped = bytearray(KEY.sign(MANIFEST_DATA))
    flipped[0] ^= 1
    lines = SIGNATURE.decode().splitlines()

    def with_line(number: int, line: str) -> RawZip:
        changed_lines = [*lines[:number], line, *lines[number + 1 :], ""]
        return bundle(signature="\n".join(changed_lines).encode())

    last = SIGNATURE[-4:-3]  # of 64 bytes the last character before "==" holds 4 unused bits
    unused = bytes([last[0] + 1])
    yield untrusted("no signature", bundle(signature=None), "the bundle is not signed")
    yield untrusted("empty signature", GOOD.edit("manifest.sig", content=b""), NO_SIGNATURE)
    yield untrusted(
        "foreign signature", bundle(signature=b"-----BEGIN PGP SIGNATURE-----\n"), NO_SIGNATURE
    )
    yield untrusted(
        "signature with more behind it", bundle(signature=SIGNATURE + b"\n"), NO_SIGNATURE
    )
    yield untrusted(
        "signature with other line ends",
        bundle(signature=SIGNATURE.replace(b"\n", b"\r\n")),
        NO_SIGNATURE,
    )
    yield untrusted(
        "signature written in two ways",
        bundle(signature=SIGNATURE[:-4] + unused + b"==\n"),
        NO_SIGNATURE,
    )
    yield untrusted(
        "newer signature",
        with_line(0, "sitewatch-signature: 2"),
        "is a signature of format 2, and this version reads format 1",
    )
    yield untrusted(
        "another algorithm",
        with_line(1, "algorithm: none"),
        "is signed by none, and only ed25519 is accepted",
    )
    yield untrusted(
        "short signature",
        with_line(3, "signature: AAAA"),
        "its signature has 3 bytes, and one of Ed25519 has 64",
    )
    yield untrusted(
        "signature that is no base64",
        with_line(3, "signature: AAAAA"),
        "its signature is not base64",
    )
    yield untrusted("signature of zeros", with_line(3, "signature: " + "A" * 86 + "=="), broken)
    yield untrusted("signature changed", bundle(signature=_signature(bytes(flipped))), broken)
    yield untrusted("manifest changed", bundle(changed, signature=SIGNATURE), broken)
    yield untrusted(
        "manifest with a byte more", bundle(MANIFEST_DATA + b" ", signature=SIGNATURE), broken
    )
    yield untrusted(
        "another key's signature under a known id",
        bundle(signature=_signature(UNKNOWN_KEY.sign(MANIFEST_DATA))),
        broken,
    )
    yield untrusted(
        "unknown key",
        bundle(key=UNKNOWN_KEY),
        f"signed by key {UNKNOWN_KEY.key_id}, which this device does not know",
    )
    yield untrusted(
        "retired key",
        bundle(key=RETIRED_KEY),
        f"key {RETIRED_KEY.key_id} is retired and signs nothing new",
    )
    yield untrusted(
        "revoked key",
        bundle(key=REVOKED_KEY),
        f"SIGNED BY REVOKED KEY {REVOKED_KEY.key_id}: whoever holds it is not to be trusted",
    )
    yield untrusted("bad manifest that nobody signed", bundle(b"{", signature=SIGNATURE), broken)


def _signature(raw: bytes) -> bytes:
    """The signature file with other bytes in it."""
    return encode(Signature(KEY.key_id, raw))


def _manifests() -> Iterator[Attack]:
    """Signed by a good key, so that only the reader of the manifest stands in the way."""

    def wrong(name: str, data: bytes, place: str, what: str) -> Attack:
        where = f"manifest.json: {place}" if place else "manifest.json"
        return attack(name, bundle(data), where, what)

    def changed(**changes: Any) -> bytes:
        return to_bytes(manifest(**changes))

    twice = MANIFEST_DATA.replace(b'"format": 1,', b'"format": 1, "format": 1,')
    files = manifest()["files"]
    yield wrong(
        "manifest of an unknown format",
        changed(format=2),
        "format",
        "format 2, and this version reads format 1",
    )
    yield wrong(
        "manifest with a name twice", twice, "", "not JSON: a name is there twice in one object"
    )
    yield wrong("manifest that is a list", b"[]", "", "must be an object")
    yield wrong("manifest with an unknown field", changed(run="evil"), "", "unknown field 'run'")
    yield wrong("manifest without a field", to_bytes(_without("classes")), "classes", "is missing")
    yield wrong(
        "manifest that is no version",
        changed(version="1.0/../.."),
        "version",
        "'1.0/../..' is not of the form " + VERSION_PATTERN.pattern,
    )
    yield wrong(
        "manifest with a huge number",
        changed(metrics={"a": 10**400}),
        "metrics",
        "must hold finite numbers only",
    )
    yield wrong(
        "manifest with NaN",
        changed(metrics={"a": float("nan")}),
        "metrics",
        "must hold finite numbers only",
    )
    yield wrong(
        "manifest with a path that leads out",
        changed(files=[{**files[0], "path": "../evil"}, *files]),
        "files[0]: path",
        "'../evil' is not of the form " + PATH_PATTERN.pattern,
    )
    yield wrong(
        "manifest that lists a file twice",
        changed(files=[*files, files[0]]),
        "files",
        "a path is listed twice",
    )
    yield wrong(
        "manifest that lists itself",
        changed(files=[*files, {**files[0], "path": "manifest.json"}]),
        "files",
        "manifest.json cannot be listed in itself",
    )
    yield wrong(
        "manifest that lists its signature",
        changed(files=[*files, {**files[0], "path": "manifest.sig"}]),
        "files",
        "manifest.sig cannot be listed in itself",
    )
    yield wrong(
        "manifest without a model", changed(files=files[:-1]), "files", "model.tflite is not listed"
    )
    for name, data, reason in (
        ("manifest in UTF-16", MANIFEST_DATA.decode().encode("utf-16"), ""),
        ("manifest with half a character", changed(name="\ud800"), ""),
        ("manifest nested without end", b"[" * 100_000, ""),
        ("manifest cut off", MANIFEST_DATA[:-3], ""),
        ("manifest with a number of a million digits", b'{"format": ' + b"1" * 100_000 + b"}", ""),
    ):
        yield wrong(name, data, "", _not_json(data) + reason)


def _without(name: str) -> dict[str, Any]:
    fields = manifest()
    del fields[name]
    return fields


def _not_json(data: bytes) -> str:
    """Python's own words for what is wrong; they differ between its versions."""
    try:
        json.dumps(json.loads(data.decode()), ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        return f"not JSON: {error}"
    raise AssertionError("this is JSON")


def _listings() -> Iterator[Attack]:
    yield attack(
        "file that is not listed",
        GOOD.add(RawFile(b"golden/evil.so", b"evil")),
        "golden/evil.so",
        NOT_LISTED,
    )
    yield attack(
        "file that is missing",
        GOOD.without(JPEG),
        JPEG,
        "is listed in the manifest and not in the archive",
    )
    yield attack(
        "file of another size",
        GOOD.edit(JPEG, content=b"short"),
        JPEG,
        "5 bytes, and the manifest says 500",
    )


def _device_rules() -> Iterator[Attack]:
    def refused(name: str, made: RawZip, where: str, what: str, **options: Any) -> Attack:
        return attack(name, made, f"!{where}", what, error=TrustError, exit_code=10, **options)

    committed = DeviceFacts(committed_version="2026.11.22", committed_digest="ab" * 32)
    failure = Failure(DIGEST, "cd" * 32, "2026.11.22", "too slow", 0.0)
    yield refused(
        "needs a newer Sitewatch",
        bundle(minimum_daemon="9000.1"),
        "minimum_daemon",
        f"the bundle needs Sitewatch 9000.1 or newer, and this is {VERSION}",
    )
    yield refused(
        "made for another device",
        bundle(device_classes=["raspberry-pi-5"]),
        "device_classes",
        "the bundle is for raspberry-pi-5, and this device is 'raspberry-pi-4'",
        facts=DeviceFacts(device_class="raspberry-pi-4"),
    )
    yield refused(
        "older than the installed one",
        bundle(version="2026.11.21"),
        "version",
        "version 2026.11.21 is older than the installed 2026.11.22",
        facts=committed,
    )
    yield refused(
        "another bundle of the installed version",
        GOOD,
        "version",
        "version 2026.11.22 is installed already, with other content (abababababab, and "
        f"this is {DIGEST[:12]})",
        facts=committed,
    )
    yield refused(
        "failed here before",
        GOOD,
        "failures",
        "version 2026.11.22 failed here before: too slow",
        facts=DeviceFacts(failures=(failure,)),
    )
    yield refused(
        "failed here before, by the archive",
        bundle(version="2026.11.23"),
        "failures",
        "version 2026.11.22 failed here before: too slow",
        facts=DeviceFacts(failures=(failure,)),
        archive_sha256="cd" * 32,
    )


def _streams() -> Iterator[Attack]:
    """What only unpacking shows; each must leave nothing behind."""
    model = FILES[MODEL]
    packed = deflate(model)
    lying = bytearray(model)
    lying[0] ^= 1
    yield attack("changed file", GOOD.edit(MODEL, content=bytes(lying)), MODEL, DAMAGED)
    yield attack("changed file, stored", GOOD.edit(JPEG, content=bytes(500)), JPEG, DAMAGED)
    yield attack(
        "changed manifest data",
        GOOD.edit("manifest.json", data=deflate(MANIFEST_DATA[:-1] + b" ")),
        "manifest.json",
        "its CRC is not the directory's: the file is damaged",
    )
    yield attack(
        "wrong CRC",
        GOOD.edit(MODEL, crc=5),
        MODEL,
        "its CRC is not the directory's: the file is damaged",
    )
    yield attack(
        "more content than said",
        GOOD.edit(MODEL, data=deflate(model * 300)),
        MODEL,
        "unpacks to more than the 6000 bytes it is said to have",
    )
    yield attack(
        "less content than said",
        GOOD.edit(MODEL, data=deflate(model[:-1])),
        MODEL,
        "unpacks to 5999 bytes, and is said to have 6000",
    )
    yield attack(
        "damaged compression",
        GOOD.edit(MODEL, data=b"\xff" * len(packed)),
        MODEL,
        "its compressed data is damaged",
    )
    yield attack(
        "compression that ends early",
        GOOD.edit(MODEL, data=packed[:-1]),
        MODEL,
        "its compressed data ends too early",
    )
    yield attack(
        "compression that goes on",
        GOOD.edit(MODEL, data=packed + b"hidden"),
        MODEL,
        "its compressed data goes on after its end",
    )
    yield attack(
        "no compressed data",
        GOOD.edit(MODEL, data=b""),
        MODEL,
        "its compressed data ends too early",
    )
    yield attack(
        "stored content called deflated",
        GOOD.edit(MODEL, data=b"\x07" + model[1:]),
        MODEL,
        "its compressed data is damaged",
    )
