"""The node of `tests.validator.bench_ingress`: a real gateway, service and ingress; its batches go nowhere."""

import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import cast

import trio
from nacl.signing import SigningKey

from engine.warm import warm
from net.feed.facts import NodeFacts
from net.gateway.app import GatewayConfig, serve
from net.gateway.backend import NetworkInfo
from net.gateway.limits import Limits
from net.identity import NetworkSigner
from tests.validator.bench_ingress_client import MESSAGES
from tests.validator.chainlet import (
    CHAIN_ID,
    CONTRACT,
    DOMAIN,
    MARK_TICKS,
    NETWORK_KEYS,
    PARAMS,
    SEEDS,
    SEPARATOR,
    TOKEN,
    TRADERS,
    Chainlet,
)
from validator.batches import check_batch
from validator.claims import ClaimsShelf
from validator.inbox import Inbox
from validator.ingress import Ingress
from validator.ledger import Ledger
from validator.node_facts import take_counters
from validator.roster import Roster
from validator.sealing import Sealer, Taken
from validator.service import Service
from validator.stats import Stats
from validator.store import Store
from validator.uptime import Uptime
from validator.watcher import OnChain

PATHS = {"calls": "/ws/api/v2", "frames": "/ws/orders"}
UNLIMITED = Limits(requests_per_s=10**6, requests_burst=10**6, order_messages_per_s=10**6, order_messages_burst=10**6)
INFO = NetworkInfo(CHAIN_ID, CONTRACT, DOMAIN, 0, TOKEN, PARAMS.markets)
Rows = list[dict[str, object]]


class Refused(ValueError):
    """Something was not taken that should be."""


class Desk:
    """A service and what it took."""

    def __init__(self, folder: Path) -> None:
        chain = Chainlet()
        chain.fund()
        self.taken: list[Taken] = []
        self.ingress = Ingress(
            INFO, receipt_key=SigningKey(SEEDS[0]), state=lambda: chain.executor.final.state, wall_ms=_wall_ms,
            refusal=lambda: None, backlog=lambda: 0, enqueue=self.taken.append,
        )  # fmt: skip
        store, stats = Store(folder / "blocks.sqlite"), Stats(_wall_ms)
        self.service = Service(
            INFO, executor=chain.executor, ledger=Ledger(store, stats, chain.executor.final.state), store=store,
            on_chain=OnChain(), claims=cast(ClaimsShelf, None), inbox=cast(Inbox, None),
            uptime=cast(Uptime, None), roster=cast(Roster, None), ingress=self.ingress,
            facts=lambda: cast(NodeFacts, None), counters=lambda: take_counters(stats, {}, _wall_ms(), 0),
        )  # fmt: skip


def _wall_ms() -> int:
    return time.time_ns() // 1_000_000


async def measure_way(desk: Desk, url: str, way: str, actions_per_message: int) -> float:
    """CPU seconds of this process until all messages of one client are taken. Raises `Refused`."""
    plan = {
        "url": url, "way": way, "path": PATHS[way], "actions": actions_per_message, "key": TRADERS[0].secret.hex(),
        "separator": SEPARATOR.hex(), "node_key": NETWORK_KEYS[0].hex(), "network_id": DOMAIN.hex(),
        "price_ticks": MARK_TICKS,
    }  # fmt: skip
    argv = [sys.executable, "-m", "tests.validator.bench_ingress_client", json.dumps(plan)]
    desk.taken.clear()
    client = await trio.lowlevel.open_process(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    if client.stdin is None or client.stdout is None:
        raise RuntimeError("a client process is started with pipes")
    if await _read_line(client.stdout) != b"ready":
        raise Refused("the client did not start")
    started_s = time.process_time()
    await client.stdin.send_all(b"go\n")
    answer = await _read_line(client.stdout)
    used_s = time.process_time() - started_s
    await client.wait()
    count = MESSAGES[actions_per_message]
    if int(answer or b"0") != count or sum(len(part.headers) for part in desk.taken) != count:
        raise Refused(f"{way}, {actions_per_message} actions: of {count} messages {answer!r} were taken")
    return used_s


async def _read_line(stream: trio.abc.ReceiveStream) -> bytes:
    """Up to the end of a line, or of the stream."""
    line = b""
    while not line.endswith(b"\n") and (more := await stream.receive_some()):
        line += more
    return line.strip()


def measure_batches(taken: list[Taken]) -> tuple[float, float]:
    """CPU seconds to seal what was taken, and to check it as another node does. Raises `Refused`."""
    sealer, batches = Sealer(0, NetworkSigner(SEEDS[0], DOMAIN), SEPARATOR, 1), []
    started_s = time.process_time()
    for part in taken:
        sealer.add_taken(part)
    while (checked := sealer.seal()) is not None:
        batches.append(checked.batch)
    sealed_s = time.process_time()
    for batch in batches:
        if check_batch(batch, NETWORK_KEYS[0], DOMAIN, SEPARATOR) is None:
            raise Refused("a sealed batch does not pass the check")
    return sealed_s - started_s, time.process_time() - sealed_s


async def measure(folder: Path) -> Rows:
    """All rows, printed as they come. Raises `Refused`."""
    rows: Rows = []

    def add(step: str, used_s: float) -> None:
        message_us = used_s / MESSAGES[actions] * 1e6
        rows.append({"step": step, "actions": actions, "message_us": message_us, "action_us": message_us / actions})
        print(f"{step:34} {actions:8} {message_us:12.0f} {message_us / actions:12.2f}", flush=True)

    print(f"{'CPU of one node':34} {'actions':>8} {'us/message':>12} {'us/action':>12}", flush=True)
    desk = Desk(folder)
    async with trio.open_nursery() as nursery:
        (url,) = await nursery.start(serve, desk.service, GatewayConfig("127.0.0.1", 0, UNLIMITED))
        nursery.start_soon(desk.ingress.run)
        for actions in MESSAGES:
            add("taken by public/x_submit", await measure_way(desk, url, "calls", actions))
            add("taken by binary frames", await measure_way(desk, url, "frames", actions))
            sealed_s, checked_s = measure_batches(desk.taken)
            add("sealed into batches", sealed_s)
            add("another node's batch checked", checked_s)
        nursery.cancel_scope.cancel()
    return rows


def run() -> Rows:
    """Raises `Refused`."""
    warm()
    with tempfile.TemporaryDirectory() as folder:
        return trio.run(measure, Path(folder))
