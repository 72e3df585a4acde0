"""The blocks of the grid: a node and its state, a setpoint, a command; alike in both dialects.

Belongs here: what these blocks hold, as views, and writing them. Does not belong here: the
slot they stand in (deals), what follows from them (rules).

Source: beckn/DEG, building blocks: GridNode v1, EnergyCoordination v1 (Setpoint), and
EnergyTradeDelivery v0.2 (OffsetCommand).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridwitness.dialects.base import Cursor
from gridwitness.views import Block, Command, NodeState

if TYPE_CHECKING:
    from decimal import Decimal

    from gridwitness.dialects.base import Json
    from gridwitness.views import Deal, EnergyContract, Offer

    Holder = EnergyContract | Deal | Offer


def _cursor(block: Block | None) -> Cursor | None:
    if block is None or not isinstance(block.data, dict):
        return None
    return Cursor(block.data, block.pointer(), [])


def read_node_state(offer: Offer) -> NodeState | None:
    """Read what a grid node offers to tell; None where the offer is no grid node's."""
    node = _cursor(offer.block("offer", "gridNode"))
    node_id = (node / "nodeId").text() if node else None
    if node is None or node_id is None:
        return None
    limits = _cursor(offer.block("offer", "gridConstraints")) or node / "gridConstraints"
    adder = _cursor(offer.block("offer", "locationalPriceAdder")) or node / "locationalPriceAdder"
    return NodeState(
        node_id=node_id,
        parent_id=(node / "parentId").text(),
        max_forward_kw=(limits / "maxForwardFlowKW").number(),
        max_reverse_kw=(limits / "maxReverseFlowKW").number(),
        base_price=(adder / "basePrice").number(),
        load_percent=(adder / "currentLoadPercent").number(),
        adder_per_percent=(adder / "priceAdderPerPercent").number(),
        price=(adder / "currentPrice").number(),
        at={"": node.pointer, "limits": limits.pointer, "adder": adder.pointer},
    )


def write_node_state(state: NodeState, currency: str) -> tuple[Block, ...]:
    """Write what a grid node tells of itself, as blocks of its offer."""
    return (
        _block("offer", "gridNode", nodeId=state.node_id, parentId=state.parent_id),
        _block(
            "offer",
            "gridConstraints",
            maxForwardFlowKW=state.max_forward_kw,
            maxReverseFlowKW=state.max_reverse_kw,
        ),
        _block(
            "offer",
            "locationalPriceAdder",
            basePrice=state.base_price,
            currentLoadPercent=state.load_percent,
            priceAdderPerPercent=state.adder_per_percent,
            currentPrice=state.price,
            currency=currency,
        ),
    )


def read_node_id(holder: Holder) -> str | None:
    """Read at which grid node somebody stands."""
    node = _cursor(holder.block("contract", "gridNode"))
    return (node / "nodeId").text() if node else None


def write_node_id(node_id: str) -> Block:
    return _block("contract", "gridNode", nodeId=node_id)


def read_setpoint_kw(holder: Holder) -> Decimal | None:
    """Read the power that somebody is to run at, export positive."""
    setpoint = _cursor(holder.block("contract", "setpoint"))
    return (setpoint / "setpointKW").number() if setpoint else None


def write_setpoint(who: str, power_kw: Decimal) -> Block:
    return _block("contract", "setpoint", participantId=who, setpointKW=power_kw)


def read_local_price(holder: Holder) -> Decimal | None:
    """Read the price that is told to hold at a node."""
    adder = _cursor(holder.block("contract", "locationalPriceAdder"))
    return (adder / "currentPrice").number() if adder else None


def write_local_price(base_price: Decimal, price: Decimal, currency: str) -> Block:
    """Write the price at a node, beside that of the market."""
    return _block(
        "contract",
        "locationalPriceAdder",
        basePrice=base_price,
        currentPrice=price,
        currency=currency,
    )


def read_command(holder: Holder, slot: str = "contract") -> Command | None:
    """Read the offset that a grid operator commands."""
    block = holder.block(slot, "offsetCommand")
    command = _cursor(block)
    offset_kw = (command / "offsetKW").number() if command else None
    if command is None or offset_kw is None or (command / "enabled").value is False:
        return None
    return Command(
        offset_kw=offset_kw,
        is_redispatch=(command / "redispatch").value is True,
        at={"": command.pointer},
    )


def write_command(command: Command, slot: str = "contract") -> Block:
    return _block(
        slot,
        "offsetCommand",
        offsetKW=command.offset_kw,
        enabled=True,
        redispatch=command.is_redispatch or None,
    )


def _block(slot: str, name: str, **members: Json) -> Block:
    present = {key: value for key, value in members.items() if value is not None}
    return Block(slot=slot, name=name, data=present)
