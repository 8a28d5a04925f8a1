import base64
import pickle

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shoal.errors import ConfigError
from shoal.keys import ClusterKey, KeyId, parse_keys

SECRET = bytes(range(32))
KEY = ClusterKey(SECRET)

secrets = st.binary(min_size=32, max_size=32)


@given(secrets)
def test_a_key_is_read_as_it_was_written(secret: bytes) -> None:
    key = ClusterKey(secret)
    assert ClusterKey.parse(key.text) == key
    assert ClusterKey.parse(key.text.rstrip("=")) == key
    assert ClusterKey.parse(base64.urlsafe_b64encode(secret).decode()).secret == secret
    assert pickle.loads(pickle.dumps(key)) == key  # noqa: S301 - our own bytes


@given(secrets)
def test_neither_repr_nor_id_shows_the_key(secret: bytes) -> None:
    key = ClusterKey(secret)
    assert repr(key) == str(key) == f"ClusterKey({key.id})"
    assert key.text not in repr(key)


def test_keys_are_told_apart_by_their_bytes() -> None:
    assert ClusterKey(SECRET) == KEY
    assert len({KEY, ClusterKey(SECRET), ClusterKey(bytes(32))}) == 2


@pytest.mark.parametrize("secret", [b"", SECRET[:31], SECRET + b"x", SECRET[:16]])
def test_a_key_of_another_length_is_refused_and_not_shown(secret: bytes) -> None:
    text = base64.b64encode(secret).decode()
    with pytest.raises(ConfigError, match=rf"32 bytes.*`shoal keygen`.* has {len(secret)} bytes") as caught:
        ClusterKey.parse(text)
    assert not text or text not in str(caught.value)


@pytest.mark.parametrize("text", ["correct horse battery staple", "größe", "A" * 42 + "\n" + "!"])
def test_what_is_no_base64_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigError, match="no base64") as caught:
        ClusterKey.parse(text)
    assert text not in str(caught.value)
    assert text not in repr(caught.value.value)


def test_a_key_given_twice_is_refused() -> None:
    with pytest.raises(ConfigError, match="twice"):
        parse_keys([KEY, KEY.text])


def test_an_id_is_read_as_it_was_written() -> None:
    assert KeyId.parse(str(KEY.id)) == KEY.id


@pytest.mark.parametrize("text", ["", "12", "xyzxyzxy", KEY.text])
def test_what_is_no_id_is_refused_and_a_key_in_its_place_not_shown(text: str) -> None:
    with pytest.raises(ConfigError, match="shoal keys list") as caught:
        KeyId.parse(text)
    assert KEY.text not in str(caught.value)
