"""Makes bundles that are nearly good: each knows the structure and breaks it in a few places."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from dataclasses import fields, replace
from typing import Any

from tests.fuzz.choices import Choices, pick
from tests.support.attack import GOOD, GOOD_BYTES, MANIFEST_DATA, SIGNATURE
from tests.support.attacks import attacks
from tests.support.rawzip import RawFile, RawZip, deflate
from tests.support.signed import (
    FILES,
    KEY,
    RETIRED_KEY,
    REVOKED_KEY,
    UNKNOWN_KEY,
    bundle,
    manifest,
    sign,
    to_bytes,
)

NUMBERS = (
    0, 1, 2, 3, 7, 8, 20, 45, 0x7F, 0x80, 0xFF, 0x100, 0x7FFF, 0x8000, 0xFFFE, 0xFFFF, 0x10000,
    0x7FFFFFFF, 0x80000000, 0xFFFFFFFE, 0xFFFFFFFF,
)  # fmt: skip
NAMES = (
    b"", b".", b"..", b"/", b"a", b"A", b"a/b", b"a/b/c/d", b"../a", b"/a", b"a/", b"a//b", b"a\\b",
    b"c:a", b"a\x00b", b"\xff", b"golden", b"golden/two.jpg", b"model.tflite", b"MODEL.tflite",
    b"manifest.json", b"manifest.sig", b"manifest.json/a", b"a" * 200, b"a" * 201,
    "\u202e".encode(),
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 0.5, 1e308, 10**400, float("nan"), float("inf"), "", "a", "\ud800",
    "\x1b[2J", "a\nb", "../a", "manifest.sig", "model.tflite", "1.2.3", "9" * 4000, "x" * 5000, [],
    {}, [[]], ["a"], {"a": 1}, [0] * 300, ["x"] * 2000, {str(n): n for n in range(300)},
)  # fmt: skip
CORPUS = (GOOD_BYTES, *(attack.make() for attack in attacks()))


def make(choices: Choices) -> bytes:
    """One archive, broken or not."""
    kind: Callable[[Choices], bytes] = pick(
        choices, (_fields, _fields, _manifest, _manifest, _manifest_bytes, _signature, _streams,
                  _contents, _bytes),
    )  # fmt: skip
    made = kind(choices)
    # Now and then the bytes as well, so that faults meet.
    return mutate_bytes(made, choices) if choices.number(0, 19) == 0 else made


def mutate_bytes(data: bytes, choices: Choices) -> bytes:
    """Changes, cuts out, doubles or inserts bytes in up to four places."""
    made = bytearray(data)
    for _ in range(choices.number(1, 4)):
        place = choices.number(0, len(made))
        length = choices.number(1, 40)
        change = choices.number(0, 5)
        if change == 0 and place < len(made):
            made[place] ^= 1 << choices.number(0, 7)
        elif change == 1:
            del made[place : place + length]
        elif change == 2:
            made[place:place] = made[place : place + length]
        elif change == 3:
            made[place:place] = choices.data(40)
        elif change == 4:
            size = pick(choices, (1, 2, 4))
            number = pick(choices, NUMBERS) & ((1 << 8 * size) - 1)
            made[place : place + size] = number.to_bytes(size, "little")
        else:
            del made[place:]
    return bytes(made)


def _bytes(choices: Choices) -> bytes:
    return mutate_bytes(pick(choices, CORPUS), choices)


def _fields(choices: Choices) -> bytes:
    """Fields of the zip, under a signature that holds."""
    made = GOOD
    for _ in range(choices.number(1, 4)):
        made = pick(choices, (_edit_file, _edit_file, _edit_zip, _edit_list))(made, choices)
    return made.to_bytes()


def _edit_zip(made: RawZip, choices: Choices) -> RawZip:
    field = pick(choices, [f.name for f in fields(RawZip) if f.name != "files"])
    if field == "shifted":
        return replace(made, shifted=not made.shifted)
    if isinstance(getattr(RawZip(()), field), bytes):
        return replace(made, **{field: choices.data(40)})  # type: ignore[arg-type]
    narrow = field in ("disk", "first_disk", "count_here", "count")
    number = pick(choices, NUMBERS) + choices.number(-2, 2)
    mask = 0xFFFF if narrow else 0xFFFFFFFF
    return replace(made, **{field: number & mask})  # type: ignore[arg-type]


def _edit_list(made: RawZip, choices: Choices) -> RawZip:
    files = list(made.files)
    change = choices.number(0, 4)
    place = choices.number(0, len(files) - 1) if files else 0
    if change == 0 and files:
        del files[place]
    elif change == 1 and files:
        files.append(files[place])
    elif change == 2 and files:
        files.insert(0, files.pop(place))
    elif change == 3:
        files += [RawFile(f"golden/{n}".encode(), b"") for n in range(choices.number(1, 210))]
    else:
        content = choices.data(60)
        files.append(RawFile(_name(choices), content, pick(choices, (0, 8))))
    return replace(made, files=tuple(files))


_LOCAL = {"version": 16, "flags": 16, "method": 16, "time": 16, "date": 16, "crc": 32,
          "compressed": 32, "size": 32}  # fmt: skip
_CENTRAL = {**_LOCAL, "made_by": 16, "disk": 16, "attributes": 32, "offset": 32, "name_bytes": 16}


def _edit_file(made: RawZip, choices: Choices) -> RawZip:
    if not made.files:
        return made
    place = choices.number(0, len(made.files) - 1)
    file = made.files[place]
    change = choices.number(0, 9)
    changes: dict[str, Any]
    if change <= 3:
        field = pick(choices, sorted(_CENTRAL))
        changes = {field: _number(choices, _CENTRAL[field])}
    elif change <= 5:
        field = pick(choices, sorted(_LOCAL))
        changes = {"local": {**file.local, field: _number(choices, _LOCAL[field])}}
    elif change == 6:
        changes = {"name": _name(choices)}
    elif change == 7:
        changes = {"local": {**file.local, "name": _name(choices)}}
    elif change == 8:
        changes = {pick(choices, ("extra", "comment", "before", "after")): choices.data(40)}
    else:
        changes = {pick(choices, ("is_in_data", "is_in_directory")): False}
    files = (*made.files[:place], replace(file, **changes), *made.files[place + 1 :])
    return replace(made, files=files)


def _number(choices: Choices, bits: int) -> int:
    if choices.number(0, 3) == 0:
        return choices.number(0, (1 << bits) - 1)
    return (pick(choices, NUMBERS) + choices.number(-1, 1)) & ((1 << bits) - 1)


def _name(choices: Choices) -> bytes:
    return pick(choices, NAMES) if choices.number(0, 3) else choices.data(12)


def _manifest(choices: Choices) -> bytes:
    """Fields of the manifest, signed again: what lies behind the signature is reached."""
    raw = manifest()
    for _ in range(choices.number(1, 4)):
        edit_json(raw, choices)
    return bundle(to_bytes(raw)).to_bytes()


def edit_json(raw: Any, choices: Choices) -> None:
    """Sets, removes, doubles or adds one thing, at any depth."""
    target = raw
    while True:
        keys: list[Any] = list(target) if isinstance(target, dict) else list(range(len(target)))
        if not keys:
            break
        key = pick(choices, keys)
        if isinstance(target[key], dict | list) and choices.number(0, 3):
            target = target[key]
            continue
        change = choices.number(0, 3)
        if change == 0:
            del target[key]
        elif change == 1 and isinstance(target, list):
            target.append(copy.deepcopy(target[key]))
        else:
            target[key] = copy.deepcopy(pick(choices, VALUES))
        return
    value = copy.deepcopy(pick(choices, VALUES))
    if isinstance(target, dict):
        target[str(choices.number(0, 9))] = value
    else:
        target.append(value)


def _manifest_bytes(choices: Choices) -> bytes:
    data = mutate_bytes(MANIFEST_DATA, choices)
    if choices.number(0, 9) == 0:
        data = json.dumps(json.loads(MANIFEST_DATA)).encode("utf-16")
    if choices.number(0, 19) == 0:
        data = b"[" * choices.number(1, 200_000)
    return bundle(data).to_bytes()


def _signature(choices: Choices) -> bytes:
    change = choices.number(0, 3)
    if change == 0:
        return bundle(signature=mutate_bytes(SIGNATURE, choices) or None).to_bytes()
    if change == 1:
        return bundle(key=pick(choices, (RETIRED_KEY, REVOKED_KEY, UNKNOWN_KEY))).to_bytes()
    if change == 2:
        other = mutate_bytes(MANIFEST_DATA, choices)
        return bundle(signature=sign(other)).to_bytes()
    return bundle(signature=choices.data(300) or None).to_bytes()


def _streams(choices: Choices) -> bytes:
    """The compressed data of one file, while every header stays true to what it should be."""
    name = pick(choices, ("model.tflite", "MODEL_CARD.md", "manifest.json"))
    (file,) = (file for file in GOOD.files if file.name == name.encode())
    change = choices.number(0, 3)
    data = file.packed()
    if change == 0:
        data = mutate_bytes(data, choices)
    elif change == 1:
        data = deflate(mutate_bytes(file.content, choices))
    elif change == 2:
        data = deflate(file.content * choices.number(0, 400))
    else:
        data = choices.data(2000)
    return GOOD.edit(name, data=data).to_bytes()


def _contents(choices: Choices) -> bytes:
    """Another list of files, packed, listed and signed as it should be: mostly a good bundle."""
    files = dict(FILES)
    for _ in range(choices.number(0, 4)):
        name = _name(choices)
        content = choices.data(200) * choices.number(0, 400)
        files[name.decode(errors="replace")] = content
    if choices.number(0, 9) == 0:
        files.pop("golden/one.jpg")
    packed = []
    data = to_bytes(manifest(files))
    for path, content in files.items():
        method = pick(choices, (0, 8))
        packed.append(RawFile(path.encode(), content, method))
    made = bundle(data, files={}, key=KEY).add(*packed)
    return made.to_bytes()
