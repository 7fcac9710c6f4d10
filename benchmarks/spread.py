"""What many measurements of one thing come to."""

from collections.abc import Iterable
from dataclasses import dataclass
from statistics import median, quantiles


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, 99th percentile and largest of so many values; the machine is noisy, so the median is what is quoted."""

    median: float
    p99: float
    largest: float
    count: int

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread":
        """Return the spread of at least one value."""
        found = sorted(values)
        p99 = quantiles(found, n=100, method="inclusive")[98] if len(found) > 1 else found[0]
        return cls(median(found), p99, found[-1], len(found))
