"""The guide is done as it is written: from an empty folder, block after block."""

from __future__ import annotations

import inspect
import re
import shlex
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from gridwitness.diagram import page
from gridwitness.errors import UserError
from gridwitness.mocks.accounts import ACCOUNTS
from gridwitness.mocks.words import WORDS
from gridwitness.profile import SEATS
from gridwitness.rules.sequence import CARRIES
from gridwitness.sequence_table import ROLES
from tests.conftest import Ran, played
from tests.test_certify import free_port
from tests.test_language import definitions, matching

GUIDE = Path(__file__).parent.parent / "features" / "README.md"
BLOCK = re.compile(r"^```(\w+) ?(.*?)\n(.*?)^```$", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A fenced block: its language, what else stands beside it, its text."""

    language: str
    says: str
    text: str


def blocks() -> list[Block]:
    return [Block(*match.groups()) for match in BLOCK.finditer(GUIDE.read_text("utf-8"))]


def shows(output: str, told: str) -> bool:
    """Tell whether the lines of a block stand in an output, in their order; … is anything."""
    parts = [re.escape(" ".join(line.split())).replace("…", ".*") for line in told.splitlines()]
    lines = "\n".join(" ".join(line.split()) for line in output.splitlines())
    pattern = r"^" + r"$(?:.|\n)*?^".join(parts) + r"$"
    return re.search(pattern, lines, re.MULTILINE) is not None


def test_the_guide_leads_where_it_says(gridwitness, tmp_path):
    ports = {"9000": str(free_port()), "9001": str(free_port())}
    ran: Ran | None = None
    answered = 0
    with ExitStack() as others:
        for block in blocks():
            text = re.sub(r"\b900[01]\b", lambda match: ports[match[0]], block.text)
            if block.language == "sh":
                for line in text.splitlines():
                    name, *arguments = shlex.split(line)
                    assert name == "gridwitness"
                    if arguments[0] == "play":
                        others.enter_context(played(*arguments[1:]))
                    else:
                        ran = gridwitness(*arguments)
                        assert ran.status in (0, 1, 2), ran.out + ran.err
            elif block.language == "text":
                assert ran is not None
                status = int(block.says.removeprefix("status ") or 0)
                assert ran.status == status, ran.out + ran.err
                assert shows(ran.out + ran.err, text), ran.out + ran.err
                answered += 1
            else:
                file = tmp_path / block.says
                file.parent.mkdir(exist_ok=True)
                with file.open("a", encoding="utf-8") as opened:
                    opened.write(("\n" if opened.tell() else "") + text)
    assert ran is not None
    assert ran.status == 0
    assert answered == 6
    street = tmp_path / "street"
    assert "```mermaid\nsequenceDiagram" in (street / "README.md").read_text("utf-8")
    assert page(street) == (street / "README.md").read_text("utf-8")


def section(title: str) -> list[list[list[str]]]:
    """Give the tables below a heading, each as its rows of cells, without their headings."""
    text = GUIDE.read_text("utf-8").split(f"\n## {title}\n")[1].split("\n## ")[0]
    tables = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
    return [[row.strip("| ").split(" | ") for row in one.splitlines()[2:]] for one in tables]


def quoted(cell: str) -> list[str]:
    return re.findall(r"`([^`]+)`", cell)


def test_the_guide_says_what_each_word_of_a_row_means():
    tables = section("Every word of `carries`")
    told = [[word for row in one for word in quoted(row[0])] for one in tables]
    assert sorted(word for one in told for word in one) == sorted(CARRIES)
    assert set(told[0]) == WORDS.keys() | ACCOUNTS.keys() | {"interval", "search", "offer"}
    assert all(row[1] for one in tables for row in one)


def columns_of(definition) -> tuple[set[str], set[str]]:
    """Give the columns that a sentence needs and may have, as a wrong table is told them."""
    with pytest.raises(UserError) as told:
        definition.step_func(datatable=[["no such column"]])
    needs, _, may = told.value.mend.removeprefix("use the columns ").partition("; optional: ")
    return set(filter(None, needs.split(", "))), set(filter(None, may.split(", ")))


def test_the_guide_names_every_column_of_every_table():
    [table] = section("Every column")
    told = {row[0].strip("*"): set(quoted(row[1])) for row in table}
    bold = {row[0].strip("*"): set(re.findall(r"\*\*`([^`]+)`\*\*", row[1])) for row in table}
    known = {
        one.parser.name: columns_of(one)
        for one in definitions()
        if "datatable" in inspect.signature(one.step_func).parameters
    }
    assert known
    assert bold == {name: needs for name, (needs, _) in known.items()}
    assert told == {name: needs | may for name, (needs, may) in known.items()}


def test_the_guide_names_every_role_that_has_a_seat():
    text = GUIDE.read_text("utf-8").split("\nThe roles, ")[1].split("\n\n")[0]
    assert sorted(quoted(text)) == sorted(ROLES)
    assert set(ROLES) == set(SEATS.values())


def test_the_guide_says_what_every_then_demands():
    demands = section("4. Play it")[0]
    told = [sentence for row in demands for sentence in quoted(row[0])]
    found = [one for sentence in told for one in matching("then", sentence)]
    assert len(found) == len(told)
    assert {id(one) for one in found} == {id(one) for one in definitions() if one.type == "then"}


def test_lines_are_compared_in_their_order():
    assert shows("a\nb  c\nd\n", "a\nb c\n")
    assert shows("a\nb 12 c\nd\n", "b … c\nd\n")
    assert not shows("a\nb\n", "b\na\n")
    assert not shows("ab\n", "a\n")
