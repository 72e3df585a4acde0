"""BLK: what a building block states, and its schema cannot hold, wherever the block stands.

Belongs here: conditions within one block of our vocabulary, in every slot of both dialects
and inside the blocks that hold it. Does not belong here: its shape (shape), sums of money
and energy (amounts), what other messages say of the same thing (market, lineage).

Who repeats in a transaction what another got wrong before is not at fault.
"""

from __future__ import annotations

from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple, cast

from gridwitness.dialects.base import Cursor
from gridwitness.dialects.blocks import read_curve
from gridwitness.rules import outcome, rule
from gridwitness.trace import once

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gridwitness.dialects.base import Json
    from gridwitness.rules import Outcome
    from gridwitness.trace import Message, Trace

DEG = "beckn/DEG, building blocks"

HELD_AS = {
    "offerCurve": "OfferCurve",
    "bidCurve": "OfferCurve",
    "approval": "Approval",
    "tariff": "Tariff",
    "tariffs": "Tariff",
}
"""The members that hold a block inside another, and its type; a list holds several."""

MOST_DEEP = 16
"""No block stands deeper than this in a slot."""


@rule(
    "BLK-001",
    "MUST",
    source=f"reference_impl/README.md, Offer curves; {DEG}, OfferCurve",
    when_stated=True,
)
def curve_rises_wherever_it_stands(trace: Trace) -> Iterator[Outcome]:
    """A curve that stands in a building block rises with the price between its bounds.

    The curve that a participant offers to a market in its role is judged by MKT-001.
    """
    yield from _of_who_said_it_first(_curves(trace))


def _curves(trace: Trace) -> Iterator[Outcome]:
    for found in _of("OfferCurve", trace):
        message, curve = found.message, read_curve(found.block)
        contract = message.reading.contract
        offered = contract.curve.pointer() if contract and contract.curve else None
        if curve is None or message.deliberate is not None or found.pointer == offered:
            continue
        problems = [f"{problem.code}: {problem.message}" for problem in curve.problems()]
        yield outcome(
            not problems,
            by=message.sender,
            message=message,
            observed="; ".join(problems),
            expected="a curve on which more is paid for more power",
            pointer=found.pointer,
        )


@rule(
    "BLK-002",
    "MUST",
    source=f"{DEG}, market-based trading: cascaded on_init, sanctioned load",
    when_stated=True,
)
def approval_fits_its_own_load(trace: Trace) -> Iterator[Outcome]:
    """An approval is at most the sanctioned load, less what is committed, as it states both."""
    yield from _of_who_said_it_first(_approvals(trace))


def _approvals(trace: Trace) -> Iterator[Outcome]:
    for found in _of("Approval", trace):
        keys = ("approvedMaxTradeKW", "sanctionedLoadKW", "committedKW")
        approved, sanctioned, committed = ((found.block / key).number() for key in keys)
        if approved is None or sanctioned is None:
            continue
        free_kw = max(sanctioned - (committed or Decimal(0)), Decimal(0))
        yield outcome(
            approved <= free_kw,
            by=found.message.sender,
            message=found.message,
            observed=f"{approved} kW approved",
            expected=f"at most {free_kw} kW",
            pointer=found.pointer,
        )


@rule(
    "BLK-003",
    "SHOULD",
    source="OCPI 2.2.1, mod_tariffs, PriceComponent class: vat",
    when_stated=True,
)
def tax_is_in_percent(trace: Trace) -> Iterator[Outcome]:
    """The value added tax of a tariff is a percentage: one between 0 and 1 is a fraction."""
    yield from _of_who_said_it_first(_taxes(trace))


def _taxes(trace: Trace) -> Iterator[Outcome]:
    for found in _of("Tariff", trace):
        for element in (found.block / "elements").items():
            for component in (element / "priceComponents").items():
                vat = (component / "vat").number()
                if vat is None:
                    continue
                yield outcome(
                    vat == 0 or vat >= 1,
                    by=found.message.sender,
                    message=found.message,
                    observed=f"a tax of {vat} percent",
                    expected="18 for 18 percent, not 0.18",
                    pointer=found.message.meaning.raw_pointer((component / "vat").pointer),
                )


def _of_who_said_it_first(outcomes: Iterable[Outcome]) -> Iterator[Outcome]:
    """Leave out what others repeat of a breach in the same transaction."""
    blamed: dict[tuple[str | None, str], str | None] = {}
    for one in outcomes:
        about = one.message.reading.envelope.transaction_id, one.observed
        if one.kept or blamed.setdefault(about, one.actor) == one.actor:
            yield one


class _Found(NamedTuple):
    """A building block in a message, and where it stands there."""

    message: Message
    type_: str
    block: Cursor

    @property
    def pointer(self) -> str:
        return self.message.meaning.raw_pointer(self.block.pointer)


def _of(type_: str, trace: Trace) -> Iterator[_Found]:
    return (found for found in _blocks(trace) if found.type_ == type_)


@once
def _blocks(trace: Trace) -> list[_Found]:
    return [
        _Found(message, type_, block)
        for message in trace.beckn
        for slot in message.shape.slots
        if slot.block is not None
        for type_, block in _held(slot.block, Cursor(slot.value, slot.pointer, []))
    ]


def _held(type_: str, block: Cursor) -> Iterator[tuple[str, Cursor]]:
    """Yield a block, if it is judged here, and every judged block inside it."""
    waiting: list[tuple[str | None, int, Cursor]] = [(type_, 0, block)]
    while waiting:
        is_a, depth, here = waiting.pop()
        value: object = here.value
        if isinstance(value, dict):
            if is_a in HELD_AS.values():
                yield cast("str", is_a), here
            inner = [(HELD_AS.get(key), here / key) for key in cast("dict[str, Json]", value)]
        elif isinstance(value, list):
            many = len(cast("list[Json]", value))
            inner = [(is_a, here / index) for index in range(many)]
        else:
            continue
        if depth < MOST_DEEP:
            waiting += [(one, depth + 1, there) for one, there in reversed(inner)]
