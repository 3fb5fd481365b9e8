"""What a trader's own machine pays: `make bench-client`.

CPU time of the SDK: the import, signing one order (beside the same order by eth_account), making the text of its call,
and the order stream, which signs and sends messages to a node in another process and reads the outcome of each. Exit
code 1 when the import takes half a second or more, a signature more than 0.1 ms, or an outcome is missing.
"""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import trio
from eth_account import Account
from eth_account.messages import encode_typed_data
from rich.console import Console
from rich.table import Table
from test_client import KEY_HEX, MARKET, funded
from test_gateway_backend import CHAIN_ID, CONTRACT
from test_gateway_inputs import running

from engine.commands import BUY, PLACE, Action, recover_signer, typed_data, typed_message
from net.client import AsyncClient, Buy, Cancel
from net.client.protocol import Call, Network, Signer, encode_call

RESULT = Path("build/results/bench-client.json")
IMPORT_S_MAX, SIGN_US_MAX = 0.5, 100.0
REPEATS, ORDERS = 5, 2_000
STREAMED = {1: 2_000, 20: 300}
BACKENDS = ("trio", "asyncio")


def least_us(work: Callable[[], Any], count: int) -> float:
    """CPU microseconds of one call, the least of several rounds."""
    rounds = []
    for _ in range(REPEATS):
        started_ns = time.process_time_ns()
        for _ in range(count):
            work()
        rounds.append((time.process_time_ns() - started_ns) / count / 1000)
    return min(rounds)


def measure_import_s() -> float:
    """Of a fresh interpreter with all that `import net.client` loads, its own start included."""
    code = "import time, net.client; print(time.process_time())"
    runs = [subprocess.run([sys.executable, "-c", code], capture_output=True, text=True) for _ in range(REPEATS)]
    return min(float(run.stdout) for run in runs)


def measure_signing(network: Network) -> tuple[float, float, float]:
    """(ours, eth_account's, the text of the call) in microseconds for one order."""
    signer = Signer.parse(KEY_HEX, 0)
    action = Action(PLACE, side=BUY, price_ticks=640_000, size_lots=10, client_id=7)
    ours_us = least_us(lambda: signer.sign(network, action), ORDERS)
    command = signer.sign(network, action)
    assert recover_signer(command, network.domain_separator) == signer.owner
    known = typed_data(network.chain_id, network.contract)
    name, message = typed_message(command)
    full = known | {"types": {kind: known["types"][kind] for kind in ("EIP712Domain", name)}, "primaryType": name}

    def sign_like_a_wallet() -> bytes:
        signable = encode_typed_data(full_message=full | {"message": message})
        return bytes(Account.sign_message(signable, KEY_HEX).signature)

    theirs = sign_like_a_wallet()
    assert theirs[:64] == command.signature[:64], "both sign the same digest"
    theirs_us = least_us(sign_like_a_wallet, ORDERS // 20)
    call = Call("public/x_submit", {"command": "0x" + command.encode().hex(), "x_wait": "final"})
    return ours_us, theirs_us, least_us(lambda: encode_call(1, call), ORDERS)


async def stream(url: str, actions: int) -> float:
    """CPU microseconds of this process for one message, all of its life."""
    requests: list[Any] = [Buy(MARKET, "0.001", "1000", "post_only"), Cancel(f"{MARKET}-1")] * (actions // 2)
    count = STREAMED[actions]
    async with AsyncClient(url, KEY_HEX) as client, client.order_stream() as orders, anyio.create_task_group() as tasks:
        started_ns = time.process_time_ns()

        async def send() -> None:
            for _ in range(count):
                await orders.send(requests or [Buy(MARKET, "0.001", "1000", "post_only")])

        tasks.start_soon(send)
        for _ in range(count):
            outcome = await anext(orders)
            assert outcome.error is None and len(outcome.actions) == actions, outcome
        return (time.process_time_ns() - started_ns) / count / 1000


async def serve() -> None:
    """A node's gateway until stdin ends."""
    async with running(funded()) as url:
        print(url, flush=True)
        await trio.to_thread.run_sync(sys.stdin.read)


def measure_streams() -> dict[str, float]:
    figures = {}
    for backend in BACKENDS:
        for actions in STREAMED:
            node = subprocess.Popen([sys.executable, __file__, "serve"], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
            assert node.stdin is not None and node.stdout is not None
            url = node.stdout.readline().decode().strip()
            name = f"order stream on {backend}, messages of {actions}"
            figures[name] = anyio.run(stream, url, actions, backend=backend)
            node.stdin.close()
            node.wait()
    return figures


def main() -> int:
    network = Network(CHAIN_ID, CONTRACT, funded().domain.domain_separator, bytes(32), {}, ())
    import_s = measure_import_s()
    sign_us, wallet_us, encode_us = measure_signing(network)
    figures = {
        "sign one order": sign_us, "the same by eth_account": wallet_us, "text of its call": encode_us,
        **measure_streams(),
    }  # fmt: skip
    table = Table("CPU of the trader's process", "us", title=f"load {os.getloadavg()[0]:.1f}")
    for name, value_us in figures.items():
        table.add_row(name, f"{value_us:.1f}")
    Console().print(table)
    print(f"import {import_s:.3f} s; eth_account takes {wallet_us / sign_us:.0f} times as long to sign")
    RESULT.parent.mkdir(parents=True, exist_ok=True)
    rounded = {name: round(value_us, 1) for name, value_us in figures.items()}
    RESULT.write_text(json.dumps({"load": os.getloadavg()[0], "import_s": import_s, "us": rounded}, indent=1) + "\n")
    findings = [
        f"the import takes {import_s:.3f} s" if import_s >= IMPORT_S_MAX else "",
        f"a signature takes {sign_us:.0f} us" if sign_us > SIGN_US_MAX else "",
    ]
    for finding in filter(None, findings):
        print(f"bench-client: {finding}", file=sys.stderr)
    return 1 if any(findings) else 0


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        trio.run(serve)
        sys.exit()
    sys.exit(main())
