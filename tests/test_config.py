import ast
import dataclasses
import inspect
import json
import pickle
import re
import typing
from enum import EnumType
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.config import ClusterConfig, Profile
from shoal.errors import ConfigError
from shoal.keys import HIDDEN, ClusterKey
from shoal.types import Address, Tags

KEY = ClusterKey(bytes(range(32)))
FIELDS = {field.name: field for field in dataclasses.fields(ClusterConfig)}
TYPES = typing.get_type_hints(ClusterConfig)
RANGES = {name: field.metadata["range"] for name, field in FIELDS.items() if "range" in field.metadata}
# What else must change so that one field alone can be anywhere in its range.
RELATED: dict[str, dict[str, Any]] = {
    "probe_interval": {"probe_timeout": 0.005},
    "probe_timeout": {"probe_interval": 60},
    "backoff_initial": {"backoff_max": 600},
    "backoff_max": {"backoff_initial": 0.001},
    "rejoin_interval": {"rejoin_interval_max": 3600},
    "rejoin_interval_max": {"rejoin_interval": 0.1},
}


def _docstrings() -> dict[str, str]:
    [cls] = ast.parse(inspect.getsource(ClusterConfig)).body
    assert isinstance(cls, ast.ClassDef)
    found = {}
    for statement, following in zip(cls.body, cls.body[1:], strict=False):
        if isinstance(statement, ast.AnnAssign) and isinstance(statement.target, ast.Name):
            match following:
                case ast.Expr(value=ast.Constant(value=str(text))):
                    found[statement.target.id] = " ".join(text.split())
    return found


DOCSTRINGS = _docstrings()

# What the fields say of themselves


def test_every_field_has_a_docstring() -> None:
    assert DOCSTRINGS.keys() == FIELDS.keys()


def test_every_number_has_a_range_around_its_default() -> None:
    assert RANGES.keys() == {name for name, kind in TYPES.items() if kind in (int, float)}
    for name, allowed in RANGES.items():
        assert FIELDS[name].default in allowed, name


@pytest.mark.parametrize("name", RANGES)
def test_the_docstring_of_a_number_begins_with_its_unit_and_range(name: str) -> None:
    allowed = RANGES[name]
    unit = {"": "Factor", "of the wait": "Fraction of the wait", "of the members": "Fraction of the members"}.get(
        allowed.unit, allowed.unit.capitalize()
    )
    expected = rf"{re.escape(f'{unit}, {allowed.low:.15g} to {allowed.high:.15g}')}(\.|, )"
    assert re.match(expected, DOCSTRINGS[name]), f"{DOCSTRINGS[name]!r} does not begin with {expected!r}"


@pytest.mark.parametrize("name", FIELDS)
def test_a_docstring_refers_to_fields_that_exist(name: str) -> None:
    assert set(re.findall(r"`(\w+)`", DOCSTRINGS[name])) <= FIELDS.keys()


# Presets


def test_lan_is_the_default() -> None:
    assert ClusterConfig.lan() == ClusterConfig()


@pytest.mark.parametrize(
    ("setting", "lan", "wan", "local"),
    [
        ("probe_interval", 1.0, 5.0, 1.0),
        ("probe_timeout", 0.5, 3.0, 0.2),
        ("indirect_probes", 3, 3, 1),
        ("suspicion_beta", 6, 6, 6),
        ("gossip_interval", 0.2, 0.5, 0.1),
        ("gossip_fanout", 2, 3, 2),
        ("gossip_to_dead", 30, 60, 15),
        ("stream_timeout", 10, 30, 10),
        ("local_health_max", 8, 8, 8),
    ],
)
def test_presets_have_the_numbers_of_memberlist(setting: str, lan: float, wan: float, local: float) -> None:
    found = [getattr(ClusterConfig.of_profile(profile), setting) for profile in Profile]
    assert found == [lan, wan, local]


@pytest.mark.parametrize("profile", Profile)
def test_a_preset_takes_changes(profile: Profile) -> None:
    preset = {Profile.LAN: ClusterConfig.lan, Profile.WAN: ClusterConfig.wan, Profile.LOCAL: ClusterConfig.local}[
        profile
    ]
    config = preset(name="gpu-7", gossip_fanout=5)
    assert config == ClusterConfig.of_profile(profile).replace(name="gpu-7", gossip_fanout=5)


def test_an_unknown_profile_is_told_which_there_are() -> None:
    with pytest.raises(ConfigError, match=re.escape("profile = 'lna': must be one of lan, wan, local")):
        ClusterConfig.of_profile("lna")


# Values


def _just_outside(name: str) -> list[float]:
    low, high = RANGES[name].low, RANGES[name].high
    return [low - 1, high + 1] if TYPES[name] is int else [low * 0.999 - 1e-9, high * 1.001]


@pytest.mark.parametrize("name", RANGES)
def test_a_number_may_be_at_either_end_of_its_range(name: str) -> None:
    for end in (RANGES[name].low, RANGES[name].high):
        config = ClusterConfig(**RELATED.get(name, {}) | {name: end})
        assert getattr(config, name) == end


@pytest.mark.parametrize("name", RANGES)
def test_a_number_outside_of_its_range_is_told_the_range(name: str) -> None:
    for value in _just_outside(name):
        with pytest.raises(ConfigError) as caught:
            ClusterConfig(**RELATED.get(name, {}) | {name: value})
        assert str(caught.value) == f"{name} = {value!r}: must be {RANGES[name]}"
        assert (caught.value.field, caught.value.value) == (name, value)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "much", "", None, True, [1.0], 10**400])
def test_what_is_no_number_is_told_the_range(value: object) -> None:
    with pytest.raises(ConfigError, match=r"^probe_interval = .*: must be .*0\.01 to 60 seconds$"):
        ClusterConfig().replace(probe_interval=value)


@pytest.mark.parametrize("value", [2.5, "2.5", float("inf"), False, "three"])
def test_what_is_no_whole_number_is_told_so(value: object) -> None:
    with pytest.raises(ConfigError, match="must be a whole number, 0 to 16 relays"):
        ClusterConfig().replace(indirect_probes=value)


BAD = {
    "state_dir": ("", "must name a directory; leave it out to keep nothing"),
    "name": ("", "must have 1 to 128 bytes of UTF-8 and no control characters"),
    "cluster": ("a\nb", "must have 1 to 128 bytes of UTF-8 and no control characters"),
    "bind": ("localhost", "invalid address 'localhost': the port is missing; write host:port"),
    "advertise": ("0.0.0.0:7946", "no peer can send to it; give an address of this node"),
    "seeds": ("a:0", "a seed needs a port from 1 to 65535"),
    "tags": ("role", "'role' has no value; write key=value,key=value"),
    "stream_probe": ("maybe", "expected `bool`, got `str`"),
    "reuse_address": (1, "expected `bool`, got `int`"),
    "interface": (7, "expected `str | null`, got `int`"),
    "encryption": ("rot13", "must be one of aes-256-gcm, chacha20-poly1305, hmac-sha256"),
    "partition_strategy": (
        "coin",
        "must be one of none, keep-majority, static-quorum, keep-oldest, keep-referee, down-all, lease",
    ),
}


@pytest.mark.parametrize("field", BAD)
def test_a_bad_value_names_the_field_and_the_value(field: str) -> None:
    value, problem = BAD[field]
    with pytest.raises(ConfigError) as caught:
        ClusterConfig().replace(**{field: value})
    assert str(caught.value) == f"{field} = {value!r}: {problem}"


@pytest.mark.parametrize("field", [name for name, kind in TYPES.items() if isinstance(kind, EnumType)])
def test_what_is_no_choice_is_told_the_choices(field: str) -> None:
    for value in ("coin", "", 7, None):
        with pytest.raises(ConfigError, match=f"^{field} = .*: must be one of .*, .*"):
            ClusterConfig().replace(**{field: value})


@pytest.mark.parametrize(
    "change",
    [
        {"bind": None},
        {"bind": 7946},
        {"bind": Address("a b", 1)},
        {"advertise": Address("10.0.0.1", 65536)},
        {"advertise": "[fe80::1%eth0]:1"},
        {"seeds": 5},
        {"seeds": Address("10.0.0.1", 1)},
        {"seeds": [Address("10.0.0.1", -1)]},
        {"seeds": [("a", 1)]},
        {"tags": {"a": 1}},
        {"tags": {"a": "\ud800"}},
        {"tags": ["a"]},
        {"name": "\ud800"},
        {"name": b"gpu-7"},
    ],
)
def test_a_value_of_another_kind_is_refused(change: dict[str, Any]) -> None:
    [field] = change
    with pytest.raises(ConfigError) as caught:
        ClusterConfig().replace(**change)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"probe_timeout": 1.0}, "probe_timeout"),
        ({"probe_interval": 0.5}, "probe_timeout"),
        ({"backoff_initial": 5.1}, "backoff_initial"),
        ({"rejoin_interval": 31}, "rejoin_interval"),
    ],
)
def test_fields_that_contradict_each_other_are_refused(change: dict[str, Any], field: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{field} = .*: must .*(probe_interval|_max) \(") as caught:
        ClusterConfig(**change)
    assert caught.value.field == field


@pytest.mark.parametrize(
    ("field", "meant"), [("probe_intervall", "probe_interval"), ("Gossip_fanout", "gossip_fanout"), ("seed", "seeds")]
)
def test_an_unknown_field_is_told_what_may_have_been_meant(field: str, meant: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{field} = 1: there is no such setting; did you mean {meant}\?$"):
        ClusterConfig().replace(**{field: 1})


def test_an_unknown_field_like_no_other_gets_no_suggestion() -> None:
    with pytest.raises(ConfigError, match=r"^xyz = 1: there is no such setting$"):
        ClusterConfig().replace(xyz=1)


def test_texts_are_read_as_the_command_line_would() -> None:
    config = ClusterConfig().replace(
        bind="[::1]:1", seeds="a:1, b:2,", tags="role=worker, zone = a,x=", stream_probe="false", probe_interval="2"
    )
    assert config.bind == Address("::1", 1)
    assert config.seeds == (Address("a", 1), Address("b", 2))
    assert config.tags == {"role": "worker", "zone": "a", "x": ""}
    assert config.stream_probe is False
    assert config.probe_interval == 2.0


# Keys


@pytest.mark.parametrize("keys", [KEY.text, [KEY.text], (KEY,), f"{KEY.text}, "])
def test_keys_are_read_from_texts(keys: object) -> None:
    assert ClusterConfig().replace(keys=keys).keys == (KEY,)
    if isinstance(keys, str):
        assert ClusterConfig.from_environment({"SHOAL_KEYS": keys}).keys == (KEY,)


def test_keys_are_not_shown_and_not_among_the_plain_values() -> None:
    config = ClusterConfig(keys=(KEY,))
    assert KEY.text not in repr(config)
    assert KEY.text not in str(config.as_dict())
    assert repr(KEY.secret) not in repr(config)
    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301 - our own bytes


@pytest.mark.parametrize(
    "settings",
    [
        {"keys": KEY.text[:-4]},
        {"keys": f"{KEY.text},{KEY.text}"},
        {"keys": KEY.secret},
        {"keys": 7},
        {"key": KEY.text},
        {"encryption_keys": KEY.text},
        {"http_token": KEY.text},
        {"keys": KEY.text, "key_file": "keys"},
    ],
)
def test_a_refused_key_is_not_shown(settings: dict[str, Any]) -> None:
    with pytest.raises(ConfigError) as caught:
        ClusterConfig().replace(**settings)
    assert KEY.text[:-4] not in str(caught.value) + repr(caught.value.value)


def test_a_misspelt_variable_with_a_key_does_not_show_it() -> None:
    with pytest.raises(ConfigError, match=r"^SHOAL_KEYZ = \(not shown\): .* did you mean keys") as caught:
        ClusterConfig.from_environment({"SHOAL_KEYZ": KEY.text})
    assert caught.value.value is HIDDEN


def test_with_an_identity_there_is_room_for_a_signed_death_in_datagrams() -> None:
    settings: dict[str, Any] = {"identity_key": "identity", "death_signatures": 6}
    with pytest.raises(ConfigError, match=r"max_datagram \(574\) to 575"):
        ClusterConfig(max_datagram=574, **settings)
    assert ClusterConfig(max_datagram=575, **settings).max_datagram == 575
    with pytest.raises(ConfigError, match=r"max_datagram \(619\) to 620"):
        ClusterConfig(max_datagram=619, key_file="keys", **settings)


@pytest.mark.parametrize(
    ("strategy", "field", "given"),
    [("static-quorum", "partition_quorum", 4), ("keep-referee", "partition_referee", "gpu-7")],
)
def test_a_strategy_that_needs_a_setting_is_refused_without_it(strategy: str, field: str, given: int | str) -> None:
    with pytest.raises(ConfigError, match=f"^{field} = .*: {strategy} needs it; give .*member") as caught:
        ClusterConfig().replace(partition_strategy=strategy)
    assert caught.value.field == field
    variables = {"SHOAL_PARTITION_STRATEGY": strategy, f"SHOAL_{field.upper()}": str(given)}
    assert getattr(ClusterConfig.from_environment(variables), field) == given


def test_with_keys_there_is_room_for_them_in_datagrams() -> None:
    with pytest.raises(ConfigError, match="max_datagram = 575: must be 576 bytes or more with keys"):
        ClusterConfig(keys=(KEY,), max_datagram=575)


# There and back


def _numbers(name: str) -> st.SearchStrategy[float]:
    allowed = RANGES[name]
    return st.integers(allowed.low, allowed.high) if TYPES[name] is int else st.floats(allowed.low, allowed.high)


def _is_consistent(settings: dict[str, float]) -> bool:
    return (
        settings["probe_timeout"] < settings["probe_interval"]
        and settings["backoff_initial"] <= settings["backoff_max"]
        and settings["rejoin_interval"] <= settings["rejoin_interval_max"]
        and settings["max_datagram"] >= max(576, 140 + 80 * settings["death_signatures"])  # as there are keys below
    )


numbers = st.fixed_dictionaries({name: _numbers(name) for name in RANGES}).filter(_is_consistent)
WHO: dict[str, Any] = {
    "name": "größe 7",
    "bind": "[::1]:0",
    "advertise": "gpu-7.example:1",
    "seeds": ["a:1", "[::2]:2"],
    "tags": {"role": "worker"},
    "interface": "eth0",
    "key_file": "/etc/shoal/keys",
    "identity_key": "/etc/shoal/identity",
    "encryption": "hmac-sha256",
}


@given(numbers)
def test_a_configuration_survives_being_written_as_plain_values(settings: dict[str, Any]) -> None:
    config = ClusterConfig(**settings, **WHO)
    plain = config.as_dict()
    assert plain == ClusterConfig().as_dict() | settings | WHO
    assert ClusterConfig().replace(**json.loads(json.dumps(plain))) == config
    assert pickle.loads(pickle.dumps(config)) == config  # noqa: S301 - our own bytes


@given(numbers)
def test_a_configuration_survives_being_written_as_variables(settings: dict[str, Any]) -> None:
    variables = {f"SHOAL_{name.upper()}": str(value) for name, value in settings.items()}
    assert ClusterConfig.from_environment(variables) == ClusterConfig(**settings)


def test_a_configuration_is_a_value() -> None:
    config = ClusterConfig(**WHO)
    with pytest.raises(dataclasses.FrozenInstanceError):
        config.name = "other"  # type: ignore[misc]
    assert hash(config) == hash(config.replace())
    assert isinstance(config.tags, Tags)
    assert isinstance(config.seeds, tuple)


# Files and variables

TOML = """
profile = "wan"
name = "gpu-7"
bind = "0.0.0.0:7946"
seeds = ["10.0.0.1:7946", "seed.example:7946"]
probe_interval = 4
stream_probe = false
[tags]
role = "worker"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "shoal.toml"
    path.write_text(TOML)
    return path


def test_a_file_is_read(file: Path) -> None:
    assert ClusterConfig.from_toml(file) == ClusterConfig.wan(
        name="gpu-7",
        bind=Address("0.0.0.0", 7946),
        seeds=(Address("10.0.0.1", 7946), Address("seed.example", 7946)),
        probe_interval=4.0,
        stream_probe=False,
        tags=Tags(role="worker"),
    )


def test_variables_are_read_and_others_are_not_ours() -> None:
    config = ClusterConfig.from_environment(
        {
            "SHOAL_PROFILE": "wan",
            "SHOAL_PROBE_INTERVAL": "4.5",
            "SHOAL_SEEDS": "a:7946,b:7946",
            "SHOAL_TAGS": "role=worker,zone=a",
            "SHOALS": "9",
            "PATH": "/bin",
        }
    )
    assert config == ClusterConfig.wan(
        probe_interval=4.5, seeds=(Address("a", 7946), Address("b", 7946)), tags=Tags(role="worker", zone="a")
    )


def test_variables_lie_over_the_file_and_the_file_over_the_preset(file: Path) -> None:
    config = ClusterConfig.load(file, {"SHOAL_NAME": "gpu-8"})
    assert (config.name, config.probe_interval, config.gossip_fanout) == ("gpu-8", 4.0, 3)


@pytest.mark.parametrize(
    ("argument", "variable", "fanout"), [(None, None, 3), (None, "lan", 2), ("lan", "wan", 2), ("wan", "lan", 3)]
)
def test_a_profile_is_taken_from_the_argument_the_variables_and_the_file_in_that_order(
    file: Path, argument: str | None, variable: str | None, fanout: int
) -> None:
    environ = {} if variable is None else {"SHOAL_PROFILE": variable}
    assert ClusterConfig.load(file, environ, argument).gossip_fanout == fanout


def test_sources_need_to_be_consistent_only_together(file: Path) -> None:
    file.write_text("probe_interval = 0.4")
    config = ClusterConfig.load(file, {"SHOAL_PROBE_TIMEOUT": "0.2"})
    assert (config.probe_interval, config.probe_timeout) == (0.4, 0.2)
    with pytest.raises(ConfigError, match="probe_timeout"):
        ClusterConfig.load(file)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("name = ", "is no TOML"),
        ("probe_intervall = 1", "did you mean probe_interval"),
        ("probe_interval = 61", "must be 0.01 to 60 seconds"),
        ("profile = 3", "must be one of lan, wan, local"),
        ("bind = 7946", "expected a text such as 127.0.0.1:7946"),
        ("tags = {zone = 1}", "expected `str`, got `int`"),
    ],
)
def test_a_bad_file_is_told_what_is_wrong(file: Path, text: str, problem: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigError, match=problem):
        ClusterConfig.from_toml(file)


def test_a_file_that_is_no_text_or_not_there_is_named(tmp_path: Path) -> None:
    path = tmp_path / "shoal.toml"
    with pytest.raises(
        ConfigError, match=re.escape(f"{str(path)!r}: cannot be read: No such file") + ".*; correct the path"
    ):
        ClusterConfig.from_toml(path)
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigError, match="is no TOML"):
        ClusterConfig.from_toml(str(path))


def test_a_bad_variable_is_named() -> None:
    with pytest.raises(
        ConfigError, match=r"^SHOAL_PROBE_INTERVALL = '1': there is no such setting; did you mean probe_i"
    ):
        ClusterConfig.from_environment({"SHOAL_PROBE_INTERVALL": "1"})
    with pytest.raises(ConfigError, match=r"^probe_interval = 'fast': must be a number, 0\.01 to 60 seconds"):
        ClusterConfig.from_environment({"SHOAL_PROBE_INTERVAL": "fast"})
