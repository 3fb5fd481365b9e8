"""What every node says of every command afterwards: by hash, by nonce and by label, and in balances and open orders."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import trio

from net.client import AsyncClient, HansaError
from testnet.retry_storm.commands import SAVINGS, Sent
from testnet.retry_storm.storm import Answers

RATE_LIMITED = 605
STATUS_PACE_S = 0.003  # below what one connection may ask
CERTAIN = ("certified", "on_chain")
# Fields in which nodes may differ: how far the settlement chain is, and which certificate a node kept.
OWN_VIEW = ("status", "x_certificate", "x_others")


@dataclass(slots=True)
class Findings:
    """`problems` are lines for people; `compared` statuses that were asked for."""

    compared: int = 0
    executed_once: int = 0
    problems: list[str] = field(default_factory=list)


async def audit(urls: Sequence[str], sent: Sequence[Sent], answers: dict[bytes, Answers]) -> Findings:
    """Asks every node about everything."""
    findings = Findings()
    said: list[dict[bytes, dict[str, Any]]] = [{} for _ in urls]
    async with trio.open_nursery() as nursery:
        for index, url in enumerate(urls):
            nursery.start_soon(_ask_node, index, url, sent, said[index], findings)
    for entry in sent:
        _compare(entry, [node.get(entry.command_id) for node in said], answers[entry.command_id], findings)
    return findings


async def _ask_node(
    index: int, url: str, sent: Sequence[Sent], said: dict[bytes, dict[str, Any]], findings: Findings
) -> None:
    async with AsyncClient(url) as client:
        for entry in sent:
            owner = {"owner": "0x" + entry.account.address.hex(), "subaccount": 0}
            keys: list[dict[str, Any]] = [{"command_id": "0x" + entry.command_id.hex()}]
            keys.append(owner | {"nonce": entry.command.nonce})
            keys += [owner | {"label": entry.label}] if entry.label else []
            states = [await _status(client, key) for key in keys]
            findings.compared += len(states)
            plain = [_plain(state) for state in states]
            if any(other != plain[0] for other in plain[1:]):
                findings.problems.append(f"node{index} says different things of {entry.command_id.hex()}: {states}")
            if states[0] is not None:
                said[entry.command_id] = states[0]
        findings.problems += [f"node{index}: {problem}" for problem in await _check_traces(client, sent)]


async def _status(client: AsyncClient, key: dict[str, Any]) -> dict[str, Any] | None:
    """None: the node does not know it."""
    while True:
        await trio.sleep(STATUS_PACE_S)
        try:
            state: dict[str, Any] = await client.call("public/x_get_command_status", **key)
        except HansaError as error:
            if error.code != RATE_LIMITED:
                return None
            await trio.sleep(error.data["retry_after_ms"] / 1000)
        else:
            return state


def _plain(state: dict[str, Any] | None) -> dict[str, Any] | None:
    """What does not depend on who was asked."""
    return None if state is None else {name: value for name, value in state.items() if name not in OWN_VIEW}


def _compare(entry: Sent, states: list[dict[str, Any] | None], known: Answers, findings: Findings) -> None:
    name = entry.command_id.hex()
    if any(state is None or state["status"] not in CERTAIN for state in states):
        findings.problems.append(f"not certain everywhere: {name}: {states}")
        return
    first = states[0]
    assert first is not None
    if any(_plain(state) != _plain(first) for state in states[1:]):
        findings.problems.append(f"nodes disagree about {name}: {states}")
    if first["code"]:
        findings.problems.append(f"refused by the engine: {name}: {first['reason']}")
    if known.final - {(first["height"], first["code"])}:
        findings.problems.append(f"answered {known.final}, executed at {first['height']}: {name}")
    if known.false_refusals:
        findings.problems.append(f"refused with {known.false_refusals}, yet executed: {name}")
    findings.executed_once += not first["code"]


async def _check_traces(client: AsyncClient, sent: Sequence[Sent]) -> list[str]:
    """The state itself: an order for each label and the sum of all transfers, account by account."""
    problems = []
    for address in {entry.account.address for entry in sent}:
        own = [entry for entry in sent if entry.account.address == address]
        owner = "0x" + address.hex()
        orders = await client.call("private/get_open_orders", owner=owner)
        labels = Counter(order["label"] for order in orders if order["label"])
        if labels != Counter(str(entry.label) for entry in own if entry.label):
            problems.append(f"open orders of {owner}: {labels}")
        summary = await client.call("private/get_account_summary", owner=owner, subaccount=SAVINGS)
        moved_quote = sum(entry.amount_quote for entry in own)
        if summary["balance"].replace(".", "").lstrip("0") != str(moved_quote):
            problems.append(f"transfers of {owner}: {summary['balance']}, not {moved_quote} quote units")
    return problems
