"""Sentences about an exchange of any kind: its parties, what they agree, what is delivered.

Belongs here: what a scenario states of a deal, that it runs. Does not belong here: a market
that clears (market), the reading of tables (tables).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from pytest_bdd import given, parsers, when

from gridwitness.dialects.tables import COLUMNS
from gridwitness.mocks.exchange import play
from gridwitness.mocks.words import Facts
from gridwitness.steps import listings, tables
from gridwitness.views import Due, Promise

if TYPE_CHECKING:
    from fractions import Fraction

    from gridwitness.hearing import Hearing
    from gridwitness.mocks.conduct import Conduct
    from gridwitness.mocks.sandbox import Sandbox
    from gridwitness.mocks.stay import Stay
    from gridwitness.mocks.telemetered import Telemetered
    from gridwitness.mocks.words import Metered, Party
    from gridwitness.reference_impl.tariff import ChargingPeriod
    from gridwitness.signals import Signal
    from gridwitness.trace import Scene, Step
    from gridwitness.views import Interval, IntervalTable, Term


@given("the parties", target_fixture="parties")
def the_parties(datatable: list[list[str]]) -> tuple[Party, ...]:
    rows = tables.rows(
        datatable, needs=["name", "role"], may=["meter", "place", "connector", "power", "refuses"]
    )
    return tuple(replace(tables.party(row), thing=tuple(listings.thing(row))) for row in rows)


@given("the terms", target_fixture="terms")
def the_terms(datatable: list[list[str]]) -> dict[str, tuple[Term, ...]]:
    return tables.terms(tables.rows(datatable, needs=["role", "term", "value"], may=[]))


@given("the payments", target_fixture="dues")
def the_payments(datatable: list[list[str]]) -> tuple[Due | Promise, ...]:
    may = ["unless", "is"]
    rows = tables.rows(datatable, needs=["from", "to", "kind", "formula"], may=may)
    return tuple(tables.promise(row) if row.get("unless") else tables.due(row) for row in rows)


@given("the meter readings", target_fixture="readings")
def the_meter_readings(datatable: list[list[str]]) -> tuple[Metered, ...]:
    may = ["from", "until", "report", "priced by"]
    rows = tables.rows(datatable, needs=["name", "meter", "energy"], may=may)
    return tuple(tables.reading(row) for row in rows)


@given("the signals", target_fixture="signals")
def the_signals(datatable: list[list[str]]) -> tuple[Signal, ...]:
    rows = tables.rows(datatable, needs=["name", "kind", "at", "value"], may=["becomes"])
    return tuple(tables.signal(row) for row in rows)


@given("the telemetry", target_fixture="telemetry")
def the_telemetry(datatable: list[list[str]]) -> tuple[Telemetered, ...]:
    may = ["usual load", "usage", "resource", "power", "reactive power", "page", "changes"]
    rows = tables.rows(datatable, needs=["meter", "from", "until"], may=may)
    return tuple(tables.telemetered(row) for row in rows)


@given("the tariff", target_fixture="tariff")
def the_tariff(datatable: list[list[str]]) -> dict[str, object]:
    may = ["VAT", "step", "from", "until", "days", "from energy", "to energy"]
    return tables.tariff(tables.rows(datatable, needs=["dimension", "price"], may=may))


@given("the charging session", target_fixture="session")
def the_charging_session(datatable: list[list[str]]) -> tuple[ChargingPeriod, ...]:
    rows = tables.rows(datatable, needs=["from", "until", "energy"], may=["car"])
    return tuple(tables.period(row) for row in rows)


@given("the intervals", target_fixture="intervals")
def the_intervals(datatable: list[list[str]]) -> dict[str, IntervalTable]:
    may = ["party", *COLUMNS]
    return tables.intervals(tables.rows(datatable, needs=["from", "until"], may=may))


@given("the stay", target_fixture="stay")
def the_stay(datatable: list[list[str]]) -> Stay:
    there = ["parked from", "parked until", "arrives from", "arrives until", "grace", "given up"]
    may = [*there, "to charge", "by", "at most"]
    return tables.stay(tables.rows(datatable, needs=[], may=may))


@given(parsers.parse("a delivery {when}"), target_fixture="delivery")
def a_delivery(when: str) -> Fraction | Interval:
    return tables.delivery(when)


@when("the exchange runs")
def the_exchange_runs(  # noqa: PLR0913 (the fixtures that the Givens produced)
    parties: tuple[Party, ...],
    terms: dict[str, tuple[Term, ...]],
    dues: tuple[Due | Promise, ...],
    readings: tuple[Metered, ...],
    tariff: dict[str, object] | None,
    session: tuple[ChargingPeriod, ...],
    intervals: dict[str, IntervalTable],
    search: dict[str, str],
    stay: Stay,
    signals: tuple[Signal, ...],
    telemetry: tuple[Telemetered, ...],
    interval: Interval,
    sequence: tuple[Step, ...],
    scene: Scene,
    sandbox: Sandbox,
    broken: tuple[str, Conduct] | None,
    patience: float,
    hearing: Hearing,
) -> None:
    first, *later = tables.portions(readings) or ((),)
    currency, decimals = tables.money(terms)
    facts = Facts(
        parties=parties,
        interval=interval,
        terms=terms,
        dues=tuple(due for due in dues if isinstance(due, Due)),
        promises=tuple(due for due in dues if isinstance(due, Promise)),
        sources=(
            *tables.sources(readings, session=session, dues=dues, tariff=tariff),
            *tables.sources_of_telemetry(telemetry, signals),
        ),
        readings=first,
        later=tuple(later),
        tariff=tariff,
        session=session,
        tables=intervals,
        refusals=frozenset((p.name, p.refuses) for p in parties if p.refuses),
        search=listings.intent(search, interval, {}) if search else None,
        stay=stay,
        signals=signals,
        currency=currency,
        minor_unit=decimals,
        telemetry=telemetry,
    )
    hearing.hear(*play(sandbox, scene, sequence, facts, patience=patience, broken=broken))
