"""Baselines: what a meter would have drawn, and what a reduction below that is worth.

Belongs here: choosing and averaging days, the same-day adjustment, the delivered
reduction and its money. Does not belong here: calendars (who asks says which days do
not count) and telemetry as messages carry it.

Baseline and usage are consumption, so that drawing is positive here: the demand-flex
messages count them so. Results are exact fractions: the published policies round nothing.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Literal, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
    from datetime import date
    from decimal import Decimal


class BaselineError(ValueError):
    """Numbers from which no baseline or settlement follows; code says why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code


@dataclass(frozen=True)
class Methodology:
    """The `best` days of highest consumption among the `out_of` most recent eligible ones.

    Raises BaselineError (E_METHODOLOGY) unless 1 <= best <= out_of.
    """

    best: int
    out_of: int

    def __post_init__(self) -> None:
        if not 1 <= self.best <= self.out_of:
            message = f"{self.best} days out of {self.out_of} cannot be chosen; choose 1 or more"
            raise BaselineError("E_METHODOLOGY", message)


class Day(NamedTuple):
    """One day of a meter, in kW by interval.

    window_kw: consumption in the hours of the event; before_kw: in the hours from which
    a same-day adjustment is taken, if any.
    """

    date: date
    window_kw: tuple[Decimal, ...]
    before_kw: tuple[Decimal, ...] = ()


class Adjustment(NamedTuple):
    """How a baseline follows the event day, up or down alike, and how far at most.

    cap: kW for ADDITIVE; for MULTIPLICATIVE a share, 0.2 keeps the factor in 0.8 to 1.2.
    """

    kind: Literal["ADDITIVE", "MULTIPLICATIVE"]
    cap: Decimal


class Commitment(NamedTuple):
    """What the seller owes in one interval: offered at a posted price, or cleared."""

    interval: int
    committed_kw: Decimal
    price_per_kwh: Decimal
    penalty_per_kwh: Decimal


class Reading(NamedTuple):
    """A meter's values in one interval, in kW; none at all where it was not measured."""

    baseline_kw: tuple[Decimal | Fraction, ...]
    usage_kw: tuple[Decimal | Fraction, ...]


class Delivered(NamedTuple):
    """One interval settled: the energy of its reduction, what is paid and what is owed for it."""

    interval: int
    delivered_kwh: Fraction
    payment: Fraction
    penalty: Fraction


class Unmeasured(NamedTuple):
    """One interval not settled, and the meters that lack baseline or usage in it."""

    interval: int
    meters: tuple[str, ...]


@dataclass(frozen=True)
class FlexSettlement:
    """What an event is worth so far; it is final when nothing is unmeasured."""

    delivered: tuple[Delivered, ...]
    unmeasured: tuple[Unmeasured, ...]

    @property
    def seller_receives(self) -> Fraction:
        """Payments less penalties; the buyer pays exactly that."""
        return sum((one.payment - one.penalty for one in self.delivered), Fraction())


def parse_methodology(text: str) -> Methodology:
    """Read '5of10', '5 of 10' or 'high 5 of 10'; raises BaselineError (E_METHODOLOGY)."""
    found = re.fullmatch(r"(?:high )?([0-9]{1,3}) ?of ?([0-9]{1,3})", text.lower())
    if found is None:
        raise BaselineError("E_METHODOLOGY", f"{text!r} names no methodology; write '5of10'")
    return Methodology(int(found[1]), int(found[2]))


def high_days(
    methodology: Methodology, event: date, history: Iterable[Day], excluded: Collection[date]
) -> list[Day]:
    """Choose the days of a baseline, highest consumption in the event window first.

    Eligible are the days of the history before the event that are not excluded (event
    days, weekends, holidays). Of two alike, the more recent is higher.

    Raises BaselineError for fewer eligible days than the methodology counts
    (E_TOO_FEW_DAYS), a date given twice (E_DUPLICATE_DAY) and days of unequal length
    (E_INCOMPLETE_DAY).

    Source: DemandFlexPerformance v2.0, methodology; reference_impl/README.md, Baselines.
    """
    eligible = [day for day in history if day.date < event and day.date not in excluded]
    if len({day.date for day in eligible}) < len(eligible):
        raise BaselineError("E_DUPLICATE_DAY", "the history gives a date twice; give one")
    if len(eligible) < methodology.out_of:
        message = f"{len(eligible)} days are eligible, {methodology.out_of} are needed"
        raise BaselineError("E_TOO_FEW_DAYS", message)
    recent = sorted(eligible, key=lambda day: day.date, reverse=True)[: methodology.out_of]
    _refuse_ragged([day.window_kw for day in recent])
    # Sorting keeps the order of equals also in reverse, and the recent come first.
    ranked = sorted(recent, key=lambda day: _sum(day.window_kw), reverse=True)
    return ranked[: methodology.best]


def average_kw(days: Sequence[Day]) -> tuple[Fraction, ...]:
    """Average the chosen days, interval by interval: the baseline, unadjusted, in kW."""
    return tuple(map(_mean, zip(*(day.window_kw for day in days), strict=True)))


def adjusted_kw(
    days: Sequence[Day], observed_kw: Sequence[Decimal], adjustment: Adjustment
) -> tuple[Fraction, ...]:
    """Average the chosen days, moved by how the event day began, in kW.

    observed_kw: consumption of the event day in the hours of `before_kw`. Its mean less
    the days' mean is added to each interval, or its mean divided by theirs multiplies
    each, within the cap.

    Raises BaselineError for a cap below zero (E_NEGATIVE), unequal numbers of intervals or
    none (E_INCOMPLETE_DAY), and a ratio to a mean that is not above zero (E_NO_RATIO).

    Source: reference_impl/README.md, Baselines.
    """
    if adjustment.cap < 0:
        raise BaselineError("E_NEGATIVE", f"the cap is {adjustment.cap}; give it without a sign")
    _refuse_ragged([observed_kw, *(day.before_kw for day in days)])
    usual, today = _mean([_mean(day.before_kw) for day in days]), _mean(observed_kw)
    cap = Fraction(adjustment.cap)
    if adjustment.kind == "ADDITIVE":
        shift_kw = max(-cap, min(cap, today - usual))
        return tuple(kw + shift_kw for kw in average_kw(days))
    if usual <= 0:
        message = f"the chosen days draw {usual} kW before the window; adjust additively"
        raise BaselineError("E_NO_RATIO", message)
    factor = max(1 - cap, min(1 + cap, today / usual))
    return tuple(kw * factor for kw in average_kw(days))


def settle_flex(
    hours: Fraction,
    commitments: Iterable[Commitment],
    telemetry: Mapping[str, Mapping[int, Reading]],
) -> FlexSettlement:
    """Settle the reduction of an event, interval by interval, joined by interval id.

    telemetry: of every participating meter, also of one that has sent nothing. A meter
    delivers the mean of its baseline less that of its usage, never below zero, and then
    the meters are summed. Paid is the energy up to what was committed; what is missing
    of it costs the penalty. An interval in which any meter lacks a value is not settled.

    Raises BaselineError without meters (E_NO_METERS: nothing measured is not nothing
    delivered), for a commitment or penalty below zero (E_NEGATIVE) and for two
    commitments in one interval (E_DUPLICATE_INTERVAL).

    Source: the contract policies `deg.contracts.demand_flex` (committed is
    CAPACITY_OFFERED, the price posted) and `demand_flex_pac` (CAPACITY_CLEARED at
    CLEARING_PRICE); reference_impl/README.md, Baselines.
    """
    owed = list(commitments)
    for refusal in _refusals(owed, telemetry):
        raise refusal
    delivered: list[Delivered] = []
    unmeasured: list[Unmeasured] = []
    for one in owed:
        readings = {name: by_id.get(one.interval) for name, by_id in telemetry.items()}
        kw = [_reduction_kw(read) for read in readings.values() if read and all(read)]
        if len(kw) < len(readings):
            lacking = sorted(name for name, read in readings.items() if not (read and all(read)))
            unmeasured.append(Unmeasured(one.interval, tuple(lacking)))
            continue
        delivered_kwh, committed_kwh = sum(kw) * hours, Fraction(one.committed_kw) * hours
        payment = min(delivered_kwh, committed_kwh) * Fraction(one.price_per_kwh)
        short_kwh = max(Fraction(), committed_kwh - delivered_kwh)
        penalty = short_kwh * Fraction(one.penalty_per_kwh)
        delivered.append(Delivered(one.interval, delivered_kwh, payment, penalty))
    return FlexSettlement(tuple(delivered), tuple(unmeasured))


def _reduction_kw(read: Reading) -> Fraction:
    return max(Fraction(), _mean(read.baseline_kw) - _mean(read.usage_kw))


def _refusals(owed: Sequence[Commitment], telemetry: Collection[str]) -> Iterator[BaselineError]:
    if not telemetry:
        yield BaselineError("E_NO_METERS", "no meter takes part; name those that do")
    if len({one.interval for one in owed}) < len(owed):
        yield BaselineError("E_DUPLICATE_INTERVAL", "an interval is committed twice; sum it")
    for one in owed:
        if one.committed_kw < 0 or one.penalty_per_kwh < 0:
            message = f"interval {one.interval}: commitment and penalty are not below zero"
            yield BaselineError("E_NEGATIVE", message)


def _refuse_ragged(rows: Sequence[Sequence[Decimal]]) -> None:
    lengths = {len(row) for row in rows}
    if len(lengths) > 1 or 0 in lengths:
        message = f"the days have {sorted(lengths)} intervals; exclude those that lack some"
        raise BaselineError("E_INCOMPLETE_DAY", message)


def _sum(values: Iterable[Decimal | Fraction]) -> Fraction:
    return sum((Fraction(value) for value in values), Fraction())


def _mean(values: Sequence[Decimal | Fraction]) -> Fraction:
    return _sum(values) / len(values)
