"""The host of settlement in a running node: opens the links to the chain, watches it, posts checkpoints and brings
evidence to the court. What is found is handed to the node's loop; nothing here delays agreement.
"""

import logging
from functools import partial
from typing import TYPE_CHECKING

import trio

from consensus.messages import Certificate, Commitment
from contracts.chain_reader import ChainReader, ask_over_http
from contracts.records import ChainError
from contracts.withdrawals_file import FiledWithdrawal
from engine.payload import KIND_DEPOSIT, InboxEntry
from validator.agreement import Stop
from validator.chain_access import connect, open_registries
from validator.claims import ClaimsShelf, list_tokens
from validator.clocks import Clocks
from validator.endpoints import Agreed
from validator.inbox import Inbox
from validator.prosecutor import Prosecutor
from validator.statesync import Anchor
from validator.store import ChainSeen, FinalBlock
from validator.submitter import CHECKPOINT_HEIGHTS_STEP, Cadence, Candidate, Submitter
from validator.succession import Succession
from validator.watcher import EAGER_INTERVAL_S, POLL_INTERVAL_S, OnChain, Outside, Watcher, name_endpoints

if TYPE_CHECKING:
    from contracts.settlement import Settlement
    from validator.node import Node

log = logging.getLogger("hansa.settling")

CHAIN_RETRY_S = 2.0
VOTING_PATIENCE_S = 5.0


class Settling:
    """See the module's text."""

    def __init__(self, node: "Node", clocks: Clocks, operator_key: bytes) -> None:
        self._node = node
        self._clocks = clocks
        self._operator_key = operator_key
        self.prosecutor: Prosecutor | None = None
        self.claims = ClaimsShelf(node.home.data / "claims")
        self._preparing = trio.Lock()
        self._checkpoint_seen, self._final_seen = trio.Event(), trio.Event()
        self._posted_cursor = (0, 0)  # of the checkpoint at a height, what it consumed
        self._newest: tuple[int, FinalBlock | None] = -1, None  # since which step of heights, see `_newest_to_post`
        state = node.executor.final.state
        seen, entries = node.store.chain(state.inbox_cursor)
        entry_hash = state.inbox_hash
        for entry in entries:
            entry_hash = entry.chain(entry_hash)
        self.inbox = Inbox(state.inbox_cursor)
        self.inbox.extend(clocks.wall_ms(), seen.block, entries)
        self.on_chain = OnChain(seen.height, seen.block, seen.header_hash, seen.height)
        self.readers = [ChainReader(ask_over_http(url), node.network.contract) for url in node.config.rpc_urls]
        self._watcher = Watcher(
            dict(zip(name_endpoints(node.config.rpc_urls), self.readers)), node.network.chain_id, node.domain,
            Agreed(seen.block, self.inbox.count, entry_hash), self.inbox, self.on_chain,
        )  # fmt: skip

    async def run(self) -> None:
        """Watch and submit: an outage of the endpoints must not keep the committee down."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._watcher.run, Outside(self._clocks.wall_ms, self._keep_inbox, self._on_view))
            nursery.start_soon(self._keep_claims)
            await self._wait_until_voting()
            self._watcher.interval_s = POLL_INTERVAL_S
            nursery.start_soon(self._send)

    async def _send(self) -> None:
        """Post and prosecute, as soon as the endpoints answer."""
        node = self._node
        while True:
            try:
                settlements, court = await trio.to_thread.run_sync(
                    connect, node.network, node.config, self._operator_key
                )
                break
            except ChainError as error:
                log.warning("chain.unreachable error=%s (retrying)", error)
                await trio.sleep(CHAIN_RETRY_S)
        network = node.network
        cadence = Cadence(network.checkpoint_interval_blocks, network.checkpoint_interval_s)
        posts = [partial(trio.to_thread.run_sync, settlement.checkpoint) for settlement in settlements]
        submitter = Submitter(posts, cadence)
        succession = await self._open_succession(settlements)
        async with trio.open_nursery() as nursery:
            if succession is not None:
                nursery.start_soon(succession.run)
            if court is not None:
                self.prosecutor = Prosecutor(court, node.store, node.config.index, len(node.network.validators))
                nursery.start_soon(self.prosecutor.run)
            nursery.start_soon(submitter.run, self.on_chain, self)

    async def _open_succession(self, settlements: "list[Settlement]") -> Succession | None:
        """None where the committee never changes."""
        node = self._node
        while node.network.epoch_length_ms:
            try:
                registries = await trio.to_thread.run_sync(open_registries, settlements, self._operator_key)
                return Succession(node, settlements[0], registries)
            except ChainError as error:
                log.warning("chain.unreachable error=%s (retrying)", error)
                await trio.sleep(CHAIN_RETRY_S)
        return None

    async def _wait_until_voting(self) -> None:
        """web3 takes the interpreter for a second: not before a vote of ours counts, or seems not to."""
        counting = self._own_counting()
        with trio.move_on_after(VOTING_PATIENCE_S):
            while self._own_counting() is counting:
                await trio.sleep(EAGER_INTERVAL_S)

    def _own_counting(self) -> Certificate | None:
        return self._node.voting.counting(self._node.config.index)

    def _keep_inbox(self, agreed: Agreed, entries: list[InboxEntry]) -> None:
        seen = ChainSeen(agreed.block, agreed.entry_count, self.on_chain.height, self.on_chain.header_hash)
        self._node.store.put_chain(seen, entries)

    def on_final(self, inbox_cursor: int) -> None:
        """A final block has consumed the inbox up to there."""
        self.inbox.forget_before(inbox_cursor)
        self._final_seen.set()
        self._final_seen = trio.Event()

    @property
    def anchor(self) -> Anchor:
        """The settlement contract's last checkpoint."""
        return Anchor(self.on_chain.height, self.on_chain.header_hash)

    def _on_view(self) -> None:
        """Raises `Stop`: whatever the committee we listen to certified, the contract has another block."""
        on_chain = self.on_chain
        final = self._node.store.final(on_chain.height)
        is_ours = final is None or on_chain.header_hash in (b"", final.block.hash())
        if final is not None and not is_ours and not self._ends_an_epoch(on_chain):
            raise Stop(f"the settlement chain's checkpoint of height {on_chain.height} is not our block")
        self._node.service.keep_checkpoint(on_chain.posted_height)
        self._node.feed.tell_facts()
        self._checkpoint_seen.set()
        self._node.wake()

    def _ends_an_epoch(self, on_chain: OnChain) -> bool:
        """Whether the checkpoint is of a trailing block, which no chain has at its height."""
        store = self._node.store
        seals = [store.seal(epoch) for epoch in store.sealed_epochs()]
        trailing = [block for seal in seals if seal is not None for block in seal.trailing]
        return any((block.header.height, block.hash()) == (on_chain.height, on_chain.header_hash) for block in trailing)

    async def _keep_claims(self) -> None:
        """The claims file of every checkpoint that is on the chain."""
        while True:
            await self._checkpoint_seen.wait()
            self._checkpoint_seen = trio.Event()
            await self.prepare(self.on_chain.posted_height)

    # what the submitter asks

    async def prepare(self, height: int) -> None:
        """Have the claims file of a header that is, or is about to be, a checkpoint. A node that was not there when the
        block was executed cannot write it; others can, and its blocks give it again.
        """
        node, withdrawals = self._node, self.claims.withdrawals
        try:
            async with self._preparing:
                rows = node.store.withdrawals_from(withdrawals.count, height)
                tokens = list_tokens(node.executor.final.state) if rows else []
                filed = [FiledWithdrawal(row[0], row[1], row[4], tokens[row[6]], row[5]) for row in rows]
                await trio.to_thread.run_sync(withdrawals.append, filed)
                await self.claims.keep(height, node.service.proven, self.on_chain.height)
        except OSError as error:
            log.error("claims.unwritten height=%d error=%s (make room on this disk)", height, error)

    def find_candidate(self, above_height: int) -> Candidate | None:
        """The newest certified header that members post."""
        node, final = self._node, self._newest_to_post()
        if final is None or final.block.header.height <= above_height:
            return None
        epoch, seats = final.block.header.epoch, node.roster.seats(final.block.header.epoch)
        index = None if seats is None else seats.find(node.config.index)
        if seats is None or index is None or (node.chain_epoch is not None and node.chain_epoch != epoch):
            return None  # not ours to post, or not yet: the contract takes headers of its own epoch only
        return Candidate(final.block.header, final.certificate, index, len(seats.numbers))

    def _newest_to_post(self) -> FinalBlock | None:
        """Looked up again only once a height that may be posted was passed: each is a whole block to decode."""
        step = self._node.executor.final.height // CHECKPOINT_HEIGHTS_STEP
        if step != self._newest[0]:
            self._newest = step, self._node.store.newest_direct(step=CHECKPOINT_HEIGHTS_STEP)
        return self._newest[1]

    def is_urgent(self, candidate: Candidate, posted_height: int) -> bool:
        """Whether somebody waits for this checkpoint: for a withdrawal, or because the contract does not know yet that
        a forced action was heard.
        """
        store = self._node.store
        if store.has_withdrawal_between(posted_height, candidate.header.height):
            return True
        if self._posted_cursor[0] != posted_height:
            posted = store.final(posted_height)
            cursor = 0 if posted is None else Commitment.decode(posted.block.header.commitment).inbox_cursor
            self._posted_cursor = posted_height, cursor
        heard = self.inbox.slice(self._posted_cursor[1], Commitment.decode(candidate.header.commitment).inbox_cursor)
        return any(entry.kind != KIND_DEPOSIT for entry in heard)

    async def wait_final(self) -> None:
        """Until another block is final."""
        await self._final_seen.wait()
