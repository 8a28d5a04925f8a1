"""The file with what an authority took back."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

import pytest

from shoal.config import ClusterConfig
from shoal.errors import ConfigError
from shoal.net.identity_files import configured_identity
from shoal.net.revocation_file import RevocationFile, read_revocations
from shoal.wire.certificates import Authority, Certificate
from shoal.wire.identity_keys import IdentityKey
from shoal.wire.revocations import Revocation
from tests.clusters import in_real_time, until
from tests.net.test_identity_files import AUTHORITY, KEY, admitted, write

GONE, OTHER = (Revocation.issue(AUTHORITY, "shoal", IdentityKey(bytes([number]) * 32).public) for number in (5, 6))


def _authority() -> Authority:
    return Authority(AUTHORITY.public, "shoal", lambda: 0.0)


def _certificate(number: int) -> Certificate:
    return Certificate.issue(AUTHORITY, "shoal", "a", IdentityKey(bytes([number]) * 32).public, expires=1 << 40)


def test_all_of_the_file_is_read(tmp_path: Path) -> None:
    path = write(tmp_path / "revoked", f"# stolen\n{GONE.text}  # a.crt\n\n{OTHER.text}\n")
    assert read_revocations(str(path), _authority()) == [GONE, OTHER]
    assert read_revocations(str(write(path, "")), _authority()) == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{GONE.text}\nshoal-revocation:AAAA", "line 2 holds no revocation"),
        (Revocation.issue(AUTHORITY, "other", KEY.public).text, "number 1 in it is not by this node's authority"),
        (Revocation.issue(KEY, "shoal", KEY.public).text, "number 1 in it is not by this node's authority"),
        (f"{GONE.text}\n" * 4097, "holds 4097 of them, and 4096 is the most"),
        ("#" * (1 << 20) + "#", "is larger than 1048576 bytes"),
    ],
    ids=["no revocation", "another cluster", "another authority", "too many", "too large"],
)
def test_a_file_with_anything_else_in_it_is_told(tmp_path: Path, text: str, problem: str) -> None:
    path = write(tmp_path / "revoked", text)
    with pytest.raises(ConfigError, match=rf"revocations = .*revoked.*{problem}"):
        read_revocations(str(path), _authority())


def test_a_node_starts_only_with_a_file_that_it_can_read(tmp_path: Path) -> None:
    config = admitted(tmp_path).replace(revocations=tmp_path / "revoked")
    with pytest.raises(ConfigError, match=r"revocations.*cannot be read.*an empty file holds none"):
        configured_identity(config)


def test_a_node_that_is_revoked_itself_is_told_at_its_start(tmp_path: Path) -> None:
    path = write(tmp_path / "revoked", Revocation.issue(AUTHORITY, "shoal", KEY.public).text)
    with pytest.raises(ConfigError, match=r"identity_certificate.*is revoked in .*revoked; make another identity_key"):
        configured_identity(admitted(tmp_path).replace(revocations=path))


def test_it_needs_an_authority(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"revocations.*needs authority"):
        ClusterConfig(identity_key="key", revocations="revoked")


class _Watched:
    def __init__(self, path: Path) -> None:
        self.authority = _authority()
        self.news = 0
        self._file = RevocationFile(str(path), self.authority, self._note)

    def _note(self) -> None:
        self.news += 1

    async def look(self) -> None:
        """Until the file has been looked at once more from now on."""
        loop = asyncio.get_running_loop()
        await until(lambda: not self._file._is_reading)
        self._file._next = loop.time()
        self._file.look(loop)
        await until(lambda: not self._file._is_reading)

    def knows(self, number: int) -> bool:
        return bool(self.authority.revocation_of(_certificate(number)))


@in_real_time
async def test_what_is_added_to_the_file_is_heard_of_once(tmp_path: Path) -> None:
    path = write(tmp_path / "revoked", GONE.text)
    watched = _Watched(path)
    await watched.look()
    assert (watched.news, watched.knows(5), watched.knows(6)) == (1, True, False)
    write(path, f"{GONE.text}\n{OTHER.text}")
    await watched.look()
    await watched.look()
    assert (watched.news, watched.knows(6)) == (2, True)


@in_real_time
async def test_the_file_is_left_alone_for_a_while(tmp_path: Path) -> None:
    path = write(tmp_path / "revoked", GONE.text)
    watched = _Watched(path)
    await watched.look()
    write(path, OTHER.text)
    for _ in range(10):
        watched._file.look(asyncio.get_running_loop())
        await asyncio.sleep(0.01)
    assert not watched.knows(6)


@in_real_time
async def test_a_file_that_goes_bad_takes_nothing_back_and_is_told_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "revoked", GONE.text)
    watched = _Watched(path)
    await watched.look()
    with caplog.at_level(logging.WARNING, "shoal.net"):
        path.unlink()
        await watched.look()
        await watched.look()
    assert len(caplog.records) == 1
    assert "cannot be read" in caplog.text
    assert "what was read before counts on" in caplog.text
    write(path, OTHER.text)
    await watched.look()
    assert (watched.knows(5), watched.knows(6)) == (True, True)
