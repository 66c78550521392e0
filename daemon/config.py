"""The configuration as typed data: one frozen dataclass a section, every field with its meaning.

The reader of the TOML file (``daemon.configfile``), the commented default that the package ships
and ``docs/configuration.md`` are all made from what stands here, so they cannot disagree.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from updater.options import option

STATE_DIR = Path("/var/lib/sitewatch")
RUNTIME_DIR = Path("/run/sitewatch")
CACHE_DIR = Path("/var/cache/sitewatch")
DEFAULT_CONFIG_FILE = Path("/etc/sitewatch/sitewatch.toml")


@dataclass(frozen=True, slots=True)
class DeviceConfig:
    """Who this camera is."""

    id: str = option(
        "", "Name of the device in MQTT topics and captures: letters, digits, '.', '_', '-'. "
        "Empty: the machine's host name."
    )  # fmt: skip
    name: str = option("", "Name shown to people, for example 'North gate'. Empty: the id.")


@dataclass(frozen=True, slots=True)
class SourceConfig:
    """Where frames come from."""

    kind: str = option(
        "picamera2", "Kind of source.", choices=("picamera2", "v4l2", "rtsp", "file", "folder")
    )
    location: str = option(
        "", "Device (/dev/video0), URL (rtsp://…), file or folder; empty for picamera2's first "
        "camera, or its number."
    )  # fmt: skip
    width: int = option(1280, "Width of the picture asked of a camera, pixels.", minimum=64,
                        maximum=4608)  # fmt: skip
    height: int = option(720, "Height of the picture asked of a camera, pixels.", minimum=64,
                         maximum=2592)  # fmt: skip
    frames_per_second: float = option(
        5.0, "Frames a second asked of a camera, and the most that are taken from any live source; "
        "for a folder, the rate at which its pictures count as taken.",
        minimum=0.1, maximum=120.0,
    )  # fmt: skip
    stall_timeout_s: float = option(
        20.0, "Seconds without a frame after which a live source counts as dead: the process says "
        "why and exits, systemd starts it again.", minimum=1.0, maximum=600.0
    )  # fmt: skip
    rtsp_transport: str = option("tcp", "Transport of an RTSP stream.", choices=("tcp", "udp"))
    rtsp_password_file: Path | None = option(
        None, "File with 'user:password' for the RTSP source, so that neither stands in the URL."
    )


@dataclass(frozen=True, slots=True)
class ModelConfig:
    """Which model runs, and how."""

    bundle: Path = option(
        STATE_DIR / "models/current",
        "Folder of the model bundle (manifest.json, model.tflite) or a bare .tflite file.",
    )
    labels: Path | None = option(
        None, "For a bare .tflite: text file with one class name a line, in the model's order."
    )
    runtime: str = option(
        "auto", "Inference runtime. 'auto' measures those installed once for each model and "
        "machine and keeps the faster.", choices=("auto", "litert", "tflite-runtime")
    )  # fmt: skip
    threads: int = option(
        2, "Threads of the inference runtime. More than half of the cores makes the Pi hot for "
        "little gain.", minimum=1, maximum=16
    )  # fmt: skip
    score_threshold: float = option(
        0.0, "Score from 0 to 1 under which a detection is dropped; 0 takes what tracker and "
        "captures can use (the less of tracker.low_score and captures.band_low).",
        minimum=0.0, maximum=1.0, reload=True,
    )  # fmt: skip
    iou_threshold: float = option(
        0.0, "IoU from 0 to 1 over which two boxes of one class are the same object (NMS); 0 takes "
        "the manifest's.", minimum=0.0, maximum=1.0, reload=True
    )  # fmt: skip
    runtime_cache: Path = option(
        CACHE_DIR / "runtime.json", "File in which 'auto' remembers what it measured."
    )


@dataclass(frozen=True, slots=True)
class SwapConfig:
    """A model that takes over while the camera watches, and its comparison with the one before."""

    compare_seconds: float = option(
        120.0, "Seconds for which the model before looks at a sample of the frames of one on "
        "probation: it stays in memory so long (about 50 MB). 0 switches the comparison off.",
        minimum=0.0, maximum=86400.0,
    )  # fmt: skip
    sample_every_s: float = option(
        1.0, "Least seconds between two such samples, of two frames each.", minimum=0.1,
        maximum=3600.0,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class MotionConfig:
    """The gate that spares inference while nothing moves."""

    enabled: bool = option(True, "Skip inference on frames in which nothing moves.", reload=True)
    pixel_threshold: int = option(
        14, "Change of a pixel's brightness, of 255, that counts as movement. Sensor noise in dim "
        "light is about 5.", minimum=1, maximum=255, reload=True
    )  # fmt: skip
    area_fraction: float = option(
        0.002, "Share of the small picture that must move, 0 to 1. A person 5 m away covers about "
        "0.01.", minimum=0.0, maximum=1.0, reload=True
    )  # fmt: skip
    forced_look_s: float = option(
        5.0, "Seconds after which a frame is looked at even if nothing moves.", minimum=0.1,
        maximum=3600.0, reload=True,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class TrackerConfig:
    """How detections of one person are joined over time."""

    high_score: float = option(
        0.45, "Score from which a person's (or head's) detection may start a track.", minimum=0.01,
        maximum=1.0, reload=True,
    )  # fmt: skip
    low_score: float = option(
        0.15, "Score from which a detection may continue a track that exists.", minimum=0.01,
        maximum=1.0, reload=True,
    )  # fmt: skip
    lost_after_s: float = option(
        2.5, "Seconds without a match after which a track ends.", minimum=0.1, maximum=60.0,
        reload=True,
    )  # fmt: skip
    history: int = option(
        64,
        "Frames of evidence kept for each track: two seconds at 30 frames a second.",
        minimum=3,
        maximum=512,
        reload=True,
    )


@dataclass(frozen=True, slots=True)
class RulesConfig:
    """When a person becomes an alert."""

    bare_score: float = option(
        0.40, "Median score of the bare-head evidence from which a person counts as bare-headed.",
        minimum=0.01, maximum=1.0, reload=True,
    )  # fmt: skip
    helmet_score: float = option(
        0.50, "Median score of the helmet evidence from which a person counts as protected.",
        minimum=0.01, maximum=1.0, reload=True,
    )  # fmt: skip
    confirm_s: float = option(
        0.6, "Seconds for which the verdict must be 'bare' before the alert starts.", minimum=0.0,
        maximum=60.0, reload=True,
    )  # fmt: skip
    bare_severity: str = option(
        "critical", "Severity of a bare head.", choices=("critical", "warning", "info"), reload=True
    )
    unknown_enabled: bool = option(
        True, "Also alert when a person is seen steadily without any helmet.", reload=True
    )
    unknown_s: float = option(
        3.0, "Seconds for which a person must be seen without any helmet.", minimum=0.1,
        maximum=600.0, reload=True,
    )  # fmt: skip
    unknown_least_height: float = option(
        0.20, "Least height of such a person, as a share of the picture's longer side: on smaller "
        "ones the model cannot see a helmet either.", minimum=0.0, maximum=1.0, reload=True,
    )  # fmt: skip
    unknown_severity: str = option(
        "warning", "Severity of a person without any helmet seen.",
        choices=("critical", "warning", "info"), reload=True,
    )  # fmt: skip
    update_every_s: float = option(
        10.0, "Least seconds between two 'update' events of one violation.", minimum=0.5,
        maximum=3600.0, reload=True,
    )  # fmt: skip
    end_after_s: float = option(
        4.0, "Re-identification gap: a person who comes back near the same place within these "
        "seconds is the same violation; after them the violation ends.", minimum=0.0,
        maximum=600.0, reload=True,
    )  # fmt: skip
    cooldown_s: float = option(
        0.0, "Least seconds between two 'start' events in one zone; 0 alerts for every person.",
        minimum=0.0, maximum=86400.0, reload=True,
    )  # fmt: skip
    active_hours: tuple[str, ...] = option(
        (), "When the rules apply, for example ['Mon-Fri 06:30-18:00', 'Sat 07:00-13:00']; empty: "
        "always.", reload=True
    )  # fmt: skip
    timezone: str = option(
        "", "Time zone of the active hours, for example 'Europe/Berlin'; empty: the device's.",
        reload=True,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ZoneConfig:
    """One zone, in a block of its own; without any zone the whole picture counts."""

    name: str = option("", "Name of the zone in events: letters, digits, '_' and '-'.")
    polygon: tuple[tuple[float, float], ...] = option(
        (), "Corners as [x, y] from 0 to 1 of the picture's width and height, at least three."
    )
    kind: str = option(
        "alert", "'alert': people standing here count; 'ignore': they never do.",
        choices=("alert", "ignore"),
    )  # fmt: skip
    active_hours: tuple[str, ...] = option((), "Like rules.active_hours, for this zone alone.")
    cooldown_s: float = option(
        -1.0, "Like rules.cooldown_s, for this zone alone; -1 takes rules.cooldown_s.",
        minimum=-1.0, maximum=86400.0,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class MqttConfig:
    """The broker."""

    enabled: bool = option(True, "Publish to a broker. Off: events stay in the outbox and the log.")
    host: str = option("localhost", "Host name or address of the broker.")
    port: int = option(1883, "Port of the broker; 8883 is usual with TLS.", minimum=1,
                       maximum=65535)  # fmt: skip
    topic_prefix: str = option("sitewatch", "First part of every topic.")
    client_id: str = option("", "MQTT client id; empty: 'sitewatch-' and the device id.")
    keepalive_s: int = option(30, "Seconds between pings on an idle connection.", minimum=5,
                              maximum=3600)  # fmt: skip
    username_file: Path | None = option(None, "File with the user name.")
    password_file: Path | None = option(None, "File with the password (a systemd credential).")
    tls: bool = option(False, "Encrypt the connection.")
    ca_file: Path | None = option(None, "CA certificates; empty: the system's.")
    certificate_file: Path | None = option(None, "Client certificate (AWS IoT Core wants one).")
    key_file: Path | None = option(None, "Key of the client certificate.")
    home_assistant: bool = option(
        False, "Announce the camera to Home Assistant by MQTT discovery.", reload=True
    )
    home_assistant_prefix: str = option("homeassistant", "Home Assistant's discovery prefix.")
    snapshot_max_bytes: int = option(
        150_000, "Greatest size of a snapshot JPEG, bytes. AWS IoT Core takes 131072 at most.",
        minimum=10_000, maximum=5_000_000, reload=True,
    )  # fmt: skip
    state_every_s: float = option(
        30.0, "Seconds between two state messages.", minimum=1.0, maximum=3600.0, reload=True
    )


@dataclass(frozen=True, slots=True)
class OutboxConfig:
    """Alerts on disk until the broker has them."""

    path: Path = option(STATE_DIR / "outbox/outbox.sqlite3", "The outbox file.")
    max_rows: int = option(20_000, "Most messages kept.", minimum=10, maximum=10_000_000)
    max_bytes: int = option(
        256_000_000, "Most bytes of messages kept.", minimum=100_000, maximum=100_000_000_000
    )


@dataclass(frozen=True, slots=True)
class CapturesConfig:
    """Pictures kept for labelling."""

    enabled: bool = option(True, "Keep pictures from which a model could learn.", reload=True)
    folder: Path = option(STATE_DIR / "captures", "Where they are kept.")
    max_files: int = option(2_000, "Most pictures kept.", minimum=1, maximum=1_000_000)
    max_bytes: int = option(
        1_000_000_000, "Most bytes of pictures and sidecars kept.", minimum=100_000,
        maximum=1_000_000_000_000,
    )  # fmt: skip
    free_floor_bytes: int = option(
        1_000_000_000, "No picture is written when fewer bytes than this are free on the disk.",
        minimum=0, maximum=1_000_000_000_000,
    )  # fmt: skip
    max_age_days: float = option(
        30.0, "Pictures older than this are deleted.", minimum=0.01, maximum=3650.0
    )
    per_minute: int = option(4, "Most pictures a minute.", minimum=0, maximum=10_000, reload=True)
    per_hour: int = option(40, "Most pictures an hour.", minimum=0, maximum=100_000, reload=True)
    per_day: int = option(200, "Most pictures a day.", minimum=0, maximum=1_000_000, reload=True)
    band_low: float = option(
        0.20, "Scores from band_low to band_high are uncertain: such pictures are kept.",
        minimum=0.0, maximum=1.0, reload=True,
    )  # fmt: skip
    band_high: float = option(
        0.55, "See band_low.", minimum=0.0, maximum=1.0, reload=True
    )  # fmt: skip
    random_per_hour: float = option(
        1.0, "Pictures kept at random an hour, on average, so that evaluation stays unbiased.",
        minimum=0.0, maximum=3600.0, reload=True,
    )  # fmt: skip
    duplicate_bits: int = option(
        6, "A picture whose perceptual hash differs in at most so many of 64 bits from one kept "
        "lately for the same reason is a duplicate.", minimum=0, maximum=64, reload=True
    )  # fmt: skip
    jpeg_quality: int = option(90, "JPEG quality of kept pictures.", minimum=30, maximum=100,
                               reload=True)  # fmt: skip


@dataclass(frozen=True, slots=True)
class HealthConfig:
    """What the process says about itself."""

    status_file: Path = option(RUNTIME_DIR / "status.json", "Status file, replaced atomically.")
    status_every_s: float = option(
        5.0, "Seconds between two status files.", minimum=0.5, maximum=3600.0
    )
    metrics_port: int = option(
        9477, "Port on loopback for Prometheus metrics; 0 switches them off.", minimum=0,
        maximum=65535,
    )  # fmt: skip
    max_failed_frames: int = option(
        25, "Frames that may fail one after another before the process gives up.", minimum=1,
        maximum=100_000,
    )  # fmt: skip
    log_level: str = option(
        "info", "Least level of the log.", choices=("debug", "info", "warning", "error"),
        reload=True,
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Config:
    """The whole configuration."""

    device: DeviceConfig = field(default_factory=DeviceConfig)
    source: SourceConfig = field(default_factory=SourceConfig)
    model: ModelConfig = field(default_factory=ModelConfig)
    swap: SwapConfig = field(default_factory=SwapConfig)
    motion: MotionConfig = field(default_factory=MotionConfig)
    tracker: TrackerConfig = field(default_factory=TrackerConfig)
    rules: RulesConfig = field(default_factory=RulesConfig)
    zones: tuple[ZoneConfig, ...] = ()
    mqtt: MqttConfig = field(default_factory=MqttConfig)
    outbox: OutboxConfig = field(default_factory=OutboxConfig)
    captures: CapturesConfig = field(default_factory=CapturesConfig)
    health: HealthConfig = field(default_factory=HealthConfig)
