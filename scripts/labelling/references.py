"""What exports call a picture: addresses, keys, paths; and what of it can be compared. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import PurePosixPath
from typing import Any, Final
from urllib.parse import parse_qs, unquote, urlsplit

from scripts.labelling.picture import BrokenLabelError
from scripts.labelling.reading import shown

IMAGE_SUFFIXES: Final = frozenset({".jpg", ".jpeg", ".png"})
_SCHEME: Final = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*://")
#: Label Studio puts eight hex digits before the name of a file that was uploaded in the browser.
_UPLOADED: Final = re.compile(r"(?:^|/)upload/\d+/[0-9a-f]{8}-(?P<name>[^/]+)$")


def parts(reference: str) -> tuple[str, ...]:
    """The folders and the file name in a path or address, outermost first.

    Query and fragment of an address are left out (they hold signatures), except that of Label
    Studio's local files (``/data/local-files/?d=folder/a.jpg``), which is the path.
    """
    text = reference.replace("\\", "/")
    if _SCHEME.match(text) or text.startswith("/data/"):
        try:
            address = urlsplit(text)
        except ValueError:  # such as a broken IPv6 host; then it is compared as it is
            return _folders(text)
        local = parse_qs(address.query).get("d")
        if local and address.path.rstrip("/").endswith("local-files"):
            return _folders(local[0])
        return _folders(unquote(address.path))
    return _folders(text)


def uploaded_name(reference: str) -> str | None:
    """The name that a file had before it was uploaded to Label Studio, or None."""
    found = _UPLOADED.search(reference)
    return unquote(found["name"]) if found else None


def is_picture(text: str) -> bool:
    """Whether a path or address ends like a picture's."""
    names = parts(text)
    return bool(names) and PurePosixPath(names[-1]).suffix.lower() in IMAGE_SUFFIXES


def picture_text(data: Mapping[str, Any], *, prefer: str) -> str:
    """The value that names a task's picture: that under ``prefer``, else the only one.

    Raises:
        BrokenLabelError: There is none, or there are several.
    """
    if isinstance(value := data.get(prefer), str) and value:
        return value
    found = [v for v in data.values() if isinstance(v, str) and is_picture(v)]
    if len(found) != 1:
        raise BrokenLabelError(f"{len(found)} pictures in the task's data {shown(sorted(data))}")
    return found[0]


def _folders(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part not in ("", ".", ".."))
