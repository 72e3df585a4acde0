"""Published settlement vectors, as the commands read and answer them, from a folder named outside.

The folder holds settlement.json; GRIDWITNESS_VECTORS names it.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import simplejson

from gridwitness.settlement_file import (
    read_claim,
    read_settlement,
    settlement_answer,
    violations_answer,
)

FOLDER = os.environ.get("GRIDWITNESS_VECTORS")
pytestmark = pytest.mark.skipif(
    not FOLDER, reason="GRIDWITNESS_VECTORS names no folder with the vectors"
)
FINER = ("K1_SUB_MINOR_UNIT", "K7", "K9", "K10", "K11", "K12")


def vectors(part: str) -> list[Any]:
    """Read the vectors of a part; one placeholder, to be skipped, where there is no folder."""
    if not FOLDER:
        return [pytest.param({}, id="no vectors")]
    text = (Path(FOLDER) / "settlement.json").read_text("utf-8")
    found = json.loads(text, parse_float=Decimal)[part]
    return [pytest.param(vector, id=vector["id"]) for vector in found]


def raw(vector: dict[str, Any], **claimed: Any) -> bytes:
    return simplejson.dumps(vector | claimed, use_decimal=True).encode()


def codes(vector: dict[str, Any], **claimed: Any) -> set[str]:
    answer = violations_answer(read_claim(raw(vector, **claimed), "vector.json"))
    return {one["code"] for one in answer["violations"]}


def answer_of(vector: dict[str, Any]) -> dict[str, Any]:
    return settlement_answer(read_settlement(raw(vector), "vector.json"))


def is_written_out(flows: Any) -> bool:
    return isinstance(flows, list) and all("amount" in flow for flow in flows)


@pytest.mark.parametrize("vector", vectors("flowVectors"))
def test_a_market_settles_as_published(vector: dict[str, Any]):
    expected, answer = vector["expected"], answer_of(vector)
    assert answer["netZero"] is expected["netZero"]
    if is_written_out(expected["flows"]):
        assert answer == expected
        return
    # of a thousand flows the vector tells the first, some positions and the histogram
    told = expected["flows"][:-1]
    assert [flow for flow in answer["flows"] if flow in told] == told
    assert {party: answer["positions"][party] for party in expected["positions"]} == expected[
        "positions"
    ]
    assert Counter(flow["amount"] for flow in answer["flows"]) == expected["histogram"]
    cleared = {one["id"]: one["clearedKW"] for one in vector["participants"]}
    assert expected["settledKWh"] == "as cleared"
    assert answer["settledKWh"] == cleared


@pytest.mark.parametrize("vector", vectors("flowVectors"))
def test_what_we_settle_of_a_published_market_violates_nothing(vector: dict[str, Any]):
    assert codes(vector, flows=answer_of(vector)["flows"]) == set()


def rounded_alone(vector: dict[str, Any]) -> list[dict[str, str]]:
    """Give the flows that a vector tells only in words: every small leg rounded to 0.02."""
    return [
        flow | {"amount": "0.02" if Decimal(flow["amount"]) < 1 else flow["amount"]}
        for flow in answer_of(vector)["flows"]
    ]


@pytest.mark.parametrize("vector", vectors("flowVectors"))
def test_a_settlement_published_as_wrong_is_caught_for_what_it_names(vector: dict[str, Any]):
    for rejected in vector["reject"]:
        flows = rejected["flows"]
        found = codes(vector, flows=flows if is_written_out(flows) else rounded_alone(vector))
        assert {code for code in found if not code.startswith(FINER)} == set(rejected["codes"])


@pytest.mark.parametrize("vector", vectors("roleValueVectors"))
def test_role_values_are_judged_as_published(vector: dict[str, Any]):
    assert codes(vector) == set(vector["codes"])
