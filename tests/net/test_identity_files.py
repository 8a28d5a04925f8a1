"""The identity that a configuration names."""

from pathlib import Path

import pytest

from shoal.config import ClusterConfig
from shoal.errors import ConfigError
from shoal.net.identity_files import configured_identity
from shoal.types import Address, NodeId, NodeInfo, Tags
from shoal.wire.identity import IdentityKey

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
