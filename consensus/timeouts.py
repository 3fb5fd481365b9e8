"""How long the core waits for what: all of it follows from one bound, delta, which grows while nothing is finalised.

`delta_k = delta * (6/5)^min(k, 20)`, at most `cap_ms`, where k counts the views between the last finalised one and the
current one. The reset is on finalisation, never on mere entry of a view: a node that only sees nullifications must keep
doubling its patience, or an underestimated delta stalls the network for ever.

Deviations from the table in the design notes: pacing is added to the time of `advance` as well as to that of `leader`,
because a paced leader consumes it in both. Forwarding (R6) waits half a delta, not fixed 50 ms: on links slower than
that, everybody would forward everything. The back-off of fetching (R9) ends at 5 s, because a block that is certified
and missing holds this node up, and two peers are asked at a time.
"""

from dataclasses import dataclass

from consensus.messages import Header

GROWTH_EXPONENT_MAX = 20


@dataclass(frozen=True)
class CoreConfig:
    """What one instance of agreement (one epoch) is made of. `me` None makes an observer, which never signs.

    `genesis` is the root of the instance: genesis, or the block that sealed the epoch before. No `weights` means weight
    1 each. `epoch_end_ms` is a time of the chain (Unix): from then on a block may seal the epoch; None: never.
    """

    domain: bytes
    epoch: int
    member_count: int
    me: int | None
    genesis: Header
    weights: tuple[int, ...] = ()
    epoch_end_ms: int | None = None
    delta_ms: int = 100
    growth_numerator: int = 6
    growth_denominator: int = 5
    cap_ms: int = 30_000
    min_interval_ms: int = 200
    execution_budget_ms: int = 100
    retain_views: int = 64
    future_views: int = 16
    unfinalized_depth_max: int = 8
    standstill_deltas: int = 10
    collector_threshold: int = 32  # more members than this: votes go to collectors (CO1)
    fetch_initial_ms: int = 500
    fetch_cap_ms: int = 5_000


def compute_delta_ms(config: CoreConfig, view: int, final_view: int) -> int:
    """delta_k for `view` when `final_view` is the highest view known to be finalised."""
    exponent = min(max(view - final_view - 1, 0), GROWTH_EXPONENT_MAX)
    grown_ms: int = config.delta_ms * config.growth_numerator**exponent // config.growth_denominator**exponent
    return min(grown_ms, config.cap_ms)


def compute_leader_ms(config: CoreConfig, delta_ms: int) -> int:
    """A view without a proposal is given up after this."""
    return 2 * delta_ms + config.min_interval_ms


def compute_advance_ms(config: CoreConfig, delta_ms: int) -> int:
    """A view without a notarised and executed block is given up after this."""
    return 3 * delta_ms + config.min_interval_ms + config.execution_budget_ms


def compute_retry_ms(delta_ms: int) -> int:
    """A view that was given up is talked about again after this."""
    return 2 * delta_ms


def compute_collect_ms(delta_ms: int) -> int:
    """CO3: a vote without a certificate is said to all after this."""
    return 2 * delta_ms


def compute_forward_ms(config: CoreConfig) -> int:
    """A certificate is forwarded to those who were not seen beyond its view by then."""
    return config.delta_ms // 2


def compute_fetch_ms(config: CoreConfig, attempts: int) -> int:
    """Back-off after the `attempts`-th request for one block: x 1.5 each time."""
    exponent = min(attempts, 10)
    grown_ms: int = config.fetch_initial_ms * 3**exponent // 2**exponent
    return min(grown_ms, config.fetch_cap_ms)
