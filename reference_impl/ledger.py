"""The capacity ledger: what a utility keeps of each meter so that no power is sold twice.

Belongs here: approvals, locks and releases as transitions of one value, and the
guard that lets threads share it. Does not belong here: messages, prices, clocks
(who cancels, completes or lets expire says so by a release).

Power is in kW. What is asked for approval is a bound on either direction; what is
locked is signed, export positive. The directions do not offset each other.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from fractions import Fraction
from itertools import accumulate, count
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, cast

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping


class Instant(Protocol):
    """A point in time: an aware datetime, or any value that is ordered against the others."""

    def __lt__(self, other: Any, /) -> bool: ...  # noqa: ANN401 (its own kind, whatever it is)


@dataclass(frozen=True)
class Meter:
    """The most that a meter may draw or inject, and what other markets hold of that.

    Raises ValueError for a number that is not finite, or below zero.
    """

    sanctioned_load_kw: Decimal
    committed_kw: Decimal = Decimal(0)

    def __post_init__(self) -> None:
        for name, kw in vars(self).items():
            if not kw.is_finite() or kw < 0:
                raise ValueError(f"{name} is {kw}; give a finite number, not below zero")


class Hold(NamedTuple):
    """Power locked for one trade over [start, end), under an id that is used once.

    approval_id: message id of the approval it draws on, where there is one.
    """

    lock_id: str
    meter: str
    power_kw: Decimal
    start: Instant
    end: Instant
    approval_id: str | None = None


class Approve(NamedTuple):
    """A request: approve that this meter trades so much."""

    message_id: str
    meter: str
    requested_kw: Decimal


class Lock(NamedTuple):
    """A request: deduct this power from what is free."""

    message_id: str
    hold: Hold


class Release(NamedTuple):
    """A request: free what was locked; the trade is cancelled, completed or expired."""

    message_id: str
    lock_id: str


class Approval(NamedTuple):
    """The approved maximum trade in either direction, at any time; it reserves nothing.

    committed_kw: what other markets hold, and the most that is locked at any instant.
    """

    meter: str
    limit_kw: Decimal
    sanctioned_load_kw: Decimal
    committed_kw: Decimal


class Refusal(NamedTuple):
    """Why a request had no effect: a code, and a sentence that says what to do."""

    code: str
    message: str


class Totals(NamedTuple):
    """The most that is locked at any instant of an interval, and the least that is free."""

    export_kw: Decimal
    import_kw: Decimal
    free_export_kw: Decimal
    free_import_kw: Decimal


Request = Approve | Lock | Release
Answer = Approval | Hold | Refusal
"""A lock and a release are answered with the hold itself, as it is kept: in UTC."""


@dataclass(frozen=True)
class Books:
    """The whole state of a ledger: a value, replaced and never changed.

    held: what is locked now, by meter. holds: every lock that ever was, by its id.
    answers: content and answer of every request, by its message id.
    """

    meters: Mapping[str, Meter]
    held: Mapping[str, tuple[Hold, ...]]
    holds: Mapping[str, Hold]
    answers: Mapping[str, tuple[object, Answer]]


def apply(books: Books, request: Request) -> tuple[Books, Answer]:
    """Answer one request: the books after it, and an approval, a hold or a refusal.

    The same request under the same message id has the same answer for ever, a refusal
    included, and no second effect; another request under that id is refused
    (E_MESSAGE_REUSED).

    Source: reference_impl/README.md, Ledger.
    """
    content = _plain(request)
    if request.message_id in books.answers:
        known, answer = books.answers[request.message_id]
        if known == content:
            return books, answer
        message = f"message {request.message_id} asked for something else; use a new message id"
        return books, Refusal("E_MESSAGE_REUSED", message)
    match request:
        case Approve():
            answer = _approve(books, request)
        case Lock():
            books, answer = _lock(books, request.hold)
        case _:
            books, answer = _release(books, request.lock_id)
    answers = {**books.answers, request.message_id: (content, answer)}
    return replace(books, answers=answers), answer


def totals(books: Books, meter: str, start: Instant, end: Instant) -> Totals | Refusal:
    """Sum what is locked of a meter within [start, end), export and import apart."""
    known = books.meters.get(meter)
    if known is None:
        return _unknown(meter)
    start, end = _plain(start), _plain(end)
    for refusal in _no_interval(start, end):
        return refusal
    held = _within(books.held.get(meter, ()), start, end)
    out_kw, in_kw = _peak_kw(held, 1), _peak_kw(held, -1)
    kw = (out_kw, in_kw, _free_kw(known, out_kw), _free_kw(known, in_kw))
    return Totals(*map(_decimal, kw))


class Ledger:
    """Books that threads share: requests are applied one after another."""

    def __init__(self, meters: Mapping[str, Meter]) -> None:
        self._guard = threading.Lock()
        self.books = Books(dict(meters), {}, {}, {})
        """The state at this moment; to read it needs no guard, for it never changes."""

    def approve(self, message_id: str, meter: str, requested_kw: Decimal) -> Approval | Refusal:
        """Approve what is asked for, or as much of it as is free at every instant."""
        answer = self._ask(Approve(message_id, meter, requested_kw))
        return cast("Approval | Refusal", answer)

    def lock(self, message_id: str, hold: Hold) -> Hold | Refusal:
        """Lock a trade if all of it is free in its direction throughout its interval."""
        return cast("Hold | Refusal", self._ask(Lock(message_id, hold)))

    def release(self, message_id: str, lock_id: str) -> Hold | Refusal:
        """Free what was locked."""
        return cast("Hold | Refusal", self._ask(Release(message_id, lock_id)))

    def totals(self, meter: str, start: Instant, end: Instant) -> Totals | Refusal:
        """Sum what is locked of a meter within [start, end), export and import apart."""
        return totals(self.books, meter, start, end)

    def _ask(self, request: Request) -> Answer:
        with self._guard:
            self.books, answer = apply(self.books, request)
        return answer


def _approve(books: Books, asked: Approve) -> Approval | Refusal:
    meter = books.meters.get(asked.meter)
    if meter is None:
        return _unknown(asked.meter)
    if not asked.requested_kw.is_finite():
        return Refusal("E_NOT_FINITE", f"{asked.requested_kw} kW are asked for; give a number")
    if asked.requested_kw < 0:
        message = f"{asked.requested_kw} kW are asked for; give the bound without a sign"
        return Refusal("E_NEGATIVE", message)
    held = books.held.get(asked.meter, ())
    locked_kw = max(_peak_kw(held, 1), _peak_kw(held, -1))
    return Approval(
        asked.meter,
        _decimal(min(Fraction(asked.requested_kw), _free_kw(meter, locked_kw))),
        meter.sanctioned_load_kw,
        _decimal(Fraction(meter.committed_kw) + locked_kw),
    )


def _lock(books: Books, asked: Hold) -> tuple[Books, Hold | Refusal]:
    hold = asked._replace(start=_plain(asked.start), end=_plain(asked.end))
    for refusal in _objections(books, hold):
        return books, refusal
    if hold.lock_id in books.holds:
        return books, hold
    held = {**books.held, hold.meter: (*books.held.get(hold.meter, ()), hold)}
    return replace(books, held=held, holds={**books.holds, hold.lock_id: hold}), hold


def _release(books: Books, lock_id: str) -> tuple[Books, Hold | Refusal]:
    hold = books.holds.get(lock_id)
    if hold is None:
        return books, Refusal("E_UNKNOWN_LOCK", f"there is no lock {lock_id}; lock the trade first")
    if hold not in books.held[hold.meter]:
        return books, Refusal("E_LOCK_RELEASED", f"lock {lock_id} is released already")
    rest = tuple(other for other in books.held[hold.meter] if other != hold)
    return replace(books, held={**books.held, hold.meter: rest}), hold


def _objections(books: Books, hold: Hold) -> Iterator[Refusal]:
    """Yield every reason not to lock; the first of them is the answer."""
    meter = books.meters.get(hold.meter)
    if meter is None:
        yield _unknown(hold.meter)
    elif not hold.power_kw.is_finite():
        yield Refusal("E_NOT_FINITE", f"{hold.power_kw} kW are to be locked; give a number")
    else:
        yield from _no_interval(hold.start, hold.end)
        former, held = books.holds.get(hold.lock_id), books.held.get(hold.meter, ())
        if former is None:
            beside = _within(held, hold.start, hold.end)
            yield from _over_approval(books, hold, beside)
            yield from _over_load(meter, hold, beside)
        elif former != hold:
            message = f"{hold.lock_id} locks another trade; use another lock id"
            yield Refusal("E_LOCK_EXISTS", message)
        elif former not in held:
            message = f"lock {hold.lock_id} was released; a trade that is over is not revived"
            yield Refusal("E_LOCK_RELEASED", message)


def _over_approval(books: Books, hold: Hold, beside: Iterable[Hold]) -> Iterator[Refusal]:
    if hold.approval_id is None:
        return
    _, approval = books.answers.get(hold.approval_id, (None, None))
    drawn_kw = _peak_kw((o for o in beside if o.approval_id == hold.approval_id), _sign(hold))
    if not isinstance(approval, Approval) or approval.meter != hold.meter:
        message = f"{hold.approval_id} approves nothing of {hold.meter}; ask for approval first"
        yield Refusal("E_UNKNOWN_APPROVAL", message)
    elif abs(Fraction(hold.power_kw)) + drawn_kw > approval.limit_kw:
        message = f"{approval.limit_kw} kW are approved, {_decimal(drawn_kw)} of them drawn"
        yield Refusal("E_OVER_APPROVAL", f"{message}; {hold.power_kw} kW exceed the rest")


def _over_load(meter: Meter, hold: Hold, beside: Iterable[Hold]) -> Iterator[Refusal]:
    alone_kw, free_kw = _free_kw(meter), _free_kw(meter, _peak_kw(beside, _sign(hold)))
    if abs(Fraction(hold.power_kw)) > alone_kw:
        message = f"the sanctioned load leaves {_decimal(alone_kw)} kW; {hold.power_kw} exceed it"
        yield Refusal("E_OVER_SANCTIONED_LOAD", message)
    elif abs(Fraction(hold.power_kw)) > free_kw:
        message = f"other locks leave {_decimal(free_kw)} kW free; {hold.power_kw} exceed them"
        yield Refusal("E_OVERLAP", message)


def _no_interval(start: Instant, end: Instant) -> Iterator[Refusal]:
    if any(isinstance(one, datetime) and one.utcoffset() is None for one in (start, end)):
        yield Refusal("E_NO_TIME_ZONE", f"{start} to {end} names no instants; give time zones")
    elif not start < end:
        yield Refusal("E_EMPTY_INTERVAL", f"{start} to {end} is empty; let it end after its start")


def _within(holds: Iterable[Hold], start: Instant, end: Instant) -> list[Hold]:
    return [hold for hold in holds if hold.start < end and start < hold.end]


def _sign(hold: Hold) -> int:
    return 1 if hold.power_kw > 0 else -1


def _peak_kw(holds: Iterable[Hold], sign: int) -> Fraction:
    """Give the most that is held at any one instant in one direction.

    Also right for holds that only reach into an interval: those that meet one another,
    and each of them the interval, all meet at an instant of it.
    """
    changes: list[tuple[Any, Fraction]] = []
    for hold in holds:
        kw = max(Fraction(), sign * Fraction(hold.power_kw))
        changes += [(hold.start, kw), (hold.end, -kw)]
    # At one instant the ends sort before the starts: [start, end) excludes its end.
    return max(accumulate(kw for _, kw in sorted(changes)), default=Fraction())


def _free_kw(meter: Meter, locked_kw: Fraction = Fraction()) -> Fraction:
    free_kw = Fraction(meter.sanctioned_load_kw) - Fraction(meter.committed_kw) - locked_kw
    return max(Fraction(), free_kw)


def _decimal(exact: Fraction) -> Decimal:
    """Write a sum of decimals as a decimal, exactly in whatever decimal context."""
    places = next(n for n in count() if 10**n % exact.denominator == 0)
    return Decimal(f"{exact * 10**places}E-{places}")


def _plain(value: Any) -> Any:  # noqa: ANN401 (a request, or a field of one)
    """Give what two values share that say the same.

    Datetimes in UTC, because those of one zone compare by the wall clock, which shows the
    hour before the end of summer time twice; NaN as text, because it equals nothing.
    """
    match value:
        case datetime() if value.utcoffset() is not None:
            return value.astimezone(UTC)
        case Decimal() if not value.is_finite():
            return str(value)
        case Approve() | Lock() | Release() | Hold():
            return tuple(map(_plain, value))
        case _:
            return value


def _unknown(meter: str) -> Refusal:
    return Refusal("E_UNKNOWN_METER", f"there is no meter {meter}; ask its own utility")
