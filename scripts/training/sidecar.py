"""What Valohai shall note of an output, in ``NAME.metadata.json`` beside it.

Reserved keys are ``valohai.tags``, ``valohai.alias``
(https://docs.valohai.com/data/data-versioning/metadata-overview) and
``valohai.dataset-versions``, a list of ``dataset://NAME/VERSION``; everything else is a property
of the file. Valohai's own package writes the same objects into one ``valohai.metadata.jsonl`` for
all files; with one file each, no step needs to know what others have written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from scripts.cloud.report import write_sidecar

DATASETS_KEY: Final = "valohai.dataset-versions"


def describe(
    output: Path,
    *,
    tags: Sequence[str] = (),
    alias: str = "",
    dataset: str = "",
    properties: Mapping[str, object] | None = None,
) -> Path:
    """Write the sidecar.

    Args:
        output: The file that it is about.
        tags: Words to find it by.
        alias: A name that moves to it (``datum://ALIAS``); "" for none.
        dataset: Version of a data set that it belongs to; "" for none.
        properties: Whatever else there is to know.

    Raises:
        StorageError: It cannot be written.
    """
    versions = {DATASETS_KEY: [dataset]} if dataset else {}
    return write_sidecar(output, alias=alias, tags=tags, **{**(properties or {}), **versions})
