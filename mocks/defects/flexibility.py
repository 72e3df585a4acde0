"""Defects of demand flexibility: what is sought, bought, measured, paid; and the virtual meter.

Belongs here: the ways to break FLX and SET-009. Does not belong here: the seams (conduct).
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from gridwitness.dialects.flexibility import BASELINE, OBJECTIVE
from gridwitness.mocks.conduct import Conduct
from gridwitness.mocks.defects.base import Defect, in_contract
from gridwitness.story import UTILITY
from gridwitness.views import Position, RevenueFlow, SettlementReport

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridwitness.views import Block, EnergyContract, Reading

MARKET = "demand_flexibility/binding_market.feature"
OPTING_OUT = "demand_flexibility/opting_out.feature"
VIRTUAL_METER = "ev_demand_flexibility/virtual_meter.feature"
EXACT, SHORT = "A supermarket and a cold store", "Who delivers less"


def _in_block(block: Block, name: str, change: Callable[[Any], Any]) -> Block:
    return replace(block, data=change(block.data)) if block.name == name else block


def _dearer_objective(action: str, reading: Reading) -> Reading:
    """Show a higher price in the catalogue than the grid operator has stated."""

    def dearer(data: dict[str, Any]) -> dict[str, Any]:
        return data | {"maxPricePerKWh": data["maxPricePerKWh"] + 1}

    offers = tuple(
        replace(offer, blocks=tuple(_in_block(b, OBJECTIVE, dearer) for b in offer.blocks))
        for offer in reading.offers
    )
    return replace(reading, offers=offers) if action == "on_discover" else reading


def _bids_higher(action: str, reading: Reading) -> Reading:
    contract = reading.contract
    if action not in ("init", "confirm", "status") or contract is None or contract.curve is None:
        return reading
    points = tuple(p._replace(price_per_kwh=p.price_per_kwh + 1) for p in contract.curve.points)
    return replace(
        reading, contract=replace(contract, curve=replace(contract.curve, points=points))
    )


def _moved(index: int) -> Callable[[EnergyContract], EnergyContract]:
    """Move one day of a baseline by a kWh; the last is what would have flowed."""

    def moved(data: list[dict[str, Any]]) -> list[dict[str, Any]]:
        days = [dict(day) for day in data]
        days[index]["allocatedEnergy"] = cast("Decimal", days[index]["allocatedEnergy"]) - 1
        return days

    def change(contract: EnergyContract) -> EnergyContract:
        blocks = tuple(_in_block(block, BASELINE, moved) for block in contract.blocks)
        return replace(contract, blocks=blocks)

    return change


def _bills_more(contract: EnergyContract) -> EnergyContract:
    bill = contract.bill
    if bill is None or bill.energy_kwh is None:
        return contract
    return replace(contract, bill=replace(bill, energy_kwh=bill.energy_kwh + 1))


def _pays_in_advance(contract: EnergyContract) -> EnergyContract:
    clearing, charges = contract.clearing, contract.charges
    payee, payer = contract.participant_id, contract.clearing_agent_id
    if contract.meter_id is None or clearing is None or charges is None or not (payee and payer):
        return contract
    amount = Decimal("10.00")
    paid = RevenueFlow(
        payer=payer, payee=payee, kind="ENERGY", amount=amount, currency=charges.currency
    )
    left = tuple(
        Position(party=party, value=value, currency=charges.currency)
        for party, value in ((payer, -amount), (payee, amount))
    )
    return replace(contract, settlement=SettlementReport(flows=(paid,), positions=left))


def _charges_the_baker(contract: EnergyContract) -> EnergyContract:
    report = contract.settlement
    if report is None or contract.grid_operator_id is None or contract.meter_id is None:
        return contract
    owed = RevenueFlow(
        payer="bakery.gridwitness.example",
        payee=contract.grid_operator_id,
        kind="DEVIATION_PENALTY",
        amount=Decimal("12.00"),
        currency="INR",
    )
    left = tuple(
        Position(party=party, value=value, currency="INR")
        for party, value in ((owed.payer, -owed.amount), (owed.payee, owed.amount))
    )
    changed = replace(report, flows=(*report.flows, owed), positions=(*report.positions, *left))
    return replace(contract, settlement=changed)


def _first_meter_only(contract: EnergyContract) -> EnergyContract:
    return replace(contract, readings=contract.readings[:1])


DEFECTS = (
    Defect(
        "shows-another-objective",
        "FLX-001",
        "shows participants a higher price than the grid operator has stated",
        Conduct(views=_dearer_objective),
        feature=MARKET,
        scenario=EXACT,
    ),
    Defect(
        "bids-beyond-its-objective",
        "FLX-002",
        "bids up to a higher price than its objective states",
        Conduct(views=_bids_higher),
        role=UTILITY,
        feature=MARKET,
        scenario=EXACT,
    ),
    Defect(
        "buys-too-little",
        "FLX-003",
        "buys half of what the grid operator seeks",
        Conduct(buys_whole_target=False),
        also=("MKT-006",),
        feature=MARKET,
        scenario=EXACT,
    ),
    Defect(
        "flatters-the-baseline",
        "FLX-004",
        "states a baseline that does not follow from the days before",
        in_contract("on_status", _moved(-1)),
        role=UTILITY,
        feature=MARKET,
        scenario=EXACT,
    ),
    Defect(
        "tells-another-baseline",
        "FLX-005",
        "settles on other days than the grid operator gave",
        in_contract("on_status", _moved(0)),
        feature=MARKET,
        scenario=EXACT,
    ),
    Defect(
        "bills-more-than-was-delivered",
        "FLX-006",
        "bills a kWh more of a reduction than was delivered",
        in_contract("on_status", _bills_more),
        also=("AMT-002",),
        feature=MARKET,
        scenario=SHORT,
    ),
    Defect(
        "charges-who-opted-out",
        "FLX-007",
        "charges a penalty to a participant who has opted out",
        in_contract("on_status", _charges_the_baker),
        also=("SET-003",),
        feature=OPTING_OUT,
        scenario="A bakery that opts out in time",
    ),
    Defect(
        "pays-in-advance",
        "FLX-008",
        "pays for a reduction when it is cleared",
        in_contract("on_confirm", _pays_in_advance),
        feature=MARKET,
        scenario=EXACT,
    ),
    Defect(
        "forgets-a-meter",
        "SET-009",
        "leaves a meter out of its virtual meter",
        in_contract("update", _first_meter_only),
        feature=VIRTUAL_METER,
        scenario="A car that falls short",
    ),
    Defect(
        "pays-for-no-deviation",
        "SET-003",
        "reports a virtual meter that is off zero and pays nothing for it",
        in_contract(
            "update", lambda c: replace(c, settlement=SettlementReport(flows=(), positions=()))
        ),
        feature=VIRTUAL_METER,
        scenario="A car that falls short",
    ),
)
