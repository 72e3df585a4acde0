"""Levels of a market: shared out below, rents by contract, sent up and down, told and judged."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from gridwitness.dialects import DIALECTS
from gridwitness.dialects.base import dump_json
from gridwitness.judgement import judge
from gridwitness.mocks.grid_node import Place
from gridwitness.mocks.market import Below, Cast, play
from gridwitness.mocks.participant import Wish
from gridwitness.mocks.utility import Meter
from gridwitness.reference_impl.clearing import ROOT, Bid, clear
from gridwitness.reference_impl.curves import OfferError, aggregate
from gridwitness.reference_impl.grid import Grid, Node, share_out, supply
from gridwitness.reference_impl.settlement import congestion_rents, settle
from gridwitness.reference_impl.terms import Inputs, Parties, Terms, Trade
from gridwitness.rules import Outcome, rules
from gridwitness.story import AGENT, AGGREGATOR, GRID_NODE
from gridwitness.told_market import grid_of, told_markets
from gridwitness.trace import Trace
from gridwitness.views import (
    AggregationRequest,
    AggregationResult,
    Envelope,
    Gathered,
    Interval,
    MemberSetpoint,
    NodeState,
    Reading,
)
from tests.conftest import curve, small_scene

ROOF = (("2", "0"), ("5", "9"))
BATTERY = (("3", "-5"), ("6", "5"))
CAR = (("4", "-11"), ("6", "-5"), ("8", "0"))
FAR = Node(max_forward_kw=Decimal(40), max_reverse_kw=Decimal(40))


def bid(name: str, points: tuple[tuple[str, str], ...], node: str = ROOT) -> Bid:
    return Bid(name, curve(*points).curve(), None, node)


# -- shared out -----------------------------------------------------------------------------


def test_a_part_that_is_shared_out_has_what_it_has_in_the_whole():
    north, south = [bid("roof", ROOF), bid("battery", BATTERY)], [bid("car", CAR)]
    whole = clear([*north, *south])
    price = whole.price_per_kwh
    assert price is not None
    net_kw = whole.power_kw["roof"] + whole.power_kw["battery"]
    part = share_out(north, Grid(), price, net_kw)
    assert part.price_per_kwh == price
    assert sum(part.power_kw.values()) == net_kw
    for name, power_kw in part.power_kw.items():
        assert abs(power_kw - whole.power_kw[name]) <= Decimal("0.001")


def test_below_a_limit_that_binds_the_price_is_the_one_of_the_limit():
    grid = Grid({"trafo": Node(max_reverse_kw=Decimal(3))})
    bids = [bid("roof", ROOF, "trafo")]
    assert supply(bids, grid) == aggregate([curve(("2", "0"), ("3", "3"), ("5", "3")).curve()])
    found = share_out(bids, grid, Decimal("4.5"), Decimal(3))
    assert found.node_prices == {ROOT: Decimal("4.5"), "trafo": Decimal(3)}
    assert found.adders == {"trafo": Decimal("-1.5")}
    assert (found.power_kw, found.flows_kw) == ({"roof": Decimal(3)}, {"trafo": Decimal(3)})


def test_at_a_free_node_the_told_price_holds_to_the_last_digit():
    told = Decimal("3.3333")
    found = share_out([bid("roof", ROOF, "trafo")], Grid({"trafo": FAR}), told, Decimal(4))
    assert found.node_prices == {ROOT: told, "trafo": told}


def test_more_than_is_offered_is_shared_as_far_as_it_is():
    found = share_out([bid("roof", ROOF)], Grid(), Decimal(9), Decimal("9.0004"))
    assert found.power_kw["roof"] == Decimal(9)


def test_nobody_has_nothing_to_share():
    assert share_out([], Grid(), Decimal(4), Decimal(0)).power_kw == {}


@pytest.mark.parametrize(
    ("limit", "points", "word"),
    [
        ({"max_reverse_kw": Decimal(1)}, (("2", "3"), ("5", "9")), "give"),
        ({"max_forward_kw": Decimal(1)}, (("2", "-9"), ("5", "-3")), "take"),
    ],
)
def test_who_cannot_keep_within_the_limits_is_told(limit, points, word):
    grid = Grid({"trafo": Node(**limit)})
    with pytest.raises(OfferError, match=f"must {word} more"):
        share_out([bid("one", points, "trafo")], grid, Decimal(4), Decimal(0))


# -- the rent -------------------------------------------------------------------------------


def test_a_contract_leaves_what_its_place_costs_and_all_leave_the_rent():
    trades = [
        Trade("car", Decimal(-6), None, Decimal(7)),
        Trade("wind", Decimal(10), None, None),
        Trade("works", Decimal(-4), None, Decimal("5.25")),
    ]
    inputs = Inputs(Terms("INR"), Fraction(1, 4), Decimal(5), trades, Parties("agent", "grid"))
    rents = congestion_rents(inputs)
    assert rents == {"car": Decimal("3.00"), "works": Decimal("0.25")}
    owed = [flow.amount for flow in settle(inputs) if flow.kind == "CONGESTION_RENT"]
    assert owed == [sum(rents.values())]


def test_at_one_price_nobody_leaves_a_rent():
    trades = [Trade("car", Decimal(-6)), Trade("wind", Decimal(6))]
    inputs = Inputs(Terms("INR"), Fraction(1), Decimal(5), trades, Parties("agent", "grid"))
    assert congestion_rents(inputs) == {}


# -- on the wire ----------------------------------------------------------------------------

REQUEST = AggregationRequest(
    members=(Gathered(member_id="north.example", curve=curve(*CAR)),),
    interval=Interval(start="2030-01-01T10:00:00Z", duration_h=Fraction(1, 4)),
)
RESULT = AggregationResult(
    clearing_price_per_kwh=Decimal("4.25"),
    local_price_per_kwh=Decimal("4.5"),
    currency="INR",
    setpoints=(MemberSetpoint(member_id="north.example", power_kw=Decimal("-5.5")),),
)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
@pytest.mark.parametrize("said", [{"request": REQUEST}, {"result": RESULT}], ids=["up", "down"])
def test_what_is_sent_up_and_down_is_read_back(dialect, said):
    reading = Reading(envelope=Envelope(action="aggregate"), **said)
    body = dialect.compose(reading)
    assert dialect.read(body) == reading


@pytest.mark.parametrize("odd", [None, [], "x", 7, {"participants": 3}, {"setpoints": [[], 1]}])
def test_what_is_no_aggregation_reads_as_none_or_empty(odd):
    body = {"context": {}, "message": {"aggregationRequest": odd, "aggregationResult": odd}}
    for dialect in DIALECTS.values():
        reading = dialect.read(body)
        assert reading.request is None or reading.request.members == ()
        assert reading.result is None or reading.result.setpoints == ()


def test_a_window_that_ends_before_it_starts_is_none():
    body = DIALECTS["order"].compose(Reading(envelope=Envelope(action="x"), request=REQUEST))
    body["message"]["aggregationRequest"]["timeWindow"]["end"] = "2029-01-01T10:00:00Z"
    request = DIALECTS["order"].read(body).request
    assert request is not None
    assert request.interval is None


# -- as it was told -------------------------------------------------------------------------


def test_nodes_that_lead_in_a_circle_hang_at_the_root():
    states = {
        name: NodeState(node_id=name, parent_id=parent, max_forward_kw=Decimal(-1))
        for name, parent in (("a", "b"), ("b", "a"), ("c", "nowhere"), ("d", "c"), ("root", None))
    }
    grid = grid_of(states)
    assert {name: node.parent for name, node in grid.nodes.items()} == {
        "a": ROOT,
        "b": ROOT,
        "c": ROOT,
        "d": "c",
    }
    assert {node.max_forward_kw for node in grid.nodes.values()} == {None}


@pytest.fixture(scope="module")
def city(sandbox) -> dict[str, Trace]:
    """A city of two neighbourhoods, one of them behind a limit, in both dialects."""
    wishes = {"roof": ROOF, "battery": BATTERY, "car": CAR}
    cast = Cast(
        wishes={name: Wish(f"m-{name}", curve(*points)) for name, points in wishes.items()},
        meters={
            f"m-{name}": Meter(
                f"m-{name}", Decimal(30), node_id="south" if name == "car" else "north"
            )
            for name in wishes
        },
        nodes={
            "north": Place(max_reverse_kw=Decimal(2), max_forward_kw=Decimal(9)),
            "south": Place(max_forward_kw=Decimal(40)),
        },
        aggregators={"quay": Below(AGENT), "hill": Below(AGENT)},
        agents={"roof": "quay", "battery": "quay", "car": "hill"},
    )
    played: dict[str, Trace] = {}
    for dialect in DIALECTS:
        trace, faults = play(sandbox, small_scene(dialect), (), cast)
        assert not faults
        played[dialect] = trace
    return played


@pytest.mark.parametrize("dialect", DIALECTS)
def test_each_level_is_a_market_of_its_own(city, dialect):
    markets = {market.agent: market for market in told_markets(city[dialect])}
    assert markets.keys() == {"quay", "hill"}
    assert markets["quay"].exchange_kw == 2
    assert markets["hill"].exchange_kw == -2
    for role in (AGENT, AGGREGATOR, GRID_NODE):
        subject = city[dialect].actors(role)[0]
        assert judge(city[dialect], subject).findings == ()


ODD: list[Any] = [None, -1, "x", [], {"a": 1}, Decimal("1e14")]
FAMILIES = ("GRD", "AGG", "MKT", "LCK", "SET", "ORD")
KEYS = (
    *("gridNode", "nodeId", "parentId", "gridConstraints", "maxReverseFlowKW", "setpoint"),
    *("setpointKW", "locationalPriceAdder", "currentPrice", "currentLoadPercent", "era"),
    *("aggregationRequest", "aggregationResult", "participants", "offerCurve", "setpoints"),
    *("clearingPrice", "locationalPrice", "curve", "timeWindow", "start", "roles", "offers"),
)


def spoilt(value: Any, key: str, odd: Any) -> Any:
    if isinstance(value, dict):
        return {k: odd if k == key else spoilt(v, key, odd) for k, v in value.items()}
    return [spoilt(item, key, odd) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("dialect", DIALECTS)
def test_no_rule_fails_over_what_may_stand_there(city, dialect, key):
    trace = city[dialect]
    for odd in ODD:
        messages = tuple(
            replace(message, raw=dump_json(spoilt(message.body, key, odd)))
            if message.kind == "beckn"
            else message
            for message in trace.messages
        )
        changed = Trace(trace.scene, messages)
        for one in rules().values():
            if one.family in FAMILIES:
                assert all(isinstance(found, Outcome) for found in one.check(changed))


def test_a_command_off_the_curve_is_declared_and_made_good(sandbox):
    wishes = {
        "roof": curve(("1.00", "0"), ("3.40", "8")),
        "battery": curve(("5.00", "-3"), ("5.00", "9")),
        "works": curve(("5.00", "-9"), ("8.00", "-9"), ("8.00", "0")),
    }
    cast = Cast(
        wishes={name: Wish(f"m-{name}", offered) for name, offered in wishes.items()},
        meters={f"m-{name}": Meter(f"m-{name}", Decimal(30)) for name in wishes},
        duration_h=Fraction(1, 2),
        commands={"roof": Decimal("-2.3")},
    )
    trace, faults = play(sandbox, small_scene(), (), cast)
    assert not faults
    assert judge(trace, AGENT).findings == ()
    settled = [m for m in trace.of("on_status") if m.receiver == "roof"]
    report = settled[-1].reading.contract and settled[-1].reading.contract.settlement
    assert report
    # From 5.7 to 8 kW it rises from 2.71 to 3.40: (2.29 + 1.60) / 2 on 2.3 kW, for half an hour.
    assert [f.amount for f in report.flows if f.kind == "UPLIFT"] == [Decimal("2.24")]
