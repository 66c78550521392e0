"""The updater's configuration, ``/etc/sitewatch/update.toml``, as typed data.

``packaging/update.toml`` and ``docs/update-configuration.md`` are made from what stands here.
"""

from __future__ import annotations

import os
import platform
import re
from dataclasses import dataclass, field
from pathlib import Path

from updater import options
from updater.errors import ConfigError
from updater.fetch.policy import FetchPolicy
from updater.manifest import MODEL_NAME
from updater.options import option
from updater.selftest import SelfTestLimits

DEFAULT_CONFIG_FILE = Path("/etc/sitewatch/update.toml")
CHECKOUT_FLOOR = Path(__file__).resolve().parent.parent / "packaging/model"
INSTALLED_FLOOR = Path("/usr/share/sitewatch/model")
DEVICE_TREE_MODEL = Path("/proc/device-tree/model")
DEVICE_TREE_MODEL_MAX_BYTES = 256
PI_PATTERN = re.compile(r"Raspberry Pi (?:Compute Module )?(\d)")
USER_PATTERN = re.compile(r"[A-Za-z_][A-Za-z0-9_.-]{0,31}")
CLASS_PATTERN = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class ProbationConfig:
    """What a release must show in the running daemon before it is committed."""

    seconds: float = option(
        0.0, "Healthy time before it is committed, seconds; 0: the manifest's.", minimum=0.0,
        maximum=86_400.0,
    )  # fmt: skip
    frames: int = option(
        0, "Healthy frames before it is committed; 0: the manifest's.", minimum=0,
        maximum=1_000_000,
    )  # fmt: skip
    timeout_s: float = option(
        600.0, "Seconds after which a release without a verdict is rolled back.", minimum=1.0,
        maximum=604_800.0,
    )  # fmt: skip
    min_agreement: float = option(
        0.0, "Least share of the predecessor's stable objects that it must find; 0: the "
        "manifest's.", minimum=0.0, maximum=1.0,
    )  # fmt: skip
    max_extra_per_frame: float = option(
        0.0, "Most objects a frame that the predecessor does not see; 0: the manifest's.",
        minimum=0.0, maximum=1000.0,
    )  # fmt: skip
    max_slowdown: float = option(
        0.0, "Greatest ratio of the median times of the model, this one over its predecessor; 0: "
        "the manifest's.", minimum=0.0, maximum=1000.0,
    )  # fmt: skip
    max_failed_share: float = option(
        0.02, "Greatest share of frames that may fail.", minimum=0.0, maximum=1.0
    )


@dataclass(frozen=True, slots=True)
class UploadConfig:
    """How kept pictures are sent; what is asked on the command line goes first."""

    captures: Path = option(
        Path("/var/lib/sitewatch/captures"), "Where the daemon keeps them (its captures.folder)."
    )
    max_files: int = option(200, "Most pictures of one run.", minimum=1, maximum=1_000_000)
    max_bytes: int = option(
        100_000_000, "Most bytes of one run, pictures and sidecars together.", minimum=1000,
        maximum=1_000_000_000_000,
    )  # fmt: skip
    max_bytes_per_s: int = option(
        0, "Most bytes a second, on average; 0: no limit.", minimum=0, maximum=10_000_000_000
    )
    connect_timeout_s: float = option(
        20.0, "Seconds to reach S3, TLS included.", minimum=0.1, maximum=600.0
    )
    stall_timeout_s: float = option(
        60.0, "Seconds without a byte after which an attempt is given up.", minimum=0.1,
        maximum=3600.0,
    )  # fmt: skip
    attempts: int = option(
        8, "Attempts for one object; with the pauses between them (up to 60 s, at random) the "
        "default bridges a minute or two. Then the rest waits for the next run.", minimum=1,
        maximum=1000,
    )  # fmt: skip
    proxy: str = option(
        "", "Proxy to S3, e.g. 'http://proxy.site:3128'. Empty: what the environment says "
        "(https_proxy, no_proxy). 'none': no proxy at all."
    )  # fmt: skip
    ca_file: Path | None = option(
        None, "File with the certificates (PEM) of the authorities that S3 is judged by, in place "
        "of the system's."
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class UpdateConfig:
    """The whole configuration."""

    store: Path = option(
        Path("/var/lib/sitewatch/models"), "Folder of the releases; the daemon's model.bundle is "
        "its link 'current'."
    )  # fmt: skip
    keys: Path = option(
        Path("/etc/sitewatch/keys"), "Folder of the public keys whose bundles are trusted."
    )
    floor: Path = option(
        INSTALLED_FLOOR, "The model that came with the software: it stays, and is what is left "
        "when every other one has failed."
    )  # fmt: skip
    require_signature: bool = option(
        True, "Refuse bundles without a signature. Off: anyone who can reach this device's "
        "bundle source decides what it sees; every command warns."
    )  # fmt: skip
    device_class: str = option(
        "", "Kind of this device, held against the manifest's device_classes. Empty: "
        "'raspberry-pi-4', 'raspberry-pi-5' … on those, elsewhere the processor's name as 'uname "
        "-m' says it."
    )  # fmt: skip
    keep_releases: int = option(
        3, "Good releases kept, the running one included.", minimum=2, maximum=100
    )
    store_max_bytes: int = option(
        500_000_000, "Most bytes of releases kept; the running one and the one before it stay in "
        "any case.", minimum=1_000_000, maximum=1_000_000_000_000,
    )  # fmt: skip
    user: str = option(
        "sitewatch-update", "Account that everything is done as when root starts the command; "
        "where it does not exist, the store's owner, or else 'nobody'. Never root."
    )  # fmt: skip
    status_file: Path = option(
        Path("/run/sitewatch/status.json"), "The daemon's status file (its health.status_file)."
    )
    fetch: FetchPolicy = field(default_factory=FetchPolicy)
    selftest: SelfTestLimits = field(default_factory=SelfTestLimits)
    probation: ProbationConfig = field(default_factory=ProbationConfig)
    upload: UploadConfig = field(default_factory=UploadConfig)


DEFAULT_HEADING = (
    "The configuration of sitewatch-update. Every field is here with its default, commented out.",
    "It is read anew by each command. Check it with: sitewatch-update status",
)
REFERENCE_HEADING = (
    "# The updater's configuration",
    "",
    f"One TOML file, `{DEFAULT_CONFIG_FILE}`, read anew by each command; where it is missing, the",
    "defaults hold. Unknown keys are errors. `--store`, `--keys` and `--floor` on the command line",
    "go first.",
)


def load(path: Path | None) -> UpdateConfig:
    """Reads the configuration.

    Args:
        path: the file that was named; None takes the usual one, or the defaults where it is
            missing.

    Raises:
        ConfigError: unreadable, not TOML, an unknown key (the nearest known one is suggested), a
            value of the wrong type or out of range, or fields that do not fit each other.
    """
    if path is None and not os.path.lexists(DEFAULT_CONFIG_FILE):
        return UpdateConfig()
    found = path or DEFAULT_CONFIG_FILE
    config = options.load(UpdateConfig, found)
    check_whole(config, where=str(found))
    return config


def parse(text: str, *, where: str) -> UpdateConfig:
    """Reads a configuration from TOML text; ``where`` is named in errors.

    Raises:
        ConfigError: as for :func:`load`.
    """
    config = options.parse(UpdateConfig, text, where=where)
    check_whole(config, where=where)
    return config


def check_whole(config: UpdateConfig, *, where: str) -> None:
    """Checks what no single field's limits can tell.

    Raises:
        ConfigError: a field's text is not of its form, or fields contradict each other.
    """

    def refuse(field_name: str, what: str, hint: str = "") -> None:
        raise ConfigError(what, where=f"{where}: {field_name}", hint=hint)

    probation = config.probation
    paths = {
        "store": config.store,
        "keys": config.keys,
        "floor": config.floor,
        "status_file": config.status_file,
        "fetch.ca_file": config.fetch.ca_file,
        "upload.captures": config.upload.captures,
        "upload.ca_file": config.upload.ca_file,
    }
    for name, path in paths.items():
        if path is not None and not path.is_absolute():
            refuse(name, "must be an absolute path", "The working directory is not known")
    if not USER_PATTERN.fullmatch(config.user):
        refuse("user", f"{config.user!r} is not a name of an account")
    if config.user == "root":
        refuse("user", "must not be root", "What parses bundles never runs as root")
    if config.device_class and not CLASS_PATTERN.fullmatch(config.device_class):
        refuse("device_class", "must be lower-case letters, digits, '.', '_' and '-'")
    if probation.seconds >= probation.timeout_s:
        refuse("probation.seconds", "must be less than probation.timeout_s")
    if 0.0 < probation.max_slowdown < 1.0:
        refuse("probation.max_slowdown", "must be 0 or at least 1")


def floor_folder(config: UpdateConfig) -> Path | None:
    """The model that came with the software, or the checkout's own where none is installed.

    Returns:
        None where there is neither: this device can be left without any model.

    Raises:
        ConfigError: a folder is configured, and no model is in it.
    """
    if (config.floor / MODEL_NAME).is_file():
        return config.floor
    if config.floor != INSTALLED_FLOOR:
        raise ConfigError(f"no {MODEL_NAME} is in {config.floor}", where="floor")
    return CHECKOUT_FLOOR if (CHECKOUT_FLOOR / MODEL_NAME).is_file() else None


def own_device_class(config: UpdateConfig) -> str:
    """The configured kind of this device, or what the device says of itself."""
    if config.device_class:
        return config.device_class
    try:
        with DEVICE_TREE_MODEL.open("rb") as file:
            model = file.read(DEVICE_TREE_MODEL_MAX_BYTES)
    except OSError:
        model = b""  # no device tree: a PC
    return device_class(model.decode(errors="replace"), platform.machine())


def device_class(board: str, machine: str) -> str:
    """The kind of a device.

    Args:
        board: what the device tree calls it: ``Raspberry Pi 4 Model B Rev 1.4``. A Compute Module
            and the keyboards (400, 500) have their generation's processor and are of its class.
        machine: the processor's name as the kernel says it: ``aarch64``.
    """
    found = PI_PATTERN.match(board)
    return f"raspberry-pi-{found[1]}" if found else machine.lower()
