"""``python -m scripts.manual DIR``: writes manual pages and completions, for the Debian package."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import daemon.cli
import updater.cli
from scripts.manual.commandline import read
from scripts.manual.completion import completion
from scripts.manual.page import page
from updater.version import VERSION

FILES = {
    "sitewatch": {
        "/etc/sitewatch/sitewatch.toml": "the camera's configuration; every field is in it",
        "/etc/sitewatch/credentials/mqtt/": "secrets for the broker: the file 'password' is named "
        'in the configuration as "mqtt_password"',
        "/var/lib/sitewatch/captures/": "pictures kept for labelling",
        "/var/lib/sitewatch/models/current": "the model that runs",
        "/run/sitewatch/status.json": "how the camera is",
    },
    "sitewatch-update": {
        "/etc/sitewatch/update.toml": "configuration; every field is in it",
        "/etc/sitewatch/keys/": "public keys whose models are trusted",
        "/var/lib/sitewatch/models/": "the model store",
        "/usr/share/sitewatch/model/": "the model that came with the software",
    },
}


def main(folder: Path) -> None:
    """Writes them."""
    folder.mkdir(parents=True, exist_ok=True)
    date_unix_s = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    for parser in (daemon.cli.make_parser(), updater.cli.make_parser()):
        program = read(parser)
        text = page(program, version=VERSION, date_unix_s=date_unix_s, files=FILES[program.name])
        (folder / f"{program.name}.1").write_text(text)
        (folder / f"{program.name}.bash").write_text(completion(program))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
