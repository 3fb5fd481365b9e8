"""Public hosts fed by validators that are not there: real feeds, real gossip, a chain of certified blocks."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import trio
from certified_chain import CHAIN_ID, CONTRACT, DOMAIN, Chain, Keyring

from consensus.messages import ZERO_HASH, encode_message
from engine.params import DEFAULT_MARKETS
from net.feed.protocol import (
    BLOCKS,
    FEED_SOCKET,
    FEED_VERSION,
    CommitteeEvent,
    FeedAnswer,
    FinalEvent,
    Hello,
    HistoryPiece,
    HistoryRequest,
    SealAnswer,
    SealRequest,
)
from net.feed.server import FeedServer
from net.public.host import make_address
from validator.config import NetworkConfig, PublicConfig, ValidatorEntry
from validator.public import PublicNode

HOST = "127.0.0.1"
DEFAULTS = PublicConfig()


def make_network(keyring: Keyring) -> NetworkConfig:
    members = keyring.seats.committee.members
    return NetworkConfig(
        name="scene", chain_id=CHAIN_ID, contract="0x" + CONTRACT.hex(), token="0x" + bytes(20).hex(),
        genesis_time_ms=1, markets=DEFAULT_MARKETS[:1],
        validators=tuple(
            ValidatorEntry("0x" + bytes(20).hex(), member.bls_key.hex(), member.network_key.hex()) for member in members
        ),
    )  # fmt: skip


def free_ports(count: int) -> list[int]:
    probes = [socket.socket() for _ in range(count)]
    for probe in probes:
        probe.bind((HOST, 0))
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


class Validator:
    """The feed of one member. `chains`: one an epoch, each begun where the one before was sealed."""

    def __init__(self, home: Path, number: int, network: NetworkConfig, chains: list[Chain]) -> None:
        self.home, self.number, self.network, self.chains = home, number, network, chains
        self.head_height = 0
        self.server = FeedServer(home / FEED_SOCKET, self._greet, self._answer)

    def tell(self, height: int) -> None:
        """The block of this height is final here."""
        chain = self._chain(height)
        if chain is not self.chains[0] and height == chain.first_height:
            self.server.publish(BLOCKS, CommitteeEvent(chain.keyring.seats.encode()))
        self.head_height = height
        self.server.publish(BLOCKS, self._event(height))

    def _chain(self, height: int) -> Chain:
        return next(chain for chain in reversed(self.chains) if height >= chain.first_height)

    def _event(self, height: int) -> FinalEvent:
        chain = self._chain(height)
        block = chain.block(height)
        certificate = encode_message(chain.certificate(height))
        return FinalEvent(height, block.header.epoch, encode_message(block), certificate, chain.is_direct(height), ())

    def _greet(self, _streams: int) -> list[FeedAnswer]:
        digest = self.network.digest()
        known = [chain for chain in self.chains if chain.first_height <= max(1, self.head_height)]
        return [
            Hello(FEED_VERSION, digest, DOMAIN, self.number, self.head_height),
            *(CommitteeEvent(chain.keyring.seats.encode()) for chain in known),
        ]

    def _answer(self, request: HistoryRequest | SealRequest) -> FeedAnswer:
        if isinstance(request, HistoryRequest):
            end = min(self.head_height + 1, request.from_height + request.limit)
            return HistoryPiece(request.token, tuple(self._event(at) for at in range(request.from_height, end)))
        found = next((chain for chain in self.chains if chain.keyring.epoch == request.epoch), None)
        if found is None:
            return SealAnswer(request.token, b"", (), b"")
        if found is self.chains[0]:
            return SealAnswer(request.token, found.keyring.seats.encode(), (), b"")
        height = found.first_height - 1
        before = self._chain(height)
        sealing = before.block(height)
        assert sealing.header.next_committee_hash != ZERO_HASH
        certificate = encode_message(before.certificate(height))
        headers = tuple(block.header.encode() for block in (sealing, before.trailing) if block is not None)
        return SealAnswer(request.token, found.keyring.seats.encode(), headers, certificate)


async def until(condition: Callable[[], bool], within_s: float = 60.0) -> None:
    with trio.fail_after(within_s):
        while not condition():
            await trio.sleep(0.02)


@asynccontextmanager
async def open_public(
    folder: Path, chains: list[Chain], count: int = 1, config: PublicConfig = DEFAULTS, is_line: bool = False
) -> AsyncIterator[list[tuple[Validator, PublicNode]]]:
    """So many members with a public host each, all of which know the first one's address, or in a line only that of the
    one before.
    """
    network = make_network(chains[0].keyring)
    ports = free_ports(count)
    seeds = [bytes([100 + number]) * 32 for number in range(count)]
    addresses = [make_address(HOST, port, seed) for port, seed in zip(ports, seeds)]
    members = []
    async with trio.open_nursery() as nursery:
        for number in range(count):
            home = folder / f"n{number}"
            home.mkdir()
            validator = Validator(home, number, network, chains)
            choices = replace(
                config,
                listen_port=ports[number],
                slots_per_address=64,
                bootstrap=(addresses[number - 1 if is_line else 0],) if number else (),
            )
            node = PublicNode(home, network, choices, seeds[number], DOMAIN)
            members.append((validator, node))
            nursery.start_soon(validator.server.run)
            nursery.start_soon(node.run)
        for validator, node in members:
            await until(node.host.ready.is_set)
            await until(lambda validator=validator: validator.server.is_wanted(BLOCKS))
        yield members
        nursery.cancel_scope.cancel()
