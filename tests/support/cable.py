"""A network cable between this machine and a box, which can be pulled out (veth)."""

from __future__ import annotations

import ipaddress
import random
import subprocess
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Self

RANGE = ipaddress.IPv4Network("198.18.0.0/15")
"""For measuring networks (RFC 2544), so nobody's own."""
PREFIX_BITS = 30
INSIDE = "eth0"


@dataclass(frozen=True, slots=True)
class Cable:
    """One cable, without a way beyond either end. It goes when the box goes.

    Attributes:
        name: of the interface at this machine's end.
        outside: this machine's address.
        inside: the box's.
    """

    name: str
    outside: str
    inside: str

    @classmethod
    def new(cls) -> Self:
        """One with a name and addresses that are hardly in use."""
        size = 1 << (32 - PREFIX_BITS)
        number = random.SystemRandom().randrange(RANGE.num_addresses // size)
        network = ipaddress.IPv4Network((int(RANGE[0]) + size * number, PREFIX_BITS))
        return cls(f"box-{uuid.uuid4().hex[:8]}", str(network[1]), str(network[2]))

    def lay(self, namespace: Path) -> str:
        """Shell lines, for root, that make a network for a box with this cable in it.

        Args:
            namespace: a file that does not exist, in mounts that go with the box.
        """
        enter = f"nsenter --net={namespace}"
        return f"""
            touch {namespace}
            unshare --net={namespace} true
            {enter} ip link set lo up
            {enter} ip link add {INSIDE} type veth peer name {self.name} netns $$
            {enter} ip address add {self.inside}/{PREFIX_BITS} dev {INSIDE}
            {enter} ip link set {INSIDE} up
            ip address add {self.outside}/{PREFIX_BITS} dev {self.name}
            ip link set {self.name} up
        """

    def pull(self) -> None:
        """Nothing passes any more, and nobody is told."""
        self._set("down")

    def plug(self) -> None:
        """Undoes :meth:`pull`."""
        self._set("up")

    def _set(self, state: str) -> None:
        subprocess.run(["ip", "link", "set", self.name, state], check=True)
