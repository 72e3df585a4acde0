"""LCK: a trade is locked at the utility before it binds, once, as it was cleared."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

from gridwitness.rules import outcome, rule
from gridwitness.story import AGENT, UTILITY, story

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.rules import Outcome
    from gridwitness.story import Said
    from gridwitness.trace import Trace

E6 = "facts/protocol, sections E6 and D (cascades); architecture, section 5"


@rule("LCK-001", "MUST", source=E6, judges=(AGENT,))
def trade_is_locked_before_it_binds(trace: Trace) -> Iterator[Outcome]:
    """A participant is told a binding result only after the utility has locked its trade."""
    for chapter in story(trace).values():
        locked = [s.message.number for s in chapter.locked if s.contract.status == "ACTIVE"]
        for said in chapter.bound:
            if said.contract.status != "ACTIVE":
                continue
            yield outcome(
                any(number < said.message.number for number in locked),
                by=said.message.sender,
                message=said.message,
                observed=f"on_confirm to {chapter.name} without a lock",
                expected="the utility's on_confirm with the status ACTIVE before it",
                pointer=said.contract.pointer("status"),
            )


@rule("LCK-002", "MUST", source=E6, judges=(AGENT,))
def lock_is_for_what_was_cleared(trace: Trace) -> Iterator[Outcome]:
    """The power that is locked is the power that the participant is told."""
    for chapter in story(trace).values():
        told = [s.contract.clearing for s in chapter.bound if s.contract.clearing]
        for said in chapter.lock_asked:
            clearing = said.contract.clearing
            if clearing is None or not told:
                continue
            yield outcome(
                clearing.cleared_power_kw == told[-1].cleared_power_kw,
                by=said.message.sender,
                message=said.message,
                observed=f"{clearing.cleared_power_kw} kW locked for {chapter.name}",
                expected=f"{told[-1].cleared_power_kw} kW, as {chapter.name} was told",
                pointer=clearing.pointer("cleared_power_kw"),
            )


@rule("LCK-003", "MUST", source=f"{E6} (no double dipping)", judges=(AGENT,))
def trade_is_locked_once(trace: Trace) -> Iterator[Outcome]:
    """A trade is deducted from the sanctioned load once."""
    for chapter in story(trace).values():
        for position, said in enumerate(chapter.lock_asked):
            yield outcome(
                position == 0,
                by=said.message.sender,
                message=said.message,
                observed=f"lock {position + 1} for the trade of {chapter.name}",
                expected="one lock a trade",
            )


@rule("LCK-004", "MUST", source=f"{E6} (no double dipping)", judges=(UTILITY, AGENT))
def locks_fit_the_meter(trace: Trace) -> Iterator[Outcome]:
    """What is locked for a meter fits in its sanctioned load beside what is committed."""
    free_kw: dict[str, Decimal] = {}
    for chapter in story(trace).values():
        for said in chapter.approved:
            approval, meter = said.contract.approval, said.contract.meter_id
            if approval is not None and approval.sanctioned_load_kw is not None and meter:
                left = approval.sanctioned_load_kw - (approval.committed_kw or Decimal(0))
                free_kw[meter] = min(left, free_kw.get(meter, left))
    for part in ("lock_asked", "locked"):
        locked_kw: dict[str, Decimal] = defaultdict(Decimal)
        for said in _in_order(trace, part):
            clearing, meter = said.contract.clearing, said.contract.meter_id
            if clearing is None or meter not in free_kw:
                continue
            locked_kw[meter] += abs(clearing.cleared_power_kw)
            yield outcome(
                locked_kw[meter] <= free_kw[meter],
                by=said.message.sender,
                message=said.message,
                observed=f"{locked_kw[meter]} kW locked for meter {meter}",
                expected=f"at most {free_kw[meter]} kW",
                pointer=clearing.pointer("cleared_power_kw"),
            )


def _in_order(trace: Trace, part: str) -> list[Said]:
    said = [item for chapter in story(trace).values() for item in getattr(chapter, part)]
    return sorted(said, key=lambda item: item.message.number)
