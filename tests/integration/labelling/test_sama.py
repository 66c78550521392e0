"""Sama's own client sends our tasks, unchanged, to a server of the documented interface."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sama import Client

from scripts.labelling import sama as ours
from scripts.labelling.captures import read_captures
from scripts.labelling.way_out import WayOut, write_tasks
from tests.integration.labelling import vendor
from tests.support.labelled import CLASSES, write_capture


class Recorder(Client):  # type: ignore[misc]
    """The client with its one call to the network taken out: a fake, Sama has no local server."""

    def __init__(self) -> None:
        super().__init__("no-key")
        self.sent: list[tuple[str, Any]] = []

    def _call_and_retry_http_method(
        self, url: str, payload: Any = None, params: Any = None, headers: Any = None,
        method: str | None = None,
    ) -> dict[str, Any]:  # fmt: skip
        self.sent.append((f"{method} {url}", json.loads(json.dumps(payload))))
        return {"tasks_put_url": "https://bucket/upload", "batch_id": 1}


def test_the_client_sends_what_our_file_holds(tmp_path: Path) -> None:
    for seed in range(3):
        write_capture(tmp_path / "in", seed)
    captures, _ = read_captures(tmp_path / "in", "s3://pictures/site-7")
    (path,) = write_tasks("sama", captures, tmp_path / "out", WayOut(CLASSES))
    tasks = json.loads(path.read_text())["tasks"]
    client = Recorder()
    client.create_task_batch("p", [task["data"] for task in tasks])
    uploaded = dict(client.sent)["PUT https://bucket/upload"]
    assert uploaded == tasks
    # Delivered as they were sent, they are the pre-labels.
    delivered = tmp_path / "delivered.json"
    delivered.write_text(json.dumps([{"id": str(n), **t} for n, t in enumerate(uploaded)]))
    assert len(ours.read(delivered).entries) == 3
    found = vendor.read("sama", delivered, tmp_path / "in")
    vendor.check(found, [capture.picture for capture in captures])
