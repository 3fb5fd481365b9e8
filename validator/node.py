"""One validator: the parts put together, and the one loop that owns the state.

Starting is recovering: newest readable snapshot, finalised blocks after it, the journal's votes and certificates,
then the network. A fresh node takes the same way with everything empty.
"""

import logging

import trio
from nacl.signing import SigningKey

from consensus.committee import Committee as Members
from consensus.epochs import Instances
from consensus.events import Synced
from consensus.messages import Block, Certificate, Header, compute_domain
from consensus.timeouts import CoreConfig
from engine.state import EngineState, genesis
from net.committee import STRANGER_FIRST, Committee, CommitteeLimits, MemberAddress, open_committee
from net.feed.orders import ORDERS_SOCKET
from net.gateway.backend import NetworkInfo, NodeCounters, Refusal
from net.identity import NetworkSigner, derive_network_key
from net.link import HelloState
from net.wire import Chunk, Consensus, Frame, RangeResponse, SnapshotOffer, Spoken
from validator.agreement import Agreement, Outside, Stop
from validator.appointments import Appointments
from validator.batches import BatchPool, CheckedBatch
from validator.catchup import Accept
from validator.clock_offset import ClockOffset
from validator.clocks import Clocks
from validator.config import Home, NetworkConfig, NodeConfig, PeerAddress, address_bytes
from validator.disk import Disk, open_queue
from validator.doppelganger import Memory, VoteWatch
from validator.executor import Executor
from validator.feed import NodeFeed
from validator.ingress import Ingress
from validator.journal import Journal
from validator.keys import Keys
from validator.ledger import Ledger
from validator.metrics import NodeMetrics
from validator.node_facts import take_counters, take_facts
from validator.observing import find_highest_view, list_public, mark_observer
from validator.oracle import REPORT_INTERVAL_MS, ReportBook
from validator.order_desk import OrderDesk
from validator.own_batches import OwnBatches
from validator.payloads import decode_payload
from validator.peering import Peering
from validator.pending import Pending
from validator.prechecks import list_expiries
from validator.pricefeed import parse_price_source
from validator.proposals import Proposals, compute_breath_ms
from validator.prosecutor import wait_for_court
from validator.pruning import find_provable, keep_disk_small
from validator.recovery import make_genesis_header, recover
from validator.restart import Restart
from validator.roster import Roster
from validator.rotation import adopt_root, find_before, find_last_final, find_position
from validator.sealing import Sealer
from validator.service import Service
from validator.settling import Settling
from validator.signing import keep_signer, must_observe, open_signer
from validator.snapshots import HeadPace, SnapshotShelf, read_snapshots, write_bytes, write_head, write_snapshot
from validator.stats import Stats
from validator.store import Store
from validator.syncing import Syncing
from validator.uptime import WINDOW_BLOCKS, Uptime
from validator.voting import Voting
from validator.warming import warm_everything

log = logging.getLogger("hansa.node")

NO_QUORUM_AFTER_MS = 10_000
RETAIN_VIEWS = 64
# Where committees change, so many nodes without a number may follow the chain here before they join.
STRANGERS_MAX = 8


class Node:
    """Everything of one validator but its API server. Build it, then `run` it."""

    def __init__(self, home: Home, network: NetworkConfig, config: NodeConfig, keys: Keys, is_warm: bool) -> None:
        """`is_warm`: the kernels were run in this process or the one it was forked from."""
        self.home, self.network, self.config = home, network, config
        self._keys = keys
        self._clocks = Clocks()
        self._is_warm, self.warmed = is_warm, trio.Event()
        contract = address_bytes(network.contract)
        self.domain = compute_domain(network.chain_id, contract)
        self.params = network.exchange_params()
        self._params_digest = self.params.digest()
        self.info = NetworkInfo(
            chain_id=network.chain_id, contract=contract, network_id=self.domain, node_index=config.index,
            token=address_bytes(network.token), markets=network.markets, node_key=derive_network_key(keys.network),
        )  # fmt: skip
        self._separator = self.info.domain_separator
        self._network_signer = NetworkSigner(keys.network, self.domain)
        self._make_state()
        self._make_agreement()
        self._make_service()

    # composition

    def _make_state(self) -> None:
        data = self.home.data
        self.store = Store(data / "blocks.sqlite")
        self._journal = Journal(data / "journal")
        self.pool = BatchPool(self.params.validator_count)
        genesis_state, founders = genesis(self.params, self.network.genesis_time_ms), self.network.founders()
        self.genesis_header = make_genesis_header(genesis_state, founders.epoch)
        self.roster = Roster([founders, *self.store.seats()])
        self._position = find_position(self.store, self.roster, founders, self.genesis_header)
        self.chain_epoch: int | None = None  # of the contract, where committees change
        self._addresses: dict[int, PeerAddress] = {}
        self._newcomers: tuple[int, ...] = ()
        self._signer = open_signer(self.home, self.network, self.config, self._keys, self.domain, self._position)
        recovered = recover(
            read_snapshots(data / "snapshots", self.params),
            self.params,
            self.store,
            genesis_state,
            self.genesis_header,
            self._separator,
            count_members=self.roster.count,
        )
        self.executor = Executor(
            self.params, self.pool, recovered.final_hash, recovered.state, count_members=self.roster.count
        )
        for checked in recovered.unplaced:
            self.pool.add_named(checked)
        self.reports = ReportBook(self.roster, self.domain)
        self.settling = Settling(self, self._clocks, self._keys.operator)
        self.shelf = SnapshotShelf(data / "snapshots")
        first_sequence = max(
            self._clocks.wall_ms() * 1000, self.executor.final.state.batch_sequences.tolist()[self.config.index] + 1
        )
        sealer = Sealer(self.config.index, self._network_signer, self._separator, first_sequence)
        self.own_batches = OwnBatches(
            self.config.index, sealer, self._clocks, self._send_own_batch,
            breath_ms=lambda: compute_breath_ms(self.executor.final),
        )  # fmt: skip
        self.stats = Stats(self._clocks.wall_ms)
        self.clock_offset = ClockOffset()

    def _make_agreement(self) -> None:
        network, position, records = self.network, self._position, self._journal.records
        seat = position.seats.find(self.config.index)
        self.is_observer = must_observe(self.home, self.config, self._signer, position, records)
        if self.is_observer:
            records = list_public(records)
        watch = None
        if seat is not None and not self.is_observer:
            watch = VoteWatch(
                seat, len(position.seats.numbers),
                Memory(self._signer.highest_view, find_highest_view(records, seat, position.epoch)),
                self.config.doppelganger_wait_ms, self._clocks.monotonic_ms(),
            )  # fmt: skip
        template = CoreConfig(
            domain=self.domain, epoch=position.epoch, member_count=len(position.seats.numbers), me=None,
            genesis=position.root, delta_ms=network.delta_ms, min_interval_ms=network.min_interval_ms,
        )  # fmt: skip
        holder = Instances(
            template, network.schedule(), self._network_signer.network_key, position.seats.committee, position.root,
            tuple(records), observes_first=self.is_observer,
        )  # fmt: skip
        self._journal.records.clear()
        inbox = self.settling.inbox
        self.proposals = Proposals(self.executor, self.pool, self.reports, inbox, network.inbox_inclusion_ms)
        outside = Outside(
            send=self._send, announce=self._announce, fetch_block=self._fetch_block, fetch_batches=self._fetch_batches,
            fall_behind=self._fall_behind, finalise=self._finalise, open_epoch=self._open_epoch, ban=self.ban,
            after_flush=self._after_flush,
        )  # fmt: skip
        self.agreement = Agreement(
            holder, domain=self.domain, roster=self.roster, signer=self._signer, journal=self._journal,
            store=self.store, executor=self.executor, proposals=self.proposals, outside=outside, clocks=self._clocks,
            steps=self.stats.steps,
        )  # fmt: skip
        self.executor.find_block = self.agreement.find_block
        self.voting = Voting(self.roster, position.seats, watch, self.agreement.is_genuine, self._clocks)
        self._wake = trio.Event()
        # Held while a round is on its way to the disk: final blocks that come from elsewhere wait for the next round.
        self.at_rest = trio.Lock()
        self._disk = Disk(open_queue(self.home.data))
        self._committee: Committee | None = None
        self._peering: Peering | None = None
        self._syncing: Syncing | None = None
        self._due_snapshot: EngineState | None = None
        self._head_pace = HeadPace()
        self._snapshot_ready = trio.Event()

    def _make_service(self) -> None:
        self.uptime = Uptime(len(self._position.seats.numbers))
        certificates = self.store.direct_certificates(WINDOW_BLOCKS)
        self.uptime.restore(item for item in certificates if item[1].epoch == self._position.epoch)
        for _, certificate in certificates:
            self.voting.note_signers(certificate)
        self.ledger = Ledger(self.store, self.stats, self.executor.final.state)
        self.ingress = Ingress(
            self.info, receipt_key=SigningKey(self._keys.network), state=lambda: self.executor.final.state,
            wall_ms=self._clocks.wall_ms, refusal=lambda: self.health()[3], backlog=self._backlog,
            enqueue=self.own_batches.add,
        )  # fmt: skip
        self.service = Service(
            self.info, executor=self.executor, ledger=self.ledger, store=self.store,
            on_chain=self.settling.on_chain, claims=self.settling.claims, inbox=self.settling.inbox,
            uptime=self.uptime, roster=self.roster, ingress=self.ingress,
            facts=lambda: take_facts(self), counters=self._count, pending=Pending(self.executor, self.pool),
        )  # fmt: skip
        self.feed = NodeFeed(self, self._network_signer)
        self._metrics = NodeMetrics(self, self._disk, self._signer, self._clocks)
        self._price_feed = parse_price_source(self.config.price_source, self.params.markets, self.config.index)

    # running

    async def run(self) -> None:
        """Until cancelled, or until an invariant of our own breaks (`Stop`)."""
        try:
            async with open_committee(
                seed=self._keys.network, me=self.config.index, members=self._find_links(),
                network_id=self.network.digest(), listen_host=self.config.listen_host,
                listen_port=self.config.listen_port, hello=self._hello,
                limits=CommitteeLimits(strangers_max=STRANGERS_MAX if self.network.epoch_length_ms else 0),
            ) as committee, trio.open_nursery() as nursery:  # fmt: skip
                self._committee = committee
                self._peering = Peering(self, committee, self._clocks)
                self._syncing = Syncing(self, committee, self._clocks)
                nursery.start_soon(self._warm_up)
                nursery.start_soon(self._peering.run)
                nursery.start_soon(self._syncing.run)
                nursery.start_soon(self._report_prices)
                nursery.start_soon(self.ingress.run)
                nursery.start_soon(OrderDesk(self.home.path / ORDERS_SOCKET, self.ingress, self.service.look_up).run)
                nursery.start_soon(self.own_batches.run)
                nursery.start_soon(self.feed.run)
                if self.config.metrics_port:
                    nursery.start_soon(self._metrics.run, self.config.metrics_host, self.config.metrics_port)
                nursery.start_soon(keep_signer, self, self._signer)
                nursery.start_soon(self.settling.run)
                nursery.start_soon(self._write_snapshots)
                nursery.start_soon(keep_disk_small, self, self._clocks)
                nursery.start_soon(self.ledger.keep_index)
                try:
                    await self._loop()
                except Stop:
                    await wait_for_court(self.store, self.settling.prosecutor)
                    raise
        finally:
            self._disk.close()
            self._journal.close()
            self.store.close()
            self._signer.close()

    async def _warm_up(self) -> None:
        """Kernels that no block has needed yet, in a thread while the links come up."""
        if not self._is_warm:
            log.info("engine.warming (half a minute when the cache of its kernels is empty)")
            await trio.to_thread.run_sync(warm_everything, abandon_on_cancel=True)  # type: ignore[call-arg]
        self.warmed.set()

    async def _wait_to_vote(self) -> None:
        """Raises `Stop` when somebody else votes with our key, `Restart` when we must only observe."""
        await self.warmed.wait()  # a vote must not wait for a compiler
        forgotten_view = await self.voting.wait()
        if forgotten_view is not None:
            mark_observer(self.home.data, self._position.epoch, forgotten_view)
            raise Restart(f"this key's guard is lost, and it voted up to view {forgotten_view} at least")

    async def _loop(self) -> None:
        await self._wait_to_vote()
        self.agreement.start(find_last_final(self.store, self._position, self.executor.final.height))
        before = find_before(self.store, self.roster, self._position, self.network.founders(), self.genesis_header)
        if before is not None:
            self.agreement.resume_previous(before.committee, before.root, before.seal)
        while True:
            self._wake = trio.Event()
            await self._round()
            self.store.commit_early()
            core = self.agreement.core
            self._journal.rotate(self.agreement.epoch, core.view, core.floor_view, RETAIN_VIEWS)
            deadline_ms = self.agreement.next_deadline_ms()
            wait_s = 0.25 if deadline_ms is None else (deadline_ms - self._clocks.monotonic_ms()) / 1000
            if self.agreement.backlog:
                await trio.lowlevel.checkpoint()
                continue
            with trio.move_on_after(min(0.25, max(0.0, wait_s))):
                await self._wake.wait()

    async def _round(self) -> None:
        """`Agreement.tick`, but links and API go on while the disk works, and blocks are executed."""
        is_news = True
        while is_news:
            self.agreement.handle()
            if self.agreement.must_speak:
                async with self.at_rest:
                    if self._disk.begin(self.agreement.write_out()):
                        self.agreement.execute_waiting()
                    await self._disk.wait()
                    self.agreement.speak()
            is_news = self.agreement.finish()

    def wake(self) -> None:
        """Something happened that the loop should look at now."""
        self._wake.set()

    def on_consensus(self, peer: int, data: bytes) -> None:
        """A message of agreement from a member's own link."""
        self.voting.on_message(data)
        self.agreement.receive(peer, data)
        self.wake()

    def on_peer_up(self, peer: int, height: int) -> None:
        """A link is up: what the other side may have missed goes out again; if it is ahead of us, we ask."""
        self.agreement.on_link(peer)
        self.voting.on_peer(peer, height)
        counting = self.voting.counting(peer)
        if counting is not None:
            self.send(peer, Consensus(counting))
        if self._syncing is not None and peer < STRANGER_FIRST:
            self._syncing.on_peer(peer, height)
        self.wake()

    def on_peer_down(self, peer: int) -> None:
        """The link is gone, and with it the answers that were on their way."""
        self.voting.on_peer_lost(peer)
        if self._syncing is not None:
            self._syncing.on_peer_lost(peer)

    def on_offer(self, peer: int, offer: SnapshotOffer | None) -> None:
        """What a peer has for a node that is far behind; None: nothing."""
        if self._syncing is not None:
            self._syncing.on_offer(peer, offer)

    def on_chunk(self, peer: int, chunk: Chunk) -> None:
        """Part of a snapshot."""
        if self._syncing is not None:
            self._syncing.on_chunk(peer, chunk)

    def on_missing_chunk(self, peer: int, name: bytes) -> None:
        """The peer has no snapshot of that name."""
        if self._syncing is not None:
            self._syncing.on_missing_chunk(peer, name)

    def on_range(self, peer: int, response: RangeResponse) -> None:
        """An answer to somebody's question, perhaps to ours."""
        if self._syncing is not None:
            self._syncing.on_response(peer, response)

    def on_batch(self, checked: CheckedBatch, is_named: bool) -> None:
        """A checked batch; `is_named` when we asked for it because a block names it."""
        if checked.batch.sequence <= self.final_sequences()[checked.batch.author]:
            return
        if is_named:
            self.pool.add_named(checked)
        elif not self.pool.add(checked):
            return
        self._store_batch(checked)
        self.wake()

    def _keep_batch(self, checked: CheckedBatch) -> None:
        """Hold a batch that a final block names: whatever is in the pool is in the store, too."""
        self.pool.add_named(checked)
        self._store_batch(checked)

    def _store_batch(self, checked: CheckedBatch) -> None:
        batch = checked.batch
        self.store.put_batch(checked.batch_hash, batch.author, batch.sequence, batch.encode())

    def final_sequences(self) -> list[int]:
        """Of each author, the last batch sequence that final blocks have passed."""
        sequences: list[int] = self.executor.final.state.batch_sequences.tolist()
        return sequences

    def _hello(self) -> HelloState:
        return HelloState(self.executor.final.height, self.agreement.core.view, self._params_digest)

    def health(self) -> tuple[int, int, bool, Refusal | None]:
        """View, peers, whether it is catching up, why it takes no commands."""
        peers = len(self._committee.peers()) if self._committee else 0
        is_syncing = self.agreement.core.is_syncing or self.voting.is_waiting
        refusal = None
        silent_ms = self._clocks.wall_ms() - self.stats.last_final_ms
        if is_syncing or not self.may_author(self.config.index):
            refusal = Refusal.SYNCING
        elif silent_ms > NO_QUORUM_AFTER_MS:
            refusal = Refusal.NO_QUORUM
        return self.agreement.core.view, peers, is_syncing, refusal

    def _count(self) -> NodeCounters:
        links = self._committee.statistics() if self._committee else {}
        return take_counters(self.stats, links, self._clocks.wall_ms(), self.executor.final.height)

    # our own batches and prices

    def _backlog(self) -> int:
        return self.own_batches.waiting_count + self.pool.command_count_of(self.config.index)

    def _send_own_batch(self, checked: CheckedBatch) -> None:
        self.on_batch(checked, is_named=True)
        self.feed.on_sealed(checked)
        if self._peering is not None:
            self._peering.broadcast_batch(checked.batch)

    async def _report_prices(self) -> None:
        while True:
            now_ms = self._clocks.wall_ms()
            feeds_e8 = self._price_feed.feeds(now_ms, list_expiries(self.executor.final.state))
            if self.roster.is_member(self.config.index, self.agreement.epoch):
                report = self._network_signer.sign_price_report(self.config.index, now_ms, feeds_e8)
                self.reports.add(report, now_ms)
                if self._peering is not None:
                    self._peering.broadcast_report(report)
                self.wake()
            await trio.sleep((REPORT_INTERVAL_MS - now_ms % REPORT_INTERVAL_MS) / 1000)

    # what agreement asks for

    def _send(self, peer: int, data: bytes) -> None:
        self.send(peer, Spoken(data))

    def _announce(self, data: bytes) -> None:
        if self._peering is not None:
            self._peering.broadcast(Spoken(data))

    def _fetch_block(self, block_hash: bytes, peers: tuple[int, ...]) -> None:
        if self._peering is not None:
            self._peering.request_block(block_hash, peers)

    def _fetch_batches(self, block: Block, missing: list[tuple[int, int, bytes]]) -> None:
        if self._peering is not None:
            seats = self.roster.seats(block.header.epoch)
            self._peering.request_batches(None if seats is None else seats.numbers[block.header.proposer], missing)

    def _fall_behind(self, target_view: int) -> None:
        log.info("catchup.start own_height=%d target_view=%d", self.executor.final.height, target_view)
        if self._syncing is not None:
            self._syncing.on_behind()

    def ban(self, peer: int, reason: str) -> None:
        """Hold a mistake against a peer."""
        log.warning("peer.offence peer=%d reason=%s", peer, reason)
        if self._peering is not None:
            self._peering.report(peer)

    def send(self, peer: int, frame: Frame) -> bool:
        """False when the peer cannot be reached now."""
        return self._peering is not None and self._peering.send(peer, frame)

    def _finalise(self, block: Block, certificate: Certificate, is_live: bool = True) -> None:
        block_hash = block.hash()
        if self.executor.execute(block) is None:
            raise Stop(f"final block {block.header.height} cannot be executed")
        executed = self.executor.finalise(block_hash)
        payload = decode_payload(block.payload)
        refs, cursors = payload.batch_refs, self.final_sequences()
        batches = [checked for ref in refs if (checked := self.pool.get(ref[2])) is not None]
        self.ledger.apply(block, certificate, executed, batches, is_live)
        self.feed.on_final(block, certificate, block_hash, batches)
        if executed.result is not None:
            self.service.outcomes.on_final(executed.state, executed.result.receipts, batches)
        if is_live:
            self.proposals.on_final(block.header.height, payload, cursors, self._clocks.wall_ms())
        self._forget_batches(cursors, {ref[2] for ref in refs})
        self.agreement.forget_through(block.header)
        self.settling.on_final(executed.state.inbox_cursor)
        if certificate.header_hash == block_hash:
            self.voting.note_signers(certificate)
            self.service.keep_for_proofs(executed)
            self.uptime.add(block.header.height, certificate)
        is_free = is_live and self._due_snapshot is None
        if block.header.height % self.config.snapshot_interval_blocks == 0 or (
            is_free and self._head_pace.is_due(block.header.height, self._clocks.monotonic_ms())
        ):
            self._due_snapshot = executed.state

    def _forget_batches(self, cursors: list[int], placed: set[bytes]) -> None:
        """Drop what the final state has passed; our clients' commands that it passed by are sealed again."""
        passed_by = [checked for checked in self.pool.drop_through(cursors) if checked.batch_hash not in placed]
        for author in {checked.batch.author for checked in passed_by}:
            self.store.drop_unplaced(author, cursors[author])
        own = [checked for checked in passed_by if checked.batch.author == self.config.index]
        self.own_batches.put_back(own)

    def on_appointments(self, found: Appointments) -> None:
        """EP1: what the registry says."""
        self.chain_epoch = found.chain_epoch
        self._addresses = found.addresses
        self._newcomers = tuple(newcomer.number for newcomer in found.newcomers)
        for newcomer in found.newcomers:
            self.roster.introduce(newcomer.number, newcomer.network_key)
        for seats in (*found.begun, *((found.following,) if found.following is not None else ())):
            if seats.epoch > self.agreement.epoch and self.roster.seats(seats.epoch) != seats:
                if seats.epoch <= found.chain_epoch:
                    self.roster.learn(seats)
                self.agreement.appoint(seats)
        self._update_links()
        self.wake()

    def _update_links(self) -> None:
        if self._committee is not None:
            self._committee.update(self._find_links())

    def _find_links(self) -> list[MemberAddress]:
        """Members of this epoch, of the next and of the last, and who waits for a seat: as our operator knows them, or
        as they advertise themselves.
        """
        epoch, found = self.agreement.epoch, dict[int, MemberAddress]()
        committees = [self.roster.seats(known) for known in (epoch, epoch + 1, epoch - 1)]
        numbers = [number for seats in committees if seats is not None for number in seats.numbers]
        for number in (*numbers, *self._newcomers):
            is_configured = number < len(self.config.peers)
            address = self.config.peers[number] if is_configured else self._addresses.get(number)
            network_key = self.roster.network_key(number)
            # Whoever has a higher number dials us, wherever it is.
            is_reached = address is not None or number > self.config.index
            if network_key is not None and is_reached:
                host, port = ("", 0) if address is None else (address.host, address.port)
                found[number] = MemberAddress(number, network_key, host, port)
        return list(found.values())

    def _open_epoch(self, committee: Members, _: Header) -> None:
        """EP6: whom reports are asked of and whose batches count has changed."""
        self._update_links()
        self.uptime.begin(len(committee.members))
        for author in range(self.params.validator_count):
            if not self.may_author(author) and (dropped := self.pool.drop_author(author)):
                self.store.drop_unplaced(author, max(checked.batch.sequence for checked in dropped))

    def may_author(self, number: int) -> bool:
        """Whether its batches can still enter a block. Who has left is heard for an epoch, who comes already."""
        epoch = self.agreement.epoch
        return self.roster.may_author(number, epoch) or self.roster.is_member(number, epoch + 1)

    def accept_range(self, accepted: Accept) -> None:
        """Verified blocks: execute those above our head and tell agreement where we are now. Raises `Stop`.

        A round that was on its way to the disk while the blocks were judged may have moved the head.
        """
        self.agreement.finalise_waiting()  # of a round that waits for us
        certificate = accepted.certificate
        blocks = tuple(block for block in accepted.blocks if block.header.height > self.executor.final.height)
        if not blocks:
            return
        cursors = self.final_sequences()
        for checked in accepted.batches:
            if checked.batch.sequence > cursors[checked.batch.author]:
                self._keep_batch(checked)
        execute = self.executor.execute
        # Agreement may have finalised some of them while we waited for the disk.
        for block in (block for block in blocks if block.header.height > self.executor.final.height):
            if execute(block) != block.header.commitment:
                raise Stop(f"our execution of final block {block.header.height} differs from the committee's")
            self._finalise(block, certificate, is_live=False)
            # Without a certificate of its own a block is not proven from, so only a snapshot wants its state.
            is_wanted = self.executor.final.state is self._due_snapshot
            execute = self.executor.execute if is_wanted else self.executor.advance
        self.agreement.caught_up(Synced(blocks[-1], certificate, accepted.trailing))
        log.info("catchup.progress height=%d", self.executor.final.height)
        self.wake()

    def adopt_snapshot(self, offer: SnapshotOffer, data: bytes) -> None:
        """A state that was recomputed and found to be the committee's: durable first, then start from it."""
        write_bytes(self.home.data / "snapshots", offer.block.header.height, data)
        adopt_root(self.store, self.roster, offer.block.header.epoch, offer.root)
        self.store.put_final(offer.block, offer.certificate)
        self.store.commit()
        self.store.sync()
        raise Restart(f"the state of height {offer.block.header.height} was fetched")

    def _after_flush(self) -> None:
        self.ledger.publish()
        self.feed.flush()
        self.service.outcomes.publish()
        # Not before the store holds the block: a snapshot without its block helps no restart.
        if self._due_snapshot is not None:
            self._snapshot_ready.set()

    async def _write_snapshots(self) -> None:
        """In a thread: states do not change, and nobody waits for a snapshot."""
        while True:
            await self._snapshot_ready.wait()
            self._snapshot_ready = trio.Event()
            state, self._due_snapshot = self._due_snapshot, None
            if state is None:
                continue
            folder, began_ms = self.home.data / "snapshots", self._clocks.monotonic_ms()
            if state.height % self.config.snapshot_interval_blocks == 0:
                kept = self.shelf.pinned(began_ms) | find_provable(folder, self.settling.on_chain.height)
                await trio.to_thread.run_sync(write_snapshot, folder, state, kept)
            else:
                await trio.to_thread.run_sync(write_head, folder, state)
            self._head_pace.on_written(state.height, began_ms, self._clocks.monotonic_ms())
