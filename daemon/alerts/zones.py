"""Zones: polygons over the picture in which people count, or never count."""

from __future__ import annotations

import re
from dataclasses import dataclass

from daemon.config import ZoneConfig
from updater.errors import ConfigError

LEAST_AREA = 1e-6
"""Least area of a zone, as a share of the picture: 2 pixels of 1920 by 1080. Less is a typing error
(corners on one line)."""

MOST_ZONES = 64
MOST_CORNERS = 256
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")

Point = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Zone:
    """A checked zone.

    Attributes:
        name: as in events.
        polygon: corners in shares of the picture's width and height.
        position: in the list of the configuration, from 0.
    """

    name: str
    polygon: tuple[Point, ...]
    position: int


class Zones:
    """All zones of a camera.

    Args:
        zones: from the configuration; none: the whole picture counts.

    Raises:
        ConfigError: names the zone and the field: no usable name, a name used twice, fewer than
            three corners, a corner outside 0 to 1, or a polygon without area.
    """

    def __init__(self, zones: tuple[ZoneConfig, ...]) -> None:
        if len(zones) > MOST_ZONES:
            raise ConfigError(f"more than {MOST_ZONES} zones", where="zones")
        _check_names(zones)
        checked = [(_zone(zone, position), zone.kind) for position, zone in enumerate(zones)]
        self.alert = tuple(zone for zone, kind in checked if kind == "alert")
        self.ignore = tuple(zone for zone, kind in checked if kind == "ignore")

    def ignored(self, point: Point) -> bool:
        """Whether a point (shares of width and height) lies in a zone that never counts."""
        return any(contains(zone.polygon, point) for zone in self.ignore)

    def at(self, point: Point) -> tuple[Zone, ...]:
        """The alert zones that hold a point, in the order of the configuration."""
        return tuple(zone for zone in self.alert if contains(zone.polygon, point))


def contains(polygon: tuple[Point, ...], point: Point) -> bool:
    """Whether a point lies in a polygon or on its edge; either winding, even-odd rule.

    The ray-crossing test (M. Shimrat, "Algorithm 112: Position of point relative to polygon",
    Communications of the ACM 5, 1962).
    """
    x, y = point
    inside = False
    for (x1, y1), (x2, y2) in zip(polygon, (*polygon[1:], polygon[0]), strict=True):
        cross = (x2 - x1) * (y - y1) - (y2 - y1) * (x - x1)
        if cross == 0 and min(x1, x2) <= x <= max(x1, x2) and min(y1, y2) <= y <= max(y1, y2):
            return True
        if (y1 > y) != (y2 > y) and (cross > 0) == (y2 > y1):
            inside = not inside
    return inside


def share_of_picture(point_px: Point, width: int, height: int) -> Point:
    """A point in pixels as shares of the picture's width and height, moved into the picture."""
    x, y = point_px
    return min(max(x / width, 0.0), 1.0), min(max(y / height, 0.0), 1.0)


def _check_names(zones: tuple[ZoneConfig, ...]) -> None:
    seen: set[str] = set()
    for position, zone in enumerate(zones):
        where = f"zones[{position}].name"
        if not _NAME.fullmatch(zone.name):
            raise ConfigError(
                f"'{zone.name[:64]}' is not a name for a zone",
                where=where,
                hint="Use 1 to 64 letters, digits, '_' or '-'",
            )
        if zone.name in seen:
            raise ConfigError(f"'{zone.name}' is used twice", where=where)
        seen.add(zone.name)


def _zone(zone: ZoneConfig, position: int) -> Zone:
    where = f"zones[{position}].polygon"
    corners = zone.polygon
    if not 3 <= len(corners) <= MOST_CORNERS:
        raise ConfigError(
            f"zone '{zone.name}' has {len(corners)} corners, not 3 to {MOST_CORNERS}", where=where
        )
    for number, (x, y) in enumerate(corners):
        if not (0.0 <= x <= 1.0 and 0.0 <= y <= 1.0):
            raise ConfigError(
                f"corner ({x}, {y}) of zone '{zone.name}' is outside the picture",
                where=f"{where}[{number}]",
                hint="Corners are shares of width and height, from 0 to 1",
            )
    if _area(corners) < LEAST_AREA:
        raise ConfigError(
            f"zone '{zone.name}' has no area", where=where, hint="Its corners lie on one line"
        )
    return Zone(zone.name, corners, position)


def _area(polygon: tuple[Point, ...]) -> float:
    """Area by the shoelace formula, in shares of the picture."""
    pairs = zip(polygon, (*polygon[1:], polygon[0]), strict=True)
    return abs(sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairs)) / 2
