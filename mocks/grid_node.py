"""A grid node: a transformer that tells its limits and its load, and lets a flow through.

Belongs here: what one node knows of itself, and which flow it accepts. Does not belong
here: what a market makes of it (clearing agent), arithmetic (reference_impl.grid).

Its subscriber id is its node id, and that of the node above it leads up the tree: whoever
knows where a meter stands can ask the whole path.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from decimal import Decimal
from typing import TYPE_CHECKING

from gridwitness.acks import Refusal
from gridwitness.dialects.grid import read_setpoint_kw, write_node_state
from gridwitness.mocks.actor import Actor, Say, error
from gridwitness.mocks.conduct import RIGHT, Conduct
from gridwitness.reference_impl.grid import load_adder
from gridwitness.story import AGENT, GRID_NODE
from gridwitness.views import Deal, NodeState, Offer, Role

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

    from gridwitness.mocks.actor import Setting
    from gridwitness.signing import Signer
    from gridwitness.trace import Message

CURRENCY = "INR"


@dataclass(frozen=True)
class Place:
    """A node as a scenario states it: its parent's name, limits in kW, load and prices.

    parent is None below the root; None is no limit, and no adder.
    """

    parent: str | None = None
    max_forward_kw: Decimal | None = None
    max_reverse_kw: Decimal | None = None
    load_percent: Decimal = Decimal(0)
    base_price: Decimal = Decimal(0)
    adder_per_percent: Decimal = Decimal(0)

    def state(self, node_id: str, parent_id: str | None) -> NodeState:
        """Give what it tells of itself under its id."""
        adder = load_adder(self.load_percent, self.adder_per_percent)
        return NodeState(
            node_id=node_id,
            parent_id=parent_id,
            max_forward_kw=self.max_forward_kw,
            max_reverse_kw=self.max_reverse_kw,
            base_price=self.base_price,
            load_percent=self.load_percent,
            adder_per_percent=self.adder_per_percent,
            price=self.base_price + adder,
        )


class GridNode(Actor):
    """Plays one node of a grid."""

    role = GRID_NODE
    side = "BPP"

    def __init__(  # noqa: PLR0913 (an actor, and what a node knows)
        self,
        setting: Setting,
        name: str,
        signer: Signer,
        place: Place,
        parent_id: str | None,
        conduct: Conduct = RIGHT,
    ) -> None:
        super().__init__(setting, name, signer, conduct)
        self.state = place.state(self.id, parent_id)

    def handlers(self) -> Mapping[str, Callable[[Message], Coroutine[None, None, None]]]:
        return {"discover": self._tell, "confirm": self._let_through, "status": self._report}

    def objections(self, message: Message) -> Iterator[tuple[str, Refusal]]:
        reading = message.reading
        lacks = reading.intent is None if message.action == "discover" else reading.deal is None
        if lacks:
            text = "no interval, or no contract"
            yield "says too little", Refusal(400, "SCH_REQUIRED_FIELD_MISSING", text)

    async def _tell(self, message: Message) -> None:
        intent = message.reading.intent
        if intent is None or intent.interval is None:
            await self.reply(message, error("BIZ_NO_RESULTS_FOUND", "name the interval"))
            return
        interval = replace(intent.interval, at={})
        offer = Offer(
            offer_id=f"flow-{interval.start}",
            provider_id=self.id,
            pricing_model=None,
            clearing_agent_id=None,
            interval=interval,
            charges=None,
            deal=Deal(
                status="PENDING",
                resource_id=self.id,
                interval=interval,
                roles=(Role(name=GRID_NODE, holder_id=self.id), Role(name=AGENT)),
            ),
            blocks=write_node_state(self.state, CURRENCY),
        )
        await self.reply(message, Say(offers=(offer,)))

    async def _let_through(self, message: Message) -> None:
        deal = message.reading.deal
        flow_kw = read_setpoint_kw(deal) if deal else None
        if deal is None or flow_kw is None:
            await self.reply(message, error("BIZ_ORDER_NOT_FOUND", "no flow is named"))
            return
        forward_kw, reverse_kw = self.state.max_forward_kw, self.state.max_reverse_kw
        too_much = (forward_kw is not None and -flow_kw > forward_kw) or (
            reverse_kw is not None and flow_kw > reverse_kw
        )
        if too_much or self.conduct.refuses_flows:
            text = f"{flow_kw} kW do not go through"
            await self.reply(message, error("BIZ_QUANTITY_UNAVAILABLE", text))
            return
        await self.reply(message, Say(deal=replace(deal, status="ACTIVE")))

    async def _report(self, message: Message) -> None:
        if message.reading.deal is not None:
            done = replace(message.reading.deal, status="COMPLETED")
            await self.reply(message, Say(deal=done))
