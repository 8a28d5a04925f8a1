from pathlib import Path

import pytest

from shoal.agent.token import HttpToken, find_token
from shoal.errors import ConfigError

TEXT = "correct-horse-battery-staple"


def test_a_token_matches_its_own_header_only() -> None:
    token = HttpToken(TEXT)
    assert token.header == f"Bearer {TEXT}"
    assert token.matches(token.header)
    for other in ("", TEXT, f"bearer {TEXT}", f"Bearer {TEXT}x", f"Basic {TEXT}", "Bearer größe\u2028"):
        assert not token.matches(other)


def test_a_token_is_not_shown() -> None:
    assert TEXT not in repr(HttpToken(TEXT)) + str(HttpToken(TEXT))


@pytest.mark.parametrize("text", ["", "too-short", "with spaces in between", "größe" * 10, "line\nbreak" * 4])
def test_a_token_that_is_guessed_or_garbled_easily_is_refused_and_not_shown(text: str) -> None:
    with pytest.raises(ConfigError, match=r"SHOAL_HTTP_TOKEN.*16 or more") as caught:
        find_token(None, {"SHOAL_HTTP_TOKEN": text})
    assert not text or text not in str(caught.value)


def test_a_token_comes_from_a_file_or_from_the_variable(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.touch(0o600)
    path.write_text(f"{TEXT}\n")
    for found in (find_token(str(path), {}), find_token(None, {"SHOAL_HTTP_TOKEN": TEXT})):
        assert found is not None
        assert found.header == f"Bearer {TEXT}"
    assert find_token(None, {}) is None
    with pytest.raises(ConfigError, match="cannot be read: No such file"):
        find_token(str(tmp_path / "none"), {})


def test_a_token_that_is_given_twice_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "token"
    with pytest.raises(ConfigError, match=r"/token': SHOAL_HTTP_TOKEN is set too; keep one of the two") as caught:
        find_token(str(path), {"SHOAL_HTTP_TOKEN": TEXT})
    assert TEXT not in str(caught.value)
