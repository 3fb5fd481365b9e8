"""Public hosts with each other: blocks reach everybody once, history is served, hosts outlive their validators."""

from pathlib import Path

import pytest
import trio
from certified_chain import Chain, make_keyring
from public_scene import Validator, open_public, until

from net.feed.protocol import BLOCKS
from net.hardening_gossip import Verdict
from net.public import host as public_host
from net.public.host import parse_address
from net.public.messages import (
    BLOCKS_PROTOCOL,
    COMMITTEE_PROTOCOL,
    PEERS_PROTOCOL,
    decode_committee,
    decode_peers,
    decode_run,
    encode_request,
)


def make_chain(count: int = 4) -> Chain:
    chain = Chain(make_keyring(count))
    for _ in range(40):
        chain.grow()
    for height in range(1, 41):
        chain.certificate(height)
    return chain


async def test_every_block_is_published_about_once_and_reaches_every_host(tmp_path: Path) -> None:
    async with open_public(tmp_path, [make_chain()], count=3) as members:
        nodes = [node for _, node in members]
        await until(lambda: all(len(node.host.peer_ids) >= 1 for node in nodes))
        await trio.sleep(2.5)  # the mesh forms at the routers' first heartbeats
        for height in range(1, 21):
            for validator, _ in members:
                validator.tell(height)
            await trio.sleep(0.05)
        await until(lambda: all(node._gossip.height == 20 for node in nodes))
        accepted, ignored = (
            sum(node.host.verdicts[verdict] for node in nodes) for verdict in (Verdict.ACCEPT, Verdict.IGNORE)
        )
        # Whoever hears of a run that it has seen hears of somebody who published it although it was not its turn.
        assert ignored <= accepted // 2, f"{accepted} runs accepted, {ignored} published again"
        assert all(not node.host.banned_count for node in nodes)


async def test_history_and_committees_are_answered_out_of_the_feed(tmp_path: Path) -> None:
    first = make_chain()
    second_keys = make_keyring(4, epoch=2)
    first.seal(second_keys.seats.committee.hash())
    second = Chain(second_keys, first)
    second.grow()
    async with open_public(tmp_path, [first, second], count=2) as ((validator, server), (_, asker)):
        for height in range(1, 43):
            validator.tell(height)
        await until(lambda: bool(asker.host.peer_ids))
        peer = asker.host.peer_ids[0]
        run = decode_run(await asker.host.ask(peer, BLOCKS_PROTOCOL, encode_request(5, 10, 0)))
        assert [item.header.height for item in run.items] == list(range(5, 15))
        asker._light.verify(run.certificate)
        ends = decode_run(await asker.host.ask(peer, BLOCKS_PROTOCOL, encode_request(38, 10, 0)))
        assert [item.header.height for item in ends.items] == [38, 39, 40, 41, 42]
        assert [item.header.height for item in ends.final_items()] == [38, 39, 40, 41]
        asker._light.verify(ends.certificate)
        assert await asker.host.ask(peer, BLOCKS_PROTOCOL, encode_request(99, 1, 0)) == b""
        newest = decode_run(await asker.host.ask(peer, BLOCKS_PROTOCOL, encode_request(0, 1, 0)))
        assert newest.last.height == 42
        proof = decode_committee(await asker.host.ask(peer, COMMITTEE_PROTOCOL, encode_request(2)))
        assert proof is not None and proof.seats == second_keys.seats.encode()
        assert decode_committee(await asker.host.ask(peer, COMMITTEE_PROTOCOL, encode_request(3))) is None
        assert server.host.banned_count == 0


async def test_a_host_outlives_its_validator_and_finds_it_again(tmp_path: Path) -> None:
    chain = make_chain()
    async with open_public(tmp_path, [chain]) as ((validator, node),):
        validator.tell(1)
        await until(lambda: node.published_count == 1)
        again = Validator(validator.home, 0, validator.network, [chain])
        async with trio.open_nursery() as nursery:
            validator.server._readers[0].stream.socket.close()  # as if the process were gone
            await until(lambda: node._feed is None)
            nursery.start_soon(again.server.run)
            await until(lambda: again.server.is_wanted(BLOCKS))
            again.tell(2)
            await until(lambda: node.published_count == 2)
            nursery.cancel_scope.cancel()


async def test_hosts_learn_of_each_other_from_their_neighbours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(public_host, "EXCHANGE_INTERVAL_S", 1.0)
    async with open_public(tmp_path, [make_chain()], count=3, is_line=True) as members:
        first, _, last = (node for _, node in members)
        own = parse_address(first.host.address)[1].to_bytes()
        await until(lambda: own in last.host.peer_ids, 30)


async def test_nobody_is_sent_to_an_address_that_only_a_stranger_names(tmp_path: Path) -> None:
    async with open_public(tmp_path, [make_chain()], count=2) as ((_, server), (_, asker)):
        await until(lambda: bool(asker.host.peer_ids))
        # The asker dialed the server; the server has not dialed the asker, and does not pass its address on.
        told = decode_peers(await asker.host.ask(asker.host.peer_ids[0], PEERS_PROTOCOL, b""))
        assert told == [server.host.address]
