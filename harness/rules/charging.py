"""EVC: a car is charged as it was reserved, asked for, measured and agreed.

Belongs here: what holds between the messages of one charge: its states, its telemetry and
record, its reservation, its objective. Does not belong here: the money of it (billing), how a
session is read (gridwitness.charging).

A charge is what is told in one transaction; what was refused, or is wrong on purpose, is no
part of it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING, NamedTuple

from gridwitness import charging, deals, listing
from gridwitness.acks import ACK
from gridwitness.charging import CONNECTOR, FOLLOW, Meter
from gridwitness.dues import instant
from gridwitness.rules import outcome, rule
from gridwitness.sameness import plain
from gridwitness.story import BAP, BAP_AND_BPP, BPP, CHARGING_OPERATOR, EV_APP, UTILITY
from gridwitness.trace import first_told, once

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from gridwitness.charging import Span
    from gridwitness.deals import Record
    from gridwitness.rules import Outcome
    from gridwitness.trace import Message, Trace
    from gridwitness.views import Deal, Interval

SESSIONS = "OCPI 2.2.1, mod_sessions; beckn/DEG, EV charging, ChargingSession"
RECORDS = "OCPI 2.2.1, mod_cdrs"
OBJECTIVES = "beckn/DEG, building blocks, EnergyCoordination v1, EnergyObjectives"
RESERVING = "OCPI 2.2.1, mod_commands: ReserveNow, expiry_date"
WINDOWS = "schemas/README.md, EnergyContract: arrivalWindow, gracePeriod"

DRIVERS, OPERATORS = (EV_APP, BAP), (CHARGING_OPERATOR, BPP, BAP_AND_BPP)
"""Who asks and who answers, also in a recording that names no cast."""

NOTICE_H = Fraction(1, 100)
"""So exactly is told how long before something was given up."""

SHORTFALL_KWH = Decimal("0.001")

MOST_ROUNDED_KWH = Fraction(1, 200)
"""By no more than half a hundredth is the energy of a period rounded up."""


class Told(NamedTuple):
    """What one message tells of a charge."""

    message: Message
    deal: Deal


@dataclass
class Charge:
    """What was told of one charge, in order, and the last record of it."""

    told: list[Told] = field(default_factory=list[Told])
    record: Record | None = None
    recorded: Told | None = None


@once
def _charges(trace: Trace) -> list[Charge]:
    """Collect what was told by transaction."""
    found: dict[str | None, Charge] = {}
    for message in first_told(trace):
        deal = message.reading.deal
        refused = message.ack is not None and message.ack.status != ACK
        if deal is None or message.deliberate is not None or message.reading.error is not None:
            continue
        if refused and not message.is_callback:
            continue
        charge = found.setdefault(message.reading.envelope.transaction_id, Charge())
        charge.told.append(Told(message, deal))
        record = charging.record_of(deal)
        if record is not None:
            charge.record, charge.recorded = record, charge.told[-1]
    return list(found.values())


def _told(trace: Trace) -> Iterator[Told]:
    for charge in _charges(trace):
        yield from charge.told


def _record_at(deal: Deal) -> str:
    block = deal.block("fulfilment", "chargeDetailRecord")
    return block.pointer() if block else deal.pointer()


@rule("EVC-001", "MUST", source=SESSIONS, judges=(*DRIVERS, *OPERATORS), when_stated=True)
def states_of_a_session_follow_one_another(trace: Trace) -> Iterator[Outcome]:
    """A session is asked for, active, perhaps cut off for a while, stopped, and completed once."""
    for charge in _charges(trace):
        before: str | None = None
        for message, deal in charge.told:
            state = charging.state(deal)
            if state is None or state not in FOLLOW:
                continue  # SHP knows the names
            block = deal.block("fulfilment", "sessionStatus")
            follows = state in (before, *FOLLOW[before])
            yield outcome(
                follows,
                by=message.sender,
                message=message,
                observed=f"{state} after {before or 'nothing'}",
                expected=" or ".join(FOLLOW[before]) or "no other state",
                pointer=block.pointer() if block else "",
            )
            before = state if follows else before


@rule(
    "EVC-017",
    "MUST",
    source="OCPP 1.6, section 4.9, StatusNotification; OCPP 2.0.1, ConnectorStatusEnumType",
    judges=OPERATORS,
    when_stated=True,
)
def connector_is_in_a_state_of_its_session(trace: Trace) -> Iterator[Outcome]:
    """The state of a connector is one that it can be in while its session is in the state told."""
    for message, deal in _told(trace):
        block, state = deal.block("fulfilment", "connectorStatus"), charging.state(deal)
        if block is None or state not in CONNECTOR:
            continue
        yield outcome(
            block.data in CONNECTOR[state],
            by=message.sender,
            message=message,
            observed=f"{block.data!r} while the session is {state}",
            expected=" or ".join(CONNECTOR[state]),
            pointer=block.pointer(),
        )


# -- what is measured -------------------------------------------------------------------


def _fineness(number: Decimal) -> Fraction:
    """Give half a unit of the last place that a number is told to.

    Zeros at the end tell of no place: a format may have put them there.
    """
    denominator, places = Fraction(number).denominator, 0
    while 10**places % denominator:
        places += 1
    return Fraction(1, 2 * 10**places)


@rule(
    "EVC-002",
    "MUST",
    source="OpenADR 3, interval payloads; OCPI 2.2.1, CdrDimensionType",
    judges=OPERATORS,
    when_stated=True,
)
def telemetry_agrees_with_itself(trace: Trace) -> Iterator[Outcome]:
    """The energy of an interval of telemetry is its power times its length, as fine as told."""
    for message, deal in _told(trace):
        for span in charging.telemetry(deal):
            if span.power_kw is None:
                continue
            length_h = charging.hours(span.end - span.start)
            right_kwh = Fraction(span.power_kw) * length_h
            slack = _fineness(span.power_kw) * length_h + _fineness(span.energy_kwh)
            yield outcome(
                abs(Fraction(span.energy_kwh) - right_kwh) <= slack,
                by=message.sender,
                message=message,
                observed=f"{span.energy_kwh} kWh",
                expected=f"{float(right_kwh):.4g} kWh, from {span.power_kw} kW",
                pointer=_telemetry_at(deal),
            )


def _telemetry_at(deal: Deal) -> str:
    block = deal.block("fulfilment", "telemetry")
    return block.pointer() if block else deal.pointer()


@rule("EVC-003", "MUST", source=RECORDS, judges=OPERATORS, when_stated=True)
def record_holds_what_was_measured(trace: Trace) -> Iterator[Outcome]:
    """A record holds at least the energy that telemetry told of its session."""
    for charge in _charges(trace):
        measured = _apart(span for _, deal in charge.told for span in charging.telemetry(deal))
        if not measured or charge.record is None or charge.recorded is None:
            continue
        told_kwh = sum((Fraction(span.energy_kwh) for span in measured), Fraction(0))
        slack = sum((_fineness(span.energy_kwh) for span in measured), Fraction(0))
        total_kwh = Meter(charge.record).total_kwh
        yield outcome(
            told_kwh <= total_kwh + slack,
            by=charge.recorded.message.sender,
            message=charge.recorded.message,
            observed=f"{float(total_kwh):.6g} kWh",
            expected=f"{float(told_kwh):.6g} kWh or more, as telemetry told",
            pointer=_record_at(charge.recorded.deal),
        )


def _apart(told: Iterable[Span]) -> list[Span]:
    """Give spans of which none overlaps another: one may be told again, or in other pieces."""
    last = {(span.start, span.end): span for span in told}
    apart: list[Span] = []
    for span in sorted(last.values(), key=lambda span: span.end):
        if not apart or apart[-1].end <= span.start:
            apart.append(span)
    return apart


@rule(
    "EVC-004",
    "MUST",
    source="OCPI 2.2.1, mod_locations: max_electric_power; beckn/DEG, EV charging, maxPowerKW",
    judges=OPERATORS,
    when_stated=True,
)
def charger_gives_no_more_than_it_can(trace: Trace) -> Iterator[Outcome]:
    """No period of a record takes more energy than the charger's power gives in its length."""
    for message, deal in _told(trace):
        limit_kw = _powers(trace).get((deal.provider_id, deal.offer_id))
        record = charging.record_of(deal)
        if limit_kw is None or record is None:
            continue
        worst_kw = max(
            (
                Fraction(period.energy_kwh)
                - min(_fineness(Decimal(str(period.energy_kwh))), MOST_ROUNDED_KWH)
            )
            / charging.hours(period.end - period.start)
            for period in record.periods
        )
        yield outcome(
            worst_kw <= Fraction(limit_kw),
            by=message.sender,
            message=message,
            observed=f"{float(worst_kw):.6g} kW in one period",
            expected=f"{limit_kw} kW at most, as offered",
            pointer=_record_at(deal),
        )


@once
def _powers(trace: Trace) -> dict[tuple[str | None, str | None], Decimal]:
    """Give the power of each charger that was offered, by provider and offer."""
    found: dict[tuple[str | None, str | None], Decimal] = {}
    for message in trace.beckn:
        for offer in message.reading.offers:
            power_kw = listing.max_power_kw(offer)
            if power_kw is not None:
                found[offer.provider_id, offer.offer_id] = power_kw
    return found


@rule("EVC-005", "MUST", source=SESSIONS, judges=OPERATORS, when_stated=True)
def record_begins_and_ends_as_asked(trace: Trace) -> Iterator[Outcome]:
    """A record begins when its session is asked for or later, and takes nothing once it stops."""
    for charge in _charges(trace):
        record, recorded = charge.record, charge.recorded
        if record is None or recorded is None:
            continue
        asked, stopped = _asked_at(charge, "PENDING"), _asked_at(charge, "STOP")
        meter = Meter(record)
        if asked is None and stopped is None:
            continue
        begins = record.periods[0].start
        too_early = asked is not None and begins < asked
        too_late = stopped is not None and meter.until(stopped) < meter.total_kwh
        yield outcome(
            not too_early and not too_late,
            by=recorded.message.sender,
            message=recorded.message,
            observed=f"a session from {begins.isoformat()}"
            if too_early
            else f"energy after {stopped and stopped.isoformat()}",
            expected=f"a session that was asked for at {asked and asked.isoformat()}"
            if too_early
            else "none after the session was stopped",
            pointer=_record_at(recorded.deal),
        )


def _asked_at(charge: Charge, state: str) -> datetime | None:
    """Tell when a customer first asked a session to be in a state, if it says."""
    for message, deal in charge.told:
        if not message.is_callback and charging.state(deal) == state:
            return charging.observed_at(deal)
    return None


@rule("EVC-006", "MUST", source=RESERVING, judges=OPERATORS, when_stated=True)
def energy_is_charged_in_the_agreed_hours(trace: Trace) -> Iterator[Outcome]:
    """What is charged is charged within the hours that were agreed."""
    for message, deal in _told(trace):
        record = charging.record_of(deal)
        agreed = _hours_of(deal.interval) if deal.interval else None
        if record is None or agreed is None:
            continue
        (start, end), meter = agreed, Meter(record)
        beyond_kwh = meter.total_kwh - (meter.until(end) - meter.until(start))
        yield outcome(
            beyond_kwh <= 0,
            by=message.sender,
            message=message,
            observed=f"{float(beyond_kwh):.4g} kWh at other hours",
            expected=f"all of it from {start.isoformat()} to {end.isoformat()}",
            pointer=_record_at(deal),
        )


@rule("EVC-007", "MUST", source=SESSIONS, judges=OPERATORS, when_stated=True)
def nothing_flows_while_a_session_is_cut_off(trace: Trace) -> Iterator[Outcome]:
    """No energy is recorded between an interruption and the end of it."""
    for charge in _charges(trace):
        gaps = list(_gaps(charge))
        if charge.record is None or charge.recorded is None or not gaps:
            continue
        meter = Meter(charge.record)
        flowed_kwh = sum(
            (meter.until(end) - meter.until(start) for start, end in gaps), Fraction(0)
        )
        yield outcome(
            flowed_kwh <= 0,
            by=charge.recorded.message.sender,
            message=charge.recorded.message,
            observed=f"{float(flowed_kwh):.4g} kWh while the session was interrupted",
            expected="none",
            pointer=_record_at(charge.recorded.deal),
        )


def _gaps(charge: Charge) -> Iterator[tuple[datetime, datetime]]:
    """Give from when to when a session was cut off, as far as it is told.

    What goes on is told when it does, or with what was measured since.
    """
    since: datetime | None = None
    for _, deal in charge.told:
        state = charging.state(deal)
        if state == "INTERRUPTED":
            since = charging.observed_at(deal)
        elif state is not None and since is not None:
            spans = charging.telemetry(deal)
            until = spans[0].start if spans else charging.observed_at(deal)
            if until is not None and until > since:
                yield since, until
            since = None


# -- what is reserved -------------------------------------------------------------------


@rule("EVC-008", "MUST", source="schemas/README.md, EnergyDelivery: observedAt", when_stated=True)
def notice_is_the_time_that_is_left(trace: Trace) -> Iterator[Outcome]:
    """The notice of a cancellation is the time from it to the start of what was agreed."""
    for charge in _charges(trace):
        for message, deal in charge.told:
            term, interval = deal.term("notice"), deal.interval
            if term is None or term.unit != "h" or interval is None:
                continue
            start, at = instant(interval.start), charging.told_at(message, deal)
            if start is not None and at is not None:
                left_h = charging.hours(start - at)
                yield outcome(
                    abs(Fraction(term.value) - left_h) <= NOTICE_H,
                    by=message.sender,
                    message=message,
                    observed=f"{term.value} h",
                    expected=f"{float(left_h):.4g} h",
                    pointer=term.pointer("value"),
                )
            break  # that it stays as it was told is LIN-014's


@rule(
    "EVC-009",
    "MUST",
    source=f"{RESERVING}; {WINDOWS}",
    judges=OPERATORS,
    when_stated=True,
)
def reservation_is_held_through_its_grace(trace: Trace) -> Iterator[Outcome]:
    """A reservation is held until the grace of its arrival is over, and for who comes in time."""
    for charge in _charges(trace):
        limit = came = None
        for message, deal in charge.told:
            if message.action == "confirm":
                limit = _held_until(deal)
            elif message.action == "cancel":
                break
            elif not message.is_callback and charging.state(deal) == "PENDING":
                came = charging.told_at(message, deal)
            elif message.is_callback and limit is not None:
                in_time = came is not None and came <= limit
                at = charging.told_at(message, deal)
                ended = deal.status == "TERMINATED"
                if in_time or ended:
                    yield outcome(
                        not ended or not (in_time or at is None or at < limit),
                        by=message.sender,
                        message=message,
                        observed=f"the reservation is ended at {at and at.isoformat()}",
                        expected=f"a reservation held until {limit.isoformat()}",
                        pointer=deal.pointer("status"),
                    )


def _held_until(deal: Deal) -> datetime | None:
    end = charging.end_of(deal.arrival)
    try:
        return end and end + timedelta(seconds=float((deal.grace_h or 0) * 3600))
    except OverflowError:
        return None


@rule("EVC-010", "MUST", source=f"{WINDOWS}; {OBJECTIVES}", when_stated=True)
def arrival_and_objective_stay_as_agreed(trace: Trace) -> Iterator[Outcome]:
    """The arrival window, its grace and the objective stay as confirmed."""
    for charge in _charges(trace):
        agreed: dict[str, object] = {}
        for message, deal in charge.told:
            said = {name: value for name, value in _visit(deal).items() if value is not None}
            if message.action == "confirm":
                agreed = said
                continue
            both = [name for name in said if name in agreed]
            changed = [name for name in both if said[name] != agreed[name]]
            if both:
                name = changed[0] if changed else both[0]
                yield outcome(
                    not changed,
                    by=message.sender,
                    message=message,
                    observed=f"the {name} {said[name]}",
                    expected=f"the {name} {agreed[name]}",
                    pointer=deal.pointer(),
                )


def _visit(deal: Deal) -> dict[str, object]:
    block = deal.block("contract", "objective")
    return {
        "arrival": _when(deal.arrival),
        "grace": deal.grace_h and f"of {float(deal.grace_h * 60):g} min",
        "objective": block and repr(plain(block.data)),
    }


def _when(interval: Interval | None) -> str | None:
    start = instant(interval.start) if interval else None
    if interval is None or start is None:
        return None
    return f"at {start.timestamp():.0f} for {float(interval.duration_h * 60):g} min"


# -- what is wanted ---------------------------------------------------------------------


@rule("EVC-011", "MUST", source=OBJECTIVES, judges=OPERATORS, when_stated=True)
def target_is_reached_or_the_shortfall_told(trace: Trace) -> Iterator[Outcome]:
    """What a record lacks of its target at the deadline is stated as the shortfall."""
    for message, deal in _told(trace):
        right_kwh = charging.shortfall_kwh(deal)
        if right_kwh is None:
            continue
        term = deal.term("shortfall")
        stated_kwh = term.value if term else Decimal(0)
        yield outcome(
            abs(stated_kwh - right_kwh) <= SHORTFALL_KWH,
            by=message.sender,
            message=message,
            observed=f"a shortfall of {stated_kwh} kWh",
            expected=f"{right_kwh} kWh, from the target and the record",
            pointer=term.pointer("value") if term else _record_at(deal),
        )


@rule("EVC-012", "MUST", source=OBJECTIVES, judges=OPERATORS, when_stated=True)
def highest_price_is_kept(trace: Trace) -> Iterator[Outcome]:
    """A charge costs no more per kWh, with VAT, than its objective's highest price."""
    for message, deal in _told(trace):
        wanted = charging.objective(deal)
        limit = (wanted / "maxPricePerKWh").number() if wanted else None
        if wanted is None or limit is None:
            continue
        for value, energy_kwh, currency, pointer in _costs(deal):
            if currency != (wanted / "currency").text() or energy_kwh <= 0:
                continue
            unit = Fraction(1, 10 ** deals.rounding_of(deal)[1])  # the sum may be rounded up
            yield outcome(
                Fraction(value) < Fraction(limit) * energy_kwh + unit,
                by=message.sender,
                message=message,
                observed=f"{value} {currency} for {float(energy_kwh):.6g} kWh",
                expected=f"{limit} {currency} per kWh at most",
                pointer=pointer,
            )


def _costs(deal: Deal) -> Iterator[tuple[Decimal, Fraction, str, str]]:
    """Give what the energy of a charge costs: as it is quoted, as it is recorded."""
    bill, record = deal.bill, charging.record_of(deal)
    if bill is not None and not bill.is_due and bill.energy_kwh is not None:
        yield bill.value, Fraction(bill.energy_kwh), bill.currency, bill.pointer("value")
    currency = charging.currency_of_record(deal)
    if record is not None and record.incl_vat is not None and currency is not None:
        yield record.incl_vat, Meter(record).total_kwh, currency, _record_at(deal)


# -- what others say --------------------------------------------------------------------


@rule(
    "EVC-013",
    "MUST",
    source=f"{RECORDS}: total_energy; beckn/DEG, building blocks, telemetrySources",
    judges=OPERATORS,
    when_stated=True,
)
def record_agrees_with_the_meter(trace: Trace) -> Iterator[Outcome]:
    """A record holds the energy that the meter of the charger registered."""
    for message, deal in _told(trace):
        record, role = charging.record_of(deal), deal.role(CHARGING_OPERATOR)
        metered = [r.energy_kwh for r in deal.readings if role and r.meter_id == role.meter_id]
        if record is None or not metered:
            continue
        metered_kwh = sum(map(Fraction, metered), Fraction(0))
        total_kwh = Meter(record).total_kwh
        yield outcome(
            total_kwh == metered_kwh,
            by=message.sender,
            message=message,
            observed=f"{float(total_kwh):.6g} kWh",
            expected=f"{float(metered_kwh):.6g} kWh, as metered",
            pointer=_record_at(deal),
        )


@rule(
    "EVC-014",
    "MUST",
    source="beckn/DEG, building blocks, EnergyContract v1: the tariff is the utility's",
    judges=OPERATORS,
    when_stated=True,
)
def tariff_is_the_utilitys(trace: Trace) -> Iterator[Outcome]:
    """A tariff that the utility told is passed on as it was told."""
    heard: dict[str | None, object] = {}
    for message, deal in (told for told in _in_order(trace)):
        tariff = deal.block("contract", "tariff")
        if tariff is None:
            continue
        if trace.role(message.sender) == UTILITY:
            heard[message.receiver] = tariff.data
        elif message.sender in heard:
            yield outcome(
                tariff.data == heard[message.sender],
                by=message.sender,
                message=message,
                observed="another tariff",
                expected="the tariff that the utility told",
                pointer=tariff.pointer(),
            )


def _in_order(trace: Trace) -> list[Told]:
    return sorted(_told(trace), key=lambda told: told.message.number)


@rule(
    "EVC-015",
    "MUST",
    source="Beckn v2.0.0 rc and LTS, api, discover: filters and spatial",
    judges=OPERATORS,
    when_stated=True,
)
def what_is_offered_fits_the_search(trace: Trace) -> Iterator[Outcome]:
    """A charger that is offered is of the place, the connector and the power that are asked for."""
    for message in trace.of("on_discover"):
        asked = trace.asked_by(message)
        intent = asked[0].reading.intent if asked else None
        if intent is None or trace.role(message.sender) != CHARGING_OPERATOR:
            continue
        if intent.nearby is None and intent.connector_type is None and intent.min_power_kw is None:
            continue
        for offer in message.reading.offers:
            fits = listing.fits(offer, offer.provider_id, intent)
            if fits is not None:
                yield outcome(
                    fits,
                    by=message.sender,
                    message=message,
                    observed=f"{offer.offer_id}, which does not fit",
                    expected="offers of what was searched for",
                    pointer=offer.pointer(),
                )


@rule(
    "EVC-016",
    "MUST",
    source="docs/lifecycle.md, what is carried: a slot is chosen until confirm",
    judges=OPERATORS,
    when_stated=True,
)
def plan_lies_within_what_was_asked(trace: Trace) -> Iterator[Outcome]:
    """The hours that an operator agrees to lie within those that its customer asked for."""
    for charge in _charges(trace):
        asked: Interval | None = None
        for message, deal in charge.told:
            if not message.is_callback:
                asked = deal.interval or asked
            elif asked is not None and deal.interval is not None:
                ours, theirs = _hours_of(deal.interval), _hours_of(asked)
                if ours is not None and theirs is not None:
                    yield outcome(
                        theirs[0] <= ours[0] and ours[1] <= theirs[1],
                        by=message.sender,
                        message=message,
                        observed=f"from {ours[0].isoformat()} to {ours[1].isoformat()}",
                        expected=f"in {theirs[0].isoformat()} to {theirs[1].isoformat()}",
                        pointer=deal.interval.pointer(),
                    )


def _hours_of(interval: Interval) -> tuple[datetime, datetime] | None:
    start, end = instant(interval.start), charging.end_of(interval)
    return None if start is None or end is None else (start, end)
