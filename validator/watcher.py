"""The settlement chain as this node sees it: finalised inbox entries and checkpoints that enough endpoints tell alike.

Each endpoint has a task of its own, so that a dead one delays nobody; `validator/endpoints.py` decides what to believe.
All calls run in worker threads; what they find is handed to the node's loop as plain values. A chain that does not
answer is the world's failure: it is logged once per outage, retried for ever and never stops consensus.
"""

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TypeVar
from urllib.parse import urlsplit

import trio

from contracts.chain_reader import ChainReader, RpcRefused
from contracts.records import ChainError, InboxRecord
from engine.payload import InboxEntry
from net.gateway.backend import EndpointStatus
from validator.endpoints import Agreed, Endpoints, EndpointView
from validator.inbox import Inbox

log = logging.getLogger("hansa.chain")
T = TypeVar("T")

POLL_INTERVAL_S = 1.0
# While a starting node waits for its inbox.
EAGER_INTERVAL_S = 0.25
# At most so many pages of logs before what they told is looked at.
PAGES_PER_POLL = 16


@dataclass(slots=True)
class OnChain:
    """What the settlement contract holds, as of the last poll. Final, but for `posted_height`: the last checkpoint in
    the youngest blocks, which the chain may yet take back.
    """

    height: int = 0
    block: int = 0
    header_hash: bytes = b""  # of the checkpoint at `height`; empty before the first
    posted_height: int = 0
    endpoints: tuple[EndpointStatus, ...] = field(default=())


@dataclass(frozen=True, slots=True)
class Outside:
    """What the watcher asks its node. `keep(agreed, entries)`: for good, to be remembered; `on_view`: look."""

    now_ms: Callable[[], int]
    keep: Callable[[Agreed, list[InboxEntry]], None]
    on_view: Callable[[], None]


class Watcher:
    """Polls every endpoint and hands on what is agreed. Lives in the node's loop."""

    def __init__(
        self, readers: Mapping[str, ChainReader], chain_id: int, domain: bytes, agreed: Agreed, inbox: Inbox,
        on_chain: OnChain,
    ) -> None:  # fmt: skip
        """`readers` by the name under which an endpoint is shown; `agreed` is where the node's memory of the chain
        ends.
        """
        self._chain_id, self._domain = chain_id, domain
        self._readers = list(readers.values())
        self._endpoints = Endpoints(list(readers), agreed)
        self._inbox, self._on_chain = inbox, on_chain
        self._reported: dict[str, str] = {}
        self._was_disputed = False
        self.interval_s = EAGER_INTERVAL_S

    async def run(self, outside: Outside) -> None:
        """Until cancelled."""
        async with trio.open_nursery() as nursery:
            for view, reader in zip(self._endpoints.views, self._readers):
                nursery.start_soon(self._follow, view, reader, outside)

    async def _follow(self, view: EndpointView, reader: ChainReader, outside: Outside) -> None:
        while True:
            is_behind = await self._poll(view, reader)
            self._settle(outside)
            self._report()
            await trio.sleep(0 if is_behind else self.interval_s)

    async def _poll(self, view: EndpointView, reader: ChainReader) -> bool:
        """Whether there is more to be read at once."""
        try:
            if not view.is_checked:
                deployed_block = await _in_thread(reader.check, self._chain_id, self._domain)
                self._endpoints.on_checked(view, deployed_block)
            final_block, posted_height = await _in_thread(_ask_heads, reader)
            if not self._endpoints.on_final(view, final_block, posted_height):
                return False
            for _ in range(PAGES_PER_POLL):
                page = self._endpoints.next_page(view, final_block)
                if page is None:
                    return False
                try:
                    news = await _in_thread(reader.news, *page)
                except RpcRefused:
                    self._endpoints.on_refused_page(view, *page)
                    return False
                if not self._endpoints.on_news(view, page[1], news):
                    return False
            return True
        except ChainError as error:
            view.is_checked = False
            self._endpoints.on_failure(view, str(error))
            return False

    def _settle(self, outside: Outside) -> None:
        """Hand on what has become agreed."""
        on_chain, progress = self._on_chain, self._endpoints.agree()
        posted_height = max(self._endpoints.posted_height, on_chain.height)
        if progress is None and posted_height == on_chain.posted_height:
            return
        on_chain.posted_height = posted_height
        if progress is not None:
            agreed, entries = self._endpoints.agreed, [_to_entry(record) for record in progress.entries]
            self._inbox.extend(outside.now_ms(), agreed.block, entries)
            on_chain.block = agreed.block
            for checkpoint in progress.checkpoints:
                on_chain.height, on_chain.header_hash = checkpoint.height, checkpoint.header_hash
            outside.keep(agreed, entries)
            on_chain.posted_height = max(posted_height, on_chain.height)
        outside.on_view()

    def _report(self) -> None:
        """Once per outage, per lie and per recovery; the newest state of all for whoever asks."""
        for view in self._endpoints.views:
            before = self._reported.get(view.name, "")
            if view.fault and not before:
                log.warning("chain.endpoint_faulty name=%s fault=%s (asking on)", view.name, view.fault)
            elif before and not view.fault:
                log.info("chain.endpoint_well name=%s", view.name)
            self._reported[view.name] = view.fault
        if self._endpoints.is_disputed and not self._was_disputed:
            log.error(
                "chain.disputed needed=%d (endpoints differ and too few agree: nothing new is believed)",
                self._endpoints.needed,
            )
        self._was_disputed = self._endpoints.is_disputed
        self._on_chain.endpoints = tuple(
            EndpointStatus(view.name, view.counts and not view.fault, view.fault, view.final_block)
            for view in self._endpoints.views
        )


def name_endpoints(urls: tuple[str, ...]) -> list[str]:
    """What may be shown of each URL: providers put keys into paths and user names. Unique."""
    names: list[str] = []
    for url in urls:
        parts = urlsplit(url)
        name = parts.hostname or "?"
        name = f"{name}:{parts.port}" if parts.port else name
        names.append(name if name not in names else f"{name} ({len(names) + 1})")
    return names


async def _in_thread(function: Callable[..., T], *arguments: object) -> T:
    return await trio.to_thread.run_sync(function, *arguments, abandon_on_cancel=True)  # type: ignore[call-arg]


def _ask_heads(reader: ChainReader) -> tuple[int, int]:
    return reader.finalized_block(), reader.posted_height()


def _to_entry(record: InboxRecord) -> InboxEntry:
    return InboxEntry(
        record.index, record.kind, record.token, record.beneficiary, record.subaccount, record.sender, record.amount,
        record.data, record.time_s,
    )  # fmt: skip
