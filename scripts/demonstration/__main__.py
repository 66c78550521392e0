"""Runs the demonstration; ``scripts/demo`` is its command."""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from scripts.demonstration import clip
from scripts.demonstration.broker import DemonstrationError, running_broker
from scripts.demonstration.subscriber import Subscriber
from scripts.processes import stop
from updater.errors import SitewatchError, SourceError

ROOT = Path(__file__).resolve().parents[2]
OUTPUT = ROOT / "demo-output"
BUNDLE = ROOT / "packaging" / "model"
SITEWATCH = Path(sys.executable).with_name("sitewatch")
DEVICE = "demo"
STOP_TIMEOUT_S = 10.0
"""The daemon stops within 5 s; after twice that it is killed."""


def configuration(port: int, model: Path, state: Path) -> str:
    """The daemon's TOML file: everything that must not be where an installed Sitewatch keeps it.

    Args:
        port: of the broker on loopback.
        model: bundle's folder.
        state: folder for what the daemon keeps on disk.
    """
    sections: dict[str, dict[str, Any]] = {
        "device": {"id": DEVICE, "name": "Demonstration"},
        "model": {"bundle": str(model), "runtime_cache": str(state / "runtime.json")},
        "mqtt": {"host": "127.0.0.1", "port": port},
        "outbox": {"path": str(state / "outbox.sqlite3")},
        "captures": {"folder": str(OUTPUT / "captures")},
        "health": {"status_file": str(OUTPUT / "status.json"), "metrics_port": 0},
    }
    return "".join(
        # A JSON string or number is the same in TOML.
        f"[{name}]\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in fields.items())
        for name, fields in sections.items()
    )


def run_daemon(command: list[str]) -> dict[str, Any]:
    """Runs ``sitewatch run`` to the end of its source.

    Returns:
        The summary that it prints as its last line.

    Raises:
        DemonstrationError: it failed; its own words are shown.
    """
    log = OUTPUT / "daemon.log"
    with log.open("wb") as errors:
        daemon = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True)
        try:
            printed, _ = daemon.communicate()
        finally:
            stop(daemon, STOP_TIMEOUT_S)
    if daemon.returncode != 0:
        last = log.read_text(errors="replace").strip().splitlines()[-5:]
        raise DemonstrationError(
            "\n  ".join([f"the daemon ended with exit code {daemon.returncode}", *last]),
            hint=f"Its whole log: {log}",
        )
    lines = printed.strip().splitlines()
    if not lines:
        raise DemonstrationError("the daemon printed no summary", hint=f"Its log: {log}")
    summary: dict[str, Any] = json.loads(lines[-1])
    return summary


def judge_sample(subscriber: Subscriber) -> list[str]:
    """What is wrong with the alerts of the sample clip; empty: nothing."""
    starts = [event for event in subscriber.events if event["type"] == "start"]
    wrong = []
    if len(starts) != clip.EXPECTED_STARTS:
        wrong.append(f"{len(starts)} alerts started, not {clip.EXPECTED_STARTS}")
    if any(event["violation"] != "bare_head" for event in starts):
        wrong.append("an alert is not about a bare head")
    if len(subscriber.pictures) < len(starts):
        wrong.append("a picture is missing")
    if subscriber.open_ids():
        wrong.append("an alert did not end")
    return wrong


def demonstrate(video: Path | None, *, model: Path, embedded_broker: bool) -> int:
    """The whole demonstration.

    Args:
        video: any video; None makes and judges the sample.
        model: bundle's folder.
        embedded_broker: whether to use the embedded broker even where Mosquitto is installed.

    Returns:
        0 if everything went well and, on the sample, what was expected happened.
    """
    if video is not None and not video.is_file():
        raise SourceError("no such file", where=str(video))
    shutil.rmtree(OUTPUT, ignore_errors=True)
    OUTPUT.mkdir()
    if video is None:
        played = OUTPUT / "sample.mp4"
        print("demo: making the sample clip", flush=True)
        clip.write(played)
    else:
        played = video.resolve()
    with (
        tempfile.TemporaryDirectory(prefix="sitewatch-demo-") as state,
        running_broker(Path(state), embedded=embedded_broker) as broker,
        Subscriber(broker.port, DEVICE, OUTPUT) as subscriber,
    ):
        config = OUTPUT / "sitewatch.toml"
        config.write_text(configuration(broker.port, model.resolve(), Path(state)))
        print(f"demo: broker: {broker.name} on 127.0.0.1:{broker.port}; subscribed to its alerts")
        command = [str(SITEWATCH), "run", "--config", str(config), "--source", str(played)]
        print(f"demo: {shlex.join(command)}", flush=True)
        summary = run_daemon(command)
        subscriber.drain()
    print(f"\ndemo: the daemon's summary: {json.dumps(summary)}")
    print(f"demo: annotated pictures: {len(subscriber.pictures)}, in {OUTPUT} with the log")
    print(f"demo: pictures kept for labelling: {summary['captures']}, in {OUTPUT / 'captures'}")
    if video is not None:
        return 0
    wrong = judge_sample(subscriber)
    if wrong:
        print(f"demo: NOT as expected: {'; '.join(wrong)}", file=sys.stderr)
        return 1
    print("demo: as expected: one alert for the bare head, none for the cup or the hard hat")
    return 0


def main() -> int:
    """Reads the command line; turns errors into one line and an exit code."""
    parser = argparse.ArgumentParser(prog="scripts/demo", description=__doc__)
    parser.add_argument("video", nargs="?", type=Path, metavar="VIDEO", help="default: a sample")
    parser.add_argument(
        "--model", type=Path, default=BUNDLE, metavar="BUNDLE", help="default: Sitewatch's own"
    )
    parser.add_argument(
        "--embedded-broker", action="store_true", help="even where Mosquitto is installed"
    )
    arguments = parser.parse_args()
    # A polite kill must clean up like Ctrl-C does.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        return demonstrate(
            arguments.video,
            model=arguments.model,
            embedded_broker=arguments.embedded_broker,
        )
    except SitewatchError as error:
        print(f"demo: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main())
