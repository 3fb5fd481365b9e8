"""Sends every command several times to nodes drawn at random, each time until one answers, while one node is gone."""

import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx
import trio

from testnet.retry_storm.commands import Sent

SENDS = 5
# An account remembers its 64 highest nonces (ACC-2): with fewer under way, none comes too late.
UNDER_WAY_MAX = 16
SPREAD_S = 0.4
PATIENCE_S = 90.0
FINAL_WAIT_S = 10
# Refusals that say: not here, not now, nothing was queued.
ELSEWHERE = frozenset({605, 606, 801, 802, 803})


@dataclass(slots=True)
class Answers:
    """What the nodes said to one command: (height, code) of final answers, refusals that were none, and silence."""

    final: set[tuple[int, int]] = field(default_factory=set)
    false_refusals: list[int] = field(default_factory=list)
    answered: int = 0


@dataclass(slots=True)
class Storm:
    """`counts`: sends, answers, silences, refusals that send elsewhere."""

    urls: Sequence[str]
    draw: random.Random
    answers: dict[bytes, Answers] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)
    done: int = 0

    async def run(self, sent: Sequence[Sent], disturb: Callable[[], Awaitable[None]]) -> None:
        """All commands; `disturb` runs beside them."""
        gates = {entry.account.address: trio.Semaphore(UNDER_WAY_MAX) for entry in sent}
        limits = httpx.Limits(max_connections=64)
        async with httpx.AsyncClient(timeout=FINAL_WAIT_S + 20, limits=limits) as http, trio.open_nursery() as nursery:
            nursery.start_soon(disturb)
            for entry in sent:
                await gates[entry.account.address].acquire()
                nursery.start_soon(self._send_all, http, entry, gates[entry.account.address])

    async def wait_done(self, count: int) -> None:
        """Until so many commands are through with all their sends."""
        while self.done < count:
            await trio.sleep(0.05)

    async def _send_all(self, http: httpx.AsyncClient, entry: Sent, gate: trio.Semaphore) -> None:
        self.answers[entry.command_id] = Answers()
        async with trio.open_nursery() as nursery:
            for _ in range(SENDS):
                nursery.start_soon(self._send, http, entry, self.draw.random() * SPREAD_S)
        self.done += 1
        gate.release()

    async def _send(self, http: httpx.AsyncClient, entry: Sent, delay_s: float) -> None:
        """One of the sends: to another node as long as nobody answers."""
        await trio.sleep(delay_s)
        with trio.move_on_after(PATIENCE_S):
            while not await self._ask(http, self.draw.choice(self.urls), entry):
                await trio.sleep(0.1)

    async def _ask(self, http: httpx.AsyncClient, url: str, entry: Sent) -> bool:
        self.counts["sends"] += 1
        params = {"command": entry.command.encode().hex(), "x_timeout_s": FINAL_WAIT_S}
        try:
            answer = (await http.post(f"{url}/api/v2/public/x_submit", json=params)).json()
        except (httpx.HTTPError, ValueError):
            self.counts["silences"] += 1
            return False
        return self._take(answer, self.answers[entry.command_id])

    def _take(self, answer: dict[str, Any], known: Answers) -> bool:
        """Whether the answer says what became of the command, or that it was queued."""
        data = answer["error"]["data"] if "error" in answer else {}
        if data.get("code") in ELSEWHERE:
            self.counts["refused, elsewhere"] += 1
            return False
        self.counts["answers"] += 1
        known.answered += 1
        if data and data.get("stage") != "final":
            known.false_refusals.append(data["code"])
        elif data or answer["result"]["x_is_final"]:
            about = data or answer["result"]
            known.final.add((about["x_height"], data.get("code", 0)))
        return True
