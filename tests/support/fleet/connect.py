"""The stand-in for Connect in a process of its own: ``python -m … SETTINGS``."""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.support.connect_agents import AGENTS
from tests.support.connect_server import Connect
from tests.support.fleet import part

FLOW = part.ROOT / "packaging/connect/update-model.yaml"
ROLLBACK = "/usr/share/sitewatch/connect/rollback-model.sh"


def main(settings: Any) -> None:
    """Serves until its input ends."""
    with Connect(token=settings["token"], groups=settings["groups"], runs=None) as connect:
        connect.rollback = ROLLBACK
        (flow,) = connect.add_flows(FLOW.read_text())
        part.say({"url": connect.url, "port": connect.port, "flow": flow})

        def requests(_question: object) -> dict[str, int]:
            agents = sum(asked.target.startswith(AGENTS) for asked in list(connect.asked))
            return {"agents": agents, "operator": len(connect.asked) - agents}

        part.answer(requests)


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
