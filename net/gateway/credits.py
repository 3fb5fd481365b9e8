"""What requests cost, in credits, and how many a client has: Deribit's way to limit rates.

There are two pools, so that whoever reads too much can still cancel: signed commands are paid from `matching`, all else
from `non_matching`. Each connection has both, and so has each address over HTTP; behind them stand the pools that all
connections of an address share. A request costs 500 credits, or what its row of the method table says, for each part of
2 KiB that it is long.
"""

from collections import OrderedDict

from net.gateway.api import Method
from net.gateway.limits import Limits, TokenBucket, count_units

CREDITS_PER_REQUEST = 500
POOLS = ("matching", "non_matching")
_WAIT_MS_MAX = 3_600_000


def price_request(method: Method | None, limits: Limits, size_bytes: int) -> tuple[str, int]:
    """From which pool a request is paid, and what it costs; `method` None: nobody knows what it asks for."""
    pool = "matching" if method is not None and method.is_signed else "non_matching"
    each = CREDITS_PER_REQUEST if method is None else method.credits
    return pool, each * count_units(limits, size_bytes)


class CreditPools:
    """Both pools of one client. What it takes is also taken from `shared`, if there is any."""

    def __init__(self, limits: Limits, now_s: float, times: int = 1, shared: "CreditPools | None" = None) -> None:
        self.credits_max = limits.requests_burst * times * CREDITS_PER_REQUEST
        self.credits_per_s = limits.requests_per_s * times * CREDITS_PER_REQUEST
        self._shared = shared
        self._buckets = {
            pool: TokenBucket(self.credits_per_s, self.credits_max, self.credits_max, now_s) for pool in POOLS
        }

    def take(self, pool: str, credit_count: int, now_s: float) -> int:
        """0: taken. Otherwise nothing was, and there will be enough in so many milliseconds."""
        wait_ms = max(each._wait_ms(pool, credit_count, now_s) for each in self._chain())
        if not wait_ms:
            for each in self._chain():
                each._buckets[pool].is_allowed(now_s, min(credit_count, each.credits_max))
        return wait_ms

    def wait_for_any_ms(self, now_s: float) -> int:
        """0 when at least one pool can pay for a request: before one is read."""
        return min(max(each._wait_ms(pool, CREDITS_PER_REQUEST, now_s) for each in self._chain()) for pool in POOLS)

    def left(self) -> dict[str, int]:
        """Credits in each pool after the last request."""
        return {pool: int(min(each._buckets[pool].tokens for each in self._chain())) for pool in POOLS}

    def _chain(self) -> tuple["CreditPools", ...]:
        return (self,) if self._shared is None else (self, self._shared)

    def _wait_ms(self, pool: str, credit_count: int, now_s: float) -> int:
        """Who can never have that many pays with all there is."""
        bucket = self._buckets[pool]
        bucket.refill(now_s)
        wait_s = bucket.wait_s(min(credit_count, self.credits_max))
        return min(_WAIT_MS_MAX, int(min(wait_s, _WAIT_MS_MAX) * 1000) + 1) if wait_s else 0


def hold_back(wait_ms: int, limits: Limits) -> tuple[float, int]:
    """For how many seconds a refusal is kept back, and for how many milliseconds there is to wait once it is told.

    A refusal costs what an answer costs. Many connections that wait for the same credits would come again together, and
    all but one in vain. Nobody who waits loses by it: credits are saved up meanwhile.
    """
    held_ms = max(limits.refusal_ms_min, min(wait_ms, limits.refusal_ms_max))
    return held_ms / 1000, max(1, wait_ms - held_ms)


def credit_headers(pools: CreditPools) -> dict[str, str]:
    """`RateLimit-Policy` and `RateLimit` of an answer over HTTP: quota q and window w, credits left r, seconds t until
    a pool is full again.
    """
    rate, most = pools.credits_per_s, pools.credits_max
    window_s = -(-most // rate) if rate else 0
    policy = ", ".join(f'"{pool}";q={most};w={window_s}' for pool in POOLS)
    left = ", ".join(
        f'"{pool}";r={count};t={-(-(most - count) // rate) if rate else 0}' for pool, count in pools.left().items()
    )
    return {"ratelimit-policy": policy, "ratelimit": left}


class AddressCredits:
    """The pools of each address. Forgets the address that was quiet longest."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self._by_address: OrderedDict[str, tuple[CreditPools, CreditPools]] = OrderedDict()

    def over_http(self, address: str, now_s: float) -> CreditPools:
        """What all requests of an address over HTTP share."""
        return self._find(address, now_s)[0]

    def of_connection(self, address: str, now_s: float) -> CreditPools:
        """For a new connection."""
        return CreditPools(self._limits, now_s, shared=self._find(address, now_s)[1])

    def _find(self, address: str, now_s: float) -> tuple[CreditPools, CreditPools]:
        known = self._by_address.pop(address, None)
        if known is None:
            shared = CreditPools(self._limits, now_s, self._limits.address_share)
            known = CreditPools(self._limits, now_s, shared=shared), shared
        self._by_address[address] = known
        if len(self._by_address) > self._limits.addresses_max:
            self._by_address.popitem(last=False)
        return known
