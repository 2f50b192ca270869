"""Numbers as people read them: three to four significant digits, the same decimals in one row."""

import math
from collections.abc import Iterable

MINUS = "\N{MINUS SIGN}"
NOTHING = "\N{EN DASH}"
_SPACE = "\N{NARROW NO-BREAK SPACE}"


def decimals_for(values: Iterable[float]) -> int:
    """How many decimals show four digits of the largest of these; figures up to 1 get four."""
    largest = max((abs(value) for value in values), default=0.0)
    if largest <= 1:
        return 4
    return max(0, 3 - math.floor(math.log10(largest)))


def number(value: float | None, decimals: int | None = None) -> str:
    """With a real minus sign; a dash where there is none. Without `decimals`, as many as fit the value."""
    if value is None:
        return NOTHING
    text = f"{value:.{decimals_for([value]) if decimals is None else decimals}f}"
    if float(text) == 0:
        text = text.lstrip("-")
    return text.replace("-", MINUS)


def figure(value: float, decimals: int) -> str:
    """A mean. One that is too small for these decimals is not zero, and does not look like it."""
    smallest = 10.0**-decimals
    return f"<{_SPACE}{number(smallest, decimals)}" if 0 < value < smallest / 2 else number(value, decimals)


def signed(value: float, decimals: int) -> str:
    text = number(value, decimals)
    return text if text.startswith(MINUS) else f"+{text}"


def interval(low: float | None, high: float | None, decimals: int) -> str:
    """Empty where it is not known."""
    if low is None or high is None:
        return ""
    return f"[{number(low, decimals)},\N{NO-BREAK SPACE}{number(high, decimals)}]"


def p_value(value: float) -> str:
    """Three decimals, and never zero."""
    return f"<{_SPACE}0.001" if value < 0.001 else f"{value:.3f}"


def percent(share: float) -> str:
    return f"{100 * share:.1f}{_SPACE}%"


def count(value: int) -> str:
    return f"{value:,}".replace(",", _SPACE)


def short(text: str, length: int = 20) -> str:
    """Where room is scarce: the middle of a long name is left out."""
    if len(text) <= length:
        return text
    left = (length - 1) // 2
    return f"{text[: length - 1 - left]}\N{HORIZONTAL ELLIPSIS}{text[-left:]}"
