from __future__ import annotations

import pytest

from tests.crash.points import points, spread
from tests.crash.trace import Call, parse


def hexed(text: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in text.encode())


STORE, ELSEWHERE = "/var/store", "/etc"
LINES = [
    f'openat(AT_FDCWD<{hexed("/")}>, "{hexed("/etc/a, b")}", O_RDONLY) = 3<{hexed("/etc/a, b")}>',
    f"close(3<{hexed('/etc/a, b')}>) = 0",
    f"fchdir(4<{hexed(STORE)}>) = 0",
    f'openat(AT_FDCWD<{hexed(STORE)}>, "{hexed("x")}", O_WRONLY|O_CREAT, 0600) = 5'
    f"<{hexed(f'{STORE}/x')}>",
    f'write(5<{hexed(f"{STORE}/x")}>, "{hexed("one, two")}", 8) = 8',
    f"fsync(5<{hexed(f'{STORE}/x')}>) = -1 EIO (Input/output error) (INJECTED)",
    f'rename("{hexed("x")}", "{hexed(f"{STORE}/y")}") = 0',
    f'symlink("{hexed("y")}", "{hexed("z")}") = 0',
    'sendto(6<socket:[77]>, ""..., 10, 0, NULL, 0) = 10',
    f"close(5<{hexed(f'{STORE}/x')}>) = ?",
    "+++ killed by SIGKILL +++",
]


def calls() -> list[Call]:
    return list(parse(LINES, folder="/"))


def test_each_call_has_its_number_among_those_of_its_name() -> None:
    assert [(call.name, call.number) for call in calls()] == [
        ("openat", 1), ("close", 1), ("openat", 2), ("write", 1), ("fsync", 1), ("rename", 1),
        ("symlink", 1), ("sendto", 1), ("close", 2),
    ]  # fmt: skip


def test_paths_follow_the_working_directory() -> None:
    assert [call.paths for call in calls() if call.name != "sendto"] == [
        ("/etc/a, b",), ("/etc/a, b",), (f"{STORE}/x",), (f"{STORE}/x",), (f"{STORE}/x",),
        (f"{STORE}/x", f"{STORE}/y"), (f"{STORE}/z",), (f"{STORE}/x",),
    ]  # fmt: skip


def test_what_was_written_said_and_refused() -> None:
    _, _, _, written, synced, _, linked, _, last = calls()
    assert (written.data, written.result) == (b"one, two", 8)
    assert (synced.error, synced.injected, synced.result) == ("EIO", True, -1)
    assert linked.target == "y"
    assert last.result is None


def test_a_line_of_another_kind_is_refused() -> None:
    with pytest.raises(ValueError, match="not a line of strace's"):
        list(parse(["what is this"], folder="/"))


def test_points_touch_the_folder_or_go_over_the_network() -> None:
    found = points(calls(), [STORE])
    assert [(point.call, point.number) for point in found] == [
        ("openat", 2), ("write", 1), ("fsync", 1), ("rename", 1), ("symlink", 1), ("close", 2),
    ]  # fmt: skip
    assert len(points(calls(), [STORE], network=True)) == len(found) + 1
    assert not points(calls(), ["/var/sto"])


def test_spread_takes_every_kind_and_is_even() -> None:
    found = ["a"] * 50 + ["b"] + ["c"] * 49
    numbered = list(enumerate(found))
    chosen = spread(numbered, 10, kind=lambda each: each[1])
    assert [kind for _, kind in chosen] == ["a"] * 5 + ["b"] + ["c"] * 5
    assert [place for place, _ in chosen][:5] == [5, 15, 25, 35, 45]
    assert spread(numbered, 1000, kind=lambda each: each[1]) == numbered
