"""Price reports: the newest of every validator, ready for the next block."""

from collections.abc import Callable

from engine.payload import PriceReport
from net.identity import verify_price_report

REPORT_INTERVAL_MS = 1_000
REPORT_AGE_MS_MAX = 3_000
CLOCK_SKEW_MS_MAX = 1_000


class ReportBook:
    """The newest valid report of each validator."""

    def __init__(
        self, network_keys: tuple[bytes, ...], domain: bytes, quorum_count: int,
        verify: Callable[[PriceReport, bytes, bytes], bool] = verify_price_report,
    ) -> None:  # fmt: skip
        self._verify = verify
        self._network_keys = network_keys
        self._domain = domain
        self._quorum_count = quorum_count
        self._newest: dict[int, PriceReport] = {}

    def add(self, report: PriceReport, now_ms: int) -> bool:
        """False when the report is forged or malformed; one that is old, or from a clock ahead of ours, is not kept."""
        if not self.is_genuine(report):
            return False
        known = self._newest.get(report.validator)
        is_newer = known is None or report.time_ms > known.time_ms
        if is_newer and report.time_ms <= now_ms + CLOCK_SKEW_MS_MAX:
            self._newest[report.validator] = report
        return True

    def is_genuine(self, report: PriceReport) -> bool:
        """Signed by the validator it names; how many feeds there must be is the state's business."""
        if self._newest.get(report.validator) == report:
            return True
        if report.validator >= len(self._network_keys):
            return False
        return self._verify(report, self._network_keys[report.validator], self._domain)

    def select(self, accepted_ms: list[int], block_time_ms: int, feed_count: int) -> tuple[PriceReport, ...]:
        """Fresh reports of so many feeds, newer than those the state has accepted, by validator; empty unless they make
        a quorum.
        """
        fresh = tuple(
            report
            for validator, report in sorted(self._newest.items())
            if report.time_ms > accepted_ms[validator]
            and len(report.feeds_e8) == feed_count
            and block_time_ms - REPORT_AGE_MS_MAX <= report.time_ms <= block_time_ms + CLOCK_SKEW_MS_MAX
        )
        return fresh if len(fresh) >= self._quorum_count else ()
