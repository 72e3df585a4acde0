"""Trades by interval: what is paid, who is told what, and what cannot be read or computed."""

from __future__ import annotations

import os
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gridwitness import deals
from gridwitness.deals import DealError
from gridwitness.dialects import DIALECTS
from gridwitness.dialects.base import parse_json
from gridwitness.dialects.deals import camel, upper, words
from gridwitness.errors import UserError
from gridwitness.mocks.exchange import narrowed
from gridwitness.reference_impl.allocation import Rates, Trade, settle_trade
from gridwitness.steps import tables
from gridwitness.story import BUYER_PLATFORM, BUYER_UTILITY, SELLER_PLATFORM, SELLER_UTILITY
from gridwitness.views import (
    Block,
    Column,
    Deal,
    Due,
    Interval,
    IntervalTable,
    MeterReading,
    Role,
    Source,
    Term,
)

ROLES = (BUYER_PLATFORM, SELLER_PLATFORM, BUYER_UTILITY, SELLER_UTILITY)
RATES = {"wheeling_in": "0.28", "wheeling_out": "0.32", "penalty": "0.65"}
DUES = (
    Due(payer=ROLES[0], payee=ROLES[1], kind="ENERGY", formula="price * final_allocation"),
    Due(payer=ROLES[0], payee=ROLES[2], kind="WHEELING", formula="wheeling_in * final_allocation"),
    Due(payer=ROLES[1], payee=ROLES[3], kind="WHEELING", formula="wheeling_out * final_allocation"),
    Due(
        payer=ROLES[1],
        payee=ROLES[3],
        kind="DEVIATION_PENALTY",
        formula="penalty * (requested - final_allocation)",
    ),
)
FROM = "2031-05-12T10:00:00+05:30"
WH = st.integers(0, 50_000).map(lambda wh: Decimal(wh) / 1000)
PRICES = st.integers(-2_000, 20_000).map(lambda paise: Decimal(paise) / 100)


def trade(*rows: tuple[Decimal, Decimal, Decimal], dues: tuple[Due, ...] = DUES) -> Deal:
    """Write a deal whose intervals have a price, what was requested, and what is final."""
    terms = tuple(Term(name=n, value=Decimal(v), unit="INR/kWh") for n, v in RATES.items())
    return Deal(
        contract_id="c",
        provider_id=camel(ROLES[1]),
        customer_id=camel(ROLES[0]),
        roles=tuple(
            Role(
                name=name,
                holder_id=camel(name),
                meter_id=f"meter of {name}",
                terms=terms if name == SELLER_PLATFORM else (),
            )
            for name in ROLES
        ),
        dues=dues,
        table=IntervalTable(
            interval=Interval(start=FROM, duration_h=Fraction(1)),
            columns=(
                Column(name="price", unit="INR/kWh", role=SELLER_PLATFORM),
                Column(name="requested", unit="kWh", role=BUYER_PLATFORM),
                Column(name="final allocation", unit="kWh", role=SELLER_UTILITY),
            ),
            rows=tuple(
                {"price": (price,), "requested": (wanted,), "final allocation": (final,)}
                for price, wanted, final in rows
            ),
        ),
    )


# What is paid.


@given(rows=st.lists(st.tuples(PRICES, WH, WH), min_size=1, max_size=5))
def test_the_formulas_of_a_trade_come_to_what_the_reference_settles(
    rows: list[tuple[Decimal, Decimal, Decimal]],
):
    rows = [(price, max(one, other), min(one, other)) for price, one, other in rows]
    agreed = [Trade("c", n, "b", "s", kwh, price) for n, (price, kwh, _) in enumerate(rows)]
    rates = Rates(*(Decimal(rate) for rate in RATES.values()))
    right = settle_trade(rates, agreed, {n: final for n, (*_, final) in enumerate(rows)})
    owed = [one for one in deals.owed(trade(*rows)) if one.amount]
    assert [tuple(one) for one in owed] == [tuple(flow)[:4] for flow in right]


def test_each_payment_is_summed_before_it_is_rounded():
    thrice = [(Decimal("0.005"), Decimal(1), Decimal(1))] * 3
    energy, *_ = deals.owed(trade(*thrice))
    assert energy.amount == Decimal("0.02")  # 0.015, and not three times 0.01


def test_what_a_meter_registered_in_an_interval_has_a_name_there():
    due = Due(payer=ROLES[0], payee=ROLES[1], kind="ENERGY", formula="price * min(sold, requested)")
    two = trade((Decimal(2), Decimal(5), Decimal(0)), (Decimal(3), Decimal(5), Decimal(0)))
    starts = ("2031-05-12T04:30:00Z", "2031-05-12T11:00:00+05:30", "2031-05-12T11:30:00+05:30")
    readings = tuple(
        MeterReading(meter_id="s", energy_kwh=Decimal(kwh), start=start)
        for start, kwh in zip(starts, ("4", "1.5", "1"), strict=True)
    )
    sources = (Source(name="sold", kind="METER_READING", meter_id="s"),)
    (paid,) = deals.owed(replace(two, dues=(due,), sources=sources, readings=readings))
    assert paid.amount == Decimal("15.50")  # 4 kWh at 2 and 2.5 kWh at 3


def test_an_interval_without_a_value_cannot_be_paid():
    whole = trade((Decimal(2), Decimal(5), Decimal(5)))
    table = whole.table
    assert table is not None
    bare = replace(whole, table=replace(table, rows=({"price": (Decimal(2),)},)))
    with pytest.raises(DealError, match="final_allocation"):
        deals.owed(bare)


def test_more_intervals_than_anybody_trades_are_told_and_not_computed():
    row = (Decimal(1), Decimal(1), Decimal(1))
    with pytest.raises(DealError, match="too many"):
        deals.owed(trade(*[row] * 20_000))


TARIFF = {
    "@type": "Tariff",
    "tariffId": "t",
    "currency": "INR",
    "timeZone": "Asia/Kolkata",
    "elements": [{"priceComponents": [{"type": "ENERGY", "price": Decimal(10)}]}],
}


def metered(*readings: tuple[str, str, str]) -> Deal:
    """Write a deal by tariff whose meter registered something from one instant to another."""
    return Deal(
        sources=(Source(name="bill", kind="CHARGE_DATA_RECORD", meter_id="s"),),
        blocks=(Block(slot="contract", name="tariff", data=TARIFF),),
        readings=tuple(
            MeterReading(
                meter_id="s",
                energy_kwh=Decimal(kwh),
                start=f"2031-05-12T{start}:00+05:30",
                end=f"2031-05-12T{end}:00+05:30",
            )
            for start, end, kwh in readings
        ),
    )


def test_readings_are_the_record_where_there_is_none():
    deal = metered(("11:00", "12:00", "2"), ("10:00", "11:00", "1.5"))
    assert [period.energy_kwh for period in deals.session(deal)] == [Decimal("1.5"), Decimal(2)]
    assert deals.quantities(deal)["bill"].value == Decimal("35.00")


def test_readings_that_overlap_are_billed_by_nobody():
    with pytest.raises(DealError, match="follow"):
        deals.session(metered(("10:00", "11:00", "1"), ("10:30", "11:30", "1")))


def test_a_reading_of_no_time_has_no_price():
    whole = MeterReading(meter_id="s", energy_kwh=Decimal(1))
    assert deals.session(replace(metered(), readings=(whole,))) == ()


# Who is told what.


def test_the_utility_of_one_side_is_told_energy_and_the_meter_of_its_customer():
    told = narrowed(
        trade((Decimal(2), Decimal(5), Decimal(5))), teller=SELLER_PLATFORM, third=SELLER_UTILITY
    )
    assert {role.meter_id for role in told.roles} == {None, f"meter of {SELLER_PLATFORM}"}
    assert not any(role.terms for role in told.roles)
    assert told.dues == told.sources == ()
    assert told.table is not None
    assert [column.name for column in told.table.columns] == ["requested", "final allocation"]
    assert told.table.values("price") == (None,)
    assert told.table.values("requested") == (Decimal(5),)


@pytest.mark.parametrize("role", ROLES)
def test_a_role_is_read_in_the_spelling_of_either_dialect(role: str):
    assert words(camel(role)) == words(upper(role)) == role


def test_the_published_roles_and_columns_are_recognised():
    root = os.environ.get("GRIDWITNESS_UPSTREAM")
    if root is None:
        pytest.skip("no published messages here")
    name = "examples/p2p-trading-wave2/examples/on-status-response-settled.json"
    deal = DIALECTS["contract"].read(parse_json((Path(root) / name).read_bytes())).deal
    assert deal is not None
    assert deal.table is not None
    assert {role.name for role in deal.roles} == set(ROLES)
    final, price = deal.table.column("final allocation"), deal.table.column("price")
    assert final is not None
    assert (final.role, final.unit) == (SELLER_UTILITY, "kWh")
    assert price is not None
    assert (price.role, price.unit) == (SELLER_PLATFORM, "INR/kWh")
    assert deal.table.values("final allocation") == (Decimal("18.5"), Decimal("14.2"))


# The table of a feature.


def test_what_stands_in_a_row_of_nobody_holds_for_all():
    read = tables.intervals(
        [
            {"from": "10:00", "until": "11:00", "price": "2 INR/kWh"},
            {"from": "11:00", "until": "12:00", "price": "3 INR/kWh"},
            {"party": "shop", "from": "11:00", "until": "12:00", "requested": "4 kWh"},
        ]
    )
    assert read["shop"].values("price") == (Decimal(2), Decimal(3))
    assert read["shop"].values("requested") == (None, Decimal(4))
    assert read[""].values("requested") == (None, None)
    assert read["shop"].interval == tables.interval("10:00", "11:00")


def test_the_steps_of_an_offer_stand_in_one_cell():
    row = {"from": "10:00", "until": "11:00", "offered capacity": "20 kW, 50 kW"}
    assert tables.intervals([row])[""].rows[0]["offered capacity"] == (Decimal(20), Decimal(50))


@pytest.mark.parametrize(
    ("rows", "what"),
    [
        ([("10:00", "11:00", "1 kWh"), ("11:30", "12:30", "1 kWh")], "does not follow"),
        ([("10:00", "11:00", "1 kWh"), ("11:00", "11:30", "1 kWh")], "does not follow"),
        ([("10:00", "11:00", "1 kWh"), ("11:00", "12:00", "1 kW")], "no quantity in kWh"),
        ([("10:00", "11:00", "much")], "no quantity"),
    ],
)
def test_intervals_that_are_none_are_told(rows: list[tuple[str, str, str]], what: str):
    with pytest.raises(UserError, match=what):
        tables.intervals([dict(zip(("from", "until", "requested"), r, strict=True)) for r in rows])
