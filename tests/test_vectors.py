"""Published vectors: every one that this market model can express, from a folder named outside.

The folder holds clearing.json and settlement.json; GRIDWITNESS_VECTORS names it.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from gridwitness.reference_impl.clearing import Bid, Quantum, clear
from gridwitness.reference_impl.curves import Curve, OfferError, Point
from gridwitness.reference_impl.equilibrium import violations
from gridwitness.reference_impl.settlement import (
    Flow,
    Parties,
    Terms,
    Trade,
    discrepancies,
    settle,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from _pytest.mark import ParameterSet

FOLDER = os.environ.get("GRIDWITNESS_VECTORS")
pytestmark = pytest.mark.skipif(
    not FOLDER, reason="GRIDWITNESS_VECTORS names no folder with the vectors"
)
PARTIES = Parties("MCA", "GRID_OPERATOR")


def vectors(file: str, part: str, wanted: Callable[[dict[str, Any]], bool]) -> list[ParameterSet]:
    """Read the vectors of a file; one placeholder, to be skipped, where there is no folder."""
    if not FOLDER:
        return [pytest.param({}, id="no vectors")]
    text = (Path(FOLDER) / file).read_text("utf-8")
    found = json.loads(text, parse_float=Decimal)[part]
    return [pytest.param(vector, id=vector["id"]) for vector in found if wanted(vector)]


def is_of_one_node(vector: dict[str, Any]) -> bool:
    return "generator" not in vector and not set(vector["market"]) - {"tolPrice", "tolPowerKW"}


def is_valid(vector: dict[str, Any]) -> bool:
    return is_of_one_node(vector) and vector["expected"]["status"] != "INVALID"


def is_invalid(vector: dict[str, Any]) -> bool:
    """Tell whether an offer is refused for its numbers, not for how JSON spells them."""
    return (
        is_of_one_node(vector)
        and vector["expected"]["status"] == "INVALID"
        and "E_NOT_A_NUMBER" not in vector["expected"]["errors"]
        and "$rawNumber" not in json.dumps(vector["participants"], default=str)
    )


def is_settled_as_cleared(vector: dict[str, Any]) -> bool:
    """Tell whether energy is paid as cleared, untaxed, and every flow is written out."""
    lists = [vector["expected"]["flows"], *(one["flows"] for one in vector["reject"])]
    return not {"imbalance", "tax"} & set(vector["profile"]) and all(
        isinstance(flows, list) and all("amount" in flow for flow in flows) for flows in lists
    )


def bids_of(vector: dict[str, Any]) -> list[Bid]:
    found: list[Bid] = []
    for one in vector["participants"]:
        offer = one["offerCurve"]
        points = tuple(Point(Decimal(p["price"]), Decimal(p["powerKW"])) for p in offer["curve"])
        low, high = Decimal(offer["minExport"]), Decimal(offer["maxExport"])
        limit = one.get("approvedMaxTradeKW")
        curve = Curve(offer.get("currency", ""), low, high, points)
        found.append(Bid(one["id"], curve, None if limit is None else Decimal(limit)))
    return found


def quantum_of(vector: dict[str, Any]) -> Quantum:
    """Give the quantum whose halves are the tolerances of a vector."""
    market = vector["market"]
    return Quantum(
        2 * Decimal(market.get("tolPrice", "1e-9")), 2 * Decimal(market.get("tolPowerKW", "1e-6"))
    )


def codes_of(result: dict[str, Any], vector: dict[str, Any]) -> set[str]:
    price = result["clearingPrice"]
    powers = {name: Decimal(power) for name, power in result["clearedPower"].items()}
    bids, quantum = bids_of(vector), quantum_of(vector)
    price = None if price is None else Decimal(price)
    return {one.code for one in violations(bids, price, powers, quantum)}


@pytest.mark.parametrize("vector", vectors("clearing.json", "vectors", is_valid))
def test_a_market_clears_as_published(vector: dict[str, Any]):
    expected, quantum = vector["expected"], quantum_of(vector)
    result = clear(bids_of(vector), quantum)
    assert result.status == (
        "NOT_CLEARABLE" if expected["status"].startswith("NOT_CLEARABLE") else "CLEARED"
    )
    interval = [None if end is None else str(end) for end in result.price_interval]
    assert interval == expected.get("priceIntervalExact", [None, None])
    for name, exact in expected.get("canonicalAllocationExact", {}).items():
        off = Fraction(result.power_kw[name]) - Fraction(exact)
        assert abs(off) < Fraction(quantum.power_kw)


@pytest.mark.parametrize("vector", vectors("clearing.json", "vectors", is_valid))
def test_our_own_result_of_a_published_market_violates_nothing(vector: dict[str, Any]):
    bids, quantum = bids_of(vector), quantum_of(vector)
    result = clear(bids, quantum)
    if result.status == "CLEARED":
        assert not list(violations(bids, result.price_per_kwh, result.power_kw, quantum))


@pytest.mark.parametrize("vector", vectors("clearing.json", "vectors", is_valid))
def test_a_result_published_as_right_violates_nothing(vector: dict[str, Any]):
    for result in vector["accept"]:
        if result["status"] == "CLEARED":
            assert codes_of(result, vector) == set()


@pytest.mark.parametrize("vector", vectors("clearing.json", "vectors", is_valid))
def test_a_result_published_as_wrong_violates_what_it_names(vector: dict[str, Any]):
    for rejected in vector["reject"]:
        if rejected["result"]["status"] == "CLEARED":
            assert set(rejected["codes"]) <= codes_of(rejected["result"], vector)


@pytest.mark.parametrize("vector", vectors("clearing.json", "vectors", is_invalid))
def test_an_offer_published_as_invalid_is_refused(vector: dict[str, Any]):
    with pytest.raises(OfferError) as caught:
        clear(bids_of(vector))
    assert [caught.value.problem.code] == vector["expected"]["errors"]


def settled_by(vector: dict[str, Any]) -> tuple[Terms, Fraction, Decimal, list[Trade]]:
    profile = vector["profile"]
    wheeling = profile.get("wheelingPerKWh", {})
    terms = Terms(
        "INR",
        fee_per_kwh=Decimal(profile.get("feePerKWh", "0")),
        wheeling_buyer_per_kwh=Decimal(wheeling.get("buyer", "0")),
        wheeling_seller_per_kwh=Decimal(wheeling.get("seller", "0")),
        rounding=profile["rounding"],
        minor_unit=profile["minorUnit"],
    )
    hours = vector["intervalHours"]
    trades = [
        Trade(one["id"], Decimal(one["clearedKW"]), Decimal(one["clearedKW"]) * Decimal(hours))
        for one in vector["participants"]
    ]
    return terms, Fraction(hours), Decimal(vector["clearingPrice"]), trades


def flows_of(flows: list[dict[str, str]]) -> list[Flow]:
    return [Flow(f["from"], f["to"], f["kind"], Decimal(f["amount"])) for f in flows]


def totals(flows: list[Flow]) -> dict[tuple[str, str, str], Decimal]:
    total: Counter[tuple[str, str, str]] = Counter()
    for flow in flows:
        total[flow.payer, flow.payee, flow.kind] += flow.amount
    return {key: amount for key, amount in total.items() if amount}


@pytest.mark.parametrize("vector", vectors("settlement.json", "flowVectors", is_settled_as_cleared))
def test_a_market_settles_as_published(vector: dict[str, Any]):
    market, published = settled_by(vector), flows_of(vector["expected"]["flows"])
    assert totals(settle(*market, PARTIES)) == totals(published)
    assert list(discrepancies(published, *market, PARTIES)) == []


@pytest.mark.parametrize("vector", vectors("settlement.json", "flowVectors", is_settled_as_cleared))
def test_a_settlement_published_as_wrong_is_caught_for_what_it_names(vector: dict[str, Any]):
    for rejected in vector["reject"]:
        found = discrepancies(flows_of(rejected["flows"]), *settled_by(vector), PARTIES)
        assert set(rejected["codes"]) <= {one.code for one in found}
