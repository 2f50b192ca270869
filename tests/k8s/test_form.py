"""Quantities and schemas, by themselves."""

from decimal import Decimal
from typing import Any

import pytest
from jsonschema import Draft7Validator

from k8s.check.quantity import amount
from k8s.check.schemas import strict


@pytest.mark.parametrize(
    ("quantity", "number"),
    [
        ("500m", "0.5"),
        ("4", "4"),
        (4, "4"),
        ("1.5Gi", str(3 * 2**29)),
        ("2k", "2000"),
        ("1e3", "1000"),
        ("1Ti", str(2**40)),
    ],
)
def test_quantity_is_what_kubernetes_takes_it_for(quantity: str | int, number: str) -> None:
    """Catches Gi read as G, or m as mega."""
    assert amount(quantity) == Decimal(number)


@pytest.mark.parametrize("quantity", ["64GiB", "4 Gi", "-1", "", "Gi", "1gi"])
def test_what_is_no_quantity_is_refused(quantity: str) -> None:
    """Catches a unit that Kubernetes does not know, read as none."""
    with pytest.raises(ValueError, match="is no quantity"):
        amount(quantity)


SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": ["size", "mode"],
    "properties": {
        "metadata": {"type": "object"},
        "size": {"anyOf": [{"type": "integer"}, {"type": "string"}], "x-kubernetes-int-or-string": True},
        "mode": {"type": "string", "default": "a"},
        "note": {"type": "string", "nullable": True},
        "free": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {}},
        "inner": {"type": "array", "items": {"type": "object", "properties": {"x": {"type": "integer"}}}},
    },
}


@pytest.mark.parametrize(
    ("content", "fits"),
    [
        ({"size": 1}, True),  # a defaulted field is not required
        ({"size": "10%", "note": None}, True),
        ({"size": 1, "free": {"any": 1}}, True),
        ({"size": 1, "metadata": {"name": "x", "labels": {"a": "b"}, "creationTimestamp": None}}, True),
        ({}, False),
        ({"size": None}, False),
        ({"size": 1, "nodes": 1}, False),
        ({"size": 1, "inner": [{"y": 1}]}, False),
        ({"size": 1, "metadata": {"lables": {}}}, False),
    ],
)
def test_schema_knows_no_other_fields_and_keeps_what_the_api_server_allows(
    content: dict[str, Any], fits: bool
) -> None:
    """Catches a strictness that ends at the first level, or that refuses what the server fills in."""
    assert Draft7Validator(strict(SCHEMA)).is_valid(content) == fits
