"""Tariffs: OCPI's own examples, the days on which clocks are set, and a price minute by minute."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from fractions import Fraction
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gridwitness.reference_impl.tariff import (
    DAYS,
    Amount,
    ChargingPeriod,
    Cost,
    Element,
    PriceComponent,
    Restrictions,
    Tariff,
    TariffError,
    cost,
    cost_of_trade,
    offer_curve,
    price_at,
)

BERLIN, KOLKATA = "Europe/Berlin", "Asia/Kolkata"
MONDAY = datetime(2026, 1, 12, tzinfo=UTC)
HOUR, MINUTE, MICROSECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(microseconds=1)
WEEKDAYS = DAYS[:5]


def price(kind: str, amount: str, vat: str | None = None, step: int = 1) -> PriceComponent:
    return PriceComponent(kind, Decimal(amount), None if vat is None else Decimal(vat), step)


def element(*prices: PriceComponent, **restrictions: object) -> Element:
    return Element(prices, Restrictions(**restrictions))


def tariff(*elements: Element, zone: str | None = "UTC", **limits: Amount) -> Tariff:
    return Tariff("EUR", elements, zone, **limits)


def always(*prices: PriceComponent, **limits: Amount) -> Tariff:
    return tariff(element(*prices), **limits)


def limit(excl_vat: str, incl_vat: str) -> Amount:
    return Amount(Decimal(excl_vat), Decimal(incl_vat))


def at(text: str, zone: str = "UTC") -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo(zone))


def session(start: datetime, *parts: tuple[str, str] | tuple[str, str, str]):
    """A session of parts: so many minutes; of energy in kWh or 'parked'; at a power in kW."""
    periods = []
    for minutes, energy, *power in parts:
        parked = energy == "parked"
        periods.append(
            ChargingPeriod(
                start,
                start + int(minutes) * MINUTE,
                Decimal(0 if parked else energy),
                Decimal(power[0]) if power else None,
                parked,
            )
        )
        start = periods[-1].end
    return periods


def totals(result: Cost) -> tuple[Fraction, Fraction]:
    return tuple(result.total)


def quantities(result: Cost, kind: str) -> list[Fraction]:
    return [line.quantity for line in result.lines if line.dimension == kind]


def sold(result: Cost) -> list[tuple[str, Fraction, Decimal | None]]:
    """Where each line begins, in UTC, how much it bills, and at which price."""
    return [
        (f"{x.start:%H:%M}", x.quantity, x.component and x.component.price) for x in result.lines
    ]


def exact(*numbers: str) -> tuple[Fraction, ...]:
    return tuple(Fraction(number) for number in numbers)


# The examples of OCPI 2.2.1, mod_cdrs and mod_tariffs, in our own words.


@pytest.mark.parametrize(
    ("step_wh", "amount"), [(1, "0.029"), (25, "0.03125"), (500, "0.125"), (116, "0.029")]
)
def test_energy_is_billed_in_whole_steps(step_wh: int, amount: str):
    # 115.2 Wh are 116, 125 or 500 Wh of 0.25 per kWh.
    spent = cost_of_trade(
        always(price("ENERGY", "0.25", step=step_wh)), MONDAY, MONDAY + HOUR, Decimal("0.1152")
    )
    assert spent.total.excl_vat == Fraction(amount)


def test_the_step_of_energy_counts_once_on_the_sum_of_the_session():
    # 4.3 kWh before 17:00 and 1.1 after are 5.4, billed as 5.5: the last 1.1 become 1.2, not 1.5.
    two = tariff(
        element(price("ENERGY", "0.20", step=500), end_time=time(17)),
        element(price("ENERGY", "0.27", step=500)),
    )
    spent = cost(two, session(MONDAY + 16 * HOUR, ("60", "4.3"), ("60", "1.1")))
    assert quantities(spent, "ENERGY") == list(exact("4.3", "1.2"))
    assert spent.total.excl_vat == Fraction("0.86") + Fraction("0.324")


def test_the_step_of_time_counts_once_on_the_sum_of_the_session():
    # 6 minutes at 5 and 22 at 7 are 28, billed as 30: 24 at 7.
    two = tariff(
        element(price("TIME", "5", step=600), end_time=time(17)),
        element(price("TIME", "7", step=600)),
    )
    spent = cost(two, session(MONDAY + 17 * HOUR - 6 * MINUTE, ("28", "3")))
    assert quantities(spent, "TIME") == [Fraction(6, 60), Fraction(24, 60)]
    assert spent.total.excl_vat == Fraction("3.3")


@pytest.mark.parametrize(
    ("step_s", "charging", "parking", "billed"), [(600, 21, 16, 20), (300, 21, 7, 10)]
)
def test_only_the_time_spent_last_is_rounded(step_s: int, charging: int, parking: int, billed: int):
    both = always(price("TIME", "1", step=step_s), price("PARKING_TIME", "2", step=step_s))
    spent = cost(both, session(MONDAY, (str(charging), "3"), (str(parking), "parked")))
    assert quantities(spent, "TIME") == [Fraction(charging, 60)]
    assert quantities(spent, "PARKING_TIME") == [Fraction(billed, 60)]


def test_who_parks_first_and_charges_last_pays_whole_steps_of_charging():
    both = always(price("TIME", "1", step=600), price("PARKING_TIME", "2", step=600))
    spent = cost(both, session(MONDAY, ("16", "parked"), ("21", "3")))
    assert quantities(spent, "PARKING_TIME") == [Fraction(16, 60)]
    assert quantities(spent, "TIME") == [Fraction(30, 60)]


STEPS = tariff(
    element(price("TIME", "1.20", step=1800), end_time=time(17)),
    element(price("TIME", "2.40", step=900)),
    element(price("PARKING_TIME", "1.00", step=900), end_time=time(20)),
)


@pytest.mark.parametrize(
    ("start", "parts", "amount"),
    [
        # 5 minutes at 1.20 and 5 at 2.40, then 2 parked, billed as 15.
        ("16:55", (("10", "1"), ("2", "parked")), "0.55"),
        # 25 minutes at 1.20, and 10 at 2.40 that become 20: 45 in all.
        ("16:35", (("35", "1"),), "1.30"),
        # 12 minutes at 2.40, and parked for 8 until it is free, billed as 15.
        ("19:40", (("12", "1"), ("20", "parked")), "0.73"),
    ],
)
def test_the_last_price_of_a_session_gives_the_step(start: str, parts, amount: str):
    spent = cost(STEPS, session(at(f"2026-01-12T{start}"), *parts))
    assert spent.total.excl_vat == Fraction(amount)


def test_what_is_free_for_lack_of_a_price_is_reported_and_not_rounded():
    spent = cost(STEPS, session(at("2026-01-12T19:40"), ("12", "1"), ("20", "parked")))
    [free] = spent.uncovered
    assert (free.start, free.end) == (at("2026-01-12T20:00"), at("2026-01-12T20:12"))
    assert (free.dimension, free.quantity, free.amount) == ("PARKING_TIME", Fraction(1, 5), (0, 0))


ENERGY, START = price("ENERGY", "0.25", "10"), price("FLAT", "0.50", "20")


@pytest.mark.parametrize(
    ("prices", "parts", "amounts"),
    [
        ([ENERGY], [("60", "20")], ("5", "5.5")),
        ([ENERGY, START], [("60", "20")], ("5.5", "6.1")),
        (
            [ENERGY, START, price("PARKING_TIME", "2", "20", 900)],
            [("60", "20"), ("40", "parked")],
            ("7", "7.9"),
        ),
        ([price("TIME", "2", "10", 60)], [("150", "9")], ("5", "5.5")),
        (
            [price("TIME", "3", "10", 60), price("PARKING_TIME", "5", "20", 300)],
            [("150", "9"), ("42", "parked")],
            ("11.25", "12.75"),
        ),
        ([price("FLAT", "0.00")], [("60", "20")], ("0", "0")),
    ],
)
def test_prices_of_several_dimensions_add_up(prices, parts, amounts):
    assert totals(cost(always(*prices), session(MONDAY, *parts))) == exact(*amounts)


@pytest.mark.parametrize(
    ("energy_kwh", "amounts"),
    [("20", ("5", "5.5")), ("1.5", ("0.5", "0.55")), ("0", ("0.5", "0.55"))],
)
def test_a_session_costs_its_minimum(energy_kwh: str, amounts):
    spent = cost(
        always(ENERGY, min_price=limit("0.50", "0.55")), session(MONDAY, ("60", energy_kwh))
    )
    assert totals(spent) == exact(*amounts)


@pytest.mark.parametrize(("energy_kwh", "amounts"), [("50", ("10", "11")), ("30", ("8", "8.85"))])
def test_a_session_costs_its_maximum(energy_kwh: str, amounts):
    capped = always(ENERGY, START, max_price=limit("10", "11"))
    assert totals(cost(capped, session(MONDAY, ("60", energy_kwh)))) == exact(*amounts)


def test_power_decides_between_prices():
    # Below 16 kW 0.20, below 32 kW 0.35, else 0.50: 1 kWh at 6 kW, 40 at 48, 0.5 at 4.
    by_power = tariff(
        element(price("ENERGY", "0.20"), max_power=Decimal(16)),
        element(price("ENERGY", "0.35"), max_power=Decimal(32)),
        element(price("ENERGY", "0.50")),
    )
    spent = cost(by_power, session(MONDAY, ("10", "1", "6"), ("50", "40", "48"), ("8", "0.5", "4")))
    assert spent.total.excl_vat == Fraction("20.30")
    # Without a measured power it is the mean: 40 kWh in 50 minutes are 48 kW.
    assert cost(by_power, session(MONDAY, ("50", "40"))).total.excl_vat == 20


def test_a_period_is_cut_where_the_duration_of_the_session_changes_the_price():
    # Half an hour free, then 0.25, from one hour 0.40: 6.2 kWh in 40 minutes, of which 5 in 30.
    by_duration = tariff(
        element(price("ENERGY", "0"), max_duration=Decimal(1800)),
        element(price("ENERGY", "0.25"), max_duration=Decimal(3600)),
        element(price("ENERGY", "0.40"), min_duration=Decimal(3600)),
        zone=None,
    )
    spent = cost(by_duration, session(MONDAY, ("30", "5"), ("10", "1.2")))
    assert spent.total.excl_vat == Fraction("0.30")
    # 9 kWh in 90 minutes: 3 in each half hour.
    assert cost(by_duration, session(MONDAY, ("90", "9"))).total.excl_vat == Fraction("1.95")


# The rest is ours.


def test_tiers_of_energy_are_crossed_in_the_middle_of_a_period():
    # 1 kWh free, up to 3 at 0.20, then 0.30; 7 kWh evenly in an hour, cut after 1/7 and 3/7 of it.
    tiers = tariff(
        element(price("ENERGY", "0"), max_kwh=Decimal(1)),
        element(price("ENERGY", "0.20"), min_kwh=Decimal(1), max_kwh=Decimal(3)),
        element(price("ENERGY", "0.30"), min_kwh=Decimal(3)),
        zone=None,
    )
    spent = cost(tiers, session(MONDAY, ("60", "7")))
    assert quantities(spent, "ENERGY") == [1, 2, 4]
    assert spent.total.excl_vat == Fraction("1.60")
    # 3600/7 s is no whole number of microseconds: the instant is cut to one, the energy is not.
    assert spent.lines[1].start == MONDAY + timedelta(microseconds=3600 * 10**6 // 7)
    # What was used before counts: 2.5 and 2 kWh are a free one, two at 0.20, 1.5 at 0.30.
    again = cost(tiers, session(MONDAY, ("60", "2.5"), ("60", "0"), ("60", "2")))
    assert quantities(again, "ENERGY") == list(exact("1", "1.5", "0.5", "1.5"))
    assert again.total.excl_vat == Fraction("0.85")


EVENING = {"start_time": time(18), "end_time": time(22), "day_of_week": WEEKDAYS}
OF_THE_DAY = (
    element(price("ENERGY", "8", "18"), **EVENING),
    element(price("ENERGY", "3", "18"), start_time=time(22), end_time=time(6)),
    element(price("ENERGY", "5", "18"), start_time=time(6), end_time=time(18)),
)
INDIAN = tariff(*OF_THE_DAY, zone=KOLKATA)


def test_a_trade_over_night_is_priced_by_the_local_clock():
    # Friday 18:00 to Saturday 06:00 in India, 1 kWh an hour: 4 at 8.00, 8 at 3.00, VAT 18 %.
    start = at("2026-01-16T18:00", KOLKATA)
    spent = cost_of_trade(INDIAN, start, start + 12 * HOUR, 12)
    assert sold(spent) == [("12:30", 4, 8), ("16:30", 8, 3)]
    assert totals(spent) == exact("56", "66.08")
    assert spent.by_dimension == {"ENERGY": spent.total}
    # By the clock of UTC the same instants are 12:30 to 00:30.
    by_utc = cost_of_trade(replace(INDIAN, time_zone="UTC"), start, start + 12 * HOUR, 12)
    assert by_utc.total.excl_vat == Fraction("5.5") * 5 + 4 * 8 + Fraction("2.5") * 3


def test_an_evening_of_the_weekend_is_not_covered():
    start = at("2026-01-17T17:00", KOLKATA)
    spent = cost_of_trade(INDIAN, start, start + 6 * HOUR, 6)
    assert sold(spent) == [("11:30", 1, 5), ("12:30", 4, None), ("16:30", 1, 3)]
    assert [line.quantity for line in spent.uncovered] == [4]
    assert spent.total.excl_vat == 8
    assert price_at(INDIAN, at("2026-01-17T18:00", KOLKATA)) is None


def test_a_dimension_without_any_price_is_no_gap():
    assert cost(always(price("TIME", "2")), session(MONDAY, ("60", "20"))).uncovered == []


NIGHT = (element(price("ENERGY", "2"), start_time=time(22), end_time=time(6)),)
DAY_AND_NIGHT = tariff(*NIGHT, element(price("ENERGY", "5")), zone=BERLIN)


@pytest.mark.parametrize(
    ("day", "hours", "night"), [("2026-03-28", 24, 8), ("2026-03-29", 23, 7), ("2026-10-25", 25, 9)]
)
def test_a_day_has_the_hours_that_its_clock_gives_it(day: str, hours: int, night: int):
    # From midnight to midnight, 1 kWh an hour that passes: nights at 2, the 16 hours of day at 5.
    start = at(f"{day}T00:00", BERLIN)
    spent = cost_of_trade(DAY_AND_NIGHT, start, start + timedelta(days=1), hours)
    assert spent.total.excl_vat == night * 2 + 16 * 5
    assert [line.quantity for line in spent.lines] == [night - 2, 16, 2]


@pytest.mark.parametrize("late", [0, 17])
@pytest.mark.parametrize(
    ("day", "window", "covered"),
    [
        # 02:00 is 03:00: a window begins when the clock has passed its start, one within is none.
        ("2026-03-29", ((2, 30), (5, 0)), ["01:00"]),
        ("2026-03-29", ((2, 0), (3, 0)), []),
        ("2026-03-29", ((1, 30), (2, 30)), ["00:30"]),
        # 03:00 is 02:00 again: what lies in the hour comes twice.
        ("2026-10-25", ((2, 0), (2, 30)), ["00:00", "01:00"]),
        ("2026-10-25", ((1, 0), (2, 30)), ["23:00", "01:00"]),
        ("2026-10-25", ((2, 30), (4, 0)), ["00:30", "01:30"]),
    ],
)
def test_a_window_meets_the_hour_that_the_clock_skips_or_repeats(day, window, covered, late):
    start, end = (time(*clock) for clock in window)
    watched = tariff(element(price("ENERGY", "1"), start_time=start, end_time=end), zone=BERLIN)
    begin = at(f"{day}T00:00", BERLIN) + late * MINUTE
    spent = cost_of_trade(watched, begin, begin + 10 * HOUR, 12)
    assert [start for start, _, cost_ in sold(spent) if cost_ is not None] == covered


def test_the_hours_of_a_repeated_window_are_counted():
    # 01:00 to 02:30, then 02:00 to 02:30 again: two hours, of the seven before six o'clock.
    watched = tariff(
        element(price("ENERGY", "1"), start_time=time(1), end_time=time(2, 30)), zone=BERLIN
    )
    midnight = at("2026-10-25T00:00", BERLIN)
    spent = cost_of_trade(watched, midnight, midnight.replace(hour=6), 7)
    assert sold(spent) == [
        ("22:00", 1, None),
        ("23:00", Fraction(3, 2), 1),
        ("00:30", Fraction(1, 2), None),
        ("01:00", Fraction(1, 2), 1),
        ("01:30", Fraction(7, 2), None),
    ]


def test_days_and_dates_cut_a_window_at_midnight():
    # Fridays from 22:00 to 06:00: the first six hours of a Friday, and its last two.
    fridays = tariff(
        element(
            price("ENERGY", "1"),
            start_time=time(22),
            end_time=time(6),
            day_of_week=("FRIDAY",),
            start_date=date(2026, 1, 16),
            end_date=date(2026, 1, 23),
        ),
        zone=KOLKATA,
    )
    start = at("2026-01-08T12:10", KOLKATA)
    spent = cost_of_trade(fridays, start, start + timedelta(days=21), 21 * 24)
    covered = [(line.start, line.quantity) for line in spent.lines if line.component]
    assert covered == [
        (at("2026-01-16T00:00", KOLKATA), 6),
        (at("2026-01-16T22:00", KOLKATA), 2),
    ]


def test_a_day_ends_at_midnight_however_soon_the_trade_does():
    fridays = tariff(element(price("ENERGY", "1"), day_of_week=("FRIDAY",)), zone=KOLKATA)
    start = at("2026-01-16T23:50", KOLKATA)
    assert sold(cost_of_trade(fridays, start, start + 20 * MINUTE, 2)) == [
        ("18:20", 1, 1),
        ("18:30", 1, None),
    ]


def test_a_window_without_one_end_runs_to_midnight_and_one_of_equal_ends_all_day():
    late = tariff(element(price("ENERGY", "1"), start_time=time(18)))
    early = tariff(element(price("ENERGY", "1"), end_time=time(4)))
    whole = tariff(element(price("ENERGY", "1"), start_time=time(8), end_time=time(8)))
    day = (MONDAY, MONDAY + timedelta(days=1), 24)
    assert [cost_of_trade(one, *day).total.excl_vat for one in (late, early, whole)] == [6, 4, 24]


def test_a_flat_fee_is_due_once_when_one_first_applies():
    fees = tariff(
        element(price("FLAT", "3"), start_time=time(17), end_time=time(18)),
        element(price("FLAT", "9"), start_time=time(19)),
    )
    spent = cost(fees, session(MONDAY + 16 * HOUR, ("30", "1"), ("60", "1"), ("300", "parked")))
    assert [(line.start, line.quantity) for line in spent.lines] == [(MONDAY + 17 * HOUR, 1)]
    assert spent.total.excl_vat == 3
    assert cost(fees, session(MONDAY, ("1440", "1"))).total.excl_vat == 3
    assert cost(fees, session(MONDAY, ("30", "1"))).lines == ()


def test_totals_are_given_by_dimension():
    spent = cost(always(ENERGY, START), session(MONDAY, ("60", "20")))
    assert spent.by_dimension == {
        "ENERGY": exact("5", "5.5"),
        "FLAT": exact("0.5", "0.6"),
    }


def test_the_clock_of_a_zone_is_not_mistaken_for_time():
    # Both instants in Berlin, eight hours of the clock apart, seven in truth.
    night = ChargingPeriod(at("2026-03-28T22:00", BERLIN), at("2026-03-29T06:00", BERLIN), 7)
    assert quantities(cost(always(price("TIME", "1")), [night]), "TIME") == [7]
    # 00:30 UTC is the second 02:30, and comes after the first.
    first, second = at("2026-10-25T02:30", BERLIN), at("2026-10-25T02:30", BERLIN).replace(fold=1)
    hour = cost(always(price("TIME", "1")), [ChargingPeriod(first, second)])
    assert quantities(hour, "TIME") == [1]


# Rounding.


@pytest.mark.parametrize(
    ("rounding", "minor_unit", "vat_per", "amounts"),
    [
        # 0.375 and 0.045 are 0.42: two lines of 0.125 and 0.250, VAT 0.015 and 0.030.
        ("HALF_UP", 2, "LINE", ("0.38", "0.43")),
        ("HALF_UP", 2, "TOTAL", ("0.38", "0.43")),
        ("HALF_EVEN", 2, "LINE", ("0.38", "0.43")),
        ("HALF_EVEN", 2, "TOTAL", ("0.38", "0.42")),
        ("HALF_UP", 3, "LINE", ("0.375", "0.420")),
        ("HALF_UP", 0, "TOTAL", ("0", "0")),
    ],
)
def test_a_total_is_rounded_once(rounding: str, minor_unit: int, vat_per, amounts):
    two = tariff(
        element(price("ENERGY", "0.125", "12"), end_time=time(17)),
        element(price("ENERGY", "0.250", "12")),
    )
    spent = cost_of_trade(two, MONDAY + 16 * HOUR, MONDAY + 18 * HOUR, 2)
    bill = spent.invoice(rounding, minor_unit, vat_per)
    assert tuple(str(amount) for amount in bill) == amounts


def test_a_price_below_zero_is_paid_out_and_rounded_alike():
    spent = cost_of_trade(always(price("ENERGY", "-0.125", "20")), MONDAY, MONDAY + HOUR, 1)
    assert totals(spent) == exact("-0.125", "-0.15")
    assert spent.invoice("HALF_UP", 2, "TOTAL") == limit("-0.13", "-0.16")


@pytest.mark.parametrize("vat_per", ["LINE", "TOTAL"])
def test_an_invoice_stays_within_the_limits(vat_per):
    # Without VAT 9.995 is no limit's business; with VAT it is 11.9940, and 11 at most.
    capped = always(price("ENERGY", "9.995", "20"), max_price=limit("10", "11"))
    spent = cost_of_trade(capped, MONDAY, MONDAY + HOUR, 1)
    assert totals(spent) == exact("9.995", "11")
    assert spent.invoice("HALF_UP", 2, vat_per) == limit("10.00", "11.00")


def test_a_rounding_must_be_known():
    with pytest.raises(KeyError, match="UP"):
        cost(always(ENERGY), session(MONDAY, ("60", "1"))).invoice("UP", 2, "TOTAL")


# Prices and offers at an instant.


def test_an_offer_has_the_price_in_force():
    curve = offer_curve(INDIAN, at("2026-01-16T18:00", KOLKATA), Decimal("7.5"))
    assert curve.currency == "EUR"
    assert (curve.min_export_kw, curve.max_export_kw) == (0, Decimal("7.5"))
    assert curve.points == ((8, 0), (8, Decimal("7.5")))
    assert curve.powers_at(Fraction("7.99")) == (0, 0)
    assert curve.powers_at(Fraction(8)) == (0, Fraction("7.5"))


def test_an_offer_depends_on_what_was_sold_and_on_the_time_since():
    tiers = tariff(
        element(price("ENERGY", "1"), max_kwh=Decimal(5), max_duration=Decimal(60)),
        element(price("ENERGY", "2")),
    )
    offered = [
        offer_curve(tiers, MONDAY, Decimal(1), used_kwh, elapsed_s).points[0].price_per_kwh
        for used_kwh, elapsed_s in [(0, 0), (Decimal("4.9"), 59), (5, 0), (0, 60)]
    ]
    assert offered == [1, 1, 2, 2]


@pytest.mark.parametrize(
    ("offered", "code"),
    [
        (always(ENERGY, price("TIME", "2")), "E_NOT_PER_KWH"),
        (always(ENERGY, START), "E_NOT_PER_KWH"),
        (always(ENERGY, min_price=limit("1", "1.1")), "E_NOT_PER_KWH"),
        (always(ENERGY, max_price=limit("1", "1.1")), "E_NOT_PER_KWH"),
        (always(price("TIME", "2")), "E_UNCOVERED"),
        (tariff(element(ENERGY, max_power=Decimal(9)), element(ENERGY)), "E_NO_POWER"),
    ],
)
def test_no_offer_is_made_of_what_is_no_price_per_kwh(offered: Tariff, code: str):
    with pytest.raises(TariffError, match=code):
        offer_curve(offered, MONDAY, Decimal(1))


def test_an_offer_is_made_beside_what_costs_nothing_and_beside_parking():
    free = always(ENERGY, price("TIME", "0"), price("FLAT", "0"), price("PARKING_TIME", "9"))
    assert offer_curve(free, MONDAY, Decimal(1)).points[0].price_per_kwh == Decimal("0.25")


def test_a_price_by_power_is_given_for_a_power():
    fast = tariff(
        element(price("ENERGY", "1"), max_power=Decimal(9)), element(price("ENERGY", "2"))
    )
    assert [price_at(fast, MONDAY, power_kw=kw) for kw in (8, 9)] == [1, 2]


# Refusals.


@pytest.mark.parametrize(
    ("change", "code", "where"),
    [
        ({"currency": ""}, "E_NO_CURRENCY", "/currency"),
        ({"elements": ()}, "E_EMPTY", "/elements"),
        ({"elements": (element(),)}, "E_EMPTY", "/elements/0/price_components"),
        ({"elements": (element(ENERGY, ENERGY),)}, "E_TWICE", "/elements/0/price_components"),
        ({"time_zone": "Mars/Olympus"}, "E_ZONE", "/time_zone"),
        ({"time_zone": "/etc/passwd"}, "E_ZONE", "/time_zone"),
        ({"time_zone": None}, "E_NO_ZONE", "/elements/0/restrictions"),
        (
            {"min_price": limit("2", "2"), "max_price": limit("1", "2")},
            "E_MIN_GT_MAX",
            "/min_price",
        ),
        (
            {"min_price": limit("1", "NaN"), "max_price": limit("1", "2")},
            "E_NOT_FINITE",
            "/min_price",
        ),
        ({"max_price": limit("1", "Infinity")}, "E_NOT_FINITE", "/max_price"),
    ],
)
def test_parts_that_are_no_tariff_are_refused(change, code: str, where: str):
    with pytest.raises(TariffError) as refused:
        replace(INDIAN, **change)
    assert refused.value.problem[:2] == (code, where)
    assert str(refused.value).startswith(f"{code} at {where}: ")


@pytest.mark.parametrize(
    ("bad", "code", "where"),
    [
        (price("GAS", "1"), "E_TYPE", "type"),
        (price("ENERGY", "NaN"), "E_NOT_FINITE", "price"),
        (price("ENERGY", "1", "-1"), "E_VAT", "vat"),
        (price("ENERGY", "1", "sNaN"), "E_VAT", "vat"),
        (price("ENERGY", "1", step=0), "E_STEP", "step_size"),
        (price("TIME", "1", step=-60), "E_STEP", "step_size"),
    ],
)
def test_a_price_that_is_none_is_refused(bad: PriceComponent, code: str, where: str):
    with pytest.raises(TariffError) as refused:
        tariff(element(ENERGY), element(START, bad))
    assert refused.value.problem[:2] == (code, f"/elements/1/price_components/1/{where}")


@pytest.mark.parametrize(
    ("bad", "code", "where"),
    [
        ({"day_of_week": ("Monday",)}, "E_DAY", "day_of_week"),
        (
            {"start_date": date(2026, 2, 1), "end_date": date(2026, 1, 1)},
            "E_MIN_GT_MAX",
            "start_date",
        ),
        ({"min_kwh": Decimal(2), "max_kwh": Decimal(1)}, "E_MIN_GT_MAX", "min_kwh"),
        ({"min_power": Decimal("Infinity")}, "E_NOT_FINITE", "min_power"),
        ({"max_duration": Decimal("sNaN")}, "E_NOT_FINITE", "min_duration"),
    ],
)
def test_a_restriction_that_is_none_is_refused(bad, code: str, where: str):
    with pytest.raises(TariffError) as refused:
        tariff(element(ENERGY, **bad))
    assert refused.value.problem[:2] == (code, f"/elements/0/restrictions/{where}")


@pytest.mark.parametrize("step", [0, 1, 60])
def test_a_flat_fee_has_no_step(step: int):
    free = always(price("FLAT", "1", step=step))
    assert cost(free, session(MONDAY, ("7", "1"))).total.excl_vat == 1


def test_a_tariff_of_no_clock_needs_no_zone():
    tiers = tariff(element(ENERGY, min_kwh=Decimal(1)), element(ENERGY), zone=None)
    assert price_at(tiers, MONDAY) == Decimal("0.25")


@pytest.mark.parametrize(
    ("periods", "code", "where"),
    [
        ([(MONDAY.replace(tzinfo=None), MONDAY)], "E_NAIVE", "/charging_periods/0/start"),
        ([(MONDAY, MONDAY.replace(tzinfo=None))], "E_NAIVE", "/charging_periods/0/end"),
        ([(MONDAY, MONDAY)], "E_PERIOD", "/charging_periods/0"),
        ([(MONDAY, MONDAY + HOUR), (MONDAY + HOUR, MONDAY)], "E_PERIOD", "/charging_periods/1"),
        ([(MONDAY, MONDAY + HOUR, -1)], "E_ENERGY", "/charging_periods/0"),
        ([(MONDAY, MONDAY + HOUR, Decimal("NaN"))], "E_ENERGY", "/charging_periods/0"),
        ([(MONDAY, MONDAY + HOUR, 1, None, True)], "E_ENERGY", "/charging_periods/0"),
        ([(MONDAY, MONDAY + HOUR), (MONDAY + 2 * HOUR, MONDAY + 3 * HOUR)], "E_GAP", None),
        ([(MONDAY, MONDAY + 2 * HOUR), (MONDAY + HOUR, MONDAY + 3 * HOUR)], "E_GAP", None),
    ],
)
def test_periods_that_are_no_session_are_refused(periods, code: str, where: str | None):
    with pytest.raises(TariffError) as refused:
        cost(always(ENERGY), [ChargingPeriod(*period) for period in periods])
    assert refused.value.problem[:2] == (code, where or "/charging_periods")


def test_a_session_of_no_periods_costs_what_a_session_costs_at_least():
    assert totals(cost(always(ENERGY, START), [])) == (0, 0)
    assert totals(cost(always(ENERGY, min_price=limit("1", "2")), [])) == (1, 2)


def test_an_instant_without_a_zone_has_no_price():
    with pytest.raises(TariffError, match=r"E_NAIVE at /at: .* no time zone"):
        price_at(INDIAN, datetime(2026, 1, 1))  # noqa: DTZ001 (this is the fault)


# Reading.

DRAFT = """
{
  "tariffId": "day-and-night", "currency": "INR", "type": "REGULAR", "timeZone": "Asia/Kolkata",
  "minPrice": {"exclVat": 1, "inclVat": 1.18},
  "maxPrice": {"exclVat": 900.5, "inclVat": "1062.59"},
  "elements": [
    {
      "priceComponents": [{"type": "ENERGY", "price": 7.25, "vat": 18.0, "stepSize": 100}],
      "restrictions": {
        "startTime": "18:00", "endTime": "22:00", "dayOfWeek": ["MONDAY", "TUESDAY"],
        "startDate": "2026-01-01", "endDate": "2027-01-01", "minKWh": 1, "maxKWh": 40.5,
        "minPower": "3.7", "maxPower": 22, "minDuration": 60, "maxDuration": 86400
      }
    },
    {
      "priceComponents": [
        {"type": "ENERGY", "price": 4, "vat": null}, {"type": "FLAT", "price": 9}
      ],
      "restrictions": {"dayOfWeek": []}
    },
    {"priceComponents": [{"type": "TIME", "price": "0.50", "stepSize": 60.0}]}
  ],
  "energyMix": {"isGreenEnergy": false}
}
"""
READ = Tariff(
    "INR",
    (
        Element(
            (price("ENERGY", "7.25", "18", 100),),
            Restrictions(
                time(18),
                time(22),
                date(2026, 1, 1),
                date(2027, 1, 1),
                ("MONDAY", "TUESDAY"),
                *(Decimal(bound) for bound in ("1", "40.5", "60", "86400", "3.7", "22")),
            ),
        ),
        element(price("ENERGY", "4"), price("FLAT", "9")),
        element(price("TIME", "0.50", step=60)),
    ),
    KOLKATA,
    limit("1", "1.18"),
    limit("900.5", "1062.59"),
)


def snake(value):
    """Spell the fields of a JSON value as OCPI does."""
    if isinstance(value, dict):
        plain = {key.replace("KWh", "Kwh"): item for key, item in value.items()}
        return {
            "".join(f"_{c.lower()}" if c.isupper() else c for c in key): snake(item)
            for key, item in plain.items()
        }
    return [snake(item) for item in value] if isinstance(value, list) else value


def test_a_tariff_is_read_in_either_spelling():
    mapping = json.loads(DRAFT, parse_float=Decimal)
    assert "min_kwh" in snake(mapping)["elements"][0]["restrictions"]
    assert Tariff.from_mapping(mapping) == READ
    assert Tariff.from_mapping(snake(mapping)) == READ


@pytest.mark.parametrize(
    ("path", "value", "code", "where"),
    [
        ("currency", None, "E_MISSING", "/currency"),
        ("currency", ["INR"], "E_TEXT", "/currency"),
        ("elements", None, "E_MISSING", "/elements"),
        ("elements", {}, "E_SHAPE", "/elements"),
        ("elements", [], "E_EMPTY", "/elements"),
        ("elements 0", "free", "E_SHAPE", "/elements/0"),
        ("elements 0 flat", 1, "E_UNKNOWN_FIELD", "/elements/0/flat"),
        ("elements 0 priceComponents", [], "E_EMPTY", "/elements/0/price_components"),
        ("elements 1 priceComponents 1 type", "AD_HOC_PAYMENT", "E_TYPE", "PRICE/type"),
        ("elements 1 priceComponents 1 price", None, "E_MISSING", "PRICE/price"),
        ("elements 1 priceComponents 1 price", 0.1, "E_FLOAT", "PRICE/price"),
        ("elements 1 priceComponents 1 price", "dear", "E_NUMBER", "PRICE/price"),
        ("elements 1 priceComponents 1 price", True, "E_NUMBER", "PRICE/price"),
        ("elements 1 priceComponents 1 price", Decimal("1E999999"), None, None),
        ("elements 1 priceComponents 1 price", "Infinity", "E_NOT_FINITE", "PRICE/price"),
        ("elements 1 priceComponents 1 vat", "-5", "E_VAT", "PRICE/vat"),
        ("elements 1 priceComponents 1 step_size", Decimal("1.5"), "E_STEP", "PRICE/step_size"),
        ("elements 0 priceComponents 0 stepSize", -1, "E_STEP", None),
        ("elements 0 priceComponents 0 step_size", 1, "E_TWICE", None),
        ("elements 0 restrictions startTime", "24:00", "E_TIME", "RULES/start_time"),
        ("elements 0 restrictions endTime", "7:00", "E_TIME", "RULES/end_time"),
        ("elements 0 restrictions endTime", "07:00+05:30", "E_TIME", "RULES/end_time"),
        ("elements 0 restrictions startDate", "2026-02-30", "E_DATE", "RULES/start_date"),
        ("elements 0 restrictions endDate", "20270101", "E_DATE", "RULES/end_date"),
        ("elements 0 restrictions dayOfWeek", ["MON"], "E_DAY", "RULES/day_of_week"),
        ("elements 0 restrictions dayOfWeek", "MONDAY", "E_SHAPE", "RULES/day_of_week"),
        ("elements 0 restrictions dayOfWeek", [None], "E_TEXT", "RULES/day_of_week/0"),
        ("elements 0 restrictions minKWh", 41, "E_MIN_GT_MAX", "RULES/min_kwh"),
        ("elements 0 restrictions maxCurrent", 32, "E_UNKNOWN_FIELD", "RULES/maxCurrent"),
        ("elements 0 restrictions reservation", "RESERVED", "E_UNKNOWN_FIELD", "RULES/reservation"),
        ("minPrice inclVat", None, "E_MISSING", "/min_price/incl_vat"),
        ("timeZone", "Asia", "E_ZONE", "/time_zone"),
        ("timeZone", None, "E_NO_ZONE", "RULES"),
    ],
)
def test_what_cannot_be_read_is_named(path: str, value, code: str | None, where: str | None):
    mapping = json.loads(DRAFT, parse_float=Decimal)
    *way, last = [int(step) if step.isdigit() else step for step in path.split()]
    inner = mapping
    for step in way:
        inner = inner[step]
    inner[last] = value
    if code is None:
        Tariff.from_mapping(mapping)
        return
    with pytest.raises(TariffError) as refused:
        Tariff.from_mapping(mapping)
    assert refused.value.problem.code == code
    if where is not None:
        where = where.replace("PRICE", "/elements/1/price_components/1")
        assert refused.value.problem.where == where.replace("RULES", "/elements/0/restrictions")


def test_what_is_no_object_is_no_tariff():
    with pytest.raises(TariffError, match="E_SHAPE at the tariff: 'free' is no JSON object"):
        Tariff.from_mapping("free")


# Properties.

few = settings(max_examples=50, deadline=None)


def in_window(local: datetime, rules: Restrictions) -> bool:
    """Say whether a minute of the clock is one of a window's, counted through one by one."""
    minute = rules.start_time.hour * 60 + rules.start_time.minute
    end = rules.end_time.hour * 60 + rules.end_time.minute
    for _ in range(1440):
        if minute == local.hour * 60 + local.minute:
            return True
        minute = (minute + 1) % 1440
        if minute == end:
            return False
    return False


def minute_by_minute(under: Tariff, start: datetime, minutes: int, kwh_each: int) -> Decimal:
    """Price a session a minute at a time; energy and time are compared in whole minutes."""
    total = Decimal()
    for minute in range(minutes):
        local = (start + minute * MINUTE).astimezone(ZoneInfo(under.time_zone))
        for prices, rules in under.elements:
            if (
                in_window(local, rules)
                and DAYS[local.weekday()] in (rules.day_of_week or DAYS)
                and rules.start_date <= local.date() < rules.end_date
                and (rules.max_kwh is None or minute * kwh_each < rules.max_kwh)
                and (rules.min_duration is None or rules.min_duration <= minute * 60)
            ):
                total += prices[0].price * kwh_each
                break
    return total


clocks = st.builds(time, st.integers(0, 5), st.sampled_from([0, 1, 30, 59]))
days_of_week = st.lists(st.sampled_from(DAYS), max_size=6, unique=True).map(tuple)
tiers = st.none() | st.integers(0, 600).map(lambda minutes: Decimal(3 * minutes))
durations = st.none() | st.integers(0, 600).map(lambda minutes: Decimal(60 * minutes))
restrictions = st.fixed_dictionaries(
    {
        "start_time": clocks,
        "end_time": clocks | st.just(time.min),
        "start_date": st.sampled_from([date.min, date(2026, 4, 5)]),
        "day_of_week": days_of_week,
        "max_kwh": tiers,
        "min_duration": durations,
    }
).map(lambda drawn: Restrictions(**drawn))
"""Of the early hours, in which clocks are set; tiers lie at whole minutes of 3 kWh each."""
prices = st.decimals(-5, 50, places=3)
elements = st.lists(st.tuples(prices, restrictions), min_size=1, max_size=4).map(
    lambda drawn: [Element((PriceComponent("ENERGY", p),), rules) for p, rules in drawn]
)
CLOCK_SET = [
    ("Europe/Berlin", "2026-03-29T00:00"),
    ("Europe/Berlin", "2026-10-24T23:00"),
    ("Asia/Kolkata", "2026-01-16T18:00"),
    ("Australia/Lord_Howe", "2026-04-04T13:00"),  # by half an hour
    ("America/Santiago", "2026-09-06T02:00"),  # midnight is skipped
    ("Antarctica/Casey", "2020-10-03T15:00"),  # a minute after midnight, by three hours
]


@few
@given(elements, st.sampled_from(CLOCK_SET), st.integers(0, 90), st.integers(1, 600))
def test_a_session_costs_what_its_minutes_cost(drawn, place, shift, minutes):
    zone, start = place
    under = tariff(*drawn, zone=zone)
    begin = at(start) + shift * MINUTE
    spent = cost_of_trade(under, begin, begin + minutes * MINUTE, 3 * minutes)
    assert spent.total.excl_vat == Fraction(minute_by_minute(under, begin, minutes, 3))
    assert sum(quantities(spent, "ENERGY")) == 3 * minutes


component_prices = st.decimals(-9, 99, places=2)
vats = st.none() | st.sampled_from(["0", "10", "18", "5.5"]).map(Decimal)


@st.composite
def mixed_tariffs(draw):
    steps = draw(st.sampled_from([1, 60, 250, 900]))
    found = []
    for _ in range(draw(st.integers(1, 4))):
        kinds = draw(st.sets(st.sampled_from(["ENERGY", "TIME", "PARKING_TIME"]), min_size=1))
        parts = [
            PriceComponent(k, draw(component_prices), draw(vats), steps) for k in sorted(kinds)
        ]
        found.append(Element(tuple(parts), draw(restrictions)))
    return tariff(*found, zone=draw(st.sampled_from([BERLIN, KOLKATA])))


@st.composite
def sessions(draw):
    parts = draw(st.lists(st.tuples(st.integers(1, 300), st.integers(0, 9000)), max_size=4))
    start = at("2026-03-29T00:00") + draw(st.integers(0, 10**6)) * timedelta(milliseconds=7)
    periods = []
    for minutes, wh in parts:
        end = start + minutes * MINUTE
        periods.append(ChargingPeriod(start, end, Fraction(wh, 1000), 7, parked=wh == 0))
        start = end
    return periods


@few
@given(mixed_tariffs(), sessions(), st.randoms(use_true_random=False))
def test_the_sums_are_those_of_the_lines_in_whatever_order_periods_come(under, periods, chance):
    spent = cost(under, periods)
    excl_vat = sum(
        (x.quantity * Fraction(x.component.price) for x in spent.lines if x.component), Fraction()
    )
    assert spent.total.excl_vat == excl_vat
    assert sum(amount.incl_vat for amount in spent.by_dimension.values()) == spent.total.incl_vat
    mixed = list(periods)
    chance.shuffle(mixed)
    assert cost(under, mixed) == spent


@few
@given(mixed_tariffs(), sessions(), st.fractions(0, 1, max_denominator=10**4))
def test_a_session_costs_the_same_however_its_record_is_cut(under, periods, share):
    halves = []
    for period in periods:
        length = (period.end - period.start) // MICROSECOND
        before = length * share // 1
        cut = period.start + before * MICROSECOND
        energy_kwh = period.energy_kwh * Fraction(before, length)
        rest_kwh = period.energy_kwh - energy_kwh
        parts = [(period.start, cut, energy_kwh), (cut, period.end, rest_kwh)]
        halves += [ChargingPeriod(*part, 7, period.parked) for part in parts if part[0] < part[1]]
    assert cost(under, halves).total == cost(under, periods).total


@few
@given(elements, st.integers(1, 300), st.integers(1, 300))
def test_two_trades_cost_what_both_cost_at_once(drawn, first, second):
    # Each a session of its own: so without tiers and durations, and in whole Wh.
    free = [e._replace(restrictions=Restrictions(*e.restrictions[:5])) for e in drawn]
    under = tariff(*free, zone=BERLIN)
    start = at("2026-10-24T23:00")
    middle, end = start + first * MINUTE, start + (first + second) * MINUTE
    apart = [cost_of_trade(under, start, middle, first), cost_of_trade(under, middle, end, second)]
    assert (
        sum(one.total.excl_vat for one in apart)
        == cost_of_trade(under, start, end, first + second).total.excl_vat
    )


@few
@given(prices, st.integers(0, 10**6), st.integers(1, 10**6))
def test_one_price_costs_its_energy(amount, wh, seconds):
    end = MONDAY + timedelta(seconds=seconds)
    spent = cost_of_trade(always(PriceComponent("ENERGY", amount)), MONDAY, end, Fraction(wh, 1000))
    assert spent.total.excl_vat == Fraction(amount) * Fraction(wh, 1000)


@few
@given(elements, st.sampled_from(CLOCK_SET), st.integers(0, 600), st.integers(0, 3000))
def test_the_offer_the_price_and_the_cost_agree(drawn, place, shift, used):
    zone, start = place
    under = tariff(*drawn, zone=zone)
    now = at(start) + shift * MINUTE
    found = price_at(under, now, used, shift * 60)
    if found is None:
        with pytest.raises(TariffError, match="E_UNCOVERED"):
            offer_curve(under, now, Decimal(5), used, shift * 60)
        return
    curve = offer_curve(under, now, Decimal(5), used, shift * 60)
    assert {point.price_per_kwh for point in curve.points} == {found}
    if used == shift == 0:
        minute = cost_of_trade(under, now, now + MINUTE, Fraction(1, 1000))
        assert minute.total.excl_vat == Fraction(found) / 1000
