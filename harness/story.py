"""The story of a market in a trace: what each participant was told, in views.

Belongs here: finding who a message is about, and collecting what the rules of a
market compare. Does not belong here: judging it (rules).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from gridwitness.trace import once

if TYPE_CHECKING:
    from gridwitness.trace import Message, Trace
    from gridwitness.views import Deal, EnergyContract

PARTICIPANT, AGENT, UTILITY = "market participant", "clearing agent", "utility"
EV_APP, CHARGING_OPERATOR = "ev app", "charging operator"
CONSUMER, PROSUMER = "consumer", "prosumer"
BUYER_PLATFORM, SELLER_PLATFORM = "buyer platform", "seller platform"
BUYER_UTILITY, SELLER_UTILITY = "buyer utility", "seller utility"
AGGREGATOR, GRID_NODE, CATALOGUE = "aggregator", "grid node", "catalogue"
AGENTS = (AGENT, AGGREGATOR)
"""Who makes a market with participants; an aggregator is to its own what a clearing agent is."""

BAP, BPP, BAP_AND_BPP = "BAP", "BPP", "BAP and BPP"
"""The roles in a recording that names no cast."""

MARKET = (PARTICIPANT, AGENT, UTILITY, AGGREGATOR, BAP, BPP, BAP_AND_BPP)
"""Who may take part in a market that clears."""

BOTH = (AGENT, UTILITY, PROSUMER, AGGREGATOR, BAP_AND_BPP, SELLER_PLATFORM)
ASKING = (PARTICIPANT, EV_APP, CONSUMER, BAP, BUYER_PLATFORM, *BOTH)
ASKED = (CHARGING_OPERATOR, GRID_NODE, CATALOGUE, BPP, BUYER_UTILITY, SELLER_UTILITY, *BOTH)
"""Who sends requests, and who answers them by callbacks; some do both."""

SELLERS = (PROSUMER, SELLER_PLATFORM)
CUSTOMERS = (CONSUMER, BUYER_PLATFORM)
UTILITIES = (UTILITY, BUYER_UTILITY, SELLER_UTILITY)
"""Who sells in a trade between two, to whom, and who keeps it."""


@dataclass(frozen=True)
class Said:
    """A contract as one message states it."""

    message: Message
    contract: EnergyContract


@dataclass
class Chapter:
    """What was said about one participant, latest last.

    offered: the accepted init; approved: the utility's on_init; agreed: the agent's
    on_init; lock_asked, locked: confirm to and on_confirm from the utility; bound: the
    agent's on_confirm; repeated: the participant's confirm and status; metered: the
    utility's on_status; news: what the agent tells of a trade under way; settled: its report.
    is_metered: there is a meter to approve, to lock and to read; a utility that buys has none.
    commanded: the utility's update to the agent; carried_out: the agent's on_update; lock_moved,
    relocked: the agent's update and the utility's on_update.
    """

    name: str
    is_metered: bool = True
    offered: list[Said] = field(default_factory=list["Said"])
    approved: list[Said] = field(default_factory=list["Said"])
    agreed: list[Said] = field(default_factory=list["Said"])
    lock_asked: list[Said] = field(default_factory=list["Said"])
    locked: list[Said] = field(default_factory=list["Said"])
    bound: list[Said] = field(default_factory=list["Said"])
    repeated: list[Said] = field(default_factory=list["Said"])
    metered: list[Said] = field(default_factory=list["Said"])
    news: list[Said] = field(default_factory=list["Said"])
    settled: list[Said] = field(default_factory=list["Said"])
    commanded: list[Said] = field(default_factory=list["Said"])
    carried_out: list[Said] = field(default_factory=list["Said"])
    lock_moved: list[Said] = field(default_factory=list["Said"])
    relocked: list[Said] = field(default_factory=list["Said"])

    def everything(self) -> list[Said]:
        """Give all that was said first, in the order in which it was said; repeats are none."""
        parts = (
            self.offered,
            self.approved,
            self.agreed,
            self.lock_asked,
            self.locked,
            self.bound,
            self.metered,
            self.news,
            self.settled,
            self.commanded,
            self.carried_out,
            self.lock_moved,
            self.relocked,
        )
        said = [item for part in parts for item in part]
        return sorted(said, key=lambda item: item.message.number)


def virtual_meters(trace: Trace) -> list[Said]:
    """Collect what a clearing agent reports to the utility of all meters together."""
    return [
        Said(message, contract)
        for message in trace.of("update")
        if (trace.role(message.sender), trace.role(message.receiver)) == (AGENT, UTILITY)
        and (contract := message.reading.contract)
        and contract.settlement
        and contract.participant_id == trace.scene.ids.get(message.sender or "")
        and accepted(message)
    ]


@once
def deals_told(trace: Trace) -> list[tuple[Message, Deal]]:
    """Give what was said of deals, honestly and not as an error, in order."""
    return [
        (message, message.reading.deal)
        for message in trace.beckn
        if message.deliberate is None and message.reading.deal and message.reading.error is None
    ]


def accepted(message: Message) -> bool:
    """Tell whether a message was acknowledged, to be acted on, and was not spoilt on purpose."""
    ack = message.ack
    return message.deliberate is None and ack is not None and not message.ends_here


@once
def protagonists(trace: Trace) -> tuple[str, ...]:
    """Name the actors each of whom the sequence is played for: those who begin it.

    Where one alone begins it with several others, it is played for each of these. In a market
    they are its participants, and a utility that buys. What is published before is nobody's
    exchange yet.
    """
    participants = trace.actors(PARTICIPANT)
    rows = [step for step in trace.scene.sequence if not step.publishes]
    if participants or not rows:
        return (*participants, *buyers(trace))
    first = rows[0]
    asking, asked = trace.actors(first.sender), trace.actors(first.receiver)
    return tuple(asked if len(asking) == 1 < len(asked) else asking)


def participant_of(trace: Trace, message: Message) -> str | None:
    """Find the participant a message is about: a party to it, or named or metered in it."""
    leads = protagonists(trace)
    for actor in (message.sender, message.receiver):
        if actor in leads and actor not in buyers(trace):
            return actor
    contract = message.reading.contract
    if contract is None:
        return _buying(trace, message)
    by_id = _participants(trace).get(contract.participant_id)
    return (
        by_id
        or offered_meters(trace).get(contract.meter_id)
        or _contracts(trace).get(contract.contract_id)
        or (leads[0] if len(leads) == 1 and message.reading.deal else None)
        or _buying(trace, message)
    )


def _buying(trace: Trace, message: Message) -> str | None:
    """Find the utility that a message is about because it asks as a participant does."""
    asks = message.receiver if message.is_callback else message.sender
    return asks if asks in buyers(trace) else None


@once
def buyers(trace: Trace) -> tuple[str, ...]:
    """Name the utilities that buy in a market of participants: those that ask for an offer."""
    if not trace.actors(PARTICIPANT):
        return ()
    asking = {m.sender for m in trace.of("discover")}
    return tuple(name for name in trace.actors(UTILITY) if name in asking)


def subject_of(trace: Trace, message: Message) -> str | None:
    """Find whom a message is about: a participant, a grid node, or who sent a curve up."""
    ends = (message.sender, message.receiver)
    nodes = [actor for actor in ends if trace.role(actor) == GRID_NODE]
    name = nodes[0] if nodes else participant_of(trace, message)
    if name is not None:
        return name
    lower = message.receiver if message.is_callback else message.sender
    others = [actor for actor in ends if trace.role(actor) in AGENTS]
    return lower if trace.role(lower) == AGGREGATOR and len(others) == len(ends) else None


def are_related(trace: Trace, one: str | None, other: str | None) -> bool:
    """Tell whether two are of one market: one below the other, or a node its agent asked."""
    here, there = _line(trace, one), _line(trace, other)
    if one in there or other in here:
        return True
    return any(
        trace.role(line[0]) == GRID_NODE and set(line[1:2]) & set(opposite)
        for line, opposite in ((here, there), (there, here))
    )


def _line(trace: Trace, name: str | None) -> list[str | None]:
    """Give somebody with all that stand above: the agent, its aggregator, the clearing agent."""
    line, above = [name], agent_above(trace)
    while name in above and above[name] not in line:
        name = above[name]
        line.append(name)
    return line


@once
def agent_above(trace: Trace) -> dict[str | None, str | None]:
    """Give the agent that each one asked first, and of each grid node who asked it first."""
    above: dict[str | None, str | None] = {}
    for message in trace.requests:
        roles = trace.role(message.sender), trace.role(message.receiver)
        if roles[1] == GRID_NODE and roles[0] in AGENTS:
            above.setdefault(message.receiver, message.sender)
        elif roles[1] in AGENTS and roles[0] in (PARTICIPANT, AGGREGATOR):
            above.setdefault(message.sender, message.receiver)
    return above


@once
def _participants(trace: Trace) -> dict[str | None, str]:
    """Give the participants' names by subscriber id."""
    return {trace.scene.ids.get(name): name for name in reversed(protagonists(trace))}


@once
def _contracts(trace: Trace) -> dict[str | None, str]:
    """Give the protagonists by the contracts that they speak of themselves."""
    leads, found = protagonists(trace), dict[str | None, str]()
    for message in trace.beckn:
        deal = message.reading.deal
        lead = next((who for who in (message.sender, message.receiver) if who in leads), None)
        if deal is not None and deal.contract_id is not None and lead is not None:
            found.setdefault(deal.contract_id, lead)
    return found


@once
def offered_meters(trace: Trace) -> dict[str | None, str | None]:
    """Give the meters that participants have offered, each with who did."""
    return {
        offered.meter_id: message.sender
        for message in trace.of("init")
        if trace.role(message.sender) == PARTICIPANT and (offered := message.reading.contract)
    }


@once
def story(trace: Trace) -> dict[str, Chapter]:
    """Collect what was said, by participant, in the order in which it was said."""
    chapters = {
        name: Chapter(name, name not in buyers(trace))
        for name in (*trace.actors(PARTICIPANT), *buyers(trace))
    }
    for message in trace.beckn:
        name, contract = participant_of(trace, message), message.reading.contract
        roles = _part(trace, message.sender), _part(trace, message.receiver)
        if name not in chapters or contract is None:
            continue
        places = _PLACES if chapters[name].is_metered else _PLACES_OF_A_BUYER
        part = places.get(roles, {}).get(message.action)
        if part is None:
            continue
        if part == "settled" and contract.settlement is None:
            part = "news"
        if message.is_callback or accepted(message):
            getattr(chapters[name], part).append(Said(message, contract))
    return chapters


def _part(trace: Trace, actor: str | None) -> str | None:
    role = trace.role(actor)
    return AGENT if role == AGGREGATOR else role


_ASKED = {"init": "offered", "confirm": "repeated", "status": "repeated"}
_TOLD = {
    "on_init": "agreed",
    "on_confirm": "bound",
    "on_status": "settled",
    "on_update": "settled",
}
_PLACES: dict[tuple[str | None, str | None], dict[str, str]] = {
    (PARTICIPANT, AGENT): _ASKED,
    (AGENT, UTILITY): {
        "confirm": "lock_asked",
        "update": "lock_moved",
        "on_update": "carried_out",
    },
    (UTILITY, AGENT): {
        "on_init": "approved",
        "on_confirm": "locked",
        "on_status": "metered",
        "update": "commanded",
        "on_update": "relocked",
    },
    (AGENT, PARTICIPANT): _TOLD,
}
_PLACES_OF_A_BUYER: dict[tuple[str | None, str | None], dict[str, str]] = {
    (UTILITY, AGENT): _ASKED,
    (AGENT, UTILITY): _TOLD,
}
