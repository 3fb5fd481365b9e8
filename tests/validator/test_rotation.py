"""A node's committee changes: an epoch is sealed, the next begins on it, restarts and late nodes find their way.

A committee of one agrees with itself, so whole nodes go through it all without a network.
"""

import json
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from consensus import crypto
from consensus.committee import Committee, Member
from consensus.messages import ZERO_HASH, Ready, encode_message, ready_digest
from engine.params import DEFAULT_MARKETS
from net.client.protocol import Call
from net.client.verifying import prove_height
from net.gateway import present
from net.identity import derive_network_key
from net.wire import FrameType, RangeRequest, SnapshotOffer, decode_frame, encode_frame
from validator.catchup import Accept, Ask, Head, RangeSync, Wake
from validator.config import SIGNER_INSIDE, Home, NetworkConfig, NodeConfig, PeerAddress, ValidatorEntry
from validator.keys import Keys
from validator.light import LightChain
from validator.node import Node
from validator.ranges import answer_range
from validator.restart import Restart
from validator.roster import Seats
from validator.rotation import find_last_final, find_root_fault
from validator.snapshots import SnapshotShelf, is_state_of, write_snapshot
from validator.succession import find_handover
from validator.verifier import ChainVerifier

LIMIT_S = 60


def make_keys() -> Keys:
    return Keys(crypto.derive_secret(secrets.token_bytes(32)), secrets.token_bytes(32), secrets.token_bytes(32))


def seat_of(keys: Keys) -> Member:
    return Member(crypto.derive_public_key(keys.bls), derive_network_key(keys.network))


FOUNDER, NEWCOMER = make_keys(), make_keys()
ENTRY = ValidatorEntry(
    operator="0x" + "11" * 20, bls_key=seat_of(FOUNDER).bls_key.hex(), network_key=seat_of(FOUNDER).network_key.hex()
)
NETWORK = NetworkConfig(
    name="alone", chain_id=1, contract="0x" + "22" * 20, token="0x" + "33" * 20,
    genesis_time_ms=time.time_ns() // 1_000_000 - 60_000, validators=(ENTRY,), markets=DEFAULT_MARKETS,
    min_interval_ms=1, delta_ms=20, epoch_length_ms=61_000, accounts_max=1 << 10, orders_max=1 << 10,
    positions_max=1 << 10,
)  # fmt: skip
CONFIG = NodeConfig(
    index=0, rpc_urls=("http://127.0.0.1:1",), listen_port=1, api_port=2, peers=(PeerAddress("127.0.0.1", 1),),
    price_source="path:seed=1,noise_bps=2", metrics_port=0,
)  # fmt: skip
STAYS = Seats(Committee(2, (seat_of(FOUNDER),)), (0,))
LEAVES = Seats(Committee(2, (seat_of(NEWCOMER),)), (1,))


@contextmanager
def open_node(folder: Path, keys: Keys = FOUNDER, number: int = 0, signer: str = SIGNER_INSIDE) -> Iterator[Node]:
    """A whole validator without its tasks, started where its disk says."""
    (folder / "data").mkdir(parents=True, exist_ok=True)
    node = Node(Home(folder), NETWORK, replace(CONFIG, index=number, signer=signer), keys, is_warm=True)
    try:
        node.agreement.start(find_last_final(node.store, node._position, node.executor.final.height))
        yield node
    finally:
        node._journal.close()
        node.store.close()
        node._signer.close()


def work(node: Node) -> None:
    """One more thing to agree about, and a tick."""
    now_ms = time.time_ns() // 1_000_000
    report = node._network_signer.sign_price_report(node.config.index, now_ms, node._price_feed.feeds(now_ms, []))
    node.reports.add(report, now_ms)
    node.agreement.tick()


def run_until(node: Node, epoch: int, blocks: int) -> None:
    """Until so many blocks of an epoch are final."""
    give_up_s = time.monotonic() + LIMIT_S
    while True:
        final = node.store.final(node.executor.final.height)
        root = node.agreement.holder.current.core.config.genesis.height
        if node.agreement.epoch == epoch and final is not None and final.block.header.height >= root + blocks:
            return
        assert time.monotonic() < give_up_s, f"epoch {node.agreement.epoch} height {node.executor.final.height}"
        work(node)


@pytest.fixture(scope="module")
def veteran(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """A node that has agreed in two epochs."""
    with open_node(tmp_path_factory.mktemp("veteran")) as node:
        run_until(node, 1, 2)
        node.agreement.appoint(STAYS)
        run_until(node, 2, 3)
        yield node


def test_an_epoch_is_sealed_in_time_and_the_next_goes_on_where_it_ended(veteran: Node) -> None:
    seal = veteran.store.seal(1)
    assert seal is not None
    finals = list(veteran.store.finals(1, 10_000))
    assert [final.block.header.height for final in finals] == list(range(1, len(finals) + 1))
    sealing = [final.block.header for final in finals if final.block.header.next_committee_hash != ZERO_HASH]
    assert [header.height for header in sealing] == [seal.height]
    assert sealing[0].next_committee_hash == STAYS.committee.hash()
    assert sealing[0].timestamp_ms >= NETWORK.genesis_time_ms + NETWORK.epoch_length_ms
    assert {final.block.header.epoch for final in finals[: seal.height]} == {1}
    assert {final.block.header.epoch for final in finals[seal.height :]} == {2}
    assert finals[seal.height].block.header.parent_hash == finals[seal.height - 1].block.hash()


def test_a_trader_who_knows_genesis_alone_follows_by_what_the_node_answers(veteran: Node) -> None:
    verifier = ChainVerifier(LightChain(veteran.domain, NETWORK.founders()))
    asked = []

    def answer(call: Call) -> dict[str, Any]:
        asked.append(call.method)
        if call.method == "public/x_get_committee":
            succession = veteran.service.explorer.succession(call.params["epoch"])
            assert succession is not None
            return json.loads(json.dumps(succession.to_json()))
        finalised = veteran.service.certificate(call.params["height"])
        assert finalised is not None
        return present.certificate(finalised)

    def prove(height: int) -> int:
        asking = prove_height(verifier, height)
        try:
            call = next(asking)
            while True:
                call = asking.send(answer(call))
        except StopIteration as done:
            return int(done.value)

    seal = veteran.store.seal(1)
    newest = veteran.store.newest_direct()
    assert seal is not None and newest is not None and newest.block.header.epoch == 2
    assert prove(newest.block.header.height) == 1
    assert asked == ["public/x_get_certificate", "public/x_get_committee"] and verifier.newest_epoch == 2
    assert prove(seal.height) >= 1 and prove(1) >= 1, "the end of the first epoch, and its beginning"
    assert veteran.service.explorer.succession(3) is None


def catch_up(late: Node, veteran: Node) -> None:
    """With ranges, as far as they go."""
    sync = RangeSync(
        quorum_of=late.roster.quorum, head=lambda: Head(late.executor.final.height, late.executor.final_hash),
        is_genuine=late.agreement.is_genuine, is_held=lambda _: False,
    )  # fmt: skip
    todo = [*sync.on_peer(0, 0, veteran.executor.final.height)]
    while todo:
        match todo.pop(0):
            case Ask(peer, request):
                todo += sync.on_response(0, peer, answer_range(veteran.store, request))
            case Accept() as accepted:
                late.accept_range(accepted)
                todo += sync.on_head(0)
            case Wake():
                pass
            case other:
                raise AssertionError(other)
    late.agreement.tick()


def test_a_late_node_catches_up_across_the_end_of_an_epoch(tmp_path: Path, veteran: Node) -> None:
    veteran.agreement.tick()
    with open_node(tmp_path, NEWCOMER, 1) as late:
        assert late.agreement.core.config.me is None
        late.roster.learn(STAYS)
        late.agreement.appoint(STAYS)
        catch_up(late, veteran)
        assert late.executor.final_hash == veteran.executor.final_hash
        assert late.agreement.epoch == 2 and late.store.seal(1) == veteran.store.seal(1)
        assert late.agreement.core.final_hash == veteran.executor.final_hash


def test_a_late_node_waits_at_the_end_of_an_epoch_for_the_registry(tmp_path: Path, veteran: Node) -> None:
    """Also over a restart: who agrees next is not known from the blocks."""
    seal = veteran.store.seal(1)
    assert seal is not None
    with open_node(tmp_path, NEWCOMER, 1) as late:
        catch_up(late, veteran)
        assert late.agreement.core.is_closed and late.executor.final.height == seal.height
    with open_node(tmp_path, NEWCOMER, 1) as again:
        assert again.agreement.core.is_closed and again.agreement.epoch == 1
        again.roster.learn(STAYS)
        again.agreement.appoint(STAYS)
        again.agreement.tick()
        assert again.agreement.epoch == 2
        catch_up(again, veteran)
        assert again.executor.final_hash == veteran.executor.final_hash


def test_a_range_is_of_one_epoch_and_proves_its_end(veteran: Node) -> None:
    seal = veteran.store.seal(1)
    assert seal is not None
    answer = answer_range(veteran.store, RangeRequest(max(1, seal.height - 3), 64))
    assert answer.certificate is not None and answer.certificate.epoch == 1
    assert {entry.block.header.epoch for entry in answer.blocks} == {1}
    assert answer.blocks[-1].block.hash() == answer.certificate.header_hash
    assert seal.height in [entry.block.header.height for entry in answer.blocks]


def test_a_restart_finds_its_epoch_and_the_one_before(tmp_path: Path) -> None:
    with open_node(tmp_path) as node:
        node.agreement.appoint(STAYS)
        run_until(node, 2, 2)
        height = node.executor.final.height
    with open_node(tmp_path) as again:
        assert (again.agreement.epoch, again.executor.final.height) == (2, height)
        assert again.agreement.core.final_header.height == height
        run_until(again, 2, height - again.agreement.core.config.genesis.height + 2)


def test_who_leaves_hands_over_and_says_nothing_more(tmp_path: Path) -> None:
    name = LEAVES.committee.hash()
    with open_node(tmp_path) as node:
        node.agreement.appoint(LEAVES)
        node.agreement.tick()
        signature = crypto.sign(NEWCOMER.bls, ready_digest(node.domain, 2, name))
        node.agreement.receive(1, encode_message(Ready(2, name, 0, signature)))
        run_until(node, 2, 0)
        assert node.agreement.core.config.me is None
        height = node.executor.final.height
        assert node.may_author(0) and node.may_author(1), "who has left is heard for an epoch"
    with open_node(tmp_path) as again:
        assert (again.agreement.epoch, again.executor.final.height) == (2, height)
        work(again)
        assert again.executor.final.height == height
        assert find_handover(again.store, 1, LEAVES) is not None


def test_without_the_next_committees_word_an_epoch_goes_on(tmp_path: Path) -> None:
    with open_node(tmp_path) as node:
        node.agreement.appoint(LEAVES)
        run_until(node, 1, 5)
        final = node.store.final(node.executor.final.height)
        assert final is not None
        assert final.block.header.timestamp_ms > NETWORK.genesis_time_ms + NETWORK.epoch_length_ms
        assert node.store.seal(1) is None


def make_offer(veteran: Node, folder: Path) -> tuple[SnapshotOffer, bytes]:
    """Of the newest block, as the veteran would make it."""
    state = veteran.executor.final.state
    path = write_snapshot(folder, state)
    offer = SnapshotShelf(folder).offer(veteran.store, 0, 0)
    assert offer is not None and offer.block.header.height == state.height
    return offer, path.read_bytes()


def test_a_snapshot_of_a_later_epoch_starts_a_node_that_was_never_in_the_first(tmp_path: Path, veteran: Node) -> None:
    veteran.agreement.tick()
    offer, data = make_offer(veteran, tmp_path / "offered")
    with open_node(tmp_path / "late", NEWCOMER, 1) as late:
        late.roster.learn(STAYS)
        assert find_root_fault(2, offer.root, late.roster, late.agreement.is_genuine) == ""
        assert is_state_of(data, late.params, offer.block.header)
        with pytest.raises(Restart):
            late.adopt_snapshot(offer, data)
    with open_node(tmp_path / "late", NEWCOMER, 1) as again:
        assert (again.agreement.epoch, again.executor.final_hash) == (2, offer.block.hash())
        assert again.agreement.core.final_hash == offer.block.hash()
        assert again.agreement.core.config.genesis == veteran.agreement.core.config.genesis
        for _ in range(3):
            work(veteran)
        catch_up(again, veteran)
        assert again.executor.final_hash == veteran.executor.final_hash


def test_a_wrong_root_is_found_out(tmp_path: Path, veteran: Node) -> None:
    offer, _ = make_offer(veteran, tmp_path)
    root = offer.root
    assert root is not None
    judge = veteran.agreement.is_genuine
    other_block = veteran.store.final(root.block.header.height - 1)
    assert other_block is not None
    certificate = root.certificate
    rows = [
        (2, None, "an epoch and a root that do not fit each other"),
        (1, root, "an epoch and a root that do not fit each other"),
        (2, replace(root, block=other_block.block), "a root that does not name the epoch's committee"),
        (2, replace(root, trailing=(other_block.block,)), "a root with blocks that are no trailing ones"),
        (2, replace(root, certificate=replace(certificate, view=certificate.view + 1)), "a root without a certificate"),
        (2, replace(root, certificate=replace(certificate, bitmap=b"\0")), "a root without a certificate"),
        (2, replace(root, certificate=replace(certificate, signature=bytes(96))), "a root with a forged certificate"),
        (2, root, ""),
    ]
    for epoch, claimed, fault in rows:
        assert find_root_fault(epoch, claimed, veteran.roster, judge) == fault
    assert decode_frame(FrameType.SNAPSHOT_OFFER, encode_frame(offer)[5:]) == offer
