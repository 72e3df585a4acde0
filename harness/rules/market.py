"""MKT: offer curves, approvals, and a clearing that is an equilibrium.

The conditions of a correct clearing are those of reference_impl.equilibrium; a
result is judged by them, never by equality with a result of our own.
"""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from typing import TYPE_CHECKING

from gridwitness.acks import ACK
from gridwitness.reference_impl.clearing import Quantum
from gridwitness.reference_impl.equilibrium import Market, Tolerance, violations
from gridwitness.rules import outcome, rule
from gridwitness.story import AGENT, AGENTS, MARKET, UTILITY, story
from gridwitness.told_market import told_markets
from gridwitness.trace import once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from gridwitness.reference_impl.equilibrium import Violation
    from gridwitness.rules import Outcome
    from gridwitness.story import Chapter, Said
    from gridwitness.told_market import ToldMarket
    from gridwitness.trace import Message, Trace
    from gridwitness.views import EnergyContract, Offer, OfferCurve

CLEARING = "reference_impl/README.md, Clearing"
DEG = "beckn/DEG, building blocks, market-based trading"


@rule(
    "MKT-001",
    "MUST",
    source="reference_impl/README.md, Offer curves; beckn/DEG, VALIDATION_RULES",
    judges=MARKET,
)
def curve_is_valid(trace: Trace) -> Iterator[Outcome]:
    """An offer curve has a currency, rising prices, powers that do not fall, and its bounds."""
    for message in trace.beckn:
        contract = message.reading.contract
        if contract is None or contract.curve is None or message.deliberate is not None:
            continue
        if contract.participant_id is None and contract.clearing_agent_id is None:
            continue  # the steps of another kind of market
        problems = list(_problems(contract.curve))
        yield outcome(
            not problems,
            by=message.sender,
            message=message,
            observed="; ".join(problems),
            expected="a curve on which more is paid for more power",
            pointer=contract.curve.pointer("points"),
        )


def _problems(curve: OfferCurve) -> Iterator[str]:
    for problem in curve.problems():
        yield f"{problem.code}: {problem.message}"


@rule(
    "MKT-002",
    "MUST",
    source=f"{CLEARING}, C0",
    judges=(AGENT,),
    on_refusal=True,
)
def invalid_curve_is_refused(trace: Trace) -> Iterator[Outcome]:
    """An offer whose curve is not valid is refused, at once or by a callback with an error."""
    for message in trace.of("init"):
        contract = message.reading.contract
        if contract is None or contract.curve is None:
            continue
        if trace.role(message.receiver) not in AGENTS:
            continue
        problems = list(_problems(contract.curve))
        if not problems:
            continue
        ack = message.ack
        callbacks = trace.callbacks_of(message)
        refused = ack is not None and (
            ack.status != ACK or any(callback.reading.error for callback in callbacks)
        )
        yield outcome(
            refused,
            by=message.receiver,
            message=callbacks[0] if callbacks else message,
            observed=f"accepted although {problems[0]}",
            expected="a NACK, or on_init with an error",
        )


@rule(
    "MKT-003",
    "MUST",
    source=f"{DEG}: on_init confirms the approved limit",
    judges=(AGENT,),
)
def approval_is_passed_on(trace: Trace) -> Iterator[Outcome]:
    """The limit and the charges that a participant is told are those that the utility gave."""
    for chapter in story(trace).values():
        granted = _last_grant(chapter)
        if granted is None:
            continue
        for said in (*chapter.agreed, *chapter.bound, *chapter.news, *chapter.settled):
            told = said.contract
            if told.approval is None and told.charges is None:
                continue
            changed = _changed(told, granted)
            yield outcome(
                not changed,
                by=said.message.sender,
                message=said.message,
                observed=f"{chapter.name} is told {changed}",
                expected="what the utility gave",
                pointer=told.approval.pointer() if told.approval else told.pointer(),
            )


def _last_grant(chapter: Chapter) -> EnergyContract | None:
    granted = [said.contract for said in chapter.approved if said.contract.approval]
    return granted[-1] if granted else None


def _changed(told: EnergyContract, granted: EnergyContract) -> str:
    """Tell what of a utility's approval and charges was told otherwise; nothing is empty."""
    pairs: list[tuple[str, object, object]] = []
    if told.approval is not None and granted.approval is not None:
        limits = told.approval.approved_max_trade_kw, granted.approval.approved_max_trade_kw
        pairs.append(("approved max trade (kW)", *limits))
    if told.charges is not None and granted.charges is not None:
        pairs += [
            (name.replace("_", " "), getattr(told.charges, name), value)
            for name, value in granted.charges.__dict__.items()
            if name not in ("at", "fee_per_kwh") and value is not None
        ]
    return ", ".join(f"{name} {a} for {b}" for name, a, b in pairs if a != b)


@rule(
    "MKT-004",
    "MUST",
    source=f"{CLEARING}, C3; beckn/DEG, VALIDATION_RULES (approvedMaxTradeKW)",
    judges=(AGENT,),
)
def approval_is_respected(trace: Trace) -> Iterator[Outcome]:
    """Nobody is cleared beyond the power that the utility approved."""
    yield from judged(trace, ("V_EXCEEDS_APPROVED_LIMIT",))


@rule(
    "MKT-005",
    "MUST",
    source=f"{CLEARING}, C2; beckn/DEG, VALIDATION_RULES (netZero)",
    judges=(AGENT,),
)
def market_is_balanced(trace: Trace) -> Iterator[Outcome]:
    """The cleared powers sum to zero."""
    yield from judged(trace, ("V_NOT_BALANCED", "V_MISSING_PARTICIPANT", "V_NOT_FINITE"))


@rule("MKT-006", "MUST", source=f"{CLEARING}, C1, and Tolerance", judges=(AGENT,))
def cleared_power_is_on_the_curve(trace: Trace) -> Iterator[Outcome]:
    """Everyone is cleared at a power that their own curve offers at the clearing price."""
    yield from judged(trace, _ON_CURVE)


@rule("MKT-007", "MUST", source=f"{CLEARING}: one price for everyone", judges=(AGENT,))
def price_is_one(trace: Trace) -> Iterator[Outcome]:
    """Everyone is told the same clearing price."""
    first: dict[str | None, Decimal | None] = {}
    for said in (chapter.bound[-1] for chapter in story(trace).values() if chapter.bound):
        clearing = said.contract.clearing
        if clearing is None:
            continue
        price = first.setdefault(said.message.sender, clearing.clearing_price_per_kwh)
        yield outcome(
            clearing.clearing_price_per_kwh == price,
            by=said.message.sender,
            message=said.message,
            observed=f"{clearing.clearing_price_per_kwh} per kWh",
            expected=f"{price} per kWh, as the others were told",
            pointer=clearing.pointer("clearing_price_per_kwh"),
        )


@rule(
    "MKT-008",
    "MUST",
    source=f"{DEG}: on_discover",
    judges=(AGENT,),
)
def offer_names_its_pricing(trace: Trace) -> Iterator[Outcome]:
    """A clearing agent offers to pay as clear, and names itself and the interval.

    One of the pages that answer a search does.
    """
    pages: dict[tuple[str | None, str | None], list[Message]] = {}
    for message in trace.of("on_discover"):
        if trace.role(message.sender) not in AGENTS:
            continue
        key = message.receiver, message.reading.envelope.transaction_id
        pages.setdefault(key, []).append(message)
    for answers in pages.values():
        message = answers[-1]
        offers = [offer for page in answers for offer in page.reading.offers if not offer.deal]
        right = any(
            offer.pricing_model == "PAY_AS_CLEAR" and offer.clearing_agent_id and offer.interval
            for offer in offers
        )
        if offers:
            seen = [f"{offer.pricing_model} of {offer.clearing_agent_id}" for offer in offers]
            yield outcome(
                right,
                by=message.sender,
                message=message,
                observed=", ".join(seen),
                expected="PAY_AS_CLEAR, the agent's id and the interval",
                pointer=offers[0].pointer("pricing_model"),
            )


@rule(
    "MKT-009",
    "MUST",
    source=f"{DEG}: cascaded on_init, sanctioned load",
    judges=(UTILITY,),
)
def approval_fits_the_meter(trace: Trace) -> Iterator[Outcome]:
    """A utility approves no more than the sanctioned load less what is committed."""
    for chapter in story(trace).values():
        for said in chapter.approved:
            approval = said.contract.approval
            if approval is None or approval.sanctioned_load_kw is None:
                continue
            free_kw = approval.sanctioned_load_kw - (approval.committed_kw or Decimal(0))
            yield outcome(
                Decimal(0) <= approval.approved_max_trade_kw <= max(free_kw, Decimal(0)),
                by=said.message.sender,
                message=said.message,
                observed=f"{approval.approved_max_trade_kw} kW approved",
                expected=f"at most {free_kw} kW",
                pointer=approval.pointer(),
            )


@rule("MKT-010", "MUST", source=f"{DEG}: binding on_confirm", judges=(AGENT,))
def result_is_told_once(trace: Trace) -> Iterator[Outcome]:
    """A participant is told one result, and whatever repeats it repeats it unchanged."""
    for chapter in story(trace).values():
        heard = *chapter.bound, *chapter.news, *chapter.settled
        told = [s for s in heard if s.contract.clearing is not None]
        for said in told:
            yield outcome(
                said.contract.clearing == told[0].contract.clearing,
                by=said.message.sender,
                message=said.message,
                observed=f"{chapter.name} is told {_result(said)}",
                expected=_result(told[0]),
                pointer=said.contract.clearing.pointer() if said.contract.clearing else "",
            )


def _result(said: Said) -> str:
    clearing = said.contract.clearing
    if clearing is None:
        return "nothing"
    return f"{clearing.cleared_power_kw} kW at {clearing.clearing_price_per_kwh} per kWh"


@rule("MKT-011", "MUST", source=f"{DEG}: trade window", judges=MARKET)
def interval_is_the_one_asked_for(trace: Trace) -> Iterator[Outcome]:
    """The interval that is traded and settled is the one that was asked for.

    A participant offers for the interval that it asked about; the others repeat what it offered.
    """
    for chapter in story(trace).values():
        asked = [
            message.reading.intent.interval
            for message in trace.of("discover")
            if message.sender == chapter.name and message.reading.intent
        ]
        offered = [said.contract.interval for said in chapter.offered if said.contract.interval]
        if not asked or asked[0] is None:
            continue
        for said in chapter.everything():
            interval = said.contract.interval
            if interval is None:
                continue
            its_own = said.message.sender == chapter.name
            right = asked[0] if its_own or not offered else offered[-1]
            yield outcome(
                (_instant(interval.start), interval.duration_h)
                == (_instant(right.start), right.duration_h),
                by=said.message.sender,
                message=said.message,
                observed=f"{interval.start}, {float(interval.duration_h):g} h",
                expected=f"{right.start}, {float(right.duration_h):g} h",
                pointer=interval.pointer(),
            )


@rule("MKT-012", "MUST", source=f"{DEG}: on_discover, on_init: fees", judges=(AGENT,))
def charges_are_those_offered(trace: Trace) -> Iterator[Outcome]:
    """What the catalogue says of fees and currency is what on_init agrees."""
    for chapter in story(trace).values():
        offered = _offers_to(trace).get(chapter.name, {})
        for said in chapter.agreed:
            offer = offered.get(said.contract.offer_id or "")
            if offer is None or offer.charges is None or said.contract.charges is None:
                continue
            named = {k: v for k, v in offer.charges.__dict__.items() if k != "at" and v is not None}
            agreed = said.contract.charges.__dict__
            other = [name for name, value in named.items() if agreed[name] != value]
            yield outcome(
                not other,
                by=said.message.sender,
                message=said.message,
                observed=", ".join(f"{name.replace('_', ' ')} {agreed[name]}" for name in other),
                expected=", ".join(f"{named[name]}" for name in other) + ", as offered",
                pointer=said.contract.charges.pointer(),
            )


@once
def _offers_to(trace: Trace) -> dict[str, dict[str, Offer]]:
    """Give the offers that each participant was told, by their ids."""
    told: dict[str, dict[str, Offer]] = {}
    for message in trace.of("on_discover"):
        mine = told.setdefault(message.receiver or "", {})
        mine.update((offer.offer_id, offer) for offer in message.reading.offers)
    return told


def _instant(text: str) -> datetime | str:
    """Read an instant, so that Z and +00:00 are the same; what is none stays a text."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        return text


def judged(
    trace: Trace, codes: tuple[str, ...], *, where: Callable[[ToldMarket], bool] | None = None
) -> Iterator[Outcome]:
    """Judge the announced result of each market by some of the conditions of an equilibrium.

    where: the markets in which there is something to judge; all, if it is not given.
    """
    for market, found in _found(trace):
        if where is not None and not where(market):
            continue
        broken: dict[str, Violation] = {}
        for name, violations_at_price in found.items():
            for violation in violations_at_price:
                if violation.code in codes and violation.participant in (None, name):
                    broken.setdefault(name, violation)
        market_wide = [name for name, violation in broken.items() if violation.participant is None]
        for name, said in market.bound.items():
            violation = broken.get(name)
            if name in market_wide[1:]:
                continue  # one finding tells that the market as a whole does not balance
            clearing = said.contract.clearing
            yield outcome(
                violation is None,
                by=said.message.sender,
                message=said.message,
                observed=violation.message if violation else "",
                expected=_EXPECTED[violation.code] if violation else "",
                pointer=clearing.pointer("cleared_power_kw") if clearing else "/message",
            )


@once
def _found(trace: Trace) -> list[tuple[ToldMarket, dict[str, list[Violation]]]]:
    """Find what each market violates, for everyone at the price that they were told."""
    tolerance = Tolerance.of(
        Quantum(Decimal(trace.scene.price_tick), Decimal(trace.scene.power_step))
    )
    found: list[tuple[ToldMarket, dict[str, list[Violation]]]] = []
    for market in told_markets(trace):
        results = {
            name: said.contract.clearing
            for name, said in market.bound.items()
            if said.contract.clearing
        }
        powers = {name: result.cleared_power_kw for name, result in results.items()}
        above = market.exchange_kw is not None
        prices = {
            name: market.price_above if above else result.clearing_price_per_kwh
            for name, result in results.items()
        }
        rests_on = Market(market.bids, grid=market.grid)
        at = {
            price: list(violations(rests_on, market.claim(price, powers), tolerance))
            for price in set(prices.values())
        }
        found.append((market, {name: at[price] for name, price in prices.items()}))
    return found


_ON_CURVE = (
    "V_OFF_CURVE",
    "V_OUTSIDE_MIN_MAX_EXPORT",
    "V_NO_PRICE_BUT_TRADE",
    "V_SHOULD_HAVE_CLEARED",
)
_EXPECTED = {
    "V_EXCEEDS_APPROVED_LIMIT": "a power within the approved limit",
    "V_NOT_BALANCED": "powers that sum to 0 kW",
    "V_MISSING_PARTICIPANT": "a power for everyone who confirmed",
    "V_NOT_FINITE": "numbers",
    "V_OFF_CURVE": "a power on the participant's own curve",
    "V_OUTSIDE_MIN_MAX_EXPORT": "a power within the curve's bounds",
    "V_NO_PRICE_BUT_TRADE": "a price, or no trade",
    "V_FORWARD_FLOW_EXCEEDED": "no more than the node lets through",
    "V_REVERSE_FLOW_EXCEEDED": "no more than the node lets back",
    "V_ADDER_WITHOUT_CONGESTION": "the price of the parent, where no limit binds",
    "V_FLOW_INCONSISTENT": "the sum of the powers below the node",
    "V_SHOULD_HAVE_CLEARED": "a price, and the trade that everyone offers at it",
}
