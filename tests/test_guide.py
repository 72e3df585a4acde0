"""The guide is done as it is written: from an empty folder, block after block."""

from __future__ import annotations

import re
import shlex
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from gridwitness.diagram import page
from gridwitness.rules.sequence import CARRIES
from tests.conftest import Ran, played
from tests.test_certify import free_port

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
    assert answered == 5
    street = tmp_path / "street"
    assert "```mermaid\nsequenceDiagram" in (street / "README.md").read_text("utf-8")
    assert page(street) == (street / "README.md").read_text("utf-8")


def test_the_guide_names_what_a_message_can_carry():
    text = GUIDE.read_text("utf-8")
    [row] = [line for line in text.splitlines() if line.startswith("| `carries` |")]
    assert set(re.findall(r"`([a-z ]+)`", row)) - {"carries"} <= CARRIES.keys()


def test_lines_are_compared_in_their_order():
    assert shows("a\nb  c\nd\n", "a\nb c\n")
    assert shows("a\nb 12 c\nd\n", "b … c\nd\n")
    assert not shows("a\nb\n", "b\na\n")
    assert not shows("ab\n", "a\n")
