"""Published market vectors, every one, as `clear` and `check-clearing` read and answer them.

GRIDWITNESS_VECTORS names the folder that holds clearing.json.
"""

from __future__ import annotations

import json
import os
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import simplejson

from gridwitness.market_file import check, clear, read_market

FOLDER = os.environ.get("GRIDWITNESS_VECTORS")
pytestmark = pytest.mark.skipif(
    not FOLDER, reason="GRIDWITNESS_VECTORS names no folder with the vectors"
)
MILLION = 1_000_000
"""A generated market of so many is left to the benchmarks."""


def vectors() -> list[Any]:
    """Read the vectors; one placeholder, to be skipped, where there is no folder."""
    if not FOLDER:
        return [pytest.param({}, id="no vectors")]
    found = json.loads((Path(FOLDER) / "clearing.json").read_text("utf-8"))["vectors"]
    return [
        pytest.param(vector, id=vector["id"])
        for vector in found
        if vector.get("generator", {}).get("n", 0) < MILLION
    ]


every_vector = pytest.mark.parametrize("vector", vectors())


def staircase(count: int) -> dict[str, Any]:
    """Build the generated market: sellers of 1 kW at k/n each, half as many buyers up to 2."""

    def step(name: str, price: float, low: int, high: int) -> dict[str, Any]:
        curve = [{"price": price, "powerKW": low}, {"price": price, "powerKW": high}]
        offer = {"currency": "INR", "minExport": low, "maxExport": high, "curve": curve}
        return {"id": name, "offerCurve": offer}

    sellers = [step(f"s{k}", k / count, 0, 1) for k in range(count)]
    return {"participants": [*sellers, *(step(f"b{k}", 2, -1, 0) for k in range(count // 2))]}


def with_result(vector: dict[str, Any], **result: Any) -> bytes:
    market = staircase(vector["generator"]["n"]) if "generator" in vector else vector
    return simplejson.dumps({**market, **result}, use_decimal=True).encode()


@every_vector
def test_a_market_clears_as_published(vector: dict[str, Any]):
    expected = vector["expected"]
    answer = clear(read_market(with_result(vector), vector["id"]))
    assert answer["status"] == expected["status"]
    if expected["status"] == "INVALID":
        assert [error["code"] for error in answer["errors"]] == expected["errors"]
    if "priceInterval" in expected:
        ends = [None if end is None else float(end) for end in answer["priceInterval"]]
        assert ends == expected["priceInterval"]
        middle, price = expected["canonicalPriceMidpoint"], answer["clearingPrice"]
        shown = None if price is None else float(price)
        assert shown == (None if middle is None else pytest.approx(middle, abs=1e-12))
    exact = expected.get("canonicalAllocationExact", expected.get("allocationExact", {}))
    for name, power in exact.items():
        assert abs(Fraction(answer["clearedPower"][name]) - Fraction(power)) < Fraction(1, 10**9)
    if expected.get("priceUnique", True):
        for part in ("nodePrices", "adders"):
            shown = {name: float(number) for name, number in answer.get(part, {}).items()}
            wanted = expected.get(part, shown)
            assert shown == pytest.approx(wanted, abs=1e-11)


@every_vector
def test_our_own_result_violates_nothing(vector: dict[str, Any]):
    answer = clear(read_market(with_result(vector), vector["id"]))
    claimed = read_market(with_result(vector, result=answer), vector["id"])
    assert check(claimed) == {"violations": []}


@every_vector
def test_a_result_published_as_right_violates_nothing(vector: dict[str, Any]):
    for result in vector.get("accept", []):
        claimed = read_market(with_result(vector, result=result), vector["id"])
        assert check(claimed) == {"violations": []}


@every_vector
def test_a_result_published_as_wrong_violates_just_what_it_names(vector: dict[str, Any]):
    for rejected in vector.get("reject", []):
        claimed = read_market(with_result(vector, result=rejected["result"]), vector["id"])
        codes = {violation["code"] for violation in check(claimed)["violations"]}
        assert codes == set(rejected["codes"])
