"""A real local network for tests: the embedded chain, the contract, four validator processes, three funded traders."""

import os
import signal
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from contracts.chain_process import ChainProcess
from contracts.settlement import Settlement
from net.client import Client, HansaError
from testnet import funding, homes
from testnet.homes import NodePorts
from testnet.local import Child, Processes
from testnet.ports import PortLease
from validator.config import NetworkConfig, load_node, save_toml

NODE_COUNT = 4
# The API of these nodes is a process of its own, that of the others is inside the node: nobody who asks can tell.
WITH_API_PROCESS = (0, 2)
BASE_PORT = 31_000
TRADER_COUNT = 3
DEPOSIT_QUOTE = 50_000 * funding.USDC_QUOTE
START_S_MAX = 180

T = TypeVar("T")


def wait_until(question: Callable[[], T], limit_s: float, what: str) -> T:
    """Poll until the answer is true; what the network cannot answer yet counts as no."""
    give_up_at_s = time.monotonic() + limit_s
    while True:
        try:
            answer = question()
        except (HansaError, OSError) as error:
            answer, what = None, f"{what} ({error})"[:500]
        if answer:
            return answer
        if time.monotonic() > give_up_at_s:
            raise AssertionError(f"not within {limit_s} s: {what}")
        time.sleep(0.2)


def read_arguments(process_id: int) -> list[bytes]:
    return Path(f"/proc/{process_id}/cmdline").read_bytes().split(b"\0")


class LocalNetwork:
    """Use as a context manager."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.processes = Processes()
        self._ports = PortLease()
        self.nodes: dict[int, Child] = {}
        self.traders = funding.derive_accounts(0, TRADER_COUNT)
        self.config: NetworkConfig
        self.settlement: Settlement

    def __enter__(self) -> "LocalNetwork":
        chain_port, *ports = self._ports.choose(BASE_PORT, 1 + 2 * NODE_COUNT)
        self.chain = ChainProcess("devchain", chain_port, self.folder / "chain")
        self.chain.start()
        rpc_url = self.chain.rpc_url
        deployment = funding.deploy_contracts(rpc_url)
        operators = funding.derive_accounts(funding.OPERATOR_FIRST, NODE_COUNT)
        keys = homes.make_keys(self.folder, [operator.key for operator in operators])
        chain_id, validators = funding.register_committee(rpc_url, deployment.settlement, keys)
        self.config = homes.make_network(
            chain_id, deployment.settlement, deployment.token, validators, time.time_ns() // 1_000_000, deployment.court
        )
        homes.write_genesis(self.folder, self.config)
        node_ports = [NodePorts(peer, api) for peer, api in zip(ports[::2], ports[1::2])]
        homes.write_node_configs(self.folder, node_ports, rpc_url, 1)
        for index in WITH_API_PROCESS:
            path = homes.node_home(self.folder, index).config
            save_toml(path, replace(load_node(path), api_process="own"))
        self.urls = [f"http://127.0.0.1:{port.api}" for port in node_ports]
        self.settlement = Settlement(rpc_url, deployment.settlement, self.traders[0].key)
        for index in range(NODE_COUNT):
            self.start_node(index)
        for index in range(NODE_COUNT):
            wait_until(lambda index=index: self.status(index), START_S_MAX, f"node{index} answers")
        funding.fund_insurance(rpc_url, deployment.settlement)
        funding.fund_traders(rpc_url, deployment.settlement, [(trader, DEPOSIT_QUOTE) for trader in self.traders])
        for trader in self.traders:
            wait_until(lambda trader=trader: self.client(0, trader).account(), 60, "a deposit is credited")
        wait_until(lambda: self.client(0).ticker("BTC-PERPETUAL").mark_price_usd, 30, "an oracle price")
        return self

    def __exit__(self, *_: object) -> None:
        self.processes.stop_all()
        self.chain.stop()
        self._ports.close()

    def start_node(self, index: int) -> None:
        home = homes.node_home(self.folder, index).path
        argv = [sys.executable, "-m", "validator", "start", "--home", str(home)]
        self.nodes[index] = self.processes.start(f"node{index}", argv, home / "log.txt")

    def kill_node(self, index: int) -> None:
        """kill -9: nothing is flushed, nothing said. Its API process sees the end of its input and is waited for:
        until it is gone it would answer what is asked of the next one.
        """
        api_process = self.find_api_process(index)
        child = self.nodes.pop(index)
        os.killpg(child.process.pid, signal.SIGKILL)
        child.process.wait()
        self.processes.stop(child)
        if api_process is not None:
            wait_until(lambda: not Path(f"/proc/{api_process}").exists(), 30, f"the API process of node{index} ends")

    def find_api_process(self, index: int) -> int | None:
        """The process that a node has started to serve its API (Linux)."""
        try:
            threads = list(Path(f"/proc/{self.nodes[index].process.pid}/task").iterdir())
            children = [int(pid) for thread in threads for pid in (thread / "children").read_text().split()]
            return next((pid for pid in children if b"api" in read_arguments(pid)), None)
        except FileNotFoundError:
            return None  # it has ended meanwhile

    def client(self, index: int, trader: funding.ChainAccount | None = None) -> Client:
        return Client(self.urls[index], None if trader is None else trader.key.hex(), timeout_s=20)

    def status(self, index: int) -> dict:
        with self.client(index) as client:
            return client.status()

    def height(self, index: int) -> int:
        return self.status(index)["height"]

    def header(self, index: int, height: int) -> dict:
        with self.client(index) as client:
            return client.certificate(height)
