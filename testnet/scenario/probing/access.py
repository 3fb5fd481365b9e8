"""What anybody has of a network, and how a refusal is told from an acceptance."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from contracts.records import Refused
from testnet.funding import ChainAccount
from testnet.scenario.facts import Verdict
from validator.config import NetworkConfig


@dataclass(frozen=True, slots=True)
class Access:
    """A running network: its contract on the chain behind `rpc_url`, or a provider in this process, the APIs of its
    honest members, its traders.
    """

    config: NetworkConfig
    rpc_url: Any
    api_urls: tuple[str, ...]
    cast: tuple[tuple[str, ChainAccount], ...]

    def account_of(self, role: str) -> ChainAccount:
        return next(account for name, account in self.cast if name == role)


def must_refuse(name: str, attempt: str, action: Callable[[], object]) -> Verdict:
    """Blocking. The contract must say no."""
    try:
        action()
    except Refused as refusal:
        return Verdict(name, attempt, f"refused: {refusal.reason or 'without a word'}", True)
    return Verdict(name, attempt, "ACCEPTED", False)


def must_stay(name: str, what: str, before: object, after: object) -> Verdict:
    return Verdict(name, what, f"{after}" if before == after else f"{before} became {after}", before == after)
