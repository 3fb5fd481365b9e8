"""Batches: checked once, named fairly, never overtaking their author's own order."""

import pytest
from coincurve import PrivateKey

from consensus.messages import compute_domain
from engine.commands import (
    ACTIONS_MAX,
    CANCEL_ALL,
    Action,
    Command,
    address_of,
    command_id,
    compute_domain_separator,
)
from engine.payload import BATCH_ACTIONS_MAX, BATCH_MESSAGES_MAX, BATCH_REFS_MAX, Batch
from net.identity import NetworkSigner, derive_network_key
from validator.batches import PENDING_BATCHES_PER_AUTHOR_MAX, BatchPool, check_batch
from validator.sealing import Sealer

CONTRACT = b"\7" * 20
DOMAIN = compute_domain(31337, CONTRACT)
SEPARATOR = compute_domain_separator(31337, CONTRACT)
SEEDS = [bytes([i + 1]) * 32 for i in range(3)]
NETWORK_KEYS = tuple(derive_network_key(seed) for seed in SEEDS)
TRADER = PrivateKey(b"\5" * 32)
OWNER = address_of(TRADER.public_key)


def command(nonce):
    return Command.of(CANCEL_ALL, OWNER, nonce, 1 << 40).signed(TRADER, SEPARATOR)


def sealer(author, first_sequence=1):
    return Sealer(author, NetworkSigner(SEEDS[author], DOMAIN), SEPARATOR, first_sequence)


def sealed(author, sequence):
    made = sealer(author, sequence)
    made.add(command(sequence).encode(), OWNER)
    return made.seal()


def test_a_sealed_batch_passes_the_check_of_every_other_node():
    made = sealer(1)
    commands = [command(nonce) for nonce in (1, 2)]
    assert not any(made.add(item.encode(), OWNER) for item in commands)
    own = made.seal()
    assert made.seal() is None
    checked = check_batch(Batch.decode(own.batch.encode()), NETWORK_KEYS[own.batch.author], DOMAIN, SEPARATOR)
    assert [row.tobytes() for row in checked.signers] == [OWNER, OWNER]
    assert checked.ids.tobytes() == b"".join(command_id(item, SEPARATOR) for item in commands) == own.ids.tobytes()
    assert checked.batch_hash == own.batch_hash


def test_a_batch_with_another_authors_signature_or_number_is_nobodys():
    batch = sealed(1, 1).batch
    for forged in (
        Batch(2, batch.sequence, batch.commands, batch.signature),
        Batch(1, batch.sequence + 1, batch.commands, batch.signature),
        Batch(1, batch.sequence, batch.commands, bytes(64)),
        Batch(9, batch.sequence, batch.commands, batch.signature),
    ):
        assert (
            check_batch(
                forged, NETWORK_KEYS[forged.author] if forged.author < len(NETWORK_KEYS) else None, DOMAIN, SEPARATOR
            )
            is None
        )


def test_a_tampered_command_is_not_its_owners_but_stays_in_the_batch():
    record = command(1).encode()
    nobody = Command.of(CANCEL_ALL, bytes(20), 1, 1).encode()
    batch = NetworkSigner(SEEDS[0], DOMAIN).sign_batch(0, 1, record[:60] + bytes(20) + record[80:] + nobody)
    checked = check_batch(batch, NETWORK_KEYS[0], DOMAIN, SEPARATOR)
    assert checked.signers[0].tobytes() != OWNER
    assert checked.signers[1].tobytes() == bytes(20)


def test_a_full_batch_asks_to_be_sealed():
    made = sealer(0)
    record = command(1).encode()
    assert [made.add(record, OWNER) for _ in range(BATCH_MESSAGES_MAX)].index(True) == BATCH_MESSAGES_MAX - 1


def test_messages_that_were_passed_by_are_sealed_again_first():
    made = sealer(0)
    for nonce in (1, 2):
        made.add(command(nonce).encode(), OWNER)
    passed_by = made.seal()
    made.add(command(3).encode(), OWNER)
    made.put_back([passed_by])
    assert made.waiting_count == 3
    again = made.seal()
    assert again.messages["nonce"].tolist() == [1, 2, 3] and (again.ids[:2] == passed_by.ids).all()
    assert made.waiting_count == 0 and made.seal() is None


def test_wide_messages_fill_a_batch_by_their_actions():
    wide = Command(OWNER, 1, 1 << 40, (Action(CANCEL_ALL),) * ACTIONS_MAX).signed(TRADER, SEPARATOR).encode()
    made = sealer(0)
    answers = [made.add(wide, OWNER) for _ in range(5)]
    assert answers == [False] * 3 + [True] * 2
    assert [len(made.seal().actions), len(made.seal().actions)] == [BATCH_ACTIONS_MAX, ACTIONS_MAX]


@pytest.fixture
def pool():
    return BatchPool(3)


def test_authors_take_turns_and_keep_their_order(pool):
    for author, sequence in ((0, 2), (0, 1), (1, 7), (0, 3)):
        assert pool.add(sealed(author, sequence))
    assert [ref[:2] for ref in pool.select([0, 0, 0])] == [(0, 1), (1, 7), (0, 2), (0, 3)]
    assert [ref[:2] for ref in pool.select([2, 7, 0])] == [(0, 3)]
    assert pool.has_work([2, 7, 0]) and not pool.has_work([3, 7, 0])


def test_a_block_names_at_most_its_limit(pool):
    for sequence in range(1, BATCH_REFS_MAX + 10):
        pool.add(sealed(2, sequence))
    assert len(pool.select([0, 0, 0])) == BATCH_REFS_MAX


def test_what_the_final_state_has_passed_is_dropped(pool):
    batches = [sealed(0, 1), sealed(0, 2), sealed(1, 1)]
    for checked in batches:
        pool.add(checked)
    assert pool.drop_through([1, 1, 0]) == [batches[0], batches[2]]
    assert pool.get(batches[0].batch_hash) is None and pool.get(batches[1].batch_hash) is batches[1]


def test_one_author_cannot_fill_the_pool_but_what_a_block_names_is_always_taken(pool):
    one = sealed(0, 1)
    for sequence in range(1, PENDING_BATCHES_PER_AUTHOR_MAX + 1):
        clone = type(one)(
            Batch(0, sequence, one.batch.commands, one.batch.signature),
            sequence.to_bytes(32, "big"),
            one.messages,
            one.actions,
            one.signers,
            one.ids,
        )
        assert pool.add(clone)
    late = sealed(0, 10_000)
    assert not pool.add(late)
    pool.add_named(late)
    assert pool.get(late.batch_hash) is late
    assert pool.command_count_of(0) == PENDING_BATCHES_PER_AUTHOR_MAX + 1
    pool.drop_through([10, 0, 0])
    assert pool.command_count_of(0) == PENDING_BATCHES_PER_AUTHOR_MAX - 9
    pool.drop_author(0)
    assert pool.command_count_of(0) == 0
