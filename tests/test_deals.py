"""The money of a deal, and that nothing a stranger writes brings the reading of it down."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwitness import deals
from gridwitness.deals import DealError
from gridwitness.views import Block, Deal, Due, Interval, MeterReading, Role, Source, Term

DAY = "2031-05-12T"
TARIFF: dict[str, Any] = {
    "@type": "Tariff",
    "currency": "INR",
    "timeZone": "Asia/Kolkata",
    "elements": [
        {
            "priceComponents": [{"type": "ENERGY", "price": 20, "vat": 18}],
            "restrictions": {"startTime": "18:00", "endTime": "22:00"},
        },
        {"priceComponents": [{"type": "ENERGY", "price": 10, "vat": 18}]},
    ],
}
RECORD: dict[str, Any] = {
    "startDateTime": f"{DAY}17:30:00+05:30",
    "endDateTime": f"{DAY}18:30:00+05:30",
    "currency": "INR",
    "chargingPeriods": [
        {
            "startDateTime": f"{DAY}17:30:00+05:30",
            "dimensions": [{"type": "ENERGY", "volume": 4}, {"type": "TIME", "volume": 1}],
        }
    ],
    "totalEnergy": 4,
    "totalCost": {"exclVat": 60, "inclVat": Decimal("70.80")},
}


def deal(**changes: Any) -> Deal:
    return replace(
        Deal(
            contract_id="c",
            status="ACTIVE",
            provider_id="school",
            customer_id="shop",
            roles=(
                Role(name="consumer", holder_id="shop"),
                Role(
                    name="prosumer",
                    holder_id="school",
                    meter_id="1",
                    terms=(Term(name="price", value=Decimal("5.35"), unit="INR/kWh"),),
                ),
            ),
            dues=(Due(payer="consumer", payee="prosumer", kind="ENERGY", formula="price * given"),),
            sources=(Source(name="given", kind="METER_READING", meter_id="1"),),
            readings=(MeterReading(meter_id="1", energy_kwh=Decimal("3.333")),),
        ),
        **changes,
    )


def charged(record: object = RECORD, tariff: object = TARIFF) -> Deal:
    return deal(
        blocks=(
            Block(slot="contract", name="tariff", data=tariff),
            Block(slot="fulfilment", name="chargeDetailRecord", data=record),
        ),
        dues=(Due(payer="consumer", payee="prosumer", kind="ENERGY", formula="bill"),),
        sources=(Source(name="bill", kind="CHARGE_DATA_RECORD"),),
    )


def test_a_payment_is_its_formula_rounded_once():
    (one,) = deals.owed(deal())
    assert one == ("shop", "school", "ENERGY", Decimal("17.83"))  # 17.83155


def test_readings_of_a_meter_are_summed():
    readings = tuple(MeterReading(meter_id="1", energy_kwh=Decimal(k)) for k in (1, 2))
    assert deals.owed(deal(readings=readings))[0].amount == Decimal("16.05")


def test_a_payment_below_zero_is_paid_the_other_way():
    back = MeterReading(meter_id="1", energy_kwh=Decimal(-2))
    assert deals.owed(deal(readings=(back,)))[0][:2] == ("school", "shop")


def test_a_settlement_leaves_each_party_what_it_is_paid():
    report = deals.settled(deal(), "INR")
    assert {p.party: p.value for p in report.positions} == {
        "shop": Decimal("-17.83"),
        "school": Decimal("17.83"),
    }


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"readings": ()}, "given"),
        (
            {"dues": (Due(payer="consumer", payee="prosumer", kind="E", formula="price *"),)},
            "SYNTAX",
        ),
        ({"dues": (Due(payer="consumer", payee="consumer", kind="E", formula="1"),)}, "itself"),
        ({"dues": (Due(payer="consumer", payee="prosumer", kind="E", formula="given"),)}, "money"),
    ],
)
def test_what_cannot_be_computed_says_why(changes: dict[str, Any], why: str):
    with pytest.raises(DealError, match=why):
        deals.owed(deal(**changes))


def test_a_record_is_priced_minute_by_minute():
    record, tariff = deals.record_in(charged()), deals.tariff_in(charged())
    assert record is not None
    assert tariff is not None
    priced = deals.session_cost(tariff, record.periods)
    assert deals.invoice(charged(), priced) == (Decimal("60.00"), Decimal("70.80"))
    assert deals.owed(charged())[0].amount == Decimal("70.80")


def test_a_bill_sums_to_what_it_costs():
    record, tariff = deals.record_in(charged()), deals.tariff_in(charged())
    assert record is not None
    assert tariff is not None
    priced = deals.session_cost(tariff, record.periods)
    bill = deals.tariff_bill(charged(), priced, Decimal(4), is_due=True)
    assert sum(part.amount for part in bill.parts) == bill.value == Decimal("70.80")
    assert [part.kind for part in bill.parts] == ["UNIT", "TAX"]


def test_a_quote_takes_the_energy_evenly_over_the_interval():
    tariff = deals.read_tariff(TARIFF)
    interval = Interval(start=f"{DAY}17:00:00+05:30", duration_h=Fraction(2))
    priced = deals.trade_cost(tariff, interval, Decimal(4))
    assert deals.invoice(charged(), priced).excl_vat == Decimal("60.00")


@pytest.mark.parametrize(
    "record",
    [
        RECORD | {"chargingPeriods": []},
        RECORD | {"endDateTime": f"{DAY}17:00:00+05:30"},
        RECORD | {"endDateTime": "soon"},
        [],
    ],
)
def test_a_record_that_is_no_session_is_told(record: object):
    with pytest.raises(DealError):
        deals.record_in(charged(record))


def test_a_session_of_a_thousand_years_is_not_priced():
    record = deals.record_in(charged(RECORD | {"endDateTime": "3031-05-12T18:30:00+05:30"}))
    assert record is not None
    with pytest.raises(DealError, match="longer"):
        deals.session_cost(deals.read_tariff(TARIFF), record.periods)
    interval = Interval(start=f"{DAY}17:00:00+05:30", duration_h=Fraction(10**6))
    with pytest.raises(DealError, match="longer"):
        deals.trade_cost(deals.read_tariff(TARIFF), interval, Decimal(4))


LEAVES = st.none() | st.booleans() | st.integers() | st.decimals() | st.text(max_size=6)
JSON = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=6,
)


def spoilt(block: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Draw a block in which one member somewhere is anything at all."""
    paths = [path for path, _ in _walk(block)]

    def replaced(drawn: tuple[tuple[str | int, ...], Any]) -> Any:
        path, value = drawn
        copy = json.loads(json.dumps(block, default=float), parse_float=Decimal)
        if not path:
            return value
        holder = copy
        for key in path[:-1]:
            holder = holder[key]
        holder[path[-1]] = value
        return copy

    return st.tuples(st.sampled_from(paths), JSON).map(replaced)


def _walk(value: Any, path: tuple[str | int, ...] = ()) -> list[tuple[tuple[str | int, ...], Any]]:
    found = [(path, value)]
    if isinstance(value, dict):
        for key, item in value.items():
            found += _walk(item, (*path, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found += _walk(item, (*path, index))
    return found


@given(record=spoilt(RECORD), tariff=spoilt(TARIFF))
@settings(max_examples=300, deadline=None, derandomize=True)
def test_whatever_stands_in_a_block_is_priced_or_told(record: Any, tariff: Any):
    one = charged(record, tariff)
    with suppress(DealError):
        read, prices = deals.record_in(one), deals.tariff_in(one)
        if read is not None and prices is not None:
            assert deals.invoice(one, deals.session_cost(prices, read.periods)).incl_vat.is_finite()
        assert all(owed.amount >= 0 for owed in deals.owed(one))


def test_instants_without_a_zone_are_utc():
    record = deals.read_record(RECORD | {"endDateTime": "2031-05-12T14:00:00"})
    assert record.periods[-1].end == datetime.fromisoformat("2031-05-12T14:00:00+00:00")
