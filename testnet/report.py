"""What the traders tell the launcher: one small file, replaced once a second."""

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path

REPORT = "report.json"
ORDER_SAMPLES_MAX = 2_000


@dataclass(slots=True)
class Report:
    """Counted since the traders' process started."""

    commands_sent: int = 0
    commands_final: int = 0
    trades_seen: int = 0
    cross_node_trades: int = 0
    liquidations: int = 0
    quotes_sent: int = 0  # of futures and options, many a command
    option_trades: int = 0
    accounts_credited: int = 0
    withdrawals_claimed: int = 0
    withdrawal_stage: str = "not asked for yet"
    refusals: dict[str, int] = field(default_factory=dict)
    # How long traders waited for a final answer to an order, the newest last.
    orders_timed: int = 0
    order_ms: list[int] = field(default_factory=list)

    def note_order(self, waited_ms: int) -> None:
        self.orders_timed += 1
        self.order_ms.append(waited_ms)
        del self.order_ms[:-ORDER_SAMPLES_MAX]

    def count_refusal(self, reason: str) -> None:
        self.refusals[reason] = self.refusals.get(reason, 0) + 1


def save_report(folder: Path, report: Report) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    scratch = folder / (REPORT + ".new")
    scratch.write_text(json.dumps(asdict(report)))
    scratch.replace(folder / REPORT)


def load_report(folder: Path) -> Report:
    """Empty before the traders' first word."""
    try:
        return Report(**json.loads((folder / REPORT).read_text()))
    except FileNotFoundError:
        return Report()
