"""LCK: a trade is locked at the utility before it binds, once, as it was cleared."""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING

from gridwitness.dialects.grid import read_setpoint_kw
from gridwitness.rules import outcome, rule
from gridwitness.story import AGENT, UTILITY, story

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gridwitness.rules import Outcome
    from gridwitness.story import Chapter, Said
    from gridwitness.trace import Trace

DEG = "beckn/DEG, building blocks, market-based trading: cascaded confirm"


@rule("LCK-001", "MUST", source=DEG, judges=(AGENT,))
def trade_is_locked_before_it_binds(trace: Trace) -> Iterator[Outcome]:
    """A participant is told a binding result only after the utility has locked its trade."""
    for chapter in _metered(trace):
        locked = [s.message.number for s in chapter.locked if s.contract.status == "ACTIVE"]
        for said in chapter.bound:
            if said.contract.clearing is None:
                continue
            yield outcome(
                any(number < said.message.number for number in locked),
                by=said.message.sender,
                message=said.message,
                observed=f"on_confirm to {chapter.name} without a lock",
                expected="the utility's on_confirm with the status ACTIVE before it",
                pointer=said.contract.pointer("status"),
            )


@rule("LCK-005", "MUST", source="beckn/DEG, EnergyContract: PENDING, ACTIVE", judges=(AGENT,))
def cleared_trade_is_active(trace: Trace) -> Iterator[Outcome]:
    """A participant who is told what it cleared is told that its contract is active."""
    for chapter in story(trace).values():
        for said in chapter.bound:
            if said.contract.clearing is None:
                continue
            yield outcome(
                said.contract.status == "ACTIVE",
                by=said.message.sender,
                message=said.message,
                observed=f"the status {said.contract.status}",
                expected="ACTIVE",
                pointer=said.contract.pointer("status"),
            )


@rule("LCK-002", "MUST", source=DEG, judges=(AGENT,))
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


@rule("LCK-003", "MUST", source=f"{DEG}; sanctioned load", judges=(AGENT,))
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


@rule("LCK-004", "MUST", source=f"{DEG}; sanctioned load", judges=(UTILITY, AGENT))
def locks_fit_the_meter(trace: Trace) -> Iterator[Outcome]:
    """What is locked fits in the trade's approval, and at the meter beside what is committed."""
    chapters = story(trace).values()
    for chapter in chapters:
        granted = [s.contract.approval for s in chapter.approved if s.contract.approval]
        asked_kw = Decimal(0)
        for said in chapter.lock_asked:
            if said.contract.clearing is None or not granted:
                continue
            asked_kw += abs(said.contract.clearing.cleared_power_kw)
            yield _fits(said, asked_kw, granted[-1].approved_max_trade_kw, "approved")
    free_kw: dict[str, Decimal] = {}
    locked_kw: dict[str, dict[str, Decimal]] = defaultdict(dict)
    for chapter in chapters:
        for said in chapter.approved:
            approval, meter = said.contract.approval, said.contract.meter_id
            if approval is not None and approval.sanctioned_load_kw is not None and meter:
                left_kw = approval.sanctioned_load_kw - (approval.committed_kw or Decimal(0))
                free_kw[meter] = max(left_kw, free_kw.get(meter, left_kw))
    for said in _in_order(chapters):
        clearing, meter = said.contract.clearing, said.contract.meter_id or ""
        if clearing is None or meter not in free_kw or said.contract.status != "ACTIVE":
            continue
        setpoint_kw = read_setpoint_kw(said.contract)
        power_kw = clearing.cleared_power_kw if setpoint_kw is None else setpoint_kw
        locked_kw[meter][said.contract.contract_id or ""] = abs(power_kw)
        total_kw = sum(locked_kw[meter].values(), Decimal(0))
        yield _fits(said, total_kw, free_kw[meter], "left of the sanctioned load")


def _metered(trace: Trace) -> list[Chapter]:
    """Leave out a utility that buys: of what it buys there is no meter to lock."""
    return [chapter for chapter in story(trace).values() if chapter.is_metered]


def _fits(said: Said, total_kw: Decimal, limit_kw: Decimal, what: str) -> Outcome:
    clearing, meter = said.contract.clearing, said.contract.meter_id
    return outcome(
        total_kw <= limit_kw,
        by=said.message.sender,
        message=said.message,
        observed=f"{total_kw} kW locked at meter {meter}",
        expected=f"at most {limit_kw} kW, {what}",
        pointer=clearing.pointer("cleared_power_kw") if clearing else "/message",
    )


def _in_order(chapters: Iterable[Chapter]) -> list[Said]:
    said = [item for chapter in chapters for item in (*chapter.locked, *chapter.relocked)]
    return sorted(said, key=lambda item: item.message.number)
