"""An audit follows the committees: each epoch's blocks count with that epoch's members, whom the seal below names."""

import sqlite3
from pathlib import Path

import pytest

from consensus import crypto
from consensus.committee import Committee
from consensus.messages import FINALIZE, ZERO_HASH, Block, Certificate, Header, Vote, keccak, vote_digest
from consensus.sealing import TRAILING_PAYLOAD
from engine.payload import Payload
from tests.validator.chainlet import DOMAIN, GENESIS_STATE, PARAMS, SECRETS, Chainlet
from tests.validator.test_audit import NETWORK
from validator.audit import Audit
from validator.audit_rows import Mismatch, Rows
from validator.audit_sources import find_sources
from validator.executor import to_commitment
from validator.ledger import Ledger
from validator.roster import Seats
from validator.stats import Stats
from validator.store import Seal, Store

FOUNDERS = NETWORK.founders()
# One member has left: indices are no numbers any more.
SECOND = Seats(Committee(2, FOUNDERS.committee.members[1:]), FOUNDERS.numbers[1:])
SEAL_HEIGHT, LAST_HEIGHT = 2, 4


def certify(header: Header, seats: Seats, signers: tuple[int, ...] = (0, 1, 2)) -> Certificate:
    """By members of this committee, named by their index in it."""
    digest = vote_digest(DOMAIN, FINALIZE, seats.epoch, header.view, header.hash())
    votes = [
        Vote(FINALIZE, seats.epoch, header.view, header.hash(), at, crypto.sign(SECRETS[seats.numbers[at]], digest))
        for at in signers
    ]
    keys = tuple(member.bls_key for member in seats.committee.members)
    certificate, _ = crypto.make_certificate(votes, keys, digest, seats.epoch, len(keys))
    assert certificate is not None
    return certificate


def extend(chain: Chainlet, epoch: int, view: int, parent_view: int, next_committee_hash: bytes = ZERO_HASH) -> Block:
    """An empty block in its place between the epochs."""
    head, payload = chain.head, Payload((), (), (), 1)
    executed = chain.executor.run(head.hash(), epoch, head.height + 1, head.timestamp_ms + 100, payload)
    assert executed is not None and executed.result is not None
    header = Header(
        epoch, view, head.height + 1, head.hash(), parent_view, 0, head.timestamp_ms + 100, keccak(payload.encode()),
        next_committee_hash, to_commitment(executed.result).encode(),
    )  # fmt: skip
    block = Block(header, payload.encode())
    assert chain.executor.execute(block) == header.commitment
    chain.executor.finalise(block.hash())
    chain.head = header
    return block


def make_store(folder: Path, named: Committee = SECOND.committee) -> Path:
    """Two blocks of epoch 1, the second a seal that a trailing block's certificate proves, and two of epoch 2."""
    chain, store = Chainlet(), Store(folder / "blocks.sqlite")
    ledger = Ledger(store, Stats(lambda: 0), GENESIS_STATE)

    def keep(block: Block, certificate: Certificate) -> None:
        ledger.apply(block, certificate, chain.executor.final, [], is_live=True)

    first = chain.fund()
    keep(first, certify(first.header, FOUNDERS))
    seal = extend(chain, 1, 2, 1, named.hash())
    above = seal.header
    trailing = Block(
        above._replace(
            view=4, height=above.height + 1, parent_hash=above.hash(), parent_view=above.view,
            timestamp_ms=above.timestamp_ms + 1, payload_root=keccak(TRAILING_PAYLOAD),
        ),
        TRAILING_PAYLOAD,
    )  # fmt: skip
    proof = certify(trailing.header, FOUNDERS)
    keep(seal, proof)
    store.put_seal(1, Seal(seal.header.height, proof, (trailing,)))
    store.put_seats(SECOND)
    for view, parent_view in ((1, 0), (3, 1)):
        block = extend(chain, 2, view, parent_view)
        keep(block, certify(block.header, SECOND))
    store.close()
    return folder / "blocks.sqlite"


def audit(database: Path) -> int:
    rows = Rows(database)
    try:
        return Audit(NETWORK, rows, None, find_sources([], PARAMS)).run(rows.heights()[1]).certificates
    finally:
        rows.close()


@pytest.fixture
def database(tmp_path: Path) -> Path:
    return make_store(tmp_path)


def test_two_epochs_agree(database: Path) -> None:
    assert audit(database) == LAST_HEIGHT


@pytest.mark.parametrize(
    ("sql", "height", "table"),
    [
        ("DELETE FROM committees", 3, "committees"),
        ("DELETE FROM seals", SEAL_HEIGHT, "blocks"),
        ("UPDATE seals SET height=1", SEAL_HEIGHT, "seals"),
        ("UPDATE seals SET trailing=x'80'", SEAL_HEIGHT, "blocks"),
        ("UPDATE seals SET trailing=x'ff'", SEAL_HEIGHT, "seals"),
        ("UPDATE committees SET seats=x'00'", 0, "committees"),
        ("UPDATE committees SET epoch=3", 0, "committees"),
    ],
)
def test_what_holds_the_epochs_together_is_needed(database: Path, sql: str, height: int, table: str) -> None:
    connection = sqlite3.connect(database, isolation_level=None)
    connection.execute(sql)
    connection.close()
    with pytest.raises(Mismatch) as caught:
        audit(database)
    assert (caught.value.height, caught.value.table) == (height, table), caught.value


def test_a_committee_that_the_seal_does_not_name_is_refused(tmp_path: Path) -> None:
    database = make_store(tmp_path, named=FOUNDERS.committee)
    with pytest.raises(Mismatch, match="not the members that the block below names for epoch 2"):
        audit(database)
