"""Price reports: the newest of every validator, ready for the next block, and what a block may carry of them."""

from collections.abc import Callable

from consensus.messages import quorum
from engine.payload import PriceReport
from net.identity import verify_price_report
from validator.roster import Roster

REPORT_INTERVAL_MS = 1_000
REPORT_AGE_MS_MAX = 3_000
CLOCK_SKEW_MS_MAX = 1_000
# Of each validator: enough that a tick is still whole when the first reports of the next one arrive.
REPORTS_KEPT = 3


def tick_of(report: PriceReport) -> int:
    """Validators report once a tick, each by its own clock."""
    return report.time_ms // REPORT_INTERVAL_MS


def is_timely(report: PriceReport, block_time_ms: int) -> bool:
    return block_time_ms - REPORT_AGE_MS_MAX <= report.time_ms <= block_time_ms + CLOCK_SKEW_MS_MAX


class ReportBook:
    """The newest valid reports of each validator."""

    def __init__(
        self, roster: Roster, domain: bytes, verify: Callable[[PriceReport, bytes, bytes], bool] = verify_price_report
    ) -> None:
        self.roster = roster
        self._verify = verify
        self._domain = domain
        self._kept: dict[int, list[PriceReport]] = {}  # by validator, oldest first

    def add(self, report: PriceReport, now_ms: int) -> bool:
        """False when the report is forged or malformed; one that is old, or from a clock ahead of ours, is not kept."""
        if not self.is_genuine(report):
            return False
        kept = self._kept.setdefault(report.validator, [])
        is_newer = not kept or report.time_ms > kept[-1].time_ms
        if is_newer and report.time_ms <= now_ms + CLOCK_SKEW_MS_MAX:
            self._kept[report.validator] = [*kept, report][-REPORTS_KEPT:]
        return True

    def is_genuine(self, report: PriceReport) -> bool:
        """Signed by the validator it names; how many feeds there must be is the state's business."""
        if report in self._kept.get(report.validator, ()):
            return True
        network_key = self.roster.network_key(report.validator)
        return network_key is not None and self._verify(report, network_key, self._domain)

    def is_fair(self, reports: tuple[PriceReport, ...], block_time_ms: int, epoch: int) -> bool:
        """What a block may carry: nothing, or timely reports of a quorum of its committee, in order, one a member, of
        one tick. Then the median of at most f liars lies between two honest reports.
        """
        if not reports:
            return True
        validators = [report.validator for report in reports]
        return (
            validators == sorted(set(validators))
            and all(self.roster.is_member(validator, epoch) for validator in validators)
            and len(validators) >= quorum(self.roster.count(epoch))
            and len({tick_of(report) for report in reports}) == 1
            and all(is_timely(report, block_time_ms) for report in reports)
        )

    def select(
        self, accepted_ms: list[int], block_time_ms: int, feed_count: int, epoch: int
    ) -> tuple[PriceReport, ...]:
        """Reports of so many feeds, newer than those the state has accepted, as a block of this epoch may carry them,
        of the newest tick that has a quorum; empty when none has.
        """
        by_tick: dict[int, list[PriceReport]] = {}
        needed = quorum(self.roster.count(epoch))
        for validator, kept in sorted(self._kept.items()):
            for report in kept if self.roster.is_member(validator, epoch) else ():
                is_news = report.time_ms > accepted_ms[validator] and len(report.feeds_e8) == feed_count
                if is_news and is_timely(report, block_time_ms):
                    by_tick.setdefault(tick_of(report), []).append(report)
        for tick in sorted(by_tick, reverse=True):
            # A validator's later report of the same tick replaces its earlier one.
            chosen = tuple({report.validator: report for report in by_tick[tick]}.values())
            if len(chosen) >= needed:
                return chosen
        return ()
