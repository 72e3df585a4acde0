"""The ledger: what published texts ask, and which rule judges it or why none does.

Belongs here: reading ledger.toml, counting it. Does not belong here: the rules, the
editions; a test holds all three together.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Literal

State = Literal["judged", "judged in part", "unobservable", "out of scope"]


@dataclass(frozen=True)
class Row:
    """One requirement: where it stands, and the rules that judge it.

    unobservable and out_of_scope say why a rule does not judge it, or not all of it.
    """

    id: str
    asks: str
    source: str
    rules: tuple[str, ...] = ()
    unobservable: str = ""
    out_of_scope: str = ""

    @property
    def state(self) -> State:
        if self.rules:
            return "judged in part" if self.reason else "judged"
        return "unobservable" if self.unobservable else "out of scope"

    @property
    def reason(self) -> str:
        """Why it is not judged, or not wholly; empty when it is."""
        return self.unobservable or self.out_of_scope


@dataclass(frozen=True)
class Contradiction:
    """Two published texts that cannot both hold, and what is held here."""

    id: str
    about: str
    one: str
    other: str
    held: str


@dataclass(frozen=True)
class Ledger:
    """Every requirement and every contradiction, in the order of ledger.toml."""

    rows: tuple[Row, ...]
    contradictions: tuple[Contradiction, ...]

    def coverage(self) -> dict[State, int]:
        """Count the rows by state."""
        counts: dict[State, int] = {
            "judged": 0,
            "judged in part": 0,
            "unobservable": 0,
            "out of scope": 0,
        }
        for row in self.rows:
            counts[row.state] += 1
        return counts


@cache
def ledger() -> Ledger:
    """Read the ledger."""
    data = tomllib.loads(files("gridwitness").joinpath("ledger.toml").read_text("utf-8"))
    rows = (Row(**row | {"rules": tuple(row.get("rules", ()))}) for row in data["row"])
    contradictions = (Contradiction(**one) for one in data["contradiction"])
    return Ledger(tuple(rows), tuple(contradictions))
