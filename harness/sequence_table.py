"""The table of a message sequence: its columns, and its rows as the steps of a flow.

Belongs here: reading tables of a feature where both a sentence and a diagram need it.
Does not belong here: sentences (steps), what the order means (rules.sequence), drawing
it (diagram).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from gridwitness.errors import UserError
from gridwitness.protocol import ACTIONS, is_known
from gridwitness.rules.sequence import CARRIES
from gridwitness.story import ASKED, ASKING, BAP, BAP_AND_BPP, BPP
from gridwitness.trace import Step

if TYPE_CHECKING:
    from collections.abc import Sequence

Row = dict[str, str]
COLUMNS = ("row", "from", "to", "action", "carries", "after")
NO_ROLES = (BAP, BPP, BAP_AND_BPP)
ROLES = tuple(dict.fromkeys(one for one in (*ASKING, *ASKED) if one not in NO_ROLES))
"""Who may speak in a sequence."""


def rows(table: Sequence[Sequence[str]], *, needs: Sequence[str], may: Sequence[str]) -> list[Row]:
    """Read a table with a heading; raises UserError for a column it does not know or lacks."""
    heading = list(table[0])
    unknown = [name for name in heading if name not in (*needs, *may)]
    missing = [name for name in needs if name not in heading]
    twice = sorted({name for name in heading if heading.count(name) > 1})
    if unknown or missing or twice:
        told = {"unknown": unknown, "missing": missing, "twice": twice}
        raise UserError(
            ", ".join(f"{what} columns {names}" for what, names in told.items() if names),
            where="a table of the feature",
            mend=f"use the columns {', '.join(needs)}"
            + (f"; optional: {', '.join(may)}" if may else ""),
        )
    return [dict(zip(heading, row, strict=True)) for row in table[1:]]


def read_sequence(table: Sequence[Sequence[str]]) -> tuple[Step, ...]:
    """Read the table of a message sequence.

    Raises UserError for what no message could ever fulfil: a role, an action or a content
    that nobody knows, a row named twice, and one that comes after none above it.
    """
    steps: list[Step] = []
    for row in rows(table, needs=COLUMNS, may=()):
        step = _step(row)
        _check(step, [one.name for one in steps])
        steps.append(step)
    if not steps:
        raise _mistake("the message sequence", "holds no row", "write one row a message")
    return tuple(steps)


def _step(row: Row) -> Step:
    """Read one row; a question mark behind its name says that it comes for some only."""
    after = _words(row["after"])
    return Step(
        name=row["row"].removesuffix("?"),
        is_optional=row["row"].endswith("?"),
        sender=row["from"],
        receiver=row["to"],
        actions=tuple(row["action"].split(" or ")),
        carries=_words(row["carries"]),
        after=tuple(name for name in after if not name.startswith("all ")),
        after_all=tuple(name.removeprefix("all ") for name in after if name.startswith("all ")),
    )


def _words(cell: str) -> tuple[str, ...]:
    return tuple(word.strip() for word in cell.split(",") if word.strip())


def _check(step: Step, above: Sequence[str]) -> None:
    where = f"row {step.name} of the message sequence"
    if not step.name or step.name in above:
        raise _mistake(where, "needs a name of its own", "number the rows")
    for role in (step.sender, step.receiver):
        if role not in ROLES:
            raise _mistake(where, f"{role!r} is no role", f"one of: {', '.join(ROLES)}")
    for action in step.actions:
        if not is_known(action):
            known = ", ".join(sorted(ACTIONS))
            raise _mistake(where, f"{action!r} is no action", f"one of: {known}, or on_ and one")
    for word in step.carries:
        if word not in CARRIES:
            raise _mistake(where, f"nothing carries {word!r}", f"one of: {', '.join(CARRIES)}")
    for name in (*step.after, *step.after_all):
        if name not in above:
            raise _mistake(
                where, f"comes after {name!r}, which is no row above it", "name rows above, or none"
            )


def _mistake(where: str, what: str, mend: str) -> UserError:
    return UserError(what, where=where, mend=mend)
