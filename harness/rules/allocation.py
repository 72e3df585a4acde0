"""ALC: what utilities approve, keep and allocate of a trade between two.

Belongs here: the legs to the utilities beside a trade (approval, ledger, what they are told),
and how metered energy is allocated to it. Does not belong here: what one message states of its
own interval table (interval_tables), money (billing), markets that clear (locking, market).

A trade is known by its contract id, which is the same towards every utility.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from typing import TYPE_CHECKING, NamedTuple

from gridwitness.deals import APPROVED, CONTRACTED
from gridwitness.reference_impl.allocation import AllocationError, Trade, pro_rata
from gridwitness.rules import outcome, rule
from gridwitness.signals import moment
from gridwitness.story import (
    BUYER_PLATFORM,
    BUYER_UTILITY,
    CUSTOMERS,
    SELLER_PLATFORM,
    SELLER_UTILITY,
    SELLERS,
    UTILITIES,
    accepted,
)
from gridwitness.trace import once

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from gridwitness.rules import Outcome
    from gridwitness.trace import Message, Trace
    from gridwitness.views import Deal, IntervalTable

CASCADE = "beckn/DEG, P2P trading implementation guide: cascaded init and confirm"
LEDGER = "beckn/DEG, p2p-trading-ies-wave2: ledger of each utility; issue 351"
PRIVACY = "beckn/DEG, inter-retailer P2P guide, data residency"
NOTE = "India Energy Stack, note on allocation and settlement"
SERIES = "beckn/DEG, BecknTimeSeries v1.0: insertedBy"

TERMS_OF = ("on_init", "on_confirm")
ALLOCATIONS = ("buyer's allocation", "seller's allocation", "final allocation")
OWN = {BUYER_UTILITY: "buyer's allocation", SELLER_UTILITY: "seller's allocation"}
"""The column that each utility allocates by its own meter."""


class Told(NamedTuple):
    """A message of a trade: between whom by role, of which contract; no deal in an error."""

    message: Message
    sender: str | None
    receiver: str | None
    contract_id: str
    deal: Deal | None


@once
def _told(trace: Trace) -> list[Told]:
    """Give what was said of trades, in order; an error is of the contract that was asked about."""
    found: list[Told] = []
    for message in trace.beckn:
        deal = message.reading.deal
        if deal is None and message.reading.error is not None:
            asked = trace.asked_by(message)
            about = asked[0].reading.deal if asked else None
        else:
            about = deal
        if about is None or about.contract_id is None:
            continue
        roles = trace.role(message.sender), trace.role(message.receiver)
        found.append(Told(message, *roles, about.contract_id, deal))
    return found


def _tables(trace: Trace) -> Iterator[tuple[Told, IntervalTable]]:
    for told in _told(trace):
        if told.deal and told.deal.table and told.message.deliberate is None:
            yield told, told.deal.table


# -- what a utility has a say in --------------------------------------------------------


@rule("ALC-001", "MUST", source=CASCADE, judges=SELLERS, when_stated=True)
def no_more_is_sold_than_is_approved(trace: Trace) -> Iterator[Outcome]:
    """Terms that are told to a customer are for no more energy than the utility approved."""
    approved: dict[tuple[str, str | None], Decimal] = {}
    wanted: dict[str, Decimal] = {}
    for told in _told(trace):
        term = told.deal.term(CONTRACTED) if told.deal else None
        if term is not None:
            wanted[told.contract_id] = term.value
        if told.sender in UTILITIES and told.deal is not None:
            limit = told.deal.term(APPROVED)
            if limit is not None:
                approved[told.contract_id, told.message.receiver] = limit.value
        if told.sender not in SELLERS or told.receiver not in CUSTOMERS:
            continue
        most = approved.get((told.contract_id, told.message.sender))
        energy_kwh = wanted.get(told.contract_id)
        if told.message.action not in TERMS_OF or most is None or energy_kwh is None:
            continue
        yield outcome(
            told.deal is None or energy_kwh <= most,
            by=told.message.sender,
            message=told.message,
            observed=f"{told.message.action} for {energy_kwh} kWh",
            expected=f"an error, for {most} kWh are approved",
            pointer=told.deal.pointer("roles") if told.deal else "",
        )


@rule("ALC-002", "MUST", source="NFH-013, CON-013-20", judges=SELLERS, when_stated=True)
def nothing_binds_that_a_utility_refused(trace: Trace) -> Iterator[Outcome]:
    """Who is told an error by a utility tells its customer an error, and no success."""
    refused: set[tuple[str, str | None]] = set()
    for told in _told(trace):
        if told.sender in UTILITIES and told.message.reading.error is not None:
            refused.add((told.contract_id, told.message.receiver))
        if told.sender not in SELLERS or told.receiver not in CUSTOMERS:
            continue
        if (told.contract_id, told.message.sender) in refused and told.message.action in TERMS_OF:
            yield outcome(
                told.deal is None,
                by=told.message.sender,
                message=told.message,
                observed=f"{told.message.action} with a contract",
                expected="an error, for the utility told one",
                pointer=told.deal.pointer("status") if told.deal else "",
            )


@rule("ALC-003", "MUST", source=LEDGER, judges=SELLERS, when_stated=True)
def trade_is_kept_before_it_binds(trace: Trace) -> Iterator[Outcome]:
    """A seller's utility keeps a trade before the customer is told that it binds."""
    asked = {
        (told.contract_id, told.message.sender)
        for told in _told(trace)
        if told.receiver in UTILITIES and told.message.action == "confirm"
    }
    kept: set[tuple[str, str | None]] = set()
    for told in _told(trace):
        if told.message.action != "on_confirm" or told.deal is None:
            continue
        if told.sender in UTILITIES and told.deal.status == "ACTIVE":
            kept.add((told.contract_id, told.message.receiver))
        key = told.contract_id, told.message.sender
        if told.sender in SELLERS and told.receiver in CUSTOMERS and key in asked:
            yield outcome(
                key in kept,
                by=told.message.sender,
                message=told.message,
                observed="on_confirm before the utility keeps the trade",
                expected="the utility's on_confirm before it",
                pointer=told.deal.pointer("status"),
            )


@rule("ALC-004", "MUST", source=LEDGER, judges=(BUYER_PLATFORM, SELLER_PLATFORM), when_stated=True)
def ledgers_keep_the_same_trade(trace: Trace) -> Iterator[Outcome]:
    """Each utility is given the trade to keep that both platforms have agreed."""
    agreed: dict[str, tuple[Decimal | None, ...]] = {}
    for told, table in _tables(trace):
        energies = table.values("requested")
        if told.receiver not in UTILITIES:
            if told.message.action == "confirm":
                agreed[told.contract_id] = energies
        elif told.message.action == "confirm" and told.sender in (BUYER_PLATFORM, SELLER_PLATFORM):
            right = agreed.get(told.contract_id)
            yield outcome(
                energies == right,
                by=told.message.sender,
                message=told.message,
                observed=_kwh(energies),
                expected=_kwh(right) if right else "a trade that was confirmed before",
                pointer=table.pointer("rows"),
            )


def _kwh(energies: tuple[Decimal | None, ...]) -> str:
    return ", ".join("nothing" if kwh is None else f"{kwh} kWh" for kwh in energies[:24])


@rule("ALC-005", "MUST", source=PRIVACY, judges=(BUYER_PLATFORM, SELLER_PLATFORM), when_stated=True)
def utilities_are_told_what_concerns_them(trace: Trace) -> Iterator[Outcome]:
    """The utility of one side is told its own meter and the energy, but no price of the trade."""
    for told in _told(trace):
        if told.receiver not in OWN or told.deal is None:
            continue
        too_much = list(_beyond_concern(told.deal, told.sender or "", told.receiver or ""))
        yield outcome(
            not too_much,
            by=told.message.sender,
            message=told.message,
            observed=", ".join(what for what, _ in too_much[:5]),
            expected="energy, approval and the meter of its own customer",
            pointer=too_much[0][1] if too_much else "",
        )


def _beyond_concern(deal: Deal, sender: str, receiver: str) -> Iterator[tuple[str, str]]:
    """Yield what a utility need not know, with where it stands."""
    for role in deal.roles:
        if role.name not in (sender, receiver) and role.meter_id is not None:
            yield f"the meter of the {role.name}", role.pointer()
        for term in role.terms:
            if role.name != receiver and "/kWh" in (term.unit or ""):
                yield f"{term.name} of the {role.name}", term.pointer("value")
    for column in deal.table.columns if deal.table else ():
        if "/kWh" in (column.unit or ""):
            yield f"the column {column.name}", column.pointer()
    if deal.settlement is not None:
        yield "the settlement", deal.settlement.pointer()


# -- the interval table -----------------------------------------------------------------


@rule("ALC-006", "MUST", source=SERIES, when_stated=True)
def columns_are_written_by_their_role(trace: Trace) -> Iterator[Outcome]:
    """A column of an interval table first comes from the role that it says has written it."""
    seen: set[tuple[str | None, str]] = set()
    for message in trace.beckn:
        deal, role = message.reading.deal, trace.role(message.sender)
        if message.deliberate is not None:
            continue
        tables = [(None, offer.deal.table) for offer in message.reading.offers if offer.deal]
        tables += [(deal.contract_id, deal.table)] if deal else []
        for contract_id, table in tables:
            used = {name for row in table.rows for name in row} if table else set[str]()
            for column in table.columns if table else ():
                known = (None, column.name) in seen or (contract_id, column.name) in seen
                if column.role is None or known or column.name not in used:
                    continue
                seen.add((contract_id, column.name))
                yield outcome(
                    column.role == role or not _is_here(trace, column.role),
                    by=message.sender,
                    message=message,
                    observed=f"{column.name}, first told by the {role}",
                    expected=f"the {column.role}, who writes it",
                    pointer=column.pointer(),
                )


def _is_here(trace: Trace, role: str) -> bool:
    return role in trace.scene.roles.values()


@rule("ALC-007", "MUST", source=f"{SERIES}; {NOTE}", when_stated=True)
def allocations_are_passed_on_unchanged(trace: Trace) -> Iterator[Outcome]:
    """An allocation that a party was told is passed on as it was told."""
    heard: dict[tuple[str | None, str, str], dict[str | None, tuple[Decimal | None, ...]]] = {}
    for told, table in _tables(trace):
        for name in ALLOCATIONS:
            values = table.values(name)
            if None in values or not values:
                continue
            column = table.column(name)
            right = heard.get((told.message.sender, told.contract_id, name))
            if right is not None and column is not None and column.role != told.sender:
                yield outcome(
                    values in right.values(),
                    by=told.message.sender,
                    message=told.message,
                    observed=f"{name}: {_kwh(values)}",
                    expected=f"{_kwh(next(iter(right.values())))}, as it was told",
                    pointer=table.pointer("rows"),
                )
            key = told.message.receiver, told.contract_id, name
            heard.setdefault(key, {})[told.message.sender] = values


@rule("ALC-008", "MUST", source=f"{NOTE}; DEG ledger API 0.4.0, /ledger/allocate", when_stated=True)
def allocations_are_pro_rata(trace: Trace) -> Iterator[Outcome]:
    """A utility shares what a meter registered among the trades of that meter pro rata."""
    ledgers: dict[str | None, _Ledger] = defaultdict(_Ledger)
    for told, table in _tables(trace):
        kept = told.receiver in UTILITIES and told.message.action == "confirm"
        if kept and accepted(told.message):
            ledgers[told.message.receiver].keep(told, table)
        elif told.sender in OWN and told.deal is not None:
            ledgers[told.message.sender].read(told.deal)
    for told, table in _tables(trace):
        column = OWN.get(told.sender or "", "")
        values = table.values(column)
        right = ledgers[told.message.sender].allocated(told.contract_id, column) if values else None
        if right is not None and None not in values:
            yield outcome(
                values == right,
                by=told.message.sender,
                message=told.message,
                observed=f"{column}: {_kwh(values)}",
                expected=f"{_kwh(right)}, pro rata to the meter",
                pointer=table.pointer("rows"),
            )


class _Ledger:
    """What one utility keeps: the trades of its meters, and what these registered."""

    def __init__(self) -> None:
        self._meter_of: dict[str, str] = {}
        self._trades: dict[str, dict[str, tuple[Decimal | None, ...]]] = defaultdict(dict)
        self._readings: dict[str, dict[datetime, Decimal]] = defaultdict(dict)
        self._shares: dict[str, dict[str, tuple[Decimal, ...]]] = {}

    def keep(self, told: Told, table: IntervalTable) -> None:
        role = told.deal.role(told.sender or "") if told.deal else None
        if role is not None and role.meter_id is not None:
            self._meter_of.setdefault(told.contract_id, role.meter_id)
            self._trades[role.meter_id].setdefault(told.contract_id, table.values("requested"))

    def read(self, deal: Deal) -> None:
        for reading in deal.readings:
            start = moment(reading.start)
            if start is not None:
                self._readings[reading.meter_id][start] = reading.energy_kwh

    def allocated(self, contract_id: str, column: str) -> tuple[Decimal, ...] | None:
        """Give what a trade gets of what its meter registered; None where nobody can tell."""
        meter = self._meter_of.get(contract_id, "")
        if meter not in self._shares:
            selling = column == OWN[SELLER_UTILITY]
            self._shares[meter] = self._shared(meter, selling=selling)
        return self._shares[meter].get(contract_id)

    def _shared(self, meter: str, *, selling: bool) -> dict[str, tuple[Decimal, ...]]:
        """Share every reading of a meter; readings and intervals are joined in their order.

        Where one of the trades is of other intervals than were read, nobody can tell.
        """
        readings, trades = self._readings.get(meter, {}), self._trades.get(meter, {})
        if any(len(wanted) != len(readings) or None in wanted for wanted in trades.values()):
            return {}
        found: dict[str, list[Decimal]] = {name: [] for name in trades}
        for place, start in enumerate(sorted(readings)):
            sides = ("the buyer's", meter) if selling else (meter, "the seller's")
            wanted = [
                Trade(name, place, *sides, kwh[place] or Decimal(0), Decimal(0))
                for name, kwh in trades.items()
            ]
            try:
                shares = pro_rata(meter, wanted, -readings[start])
            except (AllocationError, ArithmeticError, ValueError):
                return {}
            for name, kwh in shares.items():
                found[name].append(kwh)
        return {name: tuple(kwh) for name, kwh in found.items()}


@rule("ALC-009", "MUST", source=f"{NOTE}: the smaller of two sides", when_stated=True)
def final_allocation_is_the_smaller(trace: Trace) -> Iterator[Outcome]:
    """The final allocation of an interval is the smaller of what both utilities allocate."""
    for told, table in _tables(trace):
        columns = [table.values(name) for name in ALLOCATIONS]
        writer = (column := table.column(ALLOCATIONS[-1])) and column.role
        if not columns[0] or any(None in column for column in columns):
            continue
        if writer and writer != told.sender and _is_here(trace, writer):
            continue  # passed on, which ALC-007 judges
        right = tuple(min(x or 0, y or 0) for x, y in zip(*columns[:2], strict=True))
        yield outcome(
            columns[2] == right,
            by=told.message.sender,
            message=told.message,
            observed=_kwh(columns[2]),
            expected=_kwh(tuple(map(Decimal, right))),
            pointer=table.pointer("rows"),
        )
