"""The utility: approves what a meter may trade, locks trades, reads meters.

Belongs here: sanctioned load, approvals, locks, readings. Does not belong here:
prices; the utility is not told them.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from fractions import Fraction
from typing import TYPE_CHECKING

from gridwitness.dialects.grid import (
    read_setpoint_kw,
    write_command,
    write_node_id,
)
from gridwitness.mocks.actor import Actor, Say, error
from gridwitness.mocks.conduct import RIGHT, Conduct
from gridwitness.views import Approval, Charges, Command, EnergyContract, MeterReading

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Mapping

    from gridwitness.mocks.actor import Setting
    from gridwitness.registry import Record
    from gridwitness.signing import Signer
    from gridwitness.trace import Message


@dataclass(frozen=True)
class Meter:
    """A meter on the utility's network.

    sanctioned_load_kw: the most it may draw or inject; committed_kw: what other
    markets already hold of that. metered_kwh: what it will register over the
    interval, export positive; None means exactly what it traded.
    """

    meter_id: str
    sanctioned_load_kw: Decimal
    committed_kw: Decimal = Decimal(0)
    metered_kwh: Decimal | None = None
    node_id: str | None = None
    """The grid node at which it hangs; None where nobody asks."""


class Utility(Actor):
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
    ) -> None:
        super().__init__(setting, name, signer, conduct)
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
            "update": self._move,
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
        energy_kwh = meter.metered_kwh
        if energy_kwh is None and traded.clearing is not None and traded.interval is not None:
            setpoint_kw = read_setpoint_kw(traded)
            power_kw = traded.clearing.cleared_power_kw if setpoint_kw is None else setpoint_kw
            traded_kwh = Fraction(power_kw) * traded.interval.duration_h
            energy_kwh = Decimal(round(traded_kwh * 1000)) / 1000
        reading = MeterReading(meter_id=meter.meter_id, energy_kwh=energy_kwh or Decimal(0))
        command = self._commanded.get(meter.meter_id)
        executed = (write_command(command, "fulfilment"),) if command else ()
        grant = self._grant(
            asked, status="COMPLETED", readings=(reading,), blocks=(*asked.blocks, *executed)
        )
        await self.reply(message, Say(contract=grant))

    def _committed_kw(self, meter: Meter) -> Decimal:
        locked = self._locked_kw.get(meter.meter_id, {})
        return meter.committed_kw + sum(locked.values(), Decimal(0))

    def _grant(self, asked: EnergyContract, **changes: object) -> EnergyContract:
        told = replace(asked, curve=None, settlement=None, at={})
        return replace(told, charges=self._charges, grid_operator_id=self.id, **changes)
