"""The members of a Valohai distributed task, as torchrun's arguments.

Each member is an execution of its own with the same ``/valohai/config/distributed.json``, apart
from whose it is (https://docs.valohai.com/distributed-training/distributed-config). Ranks follow
the member ids, as numbers where all of them are, as Valohai's own package (valohai-utils) has it.
"""

from __future__ import annotations

import ipaddress
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from updater.errors import SitewatchError

#: One machine, one process a GPU (or a core, where there is none).
ALONE: Final = ("--standalone", "--nproc-per-node", "auto")


class MembersError(SitewatchError):
    """What Valohai tells of the members is not understood."""

    exit_code = 28


@dataclass(frozen=True, slots=True)
class Members:
    """Of a distributed task.

    Attributes:
        group: Its name.
        rank: Of this machine, from 0.
        addresses: Local addresses by rank.
    """

    group: str
    rank: int
    addresses: tuple[str, ...]


def arguments(members: Members, port: int) -> tuple[str, ...]:
    """What torchrun is told on this machine; the first member is where all meet."""
    if len(members.addresses) == 1:
        return ALONE
    return (
        "--nnodes",
        str(len(members.addresses)),
        "--node-rank",
        str(members.rank),
        "--nproc-per-node",
        "auto",
        "--master-addr",
        members.addresses[0],
        "--master-port",
        str(port),
    )


def read_members(path: Path) -> Members:
    """Read ``distributed.json``.

    Raises:
        MembersError: It cannot be read, lacks something, or lists too few members.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        group, own = str(document["config"]["group_name"]), str(document["config"]["member_id"])
        needed = int(document["config"]["required_count"])
        listed = {str(each["member_id"]): _address(each["network"]) for each in document["members"]}
    except (OSError, ValueError, KeyError, IndexError, TypeError) as error:
        raise MembersError(
            f"is not understood: {type(error).__name__} {error}",
            where=str(path),
            hint="See https://docs.valohai.com/distributed-training/distributed-config",
        ) from error
    ranked = sorted(listed, key=int if all(map(str.isdecimal, listed)) else str)
    if len(ranked) != needed or own not in listed:
        raise MembersError(
            f"{needed} members are wanted, listed are {', '.join(ranked) or 'none'}; this is {own}",
            where=str(path),
        )
    return Members(group, ranked.index(own), tuple(listed[each] for each in ranked))


def _address(network: Mapping[str, list[str]]) -> str:
    """A member's first local address.

    Raises:
        ValueError: It is no address: it goes into a shell's command line.
    """
    return str(ipaddress.ip_address(network["local_ips"][0]))
