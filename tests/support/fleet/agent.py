"""A simulated agent of Connect: asks for work, does it, and says how each step went."""

from __future__ import annotations

import http.client
import json
from collections.abc import Callable
from typing import Any

from tests.support.connect_agents import AGENTS

TIMEOUT_S = 20.0
Does = Callable[[str, str], tuple[int, str]]
"""Does a command on the device of that name: exit code and output."""


class Agent:
    """The agents of several devices, which share what they count. For one thread.

    Args:
        port: of the stand-in for Connect, on this machine.
        token: shown with each request.
        does: the steps.

    Attributes:
        requests: answered ones.
        unanswered: without an answer: the network was away.
    """

    def __init__(self, port: int, token: str, does: Does) -> None:
        self._port = port
        self._headers = {"Authorization": f"Bearer {token}", "Connection": "close"}
        self._does = does
        self.requests = 0
        self.unanswered = 0

    def poll(self, device: str) -> None:
        """Asks once, and does what there is to do; cut off in the midst of it, it leaves the rest
        to the next time."""
        try:
            work = self._ask("GET", f"{device}/work", None)
            if work is None:
                return
            for number, step in enumerate(work["steps"], work["first"]):
                code, output = self._does(device, step["run"])
                if code and work["rollback"]:
                    self._does(device, work["rollback"])
                told = {
                    "deployment": work["deployment"], "step": number, "code": code,
                    "output": output,
                }  # fmt: skip
                self._ask("POST", f"{device}/report", told)
                if code:
                    return
        except (OSError, http.client.HTTPException):
            self.unanswered += 1

    def _ask(self, method: str, path: str, document: object) -> Any:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=TIMEOUT_S)
        try:
            body = None if document is None else json.dumps(document)
            connection.request(method, f"{AGENTS}{path}", body, self._headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        assert answer.status in (200, 204), (answer.status, content)
        self.requests += 1
        return json.loads(content) if content else None
