"""Methods about the connection itself."""

from net.gateway.api import Call
from net.gateway.credits import CREDITS_PER_REQUEST, CreditPools


async def get_limits(call: Call) -> object:
    """The same figures that the headers of an answer over HTTP have."""
    limits = call.api.limits
    pools = call.credits or CreditPools(limits, 0)
    bounds = {"credits_max": pools.credits_max, "credits_per_s": pools.credits_per_s}
    costly = {
        name: method.credits for name, method in call.api.methods.items() if method.credits != CREDITS_PER_REQUEST
    }
    return {pool: {"credits": count} | bounds for pool, count in pools.left().items()} | {
        "request_credits": CREDITS_PER_REQUEST, "method_credits": costly,
        "request_unit_bytes": limits.request_unit_bytes,
    }  # fmt: skip
