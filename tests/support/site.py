"""A construction site around a box: a camera, a broker, an office that listens, a shelf of models.

All but the box is outside of it, at the other end of a cable: GStreamer's RTSP server, Mosquitto
with TLS and passwords, a subscriber, and nginx with TLS and a token in Artifactory's place.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from PIL import Image

from scripts.demonstration import clip
from tests.support.box import Box
from tests.support.cable import Cable
from tests.support.certificates import Authority
from tests.support.installed import UNIT
from tests.support.mosquitto import BrokerTls, Mosquitto
from tests.support.nginx import Nginx
from tests.support.rtsp import RtspServer
from tests.support.subscriber import Arrival, Subscriber
from updater import bundle as bundles
from updater.trust import keys

DEVICE = "north-gate"
ALERTS = f"sitewatch/{DEVICE}/alert"
AVAILABILITY = f"sitewatch/{DEVICE}/availability"
TOKEN = "t0ken-for-models"
BROKER_PASSWORDS = {DEVICE: "pa55word-of-the-gate", "office": "pa55word-of-the-office"}
CAMERA_LOGIN = "viewer:pa55word-of-the-camera"

WIDTH_PX, HEIGHT_PX, STEP_PX = 640, 360, 20
FRAMES_PER_S = 5
ALERTS_PER_S = 2
PROBATION_S = 6
VERDICT_TIMEOUT_S = 300.0


class Site:
    """What is around a box, and what is asked of it. A context in which all of it runs.

    Args:
        box: booted, with this cable.
        cable: to it.
        folder: for files on this machine.
    """

    def __init__(self, box: Box, cable: Cable, folder: Path) -> None:
        self.box = box
        self.cable = cable
        self._host = host = cable.outside
        self._authority = Authority(folder / "authority")
        tls = self._authority.issue("outside", address=host)
        self.broker = Mosquitto(
            folder / "broker",
            users=BROKER_PASSWORDS,
            tls=BrokerTls(self._authority.certificate, *tls),
            host=host,
        )
        self.office = Subscriber(
            self.broker.port, "sitewatch/#", host=host, configure=self._as_office
        )
        self.shelf = Nginx(
            folder / "shelf",
            host=host,
            tls=tls,
            server=(f'if ($http_authorization != "Bearer {TOKEN}") {{ return 401; }}',),
        )
        self.camera = RtspServer(
            host=host,
            login=CAMERA_LOGIN,
            options=(
                *("--pictures", str(write_walk(folder / "walk") / "%03d.jpg")),
                *("--size", f"{WIDTH_PX}x{HEIGHT_PX}", "--rate", str(FRAMES_PER_S)),
            ),
        )
        self._key, self._public = folder / "release.key", folder / "release.pub"
        keys.generate(self._key, self._public)
        self._stack = ExitStack()

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            for each in (self.broker, self.office, self.shelf, self.camera):
                stack.enter_context(each)
            self._configure()
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exc_info: object) -> None:
        self._stack.close()

    @property
    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that the office has received, in the order of their arrival."""
        return [json.loads(each.payload) for each in self.office.of(ALERTS)]

    def next_alerts(self, count: int = 3) -> list[dict[str, Any]]:
        """Waits for so many alerts more."""
        have = len(self.alerts)
        self._wait(
            lambda all_: sum(each.topic == ALERTS for each in all_) >= have + count, "alerts"
        )
        return self.alerts[have:]

    def wait_for_availability(self, word: str) -> None:
        """Waits until this is the last that the office was told."""
        self._wait(
            lambda all_: (
                [each.payload.decode() for each in all_ if each.topic == AVAILABILITY][-1:]
                == [word]
            ),
            f"{DEVICE} is {word}",
        )

    def publish(self, bundle: Path, version: str) -> str:
        """Signs a bundle, puts it on the shelf, and says its address."""
        name = f"model-{version}.zip"
        out = self.shelf.root / name
        bundles.create(bundle, out, version=version, key=keys.load_private(self._key))
        return f"{self.shelf.url}/{name}"

    def trust(self) -> None:
        """The box trusts what is signed here."""
        self.box.put(self._public, "/root/release.pub")
        self.box.run("sitewatch-update keys add /root/release.pub")

    def update(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Runs ``sitewatch-update`` in the box, as root does."""
        command = " ".join(("sitewatch-update", *arguments))
        return self.box.run(command, check=False, timeout_s=VERDICT_TIMEOUT_S)

    def model(self) -> tuple[str, str]:
        """Version and state of the box's current release."""
        current = json.loads(self.box.run("sitewatch-update status --json").stdout)["current"]
        return str(current["version"]), str(current["state"])

    def status(self) -> dict[str, Any]:
        """The daemon's status file."""
        found: dict[str, Any] = json.loads(self.box.run("cat /run/sitewatch/status.json").stdout)
        return found

    def _wait(self, happened: Callable[[list[Arrival]], bool], what: str) -> None:
        try:
            self.office.wait(happened, what)
        except AssertionError as error:
            error.add_note(self.box.journal(UNIT)[-4000:])
            raise

    def _as_office(self, client: Any) -> None:
        client.username_pw_set("office", BROKER_PASSWORDS["office"])
        client.tls_set(str(self._authority.certificate))

    def _configure(self) -> None:
        self.box.put(self._authority.certificate, "/etc/sitewatch/ca.pem")
        self.box.write(
            "/etc/sitewatch/sitewatch.toml",
            f"""
            device.id = "{DEVICE}"
            motion.enabled = false
            rules.update_every_s = {1 / ALERTS_PER_S}
            swap.sample_every_s = 0.2
            [source]
            kind = "rtsp"
            location = "{self.camera.url}"
            rtsp_password_file = "/run/credentials/sitewatch.service/camera_login"
            frames_per_second = {FRAMES_PER_S}
            [mqtt]
            host = "{self._host}"
            port = {self.broker.port}
            tls = true
            ca_file = "/etc/sitewatch/ca.pem"
            username_file = "mqtt_user"
            password_file = "mqtt_password"
            """,
        )
        self.box.write(
            "/etc/sitewatch/update.toml",
            f"""
            probation.seconds = {PROBATION_S}
            probation.frames = 20
            fetch.ca_file = "/etc/sitewatch/ca.pem"
            """,
        )
        secrets = {
            "mqtt/user": DEVICE,
            "mqtt/password": BROKER_PASSWORDS[DEVICE],
            "camera/login": CAMERA_LOGIN,
            "token": TOKEN,
        }
        for name, secret in secrets.items():
            self.box.write(f"/etc/sitewatch/credentials/{name}", secret, mode=0o600)


def write_walk(folder: Path) -> Path:
    """Pictures, ``000.jpg`` on, of a bare-headed person who goes to and fro without end."""
    folder.mkdir()
    person = clip.portrait().resize((HEIGHT_PX * 10 // 11, HEIGHT_PX))
    span_px = WIDTH_PX - person.width
    for number in range(2 * span_px // STEP_PX):
        at_px = number * STEP_PX
        picture = Image.new("RGB", (WIDTH_PX, HEIGHT_PX), (150, 150, 145))
        picture.paste(person, (min(at_px, 2 * span_px - at_px), 0))
        picture.save(folder / f"{number:03}.jpg", quality=85)
    return folder


def first_arrivals(alerts: Iterable[dict[str, Any]]) -> list[int]:
    """The sequence numbers as a receiver sees them that drops duplicates, as docs/mqtt.md says."""
    numbers: list[int] = []
    for alert in alerts:
        if not numbers or alert["sequence"] > numbers[-1]:
            numbers.append(alert["sequence"])
    return numbers
