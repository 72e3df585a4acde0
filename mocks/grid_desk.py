"""What an agent that clears has to do with the nodes of a grid, for one market.

Belongs here: asking nodes what they are, booking what is to flow through them, asking at the end.
Does not belong here: the arithmetic (reference_impl.grid), the market itself (clearing agent).
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from gridwitness.dialects.grid import read_node_state, write_local_price, write_setpoint
from gridwitness.mocks.actor import Actor, Say
from gridwitness.reference_impl.clearing import ROOT
from gridwitness.reference_impl.grid import Grid, Node, load_adder
from gridwitness.story import AGENT
from gridwitness.views import Deal, Intent, Role

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gridwitness.reference_impl.grid import GridClearing
    from gridwitness.trace import Message
    from gridwitness.views import Interval, NodeState, Offer


class GridDesk:
    """The nodes that one agent has asked about one interval, and what it agreed with them."""

    def __init__(self, agent: Actor, dialect: str, interval: Interval) -> None:
        self._agent = agent
        self._dialect = dialect
        self._interval = replace(interval, at={})
        self._states: dict[str, NodeState] = {}
        self._offers: dict[str, Offer] = {}
        self._transactions: dict[str, str] = {}
        self._agreed: dict[str, Deal] = {}

    @property
    def grid(self) -> Grid:
        """The tree that was found; a node whose parent was not asked stands below the root."""
        nodes = {
            name: Node(
                state.parent_id if state.parent_id in self._states else ROOT,
                state.max_forward_kw,
                state.max_reverse_kw,
            )
            for name, state in self._states.items()
        }
        adders = {
            name: load_adder(state.load_percent, state.adder_per_percent)
            for name, state in self._states.items()
            if state.load_percent and state.adder_per_percent
        }
        return Grid(nodes, adders)

    async def look(self, node_ids: Iterable[str], *, upwards: bool) -> None:
        """Ask nodes what they are, and upwards those above; who does not answer is not there."""
        waiting = set(node_ids) - self._states.keys()
        while waiting:
            found = await asyncio.gather(*(self._look(one) for one in sorted(waiting)))
            above = {state.parent_id for state in found if state and state.parent_id}
            waiting = above - self._states.keys() if upwards else set()

    async def _look(self, node_id: str) -> NodeState | None:
        answer = await self._ask("discover", node_id, Say(intent=Intent(interval=self._interval)))
        for offer in answer.reading.offers if answer else ():
            state = read_node_state(offer)
            if state is not None and state.node_id == node_id:
                self._states[node_id], self._offers[node_id] = state, offer
                return state
        return None

    async def book(self, result: GridClearing, currency: str) -> bool:
        """Tell every node its flow and the price there; False unless all let it through."""
        booked = await asyncio.gather(*(self._book(n, result, currency) for n in self._states))
        return all(booked)

    async def _book(self, node_id: str, result: GridClearing, currency: str) -> bool:
        blocks = [write_setpoint(node_id, result.flows_kw.get(node_id, Decimal(0)))]
        if result.price_per_kwh is not None and node_id in result.node_prices:
            price = result.node_prices[node_id]
            above = result.node_prices.get(ROOT, result.price_per_kwh)
            blocks.append(write_local_price(above, price, currency))
        offered = self._offers[node_id].deal or Deal()
        asked = replace(
            offered,
            contract_id=self._new_id(),
            offer_id=self._offers[node_id].offer_id,
            provider_id=node_id,
            customer_id=self._agent.id,
            roles=tuple(
                Role(name=role.name, holder_id=self._agent.id if role.name == AGENT else node_id)
                for role in offered.roles
            ),
            blocks=tuple(blocks),
            at={},
        )
        answer = await self._ask("confirm", node_id, Say(deal=asked))
        agreed = answer.reading.deal if answer else None
        if agreed is None or agreed.status != "ACTIVE":
            return False
        self._agreed[node_id] = replace(asked, status="ACTIVE")
        return True

    async def close(self) -> None:
        """Ask every node how its contract ended."""
        agreed = self._agreed.items()
        await asyncio.gather(*(self._ask("status", node, Say(deal=deal)) for node, deal in agreed))

    def _new_id(self) -> str:
        return self._agent.new_id()

    async def _ask(self, action: str, node_id: str, say: Say) -> Message | None:
        record = await self._agent.setting.directory.record(node_id)
        if record is None:
            return None
        transaction_id = self._transactions.setdefault(node_id, self._new_id())
        return await self._agent.ask(
            action, record, say, dialect=self._dialect, transaction_id=transaction_id
        )
