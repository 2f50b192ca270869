"""The products that every test of the search is run with."""

import pytest

from tests.unit.evaluation.search.reference import PRODUCTS, use_products


@pytest.fixture(params=list(PRODUCTS))
def products(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    use_products(monkeypatch, request.param)
    return str(request.param)
