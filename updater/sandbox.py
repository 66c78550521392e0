"""``python -m updater.sandbox REQUEST COMMAND…``: limits itself, then becomes the command.

A process of its own between the updater and what it does not trust: the limits are set by a fresh
interpreter with one thread, not by a fork of a process that has more, and what cannot be set is
told before the command begins. What holds afterwards, for the command and all it starts:

- processor time, memory for data, open files; no file can be written to, no core is dumped;
- when memory is short the kernel ends it first, and not the camera;
- no network: a namespace without any, and a filter under which no socket can be made at all. The
  one or the other may be missing where a kernel or a service's own filter refuses; both are
  tried, and what holds is told;
- no new rights, no look into other processes, and no leaving the process group, so that ending
  the group ends everything;
- it ends when the updater ends.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import platform
import resource
import signal
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from updater import linux

MODULE = "updater.sandbox"
NAMESPACE = "namespace"
FILTER = "filter"
NOT_STARTED = 127
"""Exit code when the command could not be started; as shells have it."""

CPU_KILL_AFTER_S = 5
"""Processor time between the signal that says that it is used up and the end."""

OOM_SCORE_ADJ = Path("/proc/self/oom_score_adj")
OOM_FIRST = "1000"
"""The kernel's choice before all others (proc(5))."""

BPF_LOAD_WORD = 0x20
BPF_JUMP_IF_EQUAL = 0x15
BPF_JUMP_IF_AT_LEAST = 0x35
BPF_RETURN = 0x06
DATA_NUMBER = 0
DATA_ARCHITECTURE = 4
"""Where ``struct seccomp_data`` has them (``linux/seccomp.h``)."""
SECCOMP_KILL = 0x80000000
SECCOMP_ERRNO = 0x00050000
SECCOMP_ALLOW = 0x7FFF0000
X32_FIRST = 0x40000000
"""From here on x86_64 numbers the calls of another ABI."""


@dataclass(frozen=True, slots=True)
class Request:
    """What the command may use.

    Attributes:
        parent: pid of the process that asks; when it is gone, so is the command.
        report: descriptor on which the answer is written, one JSON object.
        cpu_time_s: processor time of each process, seconds.
        data_bytes: memory for data of each process. Not the address space: the runtimes and the C
            library reserve several times what they use.
        open_files: descriptors of each process.
    """

    parent: int
    report: int
    cpu_time_s: int
    data_bytes: int
    open_files: int = 256


@dataclass(frozen=True, slots=True)
class SystemCalls:
    """Numbers of system calls on one architecture, and the architecture's own (``linux/audit.h``).

    Attributes:
        architecture: ``AUDIT_ARCH_…``.
        refused: those that fail in the sandbox.
    """

    architecture: int
    refused: tuple[int, ...]


IO_URING_SETUP, PIDFD_GETFD = 425, 438
"""Numbers since 5.1 are the same everywhere. A ring could make sockets past the filter."""

# In this order: socket, socketpair, ptrace, setpgid, setsid, process_vm_readv, process_vm_writev
X86_64 = SystemCalls(0xC000003E, (41, 53, 101, 109, 112, 310, 311, IO_URING_SETUP, PIDFD_GETFD))
AARCH64 = SystemCalls(0xC00000B7, (198, 199, 117, 154, 157, 270, 271, IO_URING_SETUP, PIDFD_GETFD))
ARM = SystemCalls(0x40000028, (281, 288, 26, 57, 66, 376, 377, IO_URING_SETUP, PIDFD_GETFD))


def system_calls(machine: str, *, wide: bool) -> SystemCalls | None:
    """The numbers for this process; None for a processor that the filter does not know.

    Args:
        machine: as ``uname -m`` has it: of the kernel.
        wide: whether this process has 64 bits; a Pi may have 32 under a kernel of 64.
    """
    if machine == "x86_64":
        return X86_64 if wide else None
    if machine in ("aarch64", "armv8l", "armv7l", "armv6l"):
        return AARCH64 if wide else ARM
    return None


def filter_program(calls: SystemCalls) -> list[tuple[int, int, int, int]]:
    """BPF that lets every system call pass but the refused ones, which fail with EPERM."""
    program = [
        (BPF_LOAD_WORD, 0, 0, DATA_ARCHITECTURE),
        (BPF_JUMP_IF_EQUAL, 1, 0, calls.architecture),
        (BPF_RETURN, 0, 0, SECCOMP_KILL),
        (BPF_LOAD_WORD, 0, 0, DATA_NUMBER),
    ]
    if calls is X86_64:
        program += [(BPF_JUMP_IF_AT_LEAST, 0, 1, X32_FIRST), (BPF_RETURN, 0, 0, SECCOMP_KILL)]
    for number in calls.refused:
        program += [
            (BPF_JUMP_IF_EQUAL, 0, 1, number),
            (BPF_RETURN, 0, 0, SECCOMP_ERRNO | errno.EPERM),
        ]
    return [*program, (BPF_RETURN, 0, 0, SECCOMP_ALLOW)]


def command_line(request: Request, command: Sequence[str]) -> list[str]:
    """The arguments that start a command in the sandbox."""
    return [
        sys.executable, "-S", "-P", "-B", "-m", MODULE, json.dumps(asdict(request)), *command
    ]  # fmt: skip


def set_limits(request: Request) -> None:
    """Sets what this process and all that it starts may use.

    Raises:
        OSError: the kernel refuses.
        ValueError: a limit is above the one that this process has.
    """
    for kind, most in (
        (resource.RLIMIT_CPU, request.cpu_time_s + CPU_KILL_AFTER_S),
        (resource.RLIMIT_DATA, request.data_bytes),
        (resource.RLIMIT_NOFILE, request.open_files),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        _, hard = resource.getrlimit(kind)
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        # At the hard limit of processor time the kernel kills; at the soft one it says why.
        soft = max(least - CPU_KILL_AFTER_S, 1) if kind == resource.RLIMIT_CPU else least
        resource.setrlimit(kind, (soft, least))
    # Only a preference: without it the kernel chooses by size, which is the sandbox's too.
    with contextlib.suppress(OSError):
        OOM_SCORE_ADJ.write_text(OOM_FIRST)


def leave_network() -> list[str]:
    """Cuts this process off from every network; what holds of ``NAMESPACE`` and ``FILTER``."""
    holds = []
    # A user namespace takes all capabilities away. In a checkout that only a capability makes
    # readable the command would not even start, so there the filter is alone.
    if int(linux.process_status()["CapAmb"], 16) == 0:
        with contextlib.suppress(OSError):  # what does not hold is told, by its absence
            linux.unshare(linux.CLONE_NEWUSER | linux.CLONE_NEWNET)
            holds.append(NAMESPACE)
    calls = system_calls(platform.machine(), wide=sys.maxsize > 2**32)
    if calls is not None:
        with contextlib.suppress(OSError):
            linux.filter_system_calls(filter_program(calls))
            holds.append(FILTER)
    return holds


def main(arguments: Sequence[str]) -> int:
    """Becomes the command; only if that fails there is an exit code."""
    request = Request(**json.loads(arguments[0]))
    answer: dict[str, object]
    try:
        linux.die_with_parent(signal.SIGKILL)
        if os.getppid() != request.parent:
            return NOT_STARTED  # it ended before it could be noticed
        set_limits(request)
        linux.forbid_new_privileges()
        answer = {"isolation": leave_network()}
        os.set_inheritable(request.report, False)
        _tell(request.report, answer)
        os.execvp(arguments[1], list(arguments[1:]))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else str(error)
        _tell(request.report, {"error": reason or str(error)})
    return NOT_STARTED


def _tell(descriptor: int, answer: dict[str, object]) -> None:
    os.write(descriptor, json.dumps(answer).encode() + b"\n")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
