"""Following a chain from its public hosts: gaps, committees that change, lies."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import trio
from certified_chain import DOMAIN, Chain, Keyring, certify, make_keyring
from public_scene import DEFAULTS, Validator, make_network, open_public, until

from consensus.messages import Certificate, encode_message
from net.feed.protocol import FinalEvent
from net.hardening_gossip import Verdict
from validator.follow import CertifiedHeader, ChainBroken, Follower
from validator.light import LightChain


def make_chains() -> list[Chain]:
    """Thirty blocks of an epoch with four members, then ten of one with seven."""
    first, next_keys = Chain(make_keyring(4)), make_keyring(7, epoch=2)
    for _ in range(29):
        first.grow()
    first.seal(next_keys.seats.committee.hash())
    second = Chain(next_keys, first)
    for _ in range(10):
        second.grow()
    return [first, second]


CHAINS = make_chains()


class Seen:
    def __init__(self, node: Any, from_height: int = 0) -> None:
        self.blocks: list[CertifiedHeader] = []
        light = LightChain(DOMAIN, CHAINS[0].keyring.seats)
        network_id = make_network(CHAINS[0].keyring).digest()
        self.follower = Follower(
            light, network_id, [node.host.address], self.blocks.append, lambda _: None, from_height
        )

    @property
    def heights(self) -> list[int]:
        return [block.header.height for block in self.blocks]


async def test_blocks_are_followed_live_and_what_was_missed_is_fetched(tmp_path: Path) -> None:
    async with open_public(tmp_path, CHAINS) as ((validator, node),), trio.open_nursery() as nursery:
        for height in range(1, 6):
            validator.tell(height)
        seen = Seen(node, from_height=2)
        nursery.start_soon(seen.follower.run)
        await until(lambda: seen.heights == [2, 3, 4, 5])
        for height in range(6, 13):
            validator.tell(height)
            await trio.sleep(0.05)
        await until(lambda: seen.heights == list(range(2, 13)))
        nursery.cancel_scope.cancel()


async def test_a_new_committee_is_learned_from_the_block_that_names_it(tmp_path: Path) -> None:
    async with open_public(tmp_path, CHAINS) as ((validator, node),), trio.open_nursery() as nursery:
        for height in range(1, 36):
            validator.tell(height)
        seen = Seen(node, from_height=28)
        nursery.start_soon(seen.follower.run)
        await until(lambda: seen.heights == list(range(28, 36)))
        assert seen.follower._light.newest_epoch == 2
        for height in range(36, 41):
            validator.tell(height)
            await trio.sleep(0.05)
        await until(lambda: seen.heights == list(range(28, 41)))
        nursery.cancel_scope.cancel()


async def test_the_end_of_an_epoch_is_followed_live(tmp_path: Path) -> None:
    async with open_public(tmp_path, CHAINS) as ((validator, node),), trio.open_nursery() as nursery:
        for height in range(1, 27):
            validator.tell(height)
        seen = Seen(node, from_height=25)
        nursery.start_soon(seen.follower.run)
        await until(lambda: seen.heights == [25, 26])
        await trio.sleep(2.5)  # the mesh forms
        for height in range(27, 37):
            validator.tell(height)
            await trio.sleep(0.3)
        await until(lambda: seen.heights == list(range(25, 37)))
        assert seen.follower._light.newest_epoch == 2
        assert seen.follower.host.verdicts[Verdict.ACCEPT] > 3 and not seen.follower.host.banned_count
        nursery.cancel_scope.cancel()


async def test_whoever_begins_late_learns_all_committees_on_the_way(tmp_path: Path) -> None:
    async with open_public(tmp_path, CHAINS) as ((validator, node),), trio.open_nursery() as nursery:
        for height in range(1, 34):
            validator.tell(height)
        seen = Seen(node)
        nursery.start_soon(seen.follower.run)
        await until(lambda: bool(seen.follower.host.peer_ids))
        await trio.sleep(2.5)  # the mesh forms
        for height in range(34, 40):
            validator.tell(height)
            await trio.sleep(0.4)
        await until(lambda: bool(seen.heights) and seen.heights[-1] == 39)
        assert seen.heights == list(range(seen.heights[0], 40))
        nursery.cancel_scope.cancel()


class Liar(Validator):
    """Its history has a certificate that a thief of other keys made; its host believes it, for it is its own node."""

    def _event(self, height: int) -> FinalEvent:
        event = super()._event(height)
        thief = make_keyring(4, salt=8)
        keys = Keyring(1, thief.seeds, thief.secrets)
        return replace(event, certificate=encode_message(_certify(keys, height))) if height == 8 else event


def _certify(keyring: Keyring, height: int) -> Certificate:
    return certify(keyring, CHAINS[0].block(height))


async def test_a_named_host_that_lies_ends_the_following(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("public_scene.Validator", Liar)
    async with open_public(tmp_path, CHAINS, config=DEFAULTS) as ((validator, node),):
        for height in range(1, 9):
            validator.tell(height)
        seen = Seen(node, from_height=2)
        with trio.fail_after(60):
            with pytest.raises(BaseExceptionGroup) as caught:
                await seen.follower.run()
        assert caught.group_contains(ChainBroken)
        assert seen.heights == []


async def test_two_certified_blocks_of_one_height_end_the_following(tmp_path: Path) -> None:
    async with open_public(tmp_path, CHAINS) as ((validator, node),):
        for height in range(1, 9):
            validator.tell(height)
        seen = Seen(node, from_height=2)
        with trio.fail_after(60):
            with pytest.raises(BaseExceptionGroup) as caught:
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(seen.follower.run)
                    await until(lambda: seen.heights == list(range(2, 9)))
                    validator.chains = [_fork()]
                    validator.head_height = 0
                    for height in range(1, 12):
                        validator.tell(height)
                    node._answers.clear()
        assert caught.group_contains(ChainBroken)


def _fork() -> Chain:
    chain = Chain(CHAINS[0].keyring)
    for _ in range(20):
        chain.grow(payload=b"\x81\x05")
    return chain
