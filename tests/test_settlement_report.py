"""Billing reports: what they state, how accounts go on, and what a correction pays."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwitness import accounts, deals
from gridwitness.deals import DealError
from gridwitness.dialects import DIALECTS
from gridwitness.dialects.lines import read_stated
from gridwitness.judgement import judge
from gridwitness.mocks.exchange import play
from gridwitness.mocks.words import Facts, Party
from gridwitness.signals import Period, courses, during, moment, period_of, signals_in
from gridwitness.steps import tables
from gridwitness.story import CONSUMER, PROSUMER
from gridwitness.trace import Scene, Step
from gridwitness.views import (
    Block,
    Column,
    Deal,
    Due,
    Envelope,
    Interval,
    IntervalTable,
    MeterReading,
    Position,
    Promise,
    Reading,
    RevenueFlow,
    Role,
    SettlementReport,
    Source,
    Term,
)

D = Decimal
START = "2031-05-12T17:00:00+05:30"


def price(value: object, at: str, **more: object) -> dict[str, object]:
    return {
        "signalId": "index",
        "signalType": "PRICE",
        "value": value,
        "unit": "INR/kWh",
        "timestamp": f"2031-05-12T{at}:00+05:30",
        **more,
    }


def told(*values: object, slot: str = "fulfilment") -> Block:
    return Block(slot=slot, name="externalSignals", data=list(values))


def reading(energy: str, start: str = "17:00", end: str = "18:00") -> MeterReading:
    return MeterReading(
        meter_id="1",
        energy_kwh=D(energy),
        start=f"2031-05-12T{start}:00+05:30",
        end=f"2031-05-12T{end}:00+05:30",
    )


def deal(**changes: Any) -> Deal:
    return replace(
        Deal(
            contract_id="c",
            interval=Interval(start=START, duration_h=Fraction(2)),
            roles=(Role(name=CONSUMER, holder_id="shop"), Role(name=PROSUMER, holder_id="roof")),
            dues=(Due(payer=CONSUMER, payee=PROSUMER, kind="ENERGY", formula="index * given"),),
            sources=(Source(name="given", kind="METER_READING", meter_id="1"),),
            readings=(reading("10"),),
        ),
        **changes,
    )


# -- signals ----------------------------------------------------------------------------


def test_a_price_holds_until_the_next_and_a_bill_takes_the_mean_by_time():
    block = told(price(D("4.00"), "17:00"), price(D("7.00"), "17:45"), price(D(99), "18:00"))
    assert deals.owed(deal(blocks=(block,)))[0].amount == D("47.50")  # 4 for 45, 7 for 15 minutes


def test_energy_is_priced_at_the_value_when_its_reading_begins():
    block = told(price(D("-2.5"), "17:00"), price(D("3.1"), "18:00"))
    source = Source(name="valued", kind="METER_READING", meter_id="1", signal="index")
    one = deal(
        blocks=(block,),
        sources=(source,),
        dues=(Due(payer=CONSUMER, payee=PROSUMER, kind="ENERGY", formula="valued"),),
        readings=(reading("8"), reading("3", "18:00", "19:00")),
    )
    assert deals.quantities(one)["valued"] == (Fraction(D("-10.7")), "INR")
    assert deals.owed(one)[0] == ("roof", "shop", "ENERGY", D("10.70"))


@pytest.mark.parametrize(
    "block",
    [
        told(),
        told(price(D(4), "17:30")),
        told(price(None, "17:00")),
        told(price(True, "17:00")),
        told(price(D(4), "17:00", timestamp="soon"), price(D(4), "17:00", timestamp="later")),
    ],
)
def test_a_price_that_is_not_in_force_is_no_quantity(block: Block):
    with pytest.raises(DealError, match="index"):
        deals.owed(deal(blocks=(block,)))


def test_the_one_value_that_tells_no_instant_holds_throughout():
    value = price(D(4), "17:00") | {"timestamp": None}
    assert deals.owed(deal(blocks=(told(value),)))[0].amount == D("40.00")


def test_what_is_in_force_within_a_period_is_what_is_told():
    values = signals_in(deal(blocks=(told(*(price(D(n), f"{n}:00") for n in range(14, 21))),)))
    period = period_of(deal(readings=(reading("1", "16:30", "19:00"),)))
    assert period is not None
    assert [s.value for s in during(values, period)] == [16, 17, 18]


def test_a_course_has_a_mean_only_where_it_has_values_throughout():
    ((_, course),) = courses(signals_in(deal(blocks=(told(price(D(4), "17:00")),)))).values()
    start = moment(START)
    assert start is not None
    hour = timedelta(hours=1)
    assert course.over(Period(start, start + hour)) == 4
    assert course.over(Period(start - hour, start + hour)) is None
    assert course.over(Period(start, start)) is None


JUNK = st.recursive(
    st.none() | st.booleans() | st.text(max_size=5) | st.decimals() | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner),
    max_leaves=6,
)
MEMBERS = st.fixed_dictionaries(
    {},
    optional={
        "signalId": JUNK | st.just("index"),
        "signalType": JUNK | st.sampled_from(["PRICE", "STATE"]),
        "value": JUNK | st.decimals(-9, 9, places=2),
        "unit": JUNK | st.just("INR/kWh"),
        "timestamp": JUNK | st.just(START),
        "source": JUNK | st.just({"formula": "index + given"}),
    },
)


@settings(max_examples=60, deadline=None)
@given(st.lists(MEMBERS | JUNK, max_size=4) | JUNK)
def test_nothing_that_is_told_as_a_signal_brings_its_reader_down(data: object):
    block = Block(slot="fulfilment", name="externalSignals", data=data)
    one = deal(blocks=(block,))
    for compute in (deals.owed, accounts.inputs, accounts.totals_after):
        with suppress(DealError):
            compute(one)


def test_a_report_need_not_state_the_columns_of_a_table():
    table = IntervalTable(
        interval=deal().interval,
        columns=(Column(name="price", unit="INR/kWh"),),
        rows=({"price": (D("4"),)},),
    )
    due = Due(payer=CONSUMER, payee=PROSUMER, kind="ENERGY", formula="price * given")
    assert [*accounts.inputs(deal(table=table, dues=(due,)))] == ["inputParameters.given"]


# -- running totals -----------------------------------------------------------------------


def state(value: object, at: str, formula: str) -> dict[str, object]:
    source = {"formula": formula}
    return price(value, at, signalType="STATE", unit="kWh", source=source)


def test_a_total_grows_from_what_it_was_whichever_is_told_first():
    grows = "index + given"
    block = told(state(D("142.5"), "18:00", grows), state(D("132.5"), "17:00", grows))
    assert accounts.totals_after(deal(blocks=(block,)))["index"] == D("142.5")


def test_a_total_of_money_is_rounded_as_payments_are():
    formula = "index - 0.333 * index"
    block = told(state(D("10.01"), "17:00", formula) | {"unit": "INR"})
    assert accounts.totals_after(deal(blocks=(block,)))["index"] == D("6.68")  # 6.67667


def test_a_total_whose_formula_has_another_unit_cannot_be_computed():
    block = told(state(D(1), "17:00", "given / index"))
    with pytest.raises(DealError, match="running total"):
        accounts.totals_after(deal(blocks=(block,)))


# -- promises -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("bound", "target", "penalty"),
    [("AT_LEAST", "10", "0.00"), ("AT_LEAST", "12", "3.00"), ("AT_MOST", "9", "1.50")],
)
def test_a_missed_promise_costs_its_penalty_and_a_kept_one_nothing(
    bound: str, target: str, penalty: str
):
    sorry = Due(payer=PROSUMER, payee=CONSUMER, kind="SORRY", formula="1.5 * abs(target - got)")
    promise = Promise(
        name="got", formula="given", target=D(target), bound=bound, due=sorry, unit="kWh"
    )
    one = deal(blocks=(told(price(D(4), "17:00")),), promises=(promise,))
    assert deals.owed(one)[1] == ("roof", "shop", "SORRY", D(penalty))


# -- corrections --------------------------------------------------------------------------


def flow(payer: str, payee: str, amount: str, kind: str = "ENERGY") -> RevenueFlow:
    return RevenueFlow(payer=payer, payee=payee, kind=kind, amount=D(amount), currency="INR")


def report(*flows: RevenueFlow) -> SettlementReport:
    return SettlementReport(flows=flows, positions=())


def test_the_difference_is_paid_either_way_and_nothing_where_nothing_changes():
    old = report(
        flow("a", "b", "10.00"), flow("a", "b", "1.00", "FEE"), flow("b", "a", "2.00", "P")
    )
    new = report(flow("a", "b", "7.50"), flow("a", "b", "1.00", "FEE"), flow("a", "b", "0.50", "P"))
    assert accounts.difference(old, new) == (flow("b", "a", "2.50"), flow("a", "b", "2.50", "P"))
    assert accounts.difference(new, new) == ()


def test_units_are_compared_as_units():
    assert accounts.same_unit("kW", "kWh/h")
    assert not accounts.same_unit("kWh", "INR/kWh")
    assert not accounts.same_unit("?", None)


# -- the messages -------------------------------------------------------------------------

FULL = deal(
    status="ACTIVE",
    offer_id="o",
    resource_id="energy",
    provider_id="roof",
    customer_id="shop",
    sources=(
        Source(name="valued", kind="METER_READING", meter_id="1", signal="index"),
        Source(name="charged", kind="CHARGE_DATA_RECORD", unit="kWh"),
    ),
    promises=(
        Promise(
            name="got",
            formula="given",
            target=D("9.5"),
            bound="AT_LEAST",
            unit="kWh",
            due=Due(payer=PROSUMER, payee=CONSUMER, kind="SORRY", formula="3"),
        ),
    ),
    settlement=SettlementReport(
        flows=(flow("shop", "roof", "4.00"),),
        positions=(Position(party="roof", value=D("4.00"), currency="INR"),),
        report_id="second",
        generated_at="2031-05-13T00:00:00Z",
        replaces="first",
        inputs=(Term(name="given", value=D(10), unit="kWh"),),
        adjustments=(flow("roof", "shop", "0.40"),),
    ),
)


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_a_report_is_read_as_it_was_written(dialect: Any):
    written = dialect.compose(Reading(envelope=Envelope(action="on_status"), deal=FULL))
    read = dialect.read(written).deal
    assert read is not None
    assert (read.settlement, read.promises, read.sources) == (
        FULL.settlement,
        FULL.promises,
        FULL.sources,
    )


TELLS = ("meter reading", "billing report")
SEQUENCE = (
    Step("1", CONSUMER, PROSUMER, ("init",)),
    Step("2", PROSUMER, CONSUMER, ("on_init",), ("terms", "payment formulas"), ("1",)),
    Step("3", CONSUMER, PROSUMER, ("confirm",), ("terms",), ("2",)),
    Step("4", PROSUMER, CONSUMER, ("on_confirm",), ("terms",), ("3",)),
    Step("5", CONSUMER, PROSUMER, ("status",), (), ("4",)),
    Step("6", PROSUMER, CONSUMER, ("on_status",), TELLS, ("5",)),
    Step("7", CONSUMER, PROSUMER, ("status",), (), ("6",)),
    Step("8", PROSUMER, CONSUMER, ("on_status",), (*TELLS, "completed"), ("7",)),
)
FACTS = Facts(
    parties=(Party("shop", CONSUMER, "9"), Party("roof", PROSUMER, "1")),
    interval=tables.interval("17:00", "19:00"),
    terms={PROSUMER: (Term(name="price", value=D("5.35"), unit="INR/kWh"),)},
    dues=(Due(payer=CONSUMER, payee=PROSUMER, kind="ENERGY", formula="price * given"),),
    sources=(Source(name="given", kind="METER_READING", meter_id="1"),),
    readings=(reading("10"),),
    later=((reading("9"),),),
)


def findings(sandbox: Any, facts: Facts, dialect: str = "contract") -> set[str]:
    scene = Scene(
        feature="x.feature",
        scenario="x",
        seat=PROSUMER,
        dialect=dialect,
        edition={"order": "beckn-2.0.0-rc", "contract": "beckn-2.0.0-lts"}[dialect],
        strictness="strict",
        subject=PROSUMER,
    )
    trace, faults = play(sandbox, scene, SEQUENCE, facts)
    assert faults == []
    return {finding.rule for finding in judge(trace, trace.scene.subject).findings}


def test_an_amended_reading_without_a_correction_is_settled_twice(sandbox: Any):
    assert findings(sandbox, FACTS) == {"STL-007"}


def test_the_next_interval_is_settled_by_itself(sandbox: Any):
    later = ((reading("9", "18:00", "19:00"),),)
    assert findings(sandbox, replace(FACTS, later=later)) == set()


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=lambda dialect: dialect.name)
def test_every_formula_of_a_contract_is_held_constant(dialect: Any):
    total = {"signalId": "used", "signalType": "STATE", "source": {"formula": "used + given"}}
    one = replace(FULL, blocks=(told(total, slot="contract"),))
    written = dialect.compose(Reading(envelope=Envelope(action="on_status"), deal=one))
    stated = {(s.of, s.value) for s in read_stated(dialect.name, written) if s.kind == "formula"}
    assert {("got", "given"), ("penalty of got", "3"), ("signal used", "used + given")} < stated
