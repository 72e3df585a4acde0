"""Sentences about a market: who takes part, what the utility knows, that it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pytest_bdd import given, when

from gridwitness.mocks.market import Below, Cast, play
from gridwitness.sequence_table import read_sequence
from gridwitness.steps import tables

if TYPE_CHECKING:
    from fractions import Fraction

    from gridwitness.hearing import Hearing
    from gridwitness.mocks.conduct import Conduct
    from gridwitness.mocks.grid_node import Place
    from gridwitness.mocks.sandbox import Sandbox
    from gridwitness.trace import Scene, Step
    from gridwitness.views import Charges, Objective


@given("the message sequence", target_fixture="sequence")
def the_message_sequence(datatable: list[list[str]]) -> tuple[Step, ...]:
    return read_sequence(datatable)


@given("the market participants", target_fixture="participants")
def the_market_participants(datatable: list[list[str]]) -> list[tables.Row]:
    needs = ["name", "meter", "sanctioned", "offer curve (INR/kWh)"]
    done = ["confirms", "cancels", "offset command"]
    may = ["committed", "usual load", "metered", "spoilt", "node", "agent", *done]
    return tables.rows(datatable, needs=needs, may=may)


@given("the charges", target_fixture="charges")
def the_charges(datatable: list[list[str]]) -> Charges:
    may = ["settled by", "wheeling", "penalty", "band", "virtual meter", "short", "long"]
    return tables.charges(tables.row(datatable, needs=[], may=may))


@given("the objective", target_fixture="objective")
def the_objective(datatable: list[list[str]]) -> Objective:
    return tables.objective(
        tables.row(datatable, needs=["reduction", "highest price", "baseline"], may=[])
    )


@given("the grid", target_fixture="nodes")
def the_grid(datatable: list[list[str]]) -> dict[str, Place]:
    limits = ["forward limit", "reverse limit"]
    prices = ["load", "base price (INR/kWh)", "adder per percent (INR/kWh)"]
    found = tables.rows(datatable, needs=["node"], may=["parent", *limits, *prices])
    return {row["node"]: tables.place(row) for row in found}


@given("the aggregators", target_fixture="aggregators")
def the_aggregators(datatable: list[list[str]]) -> dict[str, Below]:
    found = tables.rows(datatable, needs=["aggregator", "above"], may=["node"])
    return {row["aggregator"]: Below(row["above"], row.get("node") or None) for row in found}


@when("the market runs")
def the_market_runs(  # noqa: PLR0913 (the fixtures that the Givens produced)
    participants: list[tables.Row],
    duration_h: Fraction,
    charges: Charges,
    objective: Objective | None,
    sequence: tuple[Step, ...],
    scene: Scene,
    sandbox: Sandbox,
    broken: tuple[str, Conduct] | None,
    nodes: dict[str, Place],
    aggregators: dict[str, Below],
    patience: float,
    hearing: Hearing,
) -> None:
    cast = Cast(
        wishes={row["name"]: tables.wish(row) for row in participants},
        meters={row["meter"]: tables.meter(row) for row in participants},
        duration_h=duration_h,
        charges=charges,
        objective=objective,
        last_confirms_late=tables.confirms_late(participants),
        cancels=tables.cancels(participants),
        nodes=nodes,
        aggregators=aggregators,
        agents={row["name"]: row["agent"] for row in participants if row.get("agent")},
        commands=tables.commands(participants),
        patience=patience,
        broken=broken,
    )
    hearing.hear(*play(sandbox, scene, sequence, cast))
