"""A cluster of whole nodes with identities and keys, as a user sets it up."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from shoal import Cluster
from shoal.events import IdentityRefused, Mistrust, VerdictReason
from shoal.net import revocation_file
from shoal.types import MemberState
from shoal.wire.certificates import Certificate
from shoal.wire.identity_keys import IdentityKey
from shoal.wire.revocations import Revocation
from tests.clusters import Lan, in_memory, in_real_time, until

KEY = base64.b64encode(bytes([1] * 32)).decode()


def _identity(directory: Path, number: int) -> str:
    path = directory / f"identity-{number}"
    path.write_text(IdentityKey(bytes([number] * 32)).text, encoding="utf-8")
    path.chmod(0o600)
    return str(path)


def _state(viewer: Cluster, name: str) -> MemberState | None:
    return next((member.state for member in viewer.all_members() if member.name == name), None)


@in_memory
async def test_its_members_die_by_signatures_and_leave_by_their_own(tmp_path: Path) -> None:
    lan = Lan()
    nodes: list[Cluster] = []
    for number in range(5):
        seeds = nodes[:1]
        node = lan.node(f"n{number}", seeds=seeds, keys=[KEY], identity_key=_identity(tmp_path, number))
        await node.start()
        nodes.append(node)
    await until(lambda: all(len(node.members()) == 5 for node in nodes))
    leaver, victim, *others = reversed(nodes)

    await leaver.leave()
    await until(lambda: all(_state(node, "n4") is MemberState.LEFT for node in others))
    assert all(node.stats().get("dropped_unsigned_goodbye", 0) == 0 for node in nodes)

    await leaver.close()
    await victim.close()
    await until(lambda: all(_state(node, "n3") is MemberState.DEAD for node in others))
    for node in others:
        [*_, verdict] = node.evidence("n3")
        assert set(verdict.evidence.signers) <= {"n0", "n1", "n2"}
        assert verdict.evidence.signers
        await node.close()


@in_real_time
async def test_a_member_in_the_revocations_of_one_is_put_out_by_all(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(revocation_file, "REREAD_INTERVAL", 0.05)
    authority, revoked = IdentityKey(bytes([99] * 32)), tmp_path / "revoked"
    (tmp_path / "authority.pub").write_text(str(authority.public), encoding="utf-8")
    revoked.touch()
    lan = Lan()
    nodes: list[Cluster] = []
    for number in range(4):
        public = IdentityKey(bytes([number] * 32)).public
        certificate = tmp_path / f"certificate-{number}"
        text = Certificate.issue(authority, "shoal", f"n{number}", public, expires=1 << 40).text
        certificate.write_text(text, encoding="utf-8")
        node = lan.node(
            f"n{number}",
            seeds=nodes[:1],
            keys=[KEY],
            identity_key=_identity(tmp_path, number),
            authority=tmp_path / "authority.pub",
            identity_certificate=certificate,
            revocations=revoked if number == 0 else None,
        )
        await node.start()
        nodes.append(node)
    *others, thief = nodes
    await until(lambda: all(len(node.members()) == 4 for node in nodes))

    with thief.events() as events:
        taken_back = Revocation.issue(authority, "shoal", IdentityKey(bytes([3] * 32)).public)
        revoked.write_text(taken_back.text, encoding="utf-8")
        await until(lambda: all(_state(node, "n3") is MemberState.LEFT for node in others))
        async for event in events:
            if isinstance(event, IdentityRefused):
                assert (event.name, event.reason) == ("n3", Mistrust.REVOKED)
                break
    for node in others:
        [*_, verdict] = node.evidence("n3")
        assert verdict.evidence.reason is VerdictReason.REVOKED
        assert {member.name for member in node.members()} == {"n0", "n1", "n2"}
    for node in nodes:
        await node.close()
