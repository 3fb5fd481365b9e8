"""Runs the engine for agreement: one speculative state per block that may still become final.

A block is executed once, on the state of its parent. States of abandoned branches are dropped when a block becomes
final.

How many price reports a block needs depends on the committee of its epoch (ORA-1), and the engine has room for more
validators than ever agree at once: so it is given the exchange's parameters with that committee's size in them.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from consensus.messages import Block, Commitment, keccak
from engine.apply import BlockInput, BlockResult, execute
from engine.errors import PayloadInvalid
from engine.params import ExchangeParams
from engine.payload import DecodeError, Payload
from engine.root import StateCommitment
from engine.state import EngineState
from validator.batches import BatchPool
from validator.histogram import Histogram
from validator.payloads import decode_payload
from validator.spares import Spares

RunBlock = Callable[[EngineState, BlockInput], tuple[EngineState, BlockResult]]


@dataclass(frozen=True, slots=True)
class Executed:
    """A block's header fields that matter here, its post-state and what happened in it. `message_count`: the signatures
    that its orders took.
    """

    height: int
    time_ms: int
    parent_hash: bytes
    state: EngineState
    result: BlockResult | None
    payload: Payload | None
    message_count: int = 0


def to_commitment(result: BlockResult | StateCommitment) -> Commitment:
    """The ten words of the header that the engine answers for."""
    return Commitment(
        oracle_root=result.oracle_root,
        inbox_cursor=result.inbox_cursor,
        inbox_hash=result.inbox_hash,
        l1_block=result.l1_block,
        state_root=result.state_root,
        account_root=result.account_root,
        account_sums=result.account_sums,
        withdrawals_root=result.withdrawals_root,
        withdrawals_total_quote=result.withdrawals_total_quote,
        engine_version=result.engine_version,
    )


def _execute_in_place(parent: EngineState, block: BlockInput) -> tuple[EngineState, BlockResult]:
    return execute(parent, block, consume=True)


class Executor:
    """Speculative execution over a tree of blocks rooted in the last final one."""

    def __init__(
        self, params: ExchangeParams, pool: BatchPool, final_hash: bytes, state: EngineState,
        run_block: RunBlock = execute, count_members: Callable[[int], int] | None = None,
    ) -> None:  # fmt: skip
        """`count_members` of an epoch; None: in every epoch as many as there are validators."""
        self.params = params
        self._count_members = count_members or (lambda _: params.validator_count)
        self._params_by_count = {params.validator_count: params}
        self._pool = pool
        self._run_block = run_block
        self._spares = Spares()
        self.seconds = Histogram()
        self.final_hash = final_hash
        # Our own blocks are executed while they are built, before they have a hash; agreement never asks for them.
        self.find_block: Callable[[bytes], Block | None] = lambda block_hash: None
        self._built: tuple[tuple[bytes, int, bytes], Executed] | None = None
        self._states: dict[bytes, Executed] = {
            final_hash: Executed(state.height, state.time_ms, b"", state, None, None)
        }

    @property
    def final(self) -> Executed:
        return self._states[self.final_hash]

    def unfinal(self) -> list[tuple[bytes, Executed]]:
        """Blocks above the final one that were executed, lowest first, by their hashes."""
        height = self.final.height
        return sorted(
            ((name, item) for name, item in self._states.items() if item.height > height),
            key=lambda pair: pair[1].height,
        )

    def get(self, block_hash: bytes) -> Executed | None:
        """The post-state of a block: executed before, built by us, or executable now on a parent that is."""
        if block_hash not in self._states:
            block = self.find_block(block_hash)
            if block is None or block.header.height <= self.final.height or self.execute(block) is None:
                return None
        return self._states[block_hash]

    def missing_batches(self, payload: Payload) -> list[tuple[int, int, bytes]]:
        """References whose batch we do not hold."""
        return [ref for ref in payload.batch_refs if self._pool.get(ref[2]) is None]

    def run(
        self, parent_hash: bytes, epoch: int, height: int, time_ms: int, payload: Payload,
        run_block: RunBlock | None = None,
    ) -> Executed | None:  # fmt: skip
        """Execute a payload on a parent; None when the payload is invalid or the parent unknown.

        Raises `engine.errors.InvariantBroken`: our own fault, the node stops before it signs.
        """
        parent = self.get(parent_hash)
        if parent is None:
            return None
        batches = []
        for author, sequence, batch_hash in payload.batch_refs:
            checked = self._pool.get(batch_hash)
            if checked is None or (checked.batch.author, checked.batch.sequence) != (author, sequence):
                return None
            batches.append(checked.to_input())
        block = BlockInput(
            height, time_ms, parent_hash, payload.price_reports, payload.inbox_entries, payload.l1_block, tuple(batches)
        )
        begun_s = time.perf_counter()
        try:
            seen = self._seen_in(epoch, parent.state)
            if run_block is None and self._run_block is execute:
                state, result = _execute_in_place(self._spares.copy(seen), block)
            else:
                state, result = (run_block or self._run_block)(seen, block)
        except PayloadInvalid:
            return None
        self.seconds.observe(time.perf_counter() - begun_s)
        message_count = sum(len(batch.messages) for batch in batches)
        return Executed(height, time_ms, parent_hash, state, result, payload, message_count)

    def _seen_in(self, epoch: int, state: EngineState) -> EngineState:
        """The state as a block of this epoch finds it. What the parameters are called by in the root stays."""
        member_count = self._count_members(epoch)
        if state.params.validator_count == member_count:
            return state
        if member_count not in self._params_by_count:
            self._params_by_count[member_count] = replace(self.params, validator_count=member_count)
        seen = state.shared()
        seen.params = self._params_by_count[member_count]
        return seen

    def execute(self, block: Block) -> bytes | None:
        """The commitment of our own execution, or None when the block is invalid. Remembers the post-state."""
        block_hash, header = block.hash(), block.header
        known = self._states.get(block_hash)
        if known is None and self._built is not None:
            key, built = self._built
            known = built if key == (header.parent_hash, header.timestamp_ms, header.payload_root) else None
        if known is None:
            try:
                payload = decode_payload(block.payload)
            except DecodeError:
                return None
            known = self.run(header.parent_hash, header.epoch, header.height, header.timestamp_ms, payload)
        if known is None or known.result is None:
            return None
        self._states[block_hash] = known
        return to_commitment(known.result).encode()

    def advance(self, block: Block) -> bytes | None:
        """Like `execute` for a block known to be final on a parent that nobody needs any more: the parent's state is
        given up, and so is not copied. Blocks that follow each other this way cost a fraction of the time.
        """
        block_hash, header = block.hash(), block.header
        if block_hash not in self._states and len(self._states) == 1 and self._run_block is execute:
            try:
                payload = decode_payload(block.payload)
            except DecodeError:
                return None
            place = header.parent_hash, header.epoch, header.height, header.timestamp_ms
            made = self.run(*place, payload, _execute_in_place)
            if made is not None:
                self._states[block_hash] = made
        return self.execute(block)

    def remember(self, parent_hash: bytes, timestamp_ms: int, payload: bytes, executed: Executed) -> None:
        """Keep what we executed while building, so that our own block is not executed twice."""
        self._built = ((parent_hash, timestamp_ms, keccak(payload)), executed)

    def finalise(self, block_hash: bytes) -> Executed:
        """Move the root; states that do not descend from it are dropped."""
        final = self._states[block_hash]
        self.final_hash = block_hash
        keep = {block_hash}
        for candidate in sorted(self._states, key=lambda item: self._states[item].height):
            if self._states[candidate].parent_hash in keep and self._states[candidate].height > final.height:
                keep.add(candidate)
        for candidate in [candidate for candidate in self._states if candidate not in keep]:
            self._spares.give(self._states.pop(candidate).state)
        return final
