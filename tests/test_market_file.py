"""Market files: what the commands read, answer, and refuse."""

from __future__ import annotations

import json
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from typer.testing import CliRunner

from gridwitness.cli import app
from gridwitness.errors import UserError
from gridwitness.market_file import check, clear, read_market

if TYPE_CHECKING:
    from collections.abc import Callable

EXAMPLE = Path(__file__).parent.parent / "examples" / "markets" / "car-and-roof.json"
STREET = EXAMPLE.with_name("congested-street.json")


def curve(*points: tuple[float, float], **more: Any) -> dict[str, Any]:
    rows = [{"price": price, "powerKW": power} for price, power in points]
    bounds = {"minExport": points[0][1], "maxExport": points[-1][1]}
    return {"currency": "INR", **bounds, "curve": rows, **more}


def market(**settings: Any) -> dict[str, Any]:
    car = {"id": "ev", "offerCurve": curve((0.08, -11), (0.1, -5), (0.12, 0))}
    roof = {"id": "solar", "offerCurve": curve((0.05, 0), (0.06, 2), (0.07, 5))}
    return {"market": settings, "participants": [car, roof]}


def cleared(body: dict[str, Any]) -> dict[str, Any]:
    return clear(read_market(json.dumps(body).encode(), "m.json"))


def codes(body: dict[str, Any], **result: Any) -> list[str]:
    found = check(read_market(json.dumps({**body, "result": result}).encode(), "m.json"))
    return [violation["code"] for violation in found["violations"]]


def mistake(body: object) -> str:
    with pytest.raises(UserError) as caught:
        read_market(json.dumps(body).encode(), "m.json")
    return str(caught.value)


def test_a_car_and_a_roof():
    assert cleared(market()) == {
        "status": "CLEARED",
        "priceInterval": [Decimal("0.1"), Decimal("0.1")],
        "clearingPrice": Decimal("0.1"),
        "clearedPower": {"ev": -5, "solar": 5},
    }


def test_an_empty_market_has_no_price():
    assert cleared({"participants": []}) == {
        "status": "CLEARED_ZERO",
        "priceInterval": [None, None],
        "clearingPrice": None,
        "clearedPower": {},
    }


def test_a_grid_adds_prices_adders_and_flows():
    body = market(nodes={"B": {"parent": None, "maxForwardFlowKW": 4}, "C": {"parent": "B"}})
    body["participants"][0]["node"] = "C"
    answer = cleared(body)
    assert answer["flows"] == {"B": -4, "C": -4}
    assert answer["adders"]["C"] == 0
    # The roof gives its 4 kW at 0.06 + 0.01 * 2/3, the car draws them at 0.104.
    assert answer["nodePrices"]["B"] == Decimal("0.104")
    assert answer["clearingPrice"] == Decimal("0.066666666667")


def test_a_root_that_is_named_is_the_root():
    body = market(nodes={"root": {"parent": None}, "B": {"parent": "root", "maxForwardFlowKW": 4}})
    body["participants"][0]["node"] = "B"
    assert cleared(body)["flows"] == {"B": -4}


def test_an_adder_is_a_number_or_a_load_that_makes_it():
    body = market(adders={"Z": 0.02})
    body["participants"][1]["node"] = "Z"
    loaded = {"currentLoadPercent": 20, "priceAdderPerPercent": 0.001}
    other = json.loads(json.dumps(body))
    other["market"]["adders"]["Z"] = loaded
    assert cleared(body) == cleared(other)
    other["market"]["adders"]["Z"]["currentLoadPercent"] = 120
    assert "120 percent" in mistake(other)


def test_bounds_are_read():
    assert cleared(market(priceCap=0.09))["status"] == "CURTAILED_AT_CAP"
    assert cleared(market(priceFloor=0.01))["status"] == "CLEARED"


def test_a_result_is_as_fine_as_a_thousandth_of_the_tolerance():
    tiny = {
        "market": {"tolPowerKW": "0.000000000001"},
        "participants": [
            {"id": "s", "offerCurve": curve((0.05, 0), (0.07, 5e-9))},
            {"id": "b", "offerCurve": curve((0.06, -4e-9), (0.08, 0))},
        ],
    }
    assert cleared(tiny)["clearedPower"]["s"] == Decimal("0.000000003333333")
    exact = {**tiny, "market": {"tolPowerKW": 0, "tolPrice": 0}}
    assert cleared(exact)["clearedPower"]["s"] == Decimal("0.000000003")


def test_a_right_result_violates_nothing():
    assert (
        codes(market(), status="CLEARED", clearingPrice=0.1, clearedPower={"ev": -5, "solar": 5})
        == []
    )


def test_a_wrong_result_is_told_with_participant_and_size():
    result = {"status": "CLEARED", "clearingPrice": 0.09, "clearedPower": {"ev": -5, "solar": 5}}
    answer = check(read_market(json.dumps({**market(), "result": result}).encode(), "m.json"))
    (violation,) = answer["violations"]
    assert violation["participant"] == "ev"
    assert violation["size"] == pytest.approx(Decimal(3), abs=Decimal("0.00001"))
    assert "its curve gives -8 kW" in violation["message"]


@pytest.mark.parametrize("number", ['"five"', '{"$rawNumber": "1e999"}', "true", "null", "[]"])
def test_a_claimed_number_that_is_none_is_a_violation_not_a_mistake(number: str):
    text = json.dumps({**market(), "result": {"status": "CLEARED", "clearedPower": {"ev": 0}}})
    text = text.replace('{"ev": 0}', f'{{"ev": {number}, "solar": 5}}')
    assert [v["code"] for v in check(read_market(text.encode(), "m"))["violations"]] == [
        "V_NOT_FINITE"
    ]


def test_whoever_is_commanded_may_be_declared():
    held = {"ev": -4, "solar": 4}
    said = {"status": "CLEARED", "clearingPrice": 0.104, "clearedPower": held}
    assert codes(market(), **said) == ["V_OFF_CURVE"]
    assert codes(market(), **said, offCurveCommanded=["solar"]) == []


def test_a_claim_is_judged_by_what_it_says_of_an_invalid_market():
    body = market()
    body["participants"][0]["offerCurve"]["minExport"] = 3
    assert codes(body, status="INVALID") == []
    assert codes(body, status="NOT_CLEARABLE") == ["V_ACCEPTED_INVALID_INPUT"]
    assert codes(market(), status="INVALID") == ["V_REJECTED_VALID_INPUT"]


def spoilt(path: list[str | int], value: Any) -> dict[str, Any]:
    body = market()
    place: Any = body
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return body


POINT: list[str | int] = ["participants", 0, "offerCurve", "curve", 1]


@pytest.mark.parametrize(
    ("path", "value", "code"),
    [
        ([*POINT, "price"], "NaN", "E_NOT_A_NUMBER"),
        ([*POINT, "price"], "ten", "E_NOT_A_NUMBER"),
        ([*POINT, "price"], True, "E_NOT_A_NUMBER"),
        ([*POINT, "price"], None, "E_NOT_A_NUMBER"),
        (["participants", 0, "offerCurve", "minExport"], None, "E_NOT_A_NUMBER"),
        ([*POINT, "powerKW"], {"$rawNumber": "1e999"}, "E_NOT_FINITE"),
        ([*POINT, "powerKW"], {"$rawNumber": "1e-999"}, "E_NOT_FINITE"),
        ([*POINT, "powerKW"], -12, "E_NOT_MONOTONE"),
        ([*POINT, "price"], 0.01, "E_NOT_SORTED"),
        (["participants", 0, "id"], "solar", "E_DUPLICATE_ID"),
        (["participants", 0, "approvedMaxTradeKW"], -1, "E_NEGATIVE_LIMIT"),
        (["participants", 0, "node"], "far", "E_UNKNOWN_NODE"),
        (["participants", 0, "offerCurve", "currency"], None, "E_NO_CURRENCY"),
        (["participants", 0, "offerCurve", "currency"], "", "E_NO_CURRENCY"),
        (["participants", 0, "offerCurve", "currency"], "USD", "E_MIXED_CURRENCY"),
        (["market", "priceFloor"], 0.06, "E_PRICE_BELOW_FLOOR"),
    ],
)
def test_an_offer_without_a_meaning_makes_the_market_invalid(
    path: list[str | int], value: object, code: str
):
    answer = cleared(spoilt(path, value))
    assert answer["status"] == "INVALID"
    assert [error["code"] for error in answer["errors"]] == [code]


def test_every_offer_without_a_meaning_is_named():
    body = spoilt([*POINT, "price"], "NaN")
    body["participants"][1]["approvedMaxTradeKW"] = -1
    answer = cleared(body)
    assert [(e["code"], e["participant"]) for e in answer["errors"]] == [
        ("E_NOT_A_NUMBER", "ev"),
        ("E_NEGATIVE_LIMIT", "solar"),
    ]
    assert "/participants/0/offerCurve/curve/1/price" in answer["errors"][0]["message"]


@pytest.mark.parametrize(
    ("path", "value", "said"),
    [
        (["participants"], None, "m.json#/participants: is missing\n  mend: give an array"),
        (["participants"], {}, "/participants: is {}"),
        (["participants", 0], 7, "/participants/0: is 7\n  mend: give an object"),
        (["participants", 0, "id"], "", '/participants/0/id: is ""\n  mend: give a text'),
        (["participants", 0, "limit"], 1, "/participants/0/limit: is not known"),
        (["market", "nodes"], {"root": {"parent": "root"}}, "no node is called 'root'"),
        (["result"], {"status": "CLEARED", "clearedpower": {}}, "did you mean clearedPower?"),
        (
            ["market", "priceFlor"],
            1,
            "/market/priceFlor: is not known\n  mend: did you mean priceFl",
        ),
        (["market", "priceFloor"], "low", '/market/priceFloor: is "low"\n  mend: give a number'),
        (["market", "tolPrice"], -1, "/market/tolPrice: is -1\n  mend: give zero or more"),
        (["market", "nodes"], {"B": {"parent": 3}}, "/market/nodes/B/parent: is 3"),
        (["market", "nodes"], {"B": {"parent": "C"}}, "the parent C of the node B is no node"),
        (["market", "priceCap"], 0.01, "the floor 0.05 is above the cap 0.01"),
        (["result"], {"status": "DONE"}, '/result/status: is "DONE"\n  mend: give one of CLEARED'),
        (["result"], {}, "/result/status: is missing"),
    ],
)
def test_a_file_of_another_shape_is_a_mistake_told_with_its_place(
    path: list[str | int], value: object, said: str
):
    body = spoilt(path, value)
    if path[-1] == "priceCap":
        body["market"]["priceFloor"] = 0.05
    assert said in mistake(body)


def test_a_file_that_is_no_object_is_a_mistake():
    assert "is []\n  mend: give an object" in mistake([])


@pytest.mark.parametrize("raw", [b"{", b'{"participants": NaN}', b"\xff"])
def test_what_is_no_json_is_a_mistake_of_the_user(raw: bytes):
    with pytest.raises(UserError, match=r"m\.json"):
        read_market(raw, "m.json")


@pytest.mark.parametrize(
    "text", ['{"participants": [], "participants": []}', '{"participants": [{"id": 1, "id": 2}]}']
)
def test_a_key_that_stands_twice_is_a_mistake(text: str):
    with pytest.raises(UserError, match="twice"):
        read_market(text.encode(), "m.json")


def test_a_number_whose_exponent_nobody_can_hold_is_not_finite():
    text = json.dumps(market()).replace("0.12", "1e9999999999999999999")
    answer = clear(read_market(text.encode(), "m.json"))
    assert [error["code"] for error in answer["errors"]] == ["E_NOT_FINITE"]


def test_every_reason_is_named_where_there_are_several():
    body = market(priceFloor=0.06)
    body["participants"][0]["approvedMaxTradeKW"] = 1
    body["participants"][0]["offerCurve"] = curve((0.05, -9), (0.07, -5))
    answer = cleared(body)
    assert [(error["code"], error["participant"]) for error in answer["errors"]] == [
        ("E_LIMIT_INFEASIBLE", "ev"),
        ("E_PRICE_BELOW_FLOOR", "ev"),
    ]
    assert "ev names the price 0.05" in answer["errors"][1]["message"]
    assert "solar names the price 0.05" in answer["errors"][1]["message"]


def test_published_adders_alone_are_curtailed_at_a_bound():
    # At the cap 2 the seller gives 10 kW; at Z the buyer draws 12 up to 5, that is 3.5 here.
    body = market(adders={"Z": 1.5}, priceCap=2)
    body["participants"] = [
        {"id": "s", "offerCurve": curve((1, 0), (3, 20))},
        {"id": "b", "node": "Z", "offerCurve": curve((5, -12), (9, 0))},
    ]
    answer = cleared(body)
    assert answer["status"] == "CURTAILED_AT_CAP"
    assert answer["clearedPower"] == {"s": 10, "b": -10}
    assert answer["nodePrices"] == {"root": 2, "Z": Decimal("3.5")}
    assert codes(body, **json.loads(json.dumps(answer, default=float))) == []


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., tuple[int, Any]]:
    def call(command: str, body: object) -> tuple[int, Any]:
        file = tmp_path / "m.json"
        file.write_text(json.dumps(body), "utf-8")
        done = CliRunner().invoke(app, [command, str(file)])
        return done.exit_code, json.loads(done.stdout)

    return call


def test_the_exit_status_tells_right_from_wrong_from_invalid(
    run: Callable[..., tuple[int, Any]],
):
    assert run("clear", market())[0] == 0
    wrong = {**market(), "result": {"status": "NOT_CLEARABLE"}}
    assert run("check-clearing", wrong) == (
        1,
        {
            "violations": [
                {
                    "code": "V_SHOULD_HAVE_CLEARED",
                    "message": "there are powers that balance, within everyone's bounds and limits",
                    "size": 1,
                }
            ]
        },
    )
    right = run("clear", market())[1]
    assert run("check-clearing", {**market(), "result": right}) == (0, {"violations": []})
    assert run("clear", spoilt([*POINT, "price"], "NaN"))[0] == 2


def test_nothing_to_check_is_a_mistake():
    with pytest.raises(UserError, match="claims no result"):
        check(read_market(json.dumps(market()).encode(), "m.json"))


def test_a_number_may_be_a_text_that_spells_it():
    assert cleared(spoilt([*POINT, "price"], "0.10"))["clearingPrice"] == Decimal("0.1")


def test_the_input_may_be_piped():
    done = CliRunner().invoke(app, ["clear", "-"], input=json.dumps(market()))
    assert json.loads(done.stdout)["clearingPrice"] == 0.1


def test_a_file_that_is_not_there_is_a_mistake(tmp_path: Path):
    done = CliRunner().invoke(app, ["clear", str(tmp_path / "none.json")])
    assert isinstance(done.exception, UserError)
    assert "No such file" in str(done.exception)


@pytest.mark.parametrize("file", [EXAMPLE, STREET])
def test_the_examples_clear_as_they_claim(file: Path):
    read = read_market(file.read_bytes(), file.name)
    assert check(read) == {"violations": []}
    assert clear(read) == json.loads(file.read_text("utf-8"), parse_float=Decimal)["result"]
