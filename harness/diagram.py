"""Diagrams: the message sequence of a feature as Mermaid, and the pages that hold them.

Belongs here: finding the sequences of a feature, drawing them, rewriting what stands
between the markers of a README. Does not belong here: reading a row (sequence_table).

A marker names the features of its folder that have the sequence drawn below it:
`<!-- diagram: one.feature, another.feature -->`, and `<!-- end -->` ends it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from gridwitness.errors import UserError
from gridwitness.feature_folder import parse
from gridwitness.sequence_table import read_sequence

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from gridwitness.trace import Step

SENTENCE = "the message sequence"
MARKER = re.compile(
    r"^<!-- diagram: (?P<names>.+?) -->\n(?P<drawn>.*?)^<!-- end -->$", re.MULTILINE | re.DOTALL
)
OPENING = re.compile(r"^<!-- diagram: ", re.MULTILINE)


def sequences(file: Path) -> dict[tuple[Step, ...], str]:
    """Give the message sequences of a feature, each with the title of the scenario it is of.

    The title of what the background states for all scenarios is empty. Raises UserError
    where a table is none.
    """
    found: dict[tuple[Step, ...], str] = {}
    for child in parse(file)["children"]:
        for title, block in _blocks(child):
            for step in block["steps"]:
                if step["text"] == SENTENCE:
                    found.setdefault(_read(step, file), title)
    return found


def draw(steps: tuple[Step, ...], title: str = "") -> str:
    """Draw a sequence as Mermaid; callbacks are dashed, a note tells what is waited for."""
    roles = dict.fromkeys(role for step in steps for role in (step.sender, step.receiver))
    lines = ["---", f"title: {json.dumps(title, ensure_ascii=False)}", "---"] if title else []
    lines += ["sequenceDiagram"]
    lines += [f"    participant {_id(role)} as {role}" for role in roles]
    named = {step.name: step for step in steps}
    for step in steps:
        for name in step.after_all:
            before = named[name]
            told = f"once the {before.sender}'s {_actions(before)} has come for all"
            lines.append(f"    Note over {_id(step.sender)}: {told}")
        lines.append(f"    {_arrow(step)}: {': '.join(filter(None, _label(step)))}")
    return "\n".join(lines) + "\n"


def page(folder: Path) -> str:
    """Give the README of a folder with every diagram as the features state it now.

    Raises UserError when a feature with a sequence has no marker, and for a marker of
    features that are not there, have none, or have different ones.
    """
    file = folder / "README.md"
    text = _text(file)
    if len(MARKER.findall(text)) != len(OPENING.findall(text)):
        raise UserError("a diagram has no end", where=str(file), mend="write <!-- end --> below it")
    marked = {name.strip() for match in MARKER.finditer(text) for name in match["names"].split(",")}
    for feature in sorted(folder.glob("*.feature")):
        if feature.name not in marked and sequences(feature):
            raise UserError(
                f"{feature.name} has a message sequence and no diagram",
                where=str(file),
                mend=f"add the lines <!-- diagram: {feature.name} --> and <!-- end -->",
            )
    return MARKER.sub(lambda match: _drawn(file, match["names"]), text)


def _drawn(file: Path, names: str) -> str:
    known = [sequences(file.parent / name.strip()) for name in names.split(",")]
    if not all(known) or any(one.keys() != known[0].keys() for one in known):
        raise UserError(
            f"{names} do not have one and the same message sequence",
            where=str(file),
            mend="name features with equal tables in one marker, and no others",
        )
    blocks = (f"```mermaid\n{draw(steps, title)}```\n" for steps, title in known[0].items())
    drawn = "\n".join(blocks)
    return f"<!-- diagram: {names} -->\n{drawn}<!-- end -->"


def _blocks(child: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    if "background" in child:
        yield "", child["background"]
    if "scenario" in child:
        yield child["scenario"]["name"], child["scenario"]


def _read(step: dict[str, Any], file: Path) -> tuple[Step, ...]:
    cells: Iterable[dict[str, Any]] = step.get("dataTable", {"rows": []})["rows"]
    table = [[str(cell["value"]) for cell in row["cells"]] for row in cells]
    place = f"{file}:{step['location']['line']}"
    if not table:
        raise UserError("has no table", where=place, mend="write one row a message below it")
    try:
        return read_sequence(table)
    except UserError as error:
        raise UserError(error.what, where=f"{place}: {error.where}", mend=error.mend) from error


def _text(file: Path) -> str:
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot be read ({error})", where=str(file), mend="write what the folder is about"
        ) from error


def _id(role: str) -> str:
    return role.replace(" ", "_")


def _arrow(step: Step) -> str:
    is_callback = all(action.startswith("on_") for action in step.actions)
    return f"{_id(step.sender)}{'-->>' if is_callback else '->>'}{_id(step.receiver)}"


def _actions(step: Step) -> str:
    return " or ".join(step.actions)


def _label(step: Step) -> tuple[str, str]:
    return _actions(step), ", ".join(step.carries)
