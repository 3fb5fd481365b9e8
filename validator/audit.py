"""Replays what a node has stored and compares it with what the committee certified and the chain accepted.

Every block is executed anew, from genesis or a snapshot, and each of its ten commitment words compared with the header
that a quorum signed. On the way everything that the block names is checked: parents, certificates (many at once),
batches and their authors, results, trades, withdrawals, the node's own snapshots and claims files, and the
checkpoints of the settlement contract. What does not fit raises `Mismatch`, which names the place.

When a root differs, the replay goes on to the next state of another source (a snapshot or a claims file of this node or
another one), because only two states tell which leaf differs; a root alone does not.
"""

from collections.abc import Callable, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field

from consensus.committee import Committee
from consensus.messages import FINALIZE, ZERO_HASH, Header, compute_domain, vote_digest
from consensus.sealing import are_trailing
from contracts.certificate_batch import Signed, find_false
from contracts.records import CheckpointRecord
from engine.commands import compute_domain_separator
from engine.errors import InvariantBroken
from engine.payload import Batch
from engine.root import commitment_of
from engine.state import EngineState, genesis
from net.identity import verify_batch
from validator.audit_rows import PAGE_BLOCKS, Mismatch, Rows, StoredBlock, name_difference
from validator.audit_sources import Source
from validator.audit_tables import TableAudit
from validator.batches import BatchPool, CheckedBatch, make_checked
from validator.config import NetworkConfig, address_bytes
from validator.executor import Executed, Executor, to_commitment
from validator.payloads import decode_payload
from validator.recovery import make_genesis_header
from validator.roster import Roster

FIRST_EPOCH = 1


@dataclass(slots=True)
class Tally:
    """What was audited so far."""

    first_height: int = 0
    last_height: int = 0
    blocks: int = 0
    certificates: int = 0
    batches: int = 0
    commands: int = 0
    withdrawals: int = 0
    checkpoints: int = 0
    sources: list[str] = field(default_factory=list)


class Audit:
    """One replay. `start`: the state to begin with, None for genesis; `sources`: states to compare with, by height."""

    def __init__(
        self, network: NetworkConfig, rows: Rows, start: EngineState | None, sources: Mapping[int, list[Source]],
        checkpoints: Iterable[CheckpointRecord] = (), on_block: Callable[[Tally], None] = lambda tally: None,
    ) -> None:  # fmt: skip
        """Raises `Mismatch` if the start is no state that a stored block certifies."""
        contract = address_bytes(network.contract)
        self._params = network.exchange_params()
        self._domain = compute_domain(network.chain_id, contract)
        self._separator = compute_domain_separator(network.chain_id, contract)
        self._roster = Roster([network.founders(), *rows.seats()])
        self._rows, self._sources, self._on_block = rows, sources, on_block
        self._checkpoints: dict[int, list[CheckpointRecord]] = {}
        for checkpoint in checkpoints:
            self._checkpoints.setdefault(checkpoint.height, []).append(checkpoint)
        self._start = start
        genesis_state = genesis(self._params, network.genesis_time_ms)
        self._head = make_genesis_header(genesis_state, FIRST_EPOCH)
        if start is not None:
            self._head = self._check_start(start)
        state = genesis_state if start is None else start
        self._pool = BatchPool(self._params.validator_count)
        self._executor = Executor(
            self._params, self._pool, self._head.hash(), state, count_members=self._roster.count
        )  # fmt: skip
        self._begun = state
        self._tables = TableAudit(rows, state)
        self._unsigned: list[tuple[int, Signed]] = []
        # Blocks whose certificate is that of a later one.
        self._waiting: list[StoredBlock] = []
        self._broken: Mismatch | None = None
        self.tally = Tally(first_height=self._head.height + 1, last_height=self._head.height)

    def _check_start(self, start: EngineState) -> Header:
        if not start.height:
            return self._head
        (stored,) = self._rows.blocks(start.height, start.height)
        header = stored.block.header
        ours = header._replace(commitment=to_commitment(commitment_of(start)).encode())
        if ours != header:
            found = Mismatch(start.height, "snapshot", "state", name_difference(ours, header))
            raise self._explain(found, start)
        return header

    @property
    def state(self) -> EngineState:
        """After the last block that was replayed."""
        return self._executor.final.state

    @property
    def newest(self) -> Executed:
        """The last block that was replayed, and all that happened in it. The next one may reuse its memory."""
        return self._executor.final

    def run(self, last_height: int) -> Tally:
        """Replay up to a height, once. Raises `Mismatch`."""
        with closing(self._tables):
            return self._replay(last_height)

    def _replay(self, last_height: int) -> Tally:
        for stored in self._rows.blocks(self._head.height + 1, last_height):
            height = stored.block.header.height
            self._check_place(stored)
            self._note_certificate(stored)
            executed, batches = self._execute(stored)
            if self._broken is None:
                self._check_commitment(stored.block.header, executed)
            if self._broken is not None:
                if not any(source >= height for source in self._sources):
                    raise self._broken
                if height in self._sources:
                    raise self._explain(self._broken, executed.state)
                continue
            self._compare(stored, executed, batches)
            if len(self._unsigned) >= PAGE_BLOCKS:
                self._verify_signatures()
            self._on_block(self.tally)
        if self._broken is not None:
            raise self._broken
        self._settle_waiting()
        self._verify_signatures()
        self._tables.finish(self._head.height)
        return self.tally

    # -------------------------------------------------------- the block's place and its certificate

    def _check_place(self, stored: StoredBlock) -> None:
        """The row follows its parent; an epoch begins above the block that named its committee (EP6)."""
        header, parent = stored.block.header, self._head
        height = header.height
        if header.parent_hash != parent.hash():
            raise Mismatch(height, "blocks", "block", "its parent is not the block before it")
        sealed_hash = parent.next_committee_hash
        is_new_epoch = sealed_hash != ZERO_HASH
        root_view = 0 if is_new_epoch else parent.view
        if header.epoch != parent.epoch + is_new_epoch or header.parent_view != root_view or header.view <= root_view:
            raise Mismatch(height, "blocks", "block", "epoch or view do not follow those of its parent")
        if header.timestamp_ms <= parent.timestamp_ms:
            raise Mismatch(height, "blocks", "block", "its time is not above its parent's")
        if is_new_epoch:
            self._settle_waiting()
            if self._committee(header).hash() != sealed_hash:
                reason = f"they are not the members that the block below names for epoch {header.epoch}"
                raise Mismatch(height, "committees", "seats", reason)
        self._head = header

    def _committee(self, header: Header) -> Committee:
        committee = self._roster.committee(header.epoch)
        if committee is None:
            raise Mismatch(header.height, "committees", "epoch", f"the committee of epoch {header.epoch} is not there")
        return committee

    def _note_certificate(self, stored: StoredBlock) -> None:
        """A certificate is of its block or of a later one, and a quorum signed it (verified with many others)."""
        header, certificate = stored.block.header, stored.certificate
        height, committee = header.height, self._committee(header)
        count, signers = len(committee.members), certificate.signers()
        is_fitting = len(certificate.bitmap) == (count + 7) // 8 and (not signers or signers[-1] < count)
        if certificate.epoch != header.epoch or not is_fitting or len(signers) < committee.quorum:
            raise Mismatch(height, "blocks", "certificate", f"no quorum of epoch {header.epoch} signed it")
        self._waiting.append(stored)
        self._release(stored.block_hash, header.view)
        keys = tuple(committee.members[signer].bls_key for signer in signers)
        digest = vote_digest(self._domain, FINALIZE, header.epoch, certificate.view, certificate.header_hash)
        self._unsigned.append((height, Signed(keys, digest, certificate.signature)))
        self.tally.certificates += 1

    def _release(self, block_hash: bytes, view: int) -> None:
        """The block that certificates were waiting for is there."""
        for waiting in self._waiting:
            if waiting.certificate.header_hash == block_hash and waiting.certificate.view != view:
                raise Mismatch(waiting.block.header.height, "blocks", "certificate", "it is of another view")
        self._waiting = [waiting for waiting in self._waiting if waiting.certificate.header_hash != block_hash]

    def _settle_waiting(self) -> None:
        """At the end of an epoch, certificates may be of the last of the trailing blocks, which are no part of the
        chain (EP4, EP5).
        """
        if not self._waiting:
            return
        last = self._head
        trailing = self._rows.trailing(last.height, last.epoch) if last.next_committee_hash != ZERO_HASH else ()
        if trailing and are_trailing(last, trailing):
            self._release(trailing[-1].hash(), trailing[-1].header.view)
        if self._waiting:
            height = self._waiting[0].block.header.height
            raise Mismatch(height, "blocks", "certificate", "it is of no block that is stored")

    def _verify_signatures(self) -> None:
        false = find_false([signed for _, signed in self._unsigned])
        if false is not None:
            height = self._unsigned[false][0]
            raise Mismatch(height, "blocks", "certificate", "its signers did not sign this; the signature is wrong")
        self._unsigned.clear()

    # -------------------------------------------------------- execution

    def _execute(self, stored: StoredBlock) -> tuple[Executed, list[CheckedBatch]]:
        height = stored.block.header.height
        payload = decode_payload(stored.block.payload)
        batches = []
        for ref in payload.batch_refs:
            batch = self._rows.batch(height, ref)
            self._check_author(stored.block.header, batch)
            batches.append(make_checked(batch, self._separator))
            self._pool.add_named(batches[-1])
        # The state to begin with is the caller's; those in between are nobody's.
        is_first = self._executor.final.state is self._begun
        run = self._executor.execute if is_first else self._executor.advance
        try:
            if run(stored.block) is None:
                raise Mismatch(height, "blocks", "block", "the engine refuses its payload")
        except InvariantBroken as error:
            raise Mismatch(height, "blocks", "block", f"executing it breaks an invariant: {error}") from None
        executed = self._executor.finalise(stored.block_hash)
        self._pool.drop_through(executed.state.batch_sequences.tolist())
        return executed, batches

    def _check_author(self, header: Header, batch: Batch) -> None:
        key = self._roster.network_key(batch.author)
        is_seated = self._roster.may_author(batch.author, header.epoch)
        if key is None or not is_seated or not verify_batch(batch, key, self._domain):
            name = batch.hash().hex()
            raise Mismatch(header.height, "batch_data", "data", f"batch {name}: author {batch.author} did not sign it")

    # -------------------------------------------------------- comparisons

    def _check_commitment(self, header: Header, executed: Executed) -> None:
        ours = header._replace(commitment=to_commitment(commitment_of(executed.state)).encode())
        if ours != header:
            self._broken = Mismatch(header.height, "blocks", "block", name_difference(ours, header))

    def _compare(self, stored: StoredBlock, executed: Executed, batches: list[CheckedBatch]) -> None:
        header, tally = stored.block.header, self.tally
        tally.withdrawals += self._tables.check(header, executed, batches)
        for checkpoint in self._checkpoints.get(header.height, ()):
            _check_checkpoint(stored, checkpoint)
            tally.checkpoints += 1
        for source in self._sources.get(header.height, ()):
            difference = source.find_difference(executed.state)
            if difference is not None:
                raise Mismatch(header.height, source.table, source.name, difference)
            tally.sources.append(source.name)
        tally.last_height = header.height
        tally.blocks += 1
        tally.batches += len(batches)
        tally.commands += sum(len(checked.actions) for checked in batches)

    def _explain(self, found: Mismatch, state: EngineState) -> Mismatch:
        """Where the states part, if another source has one of this height."""
        for source in self._sources.get(state.height, ()):
            difference = source.find_difference(state)
            if difference is not None:
                words = f"{found.reason}; at height {state.height} {source.name} has {difference}"
                return Mismatch(found.height, found.table, found.field, words)
        return found


def _check_checkpoint(stored: StoredBlock, checkpoint: CheckpointRecord) -> None:
    """The contract accepted this very header."""
    commitment = commitment_words(stored.block.header)
    pairs = [("header_hash", stored.block_hash, checkpoint.header_hash)]
    pairs += [(name, word, getattr(checkpoint, name)) for name, word in commitment.items()]
    for name, ours, theirs in pairs:
        if ours != theirs:
            reason = f"the chain has 0x{theirs.hex()}, this store 0x{ours.hex()}"
            raise Mismatch(checkpoint.height, "(checkpoint on chain)", name, reason)


def commitment_words(header: Header) -> dict[str, bytes]:
    """The words that the contract keeps of a header."""
    names = {"state_root": 14, "account_root": 15, "account_sums": 16, "withdrawals_root": 17}
    data = header.encode()
    return {name: data[32 * word : 32 * word + 32] for name, word in names.items()}
