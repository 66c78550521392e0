"""Commands from the broker: bytes in, a checked command out, or the reason why not.

Whoever may publish to the command topic can blind the camera for a while, so the payload is
bounded before it is parsed, every field is checked, and a pause always ends by itself.
"""

from __future__ import annotations

import json
import logging
import queue
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from daemon.mqtt.ratelimit import TokenBucket
from updater.errors import UsageError

COMMAND_MAX_BYTES = 1024
PAUSE_MIN_S = 1
PAUSE_MAX_S = 86_400
BURST = 5
EVERY_S = 2.0
"""Five commands at once, then one every two seconds: a person is never faster, a loop is."""

WAITING_MAX = 16
_log = logging.getLogger(__name__)


class CommandName(StrEnum):
    """What can be asked for."""

    SNAPSHOT = "snapshot"
    PAUSE = "pause"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class Command:
    """A command that may be carried out.

    Attributes:
        name: which.
        duration_s: of a pause, 1 to 86,400 seconds; None for the others.
    """

    name: CommandName
    duration_s: int | None = None


class CommandRefusedError(UsageError):
    """A command that is not carried out, and why."""


def parse(payload: bytes) -> Command:
    """Reads a command; the form is fixed by ``daemon/schemas/command.json``.

    Raises:
        CommandRefusedError: it is none.
    """
    if len(payload) > COMMAND_MAX_BYTES:
        raise CommandRefusedError(f"{len(payload)} bytes, more than {COMMAND_MAX_BYTES}")
    try:
        fields = json.loads(payload.decode())
    except (UnicodeDecodeError, ValueError, RecursionError):
        raise CommandRefusedError("no JSON") from None
    if not isinstance(fields, dict):
        raise CommandRefusedError("no JSON object")
    name = _name(fields.pop("command", None))
    duration_s = None
    if name is CommandName.PAUSE:
        duration_s = _duration_s(fields.pop("duration_s", None))
    if fields:
        raise CommandRefusedError(f"{name.value}: unknown field {min(fields)[:40]!r}")
    return Command(name, duration_s)


class CommandInbox:
    """Lets through what is a command, at a bearable rate, and queues it for the camera loop."""

    def __init__(self) -> None:
        self.queue: queue.Queue[Command] = queue.Queue(WAITING_MAX)
        self.refused = 0
        self._bucket = TokenBucket(burst=BURST, every_s=EVERY_S)

    def take(self, payload: bytes, *, retained: bool, now_s: float) -> None:
        """Takes in what came on the command topic; a refusal is counted and logged.

        Args:
            payload: the message.
            retained: whether the broker kept it from before we subscribed.
            now_s: a clock that never goes back, seconds.
        """
        try:
            if retained:
                raise CommandRefusedError("retained: it would come back with each connection")
            if not self._bucket.take(now_s):
                raise CommandRefusedError(f"more than {BURST} at once or one every {EVERY_S:g} s")
            command = parse(payload)
            self.queue.put_nowait(command)
        except CommandRefusedError as error:
            self.refused += 1
            _log.warning("command refused: %s", error)
        except queue.Full:
            self.refused += 1
            _log.warning("command refused: %d wait already", WAITING_MAX)
        else:
            _log.info("command: %s", command)


def _name(value: Any) -> CommandName:
    names = [each.value for each in CommandName]
    if value not in names:
        raise CommandRefusedError(f"'command' must be one of {', '.join(names)}")
    return CommandName(value)


def _duration_s(value: Any) -> int:
    # JSON Schema calls 60.0 an integer; Python calls True one.
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if type(value) is not int or not PAUSE_MIN_S <= value <= PAUSE_MAX_S:
        raise CommandRefusedError(
            f"'duration_s' must be a whole number from {PAUSE_MIN_S} to {PAUSE_MAX_S}"
        )
    return value
