"""Defects of building blocks: what a schema lets pass and a reader takes for something else.

Belongs here: ways to break the inside of one block. Does not belong here: what follows from
it for the money (billing). Blocks that no reference actor states are broken in
examples/blocks, which tests/test_blocks.py puts into messages.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import TYPE_CHECKING, Any, cast

from gridwitness.mocks.defects.base import Defect, in_deal
from gridwitness.story import CHARGING_OPERATOR

if TYPE_CHECKING:
    from gridwitness.views import Block, Deal


def _tax_as_fraction(deal: Deal) -> Deal:
    return replace(deal, blocks=tuple(map(_of_one, deal.blocks)))


def _of_one(block: Block) -> Block:
    """Give a tariff its taxes as parts of one."""
    if block.name != "tariff":
        return block
    tariff = cast("dict[str, Any]", deepcopy(block.data))
    for element in tariff["elements"]:
        for component in element["priceComponents"]:
            if component.get("vat"):
                component["vat"] /= 100
    return replace(block, data=tariff)


DEFECTS = (
    Defect(
        "states-tax-as-a-fraction",
        breaks="BLK-003",
        says="repeats its tariff with a tax of 0.18 percent",
        conduct=in_deal("on_init", _tax_as_fraction),
        role=CHARGING_OPERATOR,
        feature="ev_charging/destination.feature",
        scenario="A visit over the evening peak",
    ),
)
