"""Large market files: the same answers as of small ones, and the careful reader where in doubt."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import pytest

from gridwitness import market_file
from gridwitness.market_book import read_large
from gridwitness.market_file import check, clear, read_market
from tests.test_market_file import POINT, curve, market, spoilt

MANY = {
    "participants": [
        *(
            {
                "id": f"s{n}",
                "offerCurve": curve((n % 7 / 10, 0), (n % 7 / 10 + 0.3, n % 5 + 0.5)),
                "approvedMaxTradeKW": 3,
            }
            for n in range(40)
        ),
        *({"id": f"b{n}", "offerCurve": curve((n % 3 / 5, -2), (0.7, 0))} for n in range(30)),
        {"id": "store", "offerCurve": curve((0.2, -9), (0.2, 9))},
        {"id": "fixed", "offerCurve": curve((0, -1.25))},
    ]
}
STREET = {
    "market": {
        "nodes": {
            "town": {"maxForwardFlowKW": 5, "maxReverseFlowKW": 20},
            "street": {"parent": "town", "maxReverseFlowKW": 4},
        },
        "adders": {"street": 0.01, "hill": -0.02},
    },
    "participants": [
        {**row, "node": ["root", "town", "street", "hill"][index % 4]}
        for index, row in enumerate(MANY["participants"])
    ],
}


def both(
    monkeypatch: pytest.MonkeyPatch, body: dict[str, Any], answer: Any
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Answer by the careful way, and as if the file were large."""
    raw = json.dumps(body).encode()
    careful = answer(read_market(raw, "m.json"))
    monkeypatch.setattr(market_file, "LARGE_BYTES", 0)
    return careful, answer(read_market(raw, "m.json"))


def is_read_fast(body: dict[str, Any]) -> bool:
    return read_large(json.dumps(body).encode()) is not None


@pytest.mark.parametrize(
    "body",
    [
        MANY,
        STREET,
        market(),
        market(priceFloor=0.01, priceCap=0.09),
        market(adders={"root": 0.01}),
        {**STREET, "market": {**STREET["market"], "priceCap": 9}},
        {
            "market": {"nodes": {"B": {}}},
            "participants": [{"id": "x", "offerCurve": curve((1, 0))}],
        },
        {"participants": [{"id": "x", "offerCurve": curve((1, 2))}]},
        {
            "market": {"nodes": {"B": {"maxReverseFlowKW": 1}}},
            "participants": [{"id": "x", "offerCurve": curve((1, 2)), "node": "B"}],
        },
    ],
)
def test_a_large_file_clears_as_a_small_one(monkeypatch: pytest.MonkeyPatch, body: dict[str, Any]):
    careful, fast = both(monkeypatch, body, clear)
    assert is_read_fast(body)
    assert fast.keys() == careful.keys()
    for part in ("clearedPower", "nodePrices", "adders", "flows"):
        wanted = {name: float(number) for name, number in careful.get(part, {}).items()}
        shown = {name: float(number) for name, number in fast.get(part, {}).items()}
        assert list(shown) == list(wanted)
        assert shown == pytest.approx(wanted, abs=3e-9)
    assert fast["status"] == careful["status"]
    assert sum(fast["clearedPower"].values()) == 0
    for shown, wanted in zip(fast["priceInterval"], careful["priceInterval"], strict=True):
        assert (shown is None) == (wanted is None)
        assert wanted is None or float(shown) == pytest.approx(float(wanted), abs=1e-12)


def test_a_zero_has_no_sign(monkeypatch: pytest.MonkeyPatch):
    body = {
        "participants": [
            {"id": "s", "offerCurve": curve((-4, 0), (-2, 4))},
            {"id": "d", "offerCurve": curve((-3, -3), (0, -0.0), (-0.0, 4))},
        ]
    }
    careful, fast = both(monkeypatch, body, clear)
    assert fast["status"] == careful["status"] == "CLEARED"
    assert fast["clearedPower"] == careful["clearedPower"]


@pytest.mark.parametrize(
    "text",
    [
        '{"participants": [], "x": ' + "[" * 100_000 + "]" * 100_000 + "}",
        json.dumps({"participants": [{"id": "x", "offerCurve": curve((1, 1e-300))}]}),
    ],
)
def test_what_is_beyond_measure_is_read_carefully(text: str):
    assert read_large(text.encode()) is None


@pytest.mark.parametrize(
    "body",
    [
        spoilt([*POINT, "price"], "NaN"),
        spoilt([*POINT, "powerKW"], -12),
        spoilt(["participants", 0, "id"], "solar"),
        spoilt(["participants", 0, "approvedMaxTradeKW"], -1),
        spoilt(["participants", 0, "node"], "far"),
        spoilt(["participants", 0, "offerCurve", "currency"], ""),
        spoilt(["participants", 0, "offerCurve", "currency"], "USD"),
        spoilt(["participants", 0, "offerCurve", "minExport"], -12),
        spoilt(["participants", 0, "offerCurve", "curve"], []),
        spoilt(["market", "priceFloor"], 0.06),
    ],
)
def test_what_is_wrong_with_a_large_file_is_told_as_of_a_small_one(
    monkeypatch: pytest.MonkeyPatch, body: dict[str, Any]
):
    if body["participants"][0]["offerCurve"].get("currency") == "":
        body["participants"][0]["offerCurve"]["currency"] = None
    careful, fast = both(monkeypatch, body, clear)
    assert careful["status"] == "INVALID"
    assert fast == careful


def test_powers_finer_than_the_arrays_hold_are_computed_exactly(monkeypatch: pytest.MonkeyPatch):
    body = spoilt(["participants", 1, "offerCurve"], curve((0.05, 0), (0.07, 5.0000000000001)))
    careful, fast = both(monkeypatch, body, clear)
    assert fast == careful


def test_a_limit_finer_than_the_arrays_hold_is_computed_exactly(monkeypatch: pytest.MonkeyPatch):
    body = {**STREET, "market": {"nodes": {"B": {"maxReverseFlowKW": 1.00000000001}}}}
    body["participants"] = [
        {**row, "node": "B" if index % 2 else "root"}
        for index, row in enumerate(MANY["participants"])
    ]
    careful, fast = both(monkeypatch, body, clear)
    assert fast == careful


def test_a_market_too_large_for_its_resolution_is_computed_in_larger_steps(
    monkeypatch: pytest.MonkeyPatch,
):
    huge = {
        "participants": [
            {"id": "s", "offerCurve": curve((1, 0), (2, 1e8))},
            {"id": "b", "offerCurve": curve((1, -1e8), (2, 0))},
        ]
    }
    careful, fast = both(monkeypatch, huge, clear)
    assert fast == careful
    vast = {
        "participants": [
            {"id": "s", "offerCurve": curve((1, 0), (2, 1e14))},
            {"id": "b", "offerCurve": curve((1, -1e14), (2, 0))},
        ]
    }
    careful, fast = both(monkeypatch, vast, clear)
    assert fast == careful


def claimed(body: dict[str, Any], **changes: Any) -> dict[str, Any]:
    answer = clear(read_market(json.dumps(body).encode(), "m.json"))
    result = json.loads(json.dumps(answer, default=float))
    for key, value in changes.items():
        if isinstance(value, dict):
            result[key] = {**result[key], **value}
        else:
            result[key] = value
    return {**body, "result": result}


@pytest.mark.parametrize(
    ("body", "codes"),
    [
        (claimed(MANY), set()),
        (claimed(MANY, clearedPower={"s3": 9}), {"V_NOT_BALANCED", "V_OFF_CURVE"}),
        (claimed(MANY, clearingPrice=0.9), {"V_OFF_CURVE"}),
        (claimed(MANY, clearedPower={"stranger": 0}), {"V_UNKNOWN_PARTICIPANT"}),
        (claimed(MANY, clearedPower={"s3": "much"}), {"V_NOT_FINITE"}),
        (claimed(MANY, clearingPrice=None), {"V_NO_PRICE_BUT_TRADE"}),
        (claimed(MANY, status="NOT_CLEARABLE"), {"V_SHOULD_HAVE_CLEARED"}),
        (claimed(STREET), set()),
    ],
)
def test_a_large_result_is_judged_as_a_small_one(
    monkeypatch: pytest.MonkeyPatch, body: dict[str, Any], codes: set[str]
):
    careful, fast = both(monkeypatch, body, check)
    assert {violation["code"] for violation in careful["violations"]} >= codes
    assert bool(careful["violations"]) == bool(codes)
    assert fast == careful


def test_whoever_is_commanded_is_not_suspected(monkeypatch: pytest.MonkeyPatch):
    body = claimed(market(), clearingPrice=0.104, clearedPower={"ev": -4, "solar": 4})
    body["result"]["offCurveCommanded"] = ["solar"]
    assert both(monkeypatch, body, check) == ({"violations": []}, {"violations": []})


def test_a_bid_is_given_exactly_as_it_was_written():
    large = read_large(json.dumps(MANY).encode())
    assert large is not None
    bid = large.bid(1)
    assert bid.limit_kw == 3
    assert bid.curve.points[0].price_per_kwh == Decimal("0.1")
    assert large.bid(71).limit_kw is None


def test_a_file_with_half_a_character_is_read_carefully():
    raw = json.dumps({**MANY, "result": {"x": "\ud800"}}).encode()
    assert read_large(raw) is None
