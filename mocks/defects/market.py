"""Defects of the market: curves, approvals, clearing, locking, money."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from gridwitness.dialects.grid import write_setpoint
from gridwitness.mocks.conduct import Conduct
from gridwitness.mocks.defects.base import Defect, in_contract
from gridwitness.reference_impl.curves import Point
from gridwitness.story import AGENT, UTILITY

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridwitness.mocks.defects.base import ChangeContract
    from gridwitness.views import EnergyContract, Offer, Reading


def _cleared(change: Callable[[Decimal], Decimal]) -> ChangeContract:
    def changed(contract: EnergyContract) -> EnergyContract:
        if contract.clearing is None:
            return contract
        power = change(contract.clearing.cleared_power_kw)
        held = [block for block in contract.blocks if block.name != "setpoint"]
        if len(held) < len(contract.blocks):
            held.append(write_setpoint(contract.participant_id or "", power))
        clearing = replace(contract.clearing, cleared_power_kw=power)
        return replace(contract, clearing=clearing, blocks=tuple(held))

    return changed


def _sellers_price(contract: EnergyContract) -> EnergyContract:
    clearing = contract.clearing
    if clearing is None or clearing.clearing_price_per_kwh is None:
        return contract
    if clearing.cleared_power_kw <= 0:
        return contract
    price = clearing.clearing_price_per_kwh - Decimal("0.0001")
    return replace(contract, clearing=replace(clearing, clearing_price_per_kwh=price))


def _swapped(contract: EnergyContract) -> EnergyContract:
    """Give everyone a quarter more than they want: balanced, but off the curves."""
    return _cleared(lambda power: power + power / 4)(contract)


def falling(contract: EnergyContract) -> EnergyContract:
    curve = contract.curve
    if curve is None:
        return contract
    powers = [point.power_kw for point in reversed(curve.points)]
    points = tuple(Point(p.price_per_kwh, x) for p, x in zip(curve.points, powers, strict=True))
    return replace(
        contract,
        curve=replace(
            curve, points=points, min_export_kw=powers[0], max_export_kw=powers[-1], at={}
        ),
    )


def _more_approved(contract: EnergyContract) -> EnergyContract:
    approval = contract.approval
    if approval is None:
        return contract
    more_kw = approval.approved_max_trade_kw + 1
    return replace(contract, approval=replace(approval, approved_max_trade_kw=more_kw))


def _position_off(contract: EnergyContract) -> EnergyContract:
    report = contract.settlement
    if report is None or not report.positions:
        return contract
    first = report.positions[0]
    off = replace(first, value=first.value + Decimal("0.01"))
    return replace(contract, settlement=replace(report, positions=(off, *report.positions[1:])))


def _positions_exchanged(contract: EnergyContract) -> EnergyContract:
    """Move a paisa from one party's position to another's: it still sums to zero."""
    report = contract.settlement
    if report is None or len(report.positions) < 2:  # noqa: PLR2004
        return contract
    one, other, *rest = report.positions
    cent = Decimal("0.01")
    moved = (replace(one, value=one.value + cent), replace(other, value=other.value - cent))
    return replace(contract, settlement=replace(report, positions=(*moved, *rest)))


def changed_flows(
    contract: EnergyContract, kind: str, change: Callable[[Decimal], Decimal]
) -> EnergyContract:
    """Change the amounts of one kind of flow, and the positions with them."""
    report = contract.settlement
    if report is None:
        return contract
    flows = tuple(
        replace(flow, amount=change(flow.amount)) if flow.kind == kind else flow
        for flow in report.flows
    )
    left = {position.party: Decimal(0) for position in report.positions}
    for flow in flows:
        left[flow.payer] -= flow.amount
        left[flow.payee] += flow.amount
    positions = tuple(replace(p, value=left[p.party]) for p in report.positions)
    return replace(contract, settlement=replace(report, flows=flows, positions=positions))


def _kept_from_sellers(contract: EnergyContract) -> EnergyContract:
    """Pay the seller a paisa less for its energy than the buyers paid."""
    clearing = contract.clearing
    if clearing is None or clearing.cleared_power_kw <= 0:
        return contract
    return changed_flows(
        contract, "ENERGY", lambda amount: max(Decimal(0), amount - Decimal("0.01"))
    )


def _other_reading(contract: EnergyContract) -> EnergyContract:
    readings = tuple(replace(r, energy_kwh=r.energy_kwh + 1) for r in contract.readings)
    return replace(contract, readings=readings)


def _foreign_meter(contract: EnergyContract) -> EnergyContract:
    readings = tuple(replace(r, meter_id=f"{r.meter_id}-other") for r in contract.readings)
    return replace(contract, readings=readings)


def _dearer(contract: EnergyContract) -> EnergyContract:
    charges = contract.charges
    if charges is None or charges.fee_per_kwh is None:
        return contract
    return replace(contract, charges=replace(charges, fee_per_kwh=charges.fee_per_kwh * 2))


def longer(contract: EnergyContract) -> EnergyContract:
    if contract.interval is None:
        return contract
    hours = contract.interval.duration_h * 2
    return replace(contract, interval=replace(contract.interval, duration_h=hours))


def _in_dollars(contract: EnergyContract) -> EnergyContract:
    report = contract.settlement
    if report is None:
        return contract
    flows = tuple(replace(flow, currency="USD") for flow in report.flows)
    positions = tuple(replace(position, currency="USD") for position in report.positions)
    return replace(contract, settlement=replace(report, flows=flows, positions=positions))


def _offer(**fields: str | None) -> Conduct:
    def views(_sent: str, reading: Reading) -> Reading:
        return replace(reading, offers=tuple(replace(o, **fields) for o in reading.offers))

    return Conduct(views=views)


def _half_the_fee(_sent: str, reading: Reading) -> Reading:
    def cheaper(offer: Offer) -> Offer:
        charges = offer.charges
        if charges is None or charges.fee_per_kwh is None:
            return offer
        return replace(offer, charges=replace(charges, fee_per_kwh=charges.fee_per_kwh / 2))

    return replace(reading, offers=tuple(map(cheaper, reading.offers)))


DEFECTS = (
    # -- MKT
    Defect(
        "turns-the-curve-round",
        "MKT-001",
        "repeats a participant's curve with the powers the other way round",
        in_contract("on_init", falling),
    ),
    Defect(
        "takes-any-curve",
        "MKT-002",
        "accepts a curve that falls in power as the price rises",
        Conduct(refuses_bad_offers=False),
        also=("MKT-001",),
        scenario="An offer that falls",
        stalls=True,
    ),
    Defect(
        "promises-more",
        "MKT-003",
        "tells the participant a higher limit than the utility approved",
        in_contract("on_init", _more_approved),
    ),
    Defect(
        "ignores-the-approval",
        "MKT-004",
        "clears beyond the power that the utility approved",
        Conduct(heeds_approval=False, binds_refused_locks=True),
        also=("LCK-001", "LCK-004", "MKT-006", "ORD-001"),
        scenario="A meter that is partly",
    ),
    Defect(
        "loses-a-kilowatt",
        "MKT-005",
        "announces cleared powers that do not sum to zero",
        in_contract("on_confirm", _cleared(lambda power: power + 1 if power < 0 else power)),
        also=("LCK-002", "MKT-006", "MKT-010", "SET-003"),
    ),
    Defect(
        "leaves-the-curve",
        "MKT-006",
        "clears everyone a quarter beyond what they offered at the price",
        in_contract("on_confirm", _swapped),
        also=("LCK-002", "MKT-004", "MKT-010", "SET-003"),
    ),
    Defect(
        "has-two-prices",
        "MKT-007",
        "tells sellers a lower price than buyers",
        in_contract("on_confirm", _sellers_price),
        also=("MKT-006", "MKT-010"),
        scenario="Three roofs",
    ),
    Defect(
        "hides-its-pricing",
        "MKT-008",
        "offers without saying that it is paid as cleared",
        _offer(clearing_agent_id=None),
    ),
    Defect(
        "offers-cheaply",
        "MKT-012",
        "names half of its fee in the catalogue",
        Conduct(views=_half_the_fee),
    ),
    Defect(
        "approves-twice",
        "MKT-009",
        "approves a meter beyond what is left of its sanctioned load",
        in_contract("on_init", _more_approved),
        role=UTILITY,
        seat=AGENT,
        also=("ORD-003", "ORD-004"),
        scenario="A meter that is partly",
    ),
    Defect(
        "changes-its-mind",
        "MKT-010",
        "repeats another cleared power in its settlement",
        in_contract("on_status", _cleared(lambda power: power + 1)),
    ),
    Defect(
        "moves-the-interval",
        "MKT-011",
        "settles an interval of twice the length",
        in_contract("on_status", longer),
    ),
    # -- LCK
    Defect(
        "binds-before-the-lock",
        "LCK-001",
        "tells participants their trade before the utility has locked it",
        Conduct(binds_before_lock=True),
        also=("LIF-002", "LIF-004", "ORD-001"),
    ),
    Defect(
        "locks-something-else",
        "LCK-002",
        "has less locked than it tells the participant",
        in_contract("confirm", _cleared(lambda power: power / 2)),
    ),
    Defect(
        "locks-twice",
        "LCK-003",
        "has the same trade deducted twice",
        Conduct(locks=2),
        also=("LCK-004",),
    ),
    Defect(
        "forgets-commitments",
        "LCK-004",
        "locks a trade beside what the meter has already committed",
        Conduct(forgets_commitments=True),
        role=UTILITY,
        seat=AGENT,
        also=("MKT-009",),
        scenario="A meter that is partly",
    ),
    Defect(
        "leaves-it-pending",
        "LCK-005",
        "tells the result of a contract that it still calls pending",
        in_contract("on_confirm", lambda c: replace(c, status="PENDING")),
    ),
    # -- SET
    Defect(
        "loses-a-paisa",
        "SET-001",
        "states positions that sum to one paisa",
        in_contract("on_status", _position_off),
        also=("SET-002",),
    ),
    Defect(
        "moves-a-paisa",
        "SET-002",
        "states positions that do not follow from the flows",
        in_contract("on_status", _positions_exchanged),
    ),
    Defect(
        "bills-too-much",
        "SET-003",
        "bills a fee a paisa too high",
        in_contract("on_status", lambda c: changed_flows(c, "FEE", lambda a: a + Decimal("0.01"))),
    ),
    Defect(
        "keeps-a-paisa",
        "SET-004",
        "pays sellers a paisa less than buyers paid for the energy",
        in_contract("on_status", _kept_from_sellers),
        also=("SET-003",),
    ),
    Defect(
        "misreads-the-meter",
        "SET-005",
        "settles on another reading than the utility gave",
        in_contract("on_status", _other_reading),
    ),
    Defect(
        "raises-its-fee",
        "SET-006",
        "doubles the fee after the trade",
        in_contract("on_status", _dearer),
    ),
    Defect(
        "settles-in-dollars",
        "SET-008",
        "settles in another currency than was agreed",
        in_contract("on_status", _in_dollars),
    ),
    Defect(
        "reads-another-meter",
        "SET-007",
        "gives the reading of another meter",
        in_contract("on_status", _foreign_meter),
        role=UTILITY,
        seat=AGENT,
    ),
)
