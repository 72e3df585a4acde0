"""The life cycle: its tables are whole, its page is drawn from them, its rules bite."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from gridwitness.dialects import DIALECTS
from gridwitness.editions import editions
from gridwitness.lifecycle import CANCELLED, COMPLETED, document, tables
from gridwitness.mocks.market import AFTER, BEFORE
from gridwitness.protocol import write_code
from tests.conftest import small_market
from tests.recorded import body, found, recorded

ROOT = Path(__file__).parent.parent
TABLES = tables()
AGENT = "clearing agent"

NAMES = {
    "order": ("PENDING", "CONFIRMED", "COMPLETED", "CANCELLED"),
    "contract": ("DRAFT", "ACTIVE", "COMPLETE", "CANCELLED"),
}
DRAFT, ACTIVE, COMPLETE, ENDED = range(4)


def test_the_page_is_drawn_from_the_tables():
    assert (ROOT / "docs" / "lifecycle.md").read_text("utf-8") == document()


@pytest.mark.parametrize("machine", TABLES.machines.values(), ids=TABLES.machines)
def test_a_machine_is_whole(machine):
    states = set(machine.carried)
    known = {name for action in TABLES.actions for name in (action, f"on_{action}")}
    assert machine.first <= states
    assert set(machine.ends) <= states
    assert set(machine.ends.values()) <= {CANCELLED, COMPLETED}
    assert set(machine.dialects) <= DIALECTS.keys()
    assert all(actions and actions <= known for actions in machine.carried.values())
    assert all({edge.start, edge.end} <= states and edge.why for edge in machine.edges)
    assert len(machine.edges) == len(machine.steps)
    reached = set(machine.first)
    for _ in machine.edges:
        reached |= {edge.end for edge in machine.edges if edge.start in reached}
    assert reached == states


def test_the_end_of_a_binding_machine_is_the_end():
    for machine in TABLES.machines.values():
        if machine.binding:
            assert not [edge for edge in machine.edges if edge.start in machine.ends]


def test_an_action_needs_actions_that_exist():
    for action in TABLES.actions.values():
        assert set(action.needs) <= TABLES.actions.keys()
        assert set(action.after) <= {CANCELLED, COMPLETED}
        assert action.source
        assert action.why


def flow(dialect: str, *said: tuple[str, int | str], **content: Any) -> Any:
    """Record messages of one transaction: each an action, and the state it carries."""
    bodies: list[bytes] = []
    for minute, (action, state) in enumerate(said):
        name = NAMES[dialect][state] if isinstance(state, int) else state
        if dialect == "order":
            held = {"order": {"beckn:id": "o-1", "beckn:orderStatus": name} | content}
        else:
            held = {"contract": {"id": "c-1", "status": {"code": name}} | content}
        bodies.append(body(dialect, action, held, minute=minute))
    return recorded(dialect, bodies)


def rules(trace) -> list[tuple[str, int]]:
    return [(finding.rule, finding.message) for finding in found(trace, "LIF")]


RIGHT = [
    ("select", DRAFT),
    ("on_select", DRAFT),
    ("init", DRAFT),
    ("on_init", DRAFT),
    ("confirm", DRAFT),
    ("on_confirm", ACTIVE),
    ("status", ACTIVE),
    ("on_status", ACTIVE),
    ("on_status", COMPLETE),
]


@pytest.mark.parametrize("dialect", ["order", "contract"])
def test_a_right_flow_is_right(dialect: str):
    last = "rating" if dialect == "order" else "rate"
    bodies = flow(dialect, *RIGHT).messages
    end = body(dialect, last, {"ratings": []}, minute=59)
    assert rules(recorded(dialect, [*(one.raw for one in bodies), end])) == []


@pytest.mark.parametrize("dialect", ["order", "contract"])
@pytest.mark.parametrize(
    ("said", "rule", "place"),
    [
        ([("init", "PROPOSED")], "LIF-001", 1),
        ([("confirm", DRAFT), ("on_confirm", DRAFT)], "LIF-002", 2),
        ([("select", ENDED)], "LIF-002", 1),
        ([("confirm", DRAFT), ("on_confirm", ACTIVE), ("on_status", DRAFT)], "LIF-003", 3),
        ([("init", DRAFT), ("status", DRAFT)], "LIF-005", 2),
        ([("init", DRAFT), ("on_confirm", ACTIVE)], "LIF-005", 2),
        ([("init", DRAFT), ("on_init", DRAFT), ("on_init", DRAFT)], "LIF-006", 3),
        (
            [("confirm", DRAFT), ("cancel", DRAFT), ("on_cancel", ENDED), ("on_confirm", ACTIVE)],
            "LIF-007",
            4,
        ),
        (
            [("confirm", DRAFT), ("on_confirm", ACTIVE), ("on_status", COMPLETE), ("on_cancel", 3)],
            "LIF-007",
            4,
        ),
    ],
)
def test_a_wrong_state_has_one_name(dialect: str, said: Any, rule: str, place: int):
    # What no text publishes of the order is a warning of its own.
    name = "LIF-004" if dialect == "order" and rule in ("LIF-002", "LIF-003") else rule
    assert rules(flow(dialect, *said)) == [(name, place)]


def test_what_a_provider_repeats_is_no_second_step():
    said = [("confirm", DRAFT), ("on_confirm", ACTIVE), ("on_status", ACTIVE), ("on_status", 1)]
    assert rules(flow("contract", *said)) == []


def test_rating_waits_for_the_end():
    said = [("confirm", DRAFT), ("on_confirm", ACTIVE), ("rate", ACTIVE)]
    assert rules(flow("contract", *said)) == [("LIF-005", 3)]


def test_what_a_commitment_and_a_settlement_are_is_judged_by_name():
    parts = {
        "commitments": [{"id": "k-1", "status": {"descriptor": {"code": "OPEN"}}}],
        "settlements": [{"id": "s-1", "status": "PAID"}],
    }
    trace = flow("contract", ("confirm", DRAFT), **parts)
    assert [(f.rule, f.pointer) for f in found(trace, "LIF")] == [
        ("LIF-001", "/message/contract/commitments/0/status/descriptor/code"),
        ("LIF-001", "/message/contract/settlements/0/status"),
    ]


@pytest.mark.parametrize("dialect", ["order", "contract"])
def test_a_confirmed_contract_needs_an_id(dialect: str):
    held = {"order": {"beckn:orderStatus": "CONFIRMED"}, "contract": {"status": {"code": "ACTIVE"}}}
    bodies = [
        body(dialect, "confirm", {dialect: {}}),
        body(dialect, "on_confirm", {dialect: held[dialect]}),
    ]
    assert rules(recorded(dialect, bodies)) == [("LIF-008", 2)]


def test_a_payment_is_demanded_only_with_the_terms():
    paid = {"beckn:payment": {"beckn:paymentURL": "https://pay.example"}}
    early = flow("order", ("select", DRAFT), ("on_select", DRAFT), **paid)
    assert ("LIF-009", 2) in rules(early)
    assert rules(flow("order", ("init", DRAFT), ("on_init", DRAFT), **paid)) == []


@pytest.mark.parametrize("dialect", ["order", "contract"])
def test_who_cancels_in_time_is_told_no_result(sandbox, dialect: str):
    trace = small_market(sandbox, dialect, cancels={"car": BEFORE})
    to_car = [m.action for m in trace.beckn if m.sender == AGENT and m.receiver == "car"]
    assert to_car == ["on_discover", "on_init", "on_cancel", "on_status"]
    (cancelled,) = (m for m in trace.of("on_cancel") if m.sender == AGENT)
    assert cancelled.reading.contract is not None
    assert cancelled.reading.contract.status == "TERMINATED"
    last = [m for m in trace.of("on_status") if m.receiver == "car"][-1]
    assert last.reading.contract is not None
    assert last.reading.contract.status == "TERMINATED"


@pytest.mark.parametrize("dialect", ["order", "contract"])
def test_who_cancels_too_late_is_refused(sandbox, dialect: str):
    trace = small_market(sandbox, dialect, cancels={"car": AFTER})
    (asked,) = trace.of("cancel")
    assert asked.ack is not None
    listed = editions()[trace.scene.edition].error_codes
    code = write_code("POL_CANCELLATION_NOT_ALLOWED", listed)
    assert (asked.ack.status, asked.ack.error_code) == ("NACK", code)
    assert not trace.of("on_cancel")
    settled = [m for m in trace.of("on_status") if m.receiver == "car"][-1]
    assert settled.reading.contract is not None
    assert settled.reading.contract.settlement is not None
