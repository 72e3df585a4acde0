"""The clearing agent: gathers curves, clears the market, binds and settles the trades.

Belongs here: the agent's part of a pay-as-clear market, built on reference_impl.
Does not belong here: the arithmetic itself.

It is a BPP to the participants and a BAP to the utility. A market is one interval
in one dialect. It clears when everyone whose offer was approved has confirmed, or some
time after the first of them has. Until then a participant may cancel: it is withdrawn and
the market clears without it; afterwards a cancel is refused, for the others' trades rest
on it.

A grid operator may take part as the one who buys less load: it states an objective, which is
shown to whoever looks for an offer. Its bid needs neither approval nor lock nor meter.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from gridwitness.acks import Refusal
from gridwitness.dialects.flexibility import OBJECTIVE, objective_in
from gridwitness.dialects.grid import (
    read_command,
    read_node_id,
    read_setpoint_kw,
    write_command,
    write_node_id,
    write_setpoint,
)
from gridwitness.mocks.actor import Actor, Say, error
from gridwitness.mocks.conduct import RIGHT, Conduct
from gridwitness.mocks.grid_desk import GridDesk
from gridwitness.reduction import counted_kwh, in_utc
from gridwitness.reference_impl import settlement, terms
from gridwitness.reference_impl.clearing import ROOT, Bid
from gridwitness.reference_impl.curves import OfferError, apportion
from gridwitness.reference_impl.grid import Grid, GridClearing, clear_grid, command_offsets
from gridwitness.reference_impl.rounding import rounded
from gridwitness.views import (
    AggregationResult,
    Bill,
    Block,
    Charges,
    ClearingResult,
    Command,
    EnergyContract,
    MemberSetpoint,
    MeterReading,
    Offer,
    Part,
    Position,
    RevenueFlow,
    SettlementReport,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator, Mapping

    from gridwitness.mocks.actor import Setting
    from gridwitness.signing import Signer
    from gridwitness.trace import Message
    from gridwitness.views import Block, Interval

FEE_PER_KWH = Decimal("0.01")
STEP_KW = Decimal("0.001")
"""Setpoints are whole steps of this."""
FINEST_KWH = 6
"""The decimals of a billed quantity, where hours do not divide it."""
BILLED = {
    "ENERGY": ("UNIT", "Energy at the clearing price"),
    "FEE": ("FEE", "Market making fee"),
    "WHEELING": ("FEE", "Wheeling charge"),
    "DEVIATION_PENALTY": ("SURCHARGE", "Penalty on the deviation"),
    "IMBALANCE_SHORT": ("SURCHARGE", "Missing energy, bought of the grid operator"),
    "IMBALANCE_LONG": ("DISCOUNT", "Energy left over, sold to the grid operator"),
    "UPLIFT": ("FEE", "Made good by the grid operator"),
}
"""How each kind of payment is called on a bill."""
GATE_S = 15.0
"""How long after the first confirm it waits for the others: half of what a participant waits."""


@dataclass
class Entry:
    """One participant of one market: what is agreed, and the message to answer next."""

    contract: EnergyContract
    transaction_id: str
    """The agent's own transaction with the utility."""
    confirm: Message | None = None
    withdrawn: bool = False
    reading: MeterReading | None = None
    told: tuple[Block, ...] = ()
    """What the utility tells beside the reading: a baseline, a command that was carried out."""

    @property
    def participant(self) -> str:
        return self.contract.participant_id or ""

    @property
    def is_metered(self) -> bool:
        """Whether there is a meter to approve, to lock and to read."""
        return self.contract.meter_id is not None

    @property
    def metered_kwh(self) -> Decimal | None:
        """What counts as metered: of less load, how much less than the baseline was drawn."""
        read = (self.reading,) if self.reading else ()
        return counted_kwh(replace(self.contract, readings=read, blocks=self.told))


@dataclass
class Market:
    """One interval in one dialect."""

    dialect: str
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    cleared: bool = False
    gate: asyncio.TimerHandle | None = None
    """When it clears without those who have not confirmed."""
    objective: Block | None = None
    inputs: terms.Inputs | None = None
    """What is settled, once all meters are read."""
    flows: list[terms.Flow] | None = None
    rents: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    """What each contract leaves for the grid operator, where prices differ."""
    node: str = ROOT
    """Where those stand who sent their curves up."""
    desk: GridDesk | None = None
    """What it has to do with the grid, once somebody is known to stand at a node."""
    interested: set[str | None] = field(default_factory=set["str | None"])
    """Who has looked for an offer, by subscriber id."""
    members: dict[str, Message] = field(default_factory=dict[str, "Message"])
    """The curves that were sent up, each by the subscriber id of who sent them."""
    commands: dict[str, Decimal] = field(default_factory=dict[str, Decimal])
    """What the grid operator has commanded so far, in kW by participant."""
    uplift: Mapping[str, Decimal] = field(default_factory=dict[str, Decimal])
    """What those are owed who were commanded off their curve, in whole minor units."""

    @property
    def active(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if not entry.withdrawn]

    @property
    def committed(self) -> list[Entry]:
        return [entry for entry in self.active if entry.confirm is not None]

    @property
    def bound(self) -> list[Entry]:
        return [entry for entry in self.active if entry.contract.clearing is not None]

    @property
    def interval(self) -> Interval:
        """What is traded; there is no market before somebody has offered for it."""
        offered = [entry.contract.interval for entry in self.entries.values()]
        asked = [one.reading.request for one in self.members.values()]
        for interval in (*offered, *(request.interval for request in asked if request)):
            if interval is not None:
                return interval
        raise AssertionError("a market is looked for by its interval")


class ClearingAgent(Actor):
    """Plays the clearing agent."""

    role = "clearing agent"
    side = "BPP"

    def __init__(
        self, setting: Setting, name: str, signer: Signer, conduct: Conduct = RIGHT
    ) -> None:
        super().__init__(setting, name, signer, conduct)
        self._markets: dict[tuple[str, str], Market] = {}
        self._offered: set[str] = set()
        """The ids of what was offered."""

    def handlers(self) -> Mapping[str, Callable[[Message], Coroutine[None, None, None]]]:
        return {
            "discover": self._offer,
            "init": self._approve,
            "confirm": self._commit,
            "cancel": self._withdraw,
            "status": self._settle,
            "aggregate": self._gather,
            "update": self._command,
        }

    # -- offers ---------------------------------------------------------------------

    async def _offer(self, message: Message) -> None:
        intent = message.reading.intent
        if intent is None or intent.interval is None:
            await self.reply(message, error("BIZ_NO_RESULTS_FOUND", "name the interval to trade"))
            return
        offer = Offer(
            offer_id=_offer_id(intent.interval),
            provider_id=self.id,
            pricing_model="PAY_AS_CLEAR",
            clearing_agent_id=self.id,
            interval=intent.interval,
            charges=Charges(currency="INR", fee_per_kwh=FEE_PER_KWH),
            blocks=self._shown(message.dialect or "", intent.interval),
        )
        self._offered.add(offer.offer_id)
        market = self._market_at(message.dialect or "", intent.interval)
        market.interested.add(message.reading.envelope.bap_id)
        await self.reply(message, Say(offers=(offer,)))

    def _shown(self, dialect: str, interval: Interval) -> tuple[Block, ...]:
        """Give what is bought in a market, if anything, as an offer shows it."""
        market = self._markets.get(market_key(dialect, interval))
        sought = market.objective if market else None
        return (replace(sought, slot="offer", at={}),) if sought else ()

    def objections(self, message: Message) -> Iterator[tuple[str, Refusal]]:
        contract = message.reading.contract
        if message.action == "discover":
            return
        if message.action == "aggregate":
            yield from self._objections_to_curves(message)
            return
        if contract is None or contract.participant_id is None or contract.interval is None:
            text = "no participant or no interval"
            yield "says too little", Refusal(400, "SCH_REQUIRED_FIELD_MISSING", text)
            return
        if message.action == "init":
            yield from self._objections_to_offer(contract)
            return
        market = self._market(message)
        entry = market.entries.get(contract.participant_id)
        if entry is None:
            text = "no offer of this participant is approved"
            yield "no offer", Refusal(400, "BIZ_ORDER_NOT_FOUND", text)
        elif contract.contract_id != entry.contract.contract_id:
            text = "no such contract of this participant"
            yield "unknown contract", Refusal(400, "BIZ_ORDER_NOT_FOUND", text)
        elif message.action == "confirm" and contract.curve is None:
            text = "a confirm needs the curve"
            yield "says too little", Refusal(400, "SCH_REQUIRED_FIELD_MISSING", text)
        elif message.action == "update" and read_command(contract) is None:
            text = "nothing is commanded"
            yield "says too little", Refusal(400, "SCH_REQUIRED_FIELD_MISSING", text)
        elif message.action != "status" and (refusal := _refuses_change(message, market, entry)):
            yield "comes too late", refusal

    def _objections_to_offer(self, contract: EnergyContract) -> Iterator[tuple[str, Refusal]]:
        curve = contract.curve
        whose = contract.meter_id or objective_in(contract.blocks)
        if curve is None or whose is None or contract.grid_operator_id is None:
            text = "an offer needs a curve, a meter and its utility"
            yield "says too little", Refusal(400, "SCH_REQUIRED_FIELD_MISSING", text)
            return
        if contract.offer_id is not None and contract.offer_id not in self._offered:
            text = "nothing was offered under this id"
            yield "unknown offer", Refusal(400, "BIZ_OFFER_NOT_FOUND", text)
        if self.conduct.refuses_bad_offers:
            for problem in curve.problems():
                yield "no curve", Refusal(400, "SCH_SCHEMA_VALIDATION_FAILED", problem.message)

    def _objections_to_curves(self, message: Message) -> Iterator[tuple[str, Refusal]]:
        request = message.reading.request
        if request is None or request.interval is None or not request.members:
            text = "no curves, or no interval"
            yield "says too little", Refusal(400, "SCH_REQUIRED_FIELD_MISSING", text)
            return
        if self._market_at(message.dialect or "", request.interval).cleared:
            yield "comes too late", Refusal(400, "BIZ_GENERIC_ERROR", "the market has cleared")
        for problem in (p for one in request.members for p in one.curve.problems()):
            yield "no curve", Refusal(400, "SCH_SCHEMA_VALIDATION_FAILED", problem.message)

    # -- approval -------------------------------------------------------------------

    async def _approve(self, message: Message) -> None:
        offered = message.reading.contract
        if offered is None or offered.curve is None or offered.interval is None:
            return
        offer_id = offered.offer_id or _offer_id(offered.interval)
        agreed = replace(offered, clearing_agent_id=self.id, offer_id=offer_id, charges=None, at={})
        entry = Entry(agreed, self.new_id())
        if not entry.is_metered:
            await self._take_objective(message, entry)
            return
        question = replace(
            entry.contract,
            curve=None,
            requested_kw=max(abs(offered.curve.min_export_kw), abs(offered.curve.max_export_kw)),
        )
        granted = await self._ask_utility("init", entry, question, message.dialect or "")
        if granted is None or granted.approval is None:
            await self.reply(message, error("BIZ_GENERIC_ERROR", "the utility did not approve"))
            return
        charges = granted.charges or Charges(currency=offered.curve.currency or "")
        entry.contract = replace(
            entry.contract,
            approval=replace(granted.approval, at={}),
            charges=replace(charges, fee_per_kwh=FEE_PER_KWH, at={}),
            blocks=tuple(replace(block, at={}) for block in granted.blocks),
        )
        if self.conduct.asks_status_too_early:
            await self._ask_utility("status", entry, question, message.dialect or "")
        self._market(message).entries[entry.participant] = entry
        await self.reply(message, Say(contract=entry.contract))

    async def _take_objective(self, message: Message, entry: Entry) -> None:
        """Let a grid operator buy; it states the charges itself, whose utility it is."""
        contract, market = entry.contract, self._market(message)
        stated = message.reading.contract
        charges = (stated.charges if stated else None) or Charges(currency="")
        entry.contract = replace(contract, charges=replace(charges, fee_per_kwh=FEE_PER_KWH, at={}))
        market.objective = next((b for b in contract.blocks if b.name == OBJECTIVE), None)
        market.entries[entry.participant] = entry
        await self.reply(message, Say(contract=entry.contract))

    async def _ask_utility(
        self, action: str, entry: Entry, question: EnergyContract, dialect: str
    ) -> EnergyContract | None:
        utility = await self.setting.directory.record(question.grid_operator_id or "")
        if utility is None:
            return None
        answer = await self.ask(
            action,
            utility,
            Say(contract=question),
            dialect=dialect,
            transaction_id=entry.transaction_id,
        )
        return answer.reading.contract if answer else None

    # -- clearing -------------------------------------------------------------------

    async def _commit(self, message: Message) -> None:
        market = self._market(message)
        contract = message.reading.contract
        entry = market.entries[(contract.participant_id if contract else None) or ""]
        if entry.confirm is not None:
            return  # the commitment stands, and its answer will come
        entry.confirm = message
        if market.cleared:
            await self.reply(message, error("BIZ_GENERIC_ERROR", "the market has cleared already"))
        else:
            await self._clear_when_ready(market)

    async def _withdraw(self, message: Message) -> None:
        market, contract = self._market(message), message.reading.contract
        entry = market.entries[(contract.participant_id if contract else None) or ""]
        ended = replace(entry.contract, status="TERMINATED")
        if not self.conduct.forgets_cancellations:
            entry.contract, entry.withdrawn = ended, True
        await self.reply(message, Say(contract=ended))
        if not market.cleared:
            await self._clear_when_ready(market)

    async def _clear_when_ready(self, market: Market) -> None:
        if not market.committed and not market.members:
            return
        everyone = len(market.committed) == len(market.active)
        if market.members:
            heard = {*market.members, *(entry.participant for entry in market.committed)}
            everyone = everyone and market.interested <= heard
        if everyone or not self.conduct.waits_for_all:
            await self._close(market)
        else:
            self._open_gate(market)

    def _open_gate(self, market: Market) -> None:
        if market.gate is None:
            wait_s = GATE_S * self.setting.patience
            loop = asyncio.get_running_loop()
            market.gate = loop.call_later(wait_s, lambda: self._spawn(self._close(market)))

    async def _close(self, market: Market) -> None:
        """Clear with those who have confirmed; who confirms later is too late."""
        if market.gate is not None:
            market.gate.cancel()
        market.cleared = True
        await self._clear(market, market.committed)

    async def leave(self) -> None:
        for market in self._markets.values():
            if market.gate is not None:
                market.gate.cancel()
        await super().leave()

    async def _clear(self, market: Market, committed: list[Entry]) -> None:
        bids = [*map(self._bid, committed), *_gathered(market)]
        try:
            result = await self._find(market, bids)
        except OfferError as problem:
            await self._tell_all(market, committed, "BIZ_GENERIC_ERROR", str(problem))
            return
        if not result.cleared:
            text = "no price balances the market"
            await self._tell_all(market, committed, "BIZ_GENERIC_ERROR", text)
            return
        currency = bids[0].curve.currency if bids else ""
        booked = market.desk is None or await market.desk.book(result, currency)
        if not booked and not self.conduct.books_refused_flows:
            text = "a flow does not go through"
            await self._tell_all(market, committed, "BIZ_GENERIC_ERROR", text)
            return
        await self._pass_down(market, result, currency)
        for entry in committed:
            entry.contract = _cleared(entry.contract, result)
        if self.conduct.binds_before_lock:
            await self._bind(committed)
        for _ in range(self.conduct.locks):
            locks = await asyncio.gather(
                *(self._lock(entry, market) for entry in committed if entry.is_metered)
            )
            if not all(locks) and not self.conduct.binds_refused_locks:
                text = "a trade was not locked"
                await self._tell_all(market, committed, "BIZ_GENERIC_ERROR", text)
                return
        if not self.conduct.binds_before_lock:
            await self._bind(committed)

    def _bid(self, entry: Entry) -> Bid:
        offered, approval = entry.contract.curve, entry.contract.approval
        if offered is None or (approval is None and entry.is_metered):
            raise AssertionError("an entry is made when its offer is approved")
        heeded = approval if self.conduct.heeds_approval else None
        limit_kw = heeded.approved_max_trade_kw if heeded else None
        sought = objective_in(entry.contract.blocks)
        if sought is not None and not self.conduct.buys_whole_target:
            limit_kw = sought.target_kw / 2
        node = read_node_id(entry.contract) or ROOT
        return Bid(entry.participant, offered.curve(), limit_kw, node)

    async def _find(self, market: Market, bids: list[Bid]) -> GridClearing:
        """Clear within the limits of the nodes at which somebody stands, as they are now."""
        nodes = {bid.node for bid in bids} - {ROOT}
        if not nodes or not self.conduct.asks_nodes:
            bids = [replace(bid, node=ROOT) for bid in bids]
            return clear_grid(bids, Grid())
        grid = self.conduct.grids((await self._look(market, nodes, upwards=True)).grid)
        return clear_grid(in_grid(bids, grid), grid)

    async def _look(self, market: Market, nodes: set[str], *, upwards: bool) -> GridDesk:
        if market.desk is None:
            market.desk = GridDesk(self, market.dialect, market.interval)
        await market.desk.look(nodes, upwards=upwards)
        return market.desk

    async def _pass_down(self, market: Market, result: GridClearing, currency: str) -> None:
        """Answer those who sent curves up: the price, and the power of each curve."""
        for message in market.members.values():
            request = message.reading.request
            setpoints = tuple(
                MemberSetpoint(
                    member_id=one.member_id, power_kw=result.power_kw.get(one.member_id, Decimal(0))
                )
                for one in (request.members if request else ())
            )
            told = AggregationResult(
                clearing_price_per_kwh=result.price_per_kwh,
                local_price_per_kwh=result.node_prices.get(market.node),
                setpoints=setpoints,
                currency=currency or None,
            )
            await self.reply(message, Say(result=told))

    async def _lock(self, entry: Entry, market: Market) -> bool:
        clearing = entry.contract.clearing
        if clearing is None:
            return False
        question = _for_the_utility(entry.contract)
        granted = await self._ask_utility("confirm", entry, question, market.dialect)
        return granted is not None and granted.status == "ACTIVE"

    async def _bind(self, committed: list[Entry]) -> None:
        for entry in committed:
            entry.contract = replace(entry.contract, status="ACTIVE")
            if entry.confirm is not None:
                await self.reply(entry.confirm, Say(contract=entry.contract))

    async def _tell_all(self, market: Market, committed: list[Entry], code: str, text: str) -> None:
        for message in market.members.values():
            await self.reply(message, error(code, text))
        for entry in committed:
            if entry.confirm is not None:
                await self.reply(entry.confirm, error(code, text))

    # -- commands of the grid operator ------------------------------------------------

    async def _command(self, message: Message) -> None:
        """Move whom the grid operator commands, and others so that the balance holds."""
        market, contract = self._market(message), message.reading.contract
        command = read_command(contract) if contract else None
        name = (contract.participant_id if contract else None) or ""
        if command is None or market.entries[name].contract.clearing is None:
            await self.reply(message, error("BIZ_ORDER_NOT_FOUND", "nothing is traded yet"))
            return
        commands = market.commands | {name: command.offset_kw}
        try:
            moved = self._moved(market, commands)
        except OfferError as problem:
            await self.reply(message, error("BIZ_UPDATE_INCONSISTENT", str(problem)))
            return
        market.commands = commands
        for entry in moved:
            question = _for_the_utility(entry.contract)
            if self.conduct.relocks:
                await self._ask_utility("update", entry, question, market.dialect)
            if entry.confirm is not None:
                await self.announce("on_update", entry.confirm, Say(contract=entry.contract))
        done = _for_the_utility(market.entries[name].contract)
        await self.reply(message, Say(contract=done))

    def _moved(self, market: Market, commands: Mapping[str, Decimal]) -> list[Entry]:
        """Give everyone the power that the commands lead to; returns whom they move.

        Raises OfferError for a command that cannot be carried out.
        """
        bids = {entry.participant: self._bid(entry) for entry in market.bound}
        cleared = {entry.participant: entry.contract.clearing for entry in market.bound}
        price_at = {n: Fraction((c and c.own_price_per_kwh) or 0) for n, c in cleared.items()}
        powers = {n: c.cleared_power_kw for n, c in cleared.items() if c is not None}
        found = command_offsets(list(bids.values()), price_at, powers, commands)
        setpoints = apportion(found.power_kw, STEP_KW)
        moved: list[Entry] = []
        uplift: dict[str, Decimal] = {}
        for entry in market.bound:
            name, setpoint_kw = entry.participant, setpoints[entry.participant]
            charges, interval = entry.contract.charges, entry.contract.interval
            if name in found.uplift_per_h and charges is not None and interval is not None:
                owed = found.uplift_per_h[name] * interval.duration_h
                agreed = charges.terms()
                uplift[name] = rounded(owed, agreed.rounding, agreed.minor_unit)
            idle = setpoint_kw == read_setpoint_kw(entry.contract)
            if idle or not (name in commands or self.conduct.moves_others):
                continue
            blocks = [b for b in entry.contract.blocks if b.name == "gridNode"]
            blocks.append(write_setpoint(name, setpoint_kw))
            if name in commands:
                off_curve = name in found.uplift_per_h
                blocks.append(
                    write_command(Command(offset_kw=commands[name], is_redispatch=off_curve))
                )
            entry.contract = replace(entry.contract, blocks=tuple(blocks))
            moved.append(entry)
        market.uplift = uplift
        return moved

    # -- settlement -----------------------------------------------------------------

    async def _settle(self, message: Message) -> None:
        market, contract = self._market(message), message.reading.contract
        entry = market.entries[(contract.participant_id if contract else None) or ""]
        if entry.contract.status == "TERMINATED":
            await self.reply(message, Say(contract=entry.contract))
            return
        async with market.lock:
            if market.flows is None:
                market.flows = await self._settle_market(market)
        is_read = entry.reading is not None or not entry.is_metered
        if market.flows is None or market.inputs is None or not is_read:
            await self.reply(message, error("BIZ_GENERIC_ERROR", "the trade is not settled yet"))
            return
        own = [flow for flow in market.flows if self._is_of(entry, flow)]
        own += _owed_by_the_grid_operator(market, entry)
        bill = _bill(entry, own, settlement.settled_kwh(market.inputs)[entry.participant])
        remitted = sum((flow.amount for flow in own if flow.kind == "WHEELING"), Decimal(0))
        if remitted:
            utility = entry.contract.grid_operator_id or ""
            own.append(terms.Flow(self.id, utility, "WHEELING_REMIT", remitted))
        if rent := market.rents.get(entry.participant):
            utility = entry.contract.grid_operator_id or ""
            pair = (self.id, utility) if rent > 0 else (utility, self.id)
            own.append(terms.Flow(*pair, "CONGESTION_RENT", abs(rent)))
        done = replace(
            entry.contract,
            status="COMPLETED",
            readings=(entry.reading,) if entry.reading else (),
            blocks=(*entry.contract.blocks, *entry.told),
            settlement=_report(own, market.inputs.terms.currency),
            bill=bill,
        )
        await self.reply(message, Say(contract=done))

    def _is_of(self, entry: Entry, flow: terms.Flow) -> bool:
        """Tell whether a payment is one of a contract.

        A grid operator that buys is told what it pays as the buyer; penalties come to it beside
        that, from the contracts of those who owe them.
        """
        sides = (flow.payer, flow.payee)
        if entry.is_metered:
            return entry.participant in sides
        return set(sides) == {entry.participant, self.id} and flow.kind in terms.SHARED

    async def _settle_market(self, market: Market) -> list[terms.Flow] | None:
        traded = [entry for entry in market.entries.values() if entry.contract.clearing]
        metered = [entry for entry in traded if entry.is_metered]
        await asyncio.gather(*(self._read(entry, market) for entry in metered))
        if not traded or not all(entry.reading for entry in metered):
            return None
        contract = traded[0].contract
        if contract.charges is None or contract.interval is None:
            return None
        price = contract.clearing and contract.clearing.clearing_price_per_kwh
        market.inputs = terms.Inputs(
            contract.charges.terms(),
            contract.interval.duration_h,
            price or Decimal(0),
            [_trade(entry) for entry in traded],
            terms.Parties(self.id, contract.grid_operator_id or ""),
        )
        flows = settlement.settle(market.inputs)
        market.rents = self._rents(market.inputs)
        if market.inputs.terms.mode == "VIRTUAL_METER":
            await self._report_virtual_meter(market, metered, flows)
        if market.desk is not None:
            await market.desk.close()
        return flows

    def _rents(self, inputs: terms.Inputs) -> Mapping[str, Decimal]:
        return settlement.congestion_rents(inputs)

    async def _report_virtual_meter(
        self, market: Market, metered: list[Entry], flows: list[terms.Flow]
    ) -> None:
        """Tell the utility what all meters sum to, and what the agent owes for that."""
        contract = metered[0].contract
        owed = [flow for flow in flows if flow.kind == "VIRTUAL_METER_DEVIATION"]
        currency = contract.charges.currency if contract.charges else ""
        account = EnergyContract(
            contract_id=self.new_id(),
            status="ACTIVE",
            offer_id=contract.offer_id,
            participant_id=self.id,
            clearing_agent_id=self.id,
            grid_operator_id=contract.grid_operator_id,
            interval=contract.interval,
            charges=contract.charges,
            readings=tuple(entry.reading for entry in metered if entry.reading),
            settlement=_report(owed, currency),
        )
        await self._ask_utility("update", Entry(account, self.new_id()), account, market.dialect)

    async def _read(self, entry: Entry, market: Market) -> None:
        question = _for_the_utility(entry.contract)
        granted = await self._ask_utility("status", entry, question, market.dialect)
        if granted is not None and granted.readings:
            entry.reading = replace(granted.readings[0], at={})
            entry.told = tuple(replace(b, at={}) for b in granted.blocks if b.slot == "fulfilment")

    def _market(self, message: Message) -> Market:
        contract = message.reading.contract
        return self._market_at(message.dialect or "", contract.interval if contract else None)

    def _market_at(self, dialect: str, interval: Interval | None) -> Market:
        return self._markets.setdefault(market_key(dialect, interval), Market(dialect))

    # -- curves that are sent up --------------------------------------------------------

    async def _gather(self, message: Message) -> None:
        request = message.reading.request
        if request is None or request.interval is None:
            return
        market = self._market_at(message.dialect or "", request.interval)
        market.members[message.reading.envelope.bap_id or ""] = message
        await self._clear_when_ready(market)


def _report(flows: list[terms.Flow], currency: str) -> SettlementReport:
    return SettlementReport(
        flows=tuple(
            RevenueFlow(
                payer=flow.payer,
                payee=flow.payee,
                kind=flow.kind,
                amount=flow.amount,
                currency=currency,
            )
            for flow in flows
        ),
        positions=tuple(
            Position(party=party, value=value, currency=currency)
            for party, value in settlement.positions(flows).items()
        ),
    )


def _bill(entry: Entry, own: list[terms.Flow], settled_kwh: Fraction) -> Bill | None:
    """Write a participant's payments as one price with its components."""
    contract = entry.contract
    clearing, charges = contract.clearing, contract.charges
    if clearing is None or charges is None:
        return None
    sells = _power_kw(contract) > 0
    parts = [Part(kind="UNIT", amount=_paid(entry, own, "ENERGY"), text=BILLED["ENERGY"][1])]
    for kind in dict.fromkeys(flow.kind for flow in own if flow.kind != "ENERGY"):
        billed, text = BILLED.get(kind, ("FEE", kind))
        parts.append(Part(kind=billed, amount=_paid(entry, own, kind), text=text))
    if sells:
        parts = [replace(part, amount=-part.amount) for part in parts]
    return Bill(
        value=sum((part.amount for part in parts), Decimal(0)),
        currency=charges.currency,
        parts=tuple(parts),
        energy_kwh=rounded(abs(settled_kwh), "HALF_UP", FINEST_KWH),
        price_per_kwh=clearing.own_price_per_kwh or Decimal(0),
        to_participant=sells,
    )


def _paid(entry: Entry, own: list[terms.Flow], kind: str) -> Decimal:
    """Give what a participant pays in one kind of flow, less what it receives."""
    total = Decimal(0)
    for flow in own:
        if flow.kind == kind:
            total += flow.amount if flow.payer == entry.participant else -flow.amount
    return total


def market_key(dialect: str, interval: Interval | None) -> tuple[str, str]:
    """Tell markets apart by dialect and start, however an instant is written."""
    start = interval.start if interval else ""
    begins = in_utc(start)
    return dialect, begins.isoformat() if begins else start


def _offer_id(interval: Interval) -> str:
    return f"pay-as-clear-{interval.start}"


def _refuses_change(message: Message, market: Market, entry: Entry) -> Refusal | None:
    """Refuse to move what was withdrawn, and to withdraw what has cleared."""
    if entry.withdrawn:
        return Refusal(400, "BIZ_ALREADY_CANCELLED", "this offer was withdrawn")
    if message.action == "cancel" and market.cleared:
        return Refusal(400, "POL_CANCELLATION_NOT_ALLOWED", "the market has cleared")
    return None


def _trade(entry: Entry) -> terms.Trade:
    clearing = entry.contract.clearing
    if clearing is None:
        raise AssertionError("only what has cleared is settled")
    power_kw, price = _power_kw(entry.contract), clearing.local_price_per_kwh
    return terms.Trade(entry.participant, power_kw, entry.metered_kwh, price)


def _power_kw(contract: EnergyContract) -> Decimal:
    """Give the power that a trade is for: the setpoint, which a command may have moved."""
    setpoint_kw, clearing = read_setpoint_kw(contract), contract.clearing
    if setpoint_kw is not None:
        return setpoint_kw
    return clearing.cleared_power_kw if clearing else Decimal(0)


def _for_the_utility(contract: EnergyContract) -> EnergyContract:
    """Leave out what the utility is not told: curve, charges and price."""
    clearing = contract.clearing
    power = clearing and ClearingResult(cleared_power_kw=clearing.cleared_power_kw)
    return replace(contract, curve=None, charges=None, clearing=power)


def _cleared(contract: EnergyContract, result: GridClearing) -> EnergyContract:
    """Write what somebody cleared: power, price, the price where it stands, and its setpoint."""
    name = contract.participant_id or ""
    node, power_kw = read_node_id(contract), result.power_kw[name]
    local = result.node_prices.get(node or ROOT, result.price_per_kwh)
    clearing = ClearingResult(
        cleared_power_kw=power_kw,
        clearing_price_per_kwh=result.price_per_kwh,
        local_price_per_kwh=local if node or local != result.price_per_kwh else None,
    )
    kept = (b for b in contract.blocks if b.name == OBJECTIVE)
    blocks = (*kept, *((write_node_id(node),) if node else ()))
    return replace(contract, clearing=clearing, blocks=(*blocks, write_setpoint(name, power_kw)))


def in_grid(bids: list[Bid], grid: Grid) -> list[Bid]:
    """Put those at the root who stand at a node that told nothing."""
    return [bid if bid.node in grid.nodes else replace(bid, node=ROOT) for bid in bids]


def _gathered(market: Market) -> Iterator[Bid]:
    """Give the curves that were sent up as bids, at the node where those stand who sent them."""
    for message in market.members.values():
        request = message.reading.request
        for one in request.members if request else ():
            yield Bid(one.member_id, one.curve.curve(), None, market.node)


def _owed_by_the_grid_operator(market: Market, entry: Entry) -> list[terms.Flow]:
    """Make good who was commanded off the own curve."""
    uplift, utility = market.uplift.get(entry.participant), entry.contract.grid_operator_id
    return [terms.Flow(utility or "", entry.participant, "UPLIFT", uplift)] if uplift else []
