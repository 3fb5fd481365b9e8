"""What the gas benchmark judges: the goals, and whether the measured rows reach them.

The goals are those of the best comparable systems, measured or published; gas is that of the whole transaction.
"""

from dataclasses import dataclass
from typing import Any

CHECKPOINT, MISSING, DEPOSIT = "checkpoint, next span", "checkpoint, f missing, next span", "deposit"
ESCAPE_FIRST, ESCAPE_NEXT = "escape, first", "escape, next"


@dataclass(frozen=True, slots=True)
class Verdict:
    """One goal: `measured` against `limit`, in gas."""

    goal: str
    measured: int
    limit: int

    @property
    def is_met(self) -> bool:
        return self.measured <= self.limit


def judge(rows: list[dict[str, Any]], member_count: int) -> list[Verdict]:
    """The verdicts on the rows of one chain and one committee size."""
    gas = {row["action"]: row["gas"] for row in rows if row["members"] == member_count}
    absent = (member_count - 1) // 3
    return [
        Verdict(f"checkpoint, {member_count} members, 0 missing", gas[CHECKPOINT], 225_000),
        Verdict(f"checkpoint, {member_count} members, {absent} missing", gas[MISSING], 285_000),
        Verdict("each missing member", -(-(gas[MISSING] - gas[CHECKPOINT]) // absent), 1_900),
        Verdict("deposit", gas[DEPOSIT], 80_000),
        Verdict("escape of one in a million accounts, first of 256", gas[ESCAPE_FIRST], 110_000),
        Verdict("escape of one in a million accounts, next", gas[ESCAPE_NEXT], 92_000),
    ]
