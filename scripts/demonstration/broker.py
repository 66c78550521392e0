"""A broker on loopback for as long as the demonstration runs."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from scripts.processes import free_port, stop
from updater.errors import SitewatchError

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0

MOSQUITTO = """\
listener {port} 127.0.0.1
allow_anonymous true
persistence false
"""
AMQTT = """\
listeners:
  default:
    type: tcp
    bind: 127.0.0.1:{port}
plugins:
  amqtt.plugins.authentication.AnonymousAuthPlugin:
    allow_anonymous: true
"""


class DemonstrationError(SitewatchError):
    """The demonstration cannot go on."""

    exit_code: ClassVar[int] = 1


@dataclass(frozen=True, slots=True)
class Broker:
    """A broker that runs.

    Attributes:
        name: which one.
        port: where it listens, on loopback only.
    """

    name: str
    port: int


@contextmanager
def running_broker(folder: Path, *, embedded: bool) -> Iterator[Broker]:
    """Runs Mosquitto where it is installed, or the embedded broker (amqtt, pure Python).

    Args:
        folder: for its configuration and log.
        embedded: whether to use the embedded one in any case.

    Raises:
        DemonstrationError: it does not come up.
    """
    # Debian puts mosquitto where only root's PATH looks.
    mosquitto = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    port = free_port()
    config, log = folder / "broker.conf", folder / "broker.log"
    if mosquitto and not embedded:
        broker = Broker("mosquitto", port)
        config.write_text(MOSQUITTO.format(port=port))
        command = [mosquitto, "-c", str(config)]
    else:
        broker = Broker("amqtt (embedded)", port)
        config.write_text(AMQTT.format(port=port))
        command = [str(Path(sys.executable).with_name("amqtt")), "-c", str(config)]
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=subprocess.STDOUT)
    try:
        _wait_until_up(broker, process, log)
        yield broker
    finally:
        stop(process, STOP_TIMEOUT_S)


def _wait_until_up(broker: Broker, process: subprocess.Popen[bytes], log: Path) -> None:
    until_s = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < until_s and process.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", broker.port), timeout=1).close()
        except OSError:
            time.sleep(0.1)
        else:
            return
    words = log.read_text(errors="replace").strip()[-1000:]
    raise DemonstrationError(f"the broker {broker.name} did not come up: {words or 'no output'}")
