"""Kubernetes' quantities: 500m, 4, 64Gi."""

import re
from decimal import Decimal

_FACTORS = {
    "": Decimal(1),
    **{"n": Decimal("1e-9"), "u": Decimal("1e-6"), "m": Decimal("1e-3")},
    **{name: Decimal(1000) ** power for power, name in enumerate("kMGTPE", start=1)},
    **{f"{name}i": Decimal(1024) ** power for power, name in enumerate("KMGTPE", start=1)},
}
_FORM = re.compile(r"(?P<number>[0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?)(?P<unit>[a-zA-Z]*)")


def amount(quantity: str | int | float) -> Decimal:
    """The number that a quantity stands for: cores, bytes or pieces. Raises ValueError for none."""
    match = _FORM.fullmatch(str(quantity))
    if match is None or match["unit"] not in _FACTORS:
        raise ValueError(f"{quantity!r} is no quantity")
    return Decimal(match["number"]) * _FACTORS[match["unit"]]
