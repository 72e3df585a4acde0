"""The life cycle as tables: states, transitions, what an action needs, who may change what.

Belongs here: reading lifecycle.toml, and drawing docs/lifecycle.md from it with
`python -m gridwitness.lifecycle > docs/lifecycle.md`. Does not belong here: judging
messages by the tables (rules.lifecycle, rules.lineage).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from gridwitness.protocol import callback_of

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

CANCELLED, COMPLETED = "cancelled", "completed"
"""How a contract may have ended."""

HEAD = """\
# Life cycle

Drawn from `harness/lifecycle.toml` by `python -m gridwitness.lifecycle > docs/lifecycle.md`;
a test holds the two together. The rules LIF and LIN judge by these tables.
"""


@dataclass(frozen=True)
class Edge:
    """A transition from one state to another, and why there is one."""

    start: str
    end: str
    why: str


@dataclass(frozen=True)
class Machine:
    """What states one thing can be in.

    carried maps each state to the actions that may carry it; ends maps a state in which
    a contract has ended to how it has; first names the states it may begin in.
    binding: the states and their order are published, not only their names.
    """

    name: str
    dialects: tuple[str, ...]
    source: str
    binding: bool
    first: frozenset[str]
    carried: Mapping[str, frozenset[str]]
    ends: Mapping[str, str]
    edges: tuple[Edge, ...]
    steps: frozenset[tuple[str, str]]

    def may_follow(self, before: str, after: str) -> bool:
        """Tell whether a state may follow another, or stay."""
        return before == after or (before, after) in self.steps


@dataclass(frozen=True)
class Action:
    """What a request needs, and how it may be answered.

    needs: requests one of which must have come before; is_answered_once: one callback
    at most; is_pushed: its callback may come unasked; after: how a contract may have
    ended before it; is_last: it must have ended.
    """

    name: str
    needs: tuple[str, ...]
    is_answered_once: bool
    is_pushed: bool
    is_skippable: bool
    is_last: bool
    after: tuple[str, ...]
    why: str
    source: str


@dataclass(frozen=True)
class Carried:
    """What kind of value is carried through a flow, and the actions that may replace it."""

    kind: str
    by: frozenset[str]
    why: str


@dataclass(frozen=True)
class Tables:
    """Everything in lifecycle.toml, by name."""

    machines: Mapping[str, Machine]
    actions: Mapping[str, Action]
    carried: Mapping[str, Carried]


@cache
def tables() -> Tables:
    """Read the tables."""
    text = files("gridwitness").joinpath("lifecycle.toml").read_text("utf-8")
    data: dict[str, list[dict[str, Any]]] = tomllib.loads(text)
    return Tables(
        machines={row["name"]: _machine(row) for row in data["machine"]},
        actions={row["name"]: _action(row) for row in data["action"]},
        carried={
            row["kind"]: Carried(row["kind"], frozenset(row["by"]), row["why"])
            for row in data["carried"]
        },
    )


def _machine(row: dict[str, Any]) -> Machine:
    edges = tuple(Edge(edge["from"], edge["to"], edge["why"]) for edge in row["edge"])
    return Machine(
        name=row["name"],
        dialects=tuple(row["dialects"]),
        source=row["source"],
        binding=row["binding"],
        first=frozenset(row["first"]),
        carried={state: frozenset(actions) for state, actions in row["carried"].items()},
        ends=row["ends"],
        edges=edges,
        steps=frozenset((edge.start, edge.end) for edge in edges),
    )


def _action(row: dict[str, Any]) -> Action:
    return Action(
        name=row["name"],
        needs=tuple(row["needs"]),
        is_answered_once=row["answers"] == "one",
        is_pushed=row["unsolicited"],
        is_skippable=row["skippable"],
        is_last=row.get("last", False),
        after=tuple(row["after"]),
        why=row["why"],
        source=row["source"],
    )


def document() -> str:
    """Draw the tables as a page: a diagram and a table a machine, then the actions."""
    return "\n".join([HEAD, *_machines(), *_actions(), *_carried()])


def _machines() -> Iterator[str]:
    for machine in tables().machines.values():
        kind = "published" if machine.binding else "ours; a departure is a warning"
        yield f"## The {machine.name}\n"
        yield f"Dialect: {', '.join(machine.dialects)}. Order of states: {kind}.\n"
        yield f"Source: {machine.source}.\n"
        yield "```mermaid\nstateDiagram-v2"
        yield from (f"    [*] --> {state}" for state in sorted(machine.first))
        yield from (f"    {edge.start} --> {edge.end}" for edge in machine.edges)
        yield from (f"    {state} --> [*]" for state in machine.ends)
        yield "```\n"
        yield from _table("state", "carried by")
        yield from (
            f"| {state} | {', '.join(sorted(actions))} |"
            for state, actions in machine.carried.items()
        )
        yield ""
        yield from _table("from", "to", "why")
        yield from (f"| {edge.start} | {edge.end} | {edge.why} |" for edge in machine.edges)
        yield ""


def _actions() -> Iterator[str]:
    yield "## The actions\n"
    yield from _table(
        "request", "callback", "answers", "unasked", "skippable", "needs", "after the end", "why"
    )
    for action in tables().actions.values():
        cells = (
            action.name,
            callback_of(action.name),
            "one" if action.is_answered_once else "any number",
            "yes" if action.is_pushed else "no",
            "yes" if action.is_skippable else "no",
            " or ".join(action.needs) + (", and the end" if action.is_last else ""),
            ", ".join(action.after),
            f"{action.why} ({action.source})",
        )
        yield f"| {' | '.join(cells)} |"
    yield ""


def _carried() -> Iterator[str]:
    yield "## What is carried, and who may change it\n"
    yield from _table("value", "may be replaced by", "why")
    for carried in tables().carried.values():
        yield f"| {carried.kind} | {', '.join(sorted(carried.by)) or 'nobody'} | {carried.why} |"
    yield ""


def _table(*columns: str) -> tuple[str, str]:
    return f"| {' | '.join(columns)} |", f"|{' --- |' * len(columns)}"


if __name__ == "__main__":
    print(document(), end="")  # noqa: T201 (the page is the output)
