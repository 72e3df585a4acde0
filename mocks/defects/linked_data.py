"""Defects of linked data: contexts, words, types and prefixes that mean nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, cast

from gridwitness.dialects.blocks import CONTEXT
from gridwitness.mocks.defects.base import Defect, in_body

if TYPE_CHECKING:
    from collections.abc import Callable

    from gridwitness.dialects.base import Json

CAR_AND_ROOF = "A car and a roof clear"
Block = dict[str, Any]


def _blocks(value: Json, change: Callable[[Block], Block]) -> Json:
    """Change every building block below a value, the outermost only."""
    if isinstance(value, dict):
        members = cast("Block", value)
        if members.get("@context") == CONTEXT:
            return change(members)
        return {key: _blocks(item, change) for key, item in members.items()}
    if isinstance(value, list | tuple):
        return [_blocks(item, change) for item in cast("list[Json]", value)]
    return value


def _in_blocks(change: Callable[[Block], Block]) -> Callable[[Block], Json]:
    return lambda body: body | {"message": _blocks(body["message"], change)}


def _unknown_context(block: Block) -> Block:
    return block | {"@context": "https://clearing.example/contexts/energy.jsonld"}


def _wrong_term(block: Block) -> Block:
    """Write the charges under a word that means something to their writer alone."""
    if "charges" in block:
        return {("fees" if key == "charges" else key): item for key, item in block.items()}
    return {
        key: _wrong_term(cast("Block", item)) if isinstance(item, dict) else item
        for key, item in block.items()
    }


def _invented_type(block: Block) -> Block:
    return block | {"@type": "EnergyThing"}


def _relative_prefix(block: Block) -> Block:
    return block | {"@context": [CONTEXT, {"own": "./vocabulary.jsonld#"}]}


def _undefined_prefix(block: Block) -> Block:
    return block | {"grid:zone": "north"}


DEFECTS = (
    Defect(
        "names-an-unknown-context",
        "LD-001",
        "names a context of its own in on_confirm that nobody else holds",
        in_body("on_confirm", _in_blocks(_unknown_context)),
        scenario=CAR_AND_ROOF,
    ),
    Defect(
        "uses-a-wrong-term",
        "LD-002",
        "calls the charges fees in on_discover, which no context defines",
        in_body("on_discover", _in_blocks(_wrong_term)),
        scenario=CAR_AND_ROOF,
    ),
    Defect(
        "invents-a-type",
        "LD-003",
        "gives the blocks of on_init a type that is in no vocabulary",
        in_body("on_init", _in_blocks(_invented_type)),
        scenario=CAR_AND_ROOF,
        also=("SHP-005",),
    ),
    Defect(
        "defines-a-relative-prefix",
        "LD-004",
        "defines a prefix relative to nothing in the contexts of on_init",
        in_body("on_init", _in_blocks(_relative_prefix)),
        scenario=CAR_AND_ROOF,
    ),
    Defect(
        "uses-an-undefined-prefix",
        "LD-005",
        "uses a prefix in on_confirm that no context defines",
        in_body("on_confirm", _in_blocks(_undefined_prefix)),
        scenario=CAR_AND_ROOF,
    ),
)
