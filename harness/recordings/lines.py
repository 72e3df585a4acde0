"""Lines: one message a line, or an entry of an archive, grouped by transaction.

Belongs here: reading in a bounded space, however large the file or a line of it; where
the messages of each transaction stand. Does not belong here: what a message says (pieces).

Transactions interleave, so a flow is known to have ended only where the file ends. A
first pass notes where each message stands, in a table on disk; a flow is then read when
it is judged.
"""

from __future__ import annotations

import re
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from io import BytesIO
from typing import TYPE_CHECKING, BinaryIO, cast

import ijson

from gridwitness.errors import UserError
from gridwitness.recordings.pieces import MOST_MESSAGE_BYTES, as_envelope, from_bytes, from_entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gridwitness.dialects.base import Json
    from gridwitness.recordings.pieces import Piece

BOM = b"\xef\xbb\xbf"
"""The byte order mark, which some programs write before UTF-8."""

MOST_FLOW_MESSAGES = 20_000
"""No flow has more messages; a flow is judged as a whole, in memory."""

MOST_ENTRY_BYTES = 8 * MOST_MESSAGE_BYTES
"""What may stand between two entries of an archive: request, answer, headers, timings."""

LONGEST_TEXT = 2 * MOST_MESSAGE_BYTES
"""What is read of one text in an archive, escapes included."""

MOST_DEPTH = 100
"""How deep an archive may be nested; a body in it is a text."""

CHUNK_BYTES = 64 * 1024
LONGEST_KEY = 200


@dataclass(frozen=True)
class Stretch:
    """Where a message stands in a file: its bytes, and its number among lines or entries."""

    offset: int
    length: int
    number: int

    def read(self, file: BinaryIO, place: str) -> Piece:
        file.seek(self.offset)
        raw = file.read(min(self.length, MOST_MESSAGE_BYTES + 1))
        return from_bytes(raw, f"{place}:{self.number}")


def stretches(file: BinaryIO) -> Iterator[tuple[Stretch, bytes]]:
    """Yield each line that is not blank, cut where it is longer than any message."""
    offset, number = _past_mark(file), 0
    while line := file.readline(MOST_MESSAGE_BYTES + 1):
        length, number = len(line), number + 1
        rest = line
        while not rest.endswith(b"\n") and (rest := file.readline(CHUNK_BYTES)):
            length += len(rest)
        raw = line.strip()
        if raw:
            yield Stretch(offset, min(length, MOST_MESSAGE_BYTES + 1), number), raw
        offset += length


def _past_mark(file: BinaryIO) -> int:
    """Go past the byte order mark that a file may begin with; gives its length."""
    mark = len(BOM) if file.read(len(BOM)) == BOM else 0
    file.seek(mark)
    return mark


def by_transaction(
    found: Iterator[tuple[Stretch, bytes]], table: Path, source: str
) -> Iterator[tuple[str, tuple[Stretch, ...], str]]:
    """Group messages by transaction, in the order in which the transactions begin.

    Messages without one are a group of their own. Yields what each group is called, where
    its messages stand, and an empty text; then one by one what is no message, with why.
    Raises UserError for a group that is too large to be judged.
    """
    with closing(sqlite3.connect(table)) as book:
        book.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA temp_store=FILE;"
            "CREATE TABLE message (number INTEGER PRIMARY KEY, flow, why, position, length)"
        )
        book.executemany(
            "INSERT INTO message VALUES (?, ?, ?, ?, ?)",
            ((one.number, *_key(raw, source), one.offset, one.length) for one, raw in found),
        )
        book.execute("CREATE INDEX flows ON message (flow, number)")
        flows = book.execute(
            "SELECT flow, COUNT(*) FROM message WHERE flow IS NOT NULL"
            " GROUP BY flow ORDER BY MIN(number)"
        )
        for key, count in cast("Iterator[tuple[str, int]]", flows):
            name = f"transaction {key}" if key else "without a transaction"
            if count > MOST_FLOW_MESSAGES:
                raise UserError(
                    f"what is {name!r} has {count} messages, {MOST_FLOW_MESSAGES} at most"
                    " can be judged together",
                    where=source,
                    mend="record one exchange a transaction, or cut the file by time",
                )
            rows = book.execute(
                "SELECT position, length, number FROM message WHERE flow = ? ORDER BY number",
                (key,),
            )
            where = tuple(Stretch(*row) for row in cast("Iterator[tuple[int, int, int]]", rows))
            yield name, where, ""
        others = book.execute(
            "SELECT position, length, number, why FROM message WHERE flow IS NULL ORDER BY number"
        )
        for *row, why in cast("Iterator[tuple[int, int, int, str]]", others):
            yield "", (Stretch(*row),), why


def _key(raw: bytes, place: str) -> tuple[str | None, str]:
    """Give the transaction of a message, or why it is none."""
    piece = from_bytes(raw, place)
    if piece.no_message:
        return None, piece.no_message
    transaction_id = piece.transaction_id or ""
    return transaction_id[:LONGEST_KEY].encode("utf-8", "replace").decode(), ""


def spool_archive(path: Path, source: str, spool: Path) -> Iterator[tuple[int, str]]:
    """Write the messages of an HTTP Archive as lines.

    Yields the number of each entry, from 1, and why it is no message, empty for one that
    is. The line of an entry has its number; what is no message leaves a blank line.
    Raises UserError when the file is no archive.
    """
    try:
        with path.open("rb") as file, spool.open("wb") as lines:
            _past_mark(file)
            bounded = _Bounded(file)
            for number, entry in enumerate(_entries(bounded), 1):
                bounded.since = 0
                piece = from_entry(entry, f"{source}:{number}")
                lines.write((b"" if piece.no_message else as_envelope(piece)) + b"\n")
                yield number, piece.no_message
    except (ijson.JSONError, OSError, ValueError, RecursionError, MemoryError) as error:
        raise UserError(
            f"is not an HTTP Archive ({str(error)[:200]})",
            where=source,
            mend="export the HAR again, whole",
        ) from error


def begins_an_archive(beginning: bytes) -> bool:
    """Tell whether an object has a member log that is one, too, as far as it can be seen."""
    depth, name = 0, ""
    if b'"log"' not in beginning:
        return False
    try:
        for event, value in ijson.basic_parse(BytesIO(beginning)):
            depth -= event.startswith("end_")
            if depth == 1 and event == "map_key":
                name = value
            elif depth == 1 and event == "start_map" and name == "log":
                return True
            depth += event.startswith("start_")
            if depth > MOST_DEPTH:
                return False
    except (ijson.JSONError, ValueError, RecursionError):
        pass
    return False


def _entries(file: _Bounded) -> Iterator[Json]:
    """Read the entries of an archive one by one: the items of the array /log/entries.

    Not by ijson.items, whose time grows with the square of the depth of what it reads.
    """
    depth = 0
    names = ["", ""]
    is_inside = False
    builder: ijson.ObjectBuilder | None = None
    for event, value in ijson.basic_parse(cast("BinaryIO", file)):
        opens, closes = event.startswith("start_"), event.startswith("end_")
        depth -= closes
        if depth > MOST_DEPTH:
            raise ValueError("nested too deeply")
        if event == "map_key" and depth <= len(names):
            names[depth - 1] = value
        elif depth == len(names):
            is_inside = event == "start_array" and names == ["log", "entries"]
        elif is_inside:
            builder = builder or ijson.ObjectBuilder()
            builder.event(event, value)
            if depth == len(names) + 1 and not opens:
                yield builder.value
                builder = None
        depth += opens


class _Bounded:
    """A file of which only so much may be read between two entries, long texts apart.

    Of a text that is longer than any message, a film perhaps, only the beginning is read.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._left = b""
        self._text: int | None = None
        self.since = 0

    def read(self, size: int = -1) -> bytes:
        read = b""
        while not read and (chunk := self._file.read(CHUNK_BYTES if size < 0 else size)):
            read = self._shortened(self._left + chunk)
        self.since += len(read)
        if self.since > MOST_ENTRY_BYTES:
            raise ValueError(f"an entry larger than {MOST_ENTRY_BYTES} bytes")
        return read

    def _shortened(self, chunk: bytes) -> bytes:
        """Leave out what of a text goes too far; _text is how far the one under way went."""
        kept: list[bytes] = []
        here, self._left = 0, b""
        while here < len(chunk):
            if self._text is None:
                end = chunk.find(b'"', here) + 1 or len(chunk)
                kept.append(chunk[here:end])
                self._text = 0 if chunk[end - 1 : end] == b'"' else None
            else:
                text = _REST_OF_TEXT.match(chunk, here)
                end = text.end() if text else here
                kept.append(self._kept(chunk[here:end]))
                if chunk[end : end + 1] == b'"':
                    self._text = None
                    kept.append(b'"')
                    end += 1
                elif end < len(chunk):  # the first half of an escape
                    self._left = chunk[end:]
                    end = len(chunk)
            here = end
        return b"".join(kept)

    def _kept(self, piece: bytes) -> bytes:
        before = self._text or 0
        if before < 0:
            return b""
        self._text = before + len(piece)
        if self._text <= LONGEST_TEXT:
            return piece
        cut = _SAFE_CUT.search(piece, max(0, LONGEST_TEXT - before))
        if cut is None:
            return piece
        self._text = -1  # the rest is left out
        return piece[: cut.end()]


_REST_OF_TEXT = re.compile(rb'(?:[^"\\]++|\\.)*+', re.DOTALL)
_SAFE_CUT = re.compile(rb"[ !#-\[\]-~]{12}")
"""Plain characters, so many that no escape is cut in two."""
