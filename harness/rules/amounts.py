"""AMT: the arithmetic of what messages state, in every energy use case.

Belongs here: sums, products and limits of prices, payments, deliveries and cleared markets
that one message states and breaks itself. Does not belong here: interval tables and what
is settled by them (interval_tables); the pay-as-clear market that we play, whose clearing
and settlement are recomputed from its whole story (market, locking, money).

Nothing here is compulsory to state, so every rule is one of those that apply where a
message states what they judge. Numbers are exact; an amount of money may be off by what
rounding explains, which each rule says.
"""

from __future__ import annotations

import re
from fractions import Fraction
from typing import TYPE_CHECKING

from gridwitness.dues import instant, minor_unit, plain, total_of
from gridwitness.reference_impl.curves import OfferError
from gridwitness.rules import rule
from gridwitness.statements import say, stated, stated_by_others

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from decimal import Decimal

    from gridwitness.rules import Outcome
    from gridwitness.trace import Message, Trace
    from gridwitness.views import OfferCurve, PowerMarket, View

RC = "Beckn 2.0.0 rc, schema/core/v2/attributes.yaml"
LTS = "Beckn 2.0.0 LTS, api/v2.0.0/beckn.yaml"
DEG = "beckn/DEG"
BLOCKS = f"{DEG}, building blocks"
DELIVERY = f"{DEG}, EnergyTradeDelivery v0.2"
VALIDATION = f"{DEG}, EnergyContractP2PTrade, VALIDATION_RULES"

UNIT_KINDS = ("UNIT", "BASE_PRICE")
QUOTING = ("select", "on_select", "init", "on_init", "confirm", "on_confirm")
CANCELLING = ("cancel", "on_cancel")
"""After a cancellation part of an order may be charged, never more than the whole."""
PERCENT = re.compile(r"(\d{1,3}(?:\.\d{1,4})?) ?%")
MOST_TEXT = 300
"""How much of a component's text is searched for a percentage."""
WATT_KW = Fraction(1, 1000)
METRIC_UNITS = {
    "POWER": frozenset({"W", "WTT", "KW", "KWT", "MW", "MAW"}),
    "ENERGY": frozenset({"WH", "WHR", "KWH", "MWH"}),
}


# -- prices and payments ----------------------------------------------------------------


@rule("AMT-001", "MUST", source=f"{RC}: PriceSpecification", when_stated=True)
def parts_sum_to_the_price(trace: Trace) -> Iterator[Outcome]:
    """The components of a price sum to its value, within half a minor unit."""
    for message, amounts in stated(trace):
        for quote in amounts.quotes:
            if quote.parts:
                total = total_of(part.amount for part in quote.parts)
                yield say(
                    abs(total - Fraction(quote.value)) <= minor_unit(message, quote.currency) / 2,
                    message,
                    quote,
                    "value",
                    observed=f"{quote.value}, with components that sum to {plain(total)}",
                    expected=plain(total),
                )


@rule("AMT-002", "MUST", source=f"{RC}: OrderItem, PriceSpecification (UNIT)", when_stated=True)
def unit_part_is_quantity_times_price(trace: Trace) -> Iterator[Outcome]:
    """The UNIT part of an order's price is quantity times price, to less than a minor unit.

    Less than a whole one: an amount may be its share of a total that was rounded as one.
    A cancelled order is charged at most the whole; a delivered one by what was delivered.
    """
    for message, amounts in stated(trace):
        for quote in amounts.quotes:
            units = [part.amount for part in quote.parts if part.kind in UNIT_KINDS]
            if units and quote.lines and not quote.delivered:
                charged, due = total_of(units), total_of(line.amount for line in quote.lines)
                off = charged - due
                if message.action in CANCELLING:
                    off = max(off, Fraction())
                yield say(
                    abs(off) < minor_unit(message, quote.currency),
                    message,
                    quote,
                    "value",
                    observed=f"{plain(charged)} for the energy",
                    expected=f"{plain(due)}, quantity times price",
                )


@rule("AMT-003", "MUST", source=f"{RC}: Payment; {LTS}: Settlement", when_stated=True)
def payment_is_what_is_due(trace: Trace) -> Iterator[Outcome]:
    """A payment is of the amount that the same message says is due, in its currency."""
    for message, amounts in stated(trace):
        for payment in amounts.payments:
            same = payment.due_currency in (None, payment.currency) or payment.currency is None
            half = minor_unit(message, payment.due_currency) / 2
            yield say(
                same and abs(Fraction(payment.amount) - Fraction(payment.due)) <= half,
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
    for message, amounts in stated(trace):
        for total in amounts.totals:
            right = total_of(total.summands)
            yield say(
                abs(Fraction(total.value) - right) <= minor_unit(message, total.currency) / 2,
                message,
                total,
                observed=f"{total.what} {total.value}",
                expected=f"{plain(right)}, the sum of {len(total.summands)} amounts",
            )


# -- energy that was delivered ----------------------------------------------------------


@rule("AMT-005", "MUST", source=f"{DELIVERY}: deliveredQuantity, meterReadings", when_stated=True)
def delivered_is_the_sum_of_flows(trace: Trace) -> Iterator[Outcome]:
    """The delivered quantity is the sum of the energy that its readings account for."""
    for message, amounts in stated(trace):
        for one in amounts.deliveries:
            flows = [flow.energy_kwh for flow in one.flows if flow.energy_kwh is not None]
            if one.delivered_kwh is None or not flows or len(flows) != len(one.flows):
                continue
            total = total_of(flows)
            yield say(
                Fraction(one.delivered_kwh) == total,
                message,
                one,
                "delivered_kwh",
                observed=f"{one.delivered_kwh} kWh",
                expected=f"{plain(total)} kWh, the sum of its {len(flows)} readings",
            )


@rule("AMT-006", "MUST", source=f"{DELIVERY}: energyFlow between readings", when_stated=True)
def meters_move_by_the_flow(trace: Trace) -> Iterator[Outcome]:
    """Between two readings the source meter moves by the energy that flowed."""
    for message, amounts in stated(trace):
        for one in amounts.deliveries:
            for before, after in zip(one.flows, one.flows[1:], strict=False):
                if before.source_kwh is None or after.source_kwh is None:
                    continue
                if after.energy_kwh is None:
                    continue
                moved = Fraction(after.source_kwh) - Fraction(before.source_kwh)
                yield say(
                    abs(moved) == abs(Fraction(after.energy_kwh)),
                    message,
                    after,
                    observed=f"a flow of {after.energy_kwh} kWh",
                    expected=f"{plain(moved)} kWh, by which the source meter moved",
                )


# -- markets that others clear ----------------------------------------------------------


@rule("AMT-007", "MUST", source=f"{VALIDATION}: cleared powers", when_stated=True)
def listed_powers_sum_to_zero(trace: Trace) -> Iterator[Outcome]:
    """The cleared powers of all parties, and the setpoints of an aggregation, sum to zero."""
    for message, amounts in stated_by_others(trace):
        market, result = amounts.market, amounts.aggregation
        if market is not None and market.whole:
            yield _balanced(message, market, "", market.powers_kw.values())
        if result is not None and len(result.setpoints_kw) > 1:
            yield _balanced(message, result, "setpoints_kw", result.setpoints_kw)


def _balanced(message: Message, view: View, name: str, powers_kw: Iterable[Decimal]) -> Outcome:
    powers = list(powers_kw)
    total = total_of(powers)
    observed = f"{plain(total)} kW net over {len(powers)} parties"
    return say(not total, message, view, name, observed=observed, expected="0 kW")


@rule("AMT-008", "MUST", source=f"{VALIDATION}: within the own curve", when_stated=True)
def cleared_power_lies_on_the_own_curve(trace: Trace) -> Iterator[Outcome]:
    """A cleared power is one that the party's own curve offers at the price, to a watt.

    A price is told rounded, to a ten-thousandth or more finely; and where one party's
    approved maximum is stated, it may be less than the curve offers.
    """
    for message, amounts in stated_by_others(trace):
        market = amounts.market
        for party, curve in market.curves.items() if market else ():
            power = market.powers_kw.get(party) if market else None
            offered = _offered(curve, market) if market else None
            if market is None or power is None or offered is None:
                continue
            low_kw, high_kw = offered
            more_kw = high_kw if power > 0 else -low_kw
            alone = len(market.curves) == 1
            limited = alone and abs(power) == market.approved_kw and abs(power) <= more_kw
            yield say(
                low_kw - WATT_KW <= power <= high_kw + WATT_KW or limited,
                message,
                market,
                party,
                observed=f"{power} kW for {party} at {market.price_per_kwh}",
                expected=f"{plain(low_kw)} to {plain(high_kw)} kW",
            )


def _offered(curve: OfferCurve, market: PowerMarket) -> tuple[Fraction, Fraction] | None:
    """Give the least and the most that a curve offers at a price, as far as it is told."""
    if market.price_per_kwh is None:
        return None
    price, finest = Fraction(market.price_per_kwh), Fraction(1, 10_000)
    exponent = market.price_per_kwh.as_tuple().exponent
    step = Fraction(10) ** exponent if isinstance(exponent, int) else finest
    half = min(step, finest) / 2
    try:
        whole = curve.curve()
        low_kw = whole.powers_at(price - half).low_kw
        high_kw = whole.powers_at(price + half).high_kw
    except OfferError:
        return None
    return Fraction(low_kw), Fraction(high_kw)


@rule("AMT-009", "MUST", source=f"{VALIDATION}: approvedMaxTradeKW", when_stated=True)
def cleared_power_is_approved(trace: Trace) -> Iterator[Outcome]:
    """A cleared power is within the maximum that the message says was approved.

    It is approved for a meter: judged where the contract is that of one party.
    """
    for message, amounts in stated_by_others(trace):
        market = amounts.market
        if market is None or market.approved_kw is None or len(market.curves) != 1:
            continue
        (party,) = market.curves
        power = market.powers_kw.get(party)
        if power is not None:
            yield say(
                abs(power) <= market.approved_kw,
                message,
                market,
                party,
                observed=f"{power} kW for {party}",
                expected=f"at most {market.approved_kw} kW",
            )


@rule(
    "AMT-010", "MUST", source=f"{BLOCKS}, EnergyCoordination (AggregationResult)", when_stated=True
)
def clearing_quantity_is_traded(trace: Trace) -> Iterator[Outcome]:
    """The clearing quantity is what the setpoints generate, and within both aggregate curves."""
    for message, amounts in stated_by_others(trace):
        result = amounts.aggregation
        if result is None or result.quantity_kw is None or not result.setpoints_kw:
            continue
        quantity, limits = result.quantity_kw, (result.supply_kw, result.demand_kw)
        generated = total_of(power for power in result.setpoints_kw if power > 0)
        most = min((limit for limit in limits if limit is not None), default=None)
        yield say(
            Fraction(quantity) == generated and (most is None or quantity <= most),
            message,
            result,
            "quantity_kw",
            observed=f"{quantity} kW",
            expected=f"{plain(generated)} kW, as the setpoints generate"
            + (f", and at most {most} kW" if most is not None else ""),
        )


@rule("AMT-011", "MUST", source=f"{DEG}, GridNode v1 (locationalPriceAdder)", when_stated=True)
def adder_makes_the_local_price(trace: Trace) -> Iterator[Outcome]:
    """A grid node's price is its base price plus load times adder, both as it states them."""
    for message, amounts in stated(trace):
        for one in amounts.adders:
            right = Fraction(one.base_price) + Fraction(one.load_percent) * Fraction(
                one.adder_per_percent
            )
            yield say(
                Fraction(one.price) == right,
                message,
                one,
                observed=f"{one.price}",
                expected=f"{plain(right)}",
            )


# -- what we infer ----------------------------------------------------------------------


@rule(
    "AMT-012", "SHOULD", source=f"{DEG}, EvChargingSession v1 (chargingTelemetry)", when_stated=True
)
def telemetry_has_its_unit(trace: Trace) -> Iterator[Outcome]:
    """Telemetry gives power in a unit of power and energy in a unit of energy."""
    for message, amounts in stated(trace):
        for metric in amounts.metrics:
            units = METRIC_UNITS.get(metric.name.upper())
            if units is not None:
                yield say(
                    metric.unit.upper() in units,
                    message,
                    metric,
                    observed=f"{metric.name} in {metric.unit}",
                    expected=f"one of {', '.join(sorted(units))}",
                )


@rule("AMT-013", "SHOULD", source=f"{RC}: PriceSpecification (description)", when_stated=True)
def percentages_fit_the_unit_part(trace: Trace) -> Iterator[Outcome]:
    """A component whose text names a percentage is that share of the UNIT part.

    Within half a minor unit.
    """
    for message, amounts in stated(trace):
        for quote in amounts.quotes:
            base = total_of(part.amount for part in quote.parts if part.kind in UNIT_KINDS)
            for part in quote.parts:
                named = PERCENT.search(part.text[:MOST_TEXT])
                if not base or named is None or part.kind in UNIT_KINDS:
                    continue
                right = base * Fraction(named[1]) / 100
                off = abs(abs(Fraction(part.amount)) - abs(right))
                yield say(
                    off <= minor_unit(message, quote.currency) / 2,
                    message,
                    part,
                    observed=f"{part.amount} for {named[1]} %",
                    expected=f"{plain(right)}, of {plain(base)}",
                )


@rule(
    "AMT-014", "SHOULD", source=f"{DELIVERY}, EnergyTradeOffer v0.2: timeWindow", when_stated=True
)
def readings_lie_in_the_delivery_window(trace: Trace) -> Iterator[Outcome]:
    """The readings of a delivery lie within the window in which it was to be delivered."""
    for message, amounts in stated(trace):
        for one in amounts.deliveries:
            opens, closes = instant(one.start), instant(one.end)
            if opens is None or closes is None:
                continue
            for flow in one.flows:
                start, end = instant(flow.start), instant(flow.end)
                if start is None or end is None:
                    continue
                yield say(
                    opens <= start and end <= closes,
                    message,
                    flow,
                    observed=f"a reading from {flow.start} to {flow.end}",
                    expected=f"between {one.start} and {one.end}",
                )


@rule(
    "AMT-015",
    "SHOULD",
    source=f"{DEG}, p2p-trading-interdiscom.rego: validity ends before delivery",
    when_stated=True,
)
def offers_end_before_delivery(trace: Trace) -> Iterator[Outcome]:
    """An offer is no longer valid when its delivery begins."""
    for message, amounts in stated(trace):
        for window in amounts.windows:
            until, begins = instant(window.valid_until), instant(window.delivered_from)
            if until is None or begins is None:
                continue
            yield say(
                until <= begins,
                message,
                window,
                observed=f"valid until {window.valid_until}",
                expected=f"an end at {window.delivered_from} or before",
            )


@rule("AMT-016", "SHOULD", source=f"{LTS}: Settlement (considerationId)", when_stated=True)
def settlements_refer_to_a_consideration(trace: Trace) -> Iterator[Outcome]:
    """A settlement refers to a consideration that its contract holds."""
    for message, amounts in stated(trace):
        for reference in amounts.references:
            yield say(
                reference.found,
                message,
                reference,
                observed=reference.consideration_id,
                expected="the id of a consideration in the same message",
            )


@rule("AMT-017", "SHOULD", source=f"{RC}: Order (orderValue), OrderItem", when_stated=True)
def bare_price_is_quantity_times_price(trace: Trace) -> Iterator[Outcome]:
    """A price that is quoted without components is quantity times price.

    To less than a minor unit. Whatever else is in it, a buyer cannot tell.
    """
    for message, amounts in stated(trace):
        for quote in amounts.quotes:
            if quote.parts or not quote.lines or message.action not in QUOTING:
                continue
            due = total_of(line.amount for line in quote.lines)
            yield say(
                abs(Fraction(quote.value) - due) < minor_unit(message, quote.currency),
                message,
                quote,
                "value",
                observed=f"{quote.value}, without components",
                expected=f"{plain(due)}, quantity times price",
            )


@rule("AMT-018", "SHOULD", source=f"{RC}: Payment (paidAt); {DEG}, PaymentAction", when_stated=True)
def payments_are_made_before_they_are_reported(trace: Trace) -> Iterator[Outcome]:
    """A payment that was made was made before the message that reports it was sent."""
    for message, amounts in stated(trace):
        sent = instant(message.reading.envelope.timestamp)
        for paid in amounts.paid:
            made = instant(paid.at_time)
            if sent is not None and made is not None:
                yield say(
                    made <= sent,
                    message,
                    paid,
                    observed=f"paid at {paid.at_time}",
                    expected=f"at {message.reading.envelope.timestamp} or before",
                )
