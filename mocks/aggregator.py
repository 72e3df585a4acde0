"""An aggregator: an agent of one neighbourhood, or of a city of them, below a clearing agent.

Belongs here: sending one curve up for all that are below, and sharing out what comes back.
Does not belong here: everything it does like a clearing agent towards those below
(clearing agent), the arithmetic (reference_impl.grid).

To those below it is the agent of their market; to the one above it is one who offers a
curve. It knows the price only once it is told from above, so it clears nothing itself.
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from gridwitness.mocks.actor import CLEARING_TTL, Say, error
from gridwitness.mocks.clearing_agent import ClearingAgent, Market, in_grid, market_key
from gridwitness.mocks.conduct import RIGHT, Conduct
from gridwitness.reference_impl.clearing import ROOT
from gridwitness.reference_impl.curves import OfferError, OfferProblem
from gridwitness.reference_impl.grid import Grid, share_out, supply
from gridwitness.story import AGGREGATOR
from gridwitness.views import AggregationRequest, Gathered, Intent, OfferCurve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridwitness.mocks.actor import Setting
    from gridwitness.reference_impl import terms
    from gridwitness.reference_impl.clearing import Bid
    from gridwitness.reference_impl.curves import Curve
    from gridwitness.reference_impl.grid import GridClearing
    from gridwitness.signing import Signer
    from gridwitness.trace import Message
    from gridwitness.views import Interval

FINEST = 9
"""The decimals of a price or power that was computed, and is not whole."""


class Aggregator(ClearingAgent):
    """Plays an aggregator; node_id is where those stand who send it their curves."""

    role = AGGREGATOR

    def __init__(  # noqa: PLR0913 (an actor, and what an aggregator knows)
        self,
        setting: Setting,
        name: str,
        signer: Signer,
        above_id: str,
        node_id: str | None,
        conduct: Conduct = RIGHT,
    ) -> None:
        super().__init__(setting, name, signer, conduct)
        self._above_id = above_id
        self._node_id = node_id
        self._above: dict[tuple[str, str], str] = {}
        """By dialect and start: the transaction in which the one above has offered."""

    async def _offer(self, message: Message) -> None:
        intent = message.reading.intent
        if intent is None or intent.interval is None:
            await super()._offer(message)
            return
        dialect = message.dialect or ""
        key = market_key(dialect, intent.interval)
        async with self._market_at(dialect, intent.interval).lock:
            if key not in self._above:
                await self._look_above(key, Intent(interval=replace(intent.interval, at={})))
        if key in self._above:
            await super()._offer(message)
        else:
            await self.reply(message, error("BIZ_NO_RESULTS_FOUND", "nothing is offered above"))

    async def _look_above(self, key: tuple[str, str], intent: Intent) -> None:
        transaction_id = self.new_id()
        found = await self._ask_above("discover", Say(intent=intent), key[0], transaction_id)
        if found is not None and found.reading.offers:
            self._above[key] = transaction_id

    async def _ask_above(
        self, action: str, say: Say, dialect: str, transaction_id: str
    ) -> Message | None:
        record = await self.setting.directory.record(self._above_id)
        if record is None:
            return None
        return await self.ask(
            action, record, say, dialect=dialect, transaction_id=transaction_id, ttl=CLEARING_TTL
        )

    def _market_at(self, dialect: str, interval: Interval | None) -> Market:
        market = super()._market_at(dialect, interval)
        market.node = self._node_id or ROOT
        return market

    async def _find(self, market: Market, bids: list[Bid]) -> GridClearing:
        """Send one curve up for all, and share out the power that comes back.

        Raises OfferError where they cannot keep within their limits, or no result comes.
        """
        nodes, grid = {bid.node for bid in bids} - {ROOT}, Grid()
        if nodes:
            grid = self.conduct.grids((await self._look(market, nodes, upwards=False)).grid)
            bids = in_grid(bids, grid)
        whole = supply(bids, grid)
        if whole is None:
            raise _nothing("those below cannot keep within their limits")
        offered = Gathered(member_id=self.id, curve=_on_the_wire(whole))
        answer = await self._ask_above(
            "aggregate",
            Say(request=AggregationRequest(members=(offered,), interval=market.interval)),
            market.dialect,
            self._above[market_key(market.dialect, market.interval)],
        )
        result = answer.reading.result if answer else None
        mine = [one for one in result.setpoints if one.member_id == self.id] if result else []
        if result is None or not mine:
            raise _nothing("no result came from above")
        price = result.clearing_price_per_kwh
        local = price if result.local_price_per_kwh is None else result.local_price_per_kwh
        found = share_out(bids, grid, local or Decimal(0), mine[0].power_kw)
        return replace(found, price_per_kwh=price)

    def _rents(self, inputs: terms.Inputs) -> Mapping[str, Decimal]:
        """Leave none: all those below have one price; what differs is the price above."""
        del inputs
        return {}


def _nothing(text: str) -> OfferError:
    return OfferError(OfferProblem("E_LIMIT_INFEASIBLE", None, text))


def _on_the_wire(curve: Curve) -> OfferCurve:
    """Write a computed curve with decimals that a message can carry."""
    points = tuple(
        point._replace(price_per_kwh=_decimal(point[0]), power_kw=_decimal(point[1]))
        for point in curve.points
    )
    return OfferCurve(
        currency=curve.currency,
        min_export_kw=points[0].power_kw,
        max_export_kw=points[-1].power_kw,
        points=points,
    )


def _decimal(number: Decimal | Fraction) -> Decimal:
    whole = Decimal(round(Fraction(number) * 10**FINEST)).scaleb(-FINEST)
    return Decimal(f"{whole.normalize():f}")
