"""The few calls of the Linux kernel that Python's standard library does not have."""

from __future__ import annotations

import ctypes
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

CAP_DAC_READ_SEARCH = 2
"""Reads every file and searches every folder; writes nothing. ``linux/capability.h``."""

CLONE_NEWUSER = 0x10000000
CLONE_NEWNET = 0x40000000

_PR_SET_PDEATHSIG = 1
_PR_SET_KEEPCAPS = 8
_PR_SET_SECCOMP = 22
_PR_SET_NO_NEW_PRIVS = 38
_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_RAISE = 2
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_SECCOMP_MODE_FILTER = 2
_CAPABILITY_VERSION_3 = 0x20080522

_libc = ctypes.CDLL(None, use_errno=True)


class _CapabilityHeader(ctypes.Structure):
    _fields_ = (("version", ctypes.c_uint32), ("pid", ctypes.c_int))


class _CapabilityData(ctypes.Structure):
    _fields_ = (
        ("effective", ctypes.c_uint32),
        ("permitted", ctypes.c_uint32),
        ("inheritable", ctypes.c_uint32),
    )


class _FilterInstruction(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("operand", ctypes.c_uint32),
    )


class _FilterProgram(ctypes.Structure):
    _fields_ = (
        ("length", ctypes.c_ushort),
        ("instructions", ctypes.POINTER(_FilterInstruction)),
    )


def forbid_new_privileges() -> None:
    """No program that this process starts gets more rights than it has, set-user-ID or not.

    Raises:
        OSError: the kernel refuses.
    """
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def keep_capabilities_over_setuid() -> None:
    """Lets the next change away from root keep what is permitted; effective ones go all the same.

    Raises:
        OSError: the kernel refuses.
    """
    _prctl(_PR_SET_KEEPCAPS, 1)


def set_capabilities(kept: int) -> None:
    """Leaves this thread these capabilities and no others, and its programs too.

    Args:
        kept: mask; each bit must be permitted now.

    Raises:
        OSError: the kernel refuses.
    """
    header = _CapabilityHeader(_CAPABILITY_VERSION_3, 0)
    halves = (_CapabilityData * 2)(
        *(_CapabilityData(half, half, half) for half in (kept & 0xFFFFFFFF, kept >> 32))
    )
    _check(_libc.capset(ctypes.byref(header), halves))
    _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL)
    for capability in range(kept.bit_length()):
        if kept & 1 << capability:
            _prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability)


def die_with_parent(signal_number: int) -> None:
    """Asks for a signal when the thread that started this process ends.

    Raises:
        OSError: the kernel refuses.
    """
    _prctl(_PR_SET_PDEATHSIG, signal_number)


def unshare(flags: int) -> None:
    """Leaves the namespaces named by ``CLONE_NEW…`` for new ones.

    Raises:
        OSError: the kernel refuses: by its configuration, a limit, or a filter of the service.
    """
    _check(_libc.unshare(ctypes.c_int(flags)))


def filter_system_calls(program: Sequence[tuple[int, int, int, int]]) -> None:
    """Has the kernel judge each further system call, for good, programs started included.

    Args:
        program: BPF instructions (code, jump if true, jump if false, operand).

    Raises:
        OSError: the kernel has no filters, or new privileges were not forbidden before.
    """
    instructions = (_FilterInstruction * len(program))(
        *(_FilterInstruction(*one) for one in program)
    )
    whole = _FilterProgram(len(program), instructions)
    _prctl(_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.addressof(whole))


def process_status() -> Mapping[str, str]:
    """``/proc/self/status`` by field, as texts: ``{"Threads": "1", "NoNewPrivs": "0", …}``.

    Raises:
        OSError: ``/proc`` is not mounted.
    """
    lines = Path("/proc/self/status").read_text().splitlines()
    return {name: value.strip() for name, _, value in (line.partition(":") for line in lines)}


def _prctl(option: int, *arguments: int) -> None:
    # prctl takes its arguments as long; the kernel wants those that are not used to be 0.
    padded = [*arguments, 0, 0, 0, 0][:4]
    _check(_libc.prctl(ctypes.c_int(option), *(ctypes.c_ulong(one) for one in padded)))


def _check(result: int) -> None:
    if result != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
