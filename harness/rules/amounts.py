"""AMT: the arithmetic of what messages state, in every energy use case.

Belongs here: sums, products, limits and references that one message states and breaks
itself. Does not belong here: the pay-as-clear market that we play, whose clearing and
settlement are recomputed from its whole story (market, locking, money).

Nothing here is compulsory to state, so every rule is one of those that apply where a
message states what they judge. Numbers are exact; an amount of money may be off by what
rounding explains, which each rule says.
"""

from __future__ import annotations

import re
from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from gridwitness.reference_impl.curves import OfferError
from gridwitness.rules import outcome, rule
from gridwitness.story import AGENT

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from gridwitness.reference_impl.curves import Powers
    from gridwitness.rules import Outcome
    from gridwitness.trace import Message, Trace
    from gridwitness.views import (
        Amounts,
        CommittedTable,
        OfferCurve,
        Performance,
        PowerMarket,
        Quote,
        Table,
        View,
    )

RC = "Beckn 2.0.0 rc, schema/core/v2/attributes.yaml"
LTS = "Beckn 2.0.0 LTS, api/v2.0.0/beckn.yaml"
DEG = "beckn/DEG"
BLOCKS = f"{DEG}, building blocks"
DELIVERY = f"{DEG}, EnergyTradeDelivery v0.2"
VALIDATION = f"{DEG}, EnergyContractP2PTrade, VALIDATION_RULES"
P2P_NETWORK = f"{DEG}, p2p-trading-ies-wave2-networkpolicy.rego"
P2P_CONTRACT = f"{DEG}, p2p-trading-ies-wave2-contractpolicy.rego"
FLEX_NETWORK = f"{DEG}, demand-flex-networkpolicy.rego"
FLEX = f"{DEG}, demand-flex-contractpolicy.rego"
FLEX_PAC = f"{DEG}, demand-flex-pac-contractpolicy.rego"

_DECIMALS = {"JPY": 0, "KRW": 0, "VND": 0, "CLP": 0, "KWD": 3, "BHD": 3, "OMR": 3, "JOD": 3}
"""The decimals of currencies that have not two, by ISO 4217."""
UNIT_KINDS = ("UNIT", "BASE_PRICE")
QUOTING = ("select", "on_select", "init", "on_init", "confirm", "on_confirm")
CANCELLING = ("cancel", "on_cancel")
"""After a cancellation part of an order may be charged, never more than the whole."""
PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,4})?) ?%")
MOST_TEXT = 300
"""How much of a component's text is searched for a percentage."""

KWH_COLUMNS = (
    "AVAILABLE_QTY",
    "REQUESTED_QTY",
    "BUYER_DISCOM_ALLOC",
    "SELLER_DISCOM_ALLOC",
    "FINAL_ALLOC",
)
KW_COLUMNS = ("CAPACITY_REQUESTED", "CAPACITY_OFFERED", "CAPACITY_CLEARED")
METRIC_UNITS = {
    "POWER": frozenset({"W", "WTT", "KW", "KWT", "MW", "MAW"}),
    "ENERGY": frozenset({"WH", "WHR", "KWH", "MWH"}),
}


# -- prices and payments ----------------------------------------------------------------


@rule("AMT-001", "MUST", source=f"{RC}: PriceSpecification", when_stated=True)
def parts_sum_to_the_price(trace: Trace) -> Iterator[Outcome]:
    """The components of a price sum to its value, within half a minor unit."""
    for message, amounts in _stated(trace):
        for quote in amounts.quotes:
            if quote.parts:
                total = _sum(part.amount for part in quote.parts)
                yield _say(
                    abs(total - _exact(quote.value)) <= _unit(message, quote.currency) / 2,
                    message,
                    quote,
                    "value",
                    observed=f"{quote.value}, with components that sum to {_plain(total)}",
                    expected=_plain(total),
                )


@rule("AMT-002", "MUST", source=f"{RC}: OrderItem, PriceSpecification (UNIT)", when_stated=True)
def unit_part_is_quantity_times_price(trace: Trace) -> Iterator[Outcome]:
    """The UNIT part of an order's price is quantity times price, to less than a minor unit.

    Less than a whole one: an amount may be its share of a total that was rounded as one.
    A cancelled order is charged at most the whole; a delivered one by what was delivered.
    """
    for message, amounts in _stated(trace):
        for quote in amounts.quotes:
            judged = _unit_part(quote, message.action)
            if judged is None:
                continue
            stated, due = judged, _sum(line.amount for line in quote.lines)
            off = stated - due
            if message.action in CANCELLING:
                off = max(off, Fraction())
            yield _say(
                abs(off) < _unit(message, quote.currency),
                message,
                quote,
                "value",
                observed=f"{_plain(stated)} for the energy",
                expected=f"{_plain(due)}, quantity times price",
            )


def _unit_part(quote: Quote, action: str) -> Fraction | None:
    """Give what a quote charges for its lines; None where nobody can tell."""
    if not quote.lines or quote.delivered:
        return None
    units = [part.amount for part in quote.parts if part.kind in UNIT_KINDS]
    if units:
        return _sum(units)
    # A bare value is the price of the lines only as long as nothing else can be in it.
    bare = not quote.parts and action in QUOTING
    return _exact(quote.value) if bare else None


@rule("AMT-003", "MUST", source=f"{RC}: Payment; {LTS}: Settlement", when_stated=True)
def payment_is_what_is_due(trace: Trace) -> Iterator[Outcome]:
    """A payment is of the amount that the same message says is due, in its currency."""
    for message, amounts in _stated(trace):
        for payment in amounts.payments:
            same = payment.due_currency in (None, payment.currency) or payment.currency is None
            half = _unit(message, payment.due_currency) / 2
            yield _say(
                same and abs(_exact(payment.amount) - _exact(payment.due)) <= half,
                message,
                payment,
                observed=f"{payment.amount} {payment.currency or ''}",
                expected=f"{payment.due} {payment.due_currency or ''}",
            )


@rule(
    "AMT-004",
    "MUST",
    source=f"{DEG}, DemandFlexibility v1; {BLOCKS}, EnergyCoordination (Settlement)",
    when_stated=True,
)
def totals_are_sums(trace: Trace) -> Iterator[Outcome]:
    """A total of incentives, payables or shares is the sum of them, within half a minor unit."""
    for message, amounts in _stated(trace):
        for total in amounts.totals:
            right = _sum(total.summands)
            yield _say(
                abs(_exact(total.value) - right) <= _unit(message, total.currency) / 2,
                message,
                total,
                observed=f"{total.what} {total.value}",
                expected=f"{_plain(right)}, the sum of {len(total.summands)} amounts",
            )


@rule("AMT-005", "MUST", source=f"{P2P_CONTRACT}: settlement of a trade", when_stated=True)
def consideration_is_a_value_of_the_trade(trace: Trace) -> Iterator[Outcome]:
    """The amount of a consideration is the value of the trade or a total that is declared.

    The value is that of the interval table, within half a minor unit: allocated energy, else
    cleared, else requested, times the price of each interval.
    """
    for message, amounts in _stated(trace):
        values = [value for one in amounts.commitments if (value := _trade_value(one)) is not None]
        if not values or len(values) != len(amounts.commitments):
            continue
        known = [sum(values, Fraction())]
        # A declared payable is judged against the consideration, not the other way about.
        payable = {_exact(payment.amount) for payment in amounts.payments}
        declared = {_exact(total) for total in amounts.declared_totals} - payable
        for one in amounts.considerations:
            half = _unit(message, one.currency) / 2
            charged = _exact(one.amount)
            quoted = any(quote.parts and _exact(quote.value) == charged for quote in amounts.quotes)
            yield _say(
                quoted or any(abs(charged - value) <= half for value in (*known, *declared)),
                message,
                one,
                "amount",
                observed=f"{one.amount} {one.currency or ''}",
                expected=f"{_plain(known[0])}, the value of the trade, or a declared total",
            )


# -- energy that was delivered ----------------------------------------------------------


@rule(
    "AMT-006",
    "MUST",
    source=f"{LTS}: Commitment; {DEG}, EnergyTradeOffer v2.0 (REQUESTED_QTY)",
    when_stated=True,
)
def quantity_is_the_sum_of_requests(trace: Trace) -> Iterator[Outcome]:
    """The committed quantity of energy is the sum of what is requested in each interval."""
    for message, amounts in _stated(trace):
        for one in amounts.commitments:
            requested = [x for x in (one.table.column("REQUESTED_QTY") if one.table else ()) if x]
            if one.quantity is None or (one.unit or "").upper() != "KWH" or not requested:
                continue
            total = _sum(requested)
            yield _say(
                _exact(one.quantity) == total,
                message,
                one,
                "quantity",
                observed=f"{one.quantity} kWh",
                expected=f"{_plain(total)} kWh, as requested",
            )


@rule("AMT-007", "MUST", source=f"{DELIVERY}: deliveredQuantity, meterReadings", when_stated=True)
def delivered_is_the_sum_of_flows(trace: Trace) -> Iterator[Outcome]:
    """The delivered quantity is the sum of the energy that its readings account for."""
    for message, amounts in _stated(trace):
        for one in amounts.deliveries:
            flows = [flow.energy_kwh for flow in one.flows if flow.energy_kwh is not None]
            if one.delivered_kwh is None or not flows or len(flows) != len(one.flows):
                continue
            total = _sum(flows)
            yield _say(
                _exact(one.delivered_kwh) == total,
                message,
                one,
                "delivered_kwh",
                observed=f"{one.delivered_kwh} kWh",
                expected=f"{_plain(total)} kWh, the sum of its {len(flows)} readings",
            )


@rule("AMT-008", "MUST", source=f"{DELIVERY}: energyFlow between readings", when_stated=True)
def meters_move_by_the_flow(trace: Trace) -> Iterator[Outcome]:
    """Between two readings the source meter moves by the energy that flowed."""
    for message, amounts in _stated(trace):
        for one in amounts.deliveries:
            for before, after in zip(one.flows, one.flows[1:], strict=False):
                if before.source_kwh is None or after.source_kwh is None:
                    continue
                if after.energy_kwh is None:
                    continue
                moved = _exact(after.source_kwh) - _exact(before.source_kwh)
                yield _say(
                    abs(moved) == abs(_exact(after.energy_kwh)),
                    message,
                    after,
                    observed=f"a flow of {after.energy_kwh} kWh",
                    expected=f"{_plain(moved)} kWh, by which the source meter moved",
                )


# -- markets that others clear ----------------------------------------------------------


@rule("AMT-009", "MUST", source=f"{VALIDATION}: cleared powers", when_stated=True)
def listed_powers_sum_to_zero(trace: Trace) -> Iterator[Outcome]:
    """The cleared powers of all parties, and the setpoints of an aggregation, sum to zero."""
    for message, amounts in _others(trace):
        for market in amounts.markets:
            if market.whole:
                yield _balanced(message, market, "", market.powers_kw.values())
        for one in amounts.aggregations:
            if len(one.setpoints_kw) > 1:
                yield _balanced(message, one, "setpoints_kw", one.setpoints_kw)


def _balanced(message: Message, view: View, name: str, powers_kw: Iterable[Decimal]) -> Outcome:
    powers = list(powers_kw)
    total = _sum(powers)
    observed = f"{_plain(total)} kW net over {len(powers)} parties"
    return _say(not total, message, view, name, observed=observed, expected="0 kW")


@rule("AMT-010", "MUST", source=f"{VALIDATION}: within the own curve", when_stated=True)
def cleared_power_lies_on_the_own_curve(trace: Trace) -> Iterator[Outcome]:
    """A cleared power is one that the party's own curve offers at the price, to a watt."""
    for message, amounts in _others(trace):
        for market in amounts.markets:
            for party, curve in market.curves.items():
                power, offered = market.powers_kw.get(party), _offered(curve, market)
                if power is None or offered is None:
                    continue
                watt = Fraction(1, 1000)
                yield _say(
                    offered.low_kw - watt <= power <= offered.high_kw + watt,
                    message,
                    market,
                    party,
                    observed=f"{power} kW for {party} at {market.price_per_kwh}",
                    expected=f"{_plain(offered.low_kw)} to {_plain(offered.high_kw)} kW",
                )


def _offered(curve: OfferCurve, market: PowerMarket) -> Powers | None:
    if market.price_per_kwh is None:
        return None
    try:
        return curve.curve().powers_at(_exact(market.price_per_kwh))
    except OfferError:
        return None


@rule("AMT-011", "MUST", source=f"{VALIDATION}: approvedMaxTradeKW", when_stated=True)
def cleared_power_is_approved(trace: Trace) -> Iterator[Outcome]:
    """A cleared power is within the maximum that the message says was approved."""
    for message, amounts in _others(trace):
        for market in amounts.markets:
            if market.approved_kw is None:
                continue
            for party in market.curves:  # the approval is that of the contract's own prosumer
                power = market.powers_kw.get(party)
                if power is None:
                    continue
                yield _say(
                    abs(power) <= market.approved_kw,
                    message,
                    market,
                    party,
                    observed=f"{power} kW for {party}",
                    expected=f"at most {market.approved_kw} kW",
                )


@rule(
    "AMT-012", "MUST", source=f"{BLOCKS}, EnergyCoordination (AggregationResult)", when_stated=True
)
def clearing_quantity_is_traded(trace: Trace) -> Iterator[Outcome]:
    """The clearing quantity is what the setpoints generate, and within both aggregate curves."""
    for message, amounts in _others(trace):
        for one in amounts.aggregations:
            quantity = one.quantity_kw
            if quantity is None or not one.setpoints_kw:
                continue
            generated = _sum(power for power in one.setpoints_kw if power > 0)
            most = min((x for x in (one.supply_kw, one.demand_kw) if x is not None), default=None)
            yield _say(
                _exact(quantity) == generated and (most is None or quantity <= most),
                message,
                one,
                "quantity_kw",
                observed=f"{quantity} kW",
                expected=f"{_plain(generated)} kW, as the setpoints generate"
                + (f", and at most {most} kW" if most is not None else ""),
            )


# -- revenue flows and settlements ------------------------------------------------------


@rule("AMT-013", "MUST", source=f"{DEG}, RevenueFlow v2.0: net zero", when_stated=True)
def revenue_flows_sum_to_zero(trace: Trace) -> Iterator[Outcome]:
    """What the roles of a contract receive sums to zero in each currency.

    To less than half a minor unit, as the contract policy of peer-to-peer trading has it.
    """
    for message, amounts in _others(trace):
        for one in amounts.flows:
            totals: dict[str, Fraction] = defaultdict(Fraction)
            for entry in one.entries:
                totals[entry.currency] += _exact(entry.value)
            off = {
                currency: total
                for currency, total in totals.items()
                if abs(total) >= _unit(message, currency) / 2
            }
            yield _say(
                not off,
                message,
                one,
                observed=", ".join(f"{_plain(total)} {name}" for name, total in off.items()),
                expected="0",
            )


@rule("AMT-014", "MUST", source=f"{P2P_NETWORK}: P3, P4", when_stated=True)
def allocation_is_within_both(trace: Trace) -> Iterator[Outcome]:
    """A final allocation is of requested energy, and at most what both utilities allocate."""
    for message, amounts in _stated(trace):
        for one in amounts.commitments:
            if one.table is None:
                continue
            names = ("FINAL_ALLOC", "BUYER_DISCOM_ALLOC", "SELLER_DISCOM_ALLOC", "REQUESTED_QTY")
            columns = zip(*(one.table.column(name) for name in names), strict=True)
            for number, (final, buyer, seller, requested) in enumerate(columns):
                if final is None:
                    continue
                most = min((x for x in (buyer, seller) if x is not None), default=None)
                yield _say(
                    (most is None or final <= most) and requested is not None,
                    message,
                    one.table,
                    "ids",
                    observed=f"{final} kWh in interval {number}",
                    expected="no energy, for none was requested"
                    if requested is None
                    else f"at most {most} kWh",
                )


@rule("AMT-015", "MUST", source=f"{P2P_CONTRACT}: revenue flows", when_stated=True)
def trade_is_settled_at_its_value(trace: Trace) -> Iterator[Outcome]:
    """The seller's side of a trade receives allocated energy times price, rounded once.

    Both platforms may pay their utility: what seller platform and seller utility receive
    together is the value of the trade, within half a minor unit.
    """
    for message, amounts in _stated(trace):
        if len(amounts.commitments) != 1 or not amounts.flows:
            continue
        table = amounts.commitments[0].table
        if table is None or not _complete(table.column("FINAL_ALLOC")):
            continue
        value = _trade_value(amounts.commitments[0])
        for one in amounts.flows:
            received = one.value("sellerPlatform", "sellerDiscom")
            if value is None or received is None:
                continue
            half = _unit(message, one.entries[0].currency) / 2
            yield _say(
                abs(_exact(received) - value) <= half,
                message,
                one,
                observed=f"{received} to the seller's side",
                expected=f"{_plain(value)}, allocated energy times price",
            )


@rule("AMT-016", "MUST", source=f"{FLEX}, {FLEX_PAC}: revenue flows", when_stated=True)
def flexibility_is_settled_by_the_formula(trace: Trace) -> Iterator[Outcome]:
    """A seller of flexibility receives what the settlement formula of its contract gives.

    The formula runs over reductions that are clamped meter by meter; the result may be off
    by half a minor unit.
    """
    for message, amounts in _stated(trace):
        for one in amounts.flows:
            received, due = one.value("seller"), _flexibility(amounts)
            if received is None or due is None:
                continue
            yield _say(
                abs(_exact(received) - due) <= _unit(message, one.entries[0].currency) / 2,
                message,
                one,
                observed=f"{received} to the seller",
                expected=_plain(due),
            )


@rule("AMT-017", "MUST", source=f"{FLEX}: V8 (S2), {FLEX_PAC}: P-4", when_stated=True)
def nothing_is_paid_before_every_meter_is_read(trace: Trace) -> Iterator[Outcome]:
    """Flexibility is paid for when every meter was read in every interval."""
    for message, amounts in _stated(trace):
        measured = _settling(amounts)
        for one in amounts.flows:
            received = one.value("seller")
            if not received or not amounts.commitments or measured is None:
                continue
            need = amounts.commitments[0].need or amounts.commitments[0].table
            wanted = len(need.rows) if need else 0
            missing = sum(
                1
                for meter in measured.meters
                if len(meter.rows) < wanted or not _complete(meter.column("USAGE"))
            )
            yield _say(
                not missing,
                message,
                one,
                observed=f"{received} to the seller, with {missing} meters unread",
                expected=f"usage of every meter in {wanted} intervals",
            )


@rule("AMT-018", "MUST", source=f"{FLEX_PAC}: P-6, P-7", when_stated=True)
def clearing_keeps_the_offered_steps(trace: Trace) -> Iterator[Outcome]:
    """What is cleared of a stepped offer was offered, at no less than was asked for it."""
    for message, amounts in _others(trace):
        for one in amounts.commitments:
            for number, row in enumerate(one.table.rows if one.table else ()):
                prices, powers = row.get("OFFER_PRICE", ()), row.get("CAPACITY_OFFERED", ())
                cleared = next(iter(row.get("CAPACITY_CLEARED", ())), None)
                price = next(iter(row.get("CLEARING_PRICE", ())), None)
                if not prices or not powers or cleared is None or price is None:
                    continue
                asks = [ask for ask, power in zip(prices, powers, strict=False) if power >= cleared]
                yield _say(
                    len(prices) == len(powers) and bool(asks) and price >= min(asks),
                    message,
                    one.table or one,
                    "ids",
                    observed=f"{cleared} kW at {price} in interval {number}",
                    expected=f"at {min(asks)} or more" if asks else f"at most {max(powers)} kW",
                )


# -- interval tables --------------------------------------------------------------------


@rule("AMT-019", "MUST", source=f"{P2P_NETWORK}: N16; {FLEX_NETWORK}: [1]", when_stated=True)
def columns_are_declared(trace: Trace) -> Iterator[Outcome]:
    """Every payload type that an interval table uses is declared in it."""
    for message, amounts in _stated(trace):
        for table in amounts.tables:
            missing = sorted(table.used - table.units.keys())
            yield _say(
                not missing,
                message,
                table,
                "units",
                observed=f"{', '.join(missing)} used",
                expected=f"one of {', '.join(sorted(table.units)) or 'none'}",
            )


@rule("AMT-020", "MUST", source=f"{FLEX_NETWORK}: [4]", when_stated=True)
def intervals_are_numbered(trace: Trace) -> Iterator[Outcome]:
    """The intervals of a table are numbered 0, 1, 2 and so on, by which tables are joined."""
    for message, amounts in _stated(trace):
        for table in amounts.tables:
            if all(one is None for one in table.ids):
                continue
            wrong = next((n for n, one in enumerate(table.ids) if one != n), None)
            yield _say(
                wrong is None,
                message,
                table,
                "ids",
                observed=f"{table.ids[wrong or 0]} at place {wrong}",
                expected=f"{wrong}",
            )


@rule("AMT-021", "MUST", source=f"{P2P_NETWORK}: N7, N9, P2; {FLEX_NETWORK}", when_stated=True)
def columns_have_their_unit(trace: Trace) -> Iterator[Outcome]:
    """Traded and allocated energy is declared in KWH, capacity in KW."""
    for message, amounts in _stated(trace):
        for table in amounts.tables:
            for names, right in ((KWH_COLUMNS, "KWH"), (KW_COLUMNS, "KW")):
                for name in names:
                    unit = table.units.get(name)
                    if unit is not None:
                        yield _say(
                            unit.upper() == right,
                            message,
                            table,
                            "units",
                            observed=f"{name} in {unit}",
                            expected=right,
                        )


# -- what we infer ----------------------------------------------------------------------


@rule(
    "AMT-022", "SHOULD", source=f"{DEG}, EvChargingSession v1 (chargingTelemetry)", when_stated=True
)
def telemetry_has_its_unit(trace: Trace) -> Iterator[Outcome]:
    """Telemetry gives power in a unit of power and energy in a unit of energy."""
    for message, amounts in _stated(trace):
        for metric in amounts.metrics:
            units = METRIC_UNITS.get(metric.name.upper())
            if units is not None:
                yield _say(
                    metric.unit.upper() in units,
                    message,
                    metric,
                    observed=f"{metric.name} in {metric.unit}",
                    expected=f"one of {', '.join(sorted(units))}",
                )


@rule("AMT-023", "SHOULD", source=f"{RC}: PriceSpecification (description)", when_stated=True)
def percentages_fit_the_unit_part(trace: Trace) -> Iterator[Outcome]:
    """A component whose text names a percentage is that share of the UNIT part.

    Within half a minor unit.
    """
    for message, amounts in _stated(trace):
        for quote in amounts.quotes:
            base = _sum(part.amount for part in quote.parts if part.kind in UNIT_KINDS)
            for part in quote.parts:
                named = PERCENT.search(part.text[:MOST_TEXT])
                if not base or named is None or part.kind in UNIT_KINDS:
                    continue
                right = base * Fraction(named[1]) / 100
                off = abs(abs(_exact(part.amount)) - abs(right))
                yield _say(
                    off <= _unit(message, quote.currency) / 2,
                    message,
                    part,
                    observed=f"{part.amount} for {named[1]} %",
                    expected=f"{_plain(right)}, of {_plain(base)}",
                )


@rule(
    "AMT-024", "SHOULD", source=f"{DELIVERY}, EnergyTradeOffer v0.2: timeWindow", when_stated=True
)
def readings_lie_in_the_delivery_window(trace: Trace) -> Iterator[Outcome]:
    """The readings of a delivery lie within the window in which it was to be delivered."""
    for message, amounts in _stated(trace):
        for one in amounts.deliveries:
            opens, closes = _instant(one.start), _instant(one.end)
            if opens is None or closes is None:
                continue
            for flow in one.flows:
                start, end = _instant(flow.start), _instant(flow.end)
                if start is None or end is None:
                    continue
                yield _say(
                    opens <= start and end <= closes,
                    message,
                    flow,
                    observed=f"a reading from {flow.start} to {flow.end}",
                    expected=f"between {one.start} and {one.end}",
                )


@rule(
    "AMT-025",
    "SHOULD",
    source=f"{DEG}, p2p-trading-interdiscom.rego: validity ends before delivery",
    when_stated=True,
)
def offers_end_before_delivery(trace: Trace) -> Iterator[Outcome]:
    """An offer is no longer valid when its delivery begins."""
    for message, amounts in _stated(trace):
        for window in amounts.windows:
            until, begins = _instant(window.valid_until), _instant(window.delivered_from)
            if until is None or begins is None:
                continue
            yield _say(
                until <= begins,
                message,
                window,
                observed=f"valid until {window.valid_until}",
                expected=f"an end at {window.delivered_from} or before",
            )


@rule("AMT-026", "SHOULD", source=f"{LTS}: Settlement (considerationId)", when_stated=True)
def settlements_refer_to_a_consideration(trace: Trace) -> Iterator[Outcome]:
    """A settlement refers to a consideration that its contract holds."""
    for message, amounts in _stated(trace):
        for reference in amounts.references:
            yield _say(
                reference.found,
                message,
                reference,
                observed=reference.consideration_id,
                expected="the id of a consideration in the same message",
            )


@rule("AMT-027", "SHOULD", source=f"{DEG}, EnergyTradeOffer v2.0 (AVAILABLE_QTY)", when_stated=True)
def no_more_is_requested_than_available(trace: Trace) -> Iterator[Outcome]:
    """No more energy is requested of an interval than is available, nor more allocated."""
    for message, amounts in _stated(trace):
        for one in amounts.commitments:
            if one.table is None:
                continue
            names = ("AVAILABLE_QTY", "REQUESTED_QTY", "FINAL_ALLOC")
            for number, row in enumerate(zip(*map(one.table.column, names), strict=True)):
                known = [value for value in row if value is not None]
                if len(known) > 1:
                    yield _say(
                        known == sorted(known, reverse=True),
                        message,
                        one.table,
                        "ids",
                        observed=f"{', '.join(map(str, known))} kWh in interval {number}",
                        expected="available, requested and allocated energy, none above the last",
                    )


@rule("AMT-028", "SHOULD", source=f"{FLEX_PAC}; {BLOCKS}, OfferCurve", when_stated=True)
def supply_rises_with_the_price(trace: Trace) -> Iterator[Outcome]:
    """A stepped offer gives no less capacity at a higher price."""
    for message, amounts in _others(trace):
        for one in amounts.commitments:
            for number, row in enumerate(one.table.rows if one.table else ()):
                prices, powers = row.get("OFFER_PRICE", ()), row.get("CAPACITY_OFFERED", ())
                if len(prices) != len(powers) or len(powers) <= 1:
                    continue
                steps = [power for _, power in sorted(zip(prices, powers, strict=True))]
                yield _say(
                    steps == sorted(steps),
                    message,
                    one.table or one,
                    "ids",
                    observed=f"{', '.join(map(str, steps[:9]))} kW in interval {number}",
                    expected="capacity that does not fall as the price rises",
                )


# -- shared -----------------------------------------------------------------------------


def _stated(trace: Trace) -> Iterator[tuple[Message, Amounts]]:
    """Yield each message with what it states."""
    for message in trace.beckn:
        yield message, message.amounts


def _others(trace: Trace) -> Iterator[tuple[Message, Amounts]]:
    """Yield the messages of what is not our own market: that one has rules of its own."""
    if AGENT not in trace.scene.roles.values():
        yield from _stated(trace)


def _say(  # noqa: PLR0913 (what a finding says)
    kept: bool,  # noqa: FBT001 (reads as a sentence)
    message: Message,
    view: View,
    name: str = "",
    *,
    observed: str,
    expected: str,
) -> Outcome:
    return outcome(
        kept,
        by=message.sender,
        message=message,
        observed=observed,
        expected=expected,
        pointer=view.pointer(name),
    )


def _unit(message: Message, currency: str | None) -> Fraction:
    """Give the minor unit of a currency: as the message's charges state it, else by ISO 4217."""
    contract = message.reading.contract
    charges = contract.charges if contract else None
    decimals = charges.minor_unit if charges else None
    if decimals is None:
        decimals = _DECIMALS.get(currency or "", 2)
    return Fraction(1, 10**decimals)


def _trade_value(one: CommittedTable) -> Fraction | None:
    """Give what the energy of a commitment is worth at the price of each interval."""
    table = one.table
    if table is None:
        return None
    for energy, price in (
        ("FINAL_ALLOC", "PRICE_PER_KWH"),
        ("CAPACITY_CLEARED", "CLEARING_PRICE"),
        ("REQUESTED_QTY", "PRICE_PER_KWH"),
    ):
        amounts, prices = table.column(energy), table.column(price)
        if _complete(amounts) and _complete(prices):
            hours = Fraction(1) if energy not in KW_COLUMNS else table.duration_h
            if hours is None:
                return None
            pairs = zip(amounts, prices, strict=True)
            return hours * _sum(_exact(a or 0) * _exact(p or 0) for a, p in pairs)
    return None


def _settling(amounts: Amounts) -> Performance | None:
    """Give the one measurement that settles; None where there is none, or are several."""
    found = [one for one in amounts.performances if one.settles and one.meters]
    return found[0] if len(found) == 1 else None


def _flexibility(amounts: Amounts) -> Fraction | None:
    """Give what a seller of flexibility is due; None where the message holds not all inputs."""
    measured = _settling(amounts)
    if measured is None or len(amounts.commitments) != 1:
        return None
    one = amounts.commitments[0]
    if one.table is None or one.table.duration_h is None:
        return None
    clearing = one.table.column("CLEARING_PRICE"), one.table.column("CAPACITY_CLEARED")
    delivered = _reductions(measured.meters, len(one.table.rows))
    if delivered is None:
        return None
    due = Fraction()
    if all(map(_complete, clearing)):
        rate = _exact(one.penalty_rate_per_kwh or 0)
        for price, power, kw in zip(*clearing, delivered, strict=True):
            cleared = _exact(power or 0)
            due += _exact(price or 0) * min(kw, cleared) - rate * max(Fraction(), cleared - kw)
        return due * one.table.duration_h
    if one.need is None:
        return None
    offered = one.table.column("CAPACITY_OFFERED")
    prices, penalties = one.need.column("PRICE"), one.need.column("SHORTFALL_PENALTY")
    columns = (offered, prices, penalties)
    if not all(map(_complete, columns)) or len({len(column) for column in columns}) != 1:
        return None
    for power, price, penalty, kw in zip(*columns, delivered, strict=True):
        promised = _exact(power or 0)
        due += min(kw, promised) * _exact(price or 0)
        due -= max(Fraction(), promised - kw) * _exact(penalty or 0)
    return due * one.table.duration_h


def _reductions(meters: Iterable[Table], intervals: int) -> list[Fraction] | None:
    """Give the reduction in kW of each interval, clamped meter by meter; None if one is unread."""
    total = [Fraction()] * intervals
    for meter in meters:
        if len(meter.rows) != intervals:
            return None
        for number, row in enumerate(meter.rows):
            baseline, usage = row.get("BASELINE", ()), row.get("USAGE", ())
            if not baseline or not usage:
                return None
            less = _sum(baseline) / len(baseline) - _sum(usage) / len(usage)
            total[number] += max(Fraction(), less)
    return total


def _complete(column: tuple[Decimal | None, ...]) -> bool:
    return bool(column) and all(value is not None for value in column)


def _exact(number: Decimal | int) -> Fraction:
    return Fraction(number)


def _sum(numbers: Iterable[Decimal | Fraction]) -> Fraction:
    return sum((Fraction(number) for number in numbers), Fraction())


def _plain(number: Fraction) -> str:
    """Write a number as a reader expects it, with at most six decimals."""
    return f"{round(Decimal(number.numerator) / Decimal(number.denominator), 6).normalize():f}"


def _instant(text: str | None) -> datetime | None:
    """Read an instant with a zone; None where there is none."""
    try:
        instant = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return instant if instant.tzinfo else None
