"""Which version is the newer one."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from updater.errors import UsageError
from updater.manifest import VERSION_PATTERN
from updater.versions import is_newer, order

VERSIONS = st.from_regex(VERSION_PATTERN, fullmatch=True).filter(str.isascii)

RISING = (
    "0.9", "1.0.0-1", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta",
    "1.0.0-beta2", "1.0.0-beta11", "1.0.0-rc9", "1.0.0-rc10", "1.0.0", "1.0.0.1", "1.2", "1.10",
    "2026.11.22", "2026.12.1",
)  # fmt: skip


def test_a_list_in_rising_order_stays_as_it_is() -> None:
    assert sorted(RISING, key=order) == list(RISING)
    for older, newer in itertools.pairwise(RISING):
        assert is_newer(newer, older)
        assert not is_newer(older, newer)


@pytest.mark.parametrize(
    ("one", "other"), [("1", "1.0.0.0"), ("2026.07", "2026.7"), ("1-a", "1-a")]
)
def test_neither_is_newer(one: str, other: str) -> None:
    assert not is_newer(one, other)
    assert not is_newer(other, one)


@given(st.lists(VERSIONS, min_size=2, max_size=6))
def test_the_order_is_total(versions: list[str]) -> None:
    rising = sorted(versions, key=order)
    assert all(not is_newer(a, b) for a, b in itertools.pairwise(rising))


@given(VERSIONS)
def test_a_suffix_comes_before_its_release(version: str) -> None:
    release = version.partition("-")[0]
    assert is_newer(release, f"{release}-rc1")


@pytest.mark.parametrize("text", ["", "v1", "1.2.3.4.5", "1.2\n", "1-", "\u0661"])
def test_what_is_no_version(text: str) -> None:
    with pytest.raises(UsageError, match="is not of the form"):
        order(text)
