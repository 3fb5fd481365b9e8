"""Does a series grow? Slopes that outliers do not move, and how sure they are. Pure.

Theil-Sen: the median of the slopes between all pairs of points. Its interval is that of Sen (1968), from the variance
of Kendall's rank statistic; samples that depend on each other, as memory's do, make the true interval wider.
"""

from dataclasses import dataclass

import numpy as np

HOUR_S = 3600.0
Z_95 = 1.96
# All pairs of so many points are half a million slopes; longer series are thinned evenly.
POINTS_MAX = 1_000


@dataclass(frozen=True, slots=True)
class Slope:
    """Per hour, with its 95 % interval; `level` is the median of the series."""

    per_hour: float
    low_per_hour: float
    high_per_hour: float
    level: float

    @property
    def percent_per_hour(self) -> float:
        return 100 * self.per_hour / self.level if self.level else 0.0


def fit_slope(times_s: list[float], values: list[float]) -> Slope:
    """Of at least three points at different times."""
    step = -(-len(values) // POINTS_MAX)
    times, series = np.asarray(times_s[::step]), np.asarray(values[::step])
    first, second = np.triu_indices(len(series), 1)
    slopes = np.sort((series[second] - series[first]) / (times[second] - times[first])) * HOUR_S
    count = len(series)
    spread = Z_95 * float(np.sqrt(count * (count - 1) * (2 * count + 5) / 18))
    low_rank = max(0, int((len(slopes) - spread) / 2))
    high_rank = min(len(slopes) - 1, int((len(slopes) + spread) / 2))
    return Slope(float(np.median(slopes)), float(slopes[low_rank]), float(slopes[high_rank]), float(np.median(series)))
