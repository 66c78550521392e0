"""Nothing is lost and order holds, whatever is killed: real processes, a real broker, kill -9."""

from __future__ import annotations

import hashlib
import json
import random
import subprocess
import sys
import time
from itertools import pairwise
from pathlib import Path

import pytest

from tests.support.mosquitto import Mosquitto
from tests.support.subscriber import Arrival, Subscriber

KILLS = 20
ALERTS = 800
SEED = 20_221_122


def run_producer(folder: Path, port: int, seed: int) -> subprocess.Popen[bytes]:
    paths = str(folder / "outbox.sqlite3"), str(port), str(folder / "journal")
    with (folder / "producer.log").open("ab") as log:
        return subprocess.Popen(
            [sys.executable, "-m", "tests.support.producer", *paths, str(ALERTS), str(seed)],
            stderr=log,
            cwd=Path(__file__).resolve().parents[2],
        )


def journalled(folder: Path) -> list[tuple[int, str, str]]:
    """Sequence, id and type of what the producer says is safe; a torn last line is not said."""
    journal = folder / "journal"
    if not journal.exists():
        return []
    text = journal.read_text()
    lines = [line.split() for line in text[: text.rfind("\n") + 1].splitlines()]
    return [(int(sequence), event_id, type_) for sequence, event_id, type_ in lines]


def first_arrivals(alerts: list[Arrival]) -> list[dict[str, object]]:
    """The alerts in the order of their first arrival; a repeated one must be the same, byte by
    byte."""
    seen: dict[int, bytes] = {}
    for each in alerts:
        sequence = json.loads(each.payload)["sequence"]
        assert seen.setdefault(sequence, each.payload) == each.payload
    return [json.loads(payload) for payload in seen.values()]


@pytest.mark.parametrize("seed", [SEED])
def test_killed_twenty_times_nothing_is_lost_and_order_holds(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    broker = Mosquitto(tmp_path / "broker")
    with broker, Subscriber(broker.port, "sitewatch/gate/#") as subscriber:
        kills = 0
        while kills < KILLS:
            if kills == 13:
                broker.start()
            producer = run_producer(tmp_path, broker.port, seed + kills)
            before = len(journalled(tmp_path))
            deadline_s = time.monotonic() + 30
            while len(journalled(tmp_path)) == before and producer.poll() is None:
                assert time.monotonic() < deadline_s, "the producer raises no alert"
                time.sleep(0.01)
            # Down from kill 5 to kill 12: alerts pile up over several lives of the process. It goes
            # down, and twice is only restarted, while alerts are on their way to it.
            if kills in (2, 5, 16):
                broker.stop(deaf_s=chance.uniform(0.1, 0.3))
            if kills in (2, 16):
                broker.start()
            time.sleep(chance.uniform(0.0, 0.3))
            assert producer.poll() is None, "it finished before it could be killed"
            producer.kill()
            producer.wait()
            kills += 1
        last = run_producer(tmp_path, broker.port, seed + kills)
        assert last.wait(120) == 0
        promised = journalled(tmp_path)
        assert len(promised) == ALERTS
        newest = promised[-1][0]
        arrivals = subscriber.wait(
            lambda all_: any(
                each.topic == "sitewatch/gate/alert"
                and json.loads(each.payload)["sequence"] == newest
                for each in all_
            ),
            "the last alert",
        )

    alerts = first_arrivals([each for each in arrivals if each.topic == "sitewatch/gate/alert"])
    sequences = [alert["sequence"] for alert in alerts]
    assert all(earlier < later for earlier, later in pairwise(sequences))  # type: ignore[operator]
    got = [(alert["sequence"], alert["id"], alert["type"]) for alert in alerts]
    assert set(promised) <= set(got), "alerts were lost"
    # Killed after the outbox had the alert and before the journal did: the next life raises that
    # event anew. That is the only way to get more than was promised.
    assert len(got) - len(promised) <= KILLS

    pictures = {
        hashlib.sha256(each.payload).hexdigest()
        for each in arrivals
        if each.topic.endswith("/snapshot")
    }
    for alert in alerts:
        if alert["snapshot"] is not None and alert["sequence"] < newest:  # type: ignore[operator]
            assert alert["snapshot"]["sha256"] in pictures  # type: ignore[index]
