"""ORD: the order of messages, as a partial order that the feature's table states.

Several participants act at once, so the table is no script: a row says which rows
must have come before it, of the same participant or of all of them.
"""

from __future__ import annotations

from itertools import repeat
from typing import TYPE_CHECKING

from gridwitness.acks import ACK
from gridwitness.deals import APPROVED, CONTRACTED
from gridwitness.dialects import DIALECTS
from gridwitness.dialects.flexibility import baseline_in, objective_in
from gridwitness.dialects.grid import (
    read_command,
    read_node_id,
    read_node_state,
    read_setpoint_kw,
)
from gridwitness.dialects.tables import COLUMNS
from gridwitness.loads import BASELINE, USAGE, is_complete, is_to_settle_by, loads_in, taking_part
from gridwitness.protocol import PUBLISHING, VERSION, callback_of, open_context, request_of
from gridwitness.response import telemetry_in
from gridwitness.rules import outcome, rule
from gridwitness.rules.refusal import is_ahead
from gridwitness.signals import STATE, signals_in
from gridwitness.story import (
    AGENT,
    AGENTS,
    AGGREGATOR,
    GRID_NODE,
    UTILITY,
    accepted,
    agent_above,
    are_related,
    buyers,
    offered_meters,
    participant_of,
    protagonists,
    story,
    subject_of,
)
from gridwitness.told_market import lets_through, node_states
from gridwitness.trace import once

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from decimal import Decimal

    from gridwitness.rules import Outcome
    from gridwitness.signals import Signal
    from gridwitness.trace import Message, Step, Trace
    from gridwitness.views import EnergyContract, Offer, Reading

UNSOLICITED = ("on_status", "on_update", "on_cancel")
"""Callbacks that a provider may send unasked (LTS yaml; NFH-013, section 8)."""

FLOW = "Beckn v2.0.0 LTS, api, preconditions of each path; beckn/DEG, sequence diagrams"

SESSION = {
    "session requested": "PENDING",
    "session active": "ACTIVE",
    "session stopping": "STOP",
    "session interrupted": "INTERRUPTED",
    "session completed": "COMPLETED",
}
"""The states of a charging session, as a row calls them."""

DELIVERY = {"delivery under way": "IN_PROGRESS", "delivery curtailed": "CURTAILED_OUTAGE"}
"""The states of a delivery, as a row calls them."""


def _column_is_there(name: str) -> Callable[[Reading], object]:
    def says(said: Reading) -> bool:
        deals = (said.deal, *(offer.deal for offer in said.offers))
        tables = [deal.table for deal in deals if deal and deal.table]
        return any(table.rows and None not in table.values(name) for table in tables)

    return says


def _state_is(name: str, state: str) -> Callable[[Reading], object]:
    def says(said: Reading) -> bool:
        block = said.deal.block("fulfilment", name) if said.deal else None
        return block is not None and block.data == state

    return says


def _meters_have(*columns: str) -> Callable[[Reading], object]:
    def says(said: Reading) -> bool:
        loads = loads_in(said.deal) if said.deal and is_to_settle_by(said.deal) else ()
        return bool(loads) and all(load.is_told(name) for load in loads for name in columns)

    return says


def _page(said: Reading, *, last: bool) -> bool:
    return bool(said.deal) and is_complete(said.deal) is last and bool(loads_in(said.deal))


def _signals(said: Reading) -> tuple[Signal, ...]:
    return signals_in(said.deal) if said.deal else ()


def _objective(said: Reading) -> object:
    offered = [objective_in(offer.blocks) for offer in said.offers]
    if said.contract is not None:
        offered.append(objective_in(said.contract.blocks))
    dealt = said.deal.block("contract", "objective") if said.deal else None
    return dealt or any(offered)


CARRIES: dict[str, Callable[[Reading], object]] = {
    "interval": lambda said: said.intent and said.intent.interval,
    "offer": lambda said: said.offers,
    "search": lambda said: said.intent,
    "catalogue": lambda said: said.catalogues is not None,
    "result": lambda said: said.results,
    "offer curve": lambda said: said.contract and said.contract.curve,
    "requested power": lambda said: said.contract and _is_power(said.contract.requested_kw),
    "approval": lambda said: said.contract and said.contract.approval,
    "charges": lambda said: said.contract and said.contract.charges,
    "cleared power": lambda said: said.contract and said.contract.clearing,
    "lock": lambda said: said.contract and said.contract.status == "ACTIVE",
    "meter reading": lambda said: (
        (said.contract and said.contract.readings) or (said.deal and said.deal.readings)
    ),
    "settlement": lambda said: said.contract and said.contract.settlement,
    "objective": _objective,
    "baseline": lambda said: said.contract and baseline_in(said.contract.blocks),
    "virtual meter": lambda said: said.contract and said.contract.readings,
    "node": lambda said: said.contract and read_node_id(said.contract),
    "grid node": lambda said: any(map(_is_its_own, repeat(said), said.offers)),
    "flow": lambda said: said.deal and _is_number(read_setpoint_kw(said.deal)),
    "local price": lambda said: said.contract and _has_local_price(said.contract),
    "setpoint": lambda said: said.contract and _is_number(read_setpoint_kw(said.contract)),
    "offset command": lambda said: said.contract and read_command(said.contract),
    "curves": lambda said: said.request and said.request.members,
    "price and powers": lambda said: said.result and said.result.setpoints,
    "terms": lambda said: any(
        role.terms
        for deal in (said.deal, *(offer.deal for offer in said.offers))
        if deal
        for role in deal.roles
    ),
    "tariff": lambda said: said.deal and said.deal.block("contract", "tariff"),
    "payment formulas": lambda said: said.deal and said.deal.dues,
    "quote": lambda said: said.deal and said.deal.bill and not said.deal.bill.is_due,
    "charge detail record": lambda said: (
        said.deal and said.deal.block("fulfilment", "chargeDetailRecord")
    ),
    "bill": lambda said: said.deal and said.deal.bill and said.deal.bill.is_due,
    "telemetry": lambda said: said.deal and said.deal.block("fulfilment", "telemetry"),
    "signals": lambda said: any(s.kind != STATE and s.value is not None for s in _signals(said)),
    "running totals": lambda said: any(s.kind == STATE for s in _signals(said)),
    "billing report": lambda said: (
        said.deal and said.deal.settlement and said.deal.settlement.report_id
    ),
    "correction": lambda said: said.deal and said.deal.settlement and said.deal.settlement.replaces,
    "completed": lambda said: said.contract and said.contract.status == "COMPLETED",
    "arrival window": lambda said: said.deal and said.deal.arrival,
    "plan": lambda said: said.deal and said.deal.interval,
    "notice": lambda said: said.deal and said.deal.term("notice"),
    "shortfall": lambda said: said.deal and said.deal.term("shortfall"),
    **{word: _state_is("sessionStatus", state) for word, state in SESSION.items()},
    **{word: _state_is("deliveryStatus", state) for word, state in DELIVERY.items()},
    "meters taking part": lambda said: said.deal and taking_part(said.deal),
    "changed meters": lambda said: said.deal and taking_part(said.deal),
    "baselines": _meters_have(BASELINE),
    "usage": _meters_have(BASELINE, USAGE),
    "part of the usage": lambda said: _page(said, last=False),
    "rest of the usage": lambda said: _page(said, last=True),
    "resource telemetry": lambda said: (
        said.deal and loads_in(said.deal) and not is_to_settle_by(said.deal)
    ),
    "response": lambda said: said.deal and telemetry_in(said.deal)[0],
    **{f"{name} per interval": _column_is_there(name) for name in COLUMNS},
}
"""What a row of the table may demand a message to carry."""


def _is_power(requested_kw: Decimal | None) -> bool:
    return requested_kw is not None and requested_kw >= 0


def _is_number(value: Decimal | None) -> bool:
    return value is not None


def _is_its_own(said: Reading, offer: Offer) -> bool:
    """Tell whether an offer tells the state of the grid node that makes it."""
    state = read_node_state(offer)
    return state is not None and state.node_id == said.envelope.bpp_id


def _has_local_price(contract: EnergyContract) -> bool:
    """Tell whether a result names its local price; who stands at no node has none of its own."""
    clearing = contract.clearing
    return read_node_id(contract) is None or (
        clearing is not None and clearing.local_price_per_kwh is not None
    )


def _about_a_meter_of_nobody(trace: Trace, message: Message) -> bool:
    """Tell whether the utility is asked about a meter that no participant has offered."""
    contract = message.reading.contract
    if trace.role(message.receiver) != UTILITY or contract is None or message.reading.deal:
        return False
    step = _named(trace, message)
    if participant_of(trace, message) == message.receiver or (step and _is_of_all(step)):
        return False
    return contract.meter_id not in offered_meters(trace)


def _is_of_all(step: Step) -> bool:
    """Tell whether a row comes once for the whole market, not for each participant."""
    return "virtual meter" in step.carries


def _named(trace: Trace, message: Message) -> Step | None:
    """Find the row of the table that a message may be."""
    return _placed(trace).get(message.number)


@once
def _placed(trace: Trace) -> dict[int, Step]:
    """Find the row that each message may be, by its number.

    Where several rows have the same sender, receiver and action, a message is the first that
    has not come yet for its participant and whose content it carries; of none, the first that
    has not come, or the last.
    """
    rows = _rows(trace)
    placed: dict[int, Step] = {}
    taken: set[Row] = set()
    for message in trace.beckn:
        roles = trace.role(message.sender), trace.role(message.receiver)
        known = rows.get((*roles, message.action), ())
        if len(known) > 1:
            who = _about(trace, message)
            left = [step for step in known if (step.name, who) not in taken]
            fitting = (step for step in left if not _missing_content(step, message))
            step = next(fitting, None) or next(iter(left), known[-1])
            if accepted(message):
                taken.add((step.name, who))
            placed[message.number] = step
        elif known:
            placed[message.number] = known[0]
    return placed


@once
def _rows(trace: Trace) -> dict[tuple[str | None, str | None, str], list[Step]]:
    rows: dict[tuple[str | None, str | None, str], list[Step]] = {}
    for step in trace.scene.sequence:
        for action in step.actions:
            rows.setdefault((step.sender, step.receiver, action), []).append(step)
    return rows


def _step(trace: Trace, message: Message) -> Step | None:
    """Find the row of the table that a message is; news of a trade under way is none."""
    step = _named(trace, message)
    news = message.action in UNSOLICITED and message.reading.error is None
    if step is not None and news and _missing_content(step, message):
        return None
    return step


def _missing_content(step: Step, message: Message) -> list[str]:
    known = (word for word in step.carries if word in CARRIES)
    return [word for word in known if not CARRIES[word](message.reading)]


def _on_time(trace: Trace, message: Message) -> bool:
    """Tell whether a callback came before the deadline of what it answers."""
    asked = trace.asked_by(message)
    return not asked or any(
        request.deadline_s is None or message.sent_s <= request.deadline_s for request in asked
    )


def _in_turn(trace: Trace, message: Message) -> bool:
    """Tell whether a message is a request, or a callback that was asked for or may come unasked."""
    asked = trace.asked_by(message)
    return not message.is_callback or (
        any(map(accepted, asked)) if asked else message.action in UNSOLICITED
    )


Row = tuple[str, str | None]
"""A row of the table and whom it is about: a participant, a grid node, or an aggregator."""


@once
def _came(trace: Trace) -> dict[str, dict[str | None, int]]:
    """Find when each row first came for each participant, whatever became of it."""
    first: dict[str, dict[str | None, int]] = {}
    for message in trace.beckn:
        step = _step(trace, message)
        if step is not None and not _missing_content(step, message):
            first.setdefault(step.name, {}).setdefault(_about(trace, message), message.number)
    return first


@once
def _last_came(trace: Trace) -> dict[str, int]:
    """Find when each row had come for all for whom it ever did."""
    return {row: max(numbers.values()) for row, numbers in _came(trace).items()}


@once
def _fulfilled(trace: Trace) -> dict[Row, int]:
    """Find when each row first moved the flow on: in time, accepted, with what it must carry."""
    first: dict[Row, int] = {}
    for message in trace.beckn:
        step = _step(trace, message)
        if step is None or not accepted(message) or _missing_content(step, message):
            continue
        if _on_time(trace, message) and _in_turn(trace, message):
            first.setdefault((step.name, _about(trace, message)), message.number)
    return first


@once
def _answered(trace: Trace) -> set[Row]:
    """Find the rows that came in whatever way: refused, spoilt, undeliverable, or as an error."""
    return {
        (step.name, _about(trace, message))
        for message in trace.beckn
        if (step := _step(trace, message)) is not None
        and (
            not message.is_callback
            or message.failure
            or _excused(trace, message)
            or (
                _is_right(trace, step, message)
                and _on_time(trace, message)
                and _in_turn(trace, message)
            )
        )
    }


def _is_right(trace: Trace, step: Step, message: Message) -> bool:
    """Tell whether a message gives no reason to refuse it, whatever its receiver made of it."""
    check = message.signature
    if message.deliberate is not None or message.dialect != trace.scene.dialect:
        return False
    if _missing_content(step, message) or check is None or not check.is_valid:
        return False
    envelope = message.reading.envelope
    mandatory = set(DIALECTS[message.dialect or "order"].mandatory_context)
    mandatory -= set(open_context(message.action))
    if envelope.action != message.action or not all(getattr(envelope, n) for n in mandatory):
        return False
    if envelope.version != VERSION or (message.is_callback and not trace.asked_by(message)):
        return False
    curve = message.reading.contract and message.reading.contract.curve
    return check.subscriber_id == message.named_sender and not (curve and any(curve.problems()))


def _excused(trace: Trace, callback: Message) -> bool:
    """Tell whether an error is a right answer.

    It is when what was asked lacks something, comes too early or exceeds the approval, or when the
    sender itself was told an error, or a spoilt message came from the participant; and when the
    scenario is about it.
    """
    if callback.reading.error is None or callback.deliberate is not None:
        return callback.reading.error is not None
    if trace.role(callback.sender) == GRID_NODE:
        return any(_exceeds_node(trace, request) for request in trace.asked_by(callback))
    name, asked = _about(trace, callback), trace.asked_by(callback)
    if name is None or any(_asks_too_little(trace, request) for request in asked):
        return True
    told, spoilt = _told_an_error(trace).get(callback.sender), _spoilt(trace).get(name)
    if any(number is not None and number < callback.number for number in (told, spoilt)):
        return True
    if _wants_more_than_approved(trace, name):
        return True
    return any(_exceeds_approval(trace, request) for request in asked)


@once
def _told_an_error(trace: Trace) -> dict[str | None, int]:
    """Find when each actor was first told an error."""
    first: dict[str | None, int] = {}
    for message in trace.beckn:
        if message.reading.error is not None:
            first.setdefault(message.receiver, message.number)
    return first


@once
def _spoilt(trace: Trace) -> dict[str | None, int]:
    """Find the first message about each participant that was spoilt on purpose.

    One in a transaction of its own spoils nothing but itself.
    """
    first: dict[str | None, int] = {}
    honest = {
        message.reading.envelope.transaction_id
        for message in trace.requests
        if message.deliberate is None
    }
    for message in trace.beckn:
        transaction_id = message.reading.envelope.transaction_id
        if message.deliberate is not None and transaction_id in honest:
            first.setdefault(participant_of(trace, message), message.number)
    return first


def _about(trace: Trace, message: Message) -> str | None:
    """Find whom a message is about, by what it answers if it does not say."""
    if request_of(message.action) in PUBLISHING:
        return message.sender if message.from_provider else message.receiver
    name = subject_of(trace, message)
    if name is not None:
        return name
    asked = trace.asked_by(message)
    return subject_of(trace, asked[0]) if asked else None


def _asks_too_little(trace: Trace, request: Message) -> bool:
    """Tell whether a request lacks something, or comes before what it needs."""
    step = _named(trace, request)
    if step is None or _missing_content(step, request) or request.reading.problems:
        return True
    if _about_a_meter_of_nobody(trace, request):
        return True
    return bool(_missing_before(trace, step, request))


def _exceeds_node(trace: Trace, request: Message) -> bool:
    """Tell whether a grid node is asked for more than it told that it lets through."""
    node_id = trace.scene.ids.get(request.receiver or "", "")
    state = node_states(trace, request.sender or "").get(node_id)
    flow_kw = read_setpoint_kw(request.reading.deal) if request.reading.deal else None
    return state is None or flow_kw is None or not lets_through(state, flow_kw)


def _exceeds_approval(trace: Trace, request: Message) -> bool:
    name, contract = participant_of(trace, request), request.reading.contract
    if name is None or contract is None or contract.clearing is None:
        return False
    chapter = story(trace).get(name)
    approved = chapter.approved if chapter else []
    granted = [said.contract.approval for said in approved if said.contract.approval]
    limits_kw = [approval.approved_max_trade_kw for approval in granted]
    return any(abs(contract.clearing.cleared_power_kw) > limit_kw for limit_kw in limits_kw)


def _wants_more_than_approved(trace: Trace, name: str) -> bool:
    """Tell whether a deal was to be for more energy than a utility approved."""
    approved, contracted = (_energies(trace).get((w, name)) for w in (APPROVED, CONTRACTED))
    return bool(approved and contracted and max(contracted) > min(approved))


@once
def _energies(trace: Trace) -> dict[tuple[str, str | None], list[Decimal]]:
    """Collect what is said of the energy that is approved or contracted, by protagonist."""
    found: dict[tuple[str, str | None], list[Decimal]] = {}
    for message in trace.beckn:
        deal = message.reading.deal
        for word in (APPROVED, CONTRACTED):
            if deal is not None and (term := deal.term(word)) is not None:
                found.setdefault((word, _about(trace, message)), []).append(term.value)
    return found


@rule("ORD-001", "MUST", source=FLOW)
def nothing_comes_too_early(trace: Trace) -> Iterator[Outcome]:
    """A message comes after everything that the flow says must come before it."""
    for message in trace.beckn:
        step = _step(trace, message)
        if step is None or message.deliberate is not None or message.reading.error is not None:
            continue
        missing = _missing_before(trace, step, message)
        yield outcome(
            not missing,
            by=message.sender,
            message=message,
            observed=f"{message.action} before {', '.join(missing)}",
            expected=f"row {step.name} of the sequence after {', '.join(missing)}",
        )


def _missing_before(trace: Trace, step: Step, message: Message) -> list[str]:
    """Tell which rows had to come before a message and did not."""
    came, number = _came(trace), message.number
    name = _about(trace, message)
    missing: list[str] = []
    for row in step.after:
        first = came.get(row, {})
        if name not in first and (others := _others(trace, row, name)):
            missing += [f"{row} of {one}" for one in others if first[one] >= number]
        elif first.get(name, number) >= number:
            missing.append(f"{row} of {name}")
    for row in step.after_all:
        if _last_came(trace).get(row, 0) >= number:
            missing += [f"{row} of {who}" for who, first in came[row].items() if first >= number]
    return missing


def _others(trace: Trace, row: str, name: str | None) -> list[str | None]:
    """Name those of another kind whom a row was about, in the same market as somebody."""
    role = trace.role(name)
    return [
        one
        for one in _came(trace).get(row, {})
        if one != name
        and (trace.role(one) != role or role == AGGREGATOR)
        and are_related(trace, one, name)
    ]


@rule("ORD-002", "MUST", source=FLOW)
def nothing_foreign_to_the_flow_comes(trace: Trace) -> Iterator[Outcome]:
    """Every message is one that the flow knows; a pay-as-clear market has no select."""
    if not trace.scene.sequence:
        return
    for message in trace.beckn:
        if message.receiver is None or message.deliberate is not None:
            continue
        known = _named(trace, message) is not None or message.action in UNSOLICITED
        contract = message.reading.contract
        meter = f" about meter {contract.meter_id}" if contract else ""
        yield outcome(
            known and not _about_a_meter_of_nobody(trace, message),
            by=message.sender,
            message=message,
            observed=f"{message.action} from {message.sender} to {message.receiver}{meter}",
            expected="a message of the flow's sequence, about a participant of it",
        )


@rule("ORD-003", "MUST", source=FLOW)
def nothing_is_left_out(trace: Trace) -> Iterator[Outcome]:
    """Every message of the flow comes, once what must come before it has come."""
    first, answered = _fulfilled(trace), _answered(trace)
    numbered = {message.number: message for message in trace.messages}
    yield from _unpublished(trace, answered)
    for step in trace.scene.sequence:
        if step.is_optional:
            continue
        needed = (*step.after, *step.after_all, *_asking(trace, step))
        for name in _played_for(trace, step):
            moved = [_moved_on(trace, row, name) for row in needed]
            due = [number for number in moved if number is not None]
            if not due or len(due) < len(needed):
                continue
            last = max(due)
            yield outcome(
                (step.name, name) in first or (step.name, name) in answered,
                by=_sender(trace, step, name, numbered[last]),
                message=numbered[last],
                observed=f"no {' or '.join(step.actions)} to {step.receiver} for {name or 'all'}",
                expected=f"row {step.name} of the sequence after row {needed[-1]}",
            )


def _moved_on(trace: Trace, row: str, name: str | None) -> int | None:
    """Find when a row moved the flow on for somebody, or for all of another kind beside it.

    What comes once for the whole market waits for everybody.
    """
    first = _fulfilled(trace)
    if (row, name) in first:
        return first[row, name]
    step = next((step for step in trace.scene.sequence if step.name == row), None)
    is_of_all = step is not None and (step.publishes or name is None)
    found = list(_played_for(trace, step)) if is_of_all else []
    found = found or _others(trace, row, name)
    if any(trace.role(one) == GRID_NODE for one in found):
        found = [one for one in trace.actors(GRID_NODE) if are_related(trace, one, name)]
    others = [first.get((row, one)) for one in found]
    numbers = [number for number in others if number is not None]
    return max(numbers) if numbers and len(numbers) == len(others) else None


def _unpublished(trace: Trace, came: set[Row]) -> Iterator[Outcome]:
    """Find who publishes nothing: a publish that comes after nothing is owed from the first."""
    for step in trace.scene.sequence:
        if not step.publishes or step.after or step.after_all or _asking(trace, step):
            continue
        for name in _played_for(trace, step) if trace.beckn else ():
            yield outcome(
                (step.name, name) in came,
                by=name,
                message=trace.beckn[0],
                observed=f"no {' or '.join(step.actions)} to {step.receiver}",
                expected=f"row {step.name} of the sequence",
            )


def _asking(trace: Trace, step: Step) -> list[str]:
    """Name the row that a row of callbacks answers: who never asked is owed no answer."""
    return [
        other.name
        for other in trace.scene.sequence
        if (other.sender, other.receiver) == (step.receiver, step.sender)
        and any(callback_of(action) in step.actions for action in other.actions)
    ]


def _played_for(trace: Trace, step: Step | None) -> tuple[str | None, ...]:
    """Name the actors for each of whom a row is played; None where it is once for all.

    Whoever publishes, publishes for itself; a utility that buys has rows of its own. Between
    agents a row is played for the lower one, with a grid node for each node.
    """
    if step is not None and _is_of_all(step):
        return (None,)
    ends = {step.sender, step.receiver} if step else set[str]()
    if step is not None and ends <= set(AGENTS):
        upper = step.sender if step.actions[0].startswith("on_") else step.receiver
        above = agent_above(trace)
        return tuple(a for a in trace.actors(AGGREGATOR) if trace.role(above.get(a)) == upper)
    if GRID_NODE in ends:
        return tuple(trace.actors(GRID_NODE))
    if step is None or not step.publishes:
        return tuple(name for name in protagonists(trace) if _is_played_for(trace, step, name))
    is_answer = all(callback_of(request_of(action)) == action for action in step.actions)
    return tuple(trace.actors(step.receiver if is_answer else step.sender))


def _is_played_for(trace: Trace, step: Step | None, name: str) -> bool:
    if step is None or not buyers(trace):
        return True
    asks = not any(action.startswith("on_") for action in step.actions)
    of_a_buyer = (step.sender, step.receiver) == ((UTILITY, AGENT) if asks else (AGENT, UTILITY))
    return (name in buyers(trace)) == of_a_buyer


def _sender(trace: Trace, step: Step, name: str | None, before: Message) -> str | None:
    """Tell who owes a row: the one it is played for, who was asked, or the first of its role."""
    if trace.role(name) == step.sender:
        return name
    if step.sender in AGENTS and trace.role(agent_above(trace).get(name)) == step.sender:
        return agent_above(trace)[name]
    if trace.role(before.receiver) == step.sender:
        return before.receiver
    actors = trace.actors(step.sender)
    return actors[0] if actors else None


@rule("ORD-004", "MUST", source="beckn/DEG, building blocks, market-based trading")
def message_carries_what_the_flow_needs(trace: Trace) -> Iterator[Outcome]:
    """A message carries what its place in the flow demands."""
    for message in trace.beckn:
        step = _step(trace, message)
        if step is None or not step.carries or message.deliberate is not None:
            continue
        if _excused(trace, message):
            continue
        error = message.reading.error
        missing = _missing_content(step, message)
        yield outcome(
            not missing,
            by=message.sender,
            message=message,
            observed=f"the error {error.code}: {error.text}"
            if error
            else f"{message.action} without {' and '.join(missing)}",
            expected=" and ".join(step.carries),
            pointer=error.pointer() if error else "/message",
        )


@rule("ORD-005", "MUST", source="Beckn v2.0.0, api, responses; NFH-013, section 2")
def what_is_right_is_accepted(trace: Trace) -> Iterator[Outcome]:
    """A message that is right, and in its place in the flow, is acknowledged with an ACK."""
    for message in trace.beckn:
        step, ack = _step(trace, message), message.ack
        if step is None or ack is None or not _is_right(trace, step, message):
            continue
        if is_ahead(message):
            continue  # accepting what is signed ahead is SIG-016's
        # Whom we refuse has said what cannot be accepted; else who refuses is at fault.
        judged = trace.scene.subject
        theirs = ack.status != ACK and message.sender == judged and message.receiver != judged
        yield outcome(
            ack.status == ACK,
            by=message.sender if theirs else message.receiver,
            message=message,
            observed=f"{message.action} was refused: {ack.error_code} {ack.error_text or ''}",
            expected="an ACK",
            in_answer=True,
        )
