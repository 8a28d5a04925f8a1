"""Keys of whole clusters in memory; tests/agent/test_keys.py does the same with processes."""

import asyncio
import logging
from contextlib import AsyncExitStack
from typing import Any

import pytest

from shoal import Cluster, ClusterKey, ConfigError, Encryption, KeyId, KeyReport, KeyringError, MemberState
from shoal.errors import BindError
from shoal.types import Address
from tests.clusters import FAST, Lan, in_memory, in_real_time, until

OLD, NEW = ClusterKey(bytes(32)), ClusterKey(bytes(range(32)))
NAMES = ["a", "b", "c"]


async def three(lan: Lan, stack: AsyncExitStack, **settings: Any) -> list[Cluster]:
    """Three members that know each other."""
    nodes: list[Cluster] = []
    for name in NAMES:
        node = lan.node(name, seeds=nodes[:1], **{"keys": (OLD,), **settings})
        nodes.append(await stack.enter_async_context(node))
    for node in nodes:
        await node.wait_for_members(3)
    return nodes


def primaries(report: KeyReport) -> dict[str, KeyId | None]:
    return {each.member.name: each.primary for each in report.members}


@in_memory
async def test_a_key_is_installed_used_and_the_old_one_removed_everywhere() -> None:
    saved: list[tuple[ClusterKey, ...]] = []
    async with AsyncExitStack() as stack:
        a, b, c = await three(Lan(), stack, save_keys=saved.append)

        assert (await a.install_key(NEW.text)).is_complete
        assert (await b.use_key(str(NEW.id))).is_complete
        removed = await c.remove_key(OLD.id)
        listed = await a.list_keys()

        assert removed.is_complete
        assert [(each.member.name, each.ids) for each in listed.members] == [(name, (NEW.id,)) for name in NAMES]
        assert {each.encryption for each in listed.members} == {Encryption.AES_256_GCM}
        assert len(saved) == 9
        assert saved[-1] == (NEW,)
        await a.update_tags({"after": "rotation"})
        await until(lambda: c.member("a") and c.members(after="rotation"))


@in_memory
async def test_a_key_that_someone_lacks_is_not_used() -> None:
    lan = Lan()
    async with AsyncExitStack() as stack:
        a, _, _ = await three(lan, stack, keys=(OLD,))
        await a.install_key(NEW)
        late = lan.node("d", seeds=[a], keys=(OLD,))
        await stack.enter_async_context(late)
        await a.wait_for_members(4)

        refused = await a.use_key(NEW.id)

        assert refused.refusal == f"d would be cut off: the key {NEW.id} is to be installed there first"
        assert set(primaries(refused).values()) == {OLD.id}
        assert (await a.install_key(NEW)).is_complete
        assert (await a.use_key(NEW.id)).is_complete


@in_memory
async def test_a_key_that_someone_seals_with_is_not_removed() -> None:
    async with AsyncExitStack() as stack:
        a, _, _ = await three(Lan(), stack)
        await a.install_key(NEW)
        refused = await a.remove_key(OLD.id)
        assert "a, b, c would be cut off" in refused.refusal
        assert not refused.is_complete


@in_memory
async def test_a_dead_member_keeps_its_key_in_the_rings_unless_it_is_left_behind() -> None:
    lan = Lan()
    async with AsyncExitStack() as stack:
        a, b, c = await three(lan, stack)
        await c.close()
        await until(lambda: all((node.member("c") or node.local).state is MemberState.DEAD for node in (a, b)))
        await a.install_key(NEW)
        await a.use_key(NEW.id)
        await asyncio.sleep(10)

        refused = await a.remove_key(OLD.id)
        assert refused.refusal.startswith(f"c may come back with the key {OLD.id} alone")

        again = lan.node_at(c.local.address, "c", seeds=[a], keys=(OLD,))
        await stack.enter_async_context(again)
        await again.wait_for_members(3)
        await until(lambda: len(again._keyring or ()) == 2)  # it is handed the new one
        await a.wait_for_members(3)
        assert (await again.use_key(NEW.id)).is_complete
        assert (await a.remove_key(OLD.id)).is_complete


@in_memory
async def test_who_starts_with_the_old_key_after_a_change_is_never_suspected_and_so_is_its_next_run() -> None:
    lan = Lan()
    async with AsyncExitStack() as stack:
        nodes = await three(lan, stack)
        await nodes[0].install_key(NEW)
        assert (await nodes[0].use_key(NEW.id)).is_complete
        for _ in range(3):
            async with lan.node_at(Address("10.0.0.9", 7946), "d", seeds=nodes[:1], keys=(OLD,)) as late:
                await late.wait_for_members(4)
                await asyncio.sleep(12)
                assert [node.evidence("d") for node in nodes] == [(), (), ()]
                assert (await late.list_keys()).is_complete


@in_memory
async def test_the_dead_can_be_left_behind_on_purpose() -> None:
    async with AsyncExitStack() as stack:
        a, b, c = await three(Lan(), stack)
        await c.close()
        await until(lambda: all((node.member("c") or node.local).state is MemberState.DEAD for node in (a, b)))
        await a.install_key(NEW)
        await a.use_key(NEW.id)
        assert (await a.remove_key(OLD.id, strand=True)).is_complete
        assert set(primaries(await b.list_keys()).values()) == {NEW.id}


@in_memory
async def test_a_member_that_does_not_answer_is_reported_and_nothing_is_used() -> None:
    lan = Lan()
    async with AsyncExitStack() as stack:
        calm = {"probe_interval": 60.0, "probe_timeout": 30.0, "stream_timeout": 1.0}
        a, _, c = await three(lan, stack, **calm)
        lan.network.partition([[c.local.address]])

        installed = await a.install_key(NEW)
        refused = await a.use_key(NEW.id)

        assert [(each.member.name, "timed out" in each.problem) for each in installed.members] == [
            ("a", False),
            ("b", False),
            ("c", True),
        ]
        assert not installed.is_complete
        assert refused.refusal.startswith("c did not answer")
        assert "c may come back" in (await a.remove_key(NEW.id)).refusal
        lan.network.heal()


@in_memory
async def test_nodes_without_keys_have_none_to_change() -> None:
    async with Lan().node("a") as a:
        for work in (a.list_keys(), a.install_key(NEW), a.use_key(NEW.id), a.remove_key(NEW.id)):
            with pytest.raises(KeyringError, match=r"runs without keys.*set key_file or keys"):
                await work


@in_memory
async def test_bad_keys_and_ids_are_refused_without_being_shown() -> None:
    async with Lan().node("a", keys=(OLD,)) as a:
        with pytest.raises(ConfigError) as caught:
            await a.install_key(NEW.text[:-5])
        assert NEW.text[:-5] not in str(caught.value)
        with pytest.raises(ConfigError, match="shoal keys list"):
            await a.use_key(NEW.text)


@in_memory
async def test_no_datagram_is_above_the_limit_with_keys() -> None:
    lan, sizes = Lan(), list[int]()
    send = lan.network._send

    def measured(data: bytes, source: Address, target: Address) -> None:
        sizes.append(len(data))
        send(data, source, target)

    lan.network._send = measured  # type: ignore[method-assign]
    async with AsyncExitStack() as stack:
        a, *_ = await three(lan, stack, max_datagram=600)
        for number in range(50):
            await a.broadcast(b"%d" % number * 5)  # small, so that packets are nearly full
        await asyncio.sleep(1)
    assert 560 < max(sizes) <= 600


@in_memory
async def test_nodes_with_and_without_keys_stay_apart() -> None:
    lan = Lan()
    async with lan.node("a", keys=(OLD,)) as a, lan.node("b", seeds=[a], join_timeout=0.5) as b:
        await a.join([b.local.address])
        await asyncio.sleep(2)
        assert len(a.all_members()) == len(b.all_members()) == 1
        assert a.stats()["transport_dropped_not_sealed"] > 0
        assert b.stats()["dropped_unknown_version"] > 0


# Beyond this machine


@in_real_time
async def test_without_keys_a_node_keeps_to_this_machine_unless_told_otherwise() -> None:
    ways: list[dict[str, Any]] = [
        {"bind": "0.0.0.0:0", "advertise": "127.0.0.1:0"},
        {"advertise": "192.0.2.1:7946"},
    ]
    for exposed in ways:
        with pytest.raises(ConfigError, match=r"set key_file or keys \(see `shoal keygen`\), or set allow_unencr"):
            await Cluster(FAST, **exposed).start()
        async with Cluster(FAST, allow_unencrypted=True, **exposed):
            pass
        async with Cluster(FAST, keys=(OLD,), **exposed):
            pass


def test_running_unencrypted_beyond_this_machine_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with Cluster(FAST, advertise="192.0.2.1:7946", allow_unencrypted=True):
            pass

    asyncio.run(run())
    assert "192.0.2.1:7946, and nothing is encrypted or authenticated" in caplog.text


def test_no_log_repr_or_read_shows_a_key(caplog: pytest.LogCaptureFixture) -> None:
    seen: list[str] = []

    async def run() -> None:
        async with (
            Cluster(FAST, name="a", keys=(OLD, NEW)) as a,
            Cluster(FAST, name="b", keys=(OLD,), seeds=[a.local.address]) as b,
        ):
            await b.wait_for_members(2)
            report = await a.install_key(NEW)
            with pytest.raises(BindError) as caught:
                await Cluster(FAST, bind=a.local.address, keys=(NEW,)).start()
            seen.extend(map(repr, (a, a.config, a.health(), a.stats(), a.local, report, caught.value, a._keyring)))

    with caplog.at_level(logging.DEBUG):
        asyncio.run(run())
    everything = "\n".join([*seen, caplog.text, *(str(vars(record)) for record in caplog.records)])
    for key in (OLD, NEW):
        for secret in (key.text, key.secret.hex(), repr(key.secret), key.text.rstrip("=")):
            assert secret not in everything
