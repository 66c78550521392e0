from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.alerts.zones import MOST_CORNERS, MOST_ZONES, Zones, contains, share_of_picture
from daemon.config import ZoneConfig
from updater.errors import ConfigError

SQUARE = ((0.25, 0.25), (0.75, 0.25), (0.75, 0.75), (0.25, 0.75))
ARROW = ((0.0, 0.0), (1.0, 0.0), (0.5, 0.5), (1.0, 1.0), (0.0, 1.0))  # concave at the right


@pytest.mark.parametrize(
    ("polygon", "point", "inside"),
    [
        (SQUARE, (0.5, 0.5), True),
        (SQUARE, (0.25, 0.5), True),
        (SQUARE, (0.75, 0.75), True),
        (SQUARE, (0.5, 0.76), False),
        (SQUARE, (0.0, 0.25), False),
        (SQUARE, (1.0, 0.25), False),
        (ARROW, (0.4, 0.5), True),
        (ARROW, (0.9, 0.5), False),
        (ARROW, (0.5, 0.5), True),
        (ARROW, (0.2, 0.0), True),
    ],
)
def test_points_in_polygons_edges_included(
    polygon: tuple[tuple[float, float], ...], point: tuple[float, float], inside: bool
) -> None:
    assert contains(polygon, point) is inside
    assert contains(polygon[::-1], point) is inside


@given(st.integers(3, 12), st.floats(0, math.tau), st.floats(0, 0.6), st.floats(0, math.tau))
def test_a_regular_polygon_holds_what_is_nearer_than_its_sides(
    corners: int, turn: float, distance: float, direction: float
) -> None:
    angles = [turn + math.tau * i / corners for i in range(corners)]
    polygon = tuple((0.5 + 0.5 * math.cos(a), 0.5 + 0.5 * math.sin(a)) for a in angles)
    point = (0.5 + distance * math.cos(direction), 0.5 + distance * math.sin(direction))
    if distance < 0.5 * math.cos(math.pi / corners) - 1e-9:
        assert contains(polygon, point)
    if distance > 0.5 + 1e-9:
        assert not contains(polygon, point)


def test_alert_and_ignored_zones_in_the_order_of_the_configuration() -> None:
    zones = Zones(
        (
            ZoneConfig("b", SQUARE),
            ZoneConfig("hole", SQUARE, kind="ignore"),
            ZoneConfig("a", ARROW),
        )
    )
    assert [zone.name for zone in zones.at((0.4, 0.5))] == ["b", "a"]
    assert [zone.name for zone in zones.at((0.1, 0.5))] == ["a"]
    assert (zones.ignored((0.5, 0.5)), zones.ignored((0.1, 0.5))) == (True, False)


@pytest.mark.parametrize(
    ("zone", "where", "what"),
    [
        (ZoneConfig("a", SQUARE[:2]), "zones[0].polygon", "2 corners"),
        (ZoneConfig("a", ((0, 0), (1, 0), (1, 1.01))), "zones[0].polygon[2]", "outside"),
        (ZoneConfig("a", ((0, 0), (1, 0), (math.nan, 1))), "zones[0].polygon[2]", "outside"),
        (ZoneConfig("a", ((0, 0), (0.5, 0.5), (1, 1))), "zones[0].polygon", "no area"),
        (ZoneConfig("a", ((0.2, 0.2),) * 3), "zones[0].polygon", "no area"),
        (ZoneConfig("", SQUARE), "zones[0].name", "not a name"),
        (ZoneConfig("a/b", SQUARE), "zones[0].name", "not a name"),
        (ZoneConfig("a", ((0, 0), (1, 0)) * MOST_CORNERS), "zones[0].polygon", "512 corners"),
    ],
)
def test_a_zone_that_makes_no_sense_is_refused(zone: ZoneConfig, where: str, what: str) -> None:
    with pytest.raises(ConfigError, match=what) as caught:
        Zones((zone,))
    assert caught.value.where == where


def test_names_are_used_once_and_zones_are_few() -> None:
    with pytest.raises(ConfigError, match="twice") as caught:
        Zones((ZoneConfig("a", SQUARE), ZoneConfig("a", SQUARE)))
    assert caught.value.where == "zones[1].name"
    with pytest.raises(ConfigError, match="more than"):
        Zones(tuple(ZoneConfig(str(i), SQUARE) for i in range(MOST_ZONES + 1)))


def test_a_point_outside_the_picture_is_moved_to_its_edge() -> None:
    assert share_of_picture((320, 360), 640, 480) == (0.5, 0.75)
    assert share_of_picture((-5, 500), 640, 480) == (0.0, 1.0)
