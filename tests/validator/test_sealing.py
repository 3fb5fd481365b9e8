"""When our clients' messages are sealed, and what a batch of ours keeps of them."""

import numpy as np
import pytest
import trio
import trio.testing

from engine.commands import CANCEL_ALL, Action, Command, command_id, compute_action_ids
from engine.payload import BATCH_ACTIONS_MAX, BATCH_BYTES_MAX, BATCH_MESSAGES_MAX
from net.identity import NetworkSigner
from tests.validator.chainlet import DOMAIN, EXPIRY_MS, NETWORK_KEYS, OWNERS, SEEDS, SEPARATOR, TRADERS
from validator.batches import BatchPool, check_batch
from validator.own_batches import OwnBatches
from validator.sealing import SEAL_INTERVAL_MS, SEALS_SAVED_MAX, Sealer, SealPace, Taken, take_again


def make_sealer():
    return Sealer(0, NetworkSigner(SEEDS[0], DOMAIN), SEPARATOR, 1)


def take(nonces, width=1):
    """Messages as the ingress gives them, from connection 7."""
    commands = [
        Command(OWNERS[0], nonce, EXPIRY_MS, (Action(CANCEL_ALL, market=0),) * width).signed(TRADERS[0], SEPARATOR)
        for nonce in nonces
    ]
    sealer = make_sealer()
    for command in commands:
        sealer.add(command.encode(), OWNERS[0])
    taken = take_again(sealer.seal())
    names = np.frombuffer(b"".join(command_id(item, SEPARATOR) for item in commands), np.uint8).reshape(-1, 32)
    columns = (taken.data, taken.headers, taken.actions, taken.signers, taken.action_ids)
    return Taken(*columns, names, np.full(len(names), 7))


@pytest.mark.parametrize(("width", "count"), [(1, 252), (1, 256), (3, 172), (100, 5), (128, 4)])
def test_a_sealed_batch_is_what_another_node_makes_of_its_bytes(width, count):
    made = make_sealer()
    parts = [take(range(first, first + 4), width) for first in range(1, count + 1, 4)]
    for part in parts:
        made.add_taken(part)
    sealed = []
    while (checked := made.seal()) is not None:
        sealed.append(checked)
    assert made.waiting_count == 0
    assert b"".join(item.batch.commands for item in sealed) == b"".join(part.data for part in parts)
    for item in sealed:
        assert len(item.messages) <= BATCH_MESSAGES_MAX and len(item.actions) <= BATCH_ACTIONS_MAX
        assert len(item.batch.commands) <= BATCH_BYTES_MAX
        other = check_batch(item.batch, NETWORK_KEYS[0], DOMAIN, SEPARATOR)
        assert other is not None and other.batch_hash == item.batch_hash
        for name in ("messages", "actions", "signers", "ids"):
            assert getattr(other, name).tobytes() == getattr(item, name).tobytes(), name
        names = [name.tobytes() for name in item.sources.message_ids]
        ids = b"".join(action_id for name in names for action_id in compute_action_ids(name, width))
        assert ids == item.ids.tobytes() and set(item.sources.origins.tolist()) == {7}


def test_a_batch_is_held_by_what_it_is_and_not_by_its_number():
    pool, sealer = BatchPool(1), make_sealer()
    sealer.add_taken(take([1]))
    checked = sealer.seal()
    pool.add(checked)
    forged = type(checked.batch)(0, 1, checked.batch.commands, bytes(64))
    assert pool.holds(checked.batch) and not pool.holds(forged)


def test_a_lone_batch_goes_at_once_and_a_flow_at_the_beat():
    pace = SealPace(0)
    for _ in range(SEALS_SAVED_MAX):
        assert pace.wait_ms(1_000_000) == 0
        pace.on_sealed()
    assert pace.wait_ms(1_000_000) == SEAL_INTERVAL_MS
    assert 0 < pace.wait_ms(1_000_010) < SEAL_INTERVAL_MS
    assert pace.wait_ms(1_000_000 + SEAL_INTERVAL_MS) == 0


def test_a_busy_exchanges_batches_go_twice_a_breath():
    pace = SealPace(0)
    for _ in range(SEALS_SAVED_MAX):
        pace.wait_ms(1_000_000, breath_ms=160)
        pace.on_sealed()
    assert pace.wait_ms(1_000_000, breath_ms=160) == 80
    assert pace.wait_ms(1_000_000, breath_ms=60) == SEAL_INTERVAL_MS  # a short breath changes nothing
    assert pace.wait_ms(1_000_040, breath_ms=160) == 40
    assert pace.wait_ms(1_000_080, breath_ms=160) == 0


def test_nodes_beat_differently():
    waits = []
    for author in range(4):
        pace = SealPace(author)
        for _ in range(SEALS_SAVED_MAX):
            pace.wait_ms(1_000_000)
            pace.on_sealed()
        waits.append(pace.wait_ms(1_000_000))
    assert len(set(waits)) == 4


class TrioClock:
    """The node's clock is the test's."""

    def monotonic_ms(self):
        return int(trio.current_time() * 1000)


async def test_what_waits_is_sealed_in_order_and_full_batches_do_not_wait(autojump_clock):
    sent = []
    own = OwnBatches(
        0, make_sealer(), TrioClock(), lambda checked: sent.append((trio.current_time(), checked)), lambda: 0
    )
    async with trio.open_nursery() as nursery:
        nursery.start_soon(own.run)
        begin_s = trio.current_time()
        own.add(take([1]))
        await trio.testing.wait_all_tasks_blocked()
        assert [len(checked.messages) for _, checked in sent] == [1] and own.waiting_count == 0
        for nonce in range(2, 12):
            own.add(take([nonce]))
            await trio.sleep(0.01)
        await trio.sleep(1)
        assert [nonce for _, checked in sent for nonce in checked.messages["nonce"].tolist()] == list(range(1, 12))
        assert len(sent) <= 2 + SEALS_SAVED_MAX + 0.11 / (SEAL_INTERVAL_MS / 1000)
        sent.clear()
        full_s = trio.current_time()
        for first in range(100, 100 + 8 * 128, 128):
            own.add(take(range(first, first + 128)))
        await trio.testing.wait_all_tasks_blocked()
        assert [len(checked.messages) for _, checked in sent] == [256] * 4
        assert {time_s for time_s, _ in sent} == {full_s} and full_s > begin_s
        own.put_back([sent[0][1]])
        await trio.sleep(1)
        assert sent[-1][1].batch.commands == sent[0][1].batch.commands and sent[-1][1].batch.sequence > 4
        nursery.cancel_scope.cancel()
