"""What a network of real validators has become: from their APIs, their disks and the settlement chain."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import trio

from contracts.chain_reader import ask_over_http
from contracts.checkpoint_log import read_checkpoints
from contracts.court import Court
from contracts.settlement import Settlement
from net.client import AsyncClient, HansaError
from testnet.collect import collect_facts
from testnet.launch import Network, in_thread
from testnet.report import load_report
from testnet.scenario.facts import Books, Facts, Liquidation
from testnet.scenario.records import Scenario
from testnet.scenario.watching import Sampler
from testnet.summary import Facts as Summary
from testnet.watch import Watch

COMPARE_S_MAX = 40.0
REPLAY_S_MAX = 600.0
EVIDENCE_S_MAX = 30.0
FIRST_EPOCH = 1


@dataclass(frozen=True, slots=True)
class Looked:
    """What the back end has of the run that ends. `leaps`: when all clocks went ahead, and how far, in seconds."""

    scenario: Scenario
    folder: Path
    network: Network
    settlement: Settlement
    watch: Watch
    sampler: Sampler
    first_onchain_height: int
    began_ms: int
    leaps: list[tuple[float, float]]


async def gather_facts(looked: Looked) -> Facts:
    """While the nodes still run and are watched, without traders."""
    scenario, watch = looked.scenario, looked.watch
    facts = Facts(scenario.network.validators, duration_s=scenario.network.duration_s)
    looked.sampler.look()
    facts.samples = [sample for sample in looked.sampler.samples if sample.at_s <= looked.sampler.now_s]
    facts.finals = list(looked.sampler.finals)
    last_height = max((view.height for view in watch.views), default=0)
    with trio.move_on_after(COMPARE_S_MAX):
        while watch.roots.compared_height < last_height and not watch.roots.disagreements:
            await trio.sleep(0.5)
    facts.heights_compared, facts.disagreements = watch.roots.compared_count, watch.roots.disagreements
    facts.state_root = watch.roots.newest_root
    report = load_report(looked.folder / "bots")
    facts.trades = report.cross_node_trades
    summary = await collect_facts(watch, report, looked.settlement, looked.network, int(facts.duration_s))
    facts.books = to_books(summary)
    await _ask_members(facts, looked)
    await _read_evidence(facts, looked)
    await in_thread(_read_checkpoints, facts, looked, await _read_hashes(looked))
    return facts


def to_books(summary: Summary) -> Books:
    return Books(
        summary.claims_quote, summary.debt_quote, summary.withdrawals_total_quote, summary.deposits_consumed_quote,
        summary.deposits_quote, summary.claimed_quote, summary.escrow_quote,
    )  # fmt: skip


async def _ask_members(facts: Facts, looked: Looked) -> None:
    alive = []
    async with httpx.AsyncClient(timeout=10) as client:
        for url in looked.network.api_urls:
            try:
                alive.append("result" in (await client.get(f"{url}/api/v2/public/status")).json())
            except (httpx.HTTPError, ValueError):
                alive.append(False)
    facts.are_alive = tuple(alive)


async def _read_evidence(facts: Facts, looked: Looked) -> None:
    """What any honest member can prove, and what the court has decided; the court is given time to hear a proof."""
    offences: dict[int, set[str]] = {}
    for member in looked.scenario.honest:
        try:
            async with AsyncClient(looked.network.api_urls[member]) as client:
                for case in await client.call("public/x_get_evidence"):
                    for culprit in case["culprits"]:
                        offences.setdefault(culprit, set()).add(case["type"])
        except HansaError:
            continue
    facts.offences = {member: tuple(sorted(names)) for member, names in sorted(offences.items())}
    court = await in_thread(Court, looked.network.rpc_url, looked.network.config.court)
    with trio.move_on_after(EVIDENCE_S_MAX if offences else 1.0):
        while True:
            convicted = {case.member for case in await in_thread(court.convictions)}
            facts.convicted = tuple(sorted(convicted))
            if convicted >= set(offences):
                return
            await trio.sleep(1.0)


async def _read_hashes(looked: Looked) -> dict[int, str]:
    """The header hash of each height that the contract has accepted, as a validator has it; empty where it has none."""
    ask = ask_over_http(looked.network.rpc_url)
    records = await in_thread(lambda: list(read_checkpoints(ask, looked.network.config.contract)))
    hashes = {}
    async with AsyncClient(looked.network.api_urls[looked.scenario.honest[0]]) as client:
        for record in records:
            try:
                hashes[record.height] = (await client.certificate(record.height))["header_hash"]
            except HansaError:
                hashes[record.height] = ""
    return hashes


def _read_checkpoints(facts: Facts, looked: Looked, hashes: dict[int, str]) -> None:
    facts.first_onchain_height = looked.first_onchain_height
    for record in read_checkpoints(ask_over_http(looked.network.rpc_url), looked.network.config.contract):
        facts.onchain_height = max(facts.onchain_height, record.height)
        told = hashes.get(record.height)
        if told is not None and told != "0x" + record.header_hash.hex():
            facts.onchain_findings.append(f"height {record.height} on chain is {record.header_hash.hex()}, not {told}")


async def replay_disks(facts: Facts, looked: Looked) -> None:
    """By a process of its own, once the nodes have ended and need the processors no more."""
    argv = [sys.executable, "-m", "testnet.scenario.replay", str(looked.folder), "--rpc", looked.network.rpc_url]
    argv += ["--members", *map(str, looked.scenario.honest)]
    argv += ["--liars", *map(str, looked.scenario.liars)]
    with trio.move_on_after(REPLAY_S_MAX) as scope:
        done = await trio.run_process(argv, capture_stdout=True, stderr=subprocess.DEVNULL, check=False)
    if scope.cancelled_caught or done.returncode:
        facts.audit_findings.append(f"`{' '.join(argv[1:4])}` did not end well: run it by hand")
        return
    found: dict[str, Any] = json.loads(done.stdout)
    facts.audit_blocks, facts.audit_findings = found["audit_blocks"], found["audit_findings"]
    for name in ("funding_blocks", "funding_payments", "funding_breaks", "priced_blocks", "price_breaks"):
        setattr(facts, name, found[name])
    facts.expiries_settled, facts.settlement_breaks = found["settled"], found["settlement_breaks"]
    facts.liquidations = [
        Liquidation(to_run_s(looked, case["time_ms"]), case["height"], case["account"], case["fault"])
        for case in found["cases"]
    ]


def to_run_s(looked: Looked, time_ms: int) -> float:
    """Seconds of the run at which a block's time was: clocks that went ahead are taken back."""
    at_s = (time_ms - looked.began_ms) / 1000
    for leaped_s, leap_s in looked.leaps:
        if at_s >= leaped_s + leap_s:
            at_s -= leap_s
    return at_s
