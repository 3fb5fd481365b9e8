"""One simulated validator: the real driver, journal, guard, payload rules, oracle book, inbox, executor and engine on
a simulated machine. Counterpart of `validator/node.py`, without sockets, clients and threads.

A crash may come before anything that leaves the process's memory: every write, sync and message counts as one effect.
Time passes inside a tick, by what execution and disk take, and what is sent leaves that much later.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from consensus.core import Core, CoreConfig
from consensus.epochs import Instances, Schedule
from consensus.events import Synced
from consensus.messages import Block, Certificate, Evidence, Vote
from engine.apply import BlockInput, BlockResult
from engine.payload import Payload
from engine.state import EngineState
from net.wire import SnapshotOffer
from testnet.sim.byzantine import Behaviour
from testnet.sim.checkers import Violation
from testnet.sim.clocks import SkewedClocks
from testnet.sim.disk import Disk
from testnet.sim.exchange import EPOCH
from testnet.sim.keys import decode
from testnet.sim.parts import (
    HastyAgreement,
    ShamelessAgreement,
    TwistedCore,
    TwistedProposals,
    Unguarded,
    WatchedCore,
    WatchedExecutor,
    WatchedJournal,
    find_votes,
    split_records,
)
from testnet.sim.repair import Repair
from testnet.sim.store import MemoryStore
from testnet.sim.traffic import Traffic
from validator.agreement import Agreement, Outside, Stop
from validator.batches import BatchPool, CheckedBatch
from validator.catchup import Accept
from validator.executor import Executor
from validator.inbox import Inbox
from validator.journal import Journal, JournalError
from validator.oracle import ReportBook
from validator.proposals import Proposals
from validator.recovery import recover
from validator.roster import Roster, make_founders
from validator.sealing import Sealer
from validator.signer import Signer, SignerError

if TYPE_CHECKING:
    from testnet.sim.world import World

TICK_MS_MAX = 250
SEAL_INTERVAL_MS = 30
INBOX_INCLUSION_MS = 10_000
OPERATOR_MS = 1_000  # until somebody starts a node again that stopped by itself
FATAL = (JournalError, SignerError, sqlite3.Error, OSError)


class Crash(Exception):
    """The machine is gone in the middle of what it did."""


class Restart(Exception):
    """The disk holds a newer state than the process: it ends in order, and begins anew from there."""


class Node:
    """The machine, its disk and whatever process runs on it."""

    def __init__(self, world: World, index: int, name: int, behaviour: Behaviour | None) -> None:
        self.world = world
        self.index = index
        self.name = name  # a twin has another name but the same index
        self.behaviour = behaviour
        self.disk = Disk(world.rng)
        self.store = MemoryStore()
        self.disk.on_effect = self.store.on_effect = self.count_down
        self.disk.on_wait = self.store.on_wait = self._wait_for_disk
        self.disk.on_sync = self._on_sync
        self.store.on_evidence = self._on_evidence
        plan = world.plan
        self.clocks = SkewedClocks(
            lambda: world.now_ms + self.elapsed_ms, plan.wall_offsets_ms.get(index, 0),
            plan.wall_drifts_ppm.get(index, 0), plan.timer_drifts_ppm.get(index, 0),
        )  # fmt: skip
        self.incarnation = 0
        self.is_up = False
        self.is_observer = False
        self.crash_count = 0
        self.crash_after_effects: int | None = None
        self.down_ms = 0
        self.slowness = 1  # how many times longer everything takes
        self.sync_extra_ms = 0
        self.paused_until_ms = 0
        self.busy_until_ms = 0
        self.elapsed_ms = 0
        self.durable_votes: dict[Vote, None] = {}
        self._tick_at_ms: int | None = None

    @property
    def is_honest(self) -> bool:
        return self.behaviour is None

    @property
    def core(self) -> Core | None:
        return self.agreement.core if self.is_up else None

    # life

    def boot(self) -> None:
        """Start is recovery."""
        self.incarnation += 1
        self.crash_after_effects = None
        self.busy_until_ms = self.paused_until_ms = self.elapsed_ms = 0
        self._tick_at_ms = None
        self.durable_votes = {}
        try:
            self._make_state()
            self._make_agreement()
        except Crash:
            self.crash()
        except FATAL as error:
            self.world.on_refusal(self, str(error))
        else:
            self.is_up = True
            self._begin()

    def _make_state(self) -> None:
        world, exchange = self.world, self.world.exchange
        self.config = CoreConfig(
            domain=exchange.domain, epoch=EPOCH, member_count=world.plan.member_count,
            me=None if self.is_observer else self.index, genesis=exchange.header, delta_ms=world.plan.delta_ms,
            min_interval_ms=world.plan.interval_ms, retain_views=world.plan.retain_views,
        )  # fmt: skip
        self.journal: Journal = WatchedJournal(self, Path("journal"), self.disk)
        self.durable_votes = dict.fromkeys(find_votes(self.journal.records))
        recovered = recover(
            self.store.snapshots, exchange.params, self.store, exchange.state, exchange.header, exchange.separator,
            self.run_block,
        )  # fmt: skip
        self.pool = BatchPool(world.plan.member_count)
        self.executor: Executor = WatchedExecutor(self, recovered.final_hash, recovered.state)
        for checked in recovered.unplaced:
            self.pool.add_named(checked)
        self.roster = Roster([make_founders(world.keys.public_keys, exchange.network_keys, EPOCH)])
        self.reports = ReportBook(self.roster, exchange.domain, world.shared.verify_report)
        self.inbox = Inbox()
        first_sequence = max(self.clocks.wall_ms() * 1000, self.final_sequences()[self.index] + 1)
        self.sealer = Sealer(self.index, exchange.signers[self.index], exchange.separator, first_sequence)
        self.is_sealing = False
        self.traffic, self.repair = Traffic(self), Repair(self)

    def make_core(self, config: CoreConfig, _: tuple[int, ...], records: Sequence[bytes]) -> Core:
        """The one place where a node's core is made. The run decides who leads."""
        kind = WatchedCore if self.behaviour is None else TwistedCore
        if self.behaviour is not None:
            records = self.behaviour.on_restart(self, records)
        core = kind(config, self.world.leaders, tuple(records))
        core.node = self
        return core

    def _make_agreement(self) -> None:
        world, keys = self.world, self.world.keys
        seats = self.roster.seats(EPOCH)
        assert seats is not None, "the roster was made with it"
        holder = Instances(
            self.config, Schedule(length_ms=0, extension_ms=1), world.exchange.network_keys[self.index],
            seats.committee, world.exchange.header, tuple(self.journal.records), observes_first=self.is_observer,
            make_core=lambda *arguments: self.make_core(*arguments), decode=decode,
        )  # fmt: skip
        self.journal.records.clear()
        kind = Proposals if self.behaviour is None else TwistedProposals
        self.proposals: Proposals = kind(self.executor, self.pool, self.reports, self.inbox, INBOX_INCLUSION_MS)
        if isinstance(self.proposals, TwistedProposals):
            self.proposals.node = self
        signer_kind = Signer if world.plan.has_guard and self.is_honest else Unguarded
        signer = signer_kind(
            Path("guard/guard.slots"), keys.secrets[self.index], self.index, world.exchange.domain, EPOCH,
            scheme=keys.scheme, files=self.disk,
        )  # fmt: skip
        outside = Outside(
            send=self._send, announce=lambda data: self._send(None, data), fetch_block=self.traffic.request_block,
            fetch_batches=self.traffic.request_batches, fall_behind=self._fall_behind, finalise=self._finalise,
            open_epoch=lambda *_: None, ban=self._ban, after_flush=self._after_flush,
        )  # fmt: skip
        agreement = Agreement if world.plan.syncs_before_send else HastyAgreement
        if not self.is_honest:
            agreement = ShamelessAgreement
        self.agreement = agreement(
            holder, domain=world.exchange.domain, roster=self.roster, signer=signer, journal=self.journal,
            store=self.store, executor=self.executor, proposals=self.proposals, outside=outside, clocks=self.clocks,
            scheme=keys.scheme,
        )  # fmt: skip
        self.executor.find_block = self.agreement.find_block
        self._due_snapshot: EngineState | None = None

    def _begin(self) -> None:
        world, height = self.world, self.executor.final.height
        if self.is_honest:
            world.checkers.on_restart(self.name, height)
        final = self.store.newest_direct(height)
        is_whole = final is not None and final.block.header.height == height
        synced = Synced(final.block, final.certificate) if final is not None and is_whole else None
        if self.perform(lambda: self._start(synced)):
            self._plan_tick()
            world.post_node(0, self, "poll", None)
            world.post_node(world.rng.randint(0, 1000), self, "report due", None)
            world.say_hello(self)

    def _start(self, synced: Synced | None) -> None:
        self.agreement.start(synced)
        self.agreement.tick()

    def crash(self) -> None:
        """Power is gone: the process, and what was not synced."""
        self.is_up = False
        self.crash_after_effects = None
        self.crash_count += 1
        self.world.fired["crash"] += 1
        if self.disk.crash() | self.store.crash():
            self.world.fired["disk: unsynced writes lost"] += 1
        self.world.on_crash(self)

    def count_down(self) -> None:
        """Before every effect."""
        if self.crash_after_effects is not None:
            self.crash_after_effects -= 1
            if self.crash_after_effects < 0:
                raise Crash

    def _wait_for_disk(self) -> None:
        self.elapsed_ms += int(self.world.rng.expovariate(1.0 / self.world.plan.sync_mean_ms)) + self.sync_extra_ms
        if self.sync_extra_ms:
            self.world.fired["disk: slow"] += 1

    # time

    def wake(self) -> None:
        """Something happened that agreement should look at."""
        self._schedule(max(self.world.now_ms, self.busy_until_ms))

    def _schedule(self, at_ms: int) -> None:
        if self._tick_at_ms is None or at_ms < self._tick_at_ms:
            self._tick_at_ms = at_ms
            self.world.post_at(at_ms, self, "tick", None)

    def tick(self) -> None:
        """Everything that waits, then one sync, then what is to be sent."""
        now_ms = self.world.now_ms
        if self._tick_at_ms is None or now_ms < self._tick_at_ms:
            return  # another tick came first
        if now_ms < self.busy_until_ms:
            self._tick_at_ms = None
            self._schedule(self.busy_until_ms)
            return
        self._tick_at_ms = None
        self.elapsed_ms = self.slowness - 1
        if self.perform(self._tick):
            self._plan_tick()

    def _tick(self) -> None:
        self.agreement.tick()
        core = self.agreement.core
        self.journal.rotate(EPOCH, core.view, core.floor_view, self.config.retain_views)

    def _plan_tick(self) -> None:
        """When the loop looks again, if nothing happens before."""
        now_ms, deadline_ms = self.world.now_ms, self.agreement.next_deadline_ms()
        due_ms = now_ms + TICK_MS_MAX
        if deadline_ms is not None:
            due_ms = min(due_ms, self.clocks.virtual_ms(deadline_ms))
        self._schedule(max(self.busy_until_ms, now_ms if self.agreement.backlog else due_ms, now_ms + 1))

    def perform(self, work: Callable[[], None]) -> bool:
        """Run a piece of the process, which may end it. True when it lives on."""
        try:
            work()
        except Crash:
            self.crash()
        except Restart:
            self.is_up = False
            self.incarnation += 1
            self.world.post_node(1, self, "boot", None)
        except FATAL:
            self.world.fired["disk: fatal error"] += 1
            self.down_ms = max(self.down_ms, OPERATOR_MS)
            self.crash()
        except Stop as stop:
            if self.is_honest:
                raise Violation(f"X2 node {self.name} stopped: {stop}") from stop
            self.down_ms = max(self.down_ms, OPERATOR_MS)
            self.crash()
        else:
            now_ms = self.world.now_ms
            if self.elapsed_ms:
                self.busy_until_ms = max(self.busy_until_ms, now_ms) + self.elapsed_ms * self.slowness
                self.elapsed_ms = 0
        return self.is_up

    def on_event(self, what: str, data: Any) -> None:
        """Anything but a start."""
        match what:
            case "tick":
                self.tick()
            case "seal":
                self.perform(self.seal)
            case "report due":
                self.report_prices()
            case "poll":
                self.poll_settlement()
            case "repair due":
                self.perform(self.repair.on_timer)
            case "unsent":
                self.perform(lambda: self.repair.on_unsent(data))
            case "peer lost":
                self.perform(lambda: self.repair.on_peer_lost(data))
            case "order":
                self.perform(lambda: self.enqueue(*data))
            case _:
                peer, body = data
                self.perform(lambda: self.traffic.on_frame(peer, what, body))

    # what agreement asks for

    def _send(self, peer: int | None, data: bytes) -> None:
        self.count_down()
        if self.behaviour is None:
            self.world.checkers.on_sent(self.index, data, self.durable_votes)
            self.world.transmit(self, peer, "consensus", data)
            return
        sent = self.behaviour.on_send(self, peer, data)
        if sent != [(peer, data)]:
            self.world.fired[f"behaviour: {self.behaviour.name}"] += 1
        for target, twisted in sent:
            self.world.transmit(self, target, "consensus", twisted)

    def send_frame(self, peer: int | None, what: str, data: Any) -> None:
        """Anything that is not a message of agreement."""
        self.world.transmit(self, peer, what, data)

    def _fall_behind(self, _: int) -> None:
        self.world.fired["repair: range sync"] += 1
        self.repair.on_behind()

    def _ban(self, peer: int, reason: str) -> None:
        self.world.fired["ban"] += 1

    def _finalise(self, block: Block, certificate: Certificate, is_live: bool = True) -> None:
        self.count_down()
        block_hash = block.hash()
        if self.executor.execute(block) is None:
            raise Stop(f"final block {block.header.height} cannot be executed")
        executed = self.executor.finalise(block_hash)
        payload, cursors = Payload.decode(block.payload), self.final_sequences()
        refs = payload.batch_refs
        self.store.put_final(block, certificate)
        self.store.place_batches([ref[2] for ref in refs], block.header.height)
        if is_live:
            self.proposals.on_final(block.header.height, payload, cursors, self.clocks.wall_ms())
        self._forget_batches(cursors, {ref[2]: None for ref in refs})
        self.agreement.forget_through(block.header)
        if block.header.height % self.world.plan.snapshot_blocks == 0:
            self._due_snapshot = executed.state
        if self.is_honest:
            self.world.on_final(self, block)

    def _forget_batches(self, cursors: list[int], placed: dict[bytes, None]) -> None:
        """Drop what the final state has passed; our clients' messages that it passed by are sealed again."""
        passed_by = [checked for checked in self.pool.drop_through(cursors) if checked.batch_hash not in placed]
        for author in dict.fromkeys(checked.batch.author for checked in passed_by):
            self.store.drop_unplaced(author, cursors[author])
        own = [checked for checked in passed_by if checked.batch.author == self.index]
        if own:
            self.world.fired["load: batch sealed again"] += 1
            self.sealer.put_back(own)
            self.plan_seal()

    def accept_range(self, accepted: Accept) -> None:
        """Verified blocks that follow our head: execute them and tell agreement where we are now. Raises `Stop`."""
        certificate = accepted.certificate
        blocks = tuple(block for block in accepted.blocks if block.header.height > self.executor.final.height)
        if not blocks:
            return
        self.world.fired["repair: range taken"] += 1
        cursors = self.final_sequences()
        for checked in accepted.batches:
            if checked.batch.sequence > cursors[checked.batch.author]:
                self.pool.add_named(checked)
                self._store_batch(checked)
        for block in blocks:
            if self.executor.execute(block) != block.header.commitment:
                raise Stop(f"our execution of final block {block.header.height} differs from the committee's")
            self._finalise(block, certificate, is_live=False)
        self.agreement.caught_up(Synced(blocks[-1], certificate, accepted.trailing))
        self.wake()

    def adopt(self, offer: SnapshotOffer, state: EngineState) -> None:
        """A fetched state that was recomputed and found to be the committee's."""
        self.journal.sync()
        self.store.commit()
        self.store.sync()
        self.store.adopt(offer.block, offer.certificate, state)
        self.world.fired["repair: snapshot adopted"] += 1
        raise Restart

    def _after_flush(self) -> None:
        if self._due_snapshot is not None:
            self.store.keep_snapshot(self._due_snapshot)
            self._due_snapshot = None

    # batches, prices, the settlement chain

    def enqueue(self, record: bytes, signer: bytes) -> None:
        """A client's message."""
        if self.sealer.add(record, signer):
            self.seal()
        else:
            self.plan_seal()

    def plan_seal(self) -> None:
        if not self.is_sealing:
            self.is_sealing = True
            self.world.post_node(SEAL_INTERVAL_MS, self, "seal", None)

    def seal(self) -> None:
        self.is_sealing = False
        while (checked := self.sealer.seal()) is not None:
            self.on_batch(checked, is_named=True)
            if self.behaviour is None:
                self.world.shared.learn_batch(checked)
                self.world.exchange_checker.on_sealed(self.index, checked.batch.sequence)
                self.send_frame(None, "batch", checked.batch)
                continue
            for peer, batch in self.behaviour.on_batch(self, checked.batch):
                self.send_frame(peer, "batch", batch)

    def on_batch(self, checked: CheckedBatch, is_named: bool) -> None:
        """`is_named`: we asked for it because a block names it."""
        if checked.batch.sequence <= self.final_sequences()[checked.batch.author]:
            return
        if is_named:
            self.pool.add_named(checked)
        elif not self.pool.add(checked):
            return
        self._store_batch(checked)
        self.wake()

    def _store_batch(self, checked: CheckedBatch) -> None:
        batch = checked.batch
        self.world.auditor.pool.add_named(checked)
        self.store.put_batch(checked.batch_hash, batch.author, batch.sequence, batch.encode())

    def final_sequences(self) -> list[int]:
        sequences: list[int] = self.executor.final.state.batch_sequences.tolist()
        return sequences

    def report_prices(self) -> None:
        """Once a second by the own clock; faults and behaviours may twist or swallow it."""
        wall_ms = self.clocks.wall_ms()
        self.world.post_node(1000 - wall_ms % 1000, self, "report due", None)
        twisted = self.world.oracle.make_report(self.index, wall_ms)
        if twisted is not None:
            self.world.shared.learn_report(twisted, self.world.exchange.network_keys[self.index])
        if twisted is not None and self.behaviour is not None:
            twisted = self.behaviour.on_report(self, twisted)
        if twisted is not None and not self.is_observer:
            self.reports.add(twisted, wall_ms)
            self.send_frame(None, "report", twisted)
            self.wake()

    def poll_settlement(self) -> None:
        self.world.post_node(1000, self, "poll", None)
        if not self.perform(self._hear_heartbeats) or self.world.is_stalled(self.index):
            return
        block, entries = self.world.settlement.poll(self.world.now_ms, self.inbox.count)
        self.inbox.extend(self.clocks.wall_ms(), block, entries)
        self.wake()

    def _hear_heartbeats(self) -> None:
        """What every link that is up tells of the other side's height."""
        for other in self.world.nodes:
            if self.world.is_linked(self, other.index) and other.is_up:
                self.repair.on_claim(other.index, other.executor.final.height)

    # what observers of the simulator see

    def run_block(self, parent: EngineState, block: BlockInput) -> tuple[EngineState, BlockResult]:
        self.elapsed_ms += self.world.draw_execution_ms()
        return self.world.shared.run_block(parent, block)

    def execute(self, parent_hash: bytes, height: int, time_ms: int, payload: bytes) -> bytes | None:
        """The commitment of any payload on any parent that is executed here, for those who forge blocks."""
        executed = self.executor.run(parent_hash, EPOCH, height, time_ms, Payload.decode(payload))
        if executed is None or executed.result is None:
            return None
        return self.world.to_commitment(executed.result)

    def _on_sync(self, path: Path, writes: list[bytes]) -> None:
        if path.suffix == ".journal" and self.is_honest:
            self.durable_votes.update(dict.fromkeys(find_votes(split_records(writes))))

    def _on_evidence(self, evidence: Evidence) -> None:
        if self.is_honest:
            self.world.fired["evidence"] += 1
            self.world.checkers.on_evidence(evidence)
