"""``sitewatch run``: the daemon itself."""

from __future__ import annotations

import argparse
import json
import signal
import socket
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from daemon import log
from daemon.alerts.events import AlertEvent
from daemon.clock import Stamp
from daemon.config import DEFAULT_CONFIG_FILE, Config
from daemon.configfile import check_whole, load
from daemon.paths import without_installation
from daemon.service import Service
from daemon.sources import guess_kind
from updater.errors import StorageError

EPILOG = """\
A file or folder as source ends the run: the summary follows as one line of JSON on standard
output, and the exit code is 0. A camera runs until SIGTERM or SIGINT. SIGHUP reads the
configuration again.

Without --config, /etc/sitewatch/sitewatch.toml is read; where that is missing the defaults hold
and everything is kept below ~/.local/state/sitewatch.

exit codes: 0 ended, 3 configuration, 4 model bundle, 5 model, 6 source, 7 broker, 8 disk

examples:
  sitewatch run
  sitewatch run --source clip.mp4 --print-alerts
  sitewatch run --config site.toml --source rtsp://camera.local/stream
"""


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Registers the command."""
    parser = subparsers.add_parser(
        "run",
        help="watch a camera and alert over MQTT",
        description="Watches a camera, a stream, a file or a folder, and alerts over MQTT.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="the configuration file")
    parser.add_argument(
        "--source",
        metavar="S",
        help="instead of the configured source: /dev/video0, rtsp://…, a file, a folder, or the "
        "number of a Pi camera",
    )
    parser.add_argument(
        "--model", type=Path, metavar="BUNDLE|TFLITE", help="instead of the configured model"
    )
    parser.add_argument(
        "--print-alerts",
        action="store_true",
        help="print each event as one line of JSON on standard output",
    )
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> int:
    """Runs the daemon.

    Raises:
        SitewatchError: whatever ends it for good; its exit code is the process's.
    """

    def configuration() -> Config:
        return read_configuration(arguments)

    config = configuration()
    log.set_up(config.health.log_level)
    for folder in (config.outbox.path.parent, config.health.status_file.parent):
        _make_folder(folder)
    listener = print_alert if arguments.print_alerts else _say_nothing
    with Service(config, listener=listener, reload=configuration) as service:
        _on_signals(service)
        summary = service.run()
    if config.source.kind in ("file", "folder"):
        print(summary.to_json(), flush=True)
    return 0


def read_configuration(arguments: argparse.Namespace) -> Config:
    """The configuration that the command line asks for.

    Raises:
        ConfigError: the file is missing or wrong, or an option does not fit it.
    """
    path = arguments.config or DEFAULT_CONFIG_FILE
    installed = arguments.config is not None or path.exists()
    config = load(path) if installed else Config()
    if arguments.source is not None:
        kind = guess_kind(arguments.source)
        config = replace(
            config, source=replace(config.source, kind=kind, location=arguments.source)
        )
    if arguments.model is not None:
        config = replace(config, model=replace(config.model, bundle=arguments.model))
    if not installed:  # after --model: with it no bundle need be found anywhere else
        config = without_installation(config)
    if not config.device.id:
        host = socket.gethostname().split(".")[0] or "sitewatch"
        config = replace(config, device=replace(config.device, id=host))
    if not config.device.name:
        config = replace(config, device=replace(config.device, name=config.device.id))
    check_whole(config, where=str(path) if installed else "command line")
    return config


def print_alert(event: AlertEvent, stamp: Stamp) -> None:
    """One line of JSON for an event."""
    line = {
        "type": event.type.value,
        "id": event.event_id,
        "violation": event.violation.value,
        "severity": event.severity.value,
        "zone": event.zone,
        "score": round(event.score, 3),
        "box": [round(edge, 1) for edge in event.box.as_tuple()],
        "track": event.track_id,
        "media_time_s": round(event.media_time_s, 3),
        "time": stamp.time.isoformat(timespec="milliseconds"),
        "model_version": event.model_version,
    }
    print(json.dumps(line), flush=True)


def _say_nothing(event: AlertEvent, stamp: Stamp) -> None:
    """Events are told by MQTT and the log alone."""


def _on_signals(service: Service) -> None:
    if threading.current_thread() is not threading.main_thread():
        return  # signals reach the main thread alone; a test that runs us elsewhere has none

    def stop(number: int, _frame: object) -> None:
        service.request_stop(f"stopped by {signal.Signals(number).name}")

    def reload(_number: int, _frame: object) -> None:
        service.request_reload()

    handlers: tuple[tuple[signal.Signals, Callable[[int, object], None]], ...] = (
        (signal.SIGTERM, stop),
        (signal.SIGINT, stop),
        (signal.SIGHUP, reload),
    )
    for number, handler in handlers:
        signal.signal(number, handler)


def _make_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise StorageError(
            f"cannot be made: {error.strerror}",
            where=str(folder),
            hint="Check its owner, or name another place in the configuration",
        ) from error
