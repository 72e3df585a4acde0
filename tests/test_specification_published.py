"""The published specifications and messages: what an independent audit of them counted.

The numbers are those of that audit (facts/upstream-audit.md, sections 0, 3 and 4); where
ours differ, the reason stands beside them.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gridwitness.dialects import recognise
from gridwitness.rules import rules
from gridwitness.specification import SchemaError, read_specification, slots
from gridwitness.trace import Message, Scene, Trace

UPSTREAM = Path(os.environ.get("GRIDWITNESS_UPSTREAM", os.devnull))
RULES = ("SPC-001", "SPC-002", "SPC-003")

pytestmark = pytest.mark.skipif(
    "GRIDWITNESS_UPSTREAM" not in os.environ, reason="no published specifications here"
)


@pytest.fixture(scope="module")
def published():
    return read_specification(UPSTREAM)


# What is wrong with the specifications themselves: files with a fault of each code


FAULTY_DOCUMENTS = {
    "SPF-01": 1,  # the same file
    "SPF-02": 19,  # 17, and two profile.json that the audit did not look at
    "SPF-03": 21,  # the same files
    "SPF-04": 77,  # 72, and five packs whose components are nobody's slot by themselves
    "SPF-05": 5,  # the same files, and 14 places
    "SPF-06": 22,  # the same files
    "SPF-07": 13,
    "SPF-08": 54,  # the same files
    "SPF-09": 75,  # 70, one of the core schemas, and four of enrolment that also fail otherwise
    "SPF-10": 94,  # the audit names the prefix, not the files
    "SPF-11": 3,  # all three of one circle; the audit tells of its root
    "SPF-12": 8,
    "SPF-13": 45,
    "SPF-14": 22,
    "SPF-15": 8,
    "SPF-16": 11,
    "SPF-17": 7,
    "SPF-18": 3,  # the LTS tag and branch, and the pack that repeats it
    "SPF-19": 7,
    "SPF-20": 8,
    "SPF-21": 47,
}


@pytest.fixture(scope="module")
def faults(published):
    return published.faults()


def test_every_class_of_faults_is_found_where_it_is_known_to_be(faults):
    documents: dict[str, set[str]] = defaultdict(set)
    for fault in faults:
        documents[fault.code].add(fault.document)
    assert {code: len(found) for code, found in sorted(documents.items())} == FAULTY_DOCUMENTS


@pytest.mark.parametrize(
    ("code", "document", "number"),
    [
        ("SPF-02", "beckn-2.1-draft/api/beckn.yaml", 79),
        ("SPF-02", "beckn-2.1-draft/schema/Fulfillment/v2.0/attributes.yaml", 16),
        ("SPF-02", "building-blocks/schema/EnergyContractP2PTrade/v1/attributes.yaml", 39),
        ("SPF-02", "energy-schema/deg-main/EnergyTrade/v2.0/attributes.yaml", 7),
        ("SPF-02", "energy-schema/deg-main/EnergyEnrollment/v2.0/attributes.yaml", 12),
        ("SPF-03", "beckn-2.0.0-rc/schema/core/v2/attributes.yaml", 2),
        ("SPF-03", "energy-schema/deg-main/EnergyResourceCommon/v1.1/attributes.yaml", 8),
        ("SPF-05", "building-blocks/schema/EnergyContractP2PTrade/v1/attributes.yaml", 6),
        ("SPF-05", "beckn-2.1-draft/schema/Fulfillment/v2.0/attributes.yaml", 3),
        ("SPF-19", "beckn-2.0.0-rc/api/beckn.yaml", 4),
    ],
)
def test_a_document_has_as_many_faults_as_the_audit_found(faults, code, document, number):
    found = [fault for fault in faults if (fault.code, fault.document) == (code, document)]
    assert len(found) == number


def test_the_faults_that_the_audit_names_are_at_their_places(faults):
    places = {(fault.code, fault.document, fault.pointer) for fault in faults}
    body = "requestBody/content/application~1json/schema"
    rc, lts = "beckn-2.0.0-rc/api/beckn.yaml", "beckn-2.0.0-lts-tag/api/beckn.yaml"
    assert ("SPF-15", rc, "/paths/~1beckn~1discover/get/requestBody") in places
    assert ("SPF-16", rc, f"/paths/~1beckn~1rating/post/{body}") in places
    assert ("SPF-16", lts, f"/paths/~1confirm/post/{body}") in places
    assert {f[2] for f in places if f[:2] == ("SPF-17", rc)} == {
        f"/paths/~1beckn~1on_status/post/{body}/properties/message/anyOf/1"
    }
    (grid_node,) = [fault for fault in faults if fault.code == "SPF-01"]
    assert "line 76, column 86" in grid_node.sentence


# Messages


class Judged:
    """The published messages with what the specification of each finds in it."""

    def __init__(self, specification: Any) -> None:
        self.core: dict[Path, list[SchemaError]] = {}
        self.slots: dict[Path, list[list[SchemaError] | None]] = {}
        self.found: dict[Path, set[str]] = {}
        folders = ("examples", "building-blocks/examples")
        self.files = [file for f in folders for file in sorted((UPSTREAM / f).rglob("*.json"))]
        for file in self.files:
            trace = one_message(file.read_bytes(), specification)
            message = trace.messages[0]
            outcomes = {name: list(rules()[name].check(trace)) for name in RULES}
            self.found[file] = {n for n, o in outcomes.items() if not all(x.kept for x in o)}
            if message.dialect is None:
                continue
            self.core[file] = specification.message_errors(
                message.dialect, message.action, message.body
            )
            self.slots[file] = [specification.slot_errors(s) for _, s in slots(message.body)]

    def with_core(self, is_meant: Callable[[SchemaError], bool]) -> set[Path]:
        return {file for file, errors in self.core.items() if any(map(is_meant, errors))}

    def with_slot(self, is_meant: Callable[[SchemaError], bool]) -> set[Path]:
        return {
            file
            for file, each in self.slots.items()
            if any(is_meant(error) for errors in each for error in errors or [])
        }


def one_message(raw: bytes, specification: Any) -> Trace:
    """Make a trace of one recorded message."""
    number = {"number": 1, "kind": "beckn", "sender": "somebody", "receiver": "other"}
    wire = {"method": "POST", "url": "", "headers": {}, "at": "", "sent_s": 0.0}
    unnamed = Message(**number, **wire, action="", raw=raw)
    dialect = recognise(unnamed.body)
    action = (unnamed.reading.envelope.action if dialect else None) or ""
    message = Message(**number, **wire, action=action, raw=raw)
    name = message.dialect or "order"
    scene = Scene("", "", "somebody", name, "beckn-2.0.0-rc", "strict")
    return Trace(scene, (message,), specification)


@pytest.fixture(scope="module")
def judged(published):
    return Judged(published)


def test_every_published_file_is_judged(judged):
    assert len(judged.files) == 586
    assert len(judged.core) == 568  # the others are no protocol messages


def test_as_many_messages_are_valid_as_the_audit_found(judged):
    valid = [file for file, errors in judged.core.items() if not errors]
    assert len(valid) == 194
    structure = [f for f, e in judged.core.items() if all(x.keyword == "format" for x in e)]
    # 422: as many more as there are messages of an action that no specification has.
    assert len(structure) == 418


def test_as_many_slots_are_valid_as_the_audit_found(judged):
    with_slots = {file: each for file, each in judged.slots.items() if each}
    assert len(with_slots) == 461
    valid = [file for file, each in with_slots.items() if all(e == [] for e in each)]
    structure = [
        file
        for file, each in with_slots.items()
        if all(e is not None and all(x.keyword == "format" for x in e) for e in each)
    ]
    # 204 and 320: two files more than the audit counts, which names none.
    assert (len(valid), len(structure)) == (206, 322)


CORE_CLASSES: dict[str, tuple[int, Callable[[SchemaError], bool]]] = {
    "transaction or message id is no UUID": (
        287,
        lambda e: e.pointer.startswith("/context/") and e.sentence.endswith("is no uuid"),
    ),
    "contract id is no UUID": (
        43,
        lambda e: e.pointer == "/message/contract/id" and e.keyword == "format",
    ),
    "order lacks what it must have": (
        51,
        lambda e: e.pointer == "/message/order" and e.keyword == "required",
    ),
    "order has members of another generation": (
        45,
        lambda e: e.pointer == "/message/order" and e.keyword == "additionalProperties",
    ),
    "catalogue lacks what it must have": (
        17,
        lambda e: e.pointer.rstrip("0123456789") == "/message/catalogs/" and "bppId" in e.sentence,
    ),
    "@context is pinned to one branch": (17, lambda e: e.pointer.endswith("/@context")),
    "value outside an enumeration": (
        26,  # 29; with those that stand in slots, ours are 27
        lambda e: (
            e.keyword in ("enum", "const")
            and e.pointer.startswith("/message")
            and not e.pointer.endswith("/@context")
        ),
    ),
    "wrong JSON type": (28, lambda e: e.keyword == "type"),
    "consideration without status": (
        16,
        lambda e: "/consideration/" in e.pointer and "status" in e.sentence,
    ),
    "offer of a commitment without resourceIds": (7, lambda e: "resourceIds" in e.sentence),
    "action that no specification has": (4, lambda e: e.pointer == "/context/action"),
}
SLOT_CLASSES: dict[str, tuple[int, Callable[[SchemaError], bool]]] = {
    "@type not among the components": (35, lambda e: e.keyword == "component"),
    "property that a closed schema does not know": (
        95,
        lambda e: e.keyword == "additionalProperties",
    ),
    "required property missing": (84, lambda e: e.keyword == "required"),
    "date-time where a time is wanted": (117, lambda e: e.sentence.endswith("is no time")),
}


@pytest.mark.parametrize("name", CORE_CLASSES)
def test_a_class_of_defects_in_messages_is_found(judged, name):
    number, is_meant = CORE_CLASSES[name]
    files = judged.with_core(is_meant)
    assert len(files) >= number
    assert all("SPC-001" in judged.found[file] for file in files)


@pytest.mark.parametrize("name", SLOT_CLASSES)
def test_a_class_of_defects_in_slots_is_found(judged, name):
    number, is_meant = SLOT_CLASSES[name]
    files = judged.with_slot(is_meant)
    assert len(files) >= number
    assert all("SPC-002" in judged.found[file] for file in files)


def test_slots_whose_schema_was_never_published_are_found(judged):
    files = {file for file, each in judged.slots.items() if None in each}
    assert len(files) == 45
    assert all("SPC-003" in judged.found[file] for file in files)


def test_contexts_without_a_document_are_found(judged):
    assert sum("SPC-003" in found for found in judged.found.values()) >= 86
