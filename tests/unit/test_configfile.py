"""The configuration reader: what it takes, and how exactly it refuses."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path

import pytest

from daemon.config import Config, ZoneConfig
from daemon.configdoc import render_reference
from daemon.configfile import Changes, changes, load, parse, take_live
from updater.errors import ConfigError
from updater.options import CONFIG_MAX_BYTES

ZONE = '[[zones]]\nname = "gate"\npolygon = [[0.1, 0.1], [0.9, 0.1], [0.5, 0.9]]\n'


def test_an_empty_file_is_the_default() -> None:
    assert parse("", where="x.toml") == Config()


def test_values_arrive_typed() -> None:
    config = parse(
        '[source]\nkind = "file"\nlocation = "a.mp4"\nframes_per_second = 3\n'
        '[rules]\nactive_hours = ["Mon-Fri 07:00-18:00"]\n'
        '[mqtt]\npassword_file = "/run/credentials/mqtt"\n' + ZONE,
        where="x.toml",
    )
    assert config.source.frames_per_second == 3.0
    assert isinstance(config.source.frames_per_second, float)
    assert config.rules.active_hours == ("Mon-Fri 07:00-18:00",)
    assert config.mqtt.password_file == Path("/run/credentials/mqtt")
    assert config.zones == (ZoneConfig(name="gate", polygon=((0.1, 0.1), (0.9, 0.1), (0.5, 0.9))),)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[mqt]\nport = 1", "x.toml: unknown key 'mqt'. Did you mean 'mqtt'?"),
        ("[mqtt]\nprot = 1", "x.toml: mqtt: unknown key 'prot'. Did you mean 'port'?"),
        ('[mqtt]\nport = "1883"', "x.toml: mqtt.port: must be a whole number, not '1883'"),
        ("[mqtt]\nport = true", "x.toml: mqtt.port: must be a whole number, not True"),
        ("[mqtt]\nport = 70000", "x.toml: mqtt.port: 70000 is more than 65535"),
        ("[mqtt]\nport = 0", "x.toml: mqtt.port: 0 is less than 1"),
        ("[rules]\nconfirm_s = nan", "x.toml: rules.confirm_s: must be a finite number"),
        ("[rules]\nconfirm_s = inf", "x.toml: rules.confirm_s: must be a finite number"),
        ("mqtt = 3", "x.toml: mqtt: must be a table"),
        ("zones = 3", "x.toml: zones: must be written as [[zones]]"),
        ('[source]\nkind = "rstp"', "x.toml: source.kind: 'rstp' is not allowed. Did you mean "
         "'rtsp'? Allowed: picamera2, v4l2, rtsp, file, folder"),
        ('[source]\nkind = "file"', "x.toml: source.location: is empty, and kind 'file' needs it"),
        ('[source]\nkind = "rtsp"\nlocation = "http://x"',
         "x.toml: source.location: must start with rtsp:// or rtsps://"),
        ("[captures]\nband_low = 0.6",
         "x.toml: captures.band_low: must be less than captures.band_high"),
        ("[tracker]\nlow_score = 0.9",
         "x.toml: tracker.low_score: must not be greater than tracker.high_score"),
        ('[mqtt]\nkey_file = "k"',
         "x.toml: mqtt.certificate_file: needs mqtt.key_file, and the other way round"),
        ('[mqtt]\nca_file = "c"',
         "x.toml: mqtt.ca_file: is set, but mqtt.tls is false. Set tls = true"),
        ('[mqtt]\nca_file = ""',
         "x.toml: mqtt.ca_file: must not be empty. Leave the field out instead"),
        ('[mqtt]\ntopic_prefix = "a/#"',
         "x.toml: mqtt.topic_prefix: must not hold '+' or '#' nor begin or end with '/'"),
        (ZONE + ZONE, "x.toml: zones: two zones have the same name"),
        ('[rules]\nactive_hours = "Mon"', "x.toml: rules.active_hours: must be a list"),
        ("[rules]\nactive_hours = [3]",
         "x.toml: rules.active_hours[0]: must be a text, not 3"),
        ('[[zones]]\npolygon = [[0.1]]', "x.toml: zones[0].polygon[0]: must be a list of 2 values"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, where="x.toml")
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ('[rules]\nactive_hours = ["Mon 25:00-26:00"]', "x.toml: rules.active_hours"),
        ('[rules]\ntimezone = "Europe/Nowhere"', "x.toml: rules.timezone"),
        ('[[zones]]\nname = "a"\npolygon = [[0.0, 0.0], [1.0, 1.0]]', "x.toml: zones"),
        ('[[zones]]\nname = "a"\npolygon = [[0.0, 0.0], [2.0, 1.0], [0.0, 1.0]]', "x.toml: zones"),
    ],
)
def test_zones_and_hours_are_checked_when_the_file_is_read(text: str, place: str) -> None:
    with pytest.raises(ConfigError) as caught:
        parse(text, where="x.toml")
    assert str(caught.value).startswith(place)


def test_not_toml() -> None:
    with pytest.raises(ConfigError, match=r"^x\.toml: not TOML: Expected"):
        parse("[mqtt", where="x.toml")


def test_files_that_cannot_be_read(tmp_path: Path) -> None:
    missing = tmp_path / "none.toml"
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        load(missing)
    binary = tmp_path / "binary.toml"
    binary.write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not UTF-8"):
        load(binary)
    huge = tmp_path / "huge.toml"
    huge.write_bytes(b"#" * (CONFIG_MAX_BYTES + 1))
    with pytest.raises(ConfigError, match="larger than"):
        load(huge)


def test_changes_tell_live_from_restart() -> None:
    new = parse("[mqtt]\nport = 1884\nstate_every_s = 5.0\n" + ZONE, where="x.toml")
    assert changes(Config(), new) == Changes(
        live=("zones", "mqtt.state_every_s"), restart=("mqtt.port",)
    )
    assert changes(new, new) == Changes((), ())


def test_the_reference_names_every_field() -> None:
    text = render_reference()
    for section in fields(Config):
        kind = ZoneConfig() if section.name == "zones" else getattr(Config(), section.name)
        for entry in fields(kind):
            assert f"| `{entry.name}` |" in text


def test_a_reload_takes_live_fields_and_leaves_the_others() -> None:
    old = parse("[model]\nthreads = 3\n", where="x.toml")
    new = parse("[model]\nthreads = 4\nscore_threshold = 0.3\n" + ZONE, where="x.toml")
    taken = take_live(old, new)
    assert taken.model.threads == 3
    assert taken.model.score_threshold == 0.3
    assert taken.zones == new.zones
    assert changes(taken, new) == Changes((), ("model.threads",))
