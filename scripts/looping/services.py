"""The services around the devices: moto, the stand-ins for Artifactory and Connect, a broker."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.support.artifactory import Account, Artifactory
from tests.support.connect_server import Connect, Outcome, Step
from tests.support.mosquitto import Mosquitto
from tests.support.s3_server import ANYBODY_MAY_ASSUME, BUCKET, S3Server, closed
from tests.support.subscriber import Subscriber
from updater.trust import keys
from updater.upload.names import Destination
from updater.upload.policy import session_policy

ROOT = Path(__file__).resolve().parents[2]
FLOWS = ("update-model", "upload-captures")
CANARY, FLEET = "Test", "Production"
PROJECT = "site"
ROLE = "sitewatch-collect"
ROLE_ARN = f"arn:aws:iam::123456789012:role/{ROLE}"
PREFIX = "weekly"
REPOSITORIES = ("models", "collect")
STORAGE = "artifactory"
"""Folder beside that of the services."""
AT_ONCE = 2
"""Devices that do a flow at a time: the cores of a small machine."""


@dataclass(frozen=True)
class Secrets:
    """Planted: none may turn up where it does not belong.

    Attributes:
        operator: token that writes in Artifactory.
        fleet: token that Connect reads there with.
        connect: token for Connect.
        release_key: private signing key, PEM.
    """

    operator: str
    fleet: str
    connect: str
    release_key: str


@dataclass(frozen=True)
class Services:
    """All of them, running.

    Attributes:
        s3: moto's S3, STS and IAM.
        artifactory, connect: stand-ins.
        broker: Mosquitto.
        subscriber: gets everything that is published.
        secrets: planted.
        public_key: file that devices trust.
        flows: Connect's ids, by name of the file.
    """

    s3: S3Server
    artifactory: Artifactory
    connect: Connect
    broker: Mosquitto
    subscriber: Subscriber
    secrets: Secrets
    public_key: Path
    flows: Mapping[str, str]

    @property
    def variables(self) -> dict[str, str]:
        """The secrets as a Valohai project has them."""
        return {
            "ARTIFACTORY_TOKEN": self.secrets.operator,
            "CONNECT_TOKEN": self.secrets.connect,
            "SITEWATCH_SIGNING_KEY": self.secrets.release_key,
            "AWS_ACCESS_KEY_ID": self.s3.admin.key_id,
            "AWS_SECRET_ACCESS_KEY": self.s3.admin.secret,
        }

    def deployed(self) -> Iterator[tuple[str, bytes]]:
        """What lies in Artifactory now, by path."""
        for path, item in self.artifactory.items.items():
            yield path, self.artifactory.blobs.path(item.checksums["sha256"]).read_bytes()

    def pictures(self, folder: Path) -> Path:
        """What devices put into the bucket, as Valohai fetches it for ``s3://BUCKET/PREFIX/*``."""
        for key, stored in self.s3.objects(BUCKET).items():
            top, _, rest = key.partition("/")
            if top == PREFIX:
                (folder / rest).parent.mkdir(parents=True, exist_ok=True)
                (folder / rest).write_bytes(stored["Body"])
        return folder

    def models(self) -> dict[str, str]:
        """What each device last published as its model; retained, so for new subscribers, too."""
        found = {}
        for arrival in self.subscriber.wait(lambda _: True, "anything"):
            parts = arrival.topic.split("/")
            if len(parts) == 3 and parts[2] == "state":
                found[parts[1]] = str(json.loads(arrival.payload)["model_version"])
        return found

    def alerts(self) -> int:
        """Violations that began."""
        arrivals = self.subscriber.wait(lambda _: True, "anything")
        return sum(
            json.loads(arrival.payload).get("type") == "start"
            for arrival in arrivals
            if arrival.topic.endswith("/alert")
        )


class Switchboard:
    """Hands Connect's steps to whoever does them; that is known only after Connect runs."""

    def __init__(self) -> None:
        self.agents: object = None

    def __call__(self, device: str, step: Step) -> Outcome:
        """Does a step."""
        assert callable(self.agents), "nobody is there yet"
        outcome = self.agents(device, step)
        assert isinstance(outcome, Outcome)
        return outcome


@contextmanager
def running(folder: Path, devices: Sequence[str], switchboard: Switchboard) -> Iterator[Services]:
    """Starts them all; the first device is the canary.

    Args:
        folder: for their files.
        devices: names.
        switchboard: does what Connect asks of devices.
    """
    folder.mkdir()
    with ExitStack() as stack:
        planted = _secrets(folder)
        s3 = S3Server(folder / "moto.log")
        stack.callback(s3.stop)
        _furnish(s3)
        accounts = (
            Account("operator", token=planted.operator, deploy=True, overwrite=True),
            Account("fleet", token=planted.fleet),
        )
        artifactory = stack.enter_context(
            Artifactory(folder.parent / STORAGE, repositories=REPOSITORIES, accounts=accounts)
        )
        groups = {CANARY: devices[:1], FLEET: devices[1:]}
        connect = stack.enter_context(
            Connect(
                token=planted.connect, groups=groups, runs=switchboard, project=PROJECT,
                workers=AT_ONCE,
            )
        )  # fmt: skip
        connect.rollback = "/usr/share/sitewatch/connect/rollback-model.sh"
        flows = {}
        for name in FLOWS:
            (flows[name],) = connect.add_flows(
                (ROOT / f"packaging/connect/{name}.yaml").read_text()
            )
        broker = stack.enter_context(Mosquitto(folder / "mosquitto"))
        subscriber = stack.enter_context(Subscriber(broker.port, "sitewatch/#"))
        public = folder / "release.pub"
        yield Services(s3, artifactory, connect, broker, subscriber, planted, public, flows)


def _secrets(folder: Path) -> Secrets:
    private = folder / "release.key"
    keys.generate(private, folder / "release.pub")
    pem = private.read_text()
    private.unlink()  # from here on it is where Valohai has it: in a variable
    operator, fleet, connect = (f"planted-{secrets.token_hex(16)}" for _ in range(3))
    return Secrets(operator, fleet, connect, pem)


def _furnish(s3: S3Server) -> None:
    """Makes the role that may put pictures below the prefix, and nothing else.

    moto ignores the policy of a session, so the role itself has it here.
    """
    policy = session_policy(Destination(BUCKET, "x", PREFIX)).replace("/x/", "/")
    trust = json.dumps({"Version": "2012-10-17", "Statement": [ANYBODY_MAY_ASSUME]})
    with closed(s3.client("iam", s3.admin)) as iam:
        iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=trust)
        iam.put_role_policy(RoleName=ROLE, PolicyName="write-only", PolicyDocument=policy)
