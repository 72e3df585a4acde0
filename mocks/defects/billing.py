"""Defects of deals: amounts that do not follow from what was said, terms that change."""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any, cast

from gridwitness.mocks.defects.base import Defect, in_deal
from gridwitness.story import CHARGING_OPERATOR, PROSUMER

if TYPE_CHECKING:
    from collections.abc import Mapping

    from gridwitness.views import Block, Deal, RevenueFlow

FIXED = "p2p_trading/fixed_price.feature"
PAID_IN_FULL = "What is delivered in full"
CHARGED = "ev_charging/destination.feature"
EVENING = "A visit over the evening peak"
PAISA = Decimal("0.01")


def _first_flow(deal: Deal, **changes: object) -> Deal:
    """Change the first payment, and what is left to the parties with it."""
    report = deal.settlement
    if report is None:
        return deal
    first = replace(report.flows[0], **changes)
    flows = (first, *report.flows[1:])
    positions = tuple(replace(p, value=_left(p.party, flows)) for p in report.positions)
    return replace(deal, settlement=replace(report, flows=flows, positions=positions))


def _left(party: str, flows: tuple[RevenueFlow, ...]) -> Decimal:
    paid = sum((f.amount for f in flows if f.payer == party), Decimal(0))
    return sum((f.amount for f in flows if f.payee == party), Decimal(0)) - paid


def _a_paisa_more(deal: Deal) -> Deal:
    report = deal.settlement
    return _first_flow(deal, amount=report.flows[0].amount + PAISA) if report else deal


def _positions_exchanged(deal: Deal) -> Deal:
    """Move a paisa from one party's position to another's: it still sums to zero."""
    report = deal.settlement
    if report is None:
        return deal
    one, other, *rest = report.positions
    moved = replace(one, value=one.value + PAISA), replace(other, value=other.value - PAISA)
    return replace(deal, settlement=replace(report, positions=(*moved, *rest)))


def _record(deal: Deal, **changes: object) -> Deal:
    def changed(block: Block) -> Block:
        if block.name != "chargeDetailRecord":
            return block
        return replace(block, data={**cast("Mapping[str, Any]", block.data), **changes})

    return replace(deal, blocks=tuple(map(changed, deal.blocks)))


def _dearer_record(deal: Deal) -> Deal:
    return _record(deal, totalCost={"exclVat": Decimal("300.00"), "inclVat": Decimal("354.00")})


def _more_energy(deal: Deal) -> Deal:
    return _record(deal, totalEnergy=Decimal(20))


def _dearer_bill(deal: Deal) -> Deal:
    """Bill a rupee more, in the first part and in all."""
    bill = deal.bill
    if bill is None:
        return deal
    first, *others = bill.parts
    parts = (replace(first, amount=first.amount + 1), *others)
    return replace(deal, bill=replace(bill, value=bill.value + 1, parts=parts))


def _more_metered(deal: Deal) -> Deal:
    more = tuple(replace(r, energy_kwh=r.energy_kwh + Decimal("0.5")) for r in deal.readings)
    return replace(deal, readings=more)


def _other_currency(deal: Deal) -> Deal:
    report = deal.settlement
    if report is None:
        return deal
    flows = tuple(replace(flow, currency="EUR") for flow in report.flows)
    positions = tuple(replace(position, currency="EUR") for position in report.positions)
    return replace(deal, settlement=replace(report, flows=flows, positions=positions))


def _dearer_terms(deal: Deal) -> Deal:
    """Raise every price after it was agreed."""
    roles = tuple(
        replace(
            role,
            terms=tuple(
                replace(t, value=t.value + 1) if t.unit == "INR/kWh" else t for t in role.terms
            ),
        )
        for role in deal.roles
    )
    return replace(deal, roles=roles)


DEFECTS = (
    Defect(
        "adds-a-paisa-to-the-formula",
        breaks="BIL-001",
        says="settles a paisa more than the formula of the contract gives",
        conduct=in_deal("on_status", _a_paisa_more),
        role=PROSUMER,
        feature=FIXED,
        scenario=PAID_IN_FULL,
    ),
    Defect(
        "moves-a-paisa-of-a-deal",
        breaks="BIL-002",
        says="leaves one party a paisa more and another a paisa less than the payments do",
        conduct=in_deal("on_status", _positions_exchanged),
        role=PROSUMER,
        feature=FIXED,
        scenario=PAID_IN_FULL,
    ),
    Defect(
        "prices-the-record-otherwise",
        breaks="BIL-003",
        says="states a cost in the charge detail record that the tariff does not give",
        conduct=in_deal("on_update", _dearer_record),
        role=CHARGING_OPERATOR,
        also=("BIL-001",),
        feature=CHARGED,
        scenario=EVENING,
    ),
    Defect(
        "totals-more-energy",
        breaks="BIL-004",
        says="totals more energy in the charge detail record than its periods hold",
        conduct=in_deal("on_update", _more_energy),
        role=CHARGING_OPERATOR,
        feature=CHARGED,
        scenario=EVENING,
    ),
    Defect(
        "bills-beyond-the-record",
        breaks="BIL-005",
        says="bills a rupee more than the charge detail record costs",
        conduct=in_deal("on_update", _dearer_bill),
        role=CHARGING_OPERATOR,
        feature=CHARGED,
        scenario=EVENING,
    ),
    Defect(
        "quotes-beside-the-tariff",
        breaks="BIL-006",
        says="quotes a rupee more than the tariff gives",
        conduct=in_deal("on_select", _dearer_bill),
        role=CHARGING_OPERATOR,
        feature=CHARGED,
        scenario=EVENING,
    ),
    Defect(
        "rounds-readings-up",
        breaks="BIL-007",
        says="passes on more than the utility's meter registered",
        conduct=in_deal("on_status", _more_metered),
        role=PROSUMER,
        feature=FIXED,
        scenario=PAID_IN_FULL,
    ),
    Defect(
        "settles-a-deal-in-euros",
        breaks="BIL-008",
        says="settles in euros what was agreed in rupees",
        conduct=in_deal("on_status", _other_currency),
        role=PROSUMER,
        feature=FIXED,
        scenario=PAID_IN_FULL,
    ),
    Defect(
        "confirms-at-another-price",
        breaks="LIN-014",
        says="confirms at a price that was not agreed",
        conduct=in_deal("on_confirm", _dearer_terms),
        role=PROSUMER,
        feature=FIXED,
        scenario=PAID_IN_FULL,
    ),
)
