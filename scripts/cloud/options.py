"""Options that several steps share. None takes a secret: those come from files or variables."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

from scripts.cloud import connect_v1, connect_v2, secrets
from scripts.cloud.artifactory import Artifactory
from scripts.cloud.connect_v1 import ConnectV1
from scripts.cloud.connect_v2 import ConnectV2
from scripts.cloud.http import Client
from scripts.cloud.rollout import Stage, Waiting
from scripts.cloud.timing import RateLimit
from updater.errors import UsageError


def add_artifactory(parser: argparse.ArgumentParser) -> None:
    """Options for Artifactory."""
    group = parser.add_argument_group(
        "Artifactory",
        f"credentials: a file, or the variable {secrets.ARTIFACTORY_TOKEN} or "
        f"{secrets.ARTIFACTORY_API_KEY}",
    )
    add = group.add_argument
    add("--artifactory", required=True, metavar="URL", help="https://NAME.jfrog.io/artifactory")
    add("--repository", default="models", help="a generic repository (default: %(default)s)")
    add("--token-file", type=Path, metavar="FILE", help="access, identity or reference token")
    add("--api-key-file", type=Path, metavar="FILE", help="API key of an older Artifactory")
    add("--ca-file", type=Path, metavar="FILE", help="authorities to judge servers by (PEM)")


def artifactory(options: argparse.Namespace) -> Artifactory:
    """The server that the options name.

    Raises:
        UsageError: no credentials, or they would travel in the clear.
        ConfigError: they cannot be used.
    """
    shown = secrets.artifactory(options.token_file, options.api_key_file, os.environ)
    client = Client(
        options.artifactory,
        headers=shown.headers,
        secrets=(shown.value.removeprefix("Bearer "),),
        ca_file=options.ca_file,
    )
    return Artifactory(client, shown)


def add_connect(parser: argparse.ArgumentParser) -> None:
    """Options for Connect; the first four are written as JFrog's and Valohai's example has them."""
    group = parser.add_argument_group(
        "Connect", f"token: a file, or the variable {secrets.CONNECT_TOKEN}"
    )
    add = group.add_argument
    add("--flow_id", required=True, help="of the update flow, f-xxxx-xxxx")
    add("--app_name", default="", help="deployment tag, made in Connect before")
    add("--project", required=True, help="key of the project (fleet)")
    add("--group", required=True, action="append", help="of devices; may be repeated")
    add("--canary", metavar="GROUP", help="group that goes first")
    add("--share", type=_share, default=0.9, help="of the canary must succeed (default: 0.9)")
    add("--fleet-share", type=_share, default=1.0, help="of each other group (default: 1)")
    add("--api", choices=("v1", "v2"), default="v2", help="interface (default: %(default)s)")
    add("--connect", default=connect_v2.ADDRESS, metavar="URL", help="(default: %(default)s)")
    add("--connect-token-file", type=Path, metavar="FILE", help="mode 600")
    add("--calls-per-minute", type=int, help="at most (default: 3 for v1, 60 for v2)")
    add("--status-path", help="address of results below the project, with {deployment} in it")
    add("--timeout", type=_seconds, default=Waiting().timeout_s, help="seconds for each group")
    add("--poll", type=_seconds, default=Waiting().poll_s, help="seconds between two questions")


def connect(options: argparse.Namespace) -> ConnectV1 | ConnectV2:
    """The service that the options name.

    Raises:
        UsageError: no token, or it would travel in the clear.
        ConfigError: it cannot be used.
    """
    token = secrets.connect(options.connect_token_file, os.environ)
    calls = options.calls_per_minute
    if calls is None:
        calls = connect_v1.CALLS_PER_MINUTE if options.api == "v1" else 60
    if calls < 0:
        raise UsageError("cannot be negative", where="--calls-per-minute")
    client = Client(
        options.connect,
        headers={} if options.api == "v1" else {"Authorization": f"Bearer {token}"},
        secrets=(token,),
        limit=RateLimit(calls),
        ca_file=getattr(options, "ca_file", None),
    )
    if options.api == "v1":
        return ConnectV1(client, token, options.project)
    paths = (options.status_path,) if options.status_path else connect_v2.STATUS_PATHS
    return ConnectV2(client, options.project, paths)


def stages(options: argparse.Namespace) -> list[Stage]:
    """The canary, then the groups.

    Raises:
        UsageError: a group is named twice.
    """
    canary = [Stage(options.canary, options.share, decided_early=True)] if options.canary else []
    found = [*canary, *(Stage(group, options.fleet_share) for group in options.group)]
    names = [stage.group for stage in found]
    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{name!r} is named twice", where="--group")
    return found


def _share(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = 0.0
    if not 0 < found <= 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a share above 0, to 1")
    return found


def _seconds(text: str) -> float:
    try:
        found = float(text)
    except ValueError:
        found = -1.0
    if not 0 <= found <= 7 * 86400:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of seconds up to a week")
    return found
