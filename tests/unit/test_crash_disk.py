"""The model of a disk: what a power cut leaves of a run's calls."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.crash import disk
from tests.crash.disk import Disk, Image
from tests.crash.trace import Call

ROOT = "/run/store"


class Run:
    """Calls on a disk, made as a program would make them."""

    def __init__(self, before: Path) -> None:
        self.disk = Disk(before, ROOT)

    def __call__(self, name: str, *arguments: str, paths: tuple[str, ...] = (), result: int = 0,
                 target: str = "", data: bytes = b"") -> None:  # fmt: skip
        paths = tuple(f"{ROOT}/{path}".rstrip("/") for path in paths)
        call = Call(name, 1, arguments, paths, target, data, result, "", False)
        self.disk.apply(call)

    def create(self, path: str, data: bytes) -> None:
        self("openat", "AT_FDCWD", "", "O_WRONLY|O_CREAT", paths=(path,), result=3)
        self("write", "3<>", paths=(path,), data=data, result=len(data))

    def sync(self, path: str) -> None:
        self("openat", "AT_FDCWD", "", "O_RDONLY", paths=(path,), result=4)
        self("fsync", "4<>", paths=(path,))

    @property
    def images(self) -> list[Image]:
        return list(self.disk.images())


@pytest.fixture
def run(tmp_path: Path) -> Run:
    before = tmp_path / "before"
    before.mkdir()
    (before / "old").write_bytes(b"old")
    return Run(before)


def test_what_was_there_before_stays(run: Run) -> None:
    assert run.images == [{"old": b"old"}]


def test_a_new_file_is_lost_empty_zeros_or_whole(run: Run) -> None:
    run.create("new", b"data")
    found = [image.get("new", "absent") for image in run.images]
    assert found == ["absent", b"", bytes(4), b"data"]


def test_a_synced_file_may_still_have_no_name(run: Run) -> None:
    run.create("new", b"data")
    run.sync("new")
    assert [image.get("new") for image in run.images] == [None, b"data"]


def test_a_name_that_was_synced_may_lead_to_nothing(run: Run) -> None:
    run.create("new", b"data")
    run.sync("")
    assert [image["new"] for image in run.images] == [b"", bytes(4), b"data"]


def test_both_synced_is_there(run: Run) -> None:
    run.create("new", b"data")
    run.sync("new")
    run.sync("")
    assert run.images == [{"old": b"old", "new": b"data"}]


def test_a_rename_without_sync_replaces_or_does_not(run: Run) -> None:
    run.create(".new", b"new")
    run.sync(".new")
    run("rename", "", paths=(".new", "old"))
    assert run.images == [{"old": b"old"}, {"old": b"new"}]
    run.sync("")
    assert run.images == [{"old": b"new"}]


def test_a_rename_of_what_was_not_synced_may_leave_an_empty_file(run: Run) -> None:
    run.create(".new", b"new")
    run("rename", "", paths=(".new", "old"))
    assert [image["old"] for image in run.images] == [b"old", b"", bytes(3), b"new"]


def test_each_folder_may_keep_its_names_while_another_loses_them(run: Run) -> None:
    run("mkdir", "", paths=("a",))
    run("mkdir", "", paths=("b",))
    run.create("a/x", b"")
    run.sync("")
    run.sync("a")
    run("rename", "", paths=("a/x", "b/x"))
    found = {tuple(sorted(path for path in image if "/" in path)) for image in run.images}
    assert found == {("a/x",), ("b/x",), ("a/x", "b/x"), ()}


def test_what_was_deleted_may_come_back(run: Run) -> None:
    run("unlink", "", paths=("old",))
    assert run.images == [{"old": b"old"}, {}]


def test_links_and_offsets(run: Run) -> None:
    run("symlink", "", paths=("link",), target="old")
    run("openat", "AT_FDCWD", "", "O_RDWR|O_CREAT", paths=("lock",), result=3)
    run("pwrite64", "3<>", "", "", "2", paths=("lock",), data=b"7", result=1)
    run("ftruncate", "3<>", "1", paths=("lock",))
    assert run.images[-1] == {"old": b"old", "link": "old", "lock": b"\0"}


def test_a_call_that_failed_did_nothing(run: Run) -> None:
    run("unlink", "", paths=("old",), result=-1)
    assert run.images == [{"old": b"old"}]


def test_a_write_that_is_not_known_whole_is_refused(run: Run) -> None:
    run.create("new", b"")
    with pytest.raises(ValueError, match="not all that was written is known"):
        run("write", "3<>", paths=("new",), data=b"ab", result=3)


def test_an_image_becomes_real(run: Run, tmp_path: Path) -> None:
    run("mkdir", "", paths=("a",))
    run.create("a/x", b"data")
    run("symlink", "", paths=("link",), target="a/x")
    for path in ("a/x", "a", ""):
        run.sync(path)
    (image,) = run.images
    disk.write(image, tmp_path / "after")
    assert (tmp_path / "after" / "link").read_bytes() == b"data"
