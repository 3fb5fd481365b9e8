"""What is wrong by one or several looks, under the names of the alert rules: docs/operate.md tells what to do."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from validator.top.looks import Look, merge_members

SLOW_FINALITY_MS = 1_000
STALE_PRICE_S = 10.0
WIDE_SPREAD_BPS = 100
NEAR_ESCAPE_S = 1_800.0
CHECKPOINT_LAG_BLOCKS = 20_000
STALLED_S = 30.0
FREE_BYTES_MIN = 2_000_000_000
SLOW_DISK_S, LATE_LOOP_S, WRONG_CLOCK_S = 0.1, 0.1, 0.5


@dataclass(frozen=True, slots=True)
class Finding:
    """`node` empty: it is about the network."""

    name: str
    node: str
    text: str


def list_findings(looks: Sequence[Look]) -> list[Finding]:
    """The network's first."""
    there = [look for look in looks if look.is_there]
    return [*_list_of_network(there), *(finding for look in looks for finding in _list_of_node(look))]


def _list_of_network(there: Sequence[Look]) -> Iterator[Finding]:
    if not there:
        return
    roots = {(height, root) for look in there for height, root in look.state_roots.items()}
    for height in sorted({height for height, _ in roots}):
        if sum(at == height for at, _ in roots) > 1:
            yield Finding("HansaRootMismatch", "", f"nodes certify different roots at height {height}")
    best = max(there, key=lambda look: look.height)
    members = merge_members(there)
    silent = [member.index for member in members if member.blocks and not member.signed]
    bound = (best.validator_count - 1) // 3
    if silent and len(silent) >= bound:
        blocks = members[0].blocks
        yield Finding("HansaNearQuorum", "", f"no vote of {_seats(silent)} in the last {blocks} certificates")
    culprits = sorted({culprit for look in there for culprit in look.culprits})
    if culprits:
        yield Finding("HansaByzantine", "", f"evidence convicts member {', '.join(map(str, culprits))}")
    for index in best.indexes:
        if index.age_s > STALE_PRICE_S:
            yield Finding("HansaOracleStale", "", f"the price of {index.name} is {index.age_s:.0f} s old")
        if index.dispersion_bps > WIDE_SPREAD_BPS:
            yield Finding("HansaOracleSpread", "", f"reports of {index.name} lie {index.dispersion_bps} bps apart")
    if best.unchained_blocks > CHECKPOINT_LAG_BLOCKS:
        yield Finding("HansaCheckpointLag", "", f"{best.unchained_blocks} blocks above the last checkpoint")


def _list_of_node(look: Look) -> Iterator[Finding]:
    for name, is_wrong, text in (*_judge_api(look), *_judge_gauges(look)):
        if is_wrong:
            yield Finding(name, look.name, text)


def _judge_api(look: Look) -> Iterator[tuple[str, bool, str]]:
    if look.fault:
        yield "HansaDown", True, look.fault
        return
    stalled = look.block_age_s > STALLED_S
    yield "HansaStalled", stalled, f"the last final block is {look.block_age_s:.0f} s old"
    yield "HansaStalled", look.is_halted and not stalled, "the exchange is halted"
    yield "HansaCatchingUp", look.is_syncing, "it catches up and does not vote"
    few = look.validator_count > 1 and 3 * look.peer_count < 2 * (look.validator_count - 1)
    yield "HansaFewPeers", few, f"linked to {look.peer_count} of {look.validator_count - 1}"
    slow = look.finality_p99_ms > SLOW_FINALITY_MS
    yield "HansaSlowFinality", slow, f"finality p99 is {look.finality_p99_ms} ms"
    for name, fault in look.endpoints:
        yield "HansaChainEndpointDown", bool(fault), f"{name}: {fault}"


def _judge_gauges(look: Look) -> Iterator[tuple[str, bool, str]]:
    seen = look.gauges
    if seen.escape_s_left is not None:
        near = seen.escape_s_left < NEAR_ESCAPE_S
        yield "HansaEscapeNear", near, f"anyone may freeze the contract in {max(0, seen.escape_s_left):.0f} s"
    yield "HansaSignerAway", not seen.is_signer_up, "whoever holds its voting key does not answer"
    if seen.free_bytes is not None:
        yield "HansaDiskFull", seen.free_bytes < FREE_BYTES_MIN, f"{seen.free_bytes >> 20} MiB are left on its disk"
    if seen.refused_count:
        yield "HansaSignerRefuses", True, f"the guard has refused {seen.refused_count} votes"
    if seen.mismatch_count:
        yield "HansaRootMismatch", True, f"{seen.mismatch_count} proposed blocks had other roots than its own"
    if seen.clock_ahead_s is not None:
        off = abs(seen.clock_ahead_s) > WRONG_CLOCK_S
        yield "HansaClockOff", off, f"its clock is {seen.clock_ahead_s:+.1f} s off the others'"
    if seen.fsync_p99_s is not None:
        yield "HansaSlowDisk", seen.fsync_p99_s > SLOW_DISK_S, f"fsync p99 is {seen.fsync_p99_s:g} s"
    if seen.loop_lag_p99_s is not None:
        yield "HansaLoopLag", seen.loop_lag_p99_s > LATE_LOOP_S, f"its loop is {seen.loop_lag_p99_s:g} s late"


def _seats(indices: list[int]) -> str:
    return f"seat{'s' if len(indices) > 1 else ''} {', '.join(map(str, indices))}"
