"""What came out: a row a device, and what it took."""

from __future__ import annotations

from dataclasses import dataclass, field

from scripts.cloud.report import table


@dataclass
class Row:
    """What became of one device.

    Attributes:
        before: model at the beginning.
        kept, arrived: pictures, on the device and in the bucket.
        after: model after the roll-out.
        last: model after the bad one.
    """

    before: str = ""
    kept: int = 0
    arrived: int = 0
    after: str = ""
    last: str = ""


@dataclass
class Result:
    """Of the whole run.

    Attributes:
        rows: by device.
        map50: mean mAP50 of the first model and of the second, on the same photographs.
        elapsed_s, cpu_s: what it took.
    """

    rows: dict[str, Row] = field(default_factory=dict)
    map50: tuple[float, float] = (0.0, 0.0)
    elapsed_s: float = 0.0
    cpu_s: float = 0.0

    def rendered(self) -> str:
        """For people."""
        heading = ("device", "model before", "kept", "uploaded", "model after", "after the bad one")
        lines = [
            (name, row.before, str(row.kept), str(row.arrived), row.after, row.last)
            for name, row in self.rows.items()
        ]
        old, new = self.map50
        return (
            f"{table(heading, lines)}\n\nmean mAP50 on the same photographs: {old:.3f} -> {new:.3f}"
            f"\n{self.elapsed_s / 60:.1f} minutes, {self.cpu_s / 60:.1f} minutes of CPU time"
        )
