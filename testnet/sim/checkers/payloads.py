"""What a final block carries was really said by those it names, at about the time it claims (V1 to V4).

| property | meaning |
|---|---|
| V1 | price reports: none, or genuine ones of a quorum, one a member |
| V2 | every batch is signed by the author it is named after |
| V3 | the block's time is not far ahead of the true time |
| V4 | batches stand in their one order |
"""

from collections.abc import Callable

from consensus.messages import Block, quorum
from engine.payload import Batch, Payload, PriceReport
from net.identity import verify_batch
from testnet.sim.checkers.violation import require
from validator.batches import sort_refs

AHEAD_MS_MAX = 60_000  # clocks of faulty machines are off by some ten seconds, the lies of behaviours by an hour


class PayloadChecker:
    def __init__(
        self,
        domain: bytes,
        network_keys: tuple[bytes, ...],
        find_batch: Callable[[bytes], Batch | None],
        verify_report: Callable[[PriceReport, bytes, bytes], bool],
        get_wall_ms: Callable[[], int],
    ) -> None:
        """`find_batch`: of all batches that any node ever took; `get_wall_ms`: the true time."""
        self._verify_report = verify_report
        self._domain = domain
        self._network_keys = network_keys
        self._find_batch = find_batch
        self._get_wall_ms = get_wall_ms

    def on_first_final(self, block: Block) -> None:
        payload, height = Payload.decode(block.payload), block.header.height
        is_timely = block.header.timestamp_ms <= self._get_wall_ms() + AHEAD_MS_MAX
        require(is_timely, f"V3 height {height} comes from the future")
        self._check_reports(payload, height)
        refs = payload.batch_refs
        require(refs == sort_refs(refs), f"V4 height {height} has batches in an order of its own")
        for author, sequence, batch_hash in payload.batch_refs:
            batch = self._find_batch(batch_hash)
            require(batch is not None, f"V2 height {height} names a batch that nobody holds")
            assert batch is not None
            is_named = (batch.author, batch.sequence) == (author, sequence)
            is_genuine = is_named and verify_batch(batch, self._network_keys[author], self._domain)
            require(is_genuine, f"V2 height {height} carries a batch that member {author} never signed")

    def _check_reports(self, payload: Payload, height: int) -> None:
        reports, members = payload.price_reports, len(self._network_keys)
        if not reports:
            return
        authors = {report.validator: None for report in reports}
        is_quorate = len(authors) == len(reports) >= quorum(members)
        require(is_quorate, f"V1 height {height} carries reports of {len(authors)} members")
        for report in reports:
            is_known = report.validator < members
            is_genuine = is_known and self._verify_report(report, self._network_keys[report.validator], self._domain)
            require(is_genuine, f"V1 height {height} carries a report that member {report.validator} never made")
