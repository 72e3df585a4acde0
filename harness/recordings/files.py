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
    BOM,
    MOST_FLOW_MESSAGES,
    Stretch,
    begins_an_archive,
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

    Raises UserError for a path that is not there or holds none of the forms; before
    anything is yielded.
    """
    forms = checked(paths)
    for path, form in zip(paths, forms, strict=True):
        if form is None:
            yield from _in_folder(path, spool)
        else:
            yield from _in_file(path, form, spool)


def checked(paths: Sequence[Path]) -> list[Form | None]:
    """Tell the form of what is at each path, None for a folder.

    Raises UserError for a path that is not there or holds none of the forms.
    """
    return [_form_at(path) for path in paths]


def located(path: Path, where: str) -> Path:
    """Give the place of a path without links; raises UserError where there can be none."""
    try:
        return path.resolve()
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"leads nowhere ({_why(error)})", where=where[:200], mend=MEND) from error


def _form_at(path: Path) -> Form | None:
    try:
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(
            f"cannot be read ({_why(error)})", where=str(path)[:200], mend=MEND
        ) from error
    if is_folder:
        return None
    if not is_file:
        raise UserError("is neither a file nor a folder", where=str(path)[:200], mend=MEND)
    return _form(path)


def _why(error: Exception) -> str:
    return str(getattr(error, "strerror", None) or error)[:200]


def _in_folder(top: Path, spool: Path) -> Iterator[Flow | PassedOver]:
    if _is_ours(top):
        for file in sorted((top / "traces").glob("*.jsonl")):
            yield _trace(file)
        return
    roots = [top]
    while roots:
        root = roots.pop()
        flow: list[str] = []
        for folder, names, passed_over in _steps(root, roots):
            yield from passed_over
            for name in names:
                file = folder / name
                if not _is_file(file):
                    yield PassedOver(str(file), "no file")
                    continue
                form = _form_in_folder(file)
                if form is None:
                    # A flow of its own, so that what stands beside it is judged all the same.
                    yield Flow(str(file), file.stem, "message", str(folder), (name,))
                elif form == "message":
                    flow.append(file.relative_to(root).as_posix())
                else:
                    yield from _in_file(file, form, spool)
        yield from _messages(root, flow)


def _steps(root: Path, roots: list[Path]) -> Iterator[tuple[Path, list[str], list[PassedOver]]]:
    """Walk the folders of one flow in a fixed order, following no link; notes further roots."""
    others: list[Path] = []
    for top, inner, names in os.walk(root, onerror=_unreadable):
        folder = Path(top)
        linked = sorted(name for name in inner if (folder / name).is_symlink())
        passed_over = [PassedOver(str(folder / name), "a link to a folder") for name in linked]
        others += [folder / name for name in inner if name not in linked and not numbers_of(name)]
        inner[:] = sorted(name for name in inner if name not in linked and numbers_of(name))
        taken = sorted(name for name in names if name.lower().endswith(SUFFIXES))
        if len(taken) < len(names):
            kinds = f"files that are none of {', '.join(SUFFIXES)}"
            passed_over.append(PassedOver(str(folder), kinds, len(names) - len(taken)))
        yield folder, taken, passed_over
    roots += sorted(others, reverse=True)


def _is_file(path: Path) -> bool:
    try:
        return path.is_file()
    except OSError:
        return False


def _unreadable(error: OSError) -> None:
    raise UserError(
        f"cannot be read ({error.strerror})", where=str(error.filename), mend="give access to it"
    ) from error


def _is_ours(folder: Path) -> bool:
    try:
        if not (folder / "report.json").is_file():
            return False  # to open a pipe would be to wait for who writes into it
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
        entries = 0
        for entries, why in spool_archive(path, source, lines):
            if why:
                yield PassedOver(f"{source}:{entries}", why)
        if not entries:
            yield PassedOver(source, "an archive without entries", 0)
    with lines.open("rb") as file:
        groups = by_transaction(stretches(file), spool / f"{number}.sqlite", source)
        for name, where, why in groups:
            if why:
                yield PassedOver(f"{source}:{where[0].number}", why)
            else:
                yield Flow(source, name, "lines", str(lines.parent), (lines.name,), where)


def _form_in_folder(path: Path) -> Form | None:
    """Tell the form of a file in a folder; None for what cannot be opened.

    What is none of the forms is a message that cannot be read, or lines of them.
    """
    try:
        with path.open("rb") as file:
            line, more = _beginning(file)
            file.seek(0)
            told = _told_by(file.read(_BEGINNING_BYTES).removeprefix(BOM).lstrip())
            if told is None and more and _is_json(line):
                return "lines"
    except OSError:
        return None
    return told or _BY_NAME.get(path.suffix.lower(), "message")


_BY_NAME: dict[str, Form] = {".json": "message", ".jsonl": "lines", ".ndjson": "lines"}
"""What is meant to be one of the forms, and is told as that where its content is broken."""


def _form(path: Path) -> Form:
    """Tell what a file holds by its content; raises UserError when it is none of the forms."""
    try:
        with path.open("rb") as file:
            line, more = _beginning(file)
            if _is_json(line) and not _told_by(line[:_BEGINNING_BYTES]):
                return "lines" if more else "message"
            file.seek(0)
            whole = file.read(MOST_MESSAGE_BYTES + 1).removeprefix(BOM).lstrip()
    except OSError as error:
        raise UserError(f"cannot be read ({error.strerror})", where=str(path), mend=MEND) from error
    problem = _problem(whole)
    told = _told_by(whole[:_BEGINNING_BYTES]) or (
        _BY_NAME.get(path.suffix.lower()) if problem else "message"
    )
    if told is None:
        raise UserError(
            f"holds no recording that can be read ({problem})", where=str(path), mend=MEND
        )
    return told


def _beginning(file: BinaryIO) -> tuple[bytes, bool]:
    """Give the first line that is not blank, as far as a message may reach, and if more comes."""
    line = b""
    while not line.strip() and (line := file.readline(MOST_MESSAGE_BYTES + 1)):
        pass
    return line.removeprefix(BOM).strip(), bool(file.read(4096).strip())


def _told_by(beginning: bytes) -> Form | None:
    """Tell the two forms that are known by how they begin."""
    if _TRACE.match(beginning):
        return "trace"
    is_archive = _ARCHIVE.match(beginning) or begins_an_archive(beginning)
    return "archive" if is_archive else None


_BEGINNING_BYTES = 64 * 1024


def _is_json(raw: bytes) -> bool:
    return not _problem(raw)


def _problem(raw: bytes) -> str:
    """Tell why some bytes are no JSON; empty when they are."""
    if len(raw) > MOST_MESSAGE_BYTES:
        return f"larger than {MOST_MESSAGE_BYTES >> 20} MB"
    try:
        json.loads(raw)
    except RecursionError:
        return "nested too deeply"
    except ValueError as error:
        return str(error)[:200] if raw.strip() else "it is empty"
    return ""


def read_flow(flow: Flow, terms: Terms) -> Heard:
    """Read a flow; raises UserError for a trace of ours or a file that cannot be read."""
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
            raw = opened.read(MOST_MESSAGE_BYTES + 1)
    except OSError as error:
        raise UserError(
            f"cannot be read ({_why(error)})", where=str(file), mend="give access to it"
        ) from error
    return from_bytes(raw.removeprefix(BOM), place)
