"""A market participant: offers a curve, commits to it or cancels, asks how it ended.

Belongs here: the questions that whoever trades asks a clearing agent. Does not
belong here: when to ask them; that is the market's business (market).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from gridwitness.mocks.actor import CLEARING_TTL, TTL, Actor, Say
from gridwitness.mocks.conduct import RIGHT, Conduct
from gridwitness.views import EnergyContract, Intent, Interval, OfferCurve

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridwitness.mocks.actor import Setting
    from gridwitness.mocks.spoilt import Fault
    from gridwitness.registry import Record
    from gridwitness.signing import Signer
    from gridwitness.trace import Message
    from gridwitness.views import Block, Charges, Reading


@dataclass(frozen=True)
class Wish:
    """What a participant brings to one market.

    fault spoils its init on purpose; the participant then offers nothing else.
    meter_id is None for a grid operator, which trades no energy of its own; it states its
    objective in a block, and the charges that it asks of the others.
    """

    meter_id: str | None
    curve: OfferCurve
    fault: Fault | None = None
    blocks: tuple[Block, ...] = ()
    charges: Charges | None = None


class Trader(Actor):
    """Takes part in one market; `contract` is what is agreed so far."""

    def __init__(  # noqa: PLR0913 (an actor, and what a participant knows)
        self,
        setting: Setting,
        name: str,
        signer: Signer,
        wish: Wish,
        dialect: str,
        conduct: Conduct = RIGHT,
    ) -> None:
        super().__init__(setting, name, signer, conduct)
        self.wish = wish
        self.contract: EnergyContract | None = None
        self._dialect = dialect
        self._transaction_id = self.new_id()

    async def discover(self, agent: Record, interval: Interval) -> bool:
        """Look for an offer to trade in an interval; False when there is none."""
        if "discover" in self.conduct.leaves_out:
            self.contract = EnergyContract(
                status="PENDING",
                participant_id=self.id,
                clearing_agent_id=agent.subscriber_id,
                meter_id=self.wish.meter_id,
                interval=interval,
            )
            return True
        found = await self._ask("discover", agent, Say(intent=Intent(interval=interval)))
        for offer in found.offers if found else ():
            if offer.pricing_model == "PAY_AS_CLEAR" and offer.interval is not None:
                self.contract = EnergyContract(
                    status="PENDING",
                    offer_id=offer.offer_id,
                    participant_id=self.id,
                    clearing_agent_id=offer.clearing_agent_id or agent.subscriber_id,
                    meter_id=self.wish.meter_id,
                    interval=offer.interval,
                    charges=offer.charges,
                )
                return True
        return False

    async def init(self, agent: Record, grid_operator_id: str) -> bool:
        """Offer the curve; False unless the agent answers with an approved limit."""
        if self.contract is None:
            return False
        offered = replace(
            self.contract,
            contract_id=self.new_id(),
            grid_operator_id=grid_operator_id,
            curve=self.wish.curve,
            blocks=self.wish.blocks,
            charges=self.wish.charges or self.contract.charges,
        )
        answer = await self._ask("init", agent, Say(contract=offered), self.wish.fault)
        agreed = answer.contract if answer else None
        if agreed is None or self.wish.fault is not None:
            return False
        if agreed.approval is None and self.wish.meter_id is not None:
            return False
        self.contract = replace(offered, approval=agreed.approval, charges=agreed.charges)
        return True

    async def confirm(self, agent: Record) -> bool:
        """Commit to the curve and wait for the market to clear; False unless it binds."""
        answer = await self._ask("confirm", agent, Say(contract=self.contract), ttl=CLEARING_TTL)
        bound = answer.contract if answer else None
        if self.contract is None or bound is None or bound.clearing is None:
            return False
        self.contract = replace(self.contract, clearing=bound.clearing, status=bound.status)
        return True

    async def commit(self, agent: Record) -> bool:
        """Commit to the curve without waiting for the market; False when that is refused."""
        say = Say(contract=self.contract)
        transaction_id, dialect = self._transaction_id, self._dialect
        return await self.tell(
            "confirm", agent, say, dialect=dialect, transaction_id=transaction_id, ttl=CLEARING_TTL
        )

    async def cancel(self, agent: Record) -> bool:
        """Withdraw from the market; False unless the agent answers that the contract has ended."""
        answer = await self._ask("cancel", agent, Say(contract=self.contract))
        ended = answer.contract if answer else None
        if self.contract is None or ended is None or ended.status != "TERMINATED":
            return False
        self.contract = replace(self.contract, status=ended.status)
        return True

    async def status(self, agent: Record) -> bool:
        """Ask how the trade ended; False unless the answer settles it."""
        answer = await self._ask("status", agent, Say(contract=self.contract), until=_settles)
        return answer is not None and answer.contract is not None

    async def _ask(  # noqa: PLR0913 (what is asked, of whom, and how)
        self,
        action: str,
        agent: Record,
        say: Say,
        fault: Fault | None = None,
        *,
        ttl: str = TTL,
        until: Callable[[Message], bool] | None = None,
    ) -> Reading | None:
        if action in self.conduct.leaves_out:
            return None
        message = await self.ask(
            action,
            agent,
            say,
            dialect=self._dialect,
            transaction_id=self._transaction_id,
            fault=fault,
            ttl=ttl,
            until=until,
        )
        return message.reading if message else None


class MarketParticipant(Trader):
    """Plays one participant of one market."""

    role = "market participant"
    side = "BAP"


def _settles(message: Message) -> bool:
    """Tell whether a callback ends the wait: it settles, or it says why not."""
    contract, error = message.reading.contract, message.reading.error
    ended = contract is not None and contract.status == "TERMINATED"
    return error is not None or ended or (contract is not None and contract.settlement is not None)
