"""What a node gives its API about blocks and who makes them: plain records and the protocol `Explorer`.

As in `net.gateway.backend`: integers and bytes, `None` or empty for what this node does not have. Only final blocks.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from engine.commands import Action, Command
from net.succession import Succession

if TYPE_CHECKING:
    from net.gateway.backend import CommandResult, FinalisedHeader


@dataclass(frozen=True, slots=True)
class BlockView:
    """A block without its actions. `batches`: author (a validator's number), sequence and hash of each."""

    finalised: "FinalisedHeader"
    block_hash: bytes
    is_direct: bool  # the certificate is its own, and not that of a later block
    size_bytes: int
    batches: tuple[tuple[int, int, bytes], ...]
    action_count: int
    trade_count: int
    report_count: int
    inbox_count: int
    l1_block: int


@dataclass(frozen=True, slots=True)
class ActionView:
    """One action of a final block, with the message that it came in. `number`: its place among the block's actions."""

    action_id: bytes
    height: int
    number: int
    command: Command
    action: Action
    result: "CommandResult"


@dataclass(frozen=True, slots=True)
class MemberView:
    """A member of the committee: its place in bitmaps, its permanent number, its keys."""

    index: int
    number: int
    bls_key: bytes
    network_key: bytes
    weight: int


@dataclass(frozen=True, slots=True)
class ReportView:
    """One validator's prices, in the order of the feeds (docs/spec.md, ORA-1); 0: no opinion."""

    validator: int
    time_ms: int
    feeds_e8: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class OracleRoundView:
    """The price reports of one block."""

    height: int
    time_ms: int
    reports: tuple[ReportView, ...]


class Explorer(Protocol):
    """Blocks and committees, seen from the API."""

    def block(self, height: int) -> BlockView | None: ...

    def blocks(self, before_height: int, count: int) -> Sequence[BlockView]:
        """Below a height, newest first."""

    def actions(self, height: int, first: int, count: int) -> Sequence[ActionView]:
        """A block's actions from one on, in the order of execution."""

    def find_action(self, action_id: bytes) -> ActionView | None:
        """Of a final block."""

    def committee(self, epoch: int) -> Sequence[MemberView]:
        """Empty for an epoch whose committee is not known."""

    def succession(self, epoch: int) -> Succession | None:
        """The committee of an epoch and what proves it; None where that is not known."""

    def oracle_round(self, height: int | None) -> OracleRoundView | None:
        """Of a block; without a height of the last that has one."""
