"""A whole validator, running, is told frames of every type with drawn contents: by a member that signs them, and by a
stranger that follows the chain. Nothing that a peer says may end it.
"""

import random
import secrets
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio

from consensus import crypto
from engine.params import DEFAULT_MARKETS
from engine.payload import PriceReport
from net.allowance import MEMBER, STRANGER, Kind, Rate
from net.committee import MemberAddress
from net.identity import derive_network_key
from net.peers import PENALTIES, Offence
from net.rogue import hang_up, open_rogue, stop_reading
from net.wire import (
    PROTOCOL_VERSION,
    Chunk,
    FrameType,
    Hello,
    PriceFrame,
    RangeRequest,
    RangeResponse,
    encode_frame,
)
from testnet.hostile.frames import FrameSource, Traitor
from validator import peering
from validator.agreement import INPUTS_MAX
from validator.config import Home, NetworkConfig, NodeConfig, PeerAddress, ValidatorEntry
from validator.keys import Keys
from validator.node import Node
from validator.store import Store
from validator.syncing import ANSWERS_MAX

HOST = "127.0.0.1"
FRAMES = 1_000
FRAMES_PER_WRITE = 25
LIMIT_S = 60.0
TRAITOR = 3
# A link answers a second hello with its end; that is tested where links are.
KINDS = tuple(kind for kind in FrameType if kind is not FrameType.HELLO)


def make_keys() -> Keys:
    return Keys(crypto.derive_secret(secrets.token_bytes(32)), secrets.token_bytes(32), secrets.token_bytes(32))


def make_network(keys: list[Keys], **options: Any) -> NetworkConfig:
    entries = tuple(
        ValidatorEntry(
            operator="0x" + "11" * 20, bls_key=crypto.derive_public_key(key.bls).hex(),
            network_key=derive_network_key(key.network).hex(),
        )
        for key in keys
    )  # fmt: skip
    network = NetworkConfig(
        name="attacked", chain_id=1, contract="0x" + "22" * 20, token="0x" + "33" * 20,
        genesis_time_ms=time.time_ns() // 1_000_000 - 60_000, validators=entries, markets=DEFAULT_MARKETS,
        accounts_max=1 << 10, orders_max=1 << 10, positions_max=1 << 10,
    )  # fmt: skip
    return replace(network, **options)


@asynccontextmanager
async def running(folder: Path, network: NetworkConfig, keys: list[Keys]) -> AsyncIterator[tuple[Node, MemberAddress]]:
    """Validator 0 of the network, with all its tasks. Whatever ends them fails the test."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        port = probe.getsockname()[1]
    (folder / "data").mkdir(parents=True)
    config = NodeConfig(
        index=0, rpc_urls=("http://127.0.0.1:1",), listen_port=port,
        peers=tuple(PeerAddress(HOST, port) for _ in keys), price_source="path:seed=1,noise_bps=2",
        metrics_port=0,
    )  # fmt: skip
    node = Node(Home(folder), network, config, keys[0], is_warm=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(node.run)
        while node._committee is None or node._committee._swarm is None:
            await trio.sleep(0.01)
        yield node, MemberAddress(0, derive_network_key(keys[0].network), HOST, port)
        nursery.cancel_scope.cancel()


async def talk(node: Node, address: MemberAddress, seed: bytes, me: int, source: FrameSource) -> int:
    """Says many frames, over as many links as it takes; the number of links."""
    links, said = 0, 0
    async with open_rogue(seed) as rogue:
        while said < FRAMES:
            stream = await rogue.open_link(address)
            links += 1
            with suppress(Exception):  # the node may hang up; then it is dialed again
                await stream.write(
                    encode_frame(
                        Hello(node.network.digest(), PROTOCOL_VERSION, me, source.height, source.view, bytes(32))
                    )
                )
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(_drain, stream)
                    while said < FRAMES:
                        source.height, source.view = node.executor.final.height, node.agreement.core.view
                        final = node.executor.final_hash
                        source.hashes = (*source.hashes[-8:], final)
                        frames = [encode_frame(source.any_frame(KINDS)) for _ in range(FRAMES_PER_WRITE)]
                        said += FRAMES_PER_WRITE
                        await stream.write(b"".join(frames))
                        await trio.sleep(0.002)
                    nursery.cancel_scope.cancel()
            hang_up(stream.muxed_conn)
            await trio.sleep(0.02)
    return links


async def _drain(stream: Any) -> None:
    while await stream.read(1 << 18):
        pass


@pytest.fixture(autouse=True)
def everybody_is_heard(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or an offender would be banned or kept waiting before it has said everything."""
    for kind in Kind:
        monkeypatch.setitem(MEMBER, kind, Rate(1e9, 1e12, 1))
        monkeypatch.setitem(STRANGER, kind, Rate(1e9, 1e12, 1))
    for offence in Offence:
        monkeypatch.setitem(PENALTIES, offence, 0.0)


@pytest.mark.parametrize("draw_seed", [1, 2])
async def test_a_member_that_signs_nonsense_ends_nothing(tmp_path: Path, draw_seed: int) -> None:
    keys = [make_keys() for _ in range(TRAITOR + 1)]
    network = make_network(keys)
    async with running(tmp_path / "node", network, keys) as (node, address):
        traitor = Traitor(TRAITOR, keys[TRAITOR].bls, keys[TRAITOR].network, node.domain)
        source = FrameSource(random.Random(draw_seed), traitor=traitor)
        with trio.fail_after(LIMIT_S):
            await talk(node, address, keys[TRAITOR].network, TRAITOR, source)
        # Whatever it heard, it knows that no quorum has said anything.
        await trio.sleep(0.2)
        assert node.executor.final.height == 0
        assert node._committee is not None and node._committee.statistics()[TRAITOR].frames_in > FRAMES // 2


async def test_a_frame_that_our_own_code_stumbles_over_is_written_down_and_held_against_its_sender(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    keys = [make_keys() for _ in range(TRAITOR + 1)]
    monkeypatch.setitem(PENALTIES, Offence.INVALID_MESSAGE, 1.0)
    async with running(tmp_path / "node", make_network(keys), keys) as (node, address):
        add = node.reports.add

        def stumble(report: PriceReport, now_ms: int) -> bool:
            if report.validator == TRAITOR:
                raise ZeroDivisionError("a defect that we have not met")
            return add(report, now_ms)

        monkeypatch.setattr(node.reports, "add", stumble)
        async with open_rogue(keys[TRAITOR].network) as rogue:
            stream = await rogue.open_link(address)
            hello = Hello(node.network.digest(), PROTOCOL_VERSION, TRAITOR, 0, 1, bytes(32))
            report = replace(FrameSource(random.Random(1)).report(), validator=TRAITOR)
            await stream.write(encode_frame(hello) + encode_frame(PriceFrame(report)))
            with trio.fail_after(10):
                while "frame.stumbled peer=3 type=PriceFrame" not in caplog.text:
                    await trio.sleep(0.02)
        assert node._committee is not None and node._committee.statistics()[TRAITOR].score > 0


async def test_what_peers_say_between_two_ticks_is_bounded(tmp_path: Path) -> None:
    """Without the tasks that would take it away: a queue that only peers fill ends somewhere."""
    keys = [make_keys()]
    async with running(tmp_path / "node", make_network(keys), keys) as (node, _):
        assert node._syncing is not None
        source = FrameSource(random.Random(1))
        for _ in range(2 * INPUTS_MAX):
            node.agreement.receive(TRAITOR, b"a message")
            node.on_range(TRAITOR, RangeResponse((), None))
            node.on_chunk(TRAITOR, source.frame(FrameType.CHUNK))
        assert len(node.agreement._inputs) == INPUTS_MAX
        assert len(node._syncing._inputs) == ANSWERS_MAX


async def test_a_stranger_that_talks_nonsense_ends_nothing_and_delays_nobody(tmp_path: Path) -> None:
    keys = [make_keys()]
    network = make_network(keys, epoch_length_ms=3_600_000)
    async with running(tmp_path / "node", network, keys) as (node, address):
        source = FrameSource(random.Random(3), member_count=1)
        with trio.fail_after(LIMIT_S):
            await talk(node, address, secrets.token_bytes(32), 9, source)
            height = node.executor.final.height
            assert height > 0
            while node.executor.final.height < height + 2:
                await trio.sleep(0.05)


async def test_who_does_not_read_its_answers_is_made_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    keys, made, answer_range = [make_keys() for _ in range(TRAITOR + 1)], [], peering.answer_range

    def note(store: Store, request: RangeRequest) -> RangeResponse:
        made.append(request)
        return answer_range(store, request)

    monkeypatch.setattr(peering, "answer_range", note)
    question = encode_frame(RangeRequest(1, 64))
    async with (
        running(tmp_path, make_network(keys), keys) as (node, address),
        open_rogue(keys[TRAITOR].network) as rogue,
    ):
        hello = Hello(node.network.digest(), PROTOCOL_VERSION, TRAITOR, 0, 0, bytes(32))
        stream = await rogue.open_link(address)
        with trio.fail_after(LIMIT_S):
            await stream.write(encode_frame(hello) + question)
            while not made:
                await trio.sleep(0.01)
            stop_reading(stream.muxed_conn)
            committee = node._committee
            while committee.takes_answers(TRAITOR):
                committee.send(TRAITOR, Chunk(bytes(32), 0, bytes(1 << 16)))
                await trio.sleep(0)
            heard = committee.statistics()[TRAITOR].frames_in
            await stream.write(3 * question)  # fewer than the budget of answers allows
            while committee.statistics()[TRAITOR].frames_in < heard + 3:
                await trio.sleep(0.01)
            await trio.sleep(0.1)
        assert len(made) == 1
        hang_up(stream.muxed_conn)
