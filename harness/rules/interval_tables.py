"""AMT, continued: interval tables, and what is traded and settled by them.

Belongs here: what the published policies ask of the time series of the contract dialect, of
allocations, and of the revenue that follows from them. Does not belong here: prices and
deliveries apart from such a table (amounts).

As there, every rule applies where a message states what it judges.
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from gridwitness.dues import (
    by_interval,
    complete,
    flexibility,
    minor_unit,
    plain,
    settling,
    total_of,
    trade_value,
)
from gridwitness.rules import rule
from gridwitness.rules.amounts import BLOCKS, DEG, LTS
from gridwitness.statements import say, stated, stated_by_others

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from gridwitness.rules import Outcome
    from gridwitness.trace import Trace

P2P_NETWORK = f"{DEG}, p2p-trading-ies-wave2-networkpolicy.rego"
P2P_CONTRACT = f"{DEG}, p2p-trading-ies-wave2-contractpolicy.rego"
FLEX_NETWORK = f"{DEG}, demand-flex-networkpolicy.rego"
FLEX = f"{DEG}, demand-flex-contractpolicy.rego"
FLEX_PAC = f"{DEG}, demand-flex-pac-contractpolicy.rego"

SELLERS = ("seller", "aggregator")
"""How the seller of flexibility is called, in the published policies and by its seat."""

KWH_COLUMNS = (
    "AVAILABLE_QTY",
    "REQUESTED_QTY",
    "BUYER_DISCOM_ALLOC",
    "SELLER_DISCOM_ALLOC",
    "FINAL_ALLOC",
)
KW_COLUMNS = ("CAPACITY_REQUESTED", "CAPACITY_OFFERED", "CAPACITY_CLEARED")


# -- the value of a trade ---------------------------------------------------------------


@rule("AMT-019", "MUST", source=f"{P2P_CONTRACT}: settlement of a trade", when_stated=True)
def consideration_is_a_value_of_the_trade(trace: Trace) -> Iterator[Outcome]:
    """The amount of a consideration is the value of the trade or a total that is declared.

    The value is that of the interval table, within half a minor unit: allocated energy, else
    cleared, else requested, times the price of each interval.
    """
    for message, amounts in stated(trace):
        values = [value for one in amounts.commitments if (value := trade_value(one)) is not None]
        if not values or len(values) != len(amounts.commitments):
            continue
        value = sum(values, Fraction())
        # A payable is judged against the consideration, not the other way about.
        known = {Fraction(total) for total in amounts.declared_totals}
        known -= {Fraction(payment.amount) for payment in amounts.payments}
        known |= {Fraction(quote.value) for quote in amounts.quotes if quote.parts}
        for one in amounts.considerations:
            charged = Fraction(one.amount)
            yield say(
                charged in known or abs(charged - value) <= minor_unit(message, one.currency) / 2,
                message,
                one,
                "amount",
                observed=f"{one.amount} {one.currency or ''}",
                expected=f"{plain(value)}, the value of the trade, or a declared total",
            )


@rule(
    "AMT-020",
    "MUST",
    source=f"{LTS}: Commitment; {DEG}, EnergyTradeOffer v2.0 (REQUESTED_QTY)",
    when_stated=True,
)
def quantity_is_the_sum_of_requests(trace: Trace) -> Iterator[Outcome]:
    """The committed quantity of energy is the sum of what is requested in each interval."""
    for message, amounts in stated(trace):
        for one in amounts.commitments:
            requested = [x for x in (one.table.column("REQUESTED_QTY") if one.table else ()) if x]
            if one.quantity is None or (one.unit or "").upper() != "KWH" or not requested:
                continue
            total = total_of(requested)
            yield say(
                Fraction(one.quantity) == total,
                message,
                one,
                "quantity",
                observed=f"{one.quantity} kWh",
                expected=f"{plain(total)} kWh, as requested",
            )


# -- revenue flows and settlements ------------------------------------------------------


@rule("AMT-021", "MUST", source=f"{DEG}, RevenueFlow v2.0: net zero", when_stated=True)
def revenue_flows_sum_to_zero(trace: Trace) -> Iterator[Outcome]:
    """What the roles of a contract receive sums to zero in each currency.

    To less than half a minor unit, as the contract policy of peer-to-peer trading has it.
    """
    for message, amounts in stated_by_others(trace):
        for one in amounts.flows:
            totals: dict[str, Fraction] = defaultdict(Fraction)
            for entry in one.entries:
                totals[entry.currency] += Fraction(entry.value)
            off = {
                currency: total
                for currency, total in totals.items()
                if abs(total) >= minor_unit(message, currency) / 2
            }
            yield say(
                not off,
                message,
                one,
                observed=", ".join(f"{plain(total)} {name}" for name, total in off.items()),
                expected="0",
            )


@rule("AMT-022", "MUST", source=f"{P2P_NETWORK}: P3, P4", when_stated=True)
def allocation_is_within_both(trace: Trace) -> Iterator[Outcome]:
    """A final allocation is of requested energy, and at most what both utilities allocate."""
    for message, amounts in stated(trace):
        for one in amounts.commitments:
            if one.table is None:
                continue
            names = ("FINAL_ALLOC", "BUYER_DISCOM_ALLOC", "SELLER_DISCOM_ALLOC", "REQUESTED_QTY")
            columns = zip(*(one.table.column(name) for name in names), strict=True)
            for number, (final, buyer, seller, requested) in enumerate(columns):
                if final is None:
                    continue
                most = min((x for x in (buyer, seller) if x is not None), default=None)
                yield say(
                    (most is None or final <= most) and requested is not None,
                    message,
                    one.table,
                    "ids",
                    observed=f"{final} kWh in interval {number}",
                    expected="no energy, for none was requested"
                    if requested is None
                    else f"at most {most} kWh",
                )


@rule("AMT-023", "MUST", source=f"{P2P_CONTRACT}: revenue flows", when_stated=True)
def trade_is_settled_at_its_value(trace: Trace) -> Iterator[Outcome]:
    """The seller's side of a trade receives allocated energy times price, rounded once.

    Both platforms may pay their utility: what seller platform and seller utility receive
    together is the value of the trade, within half a minor unit.
    """
    for message, amounts in stated(trace):
        if len(amounts.commitments) != 1 or not amounts.flows:
            continue
        table = amounts.commitments[0].table
        if table is None or not complete(table.column("FINAL_ALLOC")):
            continue
        value = trade_value(amounts.commitments[0])
        for one in amounts.flows:
            received = one.value("sellerPlatform", "sellerDiscom")
            if value is None or received is None:
                continue
            half = minor_unit(message, one.entries[0].currency) / 2
            yield say(
                abs(Fraction(received) - value) <= half,
                message,
                one,
                observed=f"{received} to the seller's side",
                expected=f"{plain(value)}, allocated energy times price",
            )


@rule("AMT-024", "MUST", source=f"{FLEX}, {FLEX_PAC}: revenue flows", when_stated=True)
def flexibility_is_settled_by_the_formula(trace: Trace) -> Iterator[Outcome]:
    """A seller of flexibility receives what the settlement formula of its contract gives.

    The formula runs over reductions that are clamped meter by meter; the result may be off
    by half a minor unit.
    """
    for message, amounts in stated(trace):
        due = flexibility(amounts) if amounts.flows else None
        for one in amounts.flows:
            received = one.value(*SELLERS)
            if received is None or due is None:
                continue
            yield say(
                abs(Fraction(received) - due) <= minor_unit(message, one.entries[0].currency) / 2,
                message,
                one,
                observed=f"{received} to the seller",
                expected=plain(due),
            )


@rule("AMT-025", "MUST", source=f"{FLEX}: V8 (S2), {FLEX_PAC}: P-4", when_stated=True)
def nothing_is_paid_before_every_meter_is_read(trace: Trace) -> Iterator[Outcome]:
    """Flexibility is paid for when every meter was read in every interval."""
    for message, amounts in stated(trace):
        measured = settling(amounts)
        if measured is None or not amounts.flows or not amounts.commitments:
            continue
        need = amounts.commitments[0].need or amounts.commitments[0].table
        wanted = len(need.rows) if need else 0
        unread = measured.unread + sum(
            1
            for meter in measured.meters
            if len(meter.rows) < wanted or not complete(meter.column("USAGE"))
        )
        for one in amounts.flows:
            received = one.value(*SELLERS)
            if received:
                yield say(
                    not unread and measured.whole,
                    message,
                    one,
                    observed=f"{received} to the seller, with {unread} meters unread"
                    + ("" if measured.whole else " on the pages so far"),
                    expected=f"the usage of every meter in {wanted} intervals",
                )


@rule("AMT-026", "MUST", source=f"{FLEX_PAC}: P-6, P-7", when_stated=True)
def clearing_keeps_the_offered_steps(trace: Trace) -> Iterator[Outcome]:
    """What is cleared of a stepped offer was offered, at no less than was asked for it.

    Offers to a stated need are stepped; elsewhere the same columns may hold a curve.
    """
    for message, amounts in stated_by_others(trace):
        for one in amounts.commitments:
            if one.need is None:
                continue
            for number, row in enumerate(one.table.rows if one.table else ()):
                prices, powers = row.get("OFFER_PRICE", ()), row.get("CAPACITY_OFFERED", ())
                cleared = next(iter(row.get("CAPACITY_CLEARED", ())), None)
                price = next(iter(row.get("CLEARING_PRICE", ())), None)
                if not prices or not powers or cleared is None or price is None:
                    continue
                asks = [ask for ask, power in zip(prices, powers, strict=False) if power >= cleared]
                yield say(
                    len(prices) == len(powers) and bool(asks) and price >= min(asks),
                    message,
                    one.table or one,
                    "ids",
                    observed=f"{cleared} kW at {price} in interval {number}",
                    expected=f"at {min(asks)} or more" if asks else f"at most {max(powers)} kW",
                )


@rule(
    "AMT-027",
    "MUST",
    source="India Energy Stack, note on allocation and settlement: pro rata to the meter",
    when_stated=True,
)
def allocation_is_within_the_meter(trace: Trace) -> Iterator[Outcome]:
    """A utility allocates to a trade no more energy than its meter has registered."""
    metered: dict[tuple[str | None, str], Mapping[Decimal | None, Decimal]] = {}
    for message, amounts in stated(trace):
        for one in amounts.metered:
            metered[one.contract_id, one.meter_id] = by_interval(one.table, "ENERGY_CONSUMPTION")
        for trade in amounts.trades:
            for name, meter_id, sign in (
                ("BUYER_DISCOM_ALLOC", trade.buyer_meter_id, 1),
                ("SELLER_DISCOM_ALLOC", trade.seller_meter_id, -1),
            ):
                read = metered.get((trade.contract_id, meter_id or ""), {})
                for number, allocated in by_interval(trade.table, name).items():
                    if number in read:
                        most = max(Decimal(0), sign * read[number])
                        yield say(
                            allocated <= most,
                            message,
                            trade.table,
                            "ids",
                            observed=f"{name} {allocated} kWh in interval {number}",
                            expected=f"at most {most} kWh, as meter {meter_id} registered",
                        )


# -- the tables themselves --------------------------------------------------------------


@rule("AMT-028", "MUST", source=f"{P2P_NETWORK}: N16; {FLEX_NETWORK}: [1]", when_stated=True)
def columns_are_declared(trace: Trace) -> Iterator[Outcome]:
    """Every payload type that an interval table uses is declared in it."""
    for message, amounts in stated(trace):
        for table in amounts.tables:
            missing = sorted(table.used - table.units.keys())
            yield say(
                not missing,
                message,
                table,
                "units",
                observed=f"{', '.join(missing)} used",
                expected=f"one of {', '.join(sorted(table.units)) or 'none'}",
            )


@rule("AMT-029", "MUST", source=f"{FLEX_NETWORK}: [4]", when_stated=True)
def intervals_are_numbered(trace: Trace) -> Iterator[Outcome]:
    """The intervals of a table are numbered 0, 1, 2 and so on, by which tables are joined."""
    for message, amounts in stated(trace):
        for table in amounts.tables:
            if all(one is None for one in table.ids):
                continue
            wrong = next((n for n, one in enumerate(table.ids) if one != n), None)
            yield say(
                wrong is None,
                message,
                table,
                "ids",
                observed=f"{table.ids[wrong or 0]} at place {wrong}",
                expected=f"{wrong}",
            )


@rule("AMT-030", "MUST", source=f"{P2P_NETWORK}: N7, N9, P2; {FLEX_NETWORK}", when_stated=True)
def columns_have_their_unit(trace: Trace) -> Iterator[Outcome]:
    """Traded and allocated energy is declared in KWH, capacity in KW."""
    for message, amounts in stated(trace):
        for table in amounts.tables:
            for names, right in ((KWH_COLUMNS, "KWH"), (KW_COLUMNS, "KW")):
                for name in names:
                    unit = table.units.get(name)
                    if unit is not None:
                        yield say(
                            unit.upper() == right,
                            message,
                            table,
                            "units",
                            observed=f"{name} in {unit}",
                            expected=right,
                        )


# -- what we infer ----------------------------------------------------------------------


@rule("AMT-031", "SHOULD", source=f"{DEG}, EnergyTradeOffer v2.0 (AVAILABLE_QTY)", when_stated=True)
def no_more_is_requested_than_available(trace: Trace) -> Iterator[Outcome]:
    """No more energy is requested of an interval than is available, nor more allocated."""
    for message, amounts in stated(trace):
        for one in amounts.commitments:
            if one.table is None:
                continue
            names = ("AVAILABLE_QTY", "REQUESTED_QTY", "FINAL_ALLOC")
            for number, row in enumerate(zip(*map(one.table.column, names), strict=True)):
                known = [value for value in row if value is not None]
                if len(known) > 1:
                    yield say(
                        known == sorted(known, reverse=True),
                        message,
                        one.table,
                        "ids",
                        observed=f"{', '.join(map(str, known))} kWh in interval {number}",
                        expected="available, requested and allocated energy, none above the last",
                    )


@rule("AMT-032", "SHOULD", source=f"{FLEX_PAC}; {BLOCKS}, OfferCurve", when_stated=True)
def supply_rises_with_the_price(trace: Trace) -> Iterator[Outcome]:
    """A stepped offer gives no less capacity at a higher price."""
    for message, amounts in stated_by_others(trace):
        for one in amounts.commitments:
            for number, row in enumerate(one.table.rows if one.table else ()):
                prices, powers = row.get("OFFER_PRICE", ()), row.get("CAPACITY_OFFERED", ())
                if len(prices) != len(powers) or len(powers) <= 1:
                    continue
                steps = [power for _, power in sorted(zip(prices, powers, strict=True))]
                yield say(
                    steps == sorted(steps),
                    message,
                    one.table or one,
                    "ids",
                    observed=f"{', '.join(map(str, steps[:9]))} kW in interval {number}",
                    expected="capacity that does not fall as the price rises",
                )
