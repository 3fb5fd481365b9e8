"""Compiles (or loads from cache) every kernel by running a small exchange once, so that the first real block is as
fast as the rest. The compiled code is cached per function; numba does not notice an edit in another file, so the
owner of the process keeps one cache folder per state of the sources.
"""

from engine.apply import BatchInput, BlockInput, execute
from engine.commands import BUY, CANCEL_ALL, PLACE, SELL, WITHDRAW, Command
from engine.intake import decode_batch
from engine.params import DEFAULT_MARKETS, ExchangeParams
from engine.payload import KIND_DEPOSIT, InboxEntry, PriceReport
from engine.signatures import verify_messages
from engine.snapshot import decode_snapshot, encode_snapshot
from engine.state import genesis
from engine.tree import account_proof
from engine.views import account_summary


def warm() -> bytes:
    """Run two blocks with deposits, prices, trades, a cancel, a withdrawal and a snapshot; returns the last root."""
    params = ExchangeParams(DEFAULT_MARKETS, bytes(20), 1, 1, bytes(20))
    owners = [bytes([number]) * 20 for number in (1, 2)]
    inbox = tuple(
        InboxEntry(index, KIND_DEPOSIT, bytes(20), owner, 0, owner, 10**10, bytes(32), 0)
        for index, owner in enumerate(owners)
    )
    report = PriceReport(0, 1_000, tuple(500_000 * market.tick_e8 for market in params.markets), bytes(64))
    commands = [
        Command.of(PLACE, owners[0], 1, 10**9, side=SELL, price_ticks=500_000, size_lots=2),
        Command.of(PLACE, owners[1], 1, 10**9, side=BUY, price_ticks=500_000, size_lots=1),
        Command.of(CANCEL_ALL, owners[0], 2, 10**9),
        Command.of(WITHDRAW, owners[1], 2, 10**9, size_lots=1),
    ]
    messages, actions = decode_batch(b"".join(command.encode() for command in commands))
    batch = BatchInput(0, 1, messages, actions, messages["owner"].copy())
    verify_messages(messages, actions, bytes(32))
    state = genesis(params, 1)
    state, _ = execute(state, BlockInput(1, 1_000, bytes(32), (report,), inbox, 0, ()))
    state, _ = execute(state, BlockInput(2, 1_001, bytes(32), (), (), 0, (batch,)))
    state = decode_snapshot(encode_snapshot(state), params)
    account_proof(state, account_summary(state, 0).index)
    return state.state_root
