"""How fast the engine is here: `python -m tests.engine.bench_engine` prints a table, writes build/results/bench.json.

Thread CPU time, median of several rounds after a warm-up. Compare ratios, not milliseconds, between machines.
"""

import json
import random
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from engine.apply import BlockInput, execute
from engine.commands import BUY, CANCEL_ALL, IMMEDIATE_OR_CANCEL, POST_ONLY, SELL, WITHDRAW, Command
from engine.leaves import update_tree
from engine.state import EngineState, decode_snapshot, encode_snapshot, genesis
from engine.warm import warm
from tests.engine.blocks import FOREVER_MS, START_MS, USD, batch, block, deposit, make_params, place, reports
from tests.reference.engine import Reference

ACCOUNTS = 1000
MARKS = (500_000, 300_000)


def owner_of(number: int) -> bytes:
    return (0xFACE << 32 | number).to_bytes(20, "big")


def mixed_commands(mix: random.Random, nonces: list[int], count: int, accounts: int) -> list[Command]:
    """60 % resting orders, 20 % takers, 12 % cancel-all, 8 % withdrawals, of random accounts."""
    made = []
    for _ in range(count):
        number = mix.randrange(accounts)
        nonces[number] += 1
        owner, nonce, market, draw = owner_of(number), nonces[number], mix.randrange(2), mix.random()
        side = mix.choice((BUY, SELL))
        away_ticks = mix.randrange(1, 400) * (-1 if side == BUY else 1)
        if draw < 0.6:
            made.append(place(owner, nonce, side, MARKS[market] + away_ticks, 5, market, POST_ONLY))
        elif draw < 0.8:
            made.append(place(owner, nonce, side, MARKS[market] - away_ticks, 8, market, IMMEDIATE_OR_CANCEL))
        elif draw < 0.92:
            made.append(Command.of(CANCEL_ALL, owner, nonce, FOREVER_MS, market=market))
        else:
            made.append(Command.of(WITHDRAW, owner, nonce, FOREVER_MS, size_lots=USD))
    return made


def blocks_of(start: EngineState, mix: random.Random, nonces: list[int], count: int, size: int, accounts: int) -> list:
    """`count` blocks of `size` commands by two authors, prices in every one; heights continue from `start`."""
    made = []
    height, time_ms, sequence = start.height, start.time_ms, int(start.batch_sequences.max())
    for _ in range(count):
        height, time_ms, sequence = height + 1, time_ms + 200, sequence + 1
        commands = mixed_commands(mix, nonces, size, accounts)
        half = size // 2
        batches = (batch(0, sequence, commands[:half]), batch(1, sequence, commands[half:]))
        moved = (price + mix.randrange(-50, 50) for price in MARKS)
        made.append(BlockInput(height, time_ms, bytes(32), reports(time_ms, *moved), (), 0, batches))
    return made


def funded(engine, accounts: int, execute_block: Callable):
    """An engine with funded accounts, whichever of the two it is."""
    height, time_ms = 0, START_MS
    for first in range(0, accounts, 50):
        height, time_ms = height + 1, time_ms + 200
        inbox = tuple(deposit(at, owner_of(at), 50_000 * USD) for at in range(first, min(first + 50, accounts)))
        engine = execute_block(engine, BlockInput(height, time_ms, bytes(32), (), inbox, 0, ()))
    return engine


def measure_ms(action: Callable[[], object], rounds: int) -> float:
    """Median thread CPU time of one call in milliseconds."""
    taken = []
    for _ in range(rounds):
        started = time.thread_time_ns()
        action()
        taken.append(time.thread_time_ns() - started)
    return statistics.median(taken) / 1e6


def run_chain(state: EngineState, blocks: list) -> tuple[EngineState, list[float]]:
    taken = []
    for made in blocks:
        started = time.thread_time_ns()
        state, _ = execute(state, made)
        taken.append((time.thread_time_ns() - started) / 1e6)
    return state, taken


def compare_with_reference(accounts: int, blocks: int, size: int) -> tuple[float, float]:
    """Commands per second of both engines on the same small exchange; their last roots must be equal."""
    params = make_params()
    fast = funded(genesis(params, START_MS), accounts, lambda engine, made: execute(engine, made)[0])
    slow = funded(Reference(params, START_MS), accounts, lambda engine, made: engine.execute(made))
    chain = blocks_of(fast, random.Random(5), [0] * accounts, blocks, size, accounts)
    fast, fast_ms = run_chain(fast, chain)
    started = time.thread_time_ns()
    for made in chain:
        slow = slow.execute(made)
        words = slow.commitment()
    slow_ms = (time.thread_time_ns() - started) / 1e6
    if words[4] != fast.state_root:
        raise SystemExit("the two engines disagree: the figures mean nothing")
    return blocks * size / sum(fast_ms) * 1000, blocks * size / slow_ms * 1000


def main() -> None:
    started = time.perf_counter()
    warm()
    figures: dict[str, float] = {"warm_s": time.perf_counter() - started}
    mix, nonces = random.Random(1), [0] * ACCOUNTS
    state = funded(genesis(make_params(), START_MS), ACCOUNTS, lambda engine, made: execute(engine, made)[0])
    state, _ = run_chain(state, blocks_of(state, mix, nonces, 8, 500, ACCOUNTS))
    state, taken = run_chain(state, blocks_of(state, mix, nonces, 30, 500, ACCOUNTS))
    figures["block_500_commands_ms"] = statistics.median(taken)
    figures["commands_per_s"] = 500_000 / statistics.median(taken)
    empty = block(state)
    figures["empty_block_ms"] = measure_ms(lambda: execute(state, empty), 100)
    figures["copy_ms"] = measure_ms(state.copy, 100)
    scratch = state.copy()
    figures["root_update_all_positions_ms"] = measure_ms(lambda: update_tree(scratch.tables, True), 50)
    data = encode_snapshot(state)
    figures["snapshot_bytes"] = len(data)
    figures["snapshot_encode_ms"] = measure_ms(lambda: encode_snapshot(state), 5)
    figures["snapshot_decode_ms"] = measure_ms(lambda: decode_snapshot(data, state.params), 5)
    fast, slow = compare_with_reference(accounts=40, blocks=10, size=60)
    figures |= {"small_exchange_commands_per_s": fast, "reference_commands_per_s": slow, "ratio": fast / slow}
    for name, value in figures.items():
        print(f"{name:32} {value:14,.3f}")
    path = Path("build/results/bench.json")
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(figures, indent=1) + "\n")


if __name__ == "__main__":
    main()
