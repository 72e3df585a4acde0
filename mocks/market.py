"""A pay-as-clear market as a scenario plays it: the cast, the run, the trace.

Belongs here: who takes part, in which phases they act, and what is handed to the
judge afterwards. Does not belong here: what is expected of them.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from gridwitness.errors import UserError
from gridwitness.mocks.actor import rest
from gridwitness.mocks.aggregator import Aggregator
from gridwitness.mocks.clearing_agent import ClearingAgent
from gridwitness.mocks.conduct import RIGHT
from gridwitness.mocks.draws import end_of
from gridwitness.mocks.grid_node import GridNode
from gridwitness.mocks.participant import MarketParticipant, Trader, Wish
from gridwitness.mocks.utility import Demand, Meter, Utility
from gridwitness.story import AGENT, AGGREGATOR, GRID_NODE, PARTICIPANT, UTILITY
from gridwitness.trace import Scene, Trace
from gridwitness.views import Charges, Interval

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping, Sequence

    from gridwitness.mocks.actor import Actor
    from gridwitness.mocks.conduct import Conduct
    from gridwitness.mocks.draws import Draws
    from gridwitness.mocks.grid_node import Place
    from gridwitness.mocks.sandbox import Sandbox
    from gridwitness.mocks.spoilt import Fault
    from gridwitness.registry import Record
    from gridwitness.trace import Step
    from gridwitness.views import Objective

    Phase = Callable[[Trader], Coroutine[None, None, bool]]

OPEN_CHARGES = Charges(
    currency="INR",
    wheeling_buyer_per_kwh=Decimal("0.025"),
    wheeling_seller_per_kwh=Decimal(0),
    penalty_per_kwh=Decimal("0.05"),
    penalty_band=Decimal("0.02"),
    rounding="HALF_UP",
    minor_unit=2,
)
"""What the utility charges unless a scenario says otherwise."""

BEFORE, AFTER = "before", "after"
"""When a participant cancels: it has confirmed in either case."""

LATE_S = 0.25
"""How long the last participant may keep the market waiting: time enough to clear too early."""


@dataclass(frozen=True)
class Below:
    """An aggregator as a scenario states it: under whom, and at which node those below stand."""

    above: str
    node: str | None = None


@dataclass(frozen=True)
class Cast:
    """Who takes part: participants by name, meters by id, and what is broken on purpose.

    objective: what the utility wants to buy, if anything; its interval is the market's.
    nodes and aggregators are given by name; agents names whom a participant trades with
    where that is no clearing agent; commands are in kW by participant, carried out in order.
    cancels: when a participant cancels, by its name: BEFORE or AFTER the market has cleared.
    last_confirms_late: the last participant waits a moment in which nothing may clear.
    patience scales every deadline that follows from a message's ttl.
    broken names the role that misbehaves and how; it is how defects are tried. Of the
    participants it is the one that takes their seat: the first honest one.
    spoilt is what is wrong, on purpose, with one message to the actor in the seat.
    """

    wishes: Mapping[str, Wish]
    meters: Mapping[str, Meter]
    duration_h: Fraction = Fraction(1)
    charges: Charges = OPEN_CHARGES
    objective: Objective | None = None
    last_confirms_late: bool = False
    cancels: Mapping[str, str] = field(default_factory=dict[str, str])
    nodes: Mapping[str, Place] = field(default_factory=dict[str, "Place"])
    aggregators: Mapping[str, Below] = field(default_factory=dict[str, Below])
    agents: Mapping[str, str] = field(default_factory=dict[str, str])
    commands: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    patience: float = 1.0
    broken: tuple[str, Conduct] | None = None
    spoilt: Fault | None = None

    def conduct(self, role: str) -> Conduct:
        return self.broken[1] if self.broken and self.broken[0] == role else RIGHT

    def first(self, role: str) -> str:
        """Give the name of the actor that takes a role's seat, and misbehaves in it."""
        named = {GRID_NODE: self.nodes, AGGREGATOR: self.aggregators}.get(role, ())
        return next(iter(named), self.subject if role == PARTICIPANT else role)

    def conduct_of(self, role: str, name: str) -> Conduct:
        return self.conduct(role) if name == self.first(role) else RIGHT

    @property
    def subject(self) -> str:
        """The participant that takes the participants' seat; UserError when none is honest."""
        for name, wish in self.wishes.items():
            if wish.fault is None:
                return name
        raise UserError(
            "nobody honest takes part",
            where="the market participants",
            mend="name one whose offer is not spoilt",
        )


def fresh_interval(draws: Draws, duration_h: Fraction) -> Interval:
    """Draw a delivery interval that no other market trades."""
    start = draws.delivery()
    return Interval(start=start.strftime("%Y-%m-%dT%H:%M:%SZ"), duration_h=duration_h)


def play(
    sandbox: Sandbox, scene: Scene, sequence: tuple[Step, ...], cast: Cast
) -> tuple[Trace, list[BaseException]]:
    """Play a market to its end; returns the trace, and what failed in our own code.

    Where a scene's subject is the market participant, it is the first honest one.

    The phases (discover, init, confirm, status) follow one another; within a phase
    all participants act at once. Whoever gets no answer that lets it go on, stops.
    """
    broken = None if cast.conduct(PARTICIPANT) is RIGHT else cast.subject
    subject = scene.subject and cast.first(scene.subject)
    wire = sandbox.wire
    recorder = wire.record()
    setting = replace(sandbox.setting, patience=cast.patience)
    interval = fresh_interval(setting.draws, cast.duration_h)
    objective = cast.objective and replace(cast.objective, interval=interval)
    meters = {
        name: replace(meter, node_id=_id(sandbox, meter.node_id))
        for name, meter in cast.meters.items()
    }
    utility = Utility(
        setting,
        UTILITY,
        sandbox.signer(UTILITY),
        meters,
        cast.charges,
        cast.conduct(UTILITY),
        objective and Demand(objective, scene.dialect),
    )
    participants = [
        MarketParticipant(
            setting,
            name,
            sandbox.signer(name),
            wish,
            scene.dialect,
            cast.conduct(PARTICIPANT) if name == broken else RIGHT,
        )
        for name, wish in cast.wishes.items()
    ]
    nodes = [
        GridNode(
            setting,
            name,
            sandbox.signer(name),
            place,
            _id(sandbox, place.parent),
            cast.conduct_of(GRID_NODE, name),
        )
        for name, place in cast.nodes.items()
    ]
    aggregators = [
        Aggregator(
            setting,
            name,
            sandbox.signer(name),
            _above(sandbox, below.above),
            _id(sandbox, below.node),
            cast.conduct_of(AGGREGATOR, name),
        )
        for name, below in cast.aggregators.items()
    ]
    actors: list[Actor] = [utility, *participants, *nodes, *aggregators]
    if sandbox.outsider is None:
        agent = ClearingAgent(setting, AGENT, sandbox.signer(AGENT), cast.conduct(AGENT))
        actors.append(agent)
    for actor in actors:
        actor.join()
    agent_id = sandbox.outsider.record.subscriber_id if sandbox.outsider else actors[-1].id
    record = sandbox.directory.here(agent_id)
    if record is None:
        raise AssertionError("the clearing agent has joined")
    roles = {actor.name: actor.role for actor in actors} | {AGENT: AGENT}
    ids = {actor.name: actor.id for actor in actors} | {AGENT: agent_id}
    uris = {actor.name: actor.uri for actor in actors} | {AGENT: record.url}
    if cast.spoilt is not None:
        to_a_participant = scene.seat == PARTICIPANT
        spoiler = actors[-1] if to_a_participant else participants[0]  # the agent comes last
        spoiler.spoils[ids[cast.subject if to_a_participant else AGENT]] = cast.spoilt
    agents = {name: sandbox.directory.here(ids[agent]) for name, agent in cast.agents.items()}
    try:
        records = {one.name: agents.get(one.name) or record for one in participants}
        wire.call(_run, participants, record, records, interval, utility, cast, scene.dialect)
        wire.call(rest, actors)
    finally:
        for actor in actors:
            wire.call(actor.leave)
    known = replace(scene, subject=subject, roles=roles, ids=ids, uris=uris, sequence=sequence)
    trace = Trace(known, recorder.messages())
    return trace, [defect for actor in actors for defect in actor.defects]


def _id(sandbox: Sandbox, name: str | None) -> str | None:
    """Give the subscriber id of an actor that is played."""
    return None if name is None else sandbox.signer(name).subscriber_id


def _above(sandbox: Sandbox, name: str) -> str:
    """Give the subscriber id of whom an aggregator sends its curve to."""
    if name == AGENT and sandbox.outsider is not None:
        return sandbox.outsider.record.subscriber_id
    return sandbox.signer(name).subscriber_id


async def _run(  # noqa: PLR0913 (who takes part, and when)
    participants: list[MarketParticipant],
    first: Record,
    agents: Mapping[str, Record],
    interval: Interval,
    utility: Utility,
    cast: Cast,
    dialect: str,
) -> None:
    """first: the clearing agent, with whom everybody trades who has no agent of its own."""
    leavers = [one for one in participants if cast.cancels.get(one.name) == BEFORE]
    gone = asyncio.Event()

    async def confirm(one: Trader) -> bool:
        agent = agents.get(one.name, first)
        if one in leavers:
            left = await one.commit(agent) and await one.cancel(agent)
            gone.set()
            return left
        if leavers:
            await gone.wait()
        if cast.last_confirms_late and one is participants[-1]:
            await utility.first_lock(within_s=LATE_S)
        return await one.confirm(agent)

    async def status(one: Trader) -> bool:
        agent = agents.get(one.name, first)
        if cast.cancels.get(one.name) == AFTER:
            await one.cancel(agent)  # refused: what has cleared stands
        one.setting.wire.clock.skip_to(end_of(interval))
        return await one.status(agent)

    offer: list[Phase] = [
        lambda one: one.discover(agents.get(one.name, first), interval),
        lambda one: one.init(agents.get(one.name, first), utility.id),
    ]
    # What is to be bought is known before anybody offers it.
    buyers = await _go_through(offer, [utility] if cast.objective else [])
    sellers = await _go_through(offer, list(participants))
    bound = await _go_through([confirm], [*sellers, *buyers])
    await _command(bound, agents, utility, cast, dialect)
    await _go_through([status], bound)


async def _go_through(phases: Sequence[Phase], traders: list[Trader]) -> list[Trader]:
    """Let traders act at once in each of some phases; gives those that got through all."""
    for phase in phases:
        went_on = await asyncio.gather(*(phase(one) for one in traders))
        traders = [one for one, on in zip(traders, went_on, strict=True) if on]
    return traders


async def _command(
    traders: Sequence[Trader],
    agents: Mapping[str, Record],
    utility: Utility,
    cast: Cast,
    dialect: str,
) -> None:
    """Have the grid operator command those who are left, one after the other."""
    for one in traders:
        if one.name in cast.commands:
            offset_kw, meter_id = cast.commands[one.name], one.wish.meter_id
            if meter_id is not None:
                await utility.command(agents[one.name], meter_id, offset_kw, dialect)
