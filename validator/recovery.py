"""From the disk to a running state: newest snapshot, then every finalised block after it, each root compared."""

import logging
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from consensus.messages import ZERO_HASH, Block, Commitment, Header
from engine.apply import execute
from engine.params import ExchangeParams
from engine.payload import Batch, Payload
from engine.root import commitment_of
from engine.state import EngineState
from validator.agreement import Stop
from validator.batches import BatchPool, CheckedBatch, make_checked
from validator.executor import Executor, RunBlock, to_commitment
from validator.store import FinalBlock, Store

log = logging.getLogger("hansa.recovery")
REPLAY_BLOCKS = 256


@dataclass(frozen=True, slots=True)
class Recovered:
    """Where the node stands: last final block and its state, and the batches that no final block carries yet."""

    final_hash: bytes
    state: EngineState
    unplaced: list[CheckedBatch]


def make_genesis_header(state: EngineState, epoch: int) -> Header:
    """Height 0, which nobody votes for: every node computes it from genesis.toml."""
    return Header(
        epoch=epoch, view=0, height=0, parent_hash=ZERO_HASH, parent_view=0, proposer=0, timestamp_ms=state.time_ms,
        payload_root=ZERO_HASH, next_committee_hash=ZERO_HASH,
        commitment=to_commitment(commitment_of(state)).encode(),
    )  # fmt: skip


def recover(
    snapshots: Iterable[EngineState], params: ExchangeParams, store: Store, genesis_state: EngineState,
    genesis: Header, separator: bytes, run_block: RunBlock = execute,
    count_members: Callable[[int], int] | None = None,
) -> Recovered:  # fmt: skip
    """`snapshots`: the readable ones, newest first. `count_members`: see `Executor`. Raises `Stop` when a replayed
    block does not give the root that the committee certified.
    """
    state, final_hash = genesis_state, genesis.hash()
    for snapshot in snapshots:
        start = store.final(snapshot.height)
        if start is not None and Commitment.decode(start.block.header.commitment).state_root == snapshot.state_root:
            state, final_hash = snapshot, start.block.hash()
            break
    pool = BatchPool(params.validator_count)
    executor = Executor(params, pool, final_hash, state, run_block, count_members)
    while True:
        finals = list(store.finals(executor.final.height + 1, REPLAY_BLOCKS))
        # A gap: a fetched snapshot bridged it, and is damaged now. What lies in it is fetched again.
        finals = [
            final for at, final in enumerate(finals, executor.final.height + 1) if final.block.header.height == at
        ]
        for final in finals:
            # The state to begin with is the caller's; those in between are nobody's.
            run = executor.execute if executor.final.state is state else executor.advance
            _replay(executor, pool, store, final, separator, run)
        if len(finals) < REPLAY_BLOCKS:
            break
    if executor.final.height:
        log.info("node.recovered height=%d from_snapshot=%d", executor.final.height, state.height)
    unplaced = [make_checked(Batch.decode(data), separator) for data in store.unplaced_batches()]
    cursors = executor.final.state.batch_sequences.tolist()
    unplaced = [checked for checked in unplaced if checked.batch.sequence > cursors[checked.batch.author]]
    return Recovered(executor.final_hash, executor.final.state, unplaced)


def _replay(
    executor: Executor, pool: BatchPool, store: Store, final: FinalBlock, separator: bytes,
    run: Callable[[Block], bytes | None],
) -> None:  # fmt: skip
    for _, _, batch_hash in Payload.decode(final.block.payload).batch_refs:
        pool.add_named(make_checked(store.batch_of(batch_hash), separator))
    commitment = run(final.block)
    if commitment != final.block.header.commitment:
        raise Stop(
            f"replaying block {final.block.header.height} gives another root than the committee certified: "
            "the stored state or this engine is not the committee's; move the data folder away and sync afresh"
        )
    executor.finalise(final.block.hash())
    pool.drop_through(executor.final.state.batch_sequences.tolist())
