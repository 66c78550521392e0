"""PutObject by botocore, and every way it may end as one :class:`Answer`.

Nothing else is asked of S3: no listing, no reading, no permission but ``s3:PutObject``. botocore is
an optional dependency (docs/decisions/0010), so this module is imported only by who uploads.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from updater.errors import StorageError, UploadError
from updater.upload.answers import Answer
from updater.upload.body import PacedBody
from updater.upload.credentials import Credentials
from updater.upload.item import Item
from updater.version import VERSION

try:
    import botocore.session
    from botocore import exceptions
    from botocore.config import Config
    from botocore.parsers import ResponseParserError
except ImportError as missing:
    raise UploadError(
        f"uploading needs botocore, which is not installed ({missing.name})",
        hint="Run: apt install python3-botocore, or pip install 'sitewatch[upload]'",
    ) from missing

FIRST_REGION = "us-east-1"
"""Where nobody names one: its end point knows every bucket, and says where it really is."""

NO_PROXY = "none"

# Their debug messages hold whole requests, the session token among the headers; their warnings say
# again what we say.
for _name in ("botocore", "urllib3"):
    logging.getLogger(_name).setLevel(logging.ERROR)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """How S3 is reached.

    Attributes:
        region: of the bucket; empty: found out.
        url: of another server than Amazon's; empty for Amazon's.
        proxy: ``http://host:port``; empty: what the environment says; ``none``: no proxy.
        ca_file: certificates to judge the server by; None: the system's.
        connect_timeout_s: to reach it.
        stall_timeout_s: without a byte moving either way.
    """

    region: str = ""
    url: str = ""
    proxy: str = ""
    ca_file: Path | None = None
    connect_timeout_s: float = 20.0
    stall_timeout_s: float = 60.0


class Bucket:
    """A bucket that objects can be put into.

    Args:
        name: of the bucket.
        endpoint: how to reach it.
        credentials: what it is shown.

    Raises:
        UploadError: the end point, the proxy or the region cannot be right.
    """

    def __init__(self, name: str, endpoint: Endpoint, credentials: Credentials) -> None:
        self._name = name
        self._secrets = credentials.secrets
        self._conditional = True
        try:
            self._client: Any = _session().create_client(
                "s3",
                region_name=endpoint.region or FIRST_REGION,
                endpoint_url=endpoint.url or None,
                verify=None if endpoint.ca_file is None else str(endpoint.ca_file),
                aws_access_key_id=credentials.access_key_id,
                aws_secret_access_key=credentials.secret_access_key,
                aws_session_token=credentials.session_token or None,
                config=Config(
                    signature_version="s3v4",
                    connect_timeout=endpoint.connect_timeout_s,
                    read_timeout=endpoint.stall_timeout_s,
                    retries={"total_max_attempts": 1, "mode": "standard"},
                    s3={"addressing_style": "path" if endpoint.url else "auto"},
                    proxies=_proxies(endpoint.proxy),
                    user_agent_extra=f"sitewatch/{VERSION}",
                ),
            )
        except (exceptions.BotoCoreError, ValueError) as error:
            raise UploadError(
                _without(self._secrets, str(error)), hint="Check --endpoint-url and --region"
            ) from error
        events = self._client.meta.events
        # botocore before 1.35 has no parameter for it.
        events.register("before-call.s3.PutObject", self._add_condition)
        events.register("before-send.s3.PutObject", _begin_sending)

    def put(self, item: Item, body: PacedBody, *, conditional: bool) -> Answer:
        """Puts one object, once.

        Args:
            item: what it is.
            body: its content, at the beginning.
            conditional: whether it must not be there yet (``If-None-Match: *``).

        Raises:
            StorageError: the content cannot be read.
            UploadError: botocore refuses the request before it is sent.
        """
        self._conditional = conditional
        try:
            answer = self._client.put_object(
                Bucket=self._name,
                Key=item.key,
                Body=body,
                ContentType=item.content_type,
                ChecksumSHA256=item.sha256,
                Metadata=dict(item.metadata),
            )
        except exceptions.ClientError as error:
            return self._refusal(error)
        except (exceptions.HTTPClientError, exceptions.ConnectionError) as error:
            if body.error is not None:
                raise StorageError(
                    f"cannot be read: {body.error.strerror}", where=item.key
                ) from body.error
            return Answer(0, message=_without(self._secrets, str(error)))
        except ResponseParserError:
            # Not XML, so not S3's: a proxy's page. Its text would only confuse.
            return Answer(0, message="the answer is not S3's, but a page")
        except exceptions.BotoCoreError as error:
            raise UploadError(_without(self._secrets, str(error)), where=item.key) from error
        meta = answer["ResponseMetadata"]
        return Answer(
            int(meta["HTTPStatusCode"]),
            headers=_lower(meta.get("HTTPHeaders", {})),
            sha256=str(answer.get("ChecksumSHA256", "")),
        )

    def close(self) -> None:
        """Closes the connections."""
        # Client.close() is younger than botocore 1.29.
        self._client._endpoint.http_session.close()

    def _refusal(self, error: Any) -> Answer:
        found, meta = error.response.get("Error", {}), error.response.get("ResponseMetadata", {})
        return Answer(
            int(meta.get("HTTPStatusCode", 0)),
            code=_without(self._secrets, str(found.get("Code", ""))),
            message=_without(self._secrets, str(found.get("Message", ""))),
            headers=_lower(meta.get("HTTPHeaders", {})),
        )

    def _add_condition(self, params: dict[str, Any], **_: object) -> None:
        if self._conditional:
            params["headers"]["If-None-Match"] = "*"


def _session() -> Any:
    """A session that reads no file of the user's and looks for no other credentials."""
    nothing = (None, None, None, None)
    no_file = (None, None, os.devnull, None)
    return botocore.session.Session(
        session_vars={"profile": nothing, "config_file": no_file, "credentials_file": no_file}
    )


def _begin_sending(request: Any, **_: object) -> None:
    if isinstance(request.body, PacedBody):
        request.body.sending()


def _proxies(proxy: str) -> dict[str, str] | None:
    if not proxy:
        return None
    return {} if proxy == NO_PROXY else {"http": proxy, "https": proxy}


def _lower(headers: Mapping[str, str]) -> dict[str, str]:
    return {str(name).lower(): str(value) for name, value in headers.items()}


def _without(secrets: Iterable[str], text: str) -> str:
    """The text of somebody else without our secrets."""
    for secret in secrets:
        text = text.replace(secret, "…")
    return text
