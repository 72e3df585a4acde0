"""What a party tells of signals, running totals and the money of each delivery.

Belongs here: the words of a row that are about accounts. Does not belong here: the other
words (words), arithmetic (gridwitness.deals, gridwitness.signals).
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING

from gridwitness import accounts, deals
from gridwitness.errors import UserError
from gridwitness.mocks.words import Known, with_block
from gridwitness.signals import STATE, during, period_of, signals_in, write_signal
from gridwitness.views import Block, Term

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from gridwitness.signals import Signal
    from gridwitness.views import Deal

HELD = "externalSignals"


def signals(known: Known) -> None:
    """Tell the values of signals: as they were heard, or those of what is delivered."""
    heard = [s for s in known.heard_signals if s.kind != STATE]
    period = period_of(_measured(known))
    own = [s for s in known.facts.signals if s.kind != STATE]
    values = heard or (during(own, period) if period else ())
    if not values:
        raise UserError(
            "a row carries signals, and none has a value then",
            where="the message sequence",
            mend="state the signals, from when on each value holds",
        )
    _tell(known, values)


def running_totals(known: Known) -> None:
    """Tell each running total as it was before the delivery, and what it is after it."""
    period = period_of(_measured(known))
    stated = {s.name: s for s in reversed(known.facts.signals) if s.kind == STATE}
    if period is None or not stated:
        raise UserError(
            "a row carries running totals, and none is stated",
            where="the message sequence",
            mend="state a signal of the kind state, with what it becomes",
        )
    before = [
        known.totals.get(name, s)._replace(instant=period.start.isoformat())
        for name, s in stated.items()
    ]
    _tell(known, before)
    after = accounts.totals_after(_measured(known))
    for one in before:
        known.totals[one.name] = one._replace(
            value=after.get(one.name, one.value), instant=period.end.isoformat()
        )
    _tell(known, [value for one in before for value in (one, known.totals[one.name])])


def _measured(known: Known) -> Deal:
    """Give the deal with what is told and known of its delivery."""
    told: tuple[Block, ...] = known.telling.get("blocks", known.deal.blocks)
    return replace(known.said(), readings=known.readings, blocks=told)


def _tell(known: Known, values: Sequence[Signal]) -> None:
    """Tell values of signals, beside those of other names that the message tells."""
    names = {signal.name for signal in values}
    others = (s for s in signals_in(_measured(known)) if s.name not in names)
    block = Block(slot="fulfilment", name=HELD, data=[write_signal(s) for s in (*others, *values)])
    told: tuple[Block, ...] = known.telling.get("blocks", known.deal.blocks)
    known.telling["blocks"] = with_block(told, block)
    known.delivered = with_block(known.delivered, block)


def billing_report(known: Known) -> None:
    """Settle what is told, in a report that states what it rests on."""
    deal, facts = known.whole(), known.facts
    inputs = accounts.inputs(deal)
    ends = Counter(path.rpartition(".")[2] for path in inputs)
    named = {
        (end if ends[end := path.rpartition(".")[2]] == 1 else path): one
        for path, one in inputs.items()
    }
    report = replace(
        deals.settled(deal, facts.currency),
        report_id=f"report-{len(known.reports) + 1}-of-{deal.contract_id}",
        generated_at=known.now(),
        inputs=tuple(Term(name=n, value=q.value, unit=q.unit) for n, q in named.items()),
    )
    known.reports.append(report)
    known.telling["settlement"] = report


def correction(known: Known) -> None:
    """Let the report that the message tells replace the one before it."""
    if len(known.reports) < 2:  # noqa: PLR2004 (the one of this message, and what it replaces)
        raise UserError(
            "a row carries a correction, and there is no report to correct",
            where="the message sequence",
            mend="let an earlier row carry a billing report, and this one too",
        )
    old, new = known.reports[-2:]
    due = accounts.difference(old, new)
    known.reports[-1] = replace(new, replaces=old.report_id, adjustments=due)
    known.telling["settlement"] = known.reports[-1]


ACCOUNTS: dict[str, Callable[[Known], None]] = {
    "signals": signals,
    "running totals": running_totals,
    "billing report": billing_report,
    "correction": correction,
}
"""How a reference actor fills the words of a row that are about accounts."""
