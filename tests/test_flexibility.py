"""Demand flexibility and the virtual meter: what is bought, measured and paid, or is not."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
from gherkin.parser import Parser

from gridwitness.dialects import DIALECTS
from gridwitness.dialects.base import dump_json, parse_json
from gridwitness.dialects.flexibility import (
    baseline_in,
    objective_in,
    write_baseline,
    write_objective,
)
from gridwitness.errors import UserError
from gridwitness.judgement import judge
from gridwitness.mocks.conduct import Conduct
from gridwitness.mocks.market import Cast, play
from gridwitness.mocks.participant import Wish
from gridwitness.mocks.utility import Meter
from gridwitness.reduction import baseline_kwh, baseline_of, counted_kwh, reduction_kwh
from gridwitness.reference_impl.baseline import BaselineError
from gridwitness.sequence_table import read_sequence
from gridwitness.steps import tables
from gridwitness.story import AGENT, PARTICIPANT, UTILITY, buyers, story, virtual_meters
from gridwitness.trace import Step, Trace
from gridwitness.views import (
    Block,
    Charges,
    EnergyContract,
    Envelope,
    Interval,
    MeterReading,
    Objective,
    Reading,
)
from tests.conftest import curve, small_cast, small_scene

ROOT = Path(__file__).parent.parent
INTERVAL = Interval(start="2031-05-12T10:00:00Z", duration_h=Fraction(2))
OBJECTIVE = Objective(
    target_kw=Decimal(12),
    max_price_per_kwh=Decimal("6.00"),
    currency="INR",
    interval=INTERVAL,
    methodology="2of3",
)
CHARGES = Charges(
    currency="INR",
    mode="ACTUALS_CAPPED",
    penalty_per_kwh=Decimal("1.50"),
    penalty_band=Decimal("0.1"),
    rounding="HALF_UP",
    minor_unit=2,
)
DIALECT = pytest.mark.parametrize("dialect", DIALECTS)


def sequence_of(feature: str) -> tuple[Step, ...]:
    """Read the message sequence that a feature states in its background."""
    parsed = Parser().parse((ROOT / "features" / feature).read_text("utf-8"))["feature"]
    steps: list[dict[str, Any]] = parsed["children"][0]["background"]["steps"]
    stated = next(step for step in steps if step["text"] == "the message sequence")
    return read_sequence(
        [[cell["value"] for cell in row["cells"]] for row in stated["dataTable"]["rows"]]
    )


BINDING = sequence_of("demand_flexibility/binding_market.feature")
VIRTUAL = sequence_of("ev_demand_flexibility/virtual_meter.feature")


def seller(meter: str, *points: tuple[str, str], metered: str | None = None) -> tuple[Wish, Meter]:
    """Draw 20 kW on most days; offer to draw less."""
    usual = tuple(map(Decimal, ("18", "20", "20")))
    kwh = None if metered is None else Decimal(metered)
    return Wish(meter, curve(*points)), Meter(meter, Decimal(40), metered_kwh=kwh, usual_kw=usual)


def reducing(**changes: Any) -> Cast:
    """Two shops that offer 8 kW each up to 4.00; 12 kW are sought."""
    offers = {
        "bakery": seller("m-bakery", ("2.00", "0"), ("4.00", "8")),
        "laundry": seller("m-laundry", ("2.00", "0"), ("4.00", "8")),
    }
    cast = {
        "wishes": {name: wish for name, (wish, _) in offers.items()},
        "meters": {meter.meter_id: meter for _, meter in offers.values()},
        "objective": OBJECTIVE,
        "charges": CHARGES,
        "duration_h": Fraction(2),
    }
    return Cast(**cast | changes)


def played(sandbox, dialect: str, cast: Cast, sequence: tuple[Step, ...] = BINDING) -> Trace:
    scene = small_scene(dialect, seat=AGENT, subject=AGENT)
    trace, faults = play(sandbox, scene, sequence, cast)
    assert faults == []
    return trace


def found(trace: Trace) -> set[tuple[str, str]]:
    return {(one.rule, one.actor) for one in judge(trace, AGENT).findings}


# -- the blocks


@DIALECT
def test_an_objective_and_a_baseline_are_read_as_they_were_written(dialect: str):
    days = [
        MeterReading(meter_id="m", energy_kwh=Decimal("-40.5"), start="2031-05-11T10:00:00Z"),
        MeterReading(meter_id="m", energy_kwh=Decimal(-39), start=INTERVAL.start),
    ]
    contract = EnergyContract(
        participant_id="p",
        interval=INTERVAL,
        readings=(MeterReading(meter_id="m", energy_kwh=Decimal(-20)),),
        blocks=(write_objective(OBJECTIVE, "contract"), write_baseline(days)),
    )
    said = Reading(envelope=Envelope(action="on_status", message_id="m"), contract=contract)
    body = parse_json(dump_json(DIALECTS[dialect].compose(said)))
    read = DIALECTS[dialect].read(body).contract
    assert read is not None
    assert objective_in(read.blocks) == OBJECTIVE
    assert baseline_in(read.blocks) == tuple(days)


@pytest.mark.parametrize(
    "data",
    [
        None,
        [],
        "less",
        {},
        {"targetReductionKW": "12"},
        {"targetReductionKW": Decimal(-12)},
        {"targetReductionKW": Decimal(12), "maxPricePerKWh": Decimal(6)},
        {"targetChargeKWh": Decimal(12), "maxPricePerKWh": Decimal(6)},
    ],
)
def test_what_is_no_objective_to_reduce_load_is_none(data: Any):
    assert objective_in((Block(slot="contract", name="objective", data=data),)) is None


@pytest.mark.parametrize("data", [None, {}, "low", [None, 1, {"meterId": 1}], [{"meterId": "m"}]])
def test_what_is_no_baseline_is_empty(data: Any):
    assert baseline_in((Block(slot="fulfilment", name="baseline", data=data),)) == ()


# -- the arithmetic


def day(start: str, kwh: str) -> MeterReading:
    return MeterReading(meter_id="m", energy_kwh=Decimal(kwh), start=start)


def test_a_baseline_is_the_mean_of_the_highest_days_before():
    days = [
        day("2031-05-09T10:00:00Z", "-40"),
        day("2031-05-10T15:30:00+05:30", "-44"),
        day("2031-05-11T10:00:00Z", "-41"),
        day(INTERVAL.start, "-1000"),
    ]
    assert baseline_kwh("2of3", days, INTERVAL) == Fraction(-85, 2)
    assert baseline_of(days, INTERVAL) == days[-1]


@pytest.mark.parametrize("method", [None, "", "often", "4of3", "9of9"])
def test_a_baseline_without_a_method_or_its_days_follows_from_nothing(method: str | None):
    with pytest.raises(BaselineError):
        baseline_kwh(method, [day("2031-05-11T10:00:00Z", "-41")], INTERVAL)


@pytest.mark.parametrize(
    ("usual", "drawn", "less"),
    [("-20", "-12.5", "7.5"), ("-20", "-20", "0"), ("-20", "-25", "0"), ("-20", "3", "23")],
)
def test_a_reduction_is_what_was_drawn_less_than_usual(usual: str, drawn: str, less: str):
    assert reduction_kwh(day("", usual), day("", drawn)) == Decimal(less)


def test_what_counts_is_the_reading_where_no_baseline_is_stated():
    contract = EnergyContract(interval=INTERVAL, readings=(day("", "-12.5"),))
    assert counted_kwh(contract) == Decimal("-12.5")
    assert counted_kwh(replace(contract, readings=())) is None
    stated = write_baseline([day(INTERVAL.start, "-20")])
    assert counted_kwh(replace(contract, blocks=(stated,))) == Decimal("7.5")


# -- the market


@DIALECT
def test_the_target_is_bought_and_the_buyer_pays_what_was_delivered(sandbox, dialect: str):
    trace = played(sandbox, dialect, reducing())
    assert found(trace) == set()
    assert buyers(trace) == (UTILITY,)
    chapters = story(trace)
    bought = chapters[UTILITY].bound[-1].contract.clearing
    assert bought is not None
    assert bought.cleared_power_kw == -12
    report = chapters[UTILITY].settled[-1].contract.settlement
    paid = {flow.kind: flow.amount for flow in report.flows} if report else {}
    assert paid == {"ENERGY": Decimal("84.00"), "FEE": Decimal("0.24")}  # 24 kWh at 3.50
    judged = judge(trace, AGENT).exercised
    assert all(judged[rule] for rule in ("FLX-001", "FLX-003", "FLX-005", "FLX-006", "FLX-008"))


@DIALECT
def test_a_highest_price_binds_where_too_little_is_offered(sandbox, dialect: str):
    seek = replace(OBJECTIVE, max_price_per_kwh=Decimal("3.00"))
    trace = played(sandbox, dialect, reducing(objective=seek))
    assert found(trace) == set()
    cleared = story(trace)[UTILITY].bound[-1].contract.clearing
    assert cleared is not None
    assert (cleared.cleared_power_kw, cleared.clearing_price_per_kwh) == (-8, 3)


def test_who_never_confirms_has_opted_out_and_the_others_are_bought(sandbox):
    silent = (PARTICIPANT, Conduct(leaves_out=frozenset({"confirm"})))
    trace = played(sandbox, "order", reducing(broken=silent, patience=0.1), ())
    assert judge(trace, AGENT).exercised["FLX-007"] > 0
    assert not {rule for rule, _ in found(trace)} & {"FLX-003", "FLX-007", "SET-003"}
    report = story(trace)["laundry"].settled[-1].contract.settlement
    assert report is not None


def test_an_interval_that_is_spelt_otherwise_is_the_same(sandbox):
    def spelt(action: str, reading: Reading) -> Reading:
        if action != "on_discover":
            return reading
        offers = tuple(
            replace(o, interval=o.interval and replace(o.interval, start=_offset(o.interval.start)))
            for o in reading.offers
        )
        return replace(reading, offers=offers)

    trace = played(sandbox, "order", reducing(broken=(AGENT, Conduct(views=spelt))))
    judgement = judge(trace, AGENT)
    assert judgement.exercised["FLX-001"] == 2
    assert judgement.verdicts["FLX-001"] == "passed"


def _offset(start: str) -> str:
    return start.replace("Z", "+00:00")


def test_an_offer_without_the_objective_is_found(sandbox):
    def bare(_action: str, reading: Reading) -> Reading:
        return replace(reading, offers=tuple(replace(o, blocks=()) for o in reading.offers))

    trace = played(sandbox, "order", reducing(broken=(AGENT, Conduct(views=bare))))
    assert ("FLX-001", AGENT) in found(trace)


def test_a_price_above_the_highest_is_found(sandbox):
    def dear(action: str, reading: Reading) -> Reading:
        contract = reading.contract
        if (
            contract is None
            or contract.clearing is None
            or action not in ("on_confirm", "on_status")
        ):
            return reading
        told = replace(contract.clearing, clearing_price_per_kwh=Decimal("6.01"))
        return replace(reading, contract=replace(contract, clearing=told))

    trace = played(sandbox, "order", reducing(broken=(AGENT, Conduct(views=dear))))
    assert ("FLX-003", AGENT) in found(trace)


@pytest.mark.parametrize("junk", [None, [], {}, "x", 10**30, [[[]]], [{"allocatedEnergy": {}}]])
@pytest.mark.parametrize("slot", ["objective", "baseline"])
@DIALECT
def test_no_rule_fails_over_a_block_that_holds_anything(sandbox, dialect, slot, junk):
    trace = _market(sandbox, dialect)
    messages = [replace(m, raw=dump_json(_replaced(m.body, slot, junk))) for m in trace.messages]
    judgement = judge(Trace(trace.scene, tuple(messages)), AGENT)
    assert [one.detail for one in judgement.findings if one.detail] == []


_PLAYED: dict[str, Trace] = {}


def _market(sandbox, dialect: str) -> Trace:
    if dialect not in _PLAYED:
        _PLAYED[dialect] = played(sandbox, dialect, reducing())
    return _PLAYED[dialect]


def _replaced(value: Any, name: str, junk: Any) -> Any:
    if isinstance(value, dict):
        return {k: junk if k == name else _replaced(v, name, junk) for k, v in value.items()}
    return [_replaced(item, name, junk) for item in value] if isinstance(value, list) else value


# -- the virtual meter


def charging(**changes: Any) -> Cast:
    charges = replace(
        CHARGES, mode="VIRTUAL_METER", virtual_meter_per_kwh=Decimal("2.50"), currency="INR"
    )
    return small_cast(charges=charges, **changes)


@DIALECT
def test_what_all_meters_deviate_is_paid_by_the_agent(sandbox, dialect: str):
    trace = played(sandbox, dialect, charging(), VIRTUAL)
    assert found(trace) == set()
    [told] = virtual_meters(trace)
    report = told.contract.settlement
    assert report is not None
    [flow] = report.flows
    # The car drew the 5 kWh it cleared, the roof gave 4.5 of 5.
    assert (flow.kind, flow.amount) == ("VIRTUAL_METER_DEVIATION", Decimal("1.25"))


@DIALECT
def test_a_virtual_meter_that_is_never_told_is_missed(sandbox, dialect: str):
    trace = played(sandbox, dialect, charging(), VIRTUAL)
    kept = [m for m in trace.messages if m.action not in ("update", "on_update")]
    numbered = [replace(m, number=n) for n, m in enumerate(kept, 1)]
    assert found(Trace(trace.scene, tuple(numbered))) == {("ORD-003", AGENT), ("SET-003", AGENT)}


# -- the tables


def test_charges_are_read_with_their_units():
    read = tables.charges({"settled by": "a virtual meter", "band": "5 %", "short": "7.50 INR/kWh"})
    assert (read.mode, read.penalty_band) == ("VIRTUAL_METER", Decimal("0.05"))
    assert (read.short_price_per_kwh, read.penalty_per_kwh) == (Decimal("7.50"), None)
    assert tables.charges({}).mode == "AS_CLEARED"


@pytest.mark.parametrize(
    "row", [{"settled by": "good will"}, {"penalty": "1.50"}, {"band": "0.05"}]
)
def test_charges_that_cannot_be_read_are_the_users_mistake(row: dict[str, str]):
    with pytest.raises(UserError):
        tables.charges(row)


@pytest.mark.parametrize("change", [{"baseline": "5of3"}, {"reduction": "12"}])
def test_an_objective_that_cannot_be_read_is_the_users_mistake(change: dict[str, str]):
    right = {"reduction": "12 kW", "highest price": "6.00 INR/kWh", "baseline": "3 of 5 days"}
    assert tables.objective(right).methodology == "3of5"
    with pytest.raises(UserError):
        tables.objective(right | change)


def test_a_table_of_one_row_has_one_row():
    with pytest.raises(UserError, match="2 rows"):
        tables.row([["band"], ["5 %"], ["6 %"]], needs=[], may=["band"])
