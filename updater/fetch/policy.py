"""How a download behaves: one dataclass, each field a hard limit with its unit in its name.

The fields are made by :func:`updater.options.option`, so that the dataclass serves as a section of
the updater's configuration as it stands.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from updater.errors import ConfigError
from updater.manifest import ARCHIVE_MAX_BYTES
from updater.options import option

MEBIBYTE = 1024 * 1024


@dataclass(frozen=True, slots=True)
class FetchPolicy:
    """How bundles are downloaded.

    Raises:
        ConfigError: two limits contradict each other.
    """

    max_bytes: int = option(
        ARCHIVE_MAX_BYTES, "Largest download, bytes. A larger one is refused before it is begun, "
        "or where the server does not tell its size, as soon as it has grown past this. The "
        "greatest value is the largest bundle that there may be.",
        minimum=1, maximum=ARCHIVE_MAX_BYTES,
    )  # fmt: skip
    connect_timeout_s: float = option(
        15.0, "Seconds to reach the server, TLS included.", minimum=0.1, maximum=600.0
    )
    read_timeout_s: float = option(
        30.0, "Seconds of silence after which a connection counts as lost.",
        minimum=0.1, maximum=600.0,
    )  # fmt: skip
    stall_timeout_s: float = option(
        60.0, "Seconds over which the mean speed is taken: a connection slower than "
        "stall_bytes_per_s is given up and tried anew.", minimum=0.1, maximum=3600.0,
    )  # fmt: skip
    stall_bytes_per_s: float = option(
        512.0, "Least mean speed of a connection that is not given up, bytes a second; 0: any.",
        minimum=0.0, maximum=1e9,
    )  # fmt: skip
    total_timeout_s: float = option(
        3600.0, "Seconds for the whole download, all attempts and waits together. What has arrived "
        "is kept for the next run.", minimum=0.1, maximum=604800.0,
    )  # fmt: skip
    retries: int = option(
        8, "Attempts after the first one that may fail in a row, without at least 64 KiB more in "
        "between.", minimum=0, maximum=1000,
    )  # fmt: skip
    backoff_base_s: float = option(
        1.0, "The wait before attempt n is drawn evenly from 0 to this times 2^(n-1), seconds.",
        minimum=0.0, maximum=600.0,
    )  # fmt: skip
    backoff_max_s: float = option(60.0, "Longest wait drawn, seconds.", minimum=0.0, maximum=3600.0)
    retry_after_max_s: float = option(
        300.0, "Longest wait that a server may ask for (Retry-After), seconds; what it asks beyond "
        "is cut to this.", minimum=0.0, maximum=86400.0,
    )  # fmt: skip
    redirects: int = option(5, "Redirects followed, one after the other.", minimum=0, maximum=20)
    rate_bytes_per_s: float = option(
        0.0, "Highest mean speed of a download, bytes a second; 0: no cap. Cameras often share a "
        "mobile link with their alerts.", minimum=0.0, maximum=1e9,
    )  # fmt: skip
    free_margin_bytes: int = option(
        64 * MEBIBYTE, "Bytes that must stay free on the disk beside the download.",
        minimum=0, maximum=1024 * 1024 * MEBIBYTE,
    )  # fmt: skip
    proxy: str = option(
        "", "Proxy for every download, e.g. 'http://proxy.site:3128'. Empty: what the environment "
        "says (http_proxy, https_proxy, no_proxy). 'none': no proxy at all.",
    )  # fmt: skip
    ca_file: Path | None = option(
        None, "File with the certificates (PEM) of the authorities that servers are judged by, in "
        "place of the system's.",
    )  # fmt: skip
    credentials_in_clear: bool = option(
        False, "Whether a token or an API key may travel over http:// to another machine, where "
        "everybody on the way can read it.",
    )  # fmt: skip
    keep_downloads: int = option(
        2, "Downloads kept in the store, finished or not; the oldest go first.",
        minimum=1, maximum=100,
    )  # fmt: skip
    keep_bytes: int = option(
        512 * MEBIBYTE, "Bytes of downloads kept in the store, all together; the newest is kept "
        "whatever its size.", minimum=0, maximum=1024 * 1024 * MEBIBYTE,
    )  # fmt: skip

    def __post_init__(self) -> None:
        if 0 < self.rate_bytes_per_s < 2 * self.stall_bytes_per_s:
            raise ConfigError(
                f"a rate cap of {self.rate_bytes_per_s:g} bytes a second is less than twice the "
                f"{self.stall_bytes_per_s:g} below which a connection counts as stalled",
                where="rate_bytes_per_s",
                hint="Lower stall_bytes_per_s, or raise the cap",
            )
