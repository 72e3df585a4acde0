"""Loads and responses: baselines, reductions, what a signal asks for, and what strangers write."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwitness import deals, loads
from gridwitness.deals import DealError
from gridwitness.dialects import DIALECTS
from gridwitness.dialects.base import dump_json, parse_json
from gridwitness.dialects.tables import joined, only, without
from gridwitness.errors import UserError
from gridwitness.reference_impl.baseline import BaselineError
from gridwitness.response import response_to
from gridwitness.signals import Signal, write_signal
from gridwitness.steps import tables
from gridwitness.views import (
    Block,
    Column,
    Deal,
    Due,
    Envelope,
    Interval,
    IntervalTable,
    MeterReading,
    Reading,
    Role,
    Source,
    Term,
)

START = "2031-05-12T14:00:00+00:00"
HALVES = Interval(start=START, duration_h=Fraction(1, 2))


def series(unit: str, **columns: list[str]) -> dict[str, Any]:
    rows = zip(*columns.values(), strict=True)
    return {
        "intervalPeriod": {"start": START, "duration": "PT30M"},
        "payloadDescriptors": [{"payloadType": name, "units": unit} for name in columns],
        "intervals": [
            {
                "id": place,
                "payloads": [
                    {"type": name, "values": [Decimal(value)]}
                    for name, value in zip(columns, row, strict=True)
                    if value
                ],
            }
            for place, row in enumerate(rows)
        ],
    }


def block(name: str, data: Any, slot: str = "fulfilment") -> Block:
    return Block(slot=slot, name=name, data=data)


def meter(name: str, baseline: list[str], usage: list[str]) -> dict[str, Any]:
    return {"meterId": name, "telemetry": series("KW", BASELINE=baseline, USAGE=usage)}


def measured(*meters: dict[str, Any], **more: Any) -> Deal:
    """Two half hours: 150 and 120 kW offered at 3.50 and 4.00, with 1.50 for what is missing."""
    columns = {"posted price": "INR/kWh", "shortfall penalty": "INR/kWh", "offered capacity": "kW"}
    values = (("3.5", "1.5", "150"), ("4.0", "1.5", "120"))
    table = IntervalTable(
        interval=HALVES,
        columns=tuple(Column(name=name, unit=unit) for name, unit in columns.items()),
        rows=tuple(
            {name: (Decimal(value),) for name, value in zip(columns, row, strict=True)}
            for row in values
        ),
    )
    formula = (
        "posted_price * min(delivered, offered_capacity * interval)"
        " - shortfall_penalty * max(0, offered_capacity * interval - delivered)"
    )
    blocks = [block("meters", list(meters)), block("methodology", more.pop("by", "5of10"))]
    return Deal(
        contract_id="c",
        status="ACTIVE",
        interval=Interval(start=START, duration_h=Fraction(1)),
        roles=(Role(name="aggregator", holder_id="pool"), Role(name="utility", holder_id="net")),
        dues=(Due(payer="utility", payee="aggregator", kind="REDUCTION", formula=formula),),
        sources=(Source(name="delivered", kind="METER_READING"),),
        table=table,
        blocks=(*blocks, *(block(name, data) for name, data in more.items())),
    )


TWO = (meter("1", ["75", "75"], ["5", "5"]), meter("2", ["100", "100"], ["30", "65"]))


def test_a_reduction_is_settled_at_the_published_amount():
    # 140 of 150 kW and 105 of 120 kW over half an hour each: 237.50 + 198.75 INR.
    (owed,) = deals.owed(measured(*TWO))
    assert (owed.payer, owed.payee, owed.amount) == ("net", "pool", Decimal("436.25"))


def test_a_meter_that_draws_more_takes_nothing_from_the_others():
    more = meter("3", ["10", "10"], ["90", "90"])
    assert loads.reductions_kwh(measured(*TWO, more)) == {0: Fraction(70), 1: Fraction(105, 2)}


def test_a_shortfall_that_costs_more_than_it_earns_is_paid_by_the_seller():
    (owed,) = deals.owed(measured(meter("1", ["75", "75"], ["74", "75"])))
    assert (owed.payer, owed.payee) == ("pool", "net")
    assert owed.amount == Decimal("200.00")  # 1.75 less 111.75 and 90.00


@pytest.mark.parametrize(
    "deal",
    [
        measured(*TWO, pageInfo={"sequence": 1, "isLast": False}),
        measured(*TWO, by="RESOURCE_TELEMETRY"),
        measured(TWO[0], meter("2", ["100", "100"], ["30", ""])),
        replace(
            measured(*TWO),
            blocks=(*measured(*TWO).blocks, block("participatingMeters", ["1", "9"], "contract")),
        ),
    ],
    ids=["a page that others follow", "resources", "an hour unread", "a meter unread"],
)
def test_what_is_not_all_measured_is_not_settled(deal: Deal):
    with pytest.raises(DealError):
        deals.owed(deal)


def test_only_the_meters_that_take_part_deliver():
    deal = measured(*TWO)
    named = block("participatingMeters", ["2"], "contract")
    deal = replace(deal, blocks=(*deal.blocks, named))
    assert loads.reductions_kwh(deal) == {0: Fraction(35), 1: Fraction(35, 2)}


def days(*kwh: tuple[int, int, str]) -> tuple[MeterReading, ...]:
    return tuple(
        MeterReading(
            meter_id="1",
            energy_kwh=Decimal(energy),
            start=f"2031-05-{day:02}T14:{minute:02}:00+00:00",
        )
        for day, minute, energy in kwh
    )


def test_a_baseline_is_the_mean_of_the_days_with_the_most_over_the_whole_event():
    # The 9th has the highest half hour, but the 10th and 11th the highest events.
    history = days((9, 0, "-9"), (9, 30, "0"), (10, 0, "-5"), (10, 30, "-6"), (11, 0, "-6"))
    history += days((11, 30, "-7"))
    (load,) = loads.loads_in(measured(TWO[0]))
    assert loads.baseline_kw("2of3", history, load) == (Fraction(11), Fraction(13))
    with pytest.raises(BaselineError):
        loads.baseline_kw("2of4", history, load)


def service(kind: str, value: str, given_: str, column: str = "POWER", **terms: str) -> Deal:
    signal = Signal("asked", kind, Decimal(value), "Hz", START)
    return Deal(
        contract_id="c",
        interval=Interval(start=START, duration_h=Fraction(1, 2)),
        roles=(
            Role(
                name="aggregator",
                holder_id="pool",
                terms=tuple(Term(name=n, value=Decimal(v), unit="kW") for n, v in terms.items()),
            ),
        ),
        sources=(Source(name="score", kind="INVERTER_DATA", signal="asked", unit="1"),),
        blocks=(
            block("externalSignals", [write_signal(signal)]),
            block("telemetry", series("KW", **{column: [given_]})),
        ),
    )


DROOP = {"nominal": "50", "deadband": "0.02", "droop": "500", "capacity": "60"}


@pytest.mark.parametrize(
    ("frequency", "asked"),
    [("49.98", 0), ("50.02", 0), ("49.97", 5), ("50.06", -20), ("49.80", 60), ("50.9", -60)],
)
def test_a_frequency_asks_by_its_droop_up_to_the_capacity(frequency: str, asked: int):
    response = response_to(service("FREQUENCY", frequency, "0", **DROOP), "asked")
    assert response is not None
    assert response.moments[0].asked == asked


def test_a_response_scores_what_it_does_not_miss_and_earns_what_was_asked_for():
    response = response_to(service("AGC_SETPOINT", "20", "15", capacity="25"), "asked")
    assert response is not None
    assert (response.score, response.energy) == (Fraction(3, 4), Fraction(15, 2))
    too_much = response_to(service("AGC_SETPOINT", "20", "24", capacity="25"), "asked")
    assert too_much is not None
    assert (too_much.score, too_much.energy) == (Fraction(4, 5), Fraction(10))
    against = response_to(service("AGC_SETPOINT", "20", "-15", capacity="25"), "asked")
    assert against is not None
    assert (against.score, against.energy) == (0, 0)


def test_a_voltage_asks_for_reactive_power():
    deal = service("VOLTAGE", "49.9", "3", "REACTIVE_POWER", **DROOP)
    response = response_to(deal, "asked")
    assert response is not None
    assert response.moments[0].asked == 40
    assert response_to(service("VOLTAGE", "49.9", "3", **DROOP), "asked") is None


def test_nothing_asked_for_and_nothing_given_is_a_full_score():
    response = response_to(service("FREQUENCY", "50", "0", **DROOP), "asked")
    assert response is not None
    assert response.score == 1


def test_a_droop_that_is_not_agreed_asks_for_nothing_that_is_known():
    assert response_to(service("FREQUENCY", "49.9", "5", capacity="60"), "asked") is None


@pytest.mark.parametrize("dialect", list(DIALECTS))
def test_a_measurement_reads_back_as_it_was_written(dialect: str):
    told = measured(*TWO, pageInfo={"sequence": 2, "isLast": True})
    envelope = Envelope(action="on_status", message_id="m", transaction_id="t")
    written = DIALECTS[dialect].compose(Reading(envelope=envelope, deal=told))
    read = DIALECTS[dialect].read(parse_json(dump_json(written))).deal
    assert read is not None
    assert read.table is not None
    assert told.table is not None
    assert read.table.rows == told.table.rows
    assert loads.reductions_kwh(read) == loads.reductions_kwh(told)
    assert loads.is_complete(read)


def test_what_is_needed_is_kept_apart_and_joined_again():
    table = measured(*TWO).table
    need, rest = only(table, ("posted price",)), without(table, ("posted price",))
    again = joined(need, rest)
    assert again is not None
    assert table is not None
    assert [dict(row) for row in again.rows] == [dict(row) for row in table.rows]
    assert only(table, ("nothing",)) is None


def test_telemetry_that_says_nothing_is_a_mistake_of_the_feature():
    with pytest.raises(UserError, match="says nothing"):
        tables.telemetered({"meter": "1", "from": "14:00", "until": "15:00", "changes": "leaves"})


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.decimals() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=6,
)
PARTS = ("meters", "methodology", "pageInfo", "baseline", "telemetry", "externalSignals")


@settings(max_examples=60, deadline=None)
@given(part=st.sampled_from(PARTS), data=JSON | st.lists(st.fixed_dictionaries({"meterId": JSON})))
def test_nothing_that_is_written_brings_the_reading_down(part: str, data: Any):
    for deal in (measured(*TWO), service("FREQUENCY", "49.9", "5", **DROOP)):
        others = tuple(one for one in deal.blocks if one.name != part)
        odd = replace(deal, blocks=(*others, block(part, data)))
        with suppress(DealError):
            deals.owed(odd)
        for load in loads.loads_in(odd):
            with suppress(BaselineError):
                loads.baseline_kw(loads.methodology_in(odd), loads.history_in(odd), load)
        response_to(odd, "asked")
