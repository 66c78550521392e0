from __future__ import annotations

import json
import os
import sqlite3
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from hypothesis.strategies import booleans, integers

from daemon.config import OutboxConfig
from daemon.outbox.outbox import SPARE_LIMITS, Draft, Outbox, Receipt
from daemon.outbox.store import PARTS, Message
from tests.support.alerts import JPEG
from updater.errors import StorageError

FULL_DISK = """
import json, os, pathlib, resource, signal, sys
from daemon.config import OutboxConfig
from daemon.outbox.outbox import Draft, Outbox

now_s = 0.0
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
_, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
with Outbox(OutboxConfig(path=pathlib.Path(sys.argv[1])), monotonic_s=lambda: now_s) as outbox:
    resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, hard))
    for _ in range(20):
        outbox.put(lambda _: [Draft("alert", b"a"), Draft("picture", bytes(30_000))],
                   expendable=False)
    stats = outbox.stats()
    said = {"in memory then": stats.in_memory, "error then": stats.last_error}
    found = outbox.after(0, max_messages=100, max_bytes=10**9)
    said["sequences then"] = [each.sequence for each in found if not each.is_snapshot]
    resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
    now_s = 60.0
    outbox.maintain()
    said["in memory after"] = outbox.stats().in_memory
print(json.dumps(said))
"""
ALL = {"max_messages": 10_000, "max_bytes": 10**9}


def config(folder: Path, **changes: int) -> OutboxConfig:
    return OutboxConfig(path=folder / "outbox.sqlite3", **changes)


def put(
    outbox: Outbox, text: str = "x", *, expendable: bool = False, picture: bytes | None = None
) -> Receipt:
    def make(sequence: int) -> list[Draft]:
        event = [Draft("alert", json.dumps([text, sequence]).encode())]
        return event if picture is None else [*event, Draft("snapshot", picture)]

    return outbox.put(make, expendable=expendable)


def texts(outbox: Outbox) -> list[str]:
    return [json.loads(each.payload)[0] for each in waiting(outbox) if not each.is_snapshot]


def waiting(outbox: Outbox) -> tuple[Message, ...]:
    return outbox.after(0, **ALL)


class TestOrder:
    def test_what_is_put_comes_back_in_order_after_a_restart(self, tmp_path: Path) -> None:
        with Outbox(config(tmp_path)) as outbox:
            for text in "abc":
                assert put(outbox, text).durable
        with Outbox(config(tmp_path)) as outbox:
            put(outbox, "d")
            assert texts(outbox) == ["a", "b", "c", "d"]

    def test_a_snapshot_follows_its_event(self, tmp_path: Path) -> None:
        with Outbox(config(tmp_path)) as outbox:
            put(outbox, "a", picture=b"A")
            put(outbox, "b", picture=b"B")
            found = waiting(outbox)
            assert [each.topic for each in found] == ["alert", "snapshot"] * 2
            assert [each.sequence for each in found] == [1, 1, 2, 2]

    def test_the_message_knows_its_number(self, tmp_path: Path) -> None:
        with Outbox(config(tmp_path)) as outbox:
            receipt = put(outbox, "a")
            assert json.loads(waiting(outbox)[0].payload) == ["a", receipt.sequence]

    def test_reads_on_after_a_position_and_stops_at_the_bounds(self, tmp_path: Path) -> None:
        with Outbox(config(tmp_path)) as outbox:
            for text in "abcde":
                put(outbox, text)
            first = outbox.after(0, max_messages=2, max_bytes=10**9)
            assert [each.sequence for each in first] == [1, 2]
            rest = outbox.after(first[-1].position, max_messages=9, max_bytes=10**9)
            assert [each.sequence for each in rest] == [3, 4, 5]
            one = outbox.after(0, max_messages=9, max_bytes=1)
            assert [each.sequence for each in one] == [1]

    def test_only_the_acknowledged_go(self, tmp_path: Path) -> None:
        with Outbox(config(tmp_path)) as outbox:
            for text in "abc":
                put(outbox, text)
            outbox.delete([waiting(outbox)[1].position])
            assert texts(outbox) == ["a", "c"]
        with Outbox(config(tmp_path)) as outbox:
            assert texts(outbox) == ["a", "c"]

    def test_numbers_go_on_after_it_was_emptied(self, tmp_path: Path) -> None:
        with Outbox(config(tmp_path)) as outbox:
            last = put(outbox).sequence
            outbox.delete([each.position for each in waiting(outbox)])
        with Outbox(config(tmp_path)) as outbox:
            assert outbox.stats().messages == 0
            assert put(outbox).sequence == last + 1

    def test_numbers_go_on_after_the_file_was_deleted(self, tmp_path: Path) -> None:
        with Outbox(config(tmp_path)) as outbox:
            last = put(outbox).sequence
        config(tmp_path).path.unlink()
        with Outbox(config(tmp_path)) as outbox:
            assert put(outbox).sequence > last


class TestFull:
    def test_updates_go_first_then_the_oldest_and_all_is_counted(self, tmp_path: Path) -> None:
        with Outbox(config(tmp_path, max_rows=4)) as outbox:
            put(outbox, "start 1")
            put(outbox, "update 1", expendable=True)
            put(outbox, "start 2")
            put(outbox, "update 2", expendable=True)
            put(outbox, "start 3")
            assert texts(outbox) == ["start 1", "start 2", "update 2", "start 3"]
            put(outbox, "start 4")
            put(outbox, "start 5")
            assert texts(outbox) == ["start 2", "start 3", "start 4", "start 5"]
            assert not put(outbox, "update 3", expendable=True).kept
            assert texts(outbox) == ["start 2", "start 3", "start 4", "start 5"]
        with Outbox(config(tmp_path, max_rows=4)) as outbox:
            stats = outbox.stats()
            assert (stats.dropped_updates, stats.dropped_others) == (3, 1)
            assert stats.dropped == 4

    def test_an_update_takes_its_snapshot_along(self, tmp_path: Path) -> None:
        with Outbox(config(tmp_path, max_rows=10, max_bytes=100_000)) as outbox:
            put(outbox, "update", expendable=True, picture=bytes(60_000))
            put(outbox, "start", picture=bytes(60_000))
            assert [each.sequence for each in waiting(outbox)] == [2, 2]
            assert outbox.stats().dropped_updates == 2

    def test_a_snapshot_larger_than_the_outbox_is_left_out(self, tmp_path: Path) -> None:
        with Outbox(config(tmp_path, max_bytes=100_000)) as outbox:
            assert put(outbox, "start", picture=bytes(200_000)).kept
            assert [each.topic for each in waiting(outbox)] == ["alert"]
            assert outbox.stats().dropped_snapshots == 1

    def test_smaller_bounds_hold_from_the_next_event_on(self, tmp_path: Path) -> None:
        with Outbox(config(tmp_path)) as outbox:
            for number in range(50):
                put(outbox, str(number))
        with Outbox(config(tmp_path, max_rows=10)) as outbox:
            put(outbox, "new")
            assert texts(outbox) == [str(number) for number in range(41, 50)] + ["new"]


class TestTrouble:
    def test_a_second_process_is_refused(self, tmp_path: Path) -> None:
        code = (
            "import sys, pathlib; from daemon.outbox.outbox import Outbox; "
            "from daemon.config import OutboxConfig; "
            "Outbox(OutboxConfig(path=pathlib.Path(sys.argv[1])))"
        )
        with Outbox(config(tmp_path)):
            other = subprocess.run(
                [sys.executable, "-c", code, str(config(tmp_path).path)],
                capture_output=True,
                text=True,
                check=False,
            )
        assert other.returncode != 0
        assert "is held by another process" in other.stderr
        with Outbox(config(tmp_path)):  # and when the first has gone, another may
            pass

    def test_a_file_of_garbage_is_kept_aside_and_reported(self, tmp_path: Path) -> None:
        path = config(tmp_path).path
        path.write_bytes(b"this is no database" * 1000)
        with Outbox(config(tmp_path)) as outbox:
            assert "moved to" in outbox.stats().recovery
            assert put(outbox, "a").durable
        aside = path.with_name(path.name + ".damaged-1")
        assert aside.read_bytes().startswith(b"this is no database")

    def test_what_is_whole_in_a_damaged_file_is_rescued(self, tmp_path: Path) -> None:
        with Outbox(config(tmp_path)) as outbox:
            for number in range(60):
                last = put(outbox, str(number), picture=bytes(3000)).sequence
        path = config(tmp_path).path
        content = bytearray(path.read_bytes())
        middle = len(content) // 8192 * 4096
        content[middle : middle + 4096] = os.urandom(4096)
        path.write_bytes(content)
        with Outbox(config(tmp_path)) as outbox:
            stats = outbox.stats()
            assert stats.recovery or stats.damaged or len(waiting(outbox)) < 120
            rescued = [each.sequence for each in waiting(outbox)]
            assert rescued == sorted(rescued)
            assert len(set(rescued)) >= 50
            assert put(outbox, "new").sequence > last

    def test_a_message_that_rotted_is_counted_and_does_not_block(self, tmp_path: Path) -> None:
        with Outbox(config(tmp_path)) as outbox:
            put(outbox, "a", picture=b"P" * 3000)
            put(outbox, "b")
        path = config(tmp_path).path
        content = path.read_bytes()
        assert content.count(b"P" * 1000) > 0
        path.write_bytes(content.replace(b"P" * 1000, b"P" * 999 + b"Q", 1))
        with Outbox(config(tmp_path)) as outbox:
            assert texts(outbox) == ["a", "b"]
            assert [each.is_snapshot for each in waiting(outbox)] == [False, False]
            assert outbox.stats().damaged == 1

    def test_only_so_many_damaged_files_are_kept(self, tmp_path: Path) -> None:
        path = config(tmp_path).path
        for number in range(4):
            path.write_bytes(b"garbage %d" % number * 1000)
            with Outbox(config(tmp_path)):
                pass
        kept = sorted(each.name for each in tmp_path.glob("*.damaged-*"))
        assert kept == [f"{path.name}.damaged-3", f"{path.name}.damaged-4"]

    def test_a_database_of_another_program_is_left_whole(self, tmp_path: Path) -> None:
        path = config(tmp_path).path
        with sqlite3.connect(path) as other:
            other.execute("CREATE TABLE precious (text)")
        other.close()
        with Outbox(config(tmp_path)) as outbox:
            assert "another program" in outbox.stats().recovery
        with sqlite3.connect(path.with_name(path.name + ".damaged-1")) as other:
            assert other.execute("SELECT COUNT(*) FROM precious").fetchone() == (0,)
        other.close()

    def test_without_a_folder_it_works_in_memory_and_moves_to_disk_later(
        self, tmp_path: Path
    ) -> None:
        now_s = 0.0
        (tmp_path / "state").write_text("a file where the folder should be")
        outbox = Outbox(config(tmp_path / "state"), monotonic_s=lambda: now_s)
        receipt = put(outbox, "a")
        assert receipt.kept
        assert not receipt.durable
        assert "state" in outbox.stats().last_error
        assert texts(outbox) == ["a"]
        (tmp_path / "state").unlink()
        now_s = 60.0
        outbox.maintain()
        assert outbox.stats().in_memory == 0
        put(outbox, "b")
        outbox.close()
        with Outbox(config(tmp_path / "state")) as again:
            assert texts(again) == ["a", "b"]

    def test_memory_is_bounded_too(self, tmp_path: Path) -> None:
        (tmp_path / "state").write_text("a file where the folder should be")
        with Outbox(config(tmp_path / "state")) as outbox:
            for number in range(SPARE_LIMITS.max_messages + 5):
                put(outbox, str(number))
            stats = outbox.stats()
            assert stats.in_memory == SPARE_LIMITS.max_messages
            assert stats.dropped_others == 5

    def test_others_may_not_read_it(self, tmp_path: Path) -> None:
        with Outbox(config(tmp_path)) as outbox:
            put(outbox, picture=JPEG)
            assert all(each.stat().st_mode & 0o007 == 0 for each in tmp_path.iterdir())

    def test_a_disk_without_room_is_said_and_alerts_wait_in_memory(self, tmp_path: Path) -> None:
        # A limit on the size of files, in a process of its own: real writes that really fail.
        done = subprocess.run(
            [sys.executable, "-c", FULL_DISK, str(config(tmp_path).path)],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
        assert done.returncode == 0, done.stderr
        said = json.loads(done.stdout)
        assert said["in memory then"] > 0
        assert "Is the disk full" in said["error then"]
        assert said["sequences then"] == list(range(1, 21))
        assert said["in memory after"] == 0
        with Outbox(config(tmp_path)) as outbox:
            assert sorted({each.sequence for each in waiting(outbox)}) == list(range(1, 21))
            assert put(outbox).sequence == 21

    def test_after_close_it_says_so(self, tmp_path: Path) -> None:
        outbox = Outbox(config(tmp_path))
        outbox.close()
        outbox.close()
        with pytest.raises(StorageError, match="is closed"):
            put(outbox)

    def test_a_message_given_up_is_counted(self, tmp_path: Path) -> None:
        with Outbox(config(tmp_path)) as outbox:
            put(outbox, "a", picture=b"too large for this broker")
            outbox.give_up(waiting(outbox)[1].position)
            assert [each.topic for each in waiting(outbox)] == ["alert"]
            assert outbox.stats().undeliverable == 1


def test_notes_are_kept(tmp_path: Path) -> None:
    with Outbox(config(tmp_path)) as outbox:
        assert outbox.note("n") == ""
        outbox.keep_note("n", "old")
        outbox.keep_note("n", "new")
        assert outbox.note("n") == "new"
    with Outbox(config(tmp_path)) as outbox:
        assert outbox.note("n") == "new"


class OutboxMachine(RuleBasedStateMachine):
    """Compares the outbox with a list, over any order of events, deletions and restarts."""

    LIMIT = 10

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.config = config(Path(self.folder.name), max_rows=self.LIMIT)
        self.outbox = Outbox(self.config)
        self.model: list[tuple[int, bool, int]] = []  # sequence, expendable, messages
        self.last = 0
        self.dropped = 0

    @rule(expendable=booleans(), picture=booleans())
    def put(self, expendable: bool, picture: bool) -> None:
        receipt = put(self.outbox, expendable=expendable, picture=b"JPEG" if picture else None)
        assert receipt.sequence == self.last + 1
        self.last = receipt.sequence
        count = 2 if picture else 1
        lasting = sum(each[2] for each in self.model if not each[1])
        if expendable and lasting + count > self.LIMIT:
            self.dropped += count  # older updates would not make room: it goes alone
            return
        self.model.append((receipt.sequence, expendable, count))
        while sum(each[2] for each in self.model) > self.LIMIT:
            victim = next((each for each in self.model if each[1]), self.model[0])
            self.model.remove(victim)
            self.dropped += victim[2]

    @rule(index=integers(0, LIMIT))
    def acknowledge(self, index: int) -> None:
        if index < len(self.model):
            sequence, _, _ = self.model.pop(index)
            self.outbox.delete([sequence * PARTS, sequence * PARTS + 1])

    @rule()
    def restart(self) -> None:
        self.outbox.close()
        self.outbox = Outbox(self.config)

    @rule()
    def maintain(self) -> None:
        self.outbox.maintain()

    @invariant()
    def agrees(self) -> None:
        expected = [
            sequence * PARTS + part for sequence, _, count in self.model for part in range(count)
        ]
        assert [each.position for each in self.outbox.after(0, **ALL)] == expected
        stats = self.outbox.stats()
        assert stats.messages == len(expected)
        assert stats.dropped == self.dropped
        assert not stats.last_error

    def teardown(self) -> None:
        self.outbox.close()
        self.folder.cleanup()


OutboxMachine.TestCase.settings = settings(max_examples=15, stateful_step_count=30, deadline=None)
TestOutboxMachine = OutboxMachine.TestCase
