"""The forward and the volatility surface of an expiry on the seeded path: a skewed smile that moves slowly.

With theta the total variance at the money, a slice is

    w(k) = theta/2 (1 + rho phi k + sqrt((phi k + rho)**2 + 1 - rho**2)),    phi = eta / sqrt(theta)

which for eta (1 + |rho|) <= 2 admits no butterfly arbitrage, and no calendar arbitrage as long as theta grows with time
(Gatheral and Jacquier, Arbitrage-free SVI volatility surfaces, Quantitative Finance 14, 2014, section 4). Reports carry
it as raw SVI: a = theta (1 - rho**2) / 2, b = eta sqrt(theta) / 2, m = -rho sqrt(theta) / eta, sigma = sqrt(1 - rho**2)
sqrt(theta) / eta. Integers only, a pure function of seed, underlying, expiry and time.
"""

from math import isqrt

from validator.smoothnoise import RESOLUTION, compute_shift

YEAR_MS = 365 * 24 * 3600 * 1000
DAY_MS = 24 * 3600 * 1000
FEED_OFFSET = 1 << 32
UNIT_E8 = 10**8
BPS_UNIT = 10_000

# At the money, far from expiry. Near it the variance of a day is higher by `NEAR_EXCESS_BPS`, halfway at `NEAR_MS`.
VOLATILITIES_BPS = {"BTC": 5_200, "ETH": 6_400}
VOLATILITY_BPS_DEFAULT = 6_000
NEAR_EXCESS_BPS, NEAR_MS = 3_000, 14 * DAY_MS
# Of the volatility, relative.
VOLATILITY_OCTAVES = ((6 * 3_600_000, 1_000), (3_600_000, 500), (600_000, 250))
SKEW_E8 = -20_000_000
SKEW_OCTAVES = ((2 * 3_600_000, 5_000_000), (1_200_000, 2_000_000))
WINGS_E8 = 70_000_000  # eta
# What a forward is dearer than the index, a year.
CARRY_BPS = 600
CARRY_OCTAVES = ((4 * 3_600_000, 250), (1_800_000, 100))
# A shorter time's variance would be too few units of 1e-8 for a smooth slice.
LEFT_MS_MIN = 60_000


def list_expiry_feeds(seed: int, name: str, index_e8: int, expiry_ms: int, time_ms: int) -> tuple[int, ...]:
    """Forward, a, b, rho, m, sigma of one expiry as a price report carries them; no opinion without an index, and on
    an expiry that is past.
    """
    left_ms = expiry_ms - time_ms
    if left_ms <= 0 or index_e8 == 0:
        return (0, 0, 0, 0, 0, 0)
    a_e8, b_e8, rho_e8, m_e8, sigma_e8 = compute_slice(seed, name, left_ms, time_ms)
    forward_e8 = compute_forward_e8(seed, name, index_e8, left_ms, time_ms)
    return (forward_e8, a_e8 + FEED_OFFSET, b_e8, rho_e8 + FEED_OFFSET, m_e8 + FEED_OFFSET, sigma_e8)


def compute_forward_e8(seed: int, name: str, index_e8: int, left_ms: int, time_ms: int) -> int:
    """The index and what carrying it to the expiry costs."""
    carry_bps_scaled = CARRY_BPS * RESOLUTION + compute_shift(CARRY_OCTAVES, time_ms, "carry", seed, name)
    return index_e8 + index_e8 * carry_bps_scaled * left_ms // (RESOLUTION * BPS_UNIT * YEAR_MS)


def compute_slice(seed: int, name: str, left_ms: int, time_ms: int) -> tuple[int, int, int, int, int]:
    """Raw SVI in e8 of the expiry that is `left_ms` ahead."""
    theta_e16 = _compute_variance_e16(seed, name, max(left_ms, LEFT_MS_MIN), time_ms)
    root_e8 = isqrt(theta_e16)
    rho_e8 = SKEW_E8 + compute_shift(SKEW_OCTAVES, time_ms, "skew", seed, name) // RESOLUTION
    square_e16 = UNIT_E8**2 - rho_e8**2
    return (
        theta_e16 * square_e16 // (2 * UNIT_E8**3),
        WINGS_E8 * root_e8 // (2 * UNIT_E8),
        rho_e8,
        -rho_e8 * root_e8 // WINGS_E8,
        isqrt(square_e16) * root_e8 // WINGS_E8,
    )


def _compute_variance_e16(seed: int, name: str, left_ms: int, time_ms: int) -> int:
    """Total variance at the money; grows with `left_ms`."""
    level_bps = VOLATILITIES_BPS.get(name, VOLATILITY_BPS_DEFAULT)
    shift_bps = compute_shift(VOLATILITY_OCTAVES, time_ms, "volatility", seed, name) // RESOLUTION
    level_e8 = level_bps * (BPS_UNIT + shift_bps)  # bps of bps are e8
    excess_ms = left_ms * NEAR_MS * NEAR_EXCESS_BPS // (BPS_UNIT * (left_ms + NEAR_MS))
    return level_e8**2 * (left_ms + excess_ms) // YEAR_MS
