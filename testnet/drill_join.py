"""`python -m testnet.drill_join`: a fifth validator joins four by typing what docs/operate.md says, word for word.

The network has epochs and more than a hundred thousand accounts. The
newcomer's own part is the page's first block: its folder, endpoints, address. Then its commands are typed into one
shell, in order. It must start from a snapshot and not from block 0, be let in, be counted in a certificate, leave, and
have its stake back. Exit code 0 only if all hold.
"""

import json
import os
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated

import cyclopts
import httpx
import trio
from cyclopts import Parameter
from eth_account import Account
from rich.console import Console
from rich.table import Table

from contracts.records import ChainError, Refused
from contracts.registry import Registry
from contracts.settlement import Settlement
from engine.snapshot import decode_snapshot
from engine.tables import ACCOUNT_COUNT
from net.client import HansaError
from testnet.drill_escape import list_leaves
from testnet.funding import DEPLOYER, derive_account
from testnet.homes import FolderError, node_home
from testnet.launch import Launcher, LaunchError, Network, Options, in_thread
from testnet.local import ChildDied, Processes
from testnet.operator_shell import CommandFailed, OperatorShell, read_page
from testnet.populate import open_accounts
from testnet.ports import PortLease
from testnet.terms import Terms
from validator.config import ENVIRONMENT_PREFIX, Home, PeerAddress, load_network, load_node
from validator.store import Store

PAGE = Path(__file__).parents[1] / "docs" / "operate.md"
FOUNDERS, NEWCOMER = 4, 4
ACCOUNTS_MIN = 100_000
ACCOUNTS_MAX = 1 << 17
# The network is minutes old: what is far behind, and how often there is a snapshot, is less than the defaults, which
# are made for days. The founders let go of what they need not have, as far as config.toml allows.
NETWORK_OPTIONS = {"SNAPSHOT_INTERVAL_BLOCKS": "50", "SNAPSHOT_GAP_BLOCKS": "50"}
FOUNDERS_OPTIONS = {"KEEP_BLOCKS": "256"}
UNBONDING_S = 5
ETHER_WEI = 10**18
TRANSFER_GAS = 21_000
TYPED_S_MAX, SETUP_S_MAX = 240.0, 300.0
RESULTS = Path("build/results/drill-join.json")
EXIT_FAILED, EXIT_BROKEN = 1, 2


@dataclass(frozen=True, slots=True)
class Step:
    """What was done, how long it took, at which height of the network it ended."""

    name: str
    took_s: float
    height: int


@dataclass(frozen=True, slots=True)
class Check:
    text: str
    is_met: bool
    detail: str = ""


@dataclass(slots=True)
class JoinDrill:
    """One run, from an empty folder to the stake's way back."""

    options: Options
    processes: Processes
    console: Console
    account_count: int
    steps: list[Step] = field(default_factory=list)
    checks: list[Check] = field(default_factory=list)
    _stores: dict[int, Store] = field(default_factory=dict)

    @property
    def _folder(self) -> Path:
        return self.options.folder.resolve()

    @property
    def _home(self) -> Home:
        return Home(self._folder / "operator" / ".hansa")

    def _height(self, number: int = 0) -> int:
        if number not in self._stores:
            self._stores[number] = Store(node_home(self._folder, number).data / "blocks.sqlite", is_read_only=True)
        return self._stores[number].height()

    @asynccontextmanager
    async def _step(self, name: str) -> AsyncIterator[None]:
        began_s = time.monotonic()
        self.console.print(f"{time.strftime('%H:%M:%S')}  {name}", markup=False, highlight=False, soft_wrap=True)
        yield
        height = self._height() if self.steps or self._folder.joinpath("node0", "data", "blocks.sqlite").exists() else 0
        self.steps.append(Step(name, round(time.monotonic() - began_s, 1), height))

    def _check(self, text: str, is_met: bool, detail: str = "") -> None:
        self.checks.append(Check(text, is_met, detail))

    async def run(self) -> None:
        blocks = read_page(PAGE, "drill-join")
        if len(blocks) != 6:
            raise LaunchError(f"{PAGE} has {len(blocks)} blocks for this drill, not the 6 that it knows")
        launcher = Launcher(self.options, self.processes, self.console)
        async with self._step("four validators up"):
            network = await launcher.bring_up()
        async with self._step(f"{self.account_count} accounts opened"):
            owners = [account for role, account in network.cast if role == "maker"]
            await open_accounts(network.api_urls, owners, self.account_count, lambda _: None)
        opened_height = self._height()
        if self.options.commands_per_s:
            launcher.start_traders(1 << 20)
        async with self._step("a snapshot of all that at every founder"):
            await self._wait_for_snapshot(opened_height)
        await self._join(network, blocks)

    async def _wait_for_snapshot(self, opened_height: int) -> None:
        with trio.fail_after(SETUP_S_MAX):
            while min(map(self._newest_snapshot, range(FOUNDERS))) <= opened_height:
                self.processes.check()
                await trio.sleep(0.5)

    def _newest_snapshot(self, number: int) -> int:
        folder = node_home(self._folder, number).data / "snapshots"
        return max((int(path.stem) for path in folder.glob("*.snapshot")), default=0)

    async def _join(self, network: Network, blocks: list[list[str]]) -> None:
        yours, making, starting, joining, serving, leaving = blocks
        folder, environment = self._folder / "operator", self._prepare(network)
        shell = OperatorShell.start(self.processes, folder, environment)
        names = [name for command in yours for name in _exported(command)]
        if sorted(names) != ["ADVERTISE", "HANSA_PASSPHRASE_FILE", "NODE_HOME", "RPC_1", "RPC_2"]:
            raise LaunchError(f"the page's first block exports {names}, which this drill does not know")
        async with self._step("1. make the folder"):
            told = await shell.type_all(making, TYPED_S_MAX)
        operator = next(line.split()[-1] for line in told if line.startswith("operator "))
        async with self._step("2. bring the money"):
            await in_thread(_bring_money, network, operator)
        async with self._step("3. start, catch up, until nothing stands against joining"):
            await shell.type_all(starting, TYPED_S_MAX)
        self._check_start()
        async with self._step("4. join, and the doctor's look"):
            await shell.type_all(joining, TYPED_S_MAX)
        async with self._step("5a. let in when the epoch ends"):
            await shell.type_all(serving, TYPED_S_MAX)
        async with self._step("5b. its first vote in a certificate, as a founder stored it"):
            height = await self._wait_for_vote()
        self._check("a certificate counts its vote", height > 0, f"block {height}")
        async with self._step("6. leave, and the stake is paid back"):
            await shell.type_all(leaving, TYPED_S_MAX)
        await self._check_end(network, operator)

    def _prepare(self, network: Network) -> dict[str, str]:
        """What is the operator's own: the two files from the network, and the values of the page's first block; ports
        of this machine, because four other validators are here.
        """
        folder = self._folder / "operator"
        folder.mkdir()
        (folder / "genesis.toml").write_bytes(node_home(self._folder, 0).genesis.read_bytes())
        peers = load_node(node_home(self._folder, 0).config).peers
        (folder / "peers.toml").write_text("".join(map(_peer_lines, peers)))
        peer, api, metrics = PortLease().choose(self.options.base_port + 200, 3)
        root = Path(__file__).parents[1]
        return {
            "NODE_HOME": str(self._home.path), "RPC_1": network.rpc_url,
            "RPC_2": network.rpc_url.replace("127.0.0.1", "localhost"), "ADVERTISE": f"127.0.0.1:{peer}",
            "HANSA_PASSPHRASE_FILE": str(folder / "passphrase"), "HOME": str(folder),
            "HANSA_NODE_LISTEN_PORT": str(peer), "HANSA_NODE_API_PORT": str(api),
            "HANSA_NODE_METRICS_PORT": str(metrics), "HANSA_NODE_KEEP_BLOCKS": "0",
            **{ENVIRONMENT_PREFIX + name: value for name, value in NETWORK_OPTIONS.items()},
            "HANSA_CACHE": os.environ.get("HANSA_CACHE") or str(Path.home() / ".cache" / "hansa"),
            "PATH": f"{_programs(folder)}:{os.environ['PATH']}", "PYTHONPATH": str(root), "COLUMNS": "140",
        }  # fmt: skip

    def _check_start(self) -> None:
        """From a snapshot of that many accounts, not from block 0; a height that follows the others."""
        home = self._home
        store = Store(home.data / "blocks.sqlite", is_read_only=True)
        earliest, height = store.earliest_height(), store.height()
        self._stores[NEWCOMER] = store
        log = (home.path / "log").read_text()
        self._check(
            "it began with a snapshot, and has no block before that",
            1 < earliest < height,
            f"blocks {earliest} to {height}",
        )
        self._check("the log tells how the download went", "snapshot.progress" in log)
        params = load_network(home.genesis).exchange_params()
        counts = [
            int(decode_snapshot(path.read_bytes(), params).tables.counters[ACCOUNT_COUNT])
            for path in sorted((home.data / "snapshots").glob("*.snapshot"))[:1]
        ]
        self._check(f"that state has {ACCOUNTS_MIN} accounts", min(counts, default=0) >= ACCOUNTS_MIN, str(counts))

    async def _wait_for_vote(self) -> int:
        """The first block whose own certificate, on a founder's disk, has the newcomer's bit; 0 if none comes."""
        store, give_up_at_s = self._stores[0], trio.current_time() + SETUP_S_MAX
        while trio.current_time() < give_up_at_s:
            self.processes.check()
            seats = {seats.epoch: seats.find(NEWCOMER) for seats in store.seats()}
            for height, certificate in store.direct_certificates(64):
                if seats.get(certificate.epoch) in certificate.signers():
                    return height
            await trio.sleep(0.2)
        return 0

    async def _check_end(self, network: Network, operator: str) -> None:
        settlement = await in_thread(Settlement, network.rpc_url, network.config.contract)
        registry = await in_thread(lambda: Registry(network.rpc_url, settlement.registry()))
        address = bytes.fromhex(operator.removeprefix("0x"))
        held = await in_thread(settlement.token_balance, address)
        self._check("the operator has the whole stake back", held == self.options.terms.stake_quote, f"{held} units")
        numbers = await in_thread(lambda: [member.number for member in registry.committee(registry.epoch())])
        self._check("the committee is the four founders again", sorted(numbers) == list(range(FOUNDERS)), str(numbers))
        own, other = self._stores[NEWCOMER], self._stores[0]
        shared = range(max(own.earliest_height(), other.earliest_height()), min(own.height(), other.height()) + 1)
        differing = [at for at in shared if _hash(own, at) != _hash(other, at)]
        self._check(
            "its blocks are the founders', each one", len(shared) > 0 and not differing, f"{len(shared)} compared"
        )


def _hash(store: Store, height: int) -> bytes | None:
    final = store.final(height)
    return None if final is None else final.block.hash()


def _exported(command: str) -> list[str]:
    return [word.partition("=")[0] for word in command.removeprefix("export ").split()]


def _peer_lines(peer: PeerAddress) -> str:
    return f'\n[[peers]]\nhost = "{peer.host}"\nport = {peer.port}\n'


def _programs(folder: Path) -> Path:
    """A folder with the `hansa` of this checkout."""
    programs = folder / "bin"
    programs.mkdir()
    (programs / "hansa").write_text(f'#!/bin/sh\nexec {sys.executable} -m validator "$@"\n')
    (programs / "hansa").chmod(0o755)
    return programs


def _bring_money(network: Network, operator: str) -> None:
    """An ether, from an account of the development chain, and the stake in its test token. Blocking."""
    giver, address = derive_account(DEPLOYER), bytes.fromhex(operator.removeprefix("0x"))

    def ask(method: str, *params: object) -> str:
        call = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = httpx.post(network.rpc_url, json=call, timeout=30).json()
        if "result" not in answer:
            raise ChainError(f"{method}: {answer.get('error')}")
        return str(answer["result"])

    price_wei = 2 * int(ask("eth_gasPrice"), 16) + 1
    signed = Account.sign_transaction(
        {
            "to": address, "value": ETHER_WEI,
            "gas": TRANSFER_GAS, "maxFeePerGas": price_wei, "maxPriorityFeePerGas": 0,
            "nonce": int(ask("eth_getTransactionCount", giver.address_text, "pending"), 16),
            "chainId": network.config.chain_id, "type": 2,
        },
        giver.key,
    )  # fmt: skip
    ask("eth_sendRawTransaction", "0x" + bytes(signed.raw_transaction).hex())
    settlement = Settlement(network.rpc_url, network.config.contract, giver.key)
    settlement.mint_test_usdc(address, Registry(network.rpc_url, settlement.registry()).stake_amount())


def print_outcome(drill: JoinDrill, console: Console) -> None:
    table = Table("step", "took", "network's height")
    for step in drill.steps:
        table.add_row(step.name, f"{step.took_s:.1f} s", str(step.height))
    console.print(table)
    for check in drill.checks:
        text = f"{'ok  ' if check.is_met else 'FAIL'}  {check.text}" + (f": {check.detail}" if check.detail else "")
        console.print(text, markup=False, highlight=False, soft_wrap=True)


def write_results(drill: JoinDrill, elapsed_s: float) -> None:
    RESULTS.parent.mkdir(parents=True, exist_ok=True)
    body = {
        "passed": bool(drill.checks) and all(check.is_met for check in drill.checks),
        "elapsed_s": round(elapsed_s, 1), "accounts": drill.account_count,
        "steps": [asdict(step) for step in drill.steps], "checks": [asdict(check) for check in drill.checks],
    }  # fmt: skip
    RESULTS.write_text(json.dumps(body, indent=1) + "\n")


def main(
    *,
    dir: Annotated[Path, Parameter(help="where the network lives; made anew")] = Path(".hansa-drills/join"),
    accounts: Annotated[int, Parameter(help="how many the network has at least")] = ACCOUNTS_MIN,
    rate: Annotated[float, Parameter(help="commands per second, all traders together; 0: no traders")] = 10.0,
    base_port: Annotated[int, Parameter(help="first port to try")] = 32600,
    epoch_s: Annotated[float, Parameter(help="length of an epoch")] = 30.0,
) -> int:
    """Let a fifth validator join four, vote and leave, by typing docs/operate.md.

    Example: python -m testnet.drill_join --epoch-s 60
    """
    console = Console(stderr=True)
    terms = Terms(epoch_length_ms=round(1_000 * epoch_s), unbonding_s=UNBONDING_S, accounts_max=ACCOUNTS_MAX)
    options = Options(FOUNDERS, dir.resolve(), "embedded", 1, 0, True, rate, base_port, is_fresh=True, terms=terms)
    for name, value in (NETWORK_OPTIONS | FOUNDERS_OPTIONS).items():
        os.environ[ENVIRONMENT_PREFIX + name] = value  # the founders' processes inherit it
    started_s, failures = time.monotonic(), list[BaseException]()
    with Processes() as processes:
        drill = JoinDrill(options, processes, console, accounts)
        try:
            trio.run(drill.run)
        except* (
            FolderError, LaunchError, ChildDied, ChainError, Refused, HansaError, CommandFailed, trio.TooSlowError
        ) as group:  # fmt: skip
            failures += list_leaves(group)
    for failure in failures:
        console.print(f"drill: {failure!r}", markup=False, highlight=False, soft_wrap=True)
    write_results(drill, time.monotonic() - started_s)
    print_outcome(drill, console)
    if failures:
        return EXIT_BROKEN
    return 0 if all(check.is_met for check in drill.checks) else EXIT_FAILED


if __name__ == "__main__":
    sys.exit(cyclopts.App(name="drill_join", default_command=main)())
