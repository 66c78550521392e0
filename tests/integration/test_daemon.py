"""The daemon as a process: real model, real video files, real signals, real notification socket."""

from __future__ import annotations

import json
import os
import resource
import shutil
import signal
import socket
import subprocess
import sys
import threading
from fractions import Fraction
from pathlib import Path
from urllib.request import urlopen

import av
import numpy as np
import pytest

from scripts.demonstration import clip
from scripts.processes import free_port
from tests.support.daemon_process import WAIT_S, DaemonSetup
from tests.support.videos import write_video

FRAMES_OF_THE_LONG_CLIP = 3000


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demonstration's clip: a bare head comes into view, and a counter-example."""
    path = tmp_path_factory.mktemp("clips") / "sample.mp4"
    clip.write(path)
    return path


@pytest.fixture(scope="session")
def staying(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A bare head that never leaves, for as long as a test wants."""
    portrait = np.asarray(clip.portrait().convert("RGB").resize((320, 320)))
    scene = np.full((360, 640, 3), 90, np.uint8)
    scene[40:360, 160:480] = portrait
    path = tmp_path_factory.mktemp("clips") / "staying.mp4"
    return write_video(path, (scene for _ in range(FRAMES_OF_THE_LONG_CLIP)), rate=10)


@pytest.fixture
def setup(tmp_path: Path, bundle: Path) -> DaemonSetup:
    return DaemonSetup(tmp_path, bundle)


def test_a_clip_gives_alerts_and_a_summary(setup: DaemonSetup, sample: Path) -> None:
    done = setup.run("--source", str(sample), "--print-alerts")
    assert done.code == 0, done.err
    *events, summary = done.lines
    starts = [event for event in events if event["type"] == "start"]
    assert len(starts) == 1
    assert {event["id"] for event in events} == {starts[0]["id"]}
    assert [event["type"] for event in events].count("end") == 1
    assert summary["frames"] == sum(1 for _ in clip.frames())
    assert summary["events"]["start"] == 1
    # MQTT is off: the start, its snapshot and the rest wait in the outbox.
    assert summary["undelivered"] >= 3
    status = json.loads((setup.folder / "status.json").read_text())
    assert status["frames"]["processed"] == summary["frames"]
    assert status["model_version"] == summary["model_version"]


def test_the_same_clip_gives_the_same_events(setup: DaemonSetup, sample: Path) -> None:
    """Files run on their own clock: how busy the machine is changes nothing."""
    seen = []
    for _ in range(2):
        done = setup.run("--source", str(sample), "--print-alerts")
        assert done.code == 0, done.err
        seen.append(
            [(e["type"], e["violation"], e["media_time_s"], e["box"]) for e in done.lines[:-1]]
        )
    assert seen[0] == seen[1] != []


def test_a_stop_ends_what_is_open(setup: DaemonSetup, staying: Path) -> None:
    with setup.start("--source", str(staying), "--print-alerts") as running:
        running.wait_for(lambda: '"start"' in running.out, "a start")
        assert running.stop(signal.SIGTERM) == 0
    *events, summary = [json.loads(line) for line in running.out.splitlines()]
    assert [events[0]["type"], events[-1]["type"]] == ["start", "end"]
    assert summary["events"] == {
        kind: sum(e["type"] == kind for e in events) for kind in ("start", "update", "end")
    }


def test_a_reload_takes_over_what_it_can_and_names_the_rest(
    setup: DaemonSetup, staying: Path
) -> None:
    with setup.start("--source", str(staying)) as running:
        running.wait_for_frames()
        setup.sections["rules"] = {"confirm_s": 5.0}
        setup.sections["model"]["threads"] = 1
        setup.write()
        running.process.send_signal(signal.SIGHUP)
        running.wait_for_log("model.threads has changed; it needs a restart")
        running.wait_for_log("reloaded: rules.confirm_s")
        setup.sections["rules"] = {"confirm_z": 5.0}
        setup.write()
        running.process.send_signal(signal.SIGHUP)
        running.wait_for_log(
            "the configuration stays as it was: "
            f"{setup.config_file}: rules: unknown key 'confirm_z'. Did you mean 'confirm_s'?"
        )
        before = running.status["frames"]["processed"]
        running.wait_for_frames(before + 10)
        assert running.stop() == 0


def test_a_violation_left_open_by_a_kill_is_ended_by_the_next_run(
    setup: DaemonSetup, staying: Path, sample: Path
) -> None:
    with setup.start("--source", str(staying), "--print-alerts") as running:
        running.wait_for(lambda: '"start"' in running.out, "a start")
        running.stop(signal.SIGKILL)
    event_id = json.loads(running.out.splitlines()[0])["id"]
    done = setup.run("--source", str(sample))
    assert done.code == 0
    assert f"violation {event_id} was left open by the last run; ending it" in done.err
    again = setup.run("--source", str(sample))
    assert "left open" not in again.err


def test_ready_with_the_first_frame_and_the_watchdog_with_every_one(
    setup: DaemonSetup, sample: Path, tmp_path: Path
) -> None:
    address = str(tmp_path / "notify")
    messages: list[str] = []
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(address)

        def listen() -> None:  # as systemd does; else the sender waits when ten are unread
            while not messages or not messages[-1].startswith("STOPPING=1"):
                messages.append(receiver.recv(4096).decode())

        listener = threading.Thread(target=listen, daemon=True)
        listener.start()
        done = setup.run(
            "--source",
            str(sample),
            environment={"NOTIFY_SOCKET": address, "WATCHDOG_USEC": "1000"},
        )
        listener.join(WAIT_S)
    assert done.code == 0, done.err
    assert messages[0].startswith("STATUS=opening file")
    assert messages[1].startswith("READY=1\nSTATUS=watching file")
    assert messages.count("WATCHDOG=1") > 3
    assert messages[-1] == "STOPPING=1\nSTATUS=the source has ended"


def test_a_second_daemon_on_the_same_outbox_is_refused(setup: DaemonSetup, staying: Path) -> None:
    with setup.start("--source", str(staying)) as running:
        running.wait_for_frames()
        second = setup.run("--source", str(staying))
        assert second.code == 8
        assert "outbox.sqlite3" in second.err
        assert running.stop() == 0


def test_metrics_are_served_while_it_runs(setup: DaemonSetup, staying: Path) -> None:
    port = free_port()
    setup.sections["health"]["metrics_port"] = port
    with setup.start("--source", str(staying)) as running:
        running.wait_for_frames()
        with urlopen(f"http://127.0.0.1:{port}/metrics") as answer:
            assert 'sitewatch_frames_total{outcome="processed"}' in answer.read().decode()
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            other = DaemonSetup(setup.folder / "other", setup.bundle)
            other.folder.mkdir()
            other.sections["health"]["metrics_port"] = taken.getsockname()[1]
            with other.start("--source", str(staying)) as watching:
                watching.wait_for_frames()
                assert "health.metrics_port: port" in watching.status["last_error"]
                assert watching.stop() == 0
        assert running.stop() == 0


def test_a_still_scene_is_not_inferred(setup: DaemonSetup, tmp_path: Path) -> None:
    grey = np.full((240, 320, 3), 120, np.uint8)
    path = write_video(tmp_path / "still.mp4", (grey for _ in range(200)), rate=10)
    done = setup.run("--source", str(path))
    assert done.code == 0, done.err
    # 20 s, one forced look every 5 s beside the first.
    assert done.summary["frames"] == 200
    assert done.summary["still"] == 200 - 4
    assert done.summary["events"] == {"start": 0, "update": 0, "end": 0}


def test_a_disk_that_refuses_stops_no_alert(setup: DaemonSetup, sample: Path) -> None:
    """No file may grow (RLIMIT_FSIZE): the outbox works in memory, captures are counted lost."""
    setup.write()
    done = subprocess.run(
        [*setup.command("--source", str(sample), "--print-alerts")],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )
    # Standard output is a pipe here, which the limit does not touch.
    assert done.returncode == 0, done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()[:-1]]
    assert [e["type"] for e in events if e["type"] != "update"] == ["start", "end"]
    assert "NOT on disk" in done.stderr


@pytest.mark.parametrize(
    ("break_it", "code", "message"),
    [
        ("config", 3, "source: unknown key 'knid'. Did you mean 'kind'?"),
        ("bundle", 4, "none: there is no model here"),
        ("model", 4, "its sha256 is not the manifest's"),
        ("layout", 5, "the outputs do not have any known layout"),
        ("camera", 6, "/dev/video9"),
        ("file", 6, "none.mp4"),
        ("garbage", 6, "garbage.mp4"),
        ("empty folder", 6, "no pictures"),
        ("state folder", 8, "cannot be made"),
    ],
)
def test_what_is_wrong_ends_it_with_a_clear_error(
    setup: DaemonSetup, tmp_path: Path, sample: Path, break_it: str, code: int, message: str
) -> None:
    source = str(sample)
    if break_it == "config":
        setup.sections["source"] = {"knid": "file"}
    elif break_it == "bundle":
        setup.sections["model"]["bundle"] = str(tmp_path / "none")
    elif break_it == "model":
        damaged = tmp_path / "damaged"
        shutil.copytree(setup.bundle, damaged)
        model = bytearray((damaged / "model.tflite").read_bytes())
        model[len(model) // 2] ^= 1
        (damaged / "model.tflite").write_bytes(model)
        setup.sections["model"]["bundle"] = str(damaged)
    elif break_it == "layout":
        fixture = Path(__file__).parent.parent / "fixtures/models/classifier_int8.tflite"
        (tmp_path / "labels.txt").write_text("helmet\nhead\n")
        setup.sections["model"] |= {
            "bundle": str(fixture),
            "labels": str(tmp_path / "labels.txt"),
        }
    elif break_it == "camera":
        source = "/dev/video9"
    elif break_it == "file":
        source = str(tmp_path / "none.mp4")
    elif break_it == "garbage":
        (tmp_path / "garbage.mp4").write_bytes(os.urandom(10_000))
        source = str(tmp_path / "garbage.mp4")
    elif break_it == "empty folder":
        (tmp_path / "pictures").mkdir()
        source = str(tmp_path / "pictures")
    elif break_it == "state folder":
        (tmp_path / "file").write_text("")
        setup.sections["outbox"]["path"] = str(tmp_path / "file" / "outbox.sqlite3")
    done = setup.run("--source", source)
    last = done.err.splitlines()[-1]
    assert (done.code, last.startswith("sitewatch: ")) == (code, True), done.err
    assert message in last


def test_a_truncated_video_gives_what_can_be_read(
    setup: DaemonSetup, tmp_path: Path, sample: Path
) -> None:
    """A recording whose end is missing, in a container that is readable without it."""
    with av.open(str(sample)) as clean, av.open(str(tmp_path / "whole.ts"), "w") as whole:
        stream = whole.add_stream("mpeg2video", rate=25)
        stream.width, stream.height, stream.pix_fmt = 320, 180, "yuv420p"
        for number, frame in enumerate(clean.decode(video=0)):
            small = frame.reformat(320, 180, "yuv420p")
            small.pts, small.time_base = number, Fraction(1, 25)
            whole.mux(stream.encode(small))
        whole.mux(stream.encode(None))
    data = (tmp_path / "whole.ts").read_bytes()
    (tmp_path / "cut.ts").write_bytes(data[: len(data) * 6 // 10])
    whole_run = setup.run("--source", str(tmp_path / "whole.ts"))
    cut_run = setup.run("--source", str(tmp_path / "cut.ts"))
    assert whole_run.code == cut_run.code == 0, cut_run.err
    assert 0 < cut_run.summary["frames"] < whole_run.summary["frames"]


def test_a_folder_of_pictures_with_an_unreadable_one(setup: DaemonSetup, tmp_path: Path) -> None:
    pictures = tmp_path / "pictures"
    pictures.mkdir()
    for number in range(3):
        clip.portrait().convert("RGB").save(pictures / f"{number}.jpg")
    (pictures / "broken.jpg").write_bytes(b"\xff\xd8 no picture")
    done = setup.run("--source", str(pictures))
    assert done.code == 0, done.err
    assert done.summary["frames"] == 3
    assert "broken.jpg" in done.err


def test_help_has_examples_and_exit_codes() -> None:
    for command in ("", "run", "detect", "selftest", "bench", "captures", "check-config"):
        words = [sys.executable, "-m", "daemon", *([command] if command else []), "--help"]
        done = subprocess.run(words, capture_output=True, text=True, check=True)
        assert "examples:" in done.stdout, command
        assert "exit codes:" in done.stdout, command
