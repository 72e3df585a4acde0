"""Stated amounts: what is right passes, each mistake has its rule, and nothing raises."""

from __future__ import annotations

import json
import os
from collections import defaultdict
from copy import deepcopy
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridwitness.dialects import DIALECTS
from gridwitness.dialects.base import dump_json, parse_json
from gridwitness.errors import Untestable
from gridwitness.hearing import Hearing
from gridwitness.judgement import judge, required
from gridwitness.mocks.defects import DEFECTS
from gridwitness.mocks.participant import Wish
from gridwitness.mocks.utility import Meter
from gridwitness.rules import rules
from gridwitness.trace import Message, Scene, Trace
from gridwitness.views import Bill, EnergyContract, Envelope, Part, Reading, SettlementReport
from tests.conftest import curve, small_market
from tests.stated import ALSO, RIGHT, START, WRONG, metered, recorded, spoilt

AMT = {rule.id: rule for rule in rules().values() if rule.family == "AMT"}
MUST = {rule.id for rule in AMT.values() if rule.level == "MUST"}
AGENT = "clearing agent"

LIVE = {"AMT-001", "AMT-002", "AMT-003"}
"""What the reference clearing agent states in both dialects."""
LIVE_TABLES = {"AMT-016", "AMT-028", "AMT-029", "AMT-030"}
"""What it states in the interval tables and settlements of the contract dialect."""

CASES = [(rule, *case) for rule, cases in WRONG.items() for case in cases]


def fired(trace: Trace) -> set[str]:
    return {rule.id for rule in AMT.values() for found in rule.check(trace) if not found.kept}


def exercised(trace: Trace) -> set[str]:
    return {rule.id for rule in AMT.values() for _ in rule.check(trace)}


# Own messages


def test_what_is_right_passes_and_exercises_every_rule():
    trace = recorded(*RIGHT.values())
    assert fired(trace) == set()
    assert exercised(trace) == AMT.keys()


@pytest.mark.parametrize(("rule", "name", "place", "value"), CASES, ids=lambda x: str(x)[-40:])
def test_a_mistake_has_its_rule(rule: str, name: str, place: str, value: Any):
    before = [metered()] if rule == "AMT-027" else []
    found = fired(recorded(*before, spoilt(name, place, value)))
    assert rule in found
    assert found <= {rule} | ALSO.get(rule, set())


def test_every_rule_has_a_mistake():
    assert WRONG.keys() == AMT.keys()


def test_a_finding_points_at_what_it_is_about():
    rule, name, place, value = next(case for case in CASES if case[0] == "AMT-020")
    trace = recorded(spoilt(name, place, value))
    (found,) = [one for one in AMT[rule].check(trace) if not one.kept]
    assert found.pointer == f"/{place}"
    assert (found.actor, found.message.number) == ("stranger", 1)
    assert (found.observed, found.expected) == ("5.5 kWh", "6 kWh, as requested")


def test_a_cancelled_order_may_be_charged_in_part_but_never_beyond():
    body = spoilt("order", "context/action", "on_cancel")
    components = body["message"]["order"]["beckn:orderValue"]["components"]
    for unit, breaks in ((20, set()), (30, {"AMT-002"})):
        components[0]["value"] = unit
        assert fired(recorded(body)) & {"AMT-002"} == breaks


def test_a_price_per_unit_is_not_divided_by_its_limit():
    body = deepcopy(RIGHT["bare"])
    price = body["message"]["order"]["beckn:orderItems"][0]["beckn:price"]
    price |= {"value": Decimal("6.25"), "unitText": "kWh"}
    assert fired(recorded(body)) == set()


def test_a_consumption_that_rises_earns_nothing_at_its_own_meter_only():
    body = deepcopy(RIGHT["flexed"])
    meters = body["message"]["contract"]["performance"][0]["performanceAttributes"]["meters"]
    meters[1]["telemetry"]["intervals"][0]["payloads"][1]["values"] = [500]
    assert fired(recorded(body)) == set()


# The market that is played


@pytest.mark.parametrize("dialect", ["order", "contract"])
def test_the_clearing_agent_bills_what_it_settles(sandbox, dialect: str):
    trace = small_market(sandbox, dialect)
    judgement = judge(trace, AGENT)
    expected = LIVE | (LIVE_TABLES if dialect == "contract" else set())
    assert expected <= {rule for rule, count in judgement.exercised.items() if count}
    assert {judgement.verdicts[rule] for rule in expected} == {"passed"}
    bills = [
        (message.receiver, contract.bill)
        for message in trace.of("on_status")
        if (contract := message.reading.contract) and contract.bill
    ]
    assert {name: (bill.value, bill.to_participant) for name, bill in bills} == {
        "car": (Decimal("0.68"), False),
        "roof": (Decimal("0.43"), True),
    }


@pytest.mark.parametrize("dialect", ["order", "contract"])
def test_a_bill_is_written_and_read(dialect: str):
    bill = Bill(
        value=Decimal("26.10"),
        currency="INR",
        parts=(
            Part(kind="UNIT", amount=Decimal("27.00"), text="Energy"),
            Part(kind="FEE", amount=Decimal("-0.90"), text="Fee"),
        ),
        energy_kwh=Decimal("4.5"),
        price_per_kwh=Decimal(6),
        to_participant=True,
    )
    contract = EnergyContract(settlement=SettlementReport(flows=(), positions=()), bill=bill)
    reading = Reading(envelope=Envelope(action="on_status", message_id="m"), contract=contract)
    body = DIALECTS[dialect].compose(reading)
    if dialect == "contract":  # there the price stands in the interval table
        payloads = [{"type": "CLEARING_PRICE", "values": [6]}]
        table = {"intervals": [{"id": 0, "payloads": payloads}]}
        body["message"]["contract"]["commitments"][0]["commitmentAttributes"] = table
    read = DIALECTS[dialect].read(parse_json(dump_json(body))).contract
    assert read is not None
    assert read.bill == bill


def test_no_rule_about_amounts_is_demanded_of_who_states_none():
    for edition in ("beckn-2.0.0-rc", "beckn-2.0.0-lts", "beckn-2.0.0-nfh"):
        assert not {rule.id for rule in required(edition, AGENT)} & AMT.keys()
    judgement = judge(recorded({"context": {"action": "status", "message_id": "m"}}), None)
    assert {judgement.verdicts[rule] for rule in AMT} == {"not_applicable"}


def test_a_rule_that_is_demanded_by_its_name_is_not_passed_by_silence():
    hearing = Hearing(AGENT, "traces/none.jsonl", "again", {})
    hearing.hear(recorded({"context": {"action": "status", "message_id": "m"}}))
    with pytest.raises(Untestable, match="silence is not a pass"):
        hearing.demand([AMT["AMT-001"]])


def test_what_is_played_is_also_broken_there():
    broken = {defect.breaks for defect in DEFECTS.values()}
    assert broken >= LIVE | LIVE_TABLES


def test_a_market_of_ours_is_judged_by_its_own_rules_only():
    wrong = [spoilt(*case[1:]) for case in CASES if case[0] in ("AMT-007", "AMT-008", "AMT-009")]
    assert fired(recorded(*wrong, roles={"x": AGENT})) == set()


# Hostile messages

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**40), 10**40),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "KWH", "PT1H", "P9999999999Y", "2030-06-01", "1" * 50, "\x00"]),
    st.just([]),
    st.just({}),
    st.just([[1], None, {"id": []}]),
    st.just({"value": {"value": []}, "currency": 1}),
)


def places(value: Any, way: tuple[str | int, ...] = ()) -> list[tuple[str | int, ...]]:
    inner: list[tuple[str | int, ...]] = [way] if way else []
    items = value.items() if isinstance(value, dict) else enumerate(value)
    for key, item in items if isinstance(value, dict | list) else ():
        if isinstance(item, dict | list):
            inner += places(item, (*way, key))
        else:
            inner.append((*way, key))
    return inner


PLACES = [(name, place) for name, body in RIGHT.items() for place in places(body["message"])]


@settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.lists(st.tuples(st.sampled_from(PLACES), JUNK), min_size=1, max_size=4))
def test_no_message_makes_a_rule_fail(changes: list[tuple[Any, Any]]):
    bodies = deepcopy(RIGHT)
    for (name, place), junk in changes:
        inner: Any = bodies[name]["message"]
        for key in place[:-1]:
            try:
                inner = inner[key]
            except (KeyError, IndexError, TypeError):
                break  # an earlier change has removed it
        else:
            if isinstance(inner, dict) or (
                isinstance(inner, list) and place[-1] in range(len(inner))
            ):
                inner[place[-1]] = junk
    fired(recorded(*bodies.values()))


def test_the_greatest_numbers_are_told():
    most = 10**15 - 1
    body = spoilt("order", "message/order/beckn:orderItems/0/beckn:price/value", most)
    body["message"]["order"]["beckn:orderItems"][0]["beckn:quantity"]["unitQuantity"] = most
    (found,) = [one for one in AMT["AMT-002"].check(recorded(body)) if not one.kept]
    assert found.expected == f"{most * most}, quantity times price"


# What is published

UPSTREAM = os.environ.get("GRIDWITNESS_UPSTREAM")
published = pytest.mark.skipif(UPSTREAM is None, reason="no published messages here")

EV = "building-blocks/examples/ev_charging"
DRAFT = "examples/ev-charging-draft"
SANDBOX = "examples/sandbox-responses/beckn.one.deg"
WAVE2 = "examples/p2p-trading-wave2"
P2P = "building-blocks/examples/p2p_trading"
MARKET = f"{P2P}_market_based"

AUDIT = {
    # UNIT components against quantity times price
    "AMT-002": (
        22,
        f"{EV}/05_init/",
        f"{DRAFT}/14_on_update/",
        f"{SANDBOX}.ev-charging/response/on_select",
    ),
    # The payment against the order value, and the payable against the consideration
    "AMT-003": (
        6,
        f"{SANDBOX}.ev-charging/response/on_confirm",
        f"{WAVE2}/responses/buyerdiscom/on_status_settled",
    ),
    "AMT-004": (1, "examples/demand-flexibility-new-flow/3.monitoring/on_status-completed"),
    # Delivered quantity, and the meter, against the energy flow
    "AMT-005": (
        6,
        f"{P2P}/12_on_status/",
        f"{P2P}/13_on_status_completed/",
        f"{MARKET}/10_on_status/",
    ),
    "AMT-006": (
        6,
        f"{P2P}/12_on_status/",
        f"{P2P}/13_on_status_completed/",
        "examples/p2p-trading-2025-11/status-response.json",
    ),
    # Cleared markets
    "AMT-007": (
        3,
        f"{MARKET}/08_on_confirm/on-confirm-with",
        f"{MARKET}/10_on_status/",
        "building-blocks/examples/aggregate_action/on_aggregate",
    ),
    "AMT-008": (
        3,
        f"{MARKET}/08_on_confirm/on-confirm-with",
        f"{MARKET}/08_on_confirm/on-confirm-prosumer",
        f"{MARKET}/10_on_status/",
    ),
    "AMT-009": (2, f"{MARKET}/08_on_confirm/on-confirm-with", f"{MARKET}/10_on_status/"),
    "AMT-010": (1, "building-blocks/examples/aggregate_action/on_aggregate"),
    # The consideration, and the requested quantity
    "AMT-019": (
        2,
        f"{WAVE2}/responses/buyerdiscom/on_status_settled",
        f"{WAVE2}/responses/sellerdiscom/on_status_settled",
    ),
    "AMT-020": (16, f"{WAVE2}/examples/confirm-request", f"{WAVE2}/examples/status-request"),
}
"""Section 5 of the audit of published messages: how many files, and the beginnings of some.

Of the 19 files whose UNIT components it lists against 450, the first reading of the price
was wrong: 90 for 5 kWh is 90, not 450; 18 of them are wrong all the same. The 19th, an
on_cancel of the sandbox, is right: 72.73 of 90 are charged after a cancellation.
"""

SOFT = {
    "AMT-012": (6, f"{EV}/12_on_track/"),  # power in KWH
    "AMT-013": (49, "examples/ev-charging/04_on_select/"),  # 20 % of 112.5 is not 20
    "AMT-014": (12, "examples/p2p-trading/status-response.json"),  # read years before
    "AMT-015": (7, "examples/p2p-trading/discover-response"),  # valid during the delivery
    "AMT-016": (8, "examples/data-exchange/uc1-meter-data/examples/on-status-response-ready-url"),
    "AMT-017": (2, f"{DRAFT}/03_select/"),  # the audit has it among its hard findings
    "AMT-018": (39, "examples/demand-flex-uc2/examples/on-status-response-settled"),
    "AMT-032": (7, "examples/demand-flex-uc2/examples/confirm-request"),  # falls as prices rise
}
"""What the audit calls soft findings, and what is inferred likewise."""

BEYOND_THE_AUDIT = {
    # A quote of 1.5 whose breakup is 1.5 and 2.5: the audit read order values, no quotes.
    "examples/p2p-trading-2025-11/select-response.json": "AMT-001",
}
ACCUSED = 49
"""The audit's 50, less the cancellation above and one bare value (AMT-017), and this quote."""


def as_message(raw: bytes, number: int = 1) -> Message:
    body = json.loads(raw)
    context = body.get("context") if isinstance(body, dict) else None
    action = str(context.get("action")) if isinstance(context, dict) else ""
    url = "https://bap.example/"
    return Message(number, "beckn", "stranger", None, action, "POST", url, {}, raw, START, 0.0)


def as_trace(*messages: Message) -> Trace:
    scene = Scene("published", "x", "", "order", "beckn-2.0.0-rc", "strict")
    return Trace(scene, messages)


@pytest.fixture(scope="module")
def found() -> dict[str, dict[str, str]]:
    """What each rule finds in which published file, one trace a file."""
    root = Path(UPSTREAM or os.devnull)
    hits: dict[str, dict[str, str]] = defaultdict(dict)
    for room in ("examples", "building-blocks/examples"):
        for file in sorted((root / room).rglob("*.json")):
            trace = as_trace(as_message(file.read_bytes()))
            for rule in AMT.values():
                for one in rule.check(trace):
                    if not one.kept:
                        hits[rule.id][file.relative_to(root).as_posix()] = one.observed
    return hits


@published
@pytest.mark.parametrize("rule", [*AUDIT, *SOFT])
def test_what_the_audit_lists_is_found_by_its_rule(found, rule: str):
    number, *beginnings = (AUDIT | SOFT)[rule]
    assert len(found[rule]) == number, sorted(found[rule])
    for beginning in beginnings:
        assert [file for file in found[rule] if file.startswith(beginning)], beginning


@published
def test_nobody_else_is_accused(found):
    listed = {file for rule in AUDIT for file in found[rule]}
    accused = {file for rule in MUST for file in found[rule]}
    print("\n".join(sorted(accused)))  # noqa: T201 (what the closing note quotes)
    assert accused - listed == BEYOND_THE_AUDIT.keys()
    assert all(file in found[rule] for file, rule in BEYOND_THE_AUDIT.items())
    assert len(accused) == ACCUSED
    named = AUDIT.keys() | SOFT.keys() | set(BEYOND_THE_AUDIT.values())
    assert {rule for rule in found if found[rule]} == named


@published
def test_published_allocations_exceed_the_meter():
    """The utilities read 10 and 12 kWh; 19.2 and 14.7 are allocated, in one flow."""
    folder = Path(UPSTREAM or os.devnull) / WAVE2 / "examples"
    names = ("buyerdiscom-on-status", "sellerdiscom-on-status", "on-status-response-settled")
    files = [(folder / f"{name}.json").read_bytes() for name in names]
    trace = as_trace(*(as_message(raw, number) for number, raw in enumerate(files, start=1)))
    broken = [one for one in AMT["AMT-027"].check(trace) if not one.kept]
    assert len(broken) == 4
    assert {one.message.number for one in broken} == {3}


def test_every_rule_cites_what_is_published():
    for rule in AMT.values():
        assert rule.when_stated
        assert rule.source.startswith(("Beckn 2.0.0", "beckn/DEG", "India Energy Stack"))


@pytest.mark.parametrize("dialect", ["order", "contract"])
def test_an_honest_market_that_others_recorded_is_not_accused(sandbox, dialect: str):
    """Its price is told rounded, on steep curves; and one of the meters has a limit that binds."""
    wishes = {
        "car": Wish("m-car", curve(("0.08", "-11"), ("0.13", "0"))),
        "roof": Wish("m-roof", curve(("0.05", "0"), ("0.11", "7"))),
        "mill": Wish("m-mill", curve(("0.03", "0"), ("0.04", "5"))),
    }
    meters = {
        name: Meter(name, Decimal(2 if name == "m-mill" else 30))
        for name in ("m-car", "m-roof", "m-mill")
    }
    trace = small_market(sandbox, dialect, wishes=wishes, meters=meters)
    messages = tuple(
        replace(one, recorded="body", answer=None, signature=None) for one in trace.beckn
    )
    roles = {name: "BPP" if name == AGENT else "BAP" for name in trace.scene.roles}
    scene = replace(trace.scene, roles=roles, sequence=(), subject=None, uris={}, ids={})
    findings = judge(Trace(scene, messages), None).findings
    assert [f for f in findings if f.rule.startswith("AMT")] == []
