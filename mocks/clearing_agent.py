"""The clearing agent: gathers curves, clears the market, binds and settles the trades.

Belongs here: the agent's part of a pay-as-clear market, built on reference_impl.
Does not belong here: the arithmetic itself.

It is a BPP to the participants and a BAP to the utility. A market is one interval
in one dialect. It clears when everyone whose offer was approved has confirmed, or some
time after the first of them has. Until then a participant may cancel: it is withdrawn and
the market clears without it; afterwards a cancel is refused, for the others' trades rest
on it.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from gridwitness.acks import Refusal
from gridwitness.mocks.actor import Actor, Say, error
from gridwitness.mocks.conduct import RIGHT, Conduct
from gridwitness.reference_impl import settlement, terms
from gridwitness.reference_impl.clearing import Bid, clear
from gridwitness.reference_impl.curves import OfferError
from gridwitness.reference_impl.rounding import rounded
from gridwitness.views import (
    Bill,
    Charges,
    ClearingResult,
    EnergyContract,
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
    from gridwitness.views import Interval

FEE_PER_KWH = Decimal("0.01")
FINEST_KWH = 6
"""The decimals of a billed quantity, where hours do not divide it."""
BILLED = {
    "ENERGY": ("UNIT", "Energy at the clearing price"),
    "FEE": ("FEE", "Market making fee"),
    "WHEELING": ("FEE", "Wheeling charge"),
    "DEVIATION_PENALTY": ("SURCHARGE", "Penalty on the deviation"),
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

    @property
    def participant(self) -> str:
        return self.contract.participant_id or ""


@dataclass
class Market:
    """One interval in one dialect."""

    dialect: str
    entries: dict[str, Entry] = field(default_factory=dict[str, Entry])
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    cleared: bool = False
    gate: asyncio.TimerHandle | None = None
    """When it clears without those who have not confirmed."""
    flows: list[terms.Flow] | None = None

    @property
    def active(self) -> list[Entry]:
        return [entry for entry in self.entries.values() if not entry.withdrawn]

    @property
    def committed(self) -> list[Entry]:
        return [entry for entry in self.active if entry.confirm is not None]


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
        )
        self._offered.add(offer.offer_id)
        await self.reply(message, Say(offers=(offer,)))

    def objections(self, message: Message) -> Iterator[tuple[str, Refusal]]:
        contract = message.reading.contract
        if message.action == "discover":
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
        elif message.action != "status" and (refusal := _refuses_change(message, market, entry)):
            yield "comes too late", refusal

    def _objections_to_offer(self, contract: EnergyContract) -> Iterator[tuple[str, Refusal]]:
        curve = contract.curve
        if curve is None or contract.meter_id is None or contract.grid_operator_id is None:
            text = "an offer needs a curve, a meter and its utility"
            yield "says too little", Refusal(400, "SCH_REQUIRED_FIELD_MISSING", text)
            return
        if contract.offer_id is not None and contract.offer_id not in self._offered:
            text = "nothing was offered under this id"
            yield "unknown offer", Refusal(400, "BIZ_OFFER_NOT_FOUND", text)
        if self.conduct.refuses_bad_offers:
            for problem in curve.problems():
                yield "no curve", Refusal(400, "SCH_SCHEMA_VALIDATION_FAILED", problem.message)

    # -- approval -------------------------------------------------------------------

    async def _approve(self, message: Message) -> None:
        offered = message.reading.contract
        if offered is None or offered.curve is None or offered.interval is None:
            return
        offer_id = offered.offer_id or _offer_id(offered.interval)
        agreed = replace(offered, clearing_agent_id=self.id, offer_id=offer_id, charges=None, at={})
        entry = Entry(agreed, self.new_id())
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
        )
        if self.conduct.asks_status_too_early:
            await self._ask_utility("status", entry, question, message.dialect or "")
        self._market(message).entries[entry.participant] = entry
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
        if not market.committed:
            return
        everyone = len(market.committed) == len(market.active)
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
        try:
            result = clear([self._bid(entry) for entry in committed])
        except OfferError as problem:
            await self._tell_all(committed, "BIZ_GENERIC_ERROR", str(problem))
            return
        if not result.cleared:
            await self._tell_all(committed, "BIZ_GENERIC_ERROR", "no price balances the market")
            return
        for entry in committed:
            entry.contract = replace(
                entry.contract,
                clearing=ClearingResult(
                    cleared_power_kw=result.power_kw[entry.participant],
                    clearing_price_per_kwh=result.price_per_kwh,
                ),
            )
        if self.conduct.binds_before_lock:
            await self._bind(committed)
        for _ in range(self.conduct.locks):
            locks = await asyncio.gather(*(self._lock(entry, market) for entry in committed))
            if not all(locks) and not self.conduct.binds_refused_locks:
                await self._tell_all(committed, "BIZ_GENERIC_ERROR", "a trade was not locked")
                return
        if not self.conduct.binds_before_lock:
            await self._bind(committed)

    def _bid(self, entry: Entry) -> Bid:
        offered, approval = entry.contract.curve, entry.contract.approval
        if offered is None or approval is None:
            raise AssertionError("an entry is made when its offer is approved")
        limit_kw = approval.approved_max_trade_kw if self.conduct.heeds_approval else None
        return Bid(entry.participant, offered.curve(), limit_kw)

    async def _lock(self, entry: Entry, market: Market) -> bool:
        clearing = entry.contract.clearing
        if clearing is None:
            return False
        question = replace(
            entry.contract,
            curve=None,
            charges=None,
            clearing=replace(clearing, clearing_price_per_kwh=None),
        )
        granted = await self._ask_utility("confirm", entry, question, market.dialect)
        return granted is not None and granted.status == "ACTIVE"

    async def _bind(self, committed: list[Entry]) -> None:
        for entry in committed:
            entry.contract = replace(entry.contract, status="ACTIVE")
            if entry.confirm is not None:
                await self.reply(entry.confirm, Say(contract=entry.contract))

    async def _tell_all(self, committed: list[Entry], code: str, text: str) -> None:
        for entry in committed:
            if entry.confirm is not None:
                await self.reply(entry.confirm, error(code, text))

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
        if market.flows is None or entry.reading is None or entry.contract.charges is None:
            await self.reply(message, error("BIZ_GENERIC_ERROR", "the trade is not settled yet"))
            return
        currency = entry.contract.charges.currency
        own = [flow for flow in market.flows if entry.participant in (flow.payer, flow.payee)]
        bill = _bill(entry, own)
        remitted = sum((flow.amount for flow in own if flow.kind == "WHEELING"), Decimal(0))
        if remitted:
            utility = entry.contract.grid_operator_id or ""
            own.append(terms.Flow(self.id, utility, "WHEELING_REMIT", remitted))
        report = SettlementReport(
            flows=tuple(
                RevenueFlow(
                    payer=flow.payer,
                    payee=flow.payee,
                    kind=flow.kind,
                    amount=flow.amount,
                    currency=currency,
                )
                for flow in own
            ),
            positions=tuple(
                Position(party=party, value=value, currency=currency)
                for party, value in settlement.positions(own).items()
            ),
        )
        done = replace(
            entry.contract,
            status="COMPLETED",
            readings=(entry.reading,),
            settlement=report,
            bill=bill,
        )
        await self.reply(message, Say(contract=done))

    async def _settle_market(self, market: Market) -> list[terms.Flow] | None:
        traded = [entry for entry in market.entries.values() if entry.contract.clearing]
        readings = await asyncio.gather(*(self._read(entry, market) for entry in traded))
        for entry, reading in zip(traded, readings, strict=True):
            entry.reading = reading
        if not traded or not all(readings):
            return None
        flows: list[terms.Flow] = []
        contract = traded[0].contract
        if contract.charges is not None and contract.interval is not None:
            trades = [_trade(entry) for entry in traded]
            price = contract.clearing and contract.clearing.clearing_price_per_kwh
            flows = settlement.settle(
                terms.Inputs(
                    contract.charges.terms(),
                    contract.interval.duration_h,
                    price or Decimal(0),
                    trades,
                    terms.Parties(self.id, contract.grid_operator_id or ""),
                )
            )
        return flows

    async def _read(self, entry: Entry, market: Market) -> MeterReading | None:
        clearing = entry.contract.clearing
        question = replace(
            entry.contract,
            curve=None,
            charges=None,
            clearing=clearing and replace(clearing, clearing_price_per_kwh=None),
        )
        granted = await self._ask_utility("status", entry, question, market.dialect)
        readings = granted.readings if granted else ()
        return replace(readings[0], at={}) if readings else None

    def _market(self, message: Message) -> Market:
        contract = message.reading.contract
        start = contract.interval.start if contract and contract.interval else ""
        key = (message.dialect or "", start)
        return self._markets.setdefault(key, Market(message.dialect or ""))


def _bill(entry: Entry, own: list[terms.Flow]) -> Bill | None:
    """Write a participant's payments as one price with its components."""
    contract = entry.contract
    clearing, charges, interval = contract.clearing, contract.charges, contract.interval
    if clearing is None or charges is None or interval is None:
        return None
    sells = clearing.cleared_power_kw > 0
    energy_kwh = abs(Fraction(clearing.cleared_power_kw) * interval.duration_h)
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
        energy_kwh=rounded(energy_kwh, "HALF_UP", FINEST_KWH),
        price_per_kwh=clearing.clearing_price_per_kwh or Decimal(0),
        to_participant=sells,
    )


def _paid(entry: Entry, own: list[terms.Flow], kind: str) -> Decimal:
    """Give what a participant pays in one kind of flow, less what it receives."""
    total = Decimal(0)
    for flow in own:
        if flow.kind == kind:
            total += flow.amount if flow.payer == entry.participant else -flow.amount
    return total


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
    clearing, reading = entry.contract.clearing, entry.reading
    if clearing is None or reading is None:
        raise AssertionError("only read trades are settled")
    return terms.Trade(entry.participant, clearing.cleared_power_kw, reading.energy_kwh)
