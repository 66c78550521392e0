"""``sitewatch-update install`` and ``wait``: a bundle in, and the verdict on it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from updater import fetch, selftest
from updater.commands.context import Context
from updater.fetch import Credentials
from updater.install.install import Installation, Installed, Request, Result, Tools
from updater.install.verdict import await_verdict
from updater.store.journal import Journal
from updater.store.store import Store

INSTALL_EPILOG = """\
The bundle is fetched (and a broken download resumed), verified, unpacked, proven by a self-test of
its own process, and made current. Then the running daemon tries it out: committed, or rolled back
to the last good model. Without a daemon it stays on probation until one has shown it healthy. The
same bundle again is a success at once.

exit codes: 0 committed, already active, or on probation without a daemon; 4, 5, 9, 10, 11: not
installed, see 'sitewatch-update --help'; 12 another run or probation; 13 rolled back

examples:
  sitewatch-update install /tmp/model.zip
  sitewatch-update install https://example.org/models/model.zip --token-file /etc/sitewatch/token
  sitewatch-update install model.zip --offline --store /tmp/store --keys keys/
"""
WAIT_EPILOG = """\
exit codes: 0 it is committed, 13 it was rolled back, or there is no verdict after --timeout (the
probation goes on), 16 nothing is or was on probation

examples:
  sitewatch-update wait --timeout 900
"""


def add_parser(subparsers: Any) -> None:
    """Registers both commands."""
    install_ = subparsers.add_parser(
        "install",
        help="install a bundle, and keep it only if it proves itself",
        description="Installs a model bundle from a URL or a file.",
        epilog=INSTALL_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = install_.add_argument
    add("source", metavar="URL|FILE", help="of the model.zip")
    add("--sha256", default="", metavar="HEX", help="that the archive must have; empty: any")
    secret = install_.add_mutually_exclusive_group()
    secret.add_argument("--token-file", metavar="FILE", help="token, sent as Bearer; mode 600")
    secret.add_argument("--api-key-file", metavar="FILE", help="Artifactory API key; mode 600")
    add("--offline", action="store_true", help="commit on the self-test alone; no probation")
    add("--no-wait", action="store_true", help="leave it on probation; 'wait' gives the verdict")
    add("--allow-downgrade", action="store_true", help="accept an older version")
    add("--retry", action="store_true", help="accept a bundle that failed here before")
    add("--json", action="store_true", help="print the result as one JSON object")
    install_.set_defaults(
        run=install, needs_keys=True, inputs=("source", "token_file", "api_key_file")
    )

    wait_ = subparsers.add_parser(
        "wait",
        help="wait for the verdict on the model on probation",
        description="Waits for the verdict on the model on probation, and carries it out.",
        epilog=WAIT_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    wait_.add_argument(
        "--timeout", type=_seconds, metavar="S", help="seconds to wait (default: until a verdict)"
    )
    wait_.add_argument("--json", action="store_true", help="print the result as one JSON object")
    wait_.set_defaults(run=wait)


def install(arguments: argparse.Namespace, context: Context) -> int:
    """Installs a bundle.

    Raises:
        SitewatchError: it was not installed, or was rolled back.
    """
    request = Request(
        source=arguments.source,
        opened=context.opened.get("source"),
        sha256=arguments.sha256,
        credentials=_credentials(context),
        offline=arguments.offline,
        wait=not arguments.no_wait,
        allow_downgrade=arguments.allow_downgrade,
        retry=arguments.retry,
    )
    store = Store(context.settings.store, context.floor)
    tools = Tools(ring=context.ring, prove=_prove, progress=fetch.progress_on(sys.stderr))
    installed = Installation(request, context.settings, store, tools).run()
    print(_as_json(installed) if context.as_json else _line(installed))
    return 0


def _prove(bundle: Path, limits: selftest.SelfTestLimits, report: Path) -> None:
    selftest.run(bundle, limits, keep_as=report)


def wait(arguments: argparse.Namespace, context: Context) -> int:
    """Waits for the verdict.

    Raises:
        ProbationError: it was rolled back, or there is none in time.
        StateError: nothing is or was on probation.
    """
    store = Store(context.settings.store, context.floor)
    journal = await_verdict(store, context.settings, timeout_s=arguments.timeout)
    installed = _committed(journal)
    print(_as_json(installed) if context.as_json else _line(installed))
    return 0


def _committed(journal: Journal) -> Installed:
    good = journal.committed
    if good is None:
        raise AssertionError("committed without a release")
    replaced = "" if journal.previous is None else journal.previous.version
    return Installed(Result.COMMITTED, good.version, good.digest, replaced)


def _credentials(context: Context) -> Credentials | None:
    if (file := context.opened.get("token_file")) is not None:
        return fetch.read_token(file, where="--token-file")
    if (file := context.opened.get("api_key_file")) is not None:
        return fetch.read_api_key(file, where="--api-key-file")
    return None


def _line(installed: Installed) -> str:
    match installed.result:
        case Result.ALREADY_ACTIVE:
            return f"{installed.version} is active already"
        case Result.ON_PROBATION:
            return (
                f"{installed.version} is on probation; the verdict comes when a daemon has run it"
            )
        case Result.COMMITTED:
            replaced = f"; it replaces {installed.replaced}" if installed.replaced else ""
            return f"{installed.version} is committed{replaced}"


def _as_json(installed: Installed) -> str:
    return json.dumps(
        {
            "result": installed.result,
            "version": installed.version,
            "digest": installed.digest,
            "replaced": installed.replaced or None,
            "seconds": installed.seconds,
        }
    )


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of seconds") from error
    if not 0.0 < value <= 604_800.0:
        raise argparse.ArgumentTypeError("must be more than 0 and at most a week")
    return value
