"""Runs a command in the sandbox and watches it: its time, its output, its end."""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from updater import sandbox
from updater.errors import ConfigError

OUTPUT_MAX_BYTES = 64 * 1024
"""Of each of the two streams; what comes after is read and dropped."""

LOOK_EVERY_S = 0.05
CHUNK_BYTES = 16 * 1024


@dataclass(frozen=True, slots=True)
class Finished:
    """How a command ended.

    Attributes:
        exit_code: as ``subprocess`` has it: negative for a signal.
        timed_out: ended by us, for its time was up.
        stdout: its first ``OUTPUT_MAX_BYTES``.
        stderr: likewise.
        wall_s: how long it took.
        peak_bytes: most resident memory of the largest of its processes; never less than this
            process's own, of which it began as a copy.
        isolation: what keeps it from the network; empty: nothing does.
    """

    exit_code: int
    timed_out: bool
    stdout: str
    stderr: str
    wall_s: float
    peak_bytes: int
    isolation: tuple[str, ...]


@dataclass(slots=True)
class _Stream:
    descriptor: int
    kept: bytearray = field(default_factory=bytearray)

    def read(self) -> int | None:
        """Takes a piece of what is there: its size, 0 at the end, None where nothing is yet."""
        try:
            data = os.read(self.descriptor, CHUNK_BYTES)
        except BlockingIOError:
            return None
        self.kept += data[: OUTPUT_MAX_BYTES - len(self.kept)]
        return len(data)

    def text(self) -> str:
        return self.kept.decode(errors="replace")


def run(
    command: Sequence[str],
    *,
    environment: Mapping[str, str],
    time_limit_s: float,
    cpu_time_s: int,
    data_bytes: int,
) -> Finished:
    """Runs a command in the sandbox, in the working directory, and waits for its end.

    Whatever happens here, an interrupt included, nothing of it is left running.

    Args:
        command: program and arguments.
        environment: the whole of it; it must let this Python find ``updater``.
        time_limit_s: after so many seconds it is ended.
        cpu_time_s: processor time of each of its processes.
        data_bytes: memory for data of each of its processes.

    Raises:
        ConfigError: it could not be started; the reason is this system, not the command's input.
    """
    reading, writing = os.pipe()
    request = sandbox.Request(os.getpid(), writing, cpu_time_s, data_bytes)
    start_s = time.monotonic()
    try:
        process = subprocess.Popen(
            sandbox.command_line(request, command),
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=(writing,),
            start_new_session=True,
        )
    except OSError as error:
        os.close(reading)
        raise ConfigError(f"cannot be started: {error.strerror}", where=command[0]) from error
    finally:
        os.close(writing)
    assert process.stdout is not None  # both are pipes
    assert process.stderr is not None
    with process.stdout, process.stderr, os.fdopen(reading, "rb") as report:
        streams = [_Stream(pipe.fileno()) for pipe in (process.stdout, process.stderr, report)]
        try:
            in_time = _watch(process.pid, streams, start_s + time_limit_s)
        finally:
            usage = _end(process)
        for stream in streams:
            while stream.read():  # nobody writes any more: this ends
                pass
    output, errors, answer = (stream.text() for stream in streams)
    return Finished(
        exit_code=process.returncode,
        timed_out=not in_time,
        stdout=output,
        stderr=errors,
        wall_s=time.monotonic() - start_s,
        peak_bytes=usage,
        isolation=_isolation(answer, process.returncode, command[0], errors),
    )


def _watch(pid: int, streams: Sequence[_Stream], deadline_s: float) -> bool:
    """Reads until the process has ended, or its time is up: false."""
    with selectors.DefaultSelector() as selector:
        for stream in streams:
            os.set_blocking(stream.descriptor, False)
            selector.register(stream.descriptor, selectors.EVENT_READ, stream)
        while time.monotonic() < deadline_s:
            # The process may end and leave a child of its own that holds the pipes: its own end is
            # what counts. It is not reaped yet, so that its number stays that of its group.
            if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None:
                return True
            for key, _ in selector.select(LOOK_EVERY_S):
                if key.data.read() == 0:
                    selector.unregister(key.fd)
    return False


def _end(process: subprocess.Popen[bytes]) -> int:
    """Ends what is left of a process and its group; the peak of its memory, bytes."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return usage.ru_maxrss * 1024


def _isolation(answer: str, exit_code: int, program: str, errors: str) -> tuple[str, ...]:
    """What the sandbox said holds.

    Raises:
        ConfigError: it could not start the command.
    """
    told: dict[str, object] = {}
    for line in answer.splitlines():
        told.update(json.loads(line))
    if "error" in told:
        raise ConfigError(f"cannot be started: {told['error']}", where=program)
    if "isolation" not in told and exit_code > 0:  # else it was ended before it could answer
        last = errors.strip().splitlines()[-1:] or [f"exit code {exit_code}"]
        raise ConfigError(f"the sandbox does not run: {last[0]}", where=program)
    holds = told.get("isolation", [])
    return tuple(holds) if isinstance(holds, list) else ()
