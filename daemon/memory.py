"""How much memory this process holds."""

from __future__ import annotations

import resource
from pathlib import Path

_STATUS = Path("/proc/self/status")


def resident_bytes() -> int:
    """Resident memory (RSS) in bytes; where ``/proc`` is hidden, the highest there ever was."""
    try:
        text = _STATUS.read_text()
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    lines = (line.split() for line in text.splitlines())
    return next(int(words[1]) * 1024 for words in lines if words[:1] == ["VmRSS:"])
