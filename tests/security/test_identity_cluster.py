"""A cluster of whole nodes with identities and keys, as a user sets it up."""

from __future__ import annotations

import base64
from pathlib import Path

from shoal import Cluster
from shoal.types import MemberState
from shoal.wire.identity_keys import IdentityKey
from tests.clusters import Lan, in_memory, until

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
