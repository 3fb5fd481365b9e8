"""The client processes, seen from the bench: told what to sign and when to send, asked what came of it."""

import json
import sys
from collections import Counter
from dataclasses import asdict
from pathlib import Path
from typing import Any

import trio

from testnet.bench_net.accounts import CLIENTS
from testnet.bench_net.figures import Clients
from testnet.bench_net.loader import Load
from testnet.launch import Network, in_thread
from testnet.local import Child, ChildDied, Processes


class ClientFleet:
    """`CLIENTS` processes, each with its own traders and nodes of its own."""

    def __init__(self, processes: Processes, network: Network, folder: Path) -> None:
        self._processes = processes
        self._children: list[Child] = []
        for number in range(CLIENTS):
            urls = {at: url for at, url in enumerate(network.api_urls) if at % CLIENTS == number} or {
                0: network.api_urls[0]
            }
            client = {"number": number, "urls": urls, "chain_id": network.config.chain_id}
            argv = [sys.executable, "-m", "testnet.bench_net.loader"]
            argv.append(json.dumps(client | {"contract": network.config.contract}))
            self._children.append(processes.start(f"client{number}", argv, folder / f"client{number}.log", True))

    async def sign(self, messages: int, actions_per_message: int) -> float:
        """So many messages in all; CPU microseconds that one took."""
        share = -(-messages // len(self._children))
        answers = await self._ask({"do": "sign", "messages": share, "actions_per_message": actions_per_message})
        return float(sum(answer["us"] for answer in answers) / len(answers))

    async def run(self, load: Load) -> tuple[Clients, bool]:
        """All of them at once; whether they ran out of signed messages."""
        share = asdict(load) | {
            "messages_per_s": load.messages_per_s / len(self._children),
            "outstanding": load.outstanding // len(self._children),
        }
        answers = await self._ask({"do": "run", "load": share})
        refusals: Counter[str] = Counter()
        for answer in answers:
            refusals.update(answer["refusals"])
        clients = Clients(
            sent_inside=sum(answer["sent_inside"] for answer in answers),
            refused=sum(answer["refused"] for answer in answers),
            unanswered=sum(answer["unanswered"] for answer in answers), refusals=dict(refusals),
            cpu_s=sum(answer["cpu_s"] for answer in answers),
            latencies_ms=[value for answer in answers for value in answer["latencies_ms"]],
        )  # fmt: skip
        return clients, any(answer["is_exhausted"] for answer in answers)

    def stop(self) -> None:
        for child in self._children:
            self._processes.stop(child)
        self._children.clear()

    async def _ask(self, request: dict[str, Any]) -> list[Any]:
        answers: dict[int, Any] = {}

        async def ask(at: int, child: Child) -> None:
            answers[at] = await in_thread(_exchange, child, request)

        async with trio.open_nursery() as nursery:
            for at, child in enumerate(self._children):
                nursery.start_soon(ask, at, child)
        return [answers[at] for at in range(len(self._children))]


def _exchange(child: Child, request: dict[str, Any]) -> Any:
    """Blocking: one line there, one line back. Raises `ChildDied`."""
    if child.process.stdin is None or child.process.stdout is None:
        raise RuntimeError("a client process is started with pipes")
    child.process.stdin.write(json.dumps(request).encode() + b"\n")
    child.process.stdin.flush()
    line = child.process.stdout.readline()
    if not line:
        child.process.wait()
        raise ChildDied(child.describe_end())
    return json.loads(line)
