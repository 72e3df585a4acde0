"""The utility: approves what a meter may trade, locks trades, reads meters.

Belongs here: sanctioned load, approvals, locks, readings, baselines. Does not belong here:
prices; the utility is not told them, unless it buys: then it trades like others (participant).
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from gridwitness.dialects.flexibility import write_baseline, write_objective
from gridwitness.dialects.grid import (
    read_setpoint_kw,
    write_command,
    write_node_id,
)
from gridwitness.mocks.actor import Say, error
from gridwitness.mocks.conduct import RIGHT, Conduct
from gridwitness.mocks.participant import Trader, Wish
from gridwitness.reduction import baseline_kwh
from gridwitness.reference_impl.curves import Point
from gridwitness.reference_impl.rounding import rounded
from gridwitness.views import Approval, Charges, Command, EnergyContract, MeterReading, OfferCurve

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from gridwitness.mocks.actor import Setting
    from gridwitness.registry import Record
    from gridwitness.signing import Signer
    from gridwitness.trace import Message
    from gridwitness.views import Interval, Objective


WH_DECIMALS = 3


@dataclass(frozen=True)
class Meter:
    """A meter on the utility's network.

    sanctioned_load_kw: the most it may draw or inject; committed_kw: what other
    markets already hold of that. metered_kwh: what it will register over the
    interval, export positive; None means exactly what it traded. usual_kw: what it drew in
    the same hours of the days before, the oldest first; what it trades is then a reduction.
    """

    meter_id: str
    sanctioned_load_kw: Decimal
    committed_kw: Decimal = Decimal(0)
    metered_kwh: Decimal | None = None
    usual_kw: tuple[Decimal, ...] = ()
    node_id: str | None = None
    """The grid node at which it hangs; None where nobody asks."""


@dataclass(frozen=True)
class Demand:
    """What a utility wants to buy in a market, and the dialect it says so in."""

    objective: Objective
    dialect: str

    def wish(self, charges: Charges) -> Wish:
        """Offer to buy the whole target up to the highest price, and nothing above it."""
        target_kw, price = -self.objective.target_kw, self.objective.max_price_per_kwh
        curve = OfferCurve(
            currency=self.objective.currency,
            min_export_kw=target_kw,
            max_export_kw=Decimal(0),
            points=(Point(price, target_kw), Point(price, Decimal(0))),
        )
        stated = write_objective(self.objective, "contract")
        return Wish(None, curve, blocks=(stated,), charges=charges)


NO_WISH = Wish(
    None, OfferCurve(currency=None, min_export_kw=Decimal(0), max_export_kw=Decimal(0), points=())
)
"""Of a utility that buys nothing."""


class Utility(Trader):
    """Plays the grid operator of one network for one market."""

    role = "utility"
    side = "BPP"

    def __init__(  # noqa: PLR0913 (an actor, and what a utility knows)
        self,
        setting: Setting,
        name: str,
        signer: Signer,
        meters: Mapping[str, Meter],
        charges: Charges,
        conduct: Conduct = RIGHT,
        demand: Demand | None = None,
    ) -> None:
        wish = demand.wish(charges) if demand else NO_WISH
        super().__init__(setting, name, signer, wish, demand.dialect if demand else "", conduct)
        self._demand = demand
        self._meters = meters
        self._charges = charges
        self._locked_kw: dict[str, dict[str, Decimal]] = {}
        """Absolute locked power by meter and contract."""
        self._traded: dict[str, EnergyContract] = {}
        """The trade that was locked last, by meter."""
        self._commanded: dict[str, Command] = {}
        """What was commanded last and carried out, by meter."""
        self._asked_to_lock = asyncio.Event()

    def handlers(self) -> Mapping[str, Callable[[Message], Coroutine[None, None, None]]]:
        return {
            "init": self._approve,
            "confirm": self._lock,
            "update": self._update,
            "status": self._read_meters,
        }

    async def _approve(self, message: Message) -> None:
        asked = message.reading.contract
        meter = self._meters.get(asked.meter_id or "") if asked else None
        requested_kw = asked.requested_kw if asked else None
        if asked is None or meter is None or requested_kw is None or requested_kw < 0:
            await self.reply(message, error("BIZ_ITEM_NOT_FOUND", "no such meter, or no power"))
            return
        committed_kw = self._committed_kw(meter)
        held_kw = Decimal(0) if self.conduct.forgets_commitments else committed_kw
        free_kw = max(Decimal(0), meter.sanctioned_load_kw - held_kw)
        approval = Approval(
            approved_max_trade_kw=min(requested_kw, free_kw),
            sanctioned_load_kw=meter.sanctioned_load_kw,
            committed_kw=committed_kw,
        )
        stands = (write_node_id(meter.node_id),) if meter.node_id else ()
        granted = self._grant(asked, approval=approval, blocks=stands)
        await self.reply(message, Say(contract=granted))

    async def first_lock(self, within_s: float) -> None:
        """Wait until a lock is asked for, or the time is over."""
        with suppress(TimeoutError):
            async with asyncio.timeout(within_s):
                await self._asked_to_lock.wait()

    async def _lock(self, message: Message) -> None:
        self._asked_to_lock.set()
        asked = message.reading.contract
        meter = self._meters.get(asked.meter_id or "") if asked else None
        if asked is None or meter is None or asked.clearing is None:
            await self.reply(message, error("BIZ_ORDER_NOT_FOUND", "no such meter, or no power"))
            return
        locked = self._locked_kw.setdefault(meter.meter_id, {})
        others_kw = sum(
            (kw for contract, kw in locked.items() if contract != asked.contract_id), Decimal(0)
        )
        wanted_kw = abs(asked.clearing.cleared_power_kw)
        held_kw = Decimal(0) if self.conduct.forgets_commitments else meter.committed_kw
        if wanted_kw + others_kw + held_kw > meter.sanctioned_load_kw:
            text = f"{wanted_kw} kW exceed what is left of the sanctioned load"
            await self.reply(message, error("BIZ_QUANTITY_UNAVAILABLE", text))
            return
        locked[asked.contract_id or ""] = wanted_kw
        self._traded[meter.meter_id] = asked
        await self.reply(message, Say(contract=self._grant(asked, status="ACTIVE")))

    async def _update(self, message: Message) -> None:
        """Take note of what a virtual meter settles, or lock a trade at another power."""
        asked = message.reading.contract
        if asked is not None and asked.settlement is not None:
            await self.reply(message, Say(contract=replace(asked, status="COMPLETED", at={})))
        else:
            await self._move(message)

    async def _move(self, message: Message) -> None:
        """Lock a trade at another power: that to which a command has led."""
        asked = message.reading.contract
        meter = self._meters.get(asked.meter_id or "") if asked else None
        setpoint_kw = read_setpoint_kw(asked) if asked else None
        locked = self._locked_kw.get(meter.meter_id, {}) if meter else {}
        if asked is None or meter is None or setpoint_kw is None or asked.contract_id not in locked:
            await self.reply(message, error("BIZ_ORDER_NOT_FOUND", "no such trade, or no power"))
            return
        locked[asked.contract_id] = abs(setpoint_kw)
        self._traded[meter.meter_id] = asked
        await self.reply(message, Say(contract=self._grant(asked, status="ACTIVE")))

    async def command(self, agent: Record, meter_id: str, offset_kw: Decimal, dialect: str) -> bool:
        """Command an offset to whoever trades at a meter; False unless the agent carries it out."""
        traded = self._traded.get(meter_id)
        if traded is None:
            return False
        block = write_command(Command(offset_kw=offset_kw))
        order = replace(traded, status="ACTIVE", blocks=(*traded.blocks, block), at={})
        answer = await self.ask(
            "update",
            agent,
            Say(contract=order),
            dialect=dialect,
            transaction_id=self.new_id(),
        )
        done = answer.reading.contract if answer else None
        if done is None or read_setpoint_kw(done) is None:
            return False
        self._commanded[meter_id] = Command(offset_kw=offset_kw)
        return True

    async def _read_meters(self, message: Message) -> None:
        asked = message.reading.contract
        meter = self._meters.get(asked.meter_id or "") if asked else None
        traded = self._traded.get(meter.meter_id) if meter else None
        if asked is None or meter is None or traded is None:
            await self.reply(message, error("BIZ_ORDER_NOT_FOUND", "no such meter or trade"))
            return
        energy_kwh, baseline = meter.metered_kwh, self._baseline(meter, traded)
        if energy_kwh is None and traded.clearing is not None and traded.interval is not None:
            setpoint_kw = read_setpoint_kw(traded)
            power_kw = traded.clearing.cleared_power_kw if setpoint_kw is None else setpoint_kw
            traded_kwh = Fraction(power_kw) * traded.interval.duration_h
            energy_kwh = Decimal(round(traded_kwh * 1000)) / 1000
            energy_kwh += baseline[-1].energy_kwh if baseline else 0
        reading = MeterReading(meter_id=meter.meter_id, energy_kwh=energy_kwh or Decimal(0))
        told = [write_baseline(baseline)] if baseline else []
        if command := self._commanded.get(meter.meter_id):
            told.append(write_command(command, "fulfilment"))
        blocks = (*asked.blocks, *told)
        grant = self._grant(asked, status="COMPLETED", readings=(reading,), blocks=blocks)
        await self.reply(message, Say(contract=grant))

    def _baseline(self, meter: Meter, traded: EnergyContract) -> list[MeterReading]:
        """State what a meter drew in the days before, and last what it would have drawn."""
        interval = traded.interval
        if self._demand is None or interval is None or not meter.usual_kw:
            return []
        start, length = datetime.fromisoformat(interval.start), _length(interval)
        days = [
            MeterReading(
                meter_id=meter.meter_id,
                energy_kwh=_in_wh(-Fraction(kw) * interval.duration_h),
                start=_text(start - timedelta(days=ago)),
                end=_text(start - timedelta(days=ago) + length),
            )
            for ago, kw in zip(range(len(meter.usual_kw), 0, -1), meter.usual_kw, strict=True)
        ]
        usual_kwh = baseline_kwh(self._demand.objective.methodology, days, interval)
        usual = replace(
            days[-1], energy_kwh=_in_wh(usual_kwh), start=interval.start, end=_text(start + length)
        )
        return [*days, usual]

    def _committed_kw(self, meter: Meter) -> Decimal:
        locked = self._locked_kw.get(meter.meter_id, {})
        return meter.committed_kw + sum(locked.values(), Decimal(0))

    def _grant(self, asked: EnergyContract, **changes: object) -> EnergyContract:
        told = replace(asked, curve=None, settlement=None, at={})
        return replace(told, charges=self._charges, grid_operator_id=self.id, **changes)


def _length(interval: Interval) -> timedelta:
    return timedelta(seconds=float(interval.duration_h * 3600))


def _text(instant: datetime) -> str:
    return instant.isoformat().replace("+00:00", "Z")


def _in_wh(energy_kwh: Fraction) -> Decimal:
    """Round energy to whole Wh, as meters count it."""
    return rounded(energy_kwh, "HALF_UP", WH_DECIMALS)
