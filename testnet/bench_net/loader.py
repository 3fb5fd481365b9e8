"""`python -m testnet.bench_net.loader`: one client process. It signs before the window, then sends by the clock or as
fast as answers come.

It is told what to do by lines of JSON on its standard input, and answers each by one line on its output. Its kernels
come from the cache that the environment names (`validator.compilecache`).
"""

import json
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import trio

from engine.commands import compute_domain_separator
from testnet.bench_net.accounts import derive_traders
from testnet.bench_net.entry import Entry, open_entries
from testnet.bench_net.signing import Signed, sign_messages
from testnet.bench_net.tally import Tally

TICK_S = 0.02  # a client sends what is due in it as one frame
DRAIN_S = 10.0


@dataclass(frozen=True, slots=True)
class Client:
    """What a client process is for: nodes by number and URL, and the traders that send to them."""

    number: int
    urls: dict[int, str]
    chain_id: int
    contract: str


@dataclass(frozen=True, slots=True)
class Load:
    """Send until `ends_s`; the window begins at `starts_s`. Times are those of `time.monotonic`, which processes share.

    `messages_per_s` 0: a closed loop that keeps `outstanding` messages under way.
    """

    entry: str
    starts_s: float
    ends_s: float
    messages_per_s: float = 0.0
    outstanding: int = 0


@dataclass(slots=True)
class Report:
    """What came of a load, in messages; `cpu_s` is this process's inside the window."""

    sent_inside: int = 0
    refused: int = 0
    unanswered: int = 0
    cpu_s: float = 0.0
    is_exhausted: bool = False
    refusals: dict[str, int] = field(default_factory=dict)
    latencies_ms: list[float] = field(default_factory=list)


LATENCIES_MAX = 20_000


class Loader:
    """The traders of this process and what they have signed."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._traders = derive_traders(client.number, sorted(client.urls))
        self._separator = compute_domain_separator(client.chain_id, bytes.fromhex(client.contract.removeprefix("0x")))
        self._scheduled = 0
        self._signed: Signed | None = None

    def sign(self, messages: int, actions_per_message: int) -> float:
        """Sign the next load; CPU microseconds a message."""
        started_s = time.process_time()
        self._signed = sign_messages(
            self._traders, messages, actions_per_message, self._separator, time.time_ns() // 1_000_000, self._scheduled
        )
        self._scheduled += messages
        return (time.process_time() - started_s) * 1e6 / max(1, messages)

    async def run(self, load: Load) -> Report:
        """Send what was signed, until the end of the load or of what was signed."""
        if self._signed is None:
            raise RuntimeError("sign first")
        tally, pulse = Tally(_to_trio_s(load.starts_s), _to_trio_s(load.ends_s)), Pulse()
        report = Report()
        nodes = np.array([trader.node for trader in self._traders])[self._signed.traders]
        async with trio.open_nursery() as nursery:
            streams: list[Stream] = []
            for node, url in self._client.urls.items():
                entries = await open_entries(nursery, load.entry, url, self._signed, tally, pulse.notify)
                streams += split_stream(np.flatnonzero(nodes == node), self._signed.traders, entries)
            nursery.start_soon(_measure_cpu, load, report)
            for stream in streams:
                nursery.start_soon(stream.entry.receive)
            async with trio.open_nursery() as senders:
                for stream in streams:
                    share = len(stream.rows) / len(nodes)
                    senders.start_soon(_send, stream, share, load, tally, pulse)
            await trio.sleep_until(tally.ends_s)
            report.is_exhausted = all(not len(stream.rows) for stream in streams)
            with trio.move_on_after(DRAIN_S):
                while tally.outstanding > 0:
                    await pulse.wait()
            nursery.cancel_scope.cancel()
        report.sent_inside = tally.sent_inside
        report.refused, report.unanswered = tally.refused, tally.outstanding
        report.refusals = {str(code): count for code, count in tally.codes.items()}
        every = 1 + len(tally.latencies_s) // LATENCIES_MAX
        report.latencies_ms = [round(latency_s * 1e3, 2) for latency_s in tally.latencies_s[::every]]
        return report


class Pulse:
    """Wakes whoever waits for answers."""

    def __init__(self) -> None:
        self._event = trio.Event()

    def notify(self) -> None:
        self._event.set()
        self._event = trio.Event()

    async def wait(self) -> None:
        await self._event.wait()


@dataclass(slots=True)
class Stream:
    """One connection and the messages that are to go over it, in their order."""

    entry: Entry
    rows: np.ndarray


def split_stream(rows: np.ndarray, traders: np.ndarray, entries: Sequence[Entry]) -> list[Stream]:
    """Some traders to each connection, so that what one trader sends stays in order."""
    _, turns = np.unique(traders[rows], return_inverse=True)
    return [Stream(entry, rows[turns % len(entries) == at]) for at, entry in enumerate(entries)]


async def _send(stream: Stream, share: float, load: Load, tally: Tally, pulse: Pulse) -> None:
    """Until the end of the load or of the stream. What an open loop could not send in time it sends later."""
    began_s, sent = trio.current_time(), 0
    room, per_s = max(1, round(load.outstanding * share)), load.messages_per_s * share
    while len(stream.rows) and trio.current_time() < tally.ends_s:
        if per_s:
            due = int((trio.current_time() - began_s) * per_s) - sent
        else:
            due = room - stream.entry.outstanding
        if due <= 0:
            next_s = began_s + (sent + 1) / per_s if per_s else 0.0
            with trio.move_on_at(min(tally.ends_s, max(next_s, trio.current_time() + TICK_S))):
                await (trio.sleep_forever() if per_s else pulse.wait())
            continue
        rows, stream.rows = stream.rows[:due], stream.rows[due:]
        sent += len(rows)
        with trio.move_on_at(tally.ends_s):
            await stream.entry.send(rows)


async def _measure_cpu(load: Load, report: Report) -> None:
    await trio.sleep(max(0.0, load.starts_s - time.monotonic()))
    before_s = time.process_time()
    await trio.sleep(max(0.0, load.ends_s - time.monotonic()))
    report.cpu_s = time.process_time() - before_s


def _to_trio_s(monotonic_s: float) -> float:
    """trio's clock has an origin of its own."""
    return trio.current_time() + monotonic_s - time.monotonic()


async def serve(loader: Loader) -> None:
    """One line in, one line out, until the input ends."""
    while line := await trio.to_thread.run_sync(sys.stdin.readline):
        request: dict[str, Any] = json.loads(line)
        if request["do"] == "sign":
            answer: dict[str, Any] = {"us": loader.sign(request["messages"], request["actions_per_message"])}
        else:
            answer = asdict(await loader.run(Load(**request["load"])))
        print(json.dumps(answer), flush=True)


def main() -> int:
    client = json.loads(sys.argv[1])
    urls = {int(node): url for node, url in client["urls"].items()}
    trio.run(serve, Loader(Client(client["number"], urls, client["chain_id"], client["contract"])))
    return 0


if __name__ == "__main__":
    sys.exit(main())
