"""The identity that a configuration names."""

from pathlib import Path
from typing import Any

import pytest

from shoal.config import ClusterConfig
from shoal.errors import ConfigError
from shoal.net.identity_files import configured_identity
from shoal.types import Address, NodeId, NodeInfo, Tags
from shoal.wire.certificates import Certificate
from shoal.wire.identity_keys import IdentityKey
from shoal.wire.tokens import AdmissionToken

KEY = IdentityKey(bytes(range(32)))
INFO = NodeInfo("a", NodeId(bytes(16)), Address("10.0.0.1", 7946), Tags())


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def test_without_a_key_there_is_no_identity() -> None:
    assert configured_identity(ClusterConfig()) is None


def test_the_key_in_the_file_signs(tmp_path: Path) -> None:
    path = write(tmp_path / "identity", KEY.text + "\n")
    identity = configured_identity(ClusterConfig(identity_key=str(path)))
    assert identity is not None
    assert identity.sign(INFO, 0).proof.startswith(KEY.public)


def test_a_file_that_is_not_there_is_told_with_the_remedy(tmp_path: Path) -> None:
    config = ClusterConfig().replace(identity_key=tmp_path / "none")
    with pytest.raises(ConfigError, match=r"none.*cannot be read.*keygen --identity"):
        configured_identity(config)


@pytest.mark.parametrize("text", ["", "AAAA", str(KEY.public)])
def test_a_file_of_another_kind_is_told_with_the_remedy_and_not_shown(tmp_path: Path, text: str) -> None:
    path = write(tmp_path / "identity", text)
    with pytest.raises(ConfigError, match="keygen --identity") as caught:
        configured_identity(ClusterConfig(identity_key=str(path)))
    assert not text or text not in str(caught.value)


AUTHORITY = IdentityKey(bytes([9]) * 32)
LATE = 1 << 40


def admitted(directory: Path, **changes: Any) -> ClusterConfig:
    """A node named a with a certificate by the authority, but for `changes`."""
    given: dict[str, Any] = {"cluster": "shoal", "name": "a", "public_key": KEY.public, "expires": LATE, **changes}
    certificate = Certificate.issue(AUTHORITY, **given)
    return ClusterConfig(
        name="a",
        identity_key=str(write(directory / "identity", KEY.text)),
        authority=str(write(directory / "authority.pub", str(AUTHORITY.public))),
        identity_certificate=str(write(directory / "certificate", certificate.text)),
    )


def test_a_node_with_a_certificate_shows_it(tmp_path: Path) -> None:
    identity = configured_identity(admitted(tmp_path))
    assert identity is not None
    assert identity.check(identity.sign(INFO, 0), 0, None) is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"name": "b"}, "is for the name 'b'; set that as name"),
        ({"public_key": AUTHORITY.public}, "is for another identity_key"),
        ({"cluster": "other"}, "for another cluster than 'shoal'"),
        ({"expires": 1}, "has expired"),
    ],
)
def test_a_certificate_that_admits_this_node_nowhere_is_told(
    tmp_path: Path, changes: dict[str, Any], problem: str
) -> None:
    with pytest.raises(ConfigError, match=problem):
        configured_identity(admitted(tmp_path, **changes))


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"authority": "a"}, "needs identity_certificate or admission_token"),
        ({"identity_certificate": "c"}, "needs authority"),
        ({"authority": "a", "identity_certificate": "c"}, "needs identity_key"),
        ({"authority": "a", "admission_token": "t"}, "needs identity_key"),
        ({"admission_token": "t"}, "needs authority"),
        ({"authority": "a", "identity_certificate": "c", "admission_token": "t"}, "keep one of the two"),
    ],
)
def test_settings_that_need_one_another_say_so(settings: dict[str, str], problem: str) -> None:
    with pytest.raises(ConfigError, match=problem):
        ClusterConfig(**settings)  # type: ignore[arg-type]


def with_token(directory: Path, **changes: Any) -> ClusterConfig:
    """A node named a with a token by the authority, but for `changes`."""
    given: dict[str, Any] = {
        "cluster": "shoal",
        "names": "*",
        "key": IdentityKey(bytes(32)),
        "expires": LATE,
        **changes,
    }
    return ClusterConfig(
        name="a",
        identity_key=str(write(directory / "identity", KEY.text)),
        authority=str(write(directory / "authority.pub", str(AUTHORITY.public))),
        admission_token=str(write(directory / "token", AdmissionToken.issue(AUTHORITY, **given).text)),
    )


def test_a_node_with_a_token_shows_what_it_made_with_it(tmp_path: Path) -> None:
    identity = configured_identity(with_token(tmp_path))
    assert identity is not None
    assert identity.check(identity.sign(INFO, 0), 0, None) is None


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"names": "b*"}, r"is for the name 'b\*'; set such a name"),
        ({"cluster": "other"}, "for another cluster than 'shoal'"),
        ({"expires": 1}, "has expired"),
    ],
)
def test_a_token_that_admits_this_node_nowhere_is_told(tmp_path: Path, changes: dict[str, Any], problem: str) -> None:
    with pytest.raises(ConfigError, match=rf"admission_token.*{problem}"):
        configured_identity(with_token(tmp_path, **changes))


def test_what_is_no_token_is_refused_without_being_shown(tmp_path: Path) -> None:
    config = with_token(tmp_path)
    write(tmp_path / "token", KEY.text)
    with pytest.raises(ConfigError, match="holds no admission token; `shoal keys token` makes one") as caught:
        configured_identity(config)
    assert KEY.text not in str(caught.value)
