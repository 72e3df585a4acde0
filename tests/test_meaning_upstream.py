"""The published messages, read by the published contexts: what the audit of them found is found.

The contexts are looked for in the folder by their address, as the audit did; where one
stands for another, it says so.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import defaultdict
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from gridwitness.context_documents import Documents
from gridwitness.meaning import Meaning, Reader

pytestmark = pytest.mark.skipif(
    "GRIDWITNESS_UPSTREAM" not in os.environ, reason="no published messages here"
)
FOLDER = Path(os.environ.get("GRIDWITNESS_UPSTREAM", os.devnull))
BRANCHES = {
    "main": ("beckn-2.0.0-rc1",),
    "draft": ("beckn-2.0.0-draft-2026-01", "energy-schema/deg0p5", "building-blocks"),
    "core-v2.0.0-rc1": ("beckn-2.0.0-rc1",),
    "core-2.0.0-rc-eos-release": ("beckn-2.0.0-rc",),
    "core-v2.0.0-rc": ("beckn-2.0.0-rc",),
    "p2p-trading": ("energy-schema/p2p-trading", "energy-schema/deg-main"),
    "tpddl-p2p-trading-pilot-v20260201": ("energy-schema/p2p-trading",),
    "deg-1.0.1": ("energy-schema/deg-main",),
}
SITES = ("energy-schema/deg-main", "beckn-core-schemas", "energy-schema/ddm-1.1")
RAW = re.compile(
    r"https://raw\.githubusercontent\.com/[^/]+/[^/]+/(?:refs/heads/|refs/tags/|tags/)?([^/]+)/(.*)"
)
SITE = re.compile(r"https://schema\.(?:nfh\.global|beckn\.io)/([^/]+)/v?([^/]+)(?:/(.*))?")
IES = "https://india-energy-stack.github.io/ies-accelerator/schemas/"


def places(url: str) -> list[str]:
    if found := RAW.fullmatch(url):
        path = found[2].removeprefix("specification/")
        homes = BRANCHES.get(found[1], ())
        return [f"{home}/{p}" for home in homes for p in (path, path.removeprefix("schema/"))]
    if found := SITE.fullmatch(url):
        name, version, file = found[1], found[2], found[3] or "context.jsonld"
        folders = [f"{site}{inner}" for site in SITES for inner in ("", "/schema")]
        return [f"{at}/{name}/{v}/{file}" for at in folders for v in (f"v{version}", version)]
    return [f"energy-schema/ies/{url.removeprefix(IES)}"] if url.startswith(IES) else []


def published(url: str) -> Any:
    for place in places(url):
        if (FOLDER / place).is_file():
            return json.loads((FOLDER / place).read_text("utf-8"))
    return None


@cache
def read() -> dict[Path, Meaning]:
    reader = Reader(Documents(published))
    folders = (FOLDER / "examples", FOLDER / "building-blocks" / "examples")
    files = sorted(file for folder in folders for file in folder.rglob("*.json"))
    return {file: reader.read(json.loads(file.read_text("utf-8"))) for file in files}


CLASSES = [
    ("@context URL has no document", "unknown", "", 86),
    ("terms lost in expansion", "lost", "", 250),
    ("prefix not usable / not defined", "prefix", "", 42),
    ("context defines a relative prefix", "invalid", r" defines \S+ as \./", 347),
    ("context redefines a keyword", "invalid", r" redefines @", 51),
]
"""A class of the audit, the kind of flaw it is (LD-001, 002, 005, 004, 004), and its files.

The audit counts 290 files with lost terms; among them are some below a context of which
there is no document, where nobody can tell what is lost (LD-001 names them).
"""


@pytest.mark.parametrize(("name", "kind", "pattern", "files"), CLASSES, ids=lambda v: str(v)[:30])
def test_what_the_audit_found_is_found(name: str, kind: str, pattern: str, files: int):
    found = [
        file
        for file, meaning in read().items()
        if any(flaw.kind == kind and re.search(pattern, flaw.observed) for flaw in meaning.flaws)
    ]
    assert len(found) >= files, name
    assert len(found) <= 2 * files


def test_every_published_message_is_read_and_soon():
    assert len(read()) == 586
    reader = Reader(Documents(published))
    began_s = time.process_time()
    for file in list(read())[:200]:
        reader.read(json.loads(file.read_text("utf-8")))
    assert time.process_time() - began_s < 20


def test_words_that_the_audit_saw_lost_are_named():
    lost: dict[str, int] = defaultdict(int)
    for meaning in read().values():
        for flaw in meaning.flaws:
            if flaw.kind == "lost":
                lost[flaw.observed.split()[0]] += 1
    assert lost["type"] >= 64
    assert lost["description"] >= 72
    assert lost["coordinates"]
    assert lost["insertedBy"]
    assert lost["platformUrl"]


def test_what_is_invalid_in_a_document_is_told_of_the_document():
    for meaning in read().values():
        for flaw in meaning.flaws:
            if flaw.kind == "invalid":
                assert flaw.in_document == bool(flaw.about)
