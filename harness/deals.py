"""The money of a deal: what its formulas and its tariff make of what it and its delivery state.

Belongs here: from the views of one deal to amounts, through reference_impl. Does not belong
here: the arithmetic itself (reference_impl), whether somebody's amounts are right (rules).

Every function reads what a stranger may have written: DealError says what cannot be computed.

Source: reference_impl/README.md, Contracts and Tariffs; OCPI 2.2.1, mod_cdrs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple, cast

from gridwitness import loads
from gridwitness.dialects.deals import camel
from gridwitness.reference_impl import contract as agreement
from gridwitness.reference_impl.formula import FormulaError, Quantity, Unit
from gridwitness.reference_impl.rounding import EXACT, ROUNDINGS, exact_sum, rounded, shared
from gridwitness.reference_impl.tariff import (
    ChargingPeriod,
    Cost,
    Tariff,
    TariffError,
    cost,
    cost_of_trade,
)
from gridwitness.response import SCORE_UNIT, response_to
from gridwitness.signals import STATE, courses, moment, period_of, signals_in
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

NOTHING: Mapping[str, Quantity] = {}

APPROVED, CONTRACTED = "approved", "contracted"
"""The terms of a utility and of who asks that say how much energy may flow, and is to flow."""

PARTS = {
    "ENERGY": ("UNIT", "Energy"),
    "TIME": ("FEE", "Time of charging"),
    "PARKING_TIME": ("FEE", "Time without charging"),
    "FLAT": ("FEE", "Flat fee"),
}
"""How each dimension of a tariff is called on a bill."""


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
    mapping = dict(cast("Mapping[str, object]", data))
    zone = mapping.pop("timeZone", None)
    try:
        return Tariff.from_mapping(mapping | ({"time_zone": zone} if zone is not None else {}))
    except TariffError as error:
        raise DealError(f"the tariff cannot be read: {error}") from error


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
    return number if number.is_finite() and abs(number.adjusted()) < 30 else None  # noqa: PLR2004


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


def quantities(deal: Deal, place: int | None = None) -> dict[str, Quantity]:
    """Give what the deal's sources and signals came to, by name.

    A source: metered energy, that at the value of a signal, or the cost or the energy of a
    record; of no one meter: by how much less than their baselines all of them drew; of an
    inverter: the energy of its response to a signal, or how well it followed that. A signal:
    the mean over what is settled; a running total: what it was before. place: only what was
    metered in that interval of the deal's table, and nothing of telemetry. A name without a
    value is there with None. Raises DealError.
    """
    period = period_of(deal)
    told = courses(signals_in(deal)) or courses(signals_in(deal, "contract"))
    found: dict[str, Quantity] = {
        s.name: Quantity(None, s.unit) for s in signals_in(deal, "contract")
    }
    for name, (first, course) in told.items():
        now = first.value if first.kind == STATE else period and course.over(period)
        found[name] = Quantity(now, first.unit)
    for source in deal.sources:
        if is_of_telemetry(source):
            if place is None:
                found[source.name] = _of_telemetry(deal, source)
        elif source.kind == "METER_READING":
            own = [
                reading
                for reading in deal.readings
                if reading.meter_id == source.meter_id
                and (place is None or _lies_in(deal, reading, place))
            ]
            found[source.name] = (
                Quantity(exact_sum(r.energy_kwh for r in own) if own else None, "kWh")
                if source.signal is None
                else _at_signal(own, told.get(source.signal))
            )
        elif source.kind == "CHARGE_DATA_RECORD":
            found[source.name] = _of_record(deal, source.unit)
    return found


def is_of_telemetry(source: Source) -> bool:
    """Tell whether a source is the reduction of all meters, or a response to a signal."""
    if source.kind == "METER_READING":
        return source.meter_id is None
    return source.kind == "INVERTER_DATA" and source.signal is not None


def _of_telemetry(deal: Deal, source: Source) -> Quantity:
    if source.kind == "METER_READING":
        reduced = loads.reductions_kwh(deal)
        whole = reduced and (deal.table is None or len(reduced) == len(deal.table.rows))
        return Quantity(sum(reduced.values(), Fraction()) if whole else None, "kWh")
    response = response_to(deal, source.signal or "")
    if source.unit == SCORE_UNIT:
        return Quantity(response and response.score, source.unit)
    return Quantity(response and response.energy, source.unit)


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
    tariff = tariff_in(deal)
    value = record.incl_vat if record else None
    if record is None and tariff is not None and (periods := session(deal)):
        value = invoice(deal, session_cost(tariff, periods)).incl_vat
    return Quantity(value, tariff.currency if tariff else None)


def agreed(
    deal: Deal,
    dues: Sequence[Due] | None = None,
    known: Mapping[str, Quantity] = NOTHING,
    place: int | None = None,
) -> agreement.EnergyContract:
    """Give a deal as the contract that reference_impl computes. Raises DealError.

    dues: only these of its payments. known: quantities beside those of the deal. place: in one
    interval of its table.
    """
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
                for due in (deal.dues if dues is None else dues)
            ),
            parameters={**quantities(deal, place), **known},
        )
    except (FormulaError, agreement.ContractError, ArithmeticError) as error:
        raise DealError(f"a payment cannot be computed: {error}") from error


def _lies_in(deal: Deal, reading: MeterReading, place: int) -> bool:
    interval = deal.table.interval if deal.table else None
    if interval is None or reading.start is None:
        return False
    length = timedelta(microseconds=int(interval.duration_h * 3_600_000_000))
    return _instant(reading.start) == _instant(interval.start) + place * length


def name_in_formulas(column: str) -> str:
    """Give the name that formulas have for a column: seller's allocation is sellers_allocation."""
    return column.replace("'s", "s").replace(" ", "_")


LENGTH = "interval"
"""The name that formulas have for the length of an interval of the table, in hours."""

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)


def owed(deal: Deal) -> tuple[Owed, ...]:
    """Compute every payment of a deal from what it states: rounded one by one, in their order.

    A formula that names a column of the interval table is computed in each interval, and summed
    before it is rounded.

    Raises DealError where a formula cannot be computed.
    """
    rounding, minor_unit = rounding_of(deal)
    holders = {camel(role.name): role.holder_id or role.name for role in deal.roles}
    try:
        computed = list(_computed(deal))
    except (FormulaError, agreement.ContractError, ArithmeticError, OverflowError) as error:
        raise DealError(f"a payment cannot be computed: {error}") from error
    return tuple(
        Owed(
            holders.get(payment.payer, payment.payer),
            holders.get(payment.payee, payment.payee),
            due.kind,
            rounded(Fraction(payment.amount), rounding, minor_unit),
        )
        for due, payment in zip(deal.dues, computed, strict=True)
    )


def _computed(deal: Deal) -> Iterator[agreement.Payment]:
    """Compute the payments in their order, exactly."""
    columns = {name_in_formulas(c.name): c for c in (deal.table.columns if deal.table else ())}
    by_interval = [not columns.keys().isdisjoint(_NAME.findall(due.formula)) for due in deal.dues]
    once = _flows(
        deal, [d for d, repeats in zip(deal.dues, by_interval, strict=True) if not repeats]
    )
    repeated = [due for due, repeats in zip(deal.dues, by_interval, strict=True) if repeats]
    totals = [Fraction(0)] * len(repeated)
    fixed = {
        source.name: _of_telemetry(deal, source)
        for source in (deal.sources if repeated else ())
        if is_of_telemetry(source)
    }
    reduced = loads.reductions_kwh(deal) if fixed else {}
    for place, row in enumerate(deal.table.rows if deal.table and repeated else ()):
        for source in deal.sources if fixed else ():
            if source.kind == "METER_READING" and source.meter_id is None:
                fixed[source.name] = Quantity(reduced.get(place), "kWh")
        known = fixed | {
            name: Quantity(next(iter(row.get(column.name, ())), None), column.unit)
            for name, column in columns.items()
        }
        if deal.table and deal.table.interval:
            known[LENGTH] = Quantity(deal.table.interval.duration_h, "h")
        for index, payment in enumerate(_flows(deal, repeated, known, place)):
            right_way = payment.payer == camel(repeated[index].payer)
            totals[index] += payment.amount if right_way else -payment.amount
    summed = iter(
        agreement.Payment(camel(due.payer), camel(due.payee), total)
        if total >= 0
        else agreement.Payment(camel(due.payee), camel(due.payer), -total)
        for due, total in zip(repeated, totals, strict=True)
    )
    alone = iter(once)
    for repeats in by_interval:
        yield next(summed if repeats else alone)


def _flows(
    deal: Deal,
    dues: Sequence[Due],
    known: Mapping[str, Quantity] = NOTHING,
    place: int | None = None,
) -> list[agreement.Payment]:
    if not dues:
        return []
    return agreement.revenue_flows(agreed(deal, dues, known, place))


class Input(NamedTuple):
    """A quantity that a report rests on: its value, to nine decimals, and its unit."""

    value: Decimal
    unit: str | None


DECIMALS = 9
"""How exactly a quantity is stated that has no end, as a mean may be."""


def inputs(deal: Deal) -> dict[str, Input]:
    """Give every quantity that the formulas of a deal use, as they call it.

    Raises DealError where one has no value, or a formula cannot be read.
    """
    contract = agreed(deal)
    unknown = replace(
        contract,
        roles=tuple(
            role._replace(inputs={n: Quantity(None, q.unit) for n, q in role.inputs.items()})
            for role in contract.roles
        ),
        parameters={name: Quantity(None, q.unit) for name, q in contract.parameters.items()},
    )
    try:
        return {name: _valued(contract, name) for name in agreement.missing_inputs(unknown)}
    except (FormulaError, agreement.ContractError, ArithmeticError) as error:
        raise DealError(f"a quantity has no value: {error}") from error


def _valued(contract: agreement.EnergyContract, formula: str) -> Input:
    metric = agreement.QualityMetric("value", formula)
    (found,) = agreement.quality(replace(contract, metrics=(metric,)))
    exact = rounded(found.value, ROUNDING, DECIMALS)
    plain = f"{exact:f}".rstrip("0").rstrip(".")
    return Input(Decimal(plain), found.unit and str(found.unit))


def total_after(deal: Deal, name: str) -> Decimal:
    """Give what a running total comes to by what a message tells; money as it is paid.

    Raises DealError.
    """
    meant = (*signals_in(deal, "contract"), *signals_in(deal))
    formula = next((s.formula for s in meant if s.name == name and s.formula), None)
    if formula is None:
        raise DealError(f"nothing says what {name} becomes")
    try:
        found = _valued(agreed(deal), formula)
        if found.unit is not None and Unit.read(found.unit).is_money:
            return rounded(Fraction(found.value), *rounding_of(deal))
    except (FormulaError, agreement.ContractError, ArithmeticError) as error:
        raise DealError(f"what {name} becomes cannot be computed: {error}") from error
    return found.value


def difference(old: SettlementReport, new: SettlementReport) -> tuple[RevenueFlow, ...]:
    """Give what remains to be paid under a report after another was: by parties and kind.

    An amount that has become smaller is paid back.
    """
    owed_now: dict[tuple[str, str, str, str], Decimal] = {}
    for report, is_owed in ((old, False), (new, True)):
        for flow in report.flows:
            low, high = sorted((flow.payer, flow.payee))
            key = low, high, flow.kind, flow.currency
            amount = flow.amount if (flow.payer == low) == is_owed else -flow.amount
            owed_now[key] = EXACT.add(owed_now.get(key, Decimal(0)), amount)
    return tuple(
        RevenueFlow(
            payer=low if amount > 0 else high,
            payee=high if amount > 0 else low,
            kind=kind,
            amount=abs(amount),
            currency=currency,
        )
        for (low, high, kind, currency), amount in owed_now.items()
        if amount
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
