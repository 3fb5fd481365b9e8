"""Who validates, who waits and who leaves, as the registry has it at the last finalised block."""

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from contracts.records import ValidatorState
from validator.join_checks import format_units

if TYPE_CHECKING:
    from rich.console import RenderableType

    from contracts.registry import Registry

QUEUE_SHOWN_MAX = 64


@dataclass(frozen=True, slots=True)
class ValidatorReport:
    """One validator; `index` is its place in the current committee, None outside of it. Stakes are token units."""

    number: int
    index: int | None
    state: str
    operator: str
    network_key: str
    stake: int
    since_s: int
    address: str


@dataclass(frozen=True, slots=True)
class CommitteeReport:
    """`next_numbers` is who would follow now; `block` is where all of this was read."""

    epoch: int
    block: int
    stake: int
    unbonding_s: int
    seats_max: int
    committee: list[ValidatorReport]
    waiting: list[ValidatorReport]
    leaving: list[int]
    next_numbers: list[int]

    def to_plain(self) -> dict[str, Any]:
        return asdict(self)


def make_report(registry: "Registry") -> CommitteeReport:
    """Blocking. Raises `ChainError`."""
    block = registry.finalized_block()
    epoch = registry.epoch(block)
    seated = {member.number: member.index for member in registry.committee(epoch, block)}
    waiting = registry.entry_queue(QUEUE_SHOWN_MAX, block)
    return CommitteeReport(
        epoch, block, registry.stake_amount(), registry.unbonding_s(), registry.seats_max(),
        [make_validator_report(registry, number, index, block) for number, index in seated.items()],
        [make_validator_report(registry, number, None, block) for number in waiting],
        registry.exit_queue(QUEUE_SHOWN_MAX, block), registry.next_numbers(block),
    )  # fmt: skip


def make_validator_report(registry: "Registry", number: int, index: int | None, block: int | None) -> ValidatorReport:
    """Blocking."""
    known, standing = registry.validator(number, block), registry.standing(number, block)
    return ValidatorReport(
        number, index, standing.state.name.lower(), "0x" + known.operator.hex(), "0x" + known.network_key.hex(),
        standing.stake, standing.since_s, registry.advertised_address(number, block),
    )  # fmt: skip


def render(report: CommitteeReport) -> "RenderableType":
    from rich.console import Group
    from rich.table import Table

    table = Table("number", "index", "state", "stake", "operator", "listens at")
    for row in (*report.committee, *report.waiting):
        table.add_row(
            str(row.number), "-" if row.index is None else str(row.index), row.state, format_units(row.stake),
            row.operator, row.address or "-",
        )  # fmt: skip
    numbers = ", ".join(map(str, report.next_numbers)) or "nobody: the epoch goes on"
    return Group(
        f"epoch {report.epoch}, {len(report.committee)} of at most {report.seats_max} seats, at block {report.block}",
        table,
        f"epoch {report.epoch + 1} by the rule: {numbers}",
        f"stake {format_units(report.stake)}, paid back {format_hours(report.unbonding_s)} after leaving",
    )


def describe_stake(report: ValidatorReport, unbonding_s: int, now_s: int) -> str:
    """Where a validator's stake is, and when it can be had."""
    stake_text = format_units(report.stake)
    if report.state == ValidatorState.UNBONDING.name.lower():
        wait_s = report.since_s + unbonding_s - now_s
        when = "can be withdrawn now" if wait_s < 0 else f"can be withdrawn in {format_hours(wait_s + 1)}"
        return f"number {report.number} has left; its stake of {stake_text} {when}"
    if report.state == ValidatorState.GONE.name.lower():
        return f"number {report.number} has left and has its stake back"
    if report.state == ValidatorState.JAILED.name.lower():
        return f"number {report.number} was convicted; its stake is lost"
    return f"number {report.number} is {report.state}; its stake of {stake_text} is in the registry"


def format_hours(duration_s: int) -> str:
    """Rounded up, in the largest unit that leaves a digit or two."""
    for unit_s, name in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if duration_s >= 2 * unit_s:
            return f"{-(-duration_s // unit_s)} {name}"
    return f"{duration_s} s"
