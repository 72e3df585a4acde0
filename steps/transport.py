"""Sentences about one message: what is wrong with it, or only odd, and what is made of it.

The trade around it is whole: whoever refuses what is wrong goes on with what is right.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_bdd import parsers, then, when

from gridwitness.errors import UserError
from gridwitness.mocks.market import Cast, play
from gridwitness.mocks.spoilt import FAULTS
from gridwitness.rules import rules
from gridwitness.steps import tables

if TYPE_CHECKING:
    from fractions import Fraction

    from gridwitness.hearing import Hearing
    from gridwitness.mocks.conduct import Conduct
    from gridwitness.mocks.sandbox import Sandbox
    from gridwitness.trace import Scene, Step


@when(parsers.parse("a message {words} comes in a trade"))
def a_message_comes_in_a_trade(  # noqa: PLR0913 (the fixtures that the Givens produced)
    words: str,
    participants: list[tables.Row],
    duration_h: Fraction,
    sequence: tuple[Step, ...],
    scene: Scene,
    sandbox: Sandbox,
    broken: tuple[str, Conduct] | None,
    patience: float,
    hearing: Hearing,
) -> None:
    if words not in FAULTS:
        raise UserError(
            f"nobody knows how a message is {words!r}",
            where="a sentence of the feature",
            mend=f"write one of: {'; '.join(FAULTS)}",
        )
    cast = Cast(
        wishes={row["name"]: tables.wish(row) for row in participants},
        meters={row["meter"]: tables.meter(row) for row in participants},
        duration_h=duration_h,
        patience=patience,
        broken=broken,
        spoilt=FAULTS[words],
    )
    hearing.hear(*play(sandbox, scene, sequence, cast))


@then("the refusal says why, and nothing follows it")
def the_refusal_says_why(hearing: Hearing) -> None:
    told = [one for one in rules().values() if one.family == "ACK" and one.level == "MUST"]
    hearing.demand([*(one for one in told if not one.when_stated), rules()["COR-005"]])
