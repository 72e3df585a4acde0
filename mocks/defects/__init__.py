"""Named defects: ways to break a reference actor, one at least for every rule.

Belongs here: a defect's name, the rule it breaks, who misbehaves and how; a module
a kind. Does not belong here: the seams (conduct), what the rules say.

A rule without a biting defect does not merge: a test takes each defect and demands
that its rule fires, and no MUST rule that the defect does not name.
"""

from __future__ import annotations

from gridwitness.mocks.defects import (
    aggregation,
    allocation,
    amounts,
    billing,
    blocks,
    catalogue,
    charging,
    flexibility,
    generation,
    grid,
    lifecycle,
    lineage,
    linked_data,
    market,
    participant,
    settlement_report,
    shape,
    specification,
    telemetry,
    transport,
    wire,
)
from gridwitness.mocks.defects.base import Defect

__all__ = ["DEFECTS", "Defect"]

_MODULES = (
    allocation,
    aggregation,
    amounts,
    billing,
    blocks,
    catalogue,
    flexibility,
    charging,
    generation,
    grid,
    lifecycle,
    lineage,
    linked_data,
    market,
    participant,
    settlement_report,
    shape,
    specification,
    telemetry,
    transport,
    wire,
)

DEFECTS = {defect.name: defect for module in _MODULES for defect in module.DEFECTS}
