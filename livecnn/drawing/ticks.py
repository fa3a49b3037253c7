"""Numbers at an axis: round ones, as many as there is room for, in as few digits as tell them apart."""

import math

from livecnn.types import Reading


def ticks(low: float, high: float, most: int) -> tuple[float, ...]:
    """Return at most `most` multiples of 1, 2 or 5 times a power of ten from low to high, at equal distances; low < high."""
    step = round_step((high - low) / max(1, most - 1))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return tuple(index * step for index in range(first, last + 1))[:most]


def round_step(least: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that is at least `least`."""
    power = 10.0 ** math.floor(math.log10(least))
    return next(factor * power for factor in (1, 2, 5, 10) if factor * power >= least * (1 - 1e-9))


def round_limits(low: float, high: float) -> tuple[float, float]:
    """Return round ends of an axis that holds both, low <= high."""
    size = max(abs(low), abs(high))
    if high - low <= 1e-9 * size:  # less than a step of an axis can tell apart
        low, high = (low - size / 2, high + size / 2) if size else (0.0, 1.0)
    step = round_step((high - low) / 4)
    return math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step


def format_tick(value: float) -> str:
    """Return a number as it is written at an axis."""
    return f"{value + 0:.6g}" if value else "0"


def three_digits(value: float) -> str:
    """Return three digits of a number, for reading from afar; rounding never changes the width: 34.2, 0.342, 342."""
    size = abs(value)
    return f"{value:.0f}" if 99.95 <= size < 1e6 else f"{value:.1f}" if 0.95 <= size < 99.95 else f"{value:.3g}"


def format_score(score: float, reading: Reading, decimals: int = 1) -> str:
    """Return a score in percent, 0..1 being 0 to 100 %; a plain number as it is."""
    return format_number(score) if reading == "numbers" else f"{100 * score:.{decimals}f} %"


def format_number(value: float) -> str:
    """Return about three digits of a number; the count of decimals depends on its size alone, so that it hardly moves."""
    size = abs(value)
    if not math.isfinite(value):
        return "not finite"
    if size == 0:
        return "0"
    if not 1e-3 <= size < 1e5:
        return f"{value:.1e}".replace("-", "−")
    decimals = 0 if size >= 100 else 1 if size >= 10 else 2 if size >= 0.1 else 4
    return f"{value:.{decimals}f}".replace("-", "−")
