"""The money of a deal: what its formulas and its tariff make of what it and its delivery state.

Belongs here: from the views of one deal to amounts, through reference_impl. Does not belong
here: the arithmetic itself (reference_impl), whether somebody's amounts are right (rules).

Every function reads what a stranger may have written: DealError says what cannot be computed.

Source: reference_impl/README.md, Contracts and Tariffs; OCPI 2.2.1, mod_cdrs.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, cast

from gridwitness import loads
from gridwitness.dialects.deals import camel
from gridwitness.reference_impl import contract as agreement
from gridwitness.reference_impl.formula import FormulaError, Quantity, Unit
from gridwitness.reference_impl.rounding import ROUNDINGS, exact_sum, rounded, shared
from gridwitness.reference_impl.tariff import (
    ChargingPeriod,
    Cost,
    Tariff,
    TariffError,
    cost,
    cost_of_trade,
)
from gridwitness.response import SCORE_UNIT, followed
from gridwitness.signals import STATE, courses, moment, period_of, signals_in
from gridwitness.tabled import TooMuchError, payments
from gridwitness.views import Bill, Part, Position, RevenueFlow, SettlementReport

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gridwitness.reference_impl.tariff import Amount
    from gridwitness.signals import Course, Signal
    from gridwitness.views import Deal, Due, Interval, MeterReading, Source

ROUNDING, MINOR_UNIT = "HALF_UP", 2
"""How amounts are rounded where a deal does not say."""

LONGEST = timedelta(days=366)
MOST_PERIODS = 10_000
"""No session and no trade is longer, or has more parts; one that is, is not priced."""

APPROVED, CONTRACTED = "approved", "contracted"
"""The terms of a utility and of who asks that say how much energy may flow, and is to flow."""

PARTS = {
    "ENERGY": ("UNIT", "Energy"),
    "TIME": ("FEE", "Time of charging"),
    "PARKING_TIME": ("FEE", "Time without charging"),
    "FLAT": ("FEE", "Flat fee"),
}
"""How each dimension of a tariff is called on a bill."""


AT_AN_END = "CANCELLATION"
"""The kind of a payment that is owed where a deal ends before its delivery, and only there."""


class DealError(ValueError):
    """What a deal comes to cannot be told: a sentence that says why."""


class Owed(NamedTuple):
    """A payment between two parties by their ids, rounded; never negative."""

    payer: str
    payee: str
    kind: str
    amount: Decimal


def rounding_of(deal: Deal) -> tuple[str, int]:
    """Give the rounding rule and the decimals of a deal, or what holds where it states none."""
    rounding = deal.rounding if deal.rounding in ROUNDINGS else ROUNDING
    return rounding or ROUNDING, MINOR_UNIT if deal.minor_unit is None else deal.minor_unit


def tariff_in(deal: Deal) -> Tariff | None:
    """Read the tariff of a deal's contract; None where it has none. Raises DealError."""
    block = deal.block("contract", "tariff")
    return read_tariff(block.data) if block else None


def read_tariff(data: object) -> Tariff:
    """Read a Tariff block. Raises DealError."""
    if not isinstance(data, Mapping):
        raise DealError("the tariff is no object")
    _demand_of_this_world(cast("object", data))
    mapping = dict(cast("Mapping[str, object]", data))
    zone = mapping.pop("timeZone", None)
    try:
        return Tariff.from_mapping(mapping | ({"time_zone": zone} if zone is not None else {}))
    except TariffError as error:
        raise DealError(f"the tariff cannot be read: {error}") from error


def _demand_of_this_world(data: object) -> None:
    """Refuse numbers, also written as text, with which exact arithmetic would never end."""
    waiting = [data]
    while waiting:
        value = waiting.pop()
        if isinstance(value, Mapping):
            waiting += cast("Mapping[str, object]", value).values()
        elif isinstance(value, list):
            waiting += cast("list[object]", value)
        elif isinstance(value, str | int | Decimal) and not isinstance(value, bool):
            try:
                number = Decimal(value)
            except ArithmeticError:
                continue
            if number and number.is_finite() and abs(number.adjusted()) >= LARGEST:
                raise DealError(f"the tariff cannot be read: {str(value)[:20]} is beyond any price")


LARGEST = 30
"""Digits before and after the point of a number that is counted with."""


class Record(NamedTuple):
    """A charge detail record as far as its cost needs it: start, end, periods, stated totals."""

    periods: tuple[ChargingPeriod, ...]
    total_energy_kwh: Decimal | None
    total_time_h: Decimal | None
    excl_vat: Decimal | None
    incl_vat: Decimal | None


def record_in(deal: Deal) -> Record | None:
    """Read the charge detail record of a deal's fulfilment. Raises DealError."""
    block = deal.block("fulfilment", "chargeDetailRecord")
    return read_record(block.data) if block else None


def read_record(data: object) -> Record:
    """Read a ChargeDetailRecord block. Raises DealError where its periods are no session."""
    record = _members(data)
    starts: list[datetime] = []
    used: list[tuple[Decimal, bool]] = []
    periods = record.get("chargingPeriods")
    for period in cast("list[object]", periods) if isinstance(periods, list) else []:
        members = _members(period)
        starts.append(_instant(members.get("startDateTime")))
        volumes = dict(_dimensions(members.get("dimensions")))
        used.append((volumes.get("ENERGY", Decimal(0)), "PARKING_TIME" in volumes))
    if not starts:
        raise DealError("the charge detail record has no periods")
    ends = [*starts[1:], _instant(record.get("endDateTime"))]
    if any(end <= start for start, end in zip(starts, ends, strict=True)):
        raise DealError("a period of the charge detail record ends before it starts")
    told = _members(record.get("totalCost"))
    return Record(
        tuple(
            ChargingPeriod(start, end, energy_kwh, parked=parked)
            for start, end, (energy_kwh, parked) in zip(starts, ends, used, strict=True)
        ),
        _number(record.get("totalEnergy")),
        _number(record.get("totalTime")),
        _number(told.get("exclVat")),
        _number(told.get("inclVat")),
    )


def _members(data: object) -> Mapping[str, object]:
    return cast("Mapping[str, object]", data) if isinstance(data, Mapping) else {}


def _dimensions(data: object) -> Iterator[tuple[str, Decimal]]:
    for item in cast("list[object]", data) if isinstance(data, list) else []:
        kind, volume = _members(item).get("type"), _number(_members(item).get("volume"))
        if isinstance(kind, str) and volume is not None:
            yield kind, volume


def _number(value: object) -> Decimal | None:
    if isinstance(value, bool) or not isinstance(value, int | Decimal):
        return None
    number = Decimal(value)
    return number if number.is_finite() and abs(number.adjusted()) < LARGEST else None


def _instant(value: object) -> datetime:
    try:
        read = datetime.fromisoformat(value if isinstance(value, str) else "")
        return read.astimezone(UTC) if read.tzinfo else read.replace(tzinfo=UTC)
    except (ValueError, OverflowError) as error:
        raise DealError(f"{value!r} is no instant") from error


def session_cost(tariff: Tariff, periods: tuple[ChargingPeriod, ...]) -> Cost:
    """Price a session. Raises DealError."""
    if len(periods) > MOST_PERIODS or periods[-1].end - periods[0].start > LONGEST:
        raise DealError("the session is longer than any that is priced here")
    try:
        return cost(tariff, periods)
    except (TariffError, ValueError, OverflowError) as error:
        raise DealError(f"the session cannot be priced: {error}") from error


def trade_cost(tariff: Tariff, interval: Interval, energy_kwh: Decimal) -> Cost:
    """Price energy that is taken evenly over an interval. Raises DealError."""
    start = _instant(interval.start)
    try:
        length = timedelta(microseconds=int(interval.duration_h * 3_600_000_000))
        if length > LONGEST:
            raise DealError("the delivery is longer than any that is priced here")
        return cost_of_trade(tariff, start, start + length, energy_kwh)
    except (TariffError, ValueError, OverflowError) as error:
        raise DealError(f"the trade cannot be priced: {error}") from error


def invoice(deal: Deal, priced: Cost) -> Amount[Decimal]:
    """Round what something costs as the deal declares, its VAT once."""
    rounding, minor_unit = rounding_of(deal)
    return priced.invoice(rounding, minor_unit, "TOTAL")


def tariff_bill(deal: Deal, priced: Cost, energy_kwh: Decimal | None, *, is_due: bool) -> Bill:
    """Write what a session or a trade costs as a bill: a part a dimension, and the VAT."""
    _, minor_unit = rounding_of(deal)
    total = invoice(deal, priced)
    units = 10**minor_unit
    exact = {kind: amount.excl_vat * units for kind, amount in priced.by_dimension.items()}
    whole = shared(exact, int(total.excl_vat * units)) if exact else {}
    parts = [
        Part(kind=PARTS[kind][0], amount=Decimal(share).scaleb(-minor_unit), text=PARTS[kind][1])
        for kind, share in whole.items()
    ]
    if total.incl_vat != total.excl_vat:
        parts.append(Part(kind="TAX", amount=total.incl_vat - total.excl_vat, text="VAT"))
    return Bill(
        value=total.incl_vat,
        currency=priced.tariff.currency,
        parts=tuple(parts),
        energy_kwh=energy_kwh,
        is_due=is_due,
    )


def session(deal: Deal) -> tuple[ChargingPeriod, ...]:
    """Give the periods of what is billed by the tariff: those of the charge detail record.

    Where there is none, those that a meter registered, if the deal has that meter for its record;
    none where a reading has no beginning or end. Raises DealError.
    """
    record = record_in(deal)
    if record is not None:
        return record.periods
    kept = (s.meter_id for s in deal.sources if s.kind == "CHARGE_DATA_RECORD")
    meter_id = next((meter_id for meter_id in kept if meter_id is not None), None)
    own = [reading for reading in deal.readings if reading.meter_id == meter_id]
    if not all(reading.start and reading.end for reading in own):
        return ()
    periods = sorted(
        (ChargingPeriod(_instant(r.start), _instant(r.end), abs(r.energy_kwh)) for r in own),
        key=lambda period: period.start,
    )
    starts = [period.start for period in periods]
    ends = [period.end for period in periods]
    if any(end <= start for start, end in zip(starts, ends, strict=True)) or any(
        end > start for end, start in zip(ends, starts[1:], strict=False)
    ):
        raise DealError(f"the readings of meter {meter_id} do not follow one another")
    return tuple(periods)


def quantities(deal: Deal) -> dict[str, Quantity]:
    """Give what the deal's sources and signals came to, by name.

    A source: metered energy, that at the value of a signal, or the cost or the energy of a
    record; of no one meter: by how much less than their baselines all of them drew; of an
    inverter: the energy of its response to a signal, or how well it followed that. A signal:
    the mean over what is settled; a running total: what it was before. A name without a value
    is there with None. Raises DealError.
    """
    period = period_of(deal)
    told = courses(signals_in(deal)) or courses(signals_in(deal, "contract"))
    found: dict[str, Quantity] = {
        s.name: Quantity(None, s.unit) for s in signals_in(deal, "contract")
    }
    for name, (first, course) in told.items():
        now = first.value if first.kind == STATE else period and course.over(period)
        found[name] = Quantity(now, first.unit)
    by_meter: dict[str | None, list[MeterReading]] = {}
    for reading in deal.readings:
        by_meter.setdefault(reading.meter_id, []).append(reading)
    metered: dict[tuple[str | None, str | None], Quantity] = {}
    measured: dict[tuple[str | None, bool], Fraction] | None = None
    for source in deal.sources:
        if is_of_telemetry(source):
            measured = _of_telemetry(deal) if measured is None else measured
            unit = "kWh" if source.kind == "METER_READING" else source.unit
            found[source.name] = Quantity(measured.get((source.signal, unit == SCORE_UNIT)), unit)
        elif source.kind == "METER_READING":
            key, own = (source.meter_id, source.signal), by_meter.get(source.meter_id, [])
            if key not in metered:
                metered[key] = _registered(own, source.signal, told)
            found[source.name] = metered[key]
        elif source.kind == "CHARGE_DATA_RECORD":
            found[source.name] = _of_record(deal, source.unit)
    return found


def is_of_telemetry(source: Source) -> bool:
    """Tell whether a source is the reduction of all meters, or a response to a signal."""
    if source.kind == "METER_READING":
        return source.meter_id is None and source.signal is None
    return source.kind == "INVERTER_DATA" and source.signal is not None


def _of_telemetry(deal: Deal) -> dict[tuple[str | None, bool], Fraction]:
    """Give the reduction of all meters, and by signal the energy and the score of a response."""
    found: dict[tuple[str | None, bool], Fraction] = {}
    reduced = loads.reductions_kwh(deal)
    if reduced and (deal.table is None or len(reduced) == len(deal.table.rows)):
        found[None, False] = sum(reduced.values(), Fraction())
    for name, response in followed(deal).items():
        found[name, False], found[name, True] = response.energy, response.score
    return found


def _registered(
    readings: Sequence[MeterReading],
    signal: str | None,
    told: Mapping[str, tuple[Signal, Course]],
) -> Quantity:
    if signal is not None:
        return _at_signal(readings, told.get(signal))
    return Quantity(exact_sum(r.energy_kwh for r in readings) if readings else None, "kWh")


def _at_signal(readings: Sequence[MeterReading], told: tuple[Signal, Course] | None) -> Quantity:
    """Give what readings are worth, each at the value that a signal has when it begins."""
    if told is None:
        return Quantity(None)
    first, course = told
    total = Fraction()
    for reading in readings:
        begin = moment(reading.start)
        value = course.at(begin) if begin else None
        if value is None:
            return Quantity(None)
        total += Fraction(reading.energy_kwh) * Fraction(value)
    try:
        unit = Unit.read("kWh").times(Unit.read(first.unit)) if first.unit else None
    except FormulaError as error:
        raise DealError(f"the signal {first.name} has no unit: {error}") from error
    return Quantity(total if readings else None, unit and str(unit))


def _of_record(deal: Deal, unit: str | None) -> Quantity:
    record = record_in(deal)
    if unit == "kWh":
        periods = record.periods if record else ()
        energy = exact_sum(Decimal(str(period.energy_kwh)) for period in periods)
        return Quantity(energy if record else None, unit)
    tariff, value = tariff_in(deal), record.incl_vat if record else None
    if record is None and tariff is not None and (periods := session(deal)):
        value = invoice(deal, session_cost(tariff, periods)).incl_vat
    return Quantity(value, tariff.currency if tariff else None)


def agreed(deal: Deal) -> agreement.EnergyContract:
    """Give a deal as the contract that reference_impl computes. Raises DealError."""
    try:
        return agreement.EnergyContract(
            contract_id=deal.contract_id or "",
            status="PENDING",
            roles=tuple(
                agreement.Role(
                    camel(role.name),
                    role.holder_id,
                    {term.name: Quantity(term.value, term.unit) for term in role.terms},
                )
                for role in deal.roles
            ),
            flows=tuple(
                agreement.RevenueFlow(camel(due.payer), camel(due.payee), due.formula)
                for due in dues_of(deal)
            ),
            metrics=tuple(
                agreement.QualityMetric(
                    promise.name,
                    promise.formula,
                    unit=promise.unit,
                    target=Quantity(promise.target, promise.unit),
                    bound="AT_MOST" if promise.bound == "AT_MOST" else "AT_LEAST",
                    penalty=promise.due.formula,
                    penalty_applied_to=camel(promise.due.payer),
                )
                for promise in deal.promises
            ),
            parameters=quantities(deal),
        )
    except (FormulaError, agreement.ContractError, ArithmeticError) as error:
        raise DealError(f"a payment cannot be computed: {error}") from error


def dues_of(deal: Deal) -> tuple[Due, ...]:
    """Give the payments that a deal has come to: those of its end where it was cancelled.

    Where a deal says nothing of its end, all of them are meant.
    """
    if all(due.kind != AT_AN_END for due in deal.dues):
        return deal.dues
    has_ended = deal.status == "TERMINATED"
    return tuple(due for due in deal.dues if (due.kind == AT_AN_END) is has_ended)


def owed(deal: Deal) -> tuple[Owed, ...]:
    """Compute every payment of a deal from what it states: rounded one by one, in their order.

    A formula that names a column of the interval table is computed in each interval (tabled). What
    is owed at an early end only is left out where it did not end so, all else where it did.
    Behind the payments stand the penalties of promises; one that was kept costs nothing.

    Raises DealError where a formula cannot be computed.
    """
    rounding, minor_unit = rounding_of(deal)
    holders = {camel(role.name): role.holder_id or role.name for role in deal.roles}
    contract = agreed(deal)
    try:
        computed = list(payments(deal, contract))
        missed = [metric.penalty or Fraction() for metric in agreement.quality(contract)]
    except (FormulaError, agreement.ContractError, ArithmeticError, TooMuchError) as error:
        raise DealError(f"a payment cannot be computed: {error}") from error
    penalties = [
        agreement.Payment(camel(promise.due.payer), camel(promise.due.payee), amount)
        for promise, amount in zip(deal.promises, missed, strict=True)
    ]
    dues = (*dues_of(deal), *(promise.due for promise in deal.promises))
    return tuple(
        Owed(
            holders.get(payment.payer, payment.payer),
            holders.get(payment.payee, payment.payee),
            due.kind,
            rounded(Fraction(payment.amount), rounding, minor_unit),
        )
        for due, payment in zip(dues, (*computed, *penalties), strict=True)
    )


def settled(deal: Deal, currency: str) -> SettlementReport:
    """Settle a deal: every payment, and what is left to each party. Raises DealError."""
    flows = tuple(
        RevenueFlow(payer=o.payer, payee=o.payee, kind=o.kind, amount=o.amount, currency=currency)
        for o in owed(deal)
    )
    left: dict[str, Decimal] = {}
    for flow in flows:
        left[flow.payer] = left.get(flow.payer, Decimal(0)) - flow.amount
        left[flow.payee] = left.get(flow.payee, Decimal(0)) + flow.amount
    positions = (Position(party=who, value=value, currency=currency) for who, value in left.items())
    return SettlementReport(flows=flows, positions=tuple(positions))
