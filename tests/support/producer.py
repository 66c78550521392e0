"""A camera process for the test that kills it: raises alerts as fast as asked, in order.

``python -m tests.support.producer OUTBOX PORT JOURNAL COUNT SEED``: continues after the journal's
last line and writes one line, synced, for every alert that ``publish_event`` has accepted.
"""

from __future__ import annotations

import os
import random
import sys
import time
from pathlib import Path

from daemon.alerts.events import EventType
from daemon.clock import Clock
from daemon.config import DeviceConfig, MqttConfig, OutboxConfig
from daemon.mqtt.publisher import Publisher
from daemon.outbox.outbox import Outbox
from tests.support.alerts import make_event

SNAPSHOT_BYTES = 20_000
_TYPES = (EventType.START, EventType.UPDATE, EventType.END)


def main(arguments: list[str]) -> int:
    """Runs until all alerts are raised and delivered, or until it is killed."""
    outbox_path, port, journal_path, count, seed = arguments
    random_source = random.Random(int(seed))
    journal = Path(journal_path)
    done = len(journal.read_text().splitlines()) if journal.exists() else 0
    clock = Clock()
    with Outbox(OutboxConfig(path=Path(outbox_path))) as outbox, journal.open("a") as lines:
        publisher = Publisher(
            MqttConfig(host="127.0.0.1", port=int(port), keepalive_s=5),
            outbox,
            device=DeviceConfig(id="gate"),
            clock=clock,
        )
        publisher.start()
        for number in range(done, int(count)):
            event = make_event(f"event-{number // 3:05d}", _TYPES[number % 3])
            picture = random_source.randbytes(SNAPSHOT_BYTES) if number % 3 == 0 else None
            receipt = publisher.publish_event(event, picture, clock.stamp())
            assert receipt.durable
            lines.write(f"{receipt.sequence} {event.event_id} {event.type.value}\n")
            lines.flush()
            os.fsync(lines.fileno())
            time.sleep(random_source.uniform(0.0, 0.01))
        while outbox.stats().messages:
            publisher.check()
            time.sleep(0.05)
        publisher.stop()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
