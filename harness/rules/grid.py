"""GRD: the grid in a market: limits and local prices, commands and what they lead to.

Belongs here: what nodes tell and are told, setpoints, offset commands, what is owed for
both. Does not belong here: that powers balance and lie on curves at their local price (MKT,
which knows the grid), that a node's published price is its own sum (AMT-011).
"""

from __future__ import annotations

from collections import defaultdict
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from gridwitness.dialects.grid import (
    read_command,
    read_node_id,
    read_node_state,
    read_setpoint_kw,
)
from gridwitness.reference_impl import settlement
from gridwitness.reference_impl.clearing import Quantum
from gridwitness.reference_impl.equilibrium import Market as Rested
from gridwitness.reference_impl.equilibrium import Tolerance, local_prices, of_one
from gridwitness.reference_impl.grid import uplift_per_h
from gridwitness.reference_impl.rounding import rounded
from gridwitness.rules import outcome, rule
from gridwitness.rules.market import judged
from gridwitness.rules.money import inputs_of
from gridwitness.story import AGENT, GRID_NODE, UTILITY, story
from gridwitness.told_market import lets_through, node_of, node_states, setpoint_kw, told_markets

if TYPE_CHECKING:
    from collections.abc import Iterator

    from gridwitness.reference_impl.clearing import Bid
    from gridwitness.rules import Outcome
    from gridwitness.story import Chapter, Said
    from gridwitness.told_market import ToldMarket
    from gridwitness.trace import Message, Trace

GRID = "reference_impl/README.md, Grid"
COMMANDS = "reference_impl/README.md, Commands"
NODE = "beckn/DEG, building blocks, GridNode v1"
OFFSET = "beckn/DEG, building blocks, EnergyTradeDelivery v0.2, OffsetCommand"


# -- nodes, their limits and their prices -------------------------------------------------


@rule("GRD-001", "MUST", source=f"{NODE}: a node is asked", judges=(AGENT,), when_stated=True)
def node_is_asked_before_the_result(trace: Trace) -> Iterator[Outcome]:
    """A result is told only after the node at which its participant stands has told its state."""
    names = {id_: name for name, id_ in trace.scene.ids.items()}
    for chapter in story(trace).values():
        node = names.get(node_of(chapter) or "")
        for said in chapter.bound:
            if node is None or trace.role(node) != GRID_NODE or said.contract.clearing is None:
                continue
            asked = any(
                (message.sender, message.receiver) == (said.message.sender, node)
                and message.number < said.message.number
                for message in trace.of("discover")
            )
            yield outcome(
                asked,
                by=said.message.sender,
                message=said.message,
                observed=f"a result for {chapter.name}, and {node} was not asked",
                expected="the limits and the adder of the node, as they are",
            )


@rule("GRD-002", "MUST", source=f"{GRID}, C5", judges=(AGENT,), when_stated=True)
def flows_keep_within_limits(trace: Trace) -> Iterator[Outcome]:
    """No more flows through a grid node, in either direction, than it says that it lets through."""
    codes = ("V_FORWARD_FLOW_EXCEEDED", "V_REVERSE_FLOW_EXCEEDED")
    yield from judged(trace, codes, where=_in_a_grid)


@rule("GRD-003", "MUST", source=f"{GRID}, C6 and C7", judges=(AGENT,), when_stated=True)
def local_price_departs_where_a_limit_binds(trace: Trace) -> Iterator[Outcome]:
    """A local price is that of the parent node plus the published adder, unless a limit binds."""
    yield from judged(trace, ("V_ADDER_WITHOUT_CONGESTION",), where=_in_a_grid)


def _in_a_grid(market: ToldMarket) -> bool:
    return bool(market.grid.nodes)


@rule("GRD-004", "MUST", source=f"{GRID}, C5: a flow is a sum", judges=(AGENT,), when_stated=True)
def node_is_told_what_flows(trace: Trace) -> Iterator[Outcome]:
    """A grid node is told the flow that the cleared powers below it sum to."""
    half_step = Fraction(trace.scene.power_step) / 2
    for market in told_markets(trace):
        flows_kw = _flows_kw(market)
        for node_id, one in market.booked.items():
            if node_id not in flows_kw or one.flow_kw is None:
                continue
            right = flows_kw[node_id]
            yield outcome(
                abs(Fraction(one.flow_kw) - right) <= half_step,
                by=one.message.sender,
                message=one.message,
                observed=f"a flow of {one.flow_kw} kW",
                expected=f"{float(right):g} kW, the sum of what was cleared below it",
            )


def _flows_kw(market: ToldMarket) -> dict[str, Fraction]:
    flows: defaultdict[str, Fraction] = defaultdict(Fraction)
    for bid in market.bids:
        said = market.bound.get(bid.participant)
        clearing = said.contract.clearing if said else None
        flows[bid.node] += Fraction(clearing.cleared_power_kw) if clearing else 0
    for name in reversed(market.grid.top_down):
        flows[market.grid.nodes[name].parent] += flows[name]
    return {name: flows[name] for name in market.grid.nodes}


@rule("GRD-005", "MUST", source=f"{GRID}, C7", judges=(AGENT,), when_stated=True)
def everyone_at_a_node_has_its_price(trace: Trace) -> Iterator[Outcome]:
    """The local price that a participant is told is the one that its grid node was told."""
    for market in told_markets(trace):
        for bid in market.bids:
            said, one = market.bound.get(bid.participant), market.booked.get(bid.node)
            clearing = said.contract.clearing if said else None
            if said is None or clearing is None or one is None or one.price_per_kwh is None:
                continue
            yield outcome(
                clearing.own_price_per_kwh == one.price_per_kwh,
                by=said.message.sender,
                message=said.message,
                observed=f"{clearing.own_price_per_kwh} per kWh for {bid.participant}",
                expected=f"{one.price_per_kwh} per kWh, as its node was told",
                pointer=clearing.pointer("local_price_per_kwh"),
            )


@rule("GRD-006", "MUST", source=f"{NODE}, gridConstraints", judges=(GRID_NODE,))
def node_keeps_its_own_limits(trace: Trace) -> Iterator[Outcome]:
    """A grid node accepts a flow within the limits that it told, and no other."""
    for agent, message in _bookings(trace):
        state = node_states(trace, agent).get(trace.scene.ids.get(message.receiver or "", ""))
        flow_kw = read_setpoint_kw(message.reading.deal) if message.reading.deal else None
        answers = trace.callbacks_of(message)
        if state is None or flow_kw is None or not answers:
            continue
        told = answers[0].reading
        accepted = told.deal is not None and told.deal.status == "ACTIVE"
        fits = lets_through(state, flow_kw)
        yield outcome(
            accepted == fits,
            by=answers[0].sender,
            message=answers[0],
            observed=f"{flow_kw} kW are {'accepted' if accepted else 'refused'}",
            expected=f"at most {state.max_forward_kw} kW forward, {state.max_reverse_kw} kW back",
        )


def _bookings(trace: Trace) -> Iterator[tuple[str, Message]]:
    for message in trace.of("confirm"):
        if trace.role(message.receiver) == GRID_NODE and message.deliberate is None:
            yield message.sender or "", message


@rule("GRD-007", "MUST", source=f"{NODE}: nodeId, gridConstraints", judges=(GRID_NODE,))
def node_tells_of_itself(trace: Trace) -> Iterator[Outcome]:
    """A grid node that is asked tells its own id, what it lets through, and no limit below zero."""
    for message in trace.of("on_discover"):
        if trace.role(message.sender) != GRID_NODE or message.reading.error is not None:
            continue
        own_id = trace.scene.ids.get(message.sender or "")
        told = [state for offer in message.reading.offers if (state := read_node_state(offer))]
        limits = [
            limit_kw
            for state in told
            for limit_kw in (state.max_forward_kw, state.max_reverse_kw)
            if limit_kw is not None
        ]
        ids = ", ".join(state.node_id for state in told)
        yield outcome(
            [state.node_id for state in told] == [own_id] and bool(limits) and min(limits) >= 0,
            by=message.sender,
            message=message,
            observed=f"the state of {ids or 'no node'}, limits {', '.join(map(str, limits))}",
            expected=f"the state of {own_id}, with its limits",
        )


@rule("GRD-008", "MUST", source=f"{NODE}: nodeId of the meter", judges=(AGENT,), when_stated=True)
def node_is_the_one_of_the_meter(trace: Trace) -> Iterator[Outcome]:
    """The grid node that a participant is told is the one that the utility named for its meter."""
    for chapter in story(trace).values():
        right = node_of(chapter)
        for said in (*chapter.agreed, *chapter.bound):
            told = read_node_id(said.contract)
            if right is None or said.message.reading.error is not None:
                continue
            block = said.contract.block("contract", "gridNode")
            yield outcome(
                told == right,
                by=said.message.sender,
                message=said.message,
                observed=f"{chapter.name} stands at {told or 'no node'}",
                expected=f"{right}, as the utility said",
                pointer=block.pointer() if block else said.contract.pointer(),
            )


@rule(
    "GRD-009",
    "MUST",
    source="reference_impl/README.md, Settlement (CONGESTION_RENT)",
    judges=(AGENT,),
    when_stated=True,
)
def rent_is_what_the_place_costs(trace: Trace) -> Iterator[Outcome]:
    """A contract leaves the grid operator what its energy costs here beyond the market's price."""
    for inputs, chapters in inputs_of(trace):
        if all(trade.price_per_kwh is None for trade in inputs.trades):
            continue
        right = settlement.congestion_rents(inputs)
        agent, operator = inputs.parties.clearing_agent, inputs.parties.grid_operator
        for chapter in chapters:
            said = chapter.settled[-1]
            report = said.contract.settlement
            if report is None:
                continue
            left = Decimal(0)
            for flow in report.flows:
                if flow.kind == "CONGESTION_RENT" and {flow.payer, flow.payee} == {agent, operator}:
                    left += flow.amount if flow.payer == agent else -flow.amount
            owed = right.get(trace.scene.ids[chapter.name], Decimal(0))
            if trace.role(said.message.sender) != AGENT:
                owed = Decimal(0)  # an aggregator's place costs it the difference, not its own
            yield outcome(
                left == owed,
                by=said.message.sender,
                message=said.message,
                observed=f"{left} of {chapter.name} for the grid operator",
                expected=f"{owed}, by its energy and the two prices",
                pointer=report.pointer("flows"),
            )


# -- setpoints and commands -----------------------------------------------------------------


@rule(
    "GRD-010",
    "MUST",
    source="beckn/DEG, building blocks, EnergyCoordination v1 (Setpoint)",
    judges=(AGENT,),
    when_stated=True,
)
def setpoint_is_what_was_cleared(trace: Trace) -> Iterator[Outcome]:
    """The setpoint that comes with a result is the cleared power."""
    for chapter in story(trace).values():
        for said in chapter.bound:
            told, clearing = read_setpoint_kw(said.contract), said.contract.clearing
            if told is None or clearing is None:
                continue
            block = said.contract.block("contract", "setpoint")
            yield outcome(
                told == clearing.cleared_power_kw,
                by=said.message.sender,
                message=said.message,
                observed=f"a setpoint of {told} kW for {chapter.name}",
                expected=f"{clearing.cleared_power_kw} kW, as cleared",
                pointer=block.pointer() if block else "",
            )


@rule("GRD-011", "MUST", source=f"{OFFSET}; {COMMANDS}", judges=(AGENT,), when_stated=True)
def command_is_carried_out(trace: Trace) -> Iterator[Outcome]:
    """Who is commanded an offset is told it, and a setpoint that is moved by just as much."""
    for chapter in story(trace).values():
        ordered = _last_command(chapter)
        cleared = _cleared_kw(chapter)
        if ordered is None or cleared is None or _is_declined(trace, ordered):
            continue
        command = read_command(ordered.contract)
        offset_kw = command.offset_kw if command else Decimal(0)
        told = [s for s in chapter.news if s.message.number > ordered.message.number]
        moved = [
            s
            for s in told
            if (order := read_command(s.contract)) is not None
            and order.offset_kw == offset_kw
            and read_setpoint_kw(s.contract) == cleared + offset_kw
        ]
        seen = ", ".join(f"{read_setpoint_kw(s.contract)} kW" for s in told) or "nothing"
        yield outcome(
            bool(moved),
            by=ordered.message.receiver,
            message=told[-1].message if told else ordered.message,
            observed=f"{chapter.name} is told {seen}",
            expected=f"the offset of {offset_kw} kW, and {cleared + offset_kw} kW",
        )


def _last_command(chapter: Chapter) -> Said | None:
    ordered = [said for said in chapter.commanded if read_command(said.contract)]
    return ordered[-1] if ordered else None


def _is_declined(trace: Trace, ordered: Said) -> bool:
    """Tell whether a command was refused, or answered with an error."""
    answers = trace.callbacks_of(ordered.message)
    return ordered.message.ends_here or any(answer.reading.error for answer in answers)


def _cleared_kw(chapter: Chapter) -> Decimal | None:
    results = [said.contract.clearing for said in chapter.bound if said.contract.clearing]
    return results[-1].cleared_power_kw if results else None


@rule("GRD-012", "MUST", source=f"{COMMANDS}; C2", judges=(AGENT,), when_stated=True)
def commands_leave_the_balance(trace: Trace) -> Iterator[Outcome]:
    """After a command the setpoints of all still sum to what was cleared."""
    for market, powers in _commanded_markets(trace):
        chapters = story(trace)
        cleared = [_cleared_kw(chapters[name]) or Decimal(0) for name in powers]
        off = sum(map(Fraction, powers.values()), Fraction()) - sum(map(Fraction, cleared))
        last = _last_news(trace, market)
        yield outcome(
            abs(off) <= Fraction(trace.scene.power_step) / 2,
            by=market.agent,
            message=last.message,
            observed=f"{float(off):+g} kW more than was cleared",
            expected="others who take up what the command leaves",
        )


def _commanded_markets(trace: Trace) -> Iterator[tuple[ToldMarket, dict[str, Decimal]]]:
    """Yield the markets in which somebody was commanded, with everyone's last setpoint."""
    chapters = story(trace)
    for market in told_markets(trace):
        own = [chapters[name] for name in market.bound]
        if any(c.news and _last_command(c) is not None for c in own):
            powers = {c.name: setpoint_kw(c) for c in own}
            yield market, {n: power for n, power in powers.items() if power is not None}


def _last_news(trace: Trace, market: ToldMarket) -> Said:
    chapters = story(trace)
    news = [said for name in market.bound for said in chapters[name].news]
    return max(news, key=lambda said: said.message.number)


@rule("GRD-013", "MUST", source=f"{COMMANDS}; C1", judges=(AGENT,), when_stated=True)
def who_leaves_the_curve_is_declared(trace: Trace) -> Iterator[Outcome]:
    """A setpoint that a command leads to is on the own curve, or is declared to be redispatch."""
    chapters = story(trace)
    for market, powers in _commanded_markets(trace):
        for bid in market.bids:
            chapter = chapters.get(bid.participant)
            if chapter is None or not chapter.news or bid.participant not in powers:
                continue
            said = chapter.news[-1]
            command = read_command(said.contract)
            declared = command is not None and command.is_redispatch
            off_curve = _off_curve(trace, market, bid, powers[bid.participant])
            if off_curve is None:
                continue
            yield outcome(
                declared == off_curve,
                by=said.message.sender,
                message=said.message,
                observed=f"{powers[bid.participant]} kW for {bid.participant}, "
                + ("declared as redispatch" if declared else "not declared as redispatch"),
                expected="a declaration: it is off the own curve"
                if off_curve
                else "no declaration: it is on the own curve",
            )


def _off_curve(trace: Trace, market: ToldMarket, bid: Bid, power_kw: Decimal) -> bool | None:
    """Tell whether a power is off the curve at the local price; None where there is no price."""
    clearing = market.bound[bid.participant].contract.clearing
    price = clearing.clearing_price_per_kwh if clearing else None
    if price is None:
        return None
    tolerance = Tolerance.of(
        Quantum(Decimal(trace.scene.price_tick), Decimal(trace.scene.power_step))
    )
    claim = market.claim(price, {bid.participant: power_kw})
    local = local_prices(Rested(market.bids, grid=market.grid), claim, tolerance)
    return any(of_one(bid, local[bid.node], claim, tolerance))


@rule(
    "GRD-014",
    "MUST",
    source="beckn/DEG: cascaded confirm; sanctioned load",
    judges=(AGENT,),
    when_stated=True,
)
def moved_trade_is_locked_anew(trace: Trace) -> Iterator[Outcome]:
    """A setpoint that a command moves is locked by the utility before its participant is told."""
    for chapter in story(trace).values():
        if not chapter.bound:
            continue
        for said in chapter.news:
            told = read_setpoint_kw(said.contract)
            if told is None or told == _cleared_kw(chapter):
                continue
            locked = [
                read_setpoint_kw(one.contract)
                for one in chapter.relocked
                if one.message.number < said.message.number and one.contract.status == "ACTIVE"
            ]
            yield outcome(
                bool(locked) and locked[-1] == told,
                by=said.message.sender,
                message=said.message,
                observed=f"{told} kW for {chapter.name}, {locked[-1:]} locked",
                expected="the utility's lock of the same power before it",
            )


@rule("GRD-015", "MUST", source=f"{COMMANDS}: made good", judges=(AGENT,), when_stated=True)
def redispatch_is_made_good(trace: Trace) -> Iterator[Outcome]:
    """Who is commanded off the own curve is paid by the grid operator what it loses by it."""
    for inputs, chapters in inputs_of(trace):
        bids = {bid.participant: bid for market in told_markets(trace) for bid in market.bids}
        for chapter in chapters:
            said, bid = chapter.settled[-1], bids.get(chapter.name)
            report, power_kw = said.contract.settlement, setpoint_kw(chapter)
            clearing = chapter.bound[-1].contract.clearing
            price = clearing.own_price_per_kwh if clearing else None
            if report is None or bid is None or power_kw is None or price is None:
                continue
            if _last_command(chapter) is None:
                continue
            try:
                lost = uplift_per_h(bid, Fraction(price), Fraction(power_kw)) * inputs.hours
            except ValueError:
                continue  # a power that it never offers: GRD-013 tells
            owed = rounded(lost, inputs.terms.rounding, inputs.terms.minor_unit)
            pair = inputs.parties.grid_operator, trace.scene.ids[chapter.name]
            paid = sum(
                (f.amount for f in report.flows if (f.payer, f.payee, f.kind) == (*pair, "UPLIFT")),
                Decimal(0),
            )
            yield outcome(
                paid == owed,
                by=said.message.sender,
                message=said.message,
                observed=f"{paid} for {chapter.name}, held at {power_kw} kW",
                expected=f"{owed}, the area between its curve and the price",
                pointer=report.pointer("flows"),
            )


@rule("GRD-016", "MUST", source=f"{OFFSET}: in the fulfilment", judges=(UTILITY,), when_stated=True)
def fulfilment_tells_the_command(trace: Trace) -> Iterator[Outcome]:
    """The reading of a meter whose owner was commanded comes with the command that was given."""
    for chapter in story(trace).values():
        ordered = _last_command(chapter)
        command = read_command(ordered.contract) if ordered else None
        if ordered is None or command is None or _is_declined(trace, ordered):
            continue
        for said in chapter.metered:
            if not said.contract.readings or said.message.number < ordered.message.number:
                continue
            told = read_command(said.contract, "fulfilment")
            yield outcome(
                told is not None and told.offset_kw == command.offset_kw,
                by=said.message.sender,
                message=said.message,
                observed=f"an offset of {told.offset_kw} kW" if told else "no offset",
                expected=f"an offset of {command.offset_kw} kW, as commanded",
            )
