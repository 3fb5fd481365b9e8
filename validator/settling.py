"""The host of settlement in a running node: opens the links to the chain, watches it, posts checkpoints and brings
evidence to the court. What is found is handed to the node's loop; nothing here delays agreement.
"""

import logging
from typing import TYPE_CHECKING

import trio

from consensus.messages import Certificate
from contracts.inbox_reader import InboxReader, ask_over_http
from contracts.records import ChainError
from validator.agreement import Stop
from validator.chain_access import connect
from validator.claims import ClaimsShelf
from validator.clocks import Clocks
from validator.prosecutor import Prosecutor
from validator.statesync import Anchor
from validator.submitter import CHECKPOINT_HEIGHTS_STEP, Candidate, Submitter
from validator.watcher import Watcher, read_inbox

if TYPE_CHECKING:
    from validator.node import Node

log = logging.getLogger("hansa.settling")

CHAIN_RETRY_S = 2.0
VOTING_PATIENCE_S = 5.0
INBOX_INTERVAL_S = 0.25


class Settling:
    """See the module's text."""

    def __init__(self, node: "Node", clocks: Clocks, operator_key: bytes) -> None:
        self._node = node
        self._clocks = clocks
        self._operator_key = operator_key
        self.prosecutor: Prosecutor | None = None
        self.claims = ClaimsShelf(node.home.data / "claims")
        self._checkpoint_seen = trio.Event()

    async def run(self) -> None:
        """Watch and submit, as soon as the endpoints answer: an outage of theirs must not keep the committee down."""
        node = self._node
        await self._read_inbox_until_voting()
        while True:
            try:
                settlements, court = await trio.to_thread.run_sync(
                    connect, node.network, node.config.rpc_urls, self._operator_key
                )
                break
            except ChainError as error:
                log.warning("chain.unreachable error=%s (retrying)", error)
                await trio.sleep(CHAIN_RETRY_S)
        if court is not None:
            self.prosecutor = Prosecutor(court, node.store, node.config.index, len(node.network.validators))
        watcher = Watcher(settlements, node.inbox, node.on_chain)
        submitter = Submitter(
            settlements[0], node.config.index, len(node.network.validators), node.network.checkpoint_interval_blocks
        )
        async with trio.open_nursery() as nursery:
            if self.prosecutor is not None:
                nursery.start_soon(self.prosecutor.run)
            nursery.start_soon(watcher.run, self._clocks.wall_ms, self._on_view)
            nursery.start_soon(self._keep_claims)
            nursery.start_soon(submitter.run, node.on_chain, self)

    async def _read_inbox_until_voting(self) -> None:
        """Votes need the inbox. web3, which follows the chain from then on, takes the interpreter for a second: not
        before a vote of ours counts, or seems not to.
        """
        node = self._node
        readers = [InboxReader(ask_over_http(url), node.network.contract) for url in node.config.rpc_urls]
        counting = self._own_counting()
        with trio.move_on_after(VOTING_PATIENCE_S):
            while self._own_counting() is counting:
                try:
                    block, entries = await trio.to_thread.run_sync(read_inbox, readers, len(node.inbox.entries))
                    node.inbox.extend(self._clocks.wall_ms(), block, entries)
                    node.wake()
                except ChainError as error:
                    log.info("chain.unread error=%s (trying again)", error)
                await trio.sleep(INBOX_INTERVAL_S)

    def _own_counting(self) -> Certificate | None:
        return self._node.voting.counting(self._node.config.index)

    @property
    def anchor(self) -> Anchor:
        """The settlement contract's last checkpoint."""
        return Anchor(self._node.on_chain.height, self._node.on_chain.header_hash)

    def _on_view(self) -> None:
        """Raises `Stop`: whatever the committee we listen to certified, the contract has another block."""
        on_chain = self._node.on_chain
        final = self._node.store.final(on_chain.height)
        if final is not None and on_chain.header_hash not in (b"", final.block.hash()):
            raise Stop(f"the settlement chain's checkpoint of height {on_chain.height} is not our block")
        self._node.service.keep_checkpoint(on_chain.height)
        self._checkpoint_seen.set()
        self._node.wake()

    async def _keep_claims(self) -> None:
        """The claims file of every checkpoint that is on the chain."""
        while True:
            await self._checkpoint_seen.wait()
            self._checkpoint_seen = trio.Event()
            await self.prepare(self._node.on_chain.height)

    # what the submitter asks

    async def prepare(self, height: int) -> None:
        """Have the claims file of a header that is, or is about to be, a checkpoint. A node that was not there when the
        block was executed cannot write it; others can, and its blocks give it again.
        """
        try:
            await self.claims.keep(height, self._node.service.proven, self._node.on_chain.height)
        except OSError as error:
            log.error("claims.unwritten height=%d error=%s: make room on this disk", height, error)

    def find_candidate(self, above_height: int) -> Candidate | None:
        """The newest certified header that members post."""
        final = self._node.store.newest_direct(step=CHECKPOINT_HEIGHTS_STEP)
        if final is None or final.block.header.height <= above_height:
            return None
        return Candidate(final.block.header, final.certificate)

    def is_urgent(self) -> bool:
        """Whether a withdrawal waits for a checkpoint."""
        return self._node.store.has_withdrawal_above(self._node.on_chain.height)
