"""How the devices get the run's credentials: in an upload script, or as parameters. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from enum import StrEnum

from scripts.cloud.aws import Amazon, Temporary
from updater.upload.names import Destination

SCRIPT_NAME = "upload.sh"
COMMAND = "/usr/bin/sitewatch-update"

_SCRIPT = """\
#!/bin/sh
# Sends the captures of this device. Made for one run; its credentials end {expires}.
set -eu
umask 077
# On a file system in memory: nothing of this is written to the card.
credentials=$(mktemp "${{XDG_RUNTIME_DIR:-/run}}/sitewatch-upload.XXXXXX")
trap 'rm -f -- "$credentials" "$0"' EXIT
trap 'exit 1' HUP INT TERM
cat >"$credentials" <<'CREDENTIALS'
{credentials}
CREDENTIALS
{command}
"""


class Way(StrEnum):
    """To hand credentials over."""

    SCRIPT = "script"
    """In a script that the flow downloads from Artifactory and runs."""
    PARAMETERS = "parameters"
    """As parameters of the flow; Connect keeps those."""


def script(credentials: Temporary, destination: Destination, amazon: Amazon) -> bytes:
    """The upload script: credentials go into a file of root's, never into an argument.

    The credentials are JSON of printable characters on one line, so no line of them can end the
    text that they stand in.
    """
    command = (
        COMMAND,
        "upload",
        *("--bucket", destination.bucket),
        *("--prefix", f"{destination.prefix}/{destination.device}"),
        *(("--region", amazon.region) if amazon.region else ()),
        *(("--endpoint-url", amazon.s3_url) if amazon.s3_url else ()),
    )
    text = _SCRIPT.format(
        expires=credentials.expires,
        credentials=credentials.as_json(),
        command=f'{shlex.join(command)} --credentials "$credentials"',
    )
    return text.encode()


def parameters(credentials: Temporary, destination: Destination) -> Mapping[str, str]:
    """The same as parameters, for a flow that makes the file itself."""
    return {
        "bucket": destination.bucket,
        "prefix": f"{destination.prefix}/{destination.device}",
        "access-key-id": credentials.key_id,
        "secret-access-key": credentials.secret,
        "session-token": credentials.token,
    }
