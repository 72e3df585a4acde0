"""BIL: what a deal comes to follows from what was said: terms, formulas, tariff, readings, record.

Belongs here: amounts of a deal, recomputed through gridwitness.deals. Does not belong here:
markets that clear (money), arithmetic that a single message states (amounts).
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from itertools import islice
from typing import TYPE_CHECKING, cast

from gridwitness import deals
from gridwitness.deals import DealError
from gridwitness.reference_impl.rounding import EXACT, exact_sum
from gridwitness.rules import outcome, rule
from gridwitness.story import deals_told

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gridwitness.deals import Owed
    from gridwitness.rules import Outcome
    from gridwitness.trace import Message, Trace
    from gridwitness.views import Bill, Deal, RevenueFlow

OCPI = "OCPI 2.2.1"
CONTRACTS = "reference_impl/README.md, Contracts"
DEG = "beckn/DEG, building blocks"


@rule(
    "BIL-001",
    "MUST",
    source=f"{CONTRACTS}; {DEG}, EnergyContract v1, revenueFlows",
    when_stated=True,
)
def payments_follow_their_formulas(trace: Trace) -> Iterator[Outcome]:
    """Every payment of a settlement is what the formulas of its contract make of what it states."""
    for message, deal in deals_told(trace):
        report = deal.settlement
        if report is None or not deal.dues:
            continue
        try:
            right = _by_payment(deals.owed(deal))
        except DealError as error:
            yield outcome(
                kept=False,
                by=message.sender,
                message=message,
                observed=str(error),
                expected="a contract whose payments can be computed",
                pointer=deal.pointer("dues"),
            )
            continue
        claimed = _by_payment(report.flows)
        wrong = [k for k in (*right, *claimed) if right.get(k, 0) != claimed.get(k, 0)]
        key = wrong[0] if wrong else ("", "", "")
        yield outcome(
            not wrong,
            by=message.sender,
            message=message,
            observed=_payment(key, claimed.get(key)),
            expected=_payment(key, right.get(key)),
            pointer=report.pointer("flows"),
        )


def _by_payment(flows: Iterable[Owed | RevenueFlow]) -> dict[tuple[str, str, str], Decimal]:
    """Sum payments by who pays whom for what."""
    total: dict[tuple[str, str, str], Decimal] = {}
    for flow in flows:
        key = flow.payer, flow.payee, flow.kind
        total[key] = EXACT.add(total.get(key, Decimal(0)), flow.amount)
    return total


def _payment(key: tuple[str, str, str], amount: Decimal | None) -> str:
    payer, payee, kind = key
    told = "nothing" if amount is None else f"{amount}"
    return f"{kind}: {told} from {payer} to {payee}"


@rule("BIL-002", "MUST", source="reference_impl/README.md, Settlement, K2", when_stated=True)
def positions_of_a_deal_follow_from_its_payments(trace: Trace) -> Iterator[Outcome]:
    """What is left to each party of a deal is what it is paid less what it pays."""
    for message, deal in deals_told(trace):
        report = deal.settlement
        if report is None or not deal.dues:
            continue
        right: dict[str, Decimal] = {}
        for flow in report.flows:
            right[flow.payer] = right.get(flow.payer, Decimal(0)) - flow.amount
            right[flow.payee] = right.get(flow.payee, Decimal(0)) + flow.amount
        told: dict[str, Decimal] = {}
        for position in report.positions:
            told[position.party] = told.get(position.party, Decimal(0)) + position.value
        wrong = [who for who in (*right, *told) if right.get(who, 0) != told.get(who, 0)]
        party = wrong[0] if wrong else ""
        yield outcome(
            not wrong,
            by=message.sender,
            message=message,
            observed=f"{told.get(party, Decimal(0))} for {party}",
            expected=f"{right.get(party, Decimal(0))}, from its payments",
            pointer=report.pointer("positions"),
        )


@rule("BIL-003", "MUST", source=f"{OCPI}, mod_cdrs: total_cost; mod_tariffs", when_stated=True)
def record_costs_what_its_tariff_says(trace: Trace) -> Iterator[Outcome]:
    """A charge detail record costs what the tariff of its contract makes of its periods."""
    for message, deal, pointer in _recorded(trace):
        try:
            record, tariff = deals.record_in(deal), deals.tariff_in(deal)
            if record is None or tariff is None or record.incl_vat is None:
                continue
            right = deals.invoice(deal, deals.session_cost(tariff, record.periods))
        except DealError as error:
            yield _unpriced(message, error, pointer)
            continue
        stated = record.excl_vat, record.incl_vat
        yield outcome(
            record.incl_vat == right.incl_vat and record.excl_vat in (None, right.excl_vat),
            by=message.sender,
            message=message,
            observed=f"{stated[0]} without and {stated[1]} with tax",
            expected=f"{right.excl_vat} without and {right.incl_vat} with tax",
            pointer=f"{pointer}/totalCost",
        )


@rule(
    "BIL-004", "MUST", source=f"{OCPI}, mod_cdrs: total_energy, charging_periods", when_stated=True
)
def record_totals_its_periods(trace: Trace) -> Iterator[Outcome]:
    """The energy of a charge detail record is the sum of its periods, which follow one another."""
    for message, deal, pointer in _recorded(trace):
        try:
            record = deals.record_in(deal)
        except DealError as error:
            yield _unpriced(message, error, pointer)
            continue
        if record is None or record.total_energy_kwh is None:
            continue
        total_kwh = exact_sum(Decimal(str(period.energy_kwh)) for period in record.periods)
        yield outcome(
            total_kwh == record.total_energy_kwh,
            by=message.sender,
            message=message,
            observed=f"{record.total_energy_kwh} kWh",
            expected=f"{total_kwh} kWh, the sum of the periods",
            pointer=f"{pointer}/totalEnergy",
        )


def _recorded(trace: Trace) -> Iterator[tuple[Message, Deal, str]]:
    for message, deal in deals_told(trace):
        block = deal.block("fulfilment", "chargeDetailRecord")
        if block is not None:
            yield message, deal, block.pointer()


def _unpriced(message: Message, error: DealError, pointer: str) -> Outcome:
    return outcome(
        kept=False,
        by=message.sender,
        message=message,
        observed=str(error),
        expected="a record and a tariff that can be priced",
        pointer=pointer,
    )


@rule("BIL-005", "MUST", source=f"{OCPI}, mod_cdrs: total_cost; {CONTRACTS}", when_stated=True)
def bill_is_what_is_owed(trace: Trace) -> Iterator[Outcome]:
    """What a customer is billed is the cost of its record, or what the formulas make it pay."""
    for message, deal in deals_told(trace):
        bill = deal.bill
        if bill is None or not bill.is_due:
            continue
        try:
            right = _owed_by_customer(deal)
        except DealError as error:
            yield _unpriced(message, error, bill.pointer())
            continue
        if right is not None:
            yield _billed(message, bill, right)


def _billed(message: Message, bill: Bill, right: Decimal) -> Outcome:
    return outcome(
        bill.value == right,
        by=message.sender,
        message=message,
        observed=f"{bill.value} {bill.currency}",
        expected=f"{right}, from what the message states",
        pointer=bill.pointer("value"),
    )


def _owed_by_customer(deal: Deal) -> Decimal | None:
    """Give what the customer has to pay; None where nothing of it is stated."""
    record, tariff = deals.record_in(deal), deals.tariff_in(deal)
    if record is not None and tariff is not None:
        return deals.invoice(deal, deals.session_cost(tariff, record.periods)).incl_vat
    if not deal.dues or (deal.sources and not deal.readings):
        return None
    owed = deals.owed(deal)
    paid = exact_sum(o.amount for o in owed if o.payer == deal.customer_id)
    return paid - exact_sum(o.amount for o in owed if o.payee == deal.customer_id)


@rule(
    "BIL-006",
    "MUST",
    source=f"{OCPI}, mod_tariffs; {DEG}, EnergyOffer v1 (tariff)",
    when_stated=True,
)
def quote_is_what_the_tariff_says(trace: Trace) -> Iterator[Outcome]:
    """A quote is what the tariff makes of the energy it is for, taken evenly over the interval."""
    for message, deal in deals_told(trace):
        bill, interval = deal.bill, deal.interval
        if bill is None or bill.is_due or bill.energy_kwh is None or interval is None:
            continue
        try:
            tariff = deals.tariff_in(deal)
            if tariff is None:
                continue
            right = deals.invoice(deal, deals.trade_cost(tariff, interval, bill.energy_kwh))
        except DealError as error:
            yield _unpriced(message, error, bill.pointer())
            continue
        yield _billed(message, bill, right.incl_vat)


@rule("BIL-007", "MUST", source=f"{DEG}, EnergyTradeDelivery: meter readings", when_stated=True)
def readings_are_passed_on_unchanged(trace: Trace) -> Iterator[Outcome]:
    """A meter reading that a party was given is passed on as it was given.

    Where several gave it, as one of them did last.
    """
    given: dict[tuple[str | None, str, str | None, str | None], dict[str | None, Decimal]] = {}
    for message, deal in deals_told(trace):
        for reading in deal.readings:
            key = message.sender, reading.meter_id, reading.start, reading.end
            heard = given.get(key)
            if heard is not None:
                yield outcome(
                    reading.energy_kwh in heard.values(),
                    by=message.sender,
                    message=message,
                    observed=f"{reading.energy_kwh} kWh of meter {reading.meter_id}",
                    expected=f"{_any_of(heard.values())} kWh, as it was told",
                    pointer=reading.pointer("energy_kwh"),
                )
            told = message.receiver, reading.meter_id, reading.start, reading.end
            given.setdefault(told, {})[message.sender] = reading.energy_kwh


def _any_of(told: Iterable[Decimal]) -> str:
    return " or ".join(str(energy_kwh) for energy_kwh in islice(dict.fromkeys(told), 5))


@rule("BIL-008", "MUST", source=f"{DEG}, Settlement: one currency a contract", when_stated=True)
def money_of_a_deal_is_in_one_currency(trace: Trace) -> Iterator[Outcome]:
    """Every amount of a deal is in the currency of its tariff or of its terms."""
    for message, deal in deals_told(trace):
        used = {flow.currency for flow in deal.settlement.flows} if deal.settlement else set[str]()
        if deal.bill is not None:
            used.add(deal.bill.currency)
        stated = _currencies(deal)
        if not used or not stated:
            continue
        yield outcome(
            used <= stated,
            by=message.sender,
            message=message,
            observed=", ".join(sorted(used)),
            expected=", ".join(sorted(stated)),
            pointer=deal.settlement.pointer("flows") if deal.settlement else deal.pointer(),
        )


PHYSICAL = {"KWH", "MWH", "GWH", "KVA", "MVA", "VAR"}
"""Units that look like currencies where they are written in capitals, as in price series."""


def _currencies(deal: Deal) -> set[str]:
    units = (term.unit or "" for role in deal.roles for term in role.terms)
    heads = {unit.partition("/")[0] for unit in units}
    found = {head for head in heads if len(head) == 3 and head.isupper()} - PHYSICAL  # noqa: PLR2004
    tariff = deal.block("contract", "tariff")
    if tariff is None or not isinstance(tariff.data, Mapping):
        return found
    currency = cast("Mapping[str, object]", tariff.data).get("currency")
    return found | ({currency} if isinstance(currency, str) else set[str]())
