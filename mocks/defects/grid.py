"""Defects of the grid: limits, nodes and local prices, commands, what is owed for both.

Belongs here: what a clearing agent, a grid node or a utility can do wrong about the grid.
Does not belong here: what an aggregator can (aggregation).
"""

from __future__ import annotations

from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from gridwitness.dialects.grid import (
    read_command,
    read_setpoint_kw,
    write_command,
    write_node_id,
    write_setpoint,
)
from gridwitness.mocks.conduct import Conduct
from gridwitness.mocks.defects.base import Defect, in_contract, in_deal
from gridwitness.mocks.defects.market import changed_flows
from gridwitness.story import AGENT, GRID_NODE, UTILITY

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridwitness.reference_impl.grid import Grid
    from gridwitness.views import Block, Deal, EnergyContract, Offer, Reading

CONGESTION = "grid_services/congestion.feature"
COMMANDS = "grid_services/offset_command.feature"
TICK = Decimal("0.01")


def _with_block(contract: EnergyContract, block: Block) -> EnergyContract:
    """Give a contract another block in the place of one."""
    held = [one for one in contract.blocks if (one.slot, one.name) != (block.slot, block.name)]
    return replace(contract, blocks=(*held, block))


def _elsewhere(contract: EnergyContract) -> EnergyContract:
    if contract.block("contract", "gridNode") is None:
        return contract
    return _with_block(contract, write_node_id("nowhere.gridwitness.example"))


def _more_flow(deal: Deal) -> Deal:
    flow_kw = read_setpoint_kw(deal)
    if flow_kw is None:
        return deal
    held = tuple(block for block in deal.blocks if block.name != "setpoint")
    return replace(deal, blocks=(*held, write_setpoint("node", flow_kw - TICK)))


def _dearer_place(contract: EnergyContract) -> EnergyContract:
    """Tell who draws power a local price a paisa above that of its node."""
    clearing = contract.clearing
    if clearing is None or clearing.local_price_per_kwh is None or clearing.cleared_power_kw > 0:
        return contract
    local = clearing.local_price_per_kwh + TICK
    return replace(contract, clearing=replace(clearing, local_price_per_kwh=local))


def _other_setpoint(contract: EnergyContract) -> EnergyContract:
    told = read_setpoint_kw(contract)
    if told is None:
        return contract
    who = contract.participant_id or ""
    return _with_block(contract, write_setpoint(who, told + 1))


def _undeclared(contract: EnergyContract) -> EnergyContract:
    command = read_command(contract)
    if command is None:
        return contract
    return _with_block(contract, write_command(replace(command, is_redispatch=False)))


def _forgotten_command(contract: EnergyContract) -> EnergyContract:
    held = tuple(block for block in contract.blocks if block.slot != "fulfilment")
    return replace(contract, blocks=held)


def _half_the_uplift(contract: EnergyContract) -> EnergyContract:
    return changed_flows(contract, "UPLIFT", lambda amount: amount - TICK)


def _rent_moved(contract: EnergyContract) -> EnergyContract:
    """Move a paisa of rent from one car's contract to the other's: the sum stays."""
    by = TICK if (contract.participant_id or "").startswith("car-a") else -TICK
    return changed_flows(contract, "CONGESTION_RENT", lambda amount: amount + by)


def _in_offer(change: Callable[[Offer], Offer]) -> Conduct:
    def views(sent: str, reading: Reading) -> Reading:
        if sent != "on_discover":
            return reading
        return replace(reading, offers=tuple(map(change, reading.offers)))

    return Conduct(views=views)


def _of_another(offer: Offer) -> Offer:
    blocks = tuple(
        replace(block, data={**block.data, "nodeId": "another.gridwitness.example"})
        if block.name == "gridNode" and isinstance(block.data, dict)
        else block
        for block in offer.blocks
    )
    return replace(offer, blocks=blocks)


def _without_limits(grid: Grid) -> Grid:
    nodes = {
        name: replace(node, max_forward_kw=None, max_reverse_kw=None)
        for name, node in grid.nodes.items()
    }
    return replace(grid, nodes=nodes)


def _without_adders(grid: Grid) -> Grid:
    return replace(grid, adders_per_kwh={})


DEFECTS = (
    Defect(
        "asks-no-node",
        "GRD-001",
        "clears without asking the grid nodes at which participants stand",
        Conduct(asks_nodes=False),
        feature=CONGESTION,
        scenario="No limit binds",
    ),
    Defect(
        "ignores-the-limits",
        "GRD-002",
        "clears as if a transformer let everything through",
        Conduct(grids=_without_limits, books_refused_flows=True),
        feature=CONGESTION,
        scenario="Cars below a transformer",
    ),
    Defect(
        "ignores-the-adder",
        "GRD-003",
        "clears without the adder that a transformer publishes",
        Conduct(grids=_without_adders),
        feature=CONGESTION,
        scenario="A loaded transformer",
    ),
    Defect(
        "misstates-the-flow",
        "GRD-004",
        "tells a transformer a flow that is not what was cleared below it",
        in_deal("confirm", _more_flow),
        feature=CONGESTION,
        scenario="No limit binds",
    ),
    Defect(
        "prices-a-street-twice",
        "GRD-005",
        "tells who draws power below a transformer another price than the transformer",
        in_contract("on_confirm", _dearer_place),
        also=(
            "GRD-009",
            "MKT-010",
            "SET-003",
        ),
        feature=CONGESTION,
        scenario="Cars below a transformer",
    ),
    Defect(
        "refuses-what-fits",
        "GRD-006",
        "refuses a flow that is within its limits",
        Conduct(refuses_flows=True),
        role=GRID_NODE,
        also=(
            "ORD-003",
            "ORD-004",
        ),
        feature=CONGESTION,
        scenario="Cars below a transformer",
    ),
    Defect(
        "tells-of-another-node",
        "GRD-007",
        "tells the limits of another node than it is",
        _in_offer(_of_another),
        role=GRID_NODE,
        also=("ORD-003", "ORD-004"),
        feature=CONGESTION,
        scenario="Cars below a transformer",
    ),
    Defect(
        "moves-a-meter",
        "GRD-008",
        "tells a participant that it stands at another node",
        in_contract("on_confirm", _elsewhere),
        feature=CONGESTION,
        scenario="No limit binds",
    ),
    Defect(
        "shifts-the-rent",
        "GRD-009",
        "leaves the grid operator a paisa more of one contract, and one less of another",
        in_contract("on_status", _rent_moved),
        feature=CONGESTION,
        scenario="Cars below a transformer",
    ),
    Defect(
        "sets-another-point",
        "GRD-010",
        "tells a setpoint that is not what was cleared",
        in_contract("on_confirm", _other_setpoint),
        also=(
            "GRD-012",
            "SET-003",
        ),
        feature=COMMANDS,
        scenario="A battery is moved",
    ),
    Defect(
        "moves-too-far",
        "GRD-011",
        "moves a participant a kilowatt further than was commanded",
        in_contract("on_update", _other_setpoint),
        also=(
            "GRD-012",
            "GRD-014",
            "SET-003",
        ),
        feature=COMMANDS,
        scenario="A battery is moved",
    ),
    Defect(
        "moves-one-alone",
        "GRD-012",
        "moves the commanded participant and lets nobody take up what is missing",
        Conduct(moves_others=False),
        feature=COMMANDS,
        scenario="A battery is moved",
    ),
    Defect(
        "hides-a-redispatch",
        "GRD-013",
        "moves a participant off its curve and does not declare it",
        in_contract("on_update", _undeclared),
        feature=COMMANDS,
        scenario="A roof is held",
    ),
    Defect(
        "moves-before-the-lock",
        "GRD-014",
        "tells a participant its new setpoint before the utility has locked it",
        Conduct(relocks=False),
        also=("ORD-001",),
        feature=COMMANDS,
        scenario="A battery is moved",
    ),
    Defect(
        "keeps-the-uplift",
        "GRD-015",
        "makes a participant good for a paisa less than it loses",
        in_contract("on_status", _half_the_uplift),
        feature=COMMANDS,
        scenario="A roof is held",
    ),
    Defect(
        "forgets-its-command",
        "GRD-016",
        "reads the meter of whom it commanded, and does not tell the command",
        in_contract("on_status", _forgotten_command),
        role=UTILITY,
        seat=AGENT,
        feature=COMMANDS,
        scenario="A battery is moved",
    ),
)
