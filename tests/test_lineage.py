"""Lineage: what was offered is what is ordered, bound and settled, in every published shape."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwitness.dialects.lines import read_stated
from tests.recorded import body, found, recorded

WINDOW = {"schema:startTime": "2026-04-01T06:00:00Z", "schema:endTime": "2026-04-01T18:00:00Z"}
OTHER_WINDOW = WINDOW | {"schema:endTime": "2026-04-01T19:00:00Z"}


def order_offer(**changes: Any) -> dict[str, Any]:
    """Write an offer of the order dialect: price, currency, validity and delivery."""
    told = {"price": 4.5, "currency": "INR", "validity": WINDOW, "delivery": WINDOW} | changes
    return {
        "beckn:id": told.get("id", "offer-1"),
        "beckn:provider": "roof-1",
        "beckn:price": {"value": told["price"], "currency": told["currency"]},
        "beckn:offerAttributes": {
            "@type": "EnergyTradeOffer",
            "validityWindow": told["validity"],
            "beckn:timeWindow": told["delivery"],
        },
    }


def order(**changes: Any) -> dict[str, Any]:
    told = {
        "order_id": "o-1",
        "item": "solar-1",
        "quantity": 10,
        "unit": "KWH",
        "meter": "m-1",
        "seller": "roof-1",
        "buyer": "car-1",
    } | changes
    return {
        "order": {
            "beckn:id": told["order_id"],
            "beckn:seller": told["seller"],
            "beckn:buyer": {"beckn:id": told["buyer"]},
            "beckn:payment": {"beckn:id": told.get("payment", "p-1")},
            "beckn:orderItems": [
                {
                    "beckn:orderedItem": told["item"],
                    "beckn:quantity": {"unitQuantity": told["quantity"], "unitCode": told["unit"]},
                    "beckn:acceptedOffer": order_offer(**changes),
                    "beckn:orderItemAttributes": {"providerAttributes": {"meterId": told["meter"]}},
                }
            ],
        }
    }


def order_catalogue() -> dict[str, Any]:
    item = {"beckn:id": "solar-1", "beckn:provider": {"beckn:id": "roof-1"}}
    return {"catalogs": [{"beckn:items": [item], "beckn:offers": [order_offer()]}]}


def series(**columns: list[Any]) -> dict[str, Any]:
    return {
        "intervalPeriod": {"start": "2026-04-01T06:00:00Z", "duration": "PT1H"},
        "payloadDescriptors": [
            {"payloadType": "PRICE_PER_KWH", "currency": "INR"},
            {"payloadType": "REQUESTED_QTY", "units": "KWH"},
            {"payloadType": "OFFER_PRICE", "units": "INR_PER_KWH"},
        ],
        "intervals": [
            {"id": 0, "payloads": [{"type": kind, "values": v} for kind, v in columns.items()]}
        ],
    }


def contract(**changes: Any) -> dict[str, Any]:
    told = {
        "contract_id": "c-1",
        "item": "solar-1",
        "offer": "offer-1",
        "price": 4.5,
        "quantity": 10,
        "unit": "KWH",
        "curve": [[3, 5], [0, 8]],
        "meter": "m-1",
        "seller": "roof-1",
        "validity": WINDOW,
        "delivery": "2026-04-01T06:00:00Z",
        "currency": "INR",
    } | changes
    prices, powers = told["curve"]
    table = series(
        PRICE_PER_KWH=[told["price"]],
        REQUESTED_QTY=[told["quantity"]],
        OFFER_PRICE=prices,
        CAPACITY_OFFERED=powers,
    )
    table["intervalPeriod"]["start"] = told["delivery"]
    table["payloadDescriptors"][0]["currency"] = told["currency"]
    return {
        "contract": {
            "id": told["contract_id"],
            "commitments": [
                {
                    "id": "k-1",
                    "resources": [{"id": told["item"], "quantity": {"unitCode": told["unit"]}}],
                    "offer": {
                        "id": told["offer"],
                        "offerAttributes": {"validityWindow": told["validity"]},
                    },
                    "commitmentAttributes": table,
                }
            ],
            "participants": [{"id": "roof-1", "participantAttributes": {"meterId": told["meter"]}}],
            "contractAttributes": {"roles": [{"role": "seller", "participantId": told["seller"]}]},
        }
    }


def contract_catalogue() -> dict[str, Any]:
    offer = {
        "id": "offer-1",
        "offerAttributes": {
            "validityWindow": WINDOW,
            "commitmentAttributes": series(PRICE_PER_KWH=[4.5]),
        },
    }
    return {"catalogs": [{"resources": [{"id": "solar-1"}], "offers": [offer]}]}


MAKE: dict[str, tuple[Any, Any]] = {
    "order": (order, order_catalogue),
    "contract": (contract, contract_catalogue),
}
ACTIONS = ("on_discover", "select", "on_select", "init", "on_init", "confirm", "on_confirm")


def flow(dialect: str, said: dict[str, dict[str, Any]], **context: dict[str, Any]) -> Any:
    """Record a flow in which some actions state something else, or in another context."""
    deal, catalogue = MAKE[dialect]
    bodies = [
        body(
            dialect,
            action,
            catalogue() if action == "on_discover" else deal(**said.get(action, {})),
            **{"minute": minute} | context.get(action, {}),
        )
        for minute, action in enumerate(ACTIONS)
    ]
    return recorded(dialect, bodies)


def broken(trace: Any) -> list[tuple[str, int]]:
    return [(f.rule, f.message) for f in found(trace, "LIN") if f.verdict != "warning"]


@pytest.mark.parametrize("dialect", ["order", "contract"])
def test_what_is_carried_unchanged_is_right(dialect: str):
    assert broken(flow(dialect, {})) == []


@pytest.mark.parametrize("dialect", ["order", "contract"])
def test_what_may_change_may_change(dialect: str):
    changes = {"quantity": 8, "price": 5}
    later = dict.fromkeys(ACTIONS[2:], changes)
    assert broken(flow(dialect, later)) == []


BOTH = ("order", "contract")


@pytest.mark.parametrize(
    ("rule", "change", "dialects"),
    [
        ("LIN-002", {"payment": "p-2"}, ("order",)),
        ("LIN-004", {"quantity": 11}, BOTH),
        ("LIN-004", {"unit": "MWH"}, BOTH),
        ("LIN-005", {"price": 4.6}, BOTH),
        ("LIN-005", {"currency": "USD"}, BOTH),
        ("LIN-006", {"validity": OTHER_WINDOW}, BOTH),
        ("LIN-006", {"delivery": OTHER_WINDOW}, ("order",)),
        ("LIN-006", {"delivery": "2026-04-01T07:00:00Z"}, ("contract",)),
        ("LIN-007", {"meter": "m-2"}, BOTH),
        ("LIN-010", {"curve": [[3, 6], [0, 8]]}, ("contract",)),
    ],
)
def test_a_change_when_it_binds_has_one_name(rule: str, change: Any, dialects: tuple[str, ...]):
    for dialect in dialects:
        assert broken(flow(dialect, {"on_confirm": change})) == [(rule, 7)]


@pytest.mark.parametrize("dialect", BOTH)
def test_another_seller_is_another_party(dialect: str):
    rules = {rule for rule, _ in broken(flow(dialect, {"on_confirm": {"seller": "roof-2"}}))}
    # In the order dialect the seller has to be one of the catalogue's providers, too.
    assert rules == ({"LIN-011", "LIN-003"} if dialect == "order" else {"LIN-011"})


def test_a_window_is_the_same_in_another_zone():
    same = {
        "schema:startTime": "2026-04-01T11:30:00+05:30",
        "schema:endTime": WINDOW["schema:endTime"],
    }
    assert broken(flow("order", {"on_confirm": {"validity": same, "delivery": same}})) == []


@pytest.mark.parametrize("dialect", BOTH)
def test_a_buyer_cannot_change_the_price_of_the_catalogue(dialect: str):
    assert broken(flow(dialect, {"select": {"price": 3}})) == [("LIN-005", 2)]


@pytest.mark.parametrize("dialect", BOTH)
def test_what_is_ordered_is_in_the_catalogue(dialect: str):
    foreign = {action: {"item": "wind-9"} for action in ACTIONS[1:]}
    assert set(broken(flow(dialect, foreign))) == {("LIN-003", n) for n in range(2, 8)}


def test_a_wrong_value_is_held_against_who_brought_it_in():
    wrong = {action: {"price": 3} for action in ("confirm", "on_confirm")}
    assert broken(flow("order", wrong)) == [("LIN-005", 6)]


@pytest.mark.parametrize("dialect", BOTH)
def test_a_contract_keeps_its_id(dialect: str):
    name = "order_id" if dialect == "order" else "contract_id"
    later = {action: {name: "another"} for action in ACTIONS[5:]}
    assert broken(flow(dialect, later)) == [("LIN-002", 6)]


def test_an_echoing_callback_is_compared_with_its_request_by_another_rule():
    trace = flow("order", {"on_confirm": {"order_id": "another"}})
    assert broken(trace) == []
    assert [(f.rule, f.message) for f in found(trace, "COR-006")] == [("COR-006", 7)]


@pytest.mark.parametrize(
    ("action", "change"),
    [
        ("on_init", {"bpp_uri": "https://elsewhere.example"}),
        ("on_init", {"bap_uri": "https://elsewhere.example"}),
        ("init", {"bpp_id": "elsewhere.example"}),
        ("init", {"bap_id": "elsewhere.example"}),
    ],
)
@pytest.mark.parametrize("dialect", BOTH)
def test_the_parties_to_a_transaction_stay(dialect: str, action: str, change: dict[str, str]):
    trace = flow(dialect, {}, **{action: change})
    assert ("LIN-001", 1 + ACTIONS.index(action)) in broken(trace)


def test_who_was_asked_may_ask_on():
    cascade = {"bap_id": "seller.example", "bap_uri": "https://seller.example/bap"}
    onward = cascade | {"bpp_id": "utility.example", "bpp_uri": "https://utility.example"}
    bodies = [
        body("order", "init", order()),
        body("order", "init", order(), **onward, message_id="of the cascade"),
        body("order", "on_init", order(), **onward, message_id="of the cascade"),
        body("order", "on_init", order()),
    ]
    assert broken(recorded("order", bodies)) == []


def test_a_callback_is_not_dated_before_its_request():
    trace = flow("order", {}, on_confirm={"timestamp": "2026-04-01T07:00:00Z"})
    assert broken(trace) == [("LIN-008", 7)]
    skewed = flow("order", {}, on_confirm={"timestamp": "2026-04-01T08:04:56Z"})
    assert broken(skewed) == []


def test_time_that_goes_back_elsewhere_is_a_warning():
    trace = flow("order", {}, init={"timestamp": "2026-04-01T07:00:00Z"})
    assert [(f.rule, f.message, f.verdict) for f in found(trace, "LIN")] == [
        ("LIN-012", 4, "warning")
    ]


def test_a_message_id_is_of_one_exchange():
    trace = flow("order", {}, on_confirm={"message_id": "message of init"})
    assert broken(trace) == [("LIN-009", 7)]


def test_a_request_with_an_old_id_is_another_rules():
    trace = flow("order", {}, init={"message_id": "message of select"})
    assert [f.rule for f in found(trace, "COR-003")] == ["COR-003"]
    assert ("LIN-009", 4) not in broken(trace)


LEAVES = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("offer-1")
ANYTHING = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=8,
)


@st.composite
def spoilt(draw: st.DrawFn) -> tuple[str, Any]:
    """Draw a right message in which one value, anywhere, is replaced by anything."""
    dialect = draw(st.sampled_from(BOTH))
    message = deepcopy(draw(st.sampled_from(MAKE[dialect]))())
    value = holder = message
    key: Any = None
    while isinstance(value, dict | list) and value and (key is None or draw(st.booleans())):
        holder = value
        key = draw(st.sampled_from(list(value) if isinstance(value, dict) else range(len(value))))
        value = holder[key]
    holder[key] = draw(ANYTHING)
    return dialect, message


@given(messages=st.lists(st.tuples(spoilt(), st.sampled_from(ACTIONS)), max_size=6))
@settings(max_examples=150, deadline=None)
def test_no_message_makes_a_rule_fail(messages: list[Any]):
    for dialect in BOTH:
        bodies = [body(dialect, action, said[1]) for said, action in messages]
        found(recorded(dialect, bodies), "LI")


@given(ANYTHING)
def test_anything_can_be_read(value: Any):
    held = {"order": value, "contract": value, "catalogs": [value]}
    for dialect in BOTH:
        for message in (value, {"message": value}, {"message": held}):
            assert all(isinstance(one.value, str | tuple) for one in read_stated(dialect, message))
    assert read_stated(None, {"message": held}) == ()


@pytest.mark.parametrize("dialect", BOTH)
def test_the_first_and_the_last_instant_of_the_calendar_can_be_compared(dialect: str):
    first, last = "0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"
    for asked, told, rules in ((first, first, []), (last, first, ["LIN-008"])):
        deal = {"order" if dialect == "order" else "contract": {}}
        bodies = [body(dialect, "init", deal, timestamp=asked)]
        bodies += [body(dialect, "on_init", deal, timestamp=told)]
        judged = found(recorded(dialect, bodies), "LIN")
        assert [f.rule for f in judged if f.rule in ("LIN-008", "LIN-012")] == rules


# -- the published messages ---------------------------------------------------------------

UPSTREAM = Path(os.environ.get("GRIDWITNESS_UPSTREAM", os.devnull))
PLACES = (
    *("publish", "discover", "select", "init", "confirm", "update", "track", "status"),
    *("rating", "rate", "support", "cancel"),
)
CLASSES = {
    "bap/bpp id or URI changes within a transaction": ({"LIN-001"}, 63),
    "order/contract id changes within a transaction": ({"LIN-002", "COR-006"}, 15),
    "ordered item, offer or seller is in no catalogue of the flow": ({"LIN-003"}, 87),
    "one message id for different actions": ({"LIN-009", "COR-003"}, 46),
    "callback transaction id matches no request": ({"COR-002"}, 11),
    "timestamps go backwards along the flow": ({"LIN-008", "LIN-012"}, 30),
}
"""The audit's classes about carried values: the rules that find them, in how many files.

The audit counts 14 callbacks of another transaction; three of them go to an id that asked
nothing, so that what they answer may have been said before the recording began. It counts 53
files with a message id of another action: the request that had it first is one of them, but
no fault. It counts 111 files from the first that goes back; here only where time really goes
back is a finding, not every message after one from the future.
"""


def published() -> dict[tuple[str, str], list[tuple[str, bytes]]]:
    """Read the published flows, by use case and dialect, in the order of their messages."""
    flows: dict[tuple[str, str], list[tuple[Any, str, bytes]]] = defaultdict(list)
    for room in ("examples", "building-blocks/examples"):
        for file in sorted((UPSTREAM / room).rglob("*.json")):
            raw = file.read_bytes()
            try:
                context = json.loads(raw)["context"]
                action = str(context["action"]).rpartition("/")[2]
            except (ValueError, KeyError, TypeError):
                continue
            name = file.relative_to(UPSTREAM)
            steps = tuple(part for part in name.parts[:-1] if part[0].isdigit())
            case = "/".join(part for part in name.parts[:-1] if part not in steps)
            dialect = "order" if {"message_id", "transaction_id"} & set(context) else "contract"
            request = action.removeprefix("on_").replace("catalog_publish", "publish")
            place = PLACES.index(request) if request in PLACES else len(PLACES)
            when = (steps, place, action.startswith("on_"), str(context.get("timestamp")))
            flows[case, dialect].append((when, str(name), raw))
    return {
        key: [(name, raw) for _, name, raw in sorted(entries)] for key, entries in flows.items()
    }


@pytest.fixture(scope="module")
def findings() -> dict[str, dict[str, list[str]]]:
    """By rule and file: what is found in the published flows."""
    told: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for (_, dialect), entries in published().items():
        names = [name for name, _ in entries]
        for finding in found(recorded(dialect, [raw for _, raw in entries]), ""):
            told[finding.rule][names[finding.message - 1]].append(finding.observed)
    return told


needs_upstream = pytest.mark.skipif(
    "GRIDWITNESS_UPSTREAM" not in os.environ, reason="no published messages here"
)


@needs_upstream
@pytest.mark.parametrize("name", CLASSES)
def test_a_class_of_published_defects_is_found(name: str, findings):
    rules, least = CLASSES[name]
    files = {file for rule in rules for file in findings[rule]}
    assert len(files) >= least, f"{len(files)} files by {', '.join(sorted(rules))}"


@needs_upstream
@pytest.mark.parametrize(
    ("rule", "file", "words"),
    [
        ("LIN-004", "examples/demand-flex-uc1/examples/on-confirm-response.json", "200"),
        ("LIN-006", "examples/p2p-trading/select-request.json", "05:00"),
        (
            "LIN-004",
            "examples/p2p-trading-wave2/examples/seller-initiated-status-to-buyer.json",
            "35.5",
        ),
        (
            "LIN-002",
            "building-blocks/examples/ev_charging_demand_flexibility/on_confirm-with-setpoint.json",
            "order",
        ),
        ("LIF-004", "examples/p2p-trading/confirm-response.json", "CREATED"),
        (
            "LIF-001",
            "examples/demand-flexibility/2.subscription/confirm-request.json",
            "SUBSCRIPTION",
        ),
    ],
)
def test_a_known_mistake_has_its_name(rule: str, file: str, words: str, findings):
    assert any(words in observed for observed in findings[rule].get(file, ()))


@needs_upstream
def test_the_payment_of_a_cancelled_charging_session_is_another():
    flows = published()
    (case,) = (key for key in flows if key[0] == "examples/ev-charging")
    names = [name for name, _ in flows[case]]
    trace = recorded("order", [raw for _, raw in flows[case]])
    changed = [f for f in found(trace, "LIN-002") if "payment" in f.observed]
    assert any("20_on_cancel" in names[f.message - 1] for f in changed)
