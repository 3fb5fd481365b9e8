"""What owners put into the inbox without asking anybody: any kind, only of their own accounts, never too many."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from settlement_world import FORCE_DEADLINE_S, HeaderFields, World

from contracts import digests
from contracts.chain_reader import ChainReader
from contracts.devchain.chain import funded_key
from contracts.forced import ForcedActions
from contracts.records import InboxRecord, Refused

VECTORS = json.loads((Path(__file__).parents[1] / "vectors" / "settlement.json").read_text())
KEY = b"\x6b" * 20
EXPIRY_MS = 1_900_000_000_000
NOBODY = bytes(20)
SPACING_MS = 100
BLOCK_ENTRIES, BLOCK_MS = 50, 5_000
DEADLINE_MS, FINALITY_MS = 60_000, 55_000
SENDS = {
    "cancel": lambda forced: forced.cancel(7),
    "cancel in a market": lambda forced: forced.cancel(7, 3),
    "close": lambda forced: forced.close(7, 3, 250, 499_999),
    "close all": lambda forced: forced.close(7, 3),
    "withdraw": lambda forced: forced.withdraw(7, forced.token, 12_345_678),
    "withdraw all": lambda forced: forced.withdraw(7, forced.token),
    "key": lambda forced: forced.set_key(7, KEY, 3, EXPIRY_MS, 5_000_000),
    "revoke": lambda forced: forced.set_key(7, KEY, 0, 0),
}


def owner_of(world: World, account: int = 5) -> ForcedActions:
    return ForcedActions(world.provider, world.deployment.settlement, funded_key(account))


def read_all(world: World) -> list[InboxRecord]:
    return world.contract.inbox_entries(0, 100, world.contract.latest_block())


def expected(forced: ForcedActions, name: str) -> tuple[int, bytes, int, bytes]:
    """Kind, token, amount, data of what `SENDS` sends: docs/protocol.md, section 4."""
    return {
        "cancel": (2, NOBODY, 0, digests.close_data(digests.ALL_MARKETS, 0)),
        "cancel in a market": (2, NOBODY, 0, digests.close_data(3, 0)),
        "close": (3, NOBODY, 250, digests.close_data(3, 499_999)),
        "close all": (3, NOBODY, 0, digests.close_data(3, 0)),
        "withdraw": (4, forced.token, 12_345_678, bytes(32)),
        "withdraw all": (4, forced.token, 0, bytes(32)),
        "key": (5, NOBODY, 5_000_000, digests.key_data(KEY, 3, EXPIRY_MS)),
        "revoke": (5, NOBODY, 0, digests.key_data(KEY, 0, 0)),
    }[name]


def test_every_kind_is_an_entry_of_its_sender(world: World) -> None:
    forced = owner_of(world)
    chain = bytes(32)
    for index, (name, send) in enumerate(SENDS.items()):
        sent = send(forced)
        entry = read_all(world)[-1]
        assert (sent.index, entry.index, entry.sender, entry.beneficiary) == (index, index, forced.owner, forced.owner)
        assert (entry.kind, entry.token, entry.amount, entry.data) == expected(forced, name)
        assert entry.subaccount == 7
        chain = digests.next_inbox_hash(
            chain, index, entry.kind, entry.token, entry.beneficiary, entry.subaccount, entry.sender, entry.amount,
            entry.data, entry.time_s,
        )  # fmt: skip
        assert entry.hash == chain == world.contract.inbox_hash(index + 1)
    assert world.contract.deposited_total(len(SENDS)) == 0


def test_the_reader_without_web3_reads_every_kind(world: World) -> None:
    forced = owner_of(world)
    world.deposit()
    for send in SENDS.values():
        send(forced)

    def ask(method: str, params: list[object]) -> object:
        return world.provider.make_request(method, params)["result"]  # type: ignore[arg-type]

    last = world.contract.latest_block()
    entries = ChainReader(ask, world.deployment.settlement).news(0, last).entries
    assert list(entries) == read_all(world) and len(entries) == 1 + len(SENDS)


@pytest.mark.parametrize(
    "entry", [item for item in VECTORS["inbox"] if item["kind"] > 1], ids=lambda item: item["name"]
)
def test_the_contract_hashes_the_golden_entries(world: World, entry: dict) -> None:
    """The contract's own fields (index, sender, time) are not the vector's; token, amount and data are."""
    forced = owner_of(world)
    names = {"cancel": "cancel", "close": "close", "withdraw": "withdraw", "key": "key"}
    SENDS[names[entry["name"]]](forced)
    made = read_all(world)[-1]
    kind, _, amount, data = expected(forced, entry["name"])
    assert (entry["kind"], entry["amount"], entry["data"]) == (kind, amount, data.hex())
    assert (made.kind, made.amount, made.data.hex()) == (entry["kind"], entry["amount"], entry["data"])


@pytest.mark.parametrize(
    ("function", "arguments", "reason"),
    [
        ("force_cancel", (2**32, 0), "force: subaccount too large"),
        ("force_cancel", (0, 2**32), "force: market too large"),
        ("force_close", (0, 2**32, 1, 1), "force: market too large"),
        ("force_close", (0, 1, 2**62, 1), "force: lots too large"),
        ("force_close", (0, 1, 1, 2**62), "force: limit too large"),
        ("force_withdraw", (0, NOBODY, 1), "force: token is zero"),
        ("force_withdraw", (0, KEY, 2**62), "force: amount too large"),
        ("force_key", (0, NOBODY, 1, EXPIRY_MS, 0), "force: key is zero"),
        ("force_key", (0, KEY, 8, EXPIRY_MS, 0), "force: no such scopes"),
        ("force_key", (0, KEY, 1, 2**62, 0), "force: expiry too large"),
        ("force_key", (0, KEY, 1, EXPIRY_MS, 2**62), "force: cap too large"),
    ],
)
def test_numbers_that_validators_could_not_carry_are_refused(
    world: World, function: str, arguments: tuple, reason: str
) -> None:
    """An entry that no payload can hold would end the exchange: it could never be consumed."""
    addresses = [world.contract._link.web3.to_checksum_address(a) if isinstance(a, bytes) else a for a in arguments]
    with pytest.raises(Refused, match=reason):
        world.contract._send(function, *addresses)
    assert world.contract.inbox_length() == 0


@pytest.mark.parametrize("name", ["cancel", "close", "withdraw", "key"])
def test_an_overdue_entry_of_any_kind_blocks_checkpoints_and_freezes(world: World, name: str) -> None:
    forced = owner_of(world)
    sent = SENDS[name](forced)
    world.pass_time(FORCE_DEADLINE_S - 60)
    assert not forced.status(sent.index).can_freeze
    with pytest.raises(Refused, match="freeze: too early"):
        world.contract.freeze()
    world.pass_time(61)
    assert forced.status(sent.index).can_freeze
    now_ms = forced.status(sent.index).now_s * 1000
    with pytest.raises(Refused, match="checkpoint: skips an overdue entry"):
        world.post(HeaderFields(timestamp_ms=now_ms))
    world.contract.freeze()
    for send in SENDS.values():
        with pytest.raises(Refused, match="force: frozen"):
            send(forced)
    assert forced.status(sent.index).is_frozen and not forced.status(sent.index).can_freeze


@pytest.mark.parametrize("name", ["cancel", "close", "withdraw", "key"])
def test_a_consumed_entry_of_any_kind_freezes_nothing(world: World, name: str) -> None:
    forced = owner_of(world)
    sent = SENDS[name](forced)
    assert not forced.status(sent.index).is_consumed and forced.status(1).entry is None
    world.post(world.consumed(HeaderFields(timestamp_ms=forced.status(0).now_s * 1000)))
    world.pass_time(FORCE_DEADLINE_S + 60)
    status = forced.status(sent.index)
    assert status.is_consumed and not status.can_freeze and status.checkpoint_height == 1
    with pytest.raises(Refused, match="freeze: too early"):
        world.contract.freeze()


def test_a_forced_entry_is_no_deposit_to_be_refunded(world: World) -> None:
    """A withdrawal that was asked for brought nothing, whatever its amount says."""
    forced = owner_of(world)
    world.deposit(500)
    sent = forced.withdraw(0, forced.token, 500)
    world.pass_time(FORCE_DEADLINE_S + 60)
    world.contract.freeze()
    for kind in (1, 4):
        with pytest.raises(Refused, match="refund: not this entry"):
            world.contract.refund(replace(read_all(world)[sent.index], kind=kind))
    world.contract.refund(read_all(world)[0])
    assert world.contract.token_balance(world.contract.address_bytes) == 0


def test_entries_are_refused_before_the_exchange_begins(open_world: World) -> None:
    with pytest.raises(Refused, match="force: not active"):
        owner_of(open_world).cancel(0)


def test_a_flood_moves_its_own_deadlines_and_nobody_is_crowded_out(world: World) -> None:
    """Each entry of a burst is due a spacing after the one before it, and never sooner than its own deadline."""
    forced, dues_ms = owner_of(world), []
    previous_ms = 0
    for _ in range(12):
        forced.cancel(0)
        entry = read_all(world)[-1]
        previous_ms = max((entry.time_s + FORCE_DEADLINE_S) * 1000, previous_ms + SPACING_MS)
        dues_ms.append(previous_ms)
    assert [world.contract._read("inbox_due_s", index) for index in range(12)] == [due // 1000 for due in dues_ms]
    world.pass_time(600)
    quiet = forced.cancel(0)
    assert quiet.due_s == read_all(world)[-1].time_s + FORCE_DEADLINE_S
    assert world.contract._read("inbox_due_s", 13) == 2**256 - 1


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(0, 40_000), st.integers(1, 400)), max_size=40))
def test_a_block_of_fifty_every_five_seconds_is_never_late(bursts: list[tuple[int, int]]) -> None:
    """The arithmetic of docs/protocol.md, section 4, with a deadline that is no longer than it must be."""
    now_ms = due_ms = 0
    waiting: list[tuple[int, int]] = []  # when it can first be taken, when it is due
    for pause_ms, count in bursts:
        now_ms += pause_ms
        for _ in range(count):
            due_ms = max(now_ms + DEADLINE_MS, due_ms + SPACING_MS)
            waiting.append((now_ms + FINALITY_MS, due_ms))
    block_ms = 0
    while waiting:
        block_ms += BLOCK_MS
        taken = [entry for entry in waiting[:BLOCK_ENTRIES] if entry[0] <= block_ms]
        assert all(block_ms <= due for _, due in taken)
        waiting = waiting[len(taken) :]


def test_what_a_forced_action_costs(world: World) -> None:
    """Two new storage words, one changed, one event; the first of all entries makes a third."""
    forced = owner_of(world)
    gas = [send(forced).gas_used for send in SENDS.values()]
    assert gas[0] < 99_000 and max(gas[1:]) < 82_000, gas
