"""What a node tells of its past: exactly what its store has, in pieces, read beside the one who writes."""

from pathlib import Path

import cbor2
from certified_chain import DOMAIN, Chain, make_keyring

from consensus.messages import Block, Certificate, encode_message
from engine.commands import CANCEL_ALL, Command
from engine.payload import Batch, Payload
from net.feed.protocol import HISTORY_BLOCKS_MAX, HistoryRequest, SealRequest
from net.identity import NetworkSigner
from validator.feed import read_history, read_seal
from validator.light import LightChain
from validator.roster import Roster
from validator.store import Seal, Store

KEYS, NEXT_KEYS = make_keyring(4), make_keyring(7, epoch=2)
MESSAGE = Command.of(CANCEL_ALL, bytes(20), 1, 1).encode()


def make_batch(sequence: int) -> Batch:
    return NetworkSigner(KEYS.seeds[0], DOMAIN).sign_batch(0, sequence, MESSAGE)


def make_payload(batches: list[Batch]) -> bytes:
    refs = tuple((batch.author, batch.sequence, batch.hash()) for batch in batches)
    return Payload(refs, (), (), 7).encode()


def make_chain() -> Chain:
    chain = Chain(KEYS)
    for height in range(1, 31):
        chain.grow(make_payload([make_batch(2 * height), make_batch(2 * height + 1)]))
    chain.grow(make_payload([]), NEXT_KEYS.seats.committee.hash())
    chain.grow(b"", NEXT_KEYS.seats.committee.hash())  # trailing: carries the certificate of the one before
    return chain


CHAIN = make_chain()


def fill(path: Path, from_height: int = 1) -> Store:
    """The writer's own store, still open: every third block has a certificate of its own."""
    store = Store(path)
    for block in CHAIN.blocks[from_height - 1 : 31]:
        height = block.header.height
        certified = min(32, -(-height // 3) * 3)
        for batch in (make_batch(2 * height), make_batch(2 * height + 1)):
            store.put_batch(batch.hash(), batch.author, batch.sequence, batch.encode())
        store.put_final(block, CHAIN.certificate(certified))
    store.put_seal(1, Seal(31, CHAIN.certificate(32), (CHAIN.block(32),)))
    store.commit()
    return store


def test_pieces_follow_each_other_to_the_head(tmp_path: Path) -> None:
    writer = fill(tmp_path / "blocks.sqlite")
    reader = Store(tmp_path / "blocks.sqlite", is_read_only=True)
    found = []
    while piece := read_history(reader, HistoryRequest(1, len(found) + 1, 100, False)):
        assert len(piece) <= HISTORY_BLOCKS_MAX
        found += piece
    assert [event.height for event in found] == list(range(1, 32))
    assert [event.is_direct for event in found[:6]] == [False, False, True] * 2
    assert [event.block for event in found] == [encode_message(block) for block in CHAIN.blocks[:31]]
    assert all(event.bodies == () for event in found)
    reader.close()
    writer.close()


def test_bodies_are_the_batches_in_the_order_of_the_block(tmp_path: Path) -> None:
    writer = fill(tmp_path / "blocks.sqlite")
    (event,) = read_history(writer, HistoryRequest(1, 9, 1, True))
    assert event.bodies == (make_batch(18).encode(), make_batch(19).encode())
    writer.close()


def test_a_node_that_began_with_a_snapshot_has_nothing_below_it(tmp_path: Path) -> None:
    writer = fill(tmp_path / "blocks.sqlite", from_height=10)
    assert read_history(writer, HistoryRequest(1, 4, 16, True)) == ()
    assert [event.height for event in read_history(writer, HistoryRequest(1, 30, 16, True))] == [30, 31]
    writer.close()


def test_a_committee_comes_with_the_end_of_the_epoch_before(tmp_path: Path) -> None:
    writer = fill(tmp_path / "blocks.sqlite")
    roster = Roster([KEYS.seats, NEXT_KEYS.seats])
    first = read_seal(writer, roster, SealRequest(1, 1))
    assert (first.seats, first.headers) == (KEYS.seats.encode(), ())
    second = read_seal(writer, roster, SealRequest(2, 2))
    assert second.seats == NEXT_KEYS.seats.encode() and len(second.headers) == 2
    assert read_seal(writer, roster, SealRequest(3, 3)).seats == b""
    assert read_seal(writer, roster, SealRequest(3, 0)).seats == b""
    light = LightChain(DOMAIN, KEYS.seats)
    headers = [Block(CHAIN.block(31).header, b"").header, CHAIN.block(32).header]
    certificate = Certificate.from_cbor(cbor2.loads(second.certificate)[1])
    light.verify_succession(NEXT_KEYS.seats, headers, certificate)
    assert light.newest_epoch == 2
    writer.close()
