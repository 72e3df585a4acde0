"""Tariffs: prices by the clock and by what was used before, and what a session costs under them.

Belongs here: the meaning of a tariff in the shape of OCPI, the exact cost of a session or a
trade, the price in force at an instant, a tariff as an offer. Does not belong here: who pays
whom (settlement).

Tariffs have the names and units of OCPI: prices exclude VAT and are per kWh (ENERGY), per hour
(TIME, PARKING_TIME) or per session (FLAT); powers in kW, durations in seconds, VAT in percent.
Energy is energy sold, never negative. Dates, days and times of day are local; a duration is
time that passed, however the clock was set.

Sources: OCPI 2.2.1, mod_tariffs and mod_cdrs; what they leave open is decided in
reference_impl/README.md, Tariffs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from fractions import Fraction
from inspect import Parameter, signature
from itertools import groupby, pairwise
from math import isfinite
from typing import Generic, Literal, NamedTuple, TypeVar, cast
from zoneinfo import ZoneInfo

from gridwitness.reference_impl.curves import Curve, Point
from gridwitness.reference_impl.rounding import rounded

Number = int | Decimal | Fraction
Money = TypeVar("Money", Decimal, Fraction)

DIMENSIONS = ("ENERGY", "TIME", "PARKING_TIME", "FLAT")
DAYS = ("MONDAY", "TUESDAY", "WEDNESDAY", "THURSDAY", "FRIDAY", "SATURDAY", "SUNDAY")
HOUR, MINUTE, MICROSECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(microseconds=1)


class TariffProblem(NamedTuple):
    """Why a tariff, or a question about one, is refused: a code, where (a JSON Pointer), why."""

    code: str
    where: str
    message: str


class TariffError(ValueError):
    """A tariff or a session without one meaning was given where a price is needed."""

    def __init__(self, code: str, where: str, message: str) -> None:
        super().__init__(f"{code} at {where or 'the tariff'}: {message}")
        self.problem = TariffProblem(code, where, message)


def _demand(holds: object, code: str, where: str, message: str) -> None:
    if not holds:
        raise TariffError(code, where, message)


class Amount(NamedTuple, Generic[Money]):
    """A sum of money, without and with VAT."""

    excl_vat: Money
    incl_vat: Money


class PriceComponent(NamedTuple):
    """The price of one dimension; vat None is no VAT; step_size in Wh or in seconds."""

    type: str
    price: Decimal
    vat: Decimal | None = None
    step_size: int = 1


class State(NamedTuple):
    """What restrictions ask for: the instant; energy and time since the start; power, if known."""

    at: datetime
    used_kwh: Fraction
    elapsed_s: Fraction
    power_kw: Fraction | None


class Restrictions(NamedTuple):
    """When an element applies: when all of these hold; minima and starts included, ends not.

    A window of the day that does not end after it starts runs over midnight. Day and date are
    those of the instant, so they cut it there.
    """

    start_time: time = time.min
    end_time: time = time.min
    start_date: date = date.min
    end_date: date = date.max
    day_of_week: tuple[str, ...] = ()
    min_kwh: Decimal | None = None
    max_kwh: Decimal | None = None
    min_duration: Decimal | None = None
    max_duration: Decimal | None = None
    min_power: Decimal | None = None
    max_power: Decimal | None = None

    def admit(self, local: datetime, state: State) -> bool:
        """Say whether all hold; TariffError (E_NO_POWER) where that takes a power not given."""
        start, end, clock = self.start_time, self.end_time, local.time()
        if not (
            (start <= clock < end if start < end else clock >= start or clock < end)
            and self.start_date <= local.date() < self.end_date
            and (not self.day_of_week or DAYS[local.weekday()] in self.day_of_week)
            and _within(self.min_kwh, state.used_kwh, self.max_kwh)
            and _within(self.min_duration, state.elapsed_s, self.max_duration)
        ):
            return False
        if state.power_kw is not None:
            return _within(self.min_power, state.power_kw, self.max_power)
        any_power = self.min_power is None and self.max_power is None
        _demand(any_power, "E_NO_POWER", "/power_kw", "the price depends on it; give the power")
        return True


class Element(NamedTuple):
    """Prices that share their restrictions."""

    price_components: tuple[PriceComponent, ...]
    restrictions: Restrictions = Restrictions()


@dataclass(frozen=True)
class Tariff:
    """A tariff: of each dimension, the first element that prices it and applies is in force.

    time_zone: IANA name of that of dates, days and times; in OCPI it is the location's.
    min_price, max_price: what a whole session costs at least, and at most.

    Raises TariffError when the parts are not a tariff (see `_demands`).

    Source: OCPI 2.2.1, mod_tariffs, Tariff object and TariffRestrictions class.
    """

    currency: str
    elements: tuple[Element, ...]
    time_zone: str | None = None
    min_price: Amount[Decimal] | None = None
    max_price: Amount[Decimal] | None = None

    def __post_init__(self) -> None:
        for demand in _demands(self):
            _demand(*demand)

    @staticmethod
    def from_mapping(mapping: Mapping[str, object]) -> Tariff:
        """Read a tariff from JSON in the spelling of OCPI (step_size) or of the drafts (stepSize).

        The zone, which neither carries, is added to it as time_zone. Numbers are Decimal, int or
        text: a float no longer says what was written. What only describes (texts, energy mix,
        validity) is not read; but a field of a price or of a restriction that is not known here
        is refused, since without it the price is another.
        """
        return cast("Tariff", _read(mapping, _TARIFF, ""))

    def component(self, dimension: str, state: State) -> PriceComponent | None:
        """Give the price of a dimension that is in force; None where nothing covers it."""
        local = state.at.astimezone(ZoneInfo(self.time_zone or "UTC"))
        for components, restrictions in self.elements:
            for component in components:
                if component.type == dimension and restrictions.admit(local, state):
                    return component
        return None


class ChargingPeriod(NamedTuple):
    """A part of a session, in which energy is taken evenly; parked: connected, not charging.

    start and end are aware. power_kw None is the mean.
    """

    start: datetime
    end: datetime
    energy_kwh: Number = 0
    power_kw: Number | None = None
    parked: bool = False


class Line(NamedTuple):
    """What is billed of one dimension in one stretch of time; component None: uncovered, free.

    start, end: UTC, to the microsecond below. quantity: exact, in kWh, hours or sessions.
    """

    start: datetime
    end: datetime
    dimension: str
    quantity: Fraction
    component: PriceComponent | None

    @property
    def amount(self) -> Amount[Fraction]:
        if self.component is None:
            return Amount(Fraction(), Fraction())
        excl_vat = self.quantity * Fraction(self.component.price)
        return Amount(excl_vat, excl_vat * (1 + Fraction(self.component.vat or 0) / 100))


@dataclass(frozen=True)
class Cost:
    """What a session costs: its lines in order of time, and their sums, exact until `invoice`."""

    tariff: Tariff
    lines: tuple[Line, ...]

    @property
    def uncovered(self) -> list[Line]:
        """The lines of a dimension that the tariff prices, but not there and then."""
        return [line for line in self.lines if line.component is None]

    @property
    def by_dimension(self) -> dict[str, Amount[Fraction]]:
        lines = sorted(self.lines, key=lambda line: line.dimension)
        return {kind: _sum(own) for kind, own in groupby(lines, lambda line: line.dimension)}

    @property
    def total(self) -> Amount[Fraction]:
        """The sum of the lines within the tariff's limits, with and without VAT each by itself.

        Source: OCPI 2.2.1, mod_tariffs, Tariff object, notes on min_price and max_price.
        """
        without, with_vat = _sum(self.lines)
        if low := self.tariff.min_price:
            without = max(without, Fraction(low.excl_vat))
            with_vat = max(with_vat, Fraction(low.incl_vat))
        if high := self.tariff.max_price:
            without = min(without, Fraction(high.excl_vat))
            with_vat = min(with_vat, Fraction(high.incl_vat))
        return Amount(without, with_vat)

    def invoice(
        self, rounding: str, minor_unit: int, vat_per: Literal["LINE", "TOTAL"]
    ) -> Amount[Decimal]:
        """Round the total once, by one of rounding.ROUNDINGS, to the decimals of the currency.

        Its VAT, which is the difference, is rounded once, or once a line; where a limit holds,
        it is what lies between the two limited totals.
        """
        excl_vat, incl_vat = (rounded(sum_, rounding, minor_unit) for sum_ in self.total)
        if self.total != _sum(self.lines):
            return Amount(excl_vat, incl_vat)
        amounts = [line.amount for line in self.lines] if vat_per == "LINE" else [self.total]
        vats = (rounded(incl - excl, rounding, minor_unit) for excl, incl in amounts)
        return Amount(excl_vat, sum(vats, excl_vat))


def cost(tariff: Tariff, session: Iterable[ChargingPeriod]) -> Cost:
    """Price a session, every period cut exactly where the tariff changes.

    A flat fee is due once, where one first applies. What the tariff prices at other times only
    is free, and reported as uncovered.

    Raises TariffError for periods that are not one session (see `_in_order`).

    Source: OCPI 2.2.1, mod_tariffs, Tariff object; mod_cdrs, CDR object.
    """
    priced = {part.type for element in tariff.elements for part in element.price_components}
    lines: list[Line] = []
    used_kwh, elapsed_s = Fraction(), Fraction()
    for period in _in_order(session):
        energy_kwh, duration_s = Fraction(period.energy_kwh), _seconds(period.end - period.start)
        pieces = list(_pieces(tariff, period, used_kwh, elapsed_s))
        if all(line.dimension != "FLAT" for line in lines):
            fees = [line for line in _lines(tariff, "FLAT", Fraction(1), pieces) if line.component]
            lines += [fee._replace(quantity=Fraction(1)) for fee in fees[:1]]
        time_spent = "PARKING_TIME" if period.parked else "TIME"
        for kind, quantity in (("ENERGY", energy_kwh), (time_spent, duration_s / 3600)):
            if quantity and kind in priced:
                lines += _lines(tariff, kind, quantity, pieces)
        used_kwh, elapsed_s = used_kwh + energy_kwh, elapsed_s + duration_s
    return Cost(tariff, tuple(_in_whole_steps(lines)))


def cost_of_trade(tariff: Tariff, start: datetime, end: datetime, energy_kwh: Number) -> Cost:
    """Price energy delivered evenly over a window: a session of one period.

    This is money, with the energy in it. The published drafts multiply once more, as in
    computeTariffPrice(tariff, start, end, quantity) x quantity: that is right only of a function
    which gives the mean price per kWh.
    """
    return cost(tariff, [ChargingPeriod(start, end, energy_kwh)])


def price_at(
    tariff: Tariff,
    at: datetime,
    used_kwh: Number = 0,
    elapsed_s: Number = 0,
    power_kw: Number | None = None,
) -> Decimal | None:
    """Give the price per kWh in force at an aware instant; None where nothing covers it.

    used_kwh, elapsed_s: since the session began. Raises TariffError where the price depends on
    a power that is not given (E_NO_POWER), and for an instant of no zone (E_NAIVE).
    """
    power = None if power_kw is None else Fraction(power_kw)
    state = State(_utc(at, "/at"), Fraction(used_kwh), Fraction(elapsed_s), power)
    component = tariff.component("ENERGY", state)
    return component.price if component else None


def offer_curve(
    tariff: Tariff,
    at: datetime,
    max_power_kw: Decimal,
    used_kwh: Number = 0,
    elapsed_s: Number = 0,
) -> Curve:
    """Give the offer of a seller under the tariff: any power up to the highest, at its price.

    Raises TariffError where no energy price is in force (E_UNCOVERED), and where what is paid
    is no price per kWh alone: a fee or a price of time is in force too, the total is limited
    (E_NOT_PER_KWH), or the price depends on the power (E_NO_POWER).
    """
    price = price_at(tariff, at, used_kwh, elapsed_s)
    if price is None:
        raise TariffError("E_UNCOVERED", "/elements", f"no element prices energy at {at}")
    state = State(at, Fraction(used_kwh), Fraction(elapsed_s), None)
    others = [tariff.component(kind, state) for kind in ("TIME", "FLAT")]
    more = [f"{other.type} at {other.price}" for other in others if other and other.price]
    if tariff.min_price or tariff.max_price:
        more.append("a limit to what a session costs")
    _demand(not more, "E_NOT_PER_KWH", "/elements", f"energy is not all: {', '.join(more)}")
    points = (Point(price, Decimal(0)), Point(price, max_power_kw))
    return Curve(tariff.currency, Decimal(0), max_power_kw, points)


def _demands(tariff: Tariff) -> Iterator[tuple[bool, str, str, str]]:
    """Yield each condition, whether it is met, and the problem if not; later ones rely on it."""
    yield bool(tariff.currency), "E_NO_CURRENCY", "/currency", "the tariff names no currency"
    yield bool(tariff.elements), "E_EMPTY", "/elements", "the tariff has no elements"
    zoned = _is_zone(tariff.time_zone or "UTC")
    yield zoned, "E_ZONE", "/time_zone", f"{tariff.time_zone!r} is no IANA time zone"
    for where, limit in (("/min_price", tariff.min_price), ("/max_price", tariff.max_price)):
        finite = all(amount.is_finite() for amount in limit or ())
        yield finite, "E_NOT_FINITE", where, f"{limit} is not finite"
    limits = zip(tariff.min_price or (), tariff.max_price or (), strict=False)
    ordered = all(low <= high for low, high in limits)
    yield ordered, "E_MIN_GT_MAX", "/min_price", f"it is above {tariff.max_price}"
    for position, (components, rules) in enumerate(tariff.elements):
        where = f"/elements/{position}/restrictions"
        placed = bool(tariff.time_zone) or rules[:5] == Restrictions()[:5]
        yield placed, "E_NO_ZONE", where, "these times are local; say to which time zone"
        days = set(rules.day_of_week) <= set(DAYS)
        yield days, "E_DAY", f"{where}/day_of_week", f"{rules.day_of_week} are not all of {DAYS}"
        dated = rules.start_date <= rules.end_date
        yield dated, "E_MIN_GT_MAX", f"{where}/start_date", f"it is after {rules.end_date}"
        for name, low, high in (
            ("kwh", rules.min_kwh, rules.max_kwh),
            ("duration", rules.min_duration, rules.max_duration),
            ("power", rules.min_power, rules.max_power),
        ):
            given = [bound for bound in (low, high) if bound is not None]
            finite = all(bound.is_finite() for bound in given)
            yield finite, "E_NOT_FINITE", f"{where}/min_{name}", f"{low} to {high} is not finite"
            rises = given == sorted(given)
            yield rises, "E_MIN_GT_MAX", f"{where}/min_{name}", f"{low} is above {high}"
        where = f"/elements/{position}/price_components"
        kinds = [component.type for component in components]
        yield bool(kinds), "E_EMPTY", where, "the element has no price"
        yield (
            len(kinds) == len(set(kinds)),
            "E_TWICE",
            where,
            f"a dimension has two prices: {kinds}",
        )
        for number, (kind, price, vat, step) in enumerate(components):
            here = f"{where}/{number}"
            percent = vat is None or (vat.is_finite() and vat >= 0)
            counts = step >= 1 or kind == "FLAT"
            yield kind in DIMENSIONS, "E_TYPE", f"{here}/type", f"{kind} is none of {DIMENSIONS}"
            yield price.is_finite(), "E_NOT_FINITE", f"{here}/price", f"{price} is not finite"
            yield percent, "E_VAT", f"{here}/vat", f"{vat} is no percentage"
            yield counts, "E_STEP", f"{here}/step_size", f"nothing counts in steps of {step}"


def _is_zone(name: str) -> bool:
    try:
        return bool(ZoneInfo(name))
    except (KeyError, ValueError, OSError):
        return False


def _within(low: Decimal | None, value: Fraction, high: Decimal | None) -> bool:
    return (low is None or low <= value) and (high is None or value < high)


def _utc(at: datetime, where: str) -> datetime:
    _demand(at.tzinfo is not None, "E_NAIVE", where, f"{at} has no time zone")
    return at.astimezone(UTC)


def _in_order(session: Iterable[ChargingPeriod]) -> list[ChargingPeriod]:
    """Sort the periods, in UTC: arithmetic within a zone counts what the clock shows.

    Raises TariffError for instants of no zone (E_NAIVE), a period that does not end after its
    start (E_PERIOD), energy below zero, not finite, or while parked (E_ENERGY), and periods that
    do not follow one another (E_GAP; OCPI 2.2.1, mod_cdrs, ChargingPeriod class).
    """
    periods: list[ChargingPeriod] = []
    for number, period in enumerate(session):
        where = f"/charging_periods/{number}"
        start, end = _utc(period.start, f"{where}/start"), _utc(period.end, f"{where}/end")
        kwh = period.energy_kwh
        sold = isfinite(kwh) and (kwh == 0 if period.parked else kwh >= 0)
        _demand(start < end, "E_PERIOD", where, f"{period.end} is not after {period.start}")
        _demand(sold, "E_ENERGY", where, f"{kwh} kWh{' while parked' * period.parked} are no sale")
        periods.append(period._replace(start=start, end=end))
    periods.sort(key=lambda period: period.start)
    for before, after in pairwise(periods):
        message = f"a period ends at {before.end}, the next starts at {after.start}"
        _demand(before.end == after.start, "E_GAP", "/charging_periods", message)
    return periods


class _Piece(NamedTuple):
    """A part of a period in which no price changes: its state, its end, its share of the period."""

    state: State
    end: datetime
    share: Fraction


def _pieces(
    tariff: Tariff, period: ChargingPeriod, used_kwh: Fraction, elapsed_s: Fraction
) -> Iterator[_Piece]:
    """Cut a period wherever a restriction may begin or cease to hold."""
    length_s, energy_kwh = _seconds(period.end - period.start), Fraction(period.energy_kwh)
    power_kw = (
        energy_kwh * 3600 / length_s if period.power_kw is None else Fraction(period.power_kw)
    )
    cuts = {_seconds(at - period.start) for at in _clock_changes(tariff, period)}
    for _, rules in tariff.elements:
        durations, tiers = (rules.min_duration, rules.max_duration), (rules.min_kwh, rules.max_kwh)
        cuts |= {Fraction(s) - elapsed_s for s in durations if s is not None}
        if energy_kwh:
            shares = {(Fraction(t) - used_kwh) / energy_kwh for t in tiers if t is not None}
            cuts |= {share * length_s for share in shares}
    inner = sorted(cut for cut in cuts if 0 < cut < length_s)
    for cut, after in pairwise([Fraction(), *inner, length_s]):
        at, end = (period.start + s * 10**6 // 1 * MICROSECOND for s in (cut, after))
        used = used_kwh + energy_kwh * cut / length_s
        yield _Piece(State(at, used, elapsed_s + cut, power_kw), end, (after - cut) / length_s)


def _clock_changes(tariff: Tariff, period: ChargingPeriod) -> Iterator[datetime]:
    """Yield every instant at which a restriction by the clock may begin or cease to hold.

    The clock is followed by the hour, and by the minute in an hour in which it is set: then it
    skips times of day, or reaches them again. Zones set it on the minute.
    """
    zone = ZoneInfo(tariff.time_zone or "UTC")
    clocks = {time.min}.union(*((rules.start_time, rules.end_time) for _, rules in tariff.elements))
    at = period.start.replace(second=0, microsecond=0)
    while at < period.end + HOUR:
        local = at.astimezone(zone)
        yield at
        for clock in clocks:
            yield at + (datetime.combine(local, clock) - local.replace(tzinfo=None))
        steady = (at + HOUR).astimezone(zone).utcoffset() == local.utcoffset()
        at += HOUR if steady else MINUTE


def _lines(
    tariff: Tariff, dimension: str, quantity: Fraction, pieces: list[_Piece]
) -> Iterator[Line]:
    """Price a quantity spread evenly over pieces; those of one price are one line."""
    for component, run in groupby(pieces, lambda piece: tariff.component(dimension, piece.state)):
        stretch = list(run)
        share = sum((piece.share for piece in stretch), Fraction())
        yield Line(stretch[0].state.at, stretch[-1].end, dimension, quantity * share, component)


def _in_whole_steps(lines: list[Line]) -> list[Line]:
    """Bill energy, and of charging and parking the one priced last, in whole steps.

    A step counts once in a session: the sum of the dimension where it has a price is rounded up
    to whole steps of its last price, and what is missing is added to the last line.

    Source: OCPI 2.2.1, mod_cdrs, CDR object, step_size.
    """
    billed = list(lines)
    for kinds, steps_in_unit in ((("ENERGY",), 1000), (("TIME", "PARKING_TIME"), 3600)):
        for position, line in reversed(list(enumerate(lines))):
            if line.component and line.dimension in kinds:
                own = [other for other in lines if other.dimension == line.dimension]
                total = sum((other.quantity for other in own if other.component), Fraction())
                missing = -total % Fraction(line.component.step_size, steps_in_unit)
                billed[position] = line._replace(quantity=line.quantity + missing)
                break
    return billed


def _sum(lines: Iterable[Line]) -> Amount[Fraction]:
    amounts = [line.amount for line in lines]
    excl_vat = sum((amount.excl_vat for amount in amounts), Fraction())
    return Amount(excl_vat, sum((amount.incl_vat for amount in amounts), Fraction()))


def _seconds(duration: timedelta) -> Fraction:
    return Fraction(duration // MICROSECOND, 10**6)


_PRICE = (PriceComponent, {"type": str, "price": Decimal, "vat": Decimal, "step_size": int})
_RULES = (
    Restrictions,
    {"start_time": time, "end_time": time, "start_date": date, "end_date": date}
    | {"day_of_week": [str], **dict.fromkeys(Restrictions._fields[5:], Decimal)},
)
_ELEMENT = (Element, {"price_components": [_PRICE], "restrictions": _RULES})
_LIMIT = (Amount, dict.fromkeys(Amount._fields, Decimal))
_TARIFF = (
    Tariff,
    {"currency": str, "elements": [_ELEMENT], "time_zone": str}
    | {"min_price": _LIMIT, "max_price": _LIMIT},
)
"""The shape of the JSON: what an object becomes, with the shape of its fields; [a list] of one."""
_LEAVES: dict[object, tuple[str, str, str, Callable[[str], object]]] = {
    str: ("E_TEXT", "text", "(?s).*", str),
    Decimal: ("E_NUMBER", "number", ".+", Decimal),
    int: ("E_STEP", "whole number", r"-?[0-9]+(\.0+)?", lambda text: int(Decimal(text))),
    time: ("E_TIME", "time HH:MM", "([01][0-9]|2[0-3]):[0-5][0-9]", time.fromisoformat),
    date: ("E_DATE", "date YYYY-MM-DD", "[0-9]{4}-[0-9]{2}-[0-9]{2}", date.fromisoformat),
}


def _read(value: object, shape: object, where: str) -> object:
    """Read JSON of a shape under the names of OCPI; null is a field that is not given."""
    if isinstance(shape, tuple):
        _demand(isinstance(value, Mapping), "E_SHAPE", where, f"{value!r} is no JSON object")
        make, fields = cast("tuple[Callable[..., object], dict[str, object]]", shape)
        return make(**_read_fields(cast("Mapping[str, object]", value), make, fields, where))
    if isinstance(shape, list):
        _demand(isinstance(value, list), "E_SHAPE", where, f"{value!r} is no JSON array")
        items, [inner] = cast("list[object]", value), cast("list[object]", shape)
        return tuple(_read(item, inner, f"{where}/{index}") for index, item in enumerate(items))
    message = f"{value!r} is a float; parse the numbers of JSON as Decimal"
    _demand(not isinstance(value, float), "E_FLOAT", where, message)
    code, kind, form, parse = _LEAVES[shape]
    try:
        if isinstance(value, str | int | Decimal) and re.fullmatch(form, str(value)):
            return parse(str(value))
    except (InvalidOperation, ValueError):
        pass
    raise TariffError(code, where, f"{value!r} is no {kind}")


def _read_fields(
    value: Mapping[str, object], make: Callable[..., object], fields: dict[str, object], where: str
) -> dict[str, object]:
    names = {name.replace("_", ""): name for name in fields}
    read: dict[str, object] = {}
    for key, item in value.items():
        name = names.get(key.replace("_", "").lower())
        known = name or not where
        _demand(known, "E_UNKNOWN_FIELD", f"{where}/{key}", "it may change the price; but how?")
        _demand(name not in read, "E_TWICE", f"{where}/{key}", "it is given in both spellings")
        if name and item is not None:
            read[name] = _read(item, fields[name], f"{where}/{name}")
    for name, parameter in signature(make).parameters.items():
        given = name in read or parameter.default is not Parameter.empty
        _demand(given, "E_MISSING", f"{where}/{name}", "it is required")
    return read
