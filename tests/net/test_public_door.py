"""A public host and the addresses of whom it bans: keys are free, addresses are not."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from certified_chain import Chain, make_keyring
from libp2p.peer.id import ID
from multiaddr import Multiaddr
from public_scene import HOST, open_public, until

from net.committee import MemberAddress
from net.doorkeeper import SHUT_OUT_FIRST_S, Doorkeeper
from net.hardening import GatedNoise
from net.identity import derive_network_key
from net.peer_identity import peer_id_of
from net.public.host import PublicHost, PublicSetup, make_address
from net.rogue import Rogue, open_rogue
from validator.public import PublicNode

MESHSUB = "/meshsub/1.1.0"
JUNK = b"\x28" + b"\xff" * 40
STREET, ELSEWHERE = "127.0.0.66", "127.0.0.67"
SEEDS = [bytes([number]) * 32 for number in range(1, 9)]
NEIGHBOUR = SEEDS[7]


def make_chain() -> Chain:
    chain = Chain(make_keyring(1))
    chain.grow()
    chain.certificate(1)
    return chain


def peer_of(seed: bytes) -> bytes:
    return peer_id_of(derive_network_key(seed)).to_bytes()


@asynccontextmanager
async def open_street(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[tuple[PublicNode, MemberAddress, list[Rogue], list[int]]]:
    """A host, where it is, a rogue for each seed, and how many handshakes the host has begun as the listening side,
    after how many knocks at its door."""
    handshakes = [0, 0]
    secure_inbound, knock = GatedNoise.secure_inbound, Doorkeeper.knock

    def count_knock(self: Doorkeeper, address: str, now_s: float, is_expected: bool = False) -> str:
        handshakes[1] += 1
        return knock(self, address, now_s, is_expected)

    async def count(self: GatedNoise, conn: Any) -> Any:
        handshakes[0] += 1
        return await secure_inbound(self, conn)

    monkeypatch.setattr(GatedNoise, "secure_inbound", count)
    monkeypatch.setattr(Doorkeeper, "knock", count_knock)
    async with open_public(folder, [make_chain()]) as ((_, node),), AsyncExitStack() as stack:
        port = int(Multiaddr(node.host.address).value_for_protocol("tcp"))
        target = MemberAddress(0, derive_network_key(bytes([100]) * 32), HOST, port)
        rogues = [await stack.enter_async_context(open_rogue(seed)) for seed in SEEDS[:4]]
        yield node, target, rogues, handshakes


async def spam(node: PublicNode, rogue: Rogue, seed: bytes, target: MemberAddress, source: str) -> None:
    """One frame that nobody honest sends."""
    stream = await rogue.open_stream(target, MESHSUB, source)
    await stream.write(JUNK)
    await until(lambda: not node.host._admits(ID(peer_of(seed))))


async def is_refused(rogue: Rogue, target: MemberAddress, source: str) -> bool:
    try:
        with trio.fail_after(5):
            await rogue.open_stream(target, MESHSUB, source)
    except trio.TooSlowError:
        raise
    except Exception:  # whatever the library makes of a connection that was closed at once
        return True
    return False


async def test_another_key_from_a_spammers_address_gets_no_handshake(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_street(tmp_path, monkeypatch) as (node, target, rogues, handshakes):
        await spam(node, rogues[0], SEEDS[0], target, STREET)
        assert handshakes == [1, 1]
        for rogue in rogues[1:3]:
            assert await is_refused(rogue, target, STREET)
        assert handshakes == [1, 1], "a refused connection has cost a handshake, or more than a look at its address"
        assert not await is_refused(rogues[1], target, ELSEWHERE)
        assert handshakes == [2, 2]
        node.host._door._visitors[STREET].record.shut_out_until_s = 0.0  # as if the time were over
        assert not await is_refused(rogues[2], target, STREET)
        assert handshakes == [3, 3]


async def test_who_shares_an_address_with_a_spammer_keeps_its_connection(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_street(tmp_path, monkeypatch) as (node, target, rogues, _):
        kept = await rogues[3].open_stream(target, MESHSUB, STREET)
        await until(lambda: peer_of(SEEDS[3]) in node.host.peer_ids)
        for rogue, seed in zip(rogues[:3], SEEDS):
            await spam(node, rogue, seed, target, STREET)
            visitor = node.host._door._visitors[STREET]
            left_s = visitor.record.shut_out_until_s - trio.current_time()
            assert 0 < left_s <= SHUT_OUT_FIRST_S, "an address that is shared is not shut out for ever longer"
            visitor.record.shut_out_until_s = trio.current_time()  # as if the time were over, just now
        assert node.host._admits(ID(peer_of(SEEDS[3])))
        await kept.write(b"\x00")
        assert peer_of(SEEDS[3]) in node.host.peer_ids


def make_host(bootstrap: tuple[str, ...] = ()) -> PublicHost:
    setup = PublicSetup(SEEDS[0], bytes(32), HOST, 1, bootstrap=bootstrap)
    return PublicHost(setup, lambda *_: pytest.fail("nobody says anything"), {})


BANNED = peer_of(SEEDS[1])


@pytest.mark.parametrize(
    ("address", "bootstrap_host", "is_spared"),
    [
        ("192.0.2.1", "", False),
        ("192.0.2.1", "192.0.2.1", True),
        ("192.0.2.1", "192.0.2.2", False),
        ("::ffff:192.0.2.1", "192.0.2.1", True),
        ("2001:db8::77", "2001:db8::1", True),
        ("2001:db8:0:1::77", "2001:db8::1", False),
    ],
)
async def test_the_address_of_a_neighbour_of_the_operators_list_is_spared(
    address: str, bootstrap_host: str, is_spared: bool
) -> None:
    host = make_host((make_address(bootstrap_host, 9, NEIGHBOUR),) if bootstrap_host else ())
    host._strangers.note_address(BANNED, address)
    host.report(BANNED, "spam", True)
    now_s = trio.current_time()
    assert not host._admits(ID(BANNED))
    refusal = host._door.knock(address, now_s, host._is_home(address))
    assert refusal == ("" if is_spared else "shut out")


async def test_a_doubtful_offence_shuts_no_address_out() -> None:
    host = make_host()
    host._strangers.note_address(BANNED, STREET)
    host.report(BANNED, "perhaps another's fault")
    assert not host._door.is_shut_out(STREET, trio.current_time())
    host.report(BANNED, "and again")
    assert host._door.is_shut_out(STREET, trio.current_time())


async def test_a_peer_that_came_from_nowhere_shuts_nobody_out() -> None:
    host = make_host()
    host.report(BANNED, "spam", True)
    assert not host._door._visitors


def test_an_address_of_a_public_host_has_the_rates_of_the_documents() -> None:
    limits = replace(PublicSetup(SEEDS[0], bytes(32), HOST, 1).limits, slots_per_address=3).door()
    assert (limits.connections_per_address, limits.are_keys_free) == (3, True)
    assert (limits.attempts_per_s, limits.attempts_burst) == (0.5, 16.0)
    assert (limits.strangers_per_s, limits.strangers_burst) == (10.0, 60.0)
