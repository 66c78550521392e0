"""Tries, from inside a unit, what it must not be able to do, and says what came of it.

Started by systemd in a unit's own sandbox, in place of the unit's program; nothing but the standard
library. Reads what to ask from the file named, and prints one JSON object. A system call's answer
is its errno's name, or "" where it was done. The arguments are such that a call that is let through
fails in the kernel (EFAULT, EBADF, EINVAL) wherever it would do harm.
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import json
import mmap
import os
import platform
import socket
import stat
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

NAME = ".probe"
AT_FDCWD, SESSION_KEYRING = -100, -3
BAD_POINTER, NO_FILE = 1, -1
NEW_MOUNTS, NEW_USERS, NEW_NETWORK = 0x20000, 0x10000000, 0x40000000
ADDRESSES_NOT_RANDOM = 0x40000

# By name: numbers on x86_64 and aarch64 (asm/unistd_64.h, asm-generic/unistd.h), arguments.
SYSTEM_CALLS: dict[str, tuple[int, int, tuple[int, ...]]] = {
    "adjtimex": (159, 171, (BAD_POINTER,)),
    "bpf": (321, 280, (0, BAD_POINTER, 1)),
    "chroot": (161, 51, (BAD_POINTER,)),
    "clock_settime": (227, 112, (0, BAD_POINTER)),
    "delete_module": (176, 106, (BAD_POINTER, 0)),
    "finit_module": (313, 273, (NO_FILE, BAD_POINTER, 0)),
    "init_module": (175, 105, (BAD_POINTER, 0, BAD_POINTER)),
    "io_uring_setup": (425, 425, (1, BAD_POINTER)),
    "kexec_load": (246, 104, (0, 1, BAD_POINTER, 0)),
    "keyctl": (250, 219, (0, SESSION_KEYRING, 0)),
    "mount": (165, 40, (BAD_POINTER, BAD_POINTER, BAD_POINTER, 0, 0)),
    "open_by_handle_at": (304, 265, (AT_FDCWD, BAD_POINTER, 0)),
    "perf_event_open": (298, 241, (BAD_POINTER, 0, -1, -1, 0)),
    "personality": (135, 92, (ADDRESSES_NOT_RANDOM,)),
    "pivot_root": (155, 41, (BAD_POINTER, BAD_POINTER)),
    "process_vm_readv": (310, 270, (1, BAD_POINTER, 1, BAD_POINTER, 1, 0)),
    "ptrace": (101, 117, (0, 0, 0, 0)),
    "quotactl": (179, 60, (0, BAD_POINTER, 0, 0)),
    "reboot": (169, 142, (0, 0, 0, 0)),
    "sethostname": (170, 161, (BAD_POINTER, 5)),
    "setns": (308, 268, (NO_FILE, NEW_MOUNTS)),
    "settimeofday": (164, 170, (BAD_POINTER, 0)),
    "setuid": (105, 146, (0,)),
    "swapon": (167, 224, (BAD_POINTER, 0)),
    "syslog": (103, 116, (3, BAD_POINTER, 1)),
    "umount2": (166, 39, (BAD_POINTER, 0)),
    "unshare mounts": (272, 97, (NEW_MOUNTS,)),
    "unshare network": (272, 97, (NEW_NETWORK,)),
    "unshare users": (272, 97, (NEW_USERS,)),
    "unshare users and mounts": (272, 97, (NEW_USERS | NEW_MOUNTS,)),
    "unshare users and network": (272, 97, (NEW_USERS | NEW_NETWORK,)),
    "userfaultfd": (323, 282, (0,)),
}


def system_calls() -> Iterator[tuple[str, Callable[[], object]]]:
    """What is called, and how."""
    libc = ctypes.CDLL(None, use_errno=True)
    column = {"x86_64": 0, "aarch64": 1}[platform.machine()]

    def call(number: int, arguments: tuple[int, ...]) -> None:
        if libc.syscall(ctypes.c_long(number), *map(ctypes.c_long, arguments)) < 0:
            raise OSError(ctypes.get_errno(), "")

    for name, (*numbers, arguments) in SYSTEM_CALLS.items():
        yield name, partial(call, numbers[column], arguments)
    yield "mknod", lambda: os.mknod(_fresh(), stat.S_IFCHR | 0o666, os.makedev(1, 11))
    yield (
        "memory both written and run",
        lambda: mmap.mmap(
            -1, mmap.PAGESIZE, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC
        ),
    )
    yield "a set-user-id file", lambda: _fresh_file().chmod(0o4755)
    yield "real-time scheduling", lambda: os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))


def answer(attempt: Callable[[], object]) -> str:
    """What comes of it, in a process of its own."""
    pid = os.fork()
    if pid == 0:
        code = 0
        try:
            attempt()
        except OSError as error:
            code = error.errno or errno.EIO
        finally:
            os._exit(code)
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    return errno.errorcode.get(code, str(code)) if code else ""


def families() -> list[str]:
    """Address families of which a socket can be made."""
    found = []
    for name in ("UNIX", "INET", "INET6", "NETLINK", "PACKET", "VSOCK", "ALG", "BLUETOOTH"):
        kind = socket.SOCK_SEQPACKET if name == "ALG" else socket.SOCK_RAW
        for each in (kind, socket.SOCK_STREAM, socket.SOCK_DGRAM):
            with contextlib.suppress(OSError):
                socket.socket(getattr(socket, f"AF_{name}"), each).close()
                found.append(name)
                break
    return found


def writable() -> list[str]:
    """Every folder in which a file can be made, and every file elsewhere that can be opened."""
    found = []
    for folder, _, names in os.walk("/"):
        parts = folder.split("/")
        if parts[1] == "proc" and parts[2:3] not in ([], ["sys"]):
            continue  # processes are asked for below
        made = f"{folder}/{NAME}"
        try:
            os.close(os.open(made, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        except OSError:
            found += [f"{folder}/{name}" for name in names if _can_open(f"{folder}/{name}")]
        else:
            Path(made).unlink()
            found.append(folder)
    return found


def readable(paths: list[str]) -> list[str]:
    """Those that can be read; of a folder, its list."""
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            each = Path(path)
            list(each.iterdir()) if each.is_dir() else each.read_bytes()
            found.append(path)
    return found


def devices(paths: list[str]) -> list[str]:
    """Those device nodes that can be opened, or would if their hardware were there."""
    found = []
    for path in paths:
        try:
            os.close(os.open(path, os.O_RDONLY | os.O_NONBLOCK))
        except OSError as error:
            if error.errno in (errno.EPERM, errno.EACCES, errno.ENOENT):
                continue
        found.append(path)
    return found


def main() -> None:
    asked: dict[str, Any] = json.loads(Path(sys.argv[1]).read_text())
    status = dict(
        line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines()
    )
    found = {
        "accounts": sorted({os.stat(f"/proc/{pid}").st_uid for pid in _processes()}),  # noqa: PTH116
        "own account": os.geteuid(),
        "capabilities": {name: int(status[name], 16) for name in status if name[:3] == "Cap"},
        "no new privileges": status["NoNewPrivs"],
        "system calls filtered": status["Seccomp"],
        "account by a set-user-id program": _run(asked["setuid"]),
        "system calls": {name: answer(attempt) for name, attempt in system_calls()},
        "families": families(),
        "readable": readable(asked["secrets"]),
        "devices": devices(asked["devices"]),
        "nodes": sorted(_nodes()),
        "writable": sorted(writable()),
    }
    print(json.dumps(found))


def _can_open(path: str) -> bool:
    with contextlib.suppress(OSError):
        if stat.S_ISREG(os.lstat(path).st_mode):
            os.close(os.open(path, os.O_WRONLY | os.O_NONBLOCK))
            return True
    return False


def _fresh() -> str:
    return tempfile.mktemp(dir="/tmp")


def _fresh_file() -> Path:
    path = Path(_fresh())
    path.touch()
    return path


def _processes() -> list[str]:
    return [each.name for each in Path("/proc").iterdir() if each.name.isdigit()]


def _nodes() -> Iterator[str]:
    """Device nodes below /dev that can be opened."""
    for folder, _, names in os.walk("/dev"):
        for name in names:
            path = f"{folder}/{name}"
            mode = os.lstat(path).st_mode
            if stat.S_ISCHR(mode) or stat.S_ISBLK(mode):
                yield from devices([path])


def _run(program: str) -> str:
    done = subprocess.run([program, "-u"], capture_output=True, text=True, check=False)
    return done.stdout.strip() or done.stderr.strip()


if __name__ == "__main__":
    main()
