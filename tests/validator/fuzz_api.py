"""Calls the API as its own OpenAPI description allows, and as it does not: `python -m tests.validator.fuzz_api --cases
10000`.

schemathesis draws the requests, half of them within the description and half outside it. They go to a real gateway over
a real executed chain. Writes are signed by a trader of that chain, so that what is allowed is also executed. Nothing
may be answered with 5xx, with a status, type or shape that the description does not name, or with a field that the
types do not know.
"""

import argparse
import json
import random
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import hypothesis
import requests
import schemathesis
import trio
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from engine.commands import PLACE, Action, Command, command_id
from net.gateway.api import Api
from net.gateway.app import GatewayConfig, serve
from net.gateway.errors import ApiError
from net.gateway.limits import Limits
from net.gateway.methods import METHODS
from net.gateway.openapi import make_openapi
from net.gateway.params import Params
from net.gateway.wire import RequestError, parse_named_request
from net.gateway.writes import WRITES
from tests.validator.chainlet import EXPIRY_MS, MARK_TICKS, OWNERS, SEPARATOR, TRADERS
from tests.validator.executed_exchange import ExecutedExchange

RESULTS = Path("build/results/fuzz-api.json")
CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
]  # fmt: skip
UNLIMITED = replace(
    Limits(shutdown_s=0.1), requests_per_s=10**6, requests_burst=10**6, final_wait_s=2, handshakes_per_s=10**6,
    bad_endings_max=10**9,
)  # fmt: skip
PREFIX = "/api/v2/"
START_S_MAX = 600
ANSWER_S_MAX = 120
MEANINGFUL_SHARE = 0.9
PLACES = ("private/buy", "private/sell", "private/edit")


@dataclass(slots=True)
class Tally:
    """What came of one operation."""

    cases: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)  # the kind of fault, and the first request that had it


class Driver:
    """One running gateway and the strategies for its operations."""

    def __init__(self, exchange: ExecutedExchange, url: str, document: dict[str, Any] | None = None) -> None:
        """`document`: what the answers are held against; without it, what the node serves, strictly."""
        self._url = url
        self._instruments = Api(exchange.service, UNLIMITED, METHODS).instruments
        self._session = requests.Session()
        self._nonce = time.time_ns() // 1000
        self._known = _known(exchange)
        self._draw = random.Random(0)
        document = document or make_openapi(METHODS, is_strict=True)
        self.operations = [found.ok() for found in schemathesis.openapi.from_dict(document).get_all_operations()]
        self.tallies = {operation.label: Tally() for operation in self.operations}

    def run(self, cases: int, seed: int, on_cases: Callable[[int], None] = lambda count: None) -> None:
        """At least so many requests, in equal parts, and more where fewer can be drawn elsewhere; `on_cases` is told
        how many there were so far.
        """
        self._draw.seed(seed)
        while (missing := cases - self._count_cases()) > 0:
            each = -(-missing // (2 * len(self.operations)))
            for operation in self.operations:
                for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                    self._drive(operation, mode, each, seed)
                on_cases(self._count_cases())
            seed += 1

    def _count_cases(self) -> int:
        return sum(tally.cases for tally in self.tallies.values())

    def _drive(self, operation: Any, mode: GenerationMode, count: int, seed: int) -> None:
        tally = self.tallies[operation.label]
        quick = hypothesis.settings(
            max_examples=count, deadline=None, database=None, phases=[hypothesis.Phase.generate],
            suppress_health_check=list(hypothesis.HealthCheck),
        )  # fmt: skip

        @hypothesis.seed(seed)
        @quick
        @hypothesis.given(operation.as_strategy(generation_mode=mode))
        def ask(case: Any) -> None:
            self._ask(case, tally, may_sign=mode is GenerationMode.POSITIVE)

        # Without parameters nothing can be drawn that the description forbids.
        with suppress(hypothesis.errors.Unsatisfiable):
            ask()

    def _ask(self, case: Any, tally: Tally, may_sign: bool) -> None:
        if may_sign and isinstance(values := case.body if case.method == "POST" else case.query, dict):
            self._make_meaningful(case.path.removeprefix(PREFIX), values)
            self._sign(case.path.removeprefix(PREFIX), values)
        tally.cases += 1
        try:
            response = case.call(base_url=self._url, session=self._session, timeout=ANSWER_S_MAX)
        except requests.RequestException as error:
            tally.faults.setdefault(type(error).__name__, f"{error}\n{case.as_curl_command()[:1500]}")
            return
        tally.statuses[response.status_code] += 1
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as error:  # told at the end
            kind = ", ".join(sorted({type(part).__name__ for part in error.exceptions}))
            tally.faults.setdefault(kind, f"{str(error)[:1500]}\n{case.as_curl_command()[:1500]}")

    def _make_meaningful(self, method: str, values: dict[str, Any]) -> None:
        """Puts what exists on this chain where the description allows any text or number, mostly; and leaves most of
        what a write may carry out of it, because drawn values contradict each other.
        """
        is_plain = method in WRITES and self._draw.random() < MEANINGFUL_SHARE
        for param in METHODS[method].params if method in METHODS else ():
            if param.name in values and self._draw.random() < MEANINGFUL_SHARE and param.name in self._known:
                values[param.name] = self._draw.choice(self._known[param.name])
            elif param.name in values and is_plain and not param.is_required:
                del values[param.name]
        if is_plain and "amount" not in values and method in PLACES:
            values["amount"] = self._draw.choice(self._known["amount"])
            values["price"] = self._draw.choice(self._known["price"])

    def _sign(self, method: str, values: dict[str, Any]) -> None:
        """Makes a write what its owner has signed, if its parameters mean something."""
        if method not in WRITES:
            return
        try:
            params = Params(parse_named_request(json.dumps(values).encode(), method).params)
            actions = WRITES[method].build(params, self._instruments)
        except (ApiError, RequestError):
            return
        self._nonce += 1
        command = Command(OWNERS[0], self._nonce, EXPIRY_MS, tuple(actions), 0).signed(TRADERS[0], SEPARATOR)
        values |= {
            "owner": "0x" + OWNERS[0].hex(), "subaccount": 0, "nonce": self._nonce, "expiry_ms": EXPIRY_MS,
            "signature": "0x" + command.signature.hex(),
        }  # fmt: skip


def _known(exchange: ExecutedExchange) -> dict[str, list[object]]:
    """Values that mean something on this chain, by the parameter's name."""
    placed = Command(OWNERS[0], 1, EXPIRY_MS, (Action(PLACE, size_lots=1, price_ticks=MARK_TICKS),))
    placed = placed.signed(TRADERS[0], SEPARATOR)
    return {
        "owner": ["0x" + owner.hex() for owner in OWNERS],
        "instrument_name": ["BTC-PERPETUAL", "BTC-PERPETUAL", "ETH-PERPETUAL"],
        "amount": ["0.010", "0.1", "1"], "price": ["60000", "59990.0", "60010"], "subaccount": [0],
        "height": [1, 2], "index": [0, 1], "order_id": [f"BTC-PERPETUAL-{n}" for n in (1, 2, 3)],
        "label": ["7", "mine"], "index_name": ["btc_usdc", "eth_usdc"], "currency": ["USDC", "BTC", "any"],
        "kind": ["future", "option", "any"], "trigger_price": ["61000", "59000"],
        "command_id": ["00" * 32, command_id(placed, SEPARATOR).hex()], "trigger": ["mark_price"],
        "type": ["limit"], "time_in_force": ["good_til_cancelled"],
        "count": [1, 10], "depth": [1, 10], "destination": [1, "0x" + OWNERS[1].hex()], "x_timeout_s": [0, 1],
        "resolution": ["1", "60", "1D"], "start_timestamp": [0], "end_timestamp": [1 << 40],
        "command": [placed.encode().hex()],
    }  # fmt: skip


@contextmanager
def running(folder: Path, document: dict[str, Any] | None = None) -> Iterator[Driver]:
    """A gateway over an exchange in a thread of its own."""
    started, result = threading.Event(), {}

    async def main() -> None:
        exchange = ExecutedExchange(folder)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(exchange.run)
            result["exchange"] = exchange
            result["url"] = (await nursery.start(serve, exchange.service, GatewayConfig("127.0.0.1", 0, UNLIMITED)))[0]
            result["stop"] = nursery.cancel_scope.cancel
            result["token"] = trio.lowlevel.current_trio_token()
            started.set()

    thread = threading.Thread(target=lambda: trio.run(main), daemon=True)
    thread.start()
    if not started.wait(START_S_MAX):
        raise RuntimeError("the exchange did not start")
    try:
        yield Driver(result["exchange"], result["url"], document)
    finally:
        result["token"].run_sync_soon(result["stop"])
        thread.join(30)


@contextmanager
def progress(cases: int) -> Iterator[Callable[[int], None]]:
    """A bar on a terminal; elsewhere a line every twentieth of the way."""
    console = Console(stderr=True)
    columns = (TextColumn("requests"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TimeRemainingColumn())
    told = 0

    def show(count: int) -> None:
        nonlocal told
        bar.update(task, completed=min(count, cases))
        if not console.is_terminal and count // (step := max(1, cases // 20)) > told // step:
            told = count
            console.print(f"{count} of {cases} requests", highlight=False)

    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task("requests", total=cases)
        yield show


def print_table(tallies: dict[str, Tally]) -> None:
    print(f"{'operation':60} {'cases':>6} {'2xx':>6} {'4xx':>6} {'5xx':>5}  faults")
    for label, tally in sorted(tallies.items()):
        by_class: Counter[int] = Counter()
        for status, count in tally.statuses.items():
            by_class[status // 100] += count
        print(f"{label:60} {tally.cases:6} {by_class[2]:6} {by_class[4]:6} {by_class[5]:5}  {', '.join(tally.faults)}")


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("--cases", type=int, default=10_000)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    started_s = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, running(Path(folder)) as driver, progress(options.cases) as show:
        driver.run(options.cases, options.seed, show)
        tallies = driver.tallies
    print_table(tallies)
    faults = [(label, kind, text) for label, tally in tallies.items() for kind, text in tally.faults.items()]
    for label, kind, text in faults:
        print(f"\n{label}: {kind}\n{text}")
    total = sum(tally.cases for tally in tallies.values())
    answered = sum(tally.statuses[200] for tally in tallies.values())
    print(f"\n{total} cases of {len(tallies)} operations, {answered} answered with a result, {len(faults)} faults, "
          f"{time.monotonic() - started_s:.0f} s, seed {options.seed}")  # fmt: skip
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    RESULTS.write_text(json.dumps({
        "cases": total, "operations": len(tallies), "results": answered, "seed": options.seed,
        "statuses": dict(sum((tally.statuses for tally in tallies.values()), Counter())),
        "faults": [{"operation": label, "kind": kind} for label, kind, _ in faults],
    }, indent=1) + "\n")  # fmt: skip
    return 1 if faults or total < options.cases else 0


if __name__ == "__main__":
    sys.exit(main())
