"""Sentences about the exchange: which rules must have been exercised and kept.

Every scenario is judged by all rules of its edition; these sentences say which of
them it is there to exercise.
"""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING

from pytest_bdd import parsers, then

from gridwitness.errors import UserError
from gridwitness.hearing import family
from gridwitness.rules import rules

OPTED_OUT = "FLX-007"
"""What only who has opted out exercises; a scenario in which somebody does demands it by name."""

if TYPE_CHECKING:
    from gridwitness.hearing import Hearing
    from gridwitness.rules import Rule


@then("every message is well formed, signed and answered")
def every_message_is_well_formed(hearing: Hearing) -> None:
    hearing.demand(family("ENV", "SHP", "LD", "ACK", "SIG", "COR"))


@then("the messages follow the sequence")
def the_messages_follow_the_sequence(hearing: Hearing) -> None:
    hearing.demand(family("ORD"))


@then("the market is in equilibrium")
def the_market_is_in_equilibrium(hearing: Hearing) -> None:
    hearing.demand(family("MKT"))


GRID = {
    "limits": ("GRD-001", "GRD-002", "GRD-003", "GRD-004", "GRD-005", "GRD-008", "GRD-009"),
    "commands": ("GRD-010", "GRD-011", "GRD-012", "GRD-013", "GRD-014", "GRD-015", "GRD-016"),
}
"""What a grid may ask of a market, by the word for it."""


@then(parsers.parse("the grid's {what:w} are kept"))
def the_grid_is_kept(what: str, hearing: Hearing) -> None:
    if what not in GRID:
        raise UserError(
            f"a grid has no {what}", where="a sentence of the feature", mend="limits, or commands"
        )
    hearing.demand([rules()[rule_id] for rule_id in GRID[what]])


@then("every trade is locked once before it binds")
def every_trade_is_locked_once(hearing: Hearing) -> None:
    hearing.demand(family("LCK"))


@then("the money balances to the last minor unit")
def the_money_balances(hearing: Hearing) -> None:
    hearing.demand(family("SET"))


@then("what was agreed is carried to the end")
def what_was_agreed_is_carried(hearing: Hearing) -> None:
    hearing.demand(family("LIF", "LIN"))


@then(parsers.parse("the exchange keeps {rule_ids}"))
def the_exchange_keeps(rule_ids: str, hearing: Hearing) -> None:
    hearing.demand([_rule(rule_id.strip()) for rule_id in rule_ids.split(",")])


def _rule(rule_id: str) -> Rule:
    if rule_id not in rules():
        near = difflib.get_close_matches(rule_id, rules(), n=1)
        raise UserError(
            f"there is no rule {rule_id!r}",
            where="a sentence of the feature",
            mend=f"{f'did you mean {near[0]}? ' if near else ''}see: gridwitness rules",
        )
    return rules()[rule_id]
