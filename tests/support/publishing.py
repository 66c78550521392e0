"""Somebody who publishes: accounts, two bundles, and a publication in this process or its own."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path

from scripts.cloud.artifactory import Artifactory as Server
from scripts.cloud.http import Client, Retry
from scripts.cloud.publication import Place, Publication
from scripts.cloud.timing import Timing
from tests.support.artifactory import Account
from tests.support.signed import RING, bundle
from updater.fetch.credentials import Credentials

TOKEN, API_KEY, READER = "publish-t0ken-hunter2", "publish-k3y-hunter2", "device-t0ken-hunter2"
MOVING = "models/model.zip"
PUBLISHER = Account("publisher", token=TOKEN, api_key=API_KEY, deploy=True, overwrite=True)
CAREFUL = Account("careful", token=TOKEN, deploy=True, overwrite=MOVING)
"""As docs/cloud.md asks for: it may overwrite the moving name, and no version."""
APPENDER = Account("appender", token="append-t0ken-hunter2", deploy=True)
DEVICE = Account("device", token=READER)


@dataclass
class Slept:
    """A clock's sleep that takes no time, and how long it was asked to take."""

    waits_s: list[float] = field(default_factory=list)

    @property
    def timing(self) -> Timing:
        return Timing(sleep=self.waits_s.append)


def publication(
    url: str, *, token: str = TOKEN, attempts: int = 2, timing: Timing | None = None
) -> Publication:
    """What publishes at a server, in this process.

    Args:
        url: of the stand-in, or of something in front of it.
        token: shown there.
        attempts: at each request.
        timing: None waits no time at all.
    """
    shown = Credentials("Authorization", f"Bearer {token}")
    client = Client(
        f"{url}/artifactory",
        headers=shown.headers,
        secrets=(token,),
        retry=Retry(attempts=attempts),
        timing=timing or Slept().timing,
    )
    return Publication(Server(client, shown), Place(), RING)


def write_bundles(folder: Path, *versions: str) -> list[Path]:
    """Small signed bundles, one a version."""
    made = []
    for version in versions:
        made.append(folder / f"{version}.zip")
        made[-1].write_bytes(bundle(version=version).to_bytes())
    return made


if __name__ == "__main__":
    # For tests that kill it: URL FILE VERSION NAME=VALUE…
    told = dict(text.split("=", 1) for text in sys.argv[4:])
    publication(sys.argv[1]).publish(Path(sys.argv[2]), sys.argv[3], told)
