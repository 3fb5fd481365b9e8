"""Follows every node through its API: status once a second, and the certified header of every height, compared."""

from dataclasses import dataclass, field
from typing import Any

import trio

from consensus.messages import Commitment, Header
from net.client import AsyncClient, HansaError

STATUS_INTERVAL_S = 1.0
HEADERS_PER_POLL_MAX = 200


@dataclass(slots=True)
class NodeView:
    """The last status of one node; empty while it does not answer."""

    url: str
    status: dict[str, Any] = field(default_factory=dict)
    next_height: int = 0

    @property
    def height(self) -> int:
        height: int = self.status.get("height", 0)
        return height


class RootLog:
    """Compares the header hash and state root that each node certifies for each height, once all have told theirs."""

    def __init__(self, node_count: int) -> None:
        self._node_count = node_count
        self._open: dict[int, dict[int, tuple[str, str]]] = {}
        self.compared_count = 0
        self.compared_height = 0
        self.newest_root = ""
        self.disagreements: list[str] = []

    def add(self, node: int, height: int, header_hash: str, state_root: str) -> None:
        told = self._open.setdefault(height, {})
        told[node] = (header_hash, state_root)
        if len(set(told.values())) > 1:
            roots = ", ".join(f"node{index} {root}" for index, (_, root) in sorted(told.items()))
            self.disagreements.append(f"height {height}: {roots}")
            del self._open[height]
        elif len(told) == self._node_count:
            del self._open[height]
            self.compared_count += 1
            if height > self.compared_height:
                self.compared_height, self.newest_root = height, state_root


class Watch:
    """`views` and `roots` are kept current by `run`."""

    def __init__(self, urls: list[str]) -> None:
        self.views = [NodeView(url) for url in urls]
        self.roots = RootLog(len(urls))
        self._first_height: int | None = None
        self._clients: list[AsyncClient] = []

    @property
    def are_all_there(self) -> bool:
        """Whether every node answered the last question."""
        return all(view.status for view in self.views)

    # The stubs that libp2p's dependency trio-typing brings along are older than trio, and hide trio's own types.
    async def run(
        self,
        task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,  # type: ignore[name-defined]
    ) -> None:
        async with trio.open_nursery() as nursery:
            for index, view in enumerate(self.views):
                nursery.start_soon(self._follow, index, view)
            task_status.started()

    async def _follow(self, index: int, view: NodeView) -> None:
        async with AsyncClient(view.url, timeout_s=5) as client:
            while True:
                try:
                    view.status = await client.status()
                    await self._read_headers(index, view, client)
                except HansaError:
                    view.status = {}
                await trio.sleep(STATUS_INTERVAL_S)

    async def _read_headers(self, index: int, view: NodeView, client: AsyncClient) -> None:
        """All nodes are compared from the same height on: where the first one was when the run began."""
        if self._first_height is None:
            self._first_height = max(1, view.height)
        view.next_height = max(view.next_height, self._first_height)
        for _ in range(HEADERS_PER_POLL_MAX):
            if view.next_height > view.height:
                return
            certificate = await client.certificate(view.next_height)
            self.roots.add(index, view.next_height, certificate["header_hash"], certificate["state_root"])
            view.next_height += 1


def read_commitment(certificate: dict[str, Any]) -> Commitment:
    """The engine's answer inside a certified header."""
    header = Header.decode(bytes.fromhex(certificate["header"].removeprefix("0x")))
    return Commitment.decode(header.commitment)


def read_sums(commitment: Commitment) -> tuple[int, int]:
    """`(claims, debt)` of all accounts in quote units."""
    sums = commitment.account_sums
    return int.from_bytes(sums[:16], "big"), int.from_bytes(sums[16:], "big")
