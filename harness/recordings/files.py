"""Files: what is recorded at a path, told by content, as flows that are read one by one.

Belongs here: walking folders, telling a trace, a message, lines and an archive apart.
Does not belong here: reading them (pieces, lines, `read_trace`), judging.

A path is a file or a folder. The folder of a run of ours gives its traces; in any
other, every trace, archive and file of lines is taken, and message files (`*.json`)
are one flow a folder. A folder whose name begins with a number (`03_select`) is a step
in the flow of the folder above it.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO, Literal

from gridwitness.errors import UserError
from gridwitness.recordings.flows import in_order, numbers_of, trace_of
from gridwitness.recordings.lines import (
    MOST_FLOW_MESSAGES,
    Stretch,
    by_transaction,
    spool_archive,
    stretches,
)
from gridwitness.recordings.pieces import MOST_MESSAGE_BYTES, from_bytes
from gridwitness.trace import read_trace

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from gridwitness.recordings.flows import Terms
    from gridwitness.recordings.pieces import Piece
    from gridwitness.trace import Trace

Form = Literal["trace", "message", "lines", "archive"]

OURS = "https://gridwitness.example/schemas/report/"
"""How the schema of every report of ours begins."""

SUFFIXES = (".json", ".jsonl", ".ndjson", ".har")
"""What is looked at in a folder; the form is told by content all the same."""

MEND = "name a trace, a run's folder, message files, JSON Lines or an HTTP Archive (HAR)"
_TRACE = re.compile(rb'\{\s*"scene"\s*:')
_ARCHIVE = re.compile(rb'\{\s*"log"\s*:')
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True)
class Flow:
    """Where one flow is recorded; it can be handed to another process.

    source   the file or folder, as a person names it
    name     what it is called there
    files    the file of a trace or of lines, or the message files, relative to folder
    lines    where its messages stand in a file of lines
    """

    source: str
    name: str
    form: Form
    folder: str
    files: tuple[str, ...]
    lines: tuple[Stretch, ...] = ()


@dataclass(frozen=True)
class PassedOver:
    """Something recorded that is no message, and why."""

    place: str
    why: str
    number: int = 1


@dataclass(frozen=True)
class Heard:
    """A flow as read: its trace, where each message stands, and what was no message."""

    trace: Trace
    places: tuple[str, ...]
    passed_over: tuple[PassedOver, ...] = ()


def recorded(paths: Sequence[Path], spool: Path) -> Iterator[Flow | PassedOver]:
    """Find the flows that are recorded at some paths; spool is an empty folder to work in.

    Raises UserError for a path that is not there or holds none of the forms.
    """
    for path in paths:
        if path.is_dir():
            yield from _in_folder(path, spool)
        elif path.is_file():
            yield from _in_file(path, _form(path), spool)
        else:
            raise UserError("is neither a file nor a folder", where=str(path), mend=MEND)


def _in_folder(top: Path, spool: Path) -> Iterator[Flow | PassedOver]:
    if _is_ours(top):
        for file in sorted((top / "traces").glob("*.jsonl")):
            yield _trace(file)
        return
    roots = [top]
    while roots:
        root = roots.pop()
        flow: list[str] = []
        for folder, names in _steps(root, roots):
            for name in names:
                file = folder / name
                form = _form_in_folder(file)
                if form is None:
                    yield PassedOver(str(file), "no file that can be read")
                elif form == "message":
                    flow.append(file.relative_to(root).as_posix())
                else:
                    yield from _in_file(file, form, spool)
        yield from _messages(root, flow)


def _steps(root: Path, roots: list[Path]) -> Iterator[tuple[Path, list[str]]]:
    """Walk the folders of one flow in a fixed order, following no link; notes further roots."""
    others: list[Path] = []
    for folder, inner, names in os.walk(root, onerror=_unreadable):
        others += [Path(folder, name) for name in inner if not numbers_of(name)]
        inner[:] = sorted(name for name in inner if numbers_of(name))
        yield Path(folder), sorted(name for name in names if name.lower().endswith(SUFFIXES))
    linked = [folder for folder in others if folder.is_symlink()]
    roots += sorted((folder for folder in others if folder not in linked), reverse=True)


def _unreadable(error: OSError) -> None:
    raise UserError(
        f"cannot be read ({error.strerror})", where=str(error.filename), mend="give access to it"
    ) from error


def _is_ours(folder: Path) -> bool:
    try:
        with (folder / "report.json").open("rb") as file:
            return OURS.encode() in file.read(4096)
    except OSError:
        return False


def _messages(root: Path, files: list[str]) -> Iterator[Flow]:
    if not files:
        return
    if len(files) > MOST_FLOW_MESSAGES:
        raise UserError(
            f"holds {len(files)} message files, {MOST_FLOW_MESSAGES} at most are one flow",
            where=str(root),
            mend="put each exchange into a folder of its own",
        )
    yield Flow(str(root), root.name or str(root), "message", str(root), tuple(files))


def _trace(path: Path) -> Flow:
    return Flow(str(path), path.stem, "trace", str(path.parent), (path.name,))


def _in_file(path: Path, form: Form, spool: Path) -> Iterator[Flow | PassedOver]:
    source = str(path)
    if form == "trace":
        yield _trace(path)
        return
    if form == "message":
        yield Flow(source, path.stem, "message", str(path.parent), (path.name,))
        return
    number = len(list(spool.iterdir()))
    lines = path
    if form == "archive":
        lines = spool / f"{number}.jsonl"
        messages, others = spool_archive(path, source, lines)
        if others or not messages:
            yield PassedOver(source, "entries without a protocol message", others)
    with lines.open("rb") as file:
        groups = by_transaction(stretches(file), spool / f"{number}.sqlite", source)
        for key, where in groups:
            name = f"transaction {key}" if key else "without a transaction"
            yield Flow(source, name, "lines", str(lines.parent), (lines.name,), where)


def _form_in_folder(path: Path) -> Form | None:
    """Tell the form of a file in a folder; None for what is no file or cannot be opened.

    What is none of the forms is a message that cannot be read, or lines of them.
    """
    try:
        if not path.is_file():
            return None
        with path.open("rb") as file:
            line, more = _beginning(file)
            file.seek(0)
            told = _told_by(file.read(4096).removeprefix(_BOM).lstrip())
            if told is None and more and _is_json(line):
                return "lines"
    except OSError:
        return None
    return told or ("lines" if path.suffix.lower() in (".jsonl", ".ndjson") else "message")


def _form(path: Path) -> Form:
    """Tell what a file holds by its content; raises UserError when it is none of the forms."""
    try:
        with path.open("rb") as file:
            line, more = _beginning(file)
            if _is_json(line) and not _TRACE.match(line) and not _ARCHIVE.match(line):
                return "lines" if more else "message"
            file.seek(0)
            whole = file.read(MOST_MESSAGE_BYTES + 1).removeprefix(_BOM).lstrip()
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", where=str(path), mend=MEND) from error
    told = _told_by(whole)
    if told is None and len(whole) <= MOST_MESSAGE_BYTES and _is_json(whole):
        return "message"
    if told is None:
        raise UserError("holds no recording that can be read", where=str(path), mend=MEND)
    return told


def _beginning(file: BinaryIO) -> tuple[bytes, bool]:
    """Give the first line that is not blank, as far as a message may reach, and if more comes."""
    line = b""
    while not line.strip() and (line := file.readline(MOST_MESSAGE_BYTES + 1)):
        pass
    return line.removeprefix(_BOM).strip(), bool(file.read(4096).strip())


def _told_by(beginning: bytes) -> Form | None:
    """Tell the two forms that are known by how they begin."""
    if _TRACE.match(beginning):
        return "trace"
    return "archive" if _ARCHIVE.match(beginning) else None


def _is_json(raw: bytes) -> bool:
    try:
        json.loads(raw)
    except (ValueError, RecursionError):
        return False
    return True


def read_flow(flow: Flow, terms: Terms) -> Heard:
    """Read a flow; raises UserError for a trace of ours that cannot be read back."""
    folder = Path(flow.folder)
    if flow.form == "trace":
        trace = read_trace(folder / flow.files[0])
        # The first line of a trace tells the scenario, so message 1 stands in line 2.
        places = tuple(f"{flow.source}:{message.number + 1}" for message in trace.messages)
        return Heard(trace, places)
    if flow.form == "message":
        alone = flow.source if flow.source != flow.folder else ""
        read = in_order([_read_file(folder / name, alone or name) for name in flow.files])
    else:
        with (folder / flow.files[0]).open("rb") as file:
            read = [stretch.read(file, flow.source) for stretch in flow.lines]
    above = f"{flow.source}/" if flow.source == flow.folder else ""
    passed_over = tuple(PassedOver(above + p.place, why) for p in read if (why := p.no_message))
    pieces = [piece for piece in read if not piece.no_message]
    trace = trace_of(pieces, flow.source, flow.name, terms)
    return Heard(trace, tuple(above + piece.place for piece in pieces), passed_over)


def _read_file(file: Path, place: str) -> Piece:
    try:
        with file.open("rb") as opened:
            return from_bytes(opened.read(MOST_MESSAGE_BYTES + 1), place)
    except OSError:
        return from_bytes(b"", place)
