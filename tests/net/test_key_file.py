import logging
from pathlib import Path

import pytest

from shoal.config import ClusterConfig
from shoal.errors import ConfigError
from shoal.keys import ClusterKey
from shoal.net.key_file import configured_keys

A, B = ClusterKey(bytes(32)), ClusterKey(bytes(range(32)))


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.touch(0o600)
    return path


def keys_in(path: Path) -> tuple[ClusterKey, ...]:
    return configured_keys(ClusterConfig(key_file=str(path)))


def test_without_a_file_the_keys_are_those_of_the_configuration() -> None:
    assert configured_keys(ClusterConfig()) == ()
    assert configured_keys(ClusterConfig(keys=(B, A))) == (B, A)


def test_a_file_has_a_key_a_line_and_comments(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_text(f"# of March\n{B.text}\n\n  {A.text}  # of February\n")
    assert keys_in(path) == (B, A)
    assert not caplog.records


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "there is no key in it; make one with `shoal keygen`"),
        ("# nothing\n", "there is no key in it"),
        ("aGVsbG8=", "32 bytes in base64.* has 5 bytes"),
        ("\x00\xff", "no base64"),
        (f"{A.text}\n{A.text}", "twice"),
        ("A" * 65_537, "so it is another file"),
    ],
)
def test_a_bad_file_is_told_what_is_wrong_and_not_shown(path: Path, text: str, problem: str) -> None:
    path.write_text(text, encoding="latin-1")
    with pytest.raises(ConfigError, match=problem) as caught:
        keys_in(path)
    assert str(path) in str(caught.value)
    assert not text.strip("# \n") or text not in str(caught.value)


def test_a_missing_file_is_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"/none': cannot be read: No such file.*shoal keygen"):
        keys_in(tmp_path / "none")


def test_a_key_in_the_place_of_a_path_is_not_shown() -> None:
    with pytest.raises(ConfigError, match="is a key and no path") as caught:
        configured_keys(ClusterConfig(key_file=B.text))
    assert B.text not in str(caught.value)


def test_a_file_that_others_can_read_is_warned_of(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path.write_text(A.text)
    path.chmod(0o644)
    with caplog.at_level(logging.WARNING):
        assert keys_in(path) == (A,)
    assert f"chmod 600 {path}" in caplog.text
    assert A.text not in caplog.text
