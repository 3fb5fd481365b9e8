"""Asks nodes what they know, all at once; a node that is away costs its own line and nobody else's."""

import asyncio
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import httpx

from validator.top.looks import Gauges, Look, Page, make_look

TIMEOUT_S = 3.0
METHODS = ("public/status", "public/x_get_validators", "public/x_get_evidence", "public/x_get_oracle_round")
# A node may lack these answers and be well: before the first price, say.
OPTIONAL = frozenset({"public/x_get_oracle_round", "public/x_get_certificate"})


@dataclass(frozen=True, slots=True)
class Watched:
    """A node to look at. `metrics_url` empty: it has no page for Prometheus, or nobody may read it."""

    name: str
    url: str
    metrics_url: str = ""


class Reader:
    """Looks at the same nodes again and again. Use as an async context manager, on asyncio."""

    def __init__(self, nodes: Sequence[Watched], wall_s: Callable[[], float] = time.time) -> None:
        self.nodes = tuple(nodes)
        self._wall_s = wall_s
        self._pages = {node.name: Page() for node in nodes}
        self._common_height = 0

    async def __aenter__(self) -> "Reader":
        # Proxies are for what is far away; a committee's nodes are asked as they are named.
        self._http = httpx.AsyncClient(timeout=TIMEOUT_S, trust_env=False)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.aclose()

    async def look(self) -> list[Look]:
        """At every node, in their order. Roots are asked for at the height that all had reached the time before."""
        looks = list(await asyncio.gather(*map(self._look_at, self.nodes)))
        heights = [look.height for look in looks if look.is_there]
        self._common_height = min(heights, default=0)
        return looks

    async def _look_at(self, node: Watched) -> Look:
        at_s = self._wall_s()
        try:
            answers, gauges = await asyncio.gather(self._ask_all(node.url), self._read_page(node))
            return make_look(node.name, node.url, at_s, answers, gauges)
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError, TypeError) as error:
            return Look(node.name, node.url, at_s, fault=str(error) or type(error).__name__)

    async def _ask_all(self, url: str) -> dict[str, Any]:
        calls: list[tuple[str, dict[str, Any]]] = [(method, {}) for method in METHODS]
        if self._common_height:
            calls.append(("public/x_get_certificate", {"height": self._common_height}))
        answers = await asyncio.gather(*(self._ask(url, method, params) for method, params in calls))
        return {method: answer for (method, _), answer in zip(calls, answers)}

    async def _ask(self, url: str, method: str, params: dict[str, Any]) -> Any:
        """The result; None for an optional one that the node does not have. Raises `ValueError` with its refusal."""
        reply = await self._http.get(f"{url.rstrip('/')}/api/v2/{method}", params=params)
        try:
            body = json.loads(reply.text)
        except ValueError:
            raise ValueError(f"no API of a node: it answers {reply.status_code} to {method}") from None
        if "result" in body:
            return body["result"]
        if method in OPTIONAL:
            return None
        raise ValueError(f"{method}: {body['error']['message']}")

    async def _read_page(self, node: Watched) -> Gauges:
        """Empty where there is none: the API is what counts."""
        if not node.metrics_url:
            return Gauges()
        try:
            reply = await self._http.get(node.metrics_url)
            return self._pages[node.name].read(reply.text) if reply.status_code == 200 else Gauges()
        except (httpx.HTTPError, httpx.InvalidURL, ValueError, LookupError):
            return Gauges()
