from __future__ import annotations

import pytest

from daemon.mqtt.topics import TOPIC_MAX_BYTES, TOPIC_MAX_SLASHES, Topics
from updater.errors import ConfigError


def test_the_topics_are_as_documented() -> None:
    topics = Topics("sitewatch", "gate-1")
    assert topics.availability == "sitewatch/gate-1/availability"
    assert topics.alert == "sitewatch/gate-1/alert"
    assert topics.snapshot("e1") == "sitewatch/gate-1/alert/e1/snapshot"
    assert topics.any_snapshot == "sitewatch/gate-1/alert/+/snapshot"
    assert topics.requested_snapshot == "sitewatch/gate-1/snapshot"
    assert topics.state == "sitewatch/gate-1/state"
    assert topics.command == "sitewatch/gate-1/command"


def test_a_prefix_may_have_levels() -> None:
    assert Topics("acme/site 4/sitewatch", "gate").alert == "acme/site 4/sitewatch/gate/alert"


@pytest.mark.parametrize("prefix", ["", "/a", "a/", "a//b", "a/+", "#", "$SYS", "a\0b", "ä", "-a"])
def test_a_prefix_that_makes_no_topic_is_refused(prefix: str) -> None:
    with pytest.raises(ConfigError, match=r"mqtt\.topic_prefix"):
        Topics(prefix, "gate")


@pytest.mark.parametrize("device_id", ["", "a/b", "+", "a b", "x" * 65, "ä", "a\n"])
def test_a_device_that_makes_no_topic_is_refused(device_id: str) -> None:
    with pytest.raises(ConfigError, match=r"device\.id"):
        Topics("sitewatch", device_id)


def test_topics_that_aws_refuses_are_refused() -> None:
    Topics("a/b/c/d", "gate")
    with pytest.raises(ConfigError, match="slashes"):
        Topics("a/b/c/d/e", "gate")
    with pytest.raises(ConfigError, match="bytes"):
        Topics("/".join(["x" * 60] * 3), "gate")
    longest = Topics("a/b/c/" + "d" * 55, "x" * 64).snapshot("e" * 64)
    assert len(longest) <= TOPIC_MAX_BYTES
    assert longest.count("/") <= TOPIC_MAX_SLASHES


@pytest.mark.parametrize("event_id", ["", "a/b", "#", "x" * 65])
def test_an_event_id_that_makes_no_topic_is_a_mistake_of_ours(event_id: str) -> None:
    with pytest.raises(ValueError, match="event id"):
        Topics("sitewatch", "gate").snapshot(event_id)
