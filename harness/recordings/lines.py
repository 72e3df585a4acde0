"""Lines: one message a line, or an entry of an archive, grouped by transaction.

Belongs here: reading in a bounded space, however large the file or a line of it; where
the messages of each transaction stand. Does not belong here: what a message says (pieces).

Transactions interleave, so a flow is known to have ended only where the file ends. A
first pass notes where each message stands, in a table on disk; a flow is then read when
it is judged.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from dataclasses import dataclass
from typing import TYPE_CHECKING, BinaryIO, cast

import ijson

from gridwitness.errors import UserError
from gridwitness.recordings.pieces import MOST_MESSAGE_BYTES, as_envelope, from_bytes, from_entry

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gridwitness.dialects.base import Json
    from gridwitness.recordings.pieces import Piece

MOST_FLOW_MESSAGES = 20_000
"""No flow has more messages; a flow is judged as a whole, in memory."""

MOST_ENTRY_BYTES = 8 * MOST_MESSAGE_BYTES
"""What may stand between two entries of an archive: request, answer, headers, timings."""

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
    offset = number = 0
    while line := file.readline(MOST_MESSAGE_BYTES + 1):
        length, number = len(line), number + 1
        rest = line
        while not rest.endswith(b"\n") and (rest := file.readline(CHUNK_BYTES)):
            length += len(rest)
        raw = line.strip()
        if raw:
            yield Stretch(offset, min(length, MOST_MESSAGE_BYTES + 1), number), raw
        offset += length


def by_transaction(
    found: Iterator[tuple[Stretch, bytes]], table: Path, source: str
) -> Iterator[tuple[str, tuple[Stretch, ...]]]:
    """Group messages by transaction, in the order in which the transactions begin.

    Messages without one are a group of their own, under the empty name. Raises UserError
    for a group that is too large to be judged.
    """
    with closing(sqlite3.connect(table)) as book:
        book.executescript(
            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF; PRAGMA temp_store=FILE;"
            "CREATE TABLE message (number INTEGER PRIMARY KEY, flow, position, length)"
        )
        book.executemany(
            "INSERT INTO message VALUES (?, ?, ?, ?)",
            ((one.number, _key(raw, source), one.offset, one.length) for one, raw in found),
        )
        book.execute("CREATE INDEX flows ON message (flow, number)")
        flows = book.execute(
            "SELECT flow, COUNT(*) FROM message GROUP BY flow ORDER BY MIN(number)"
        )
        for key, count in cast("Iterator[tuple[str, int]]", flows):
            if count > MOST_FLOW_MESSAGES:
                raise UserError(
                    f"transaction {key!r} has {count} messages, {MOST_FLOW_MESSAGES} at most"
                    " can be judged together",
                    where=source,
                    mend="record one exchange a transaction, or cut the file by time",
                )
            rows = book.execute(
                "SELECT position, length, number FROM message WHERE flow = ? ORDER BY number",
                (key,),
            )
            yield key, tuple(Stretch(*row) for row in cast("Iterator[tuple[int, int, int]]", rows))


def _key(raw: bytes, place: str) -> str:
    transaction_id = from_bytes(raw, place).transaction_id or ""
    return transaction_id[:LONGEST_KEY].encode("utf-8", "replace").decode()


def spool_archive(path: Path, source: str, spool: Path) -> tuple[int, int]:
    """Write the messages of an HTTP Archive as lines; gives how many, and how many others.

    The line of an entry has its number; what is no message leaves a blank line. Raises
    UserError when the file is no archive.
    """
    messages = others = 0
    try:
        with path.open("rb") as file, spool.open("wb") as lines:
            bounded = _Bounded(file)
            for number, entry in enumerate(_entries(bounded), 1):
                bounded.since = 0
                piece = from_entry(entry, f"{source}:{number}")
                if piece.no_message:
                    others += 1
                    lines.write(b"\n")
                else:
                    messages += 1
                    lines.write(as_envelope(piece) + b"\n")
    except (ijson.JSONError, OSError, ValueError, RecursionError, MemoryError) as error:
        raise UserError(
            f"is not an HTTP Archive ({str(error)[:200]})",
            where=source,
            mend="export the HAR again, whole",
        ) from error
    return messages, others


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
    """A file of which only so much may be read between two entries."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self.since = 0

    def read(self, size: int = -1) -> bytes:
        chunk = self._file.read(CHUNK_BYTES if size < 0 else size)
        self.since += len(chunk)
        if self.since > MOST_ENTRY_BYTES:
            raise ValueError(f"an entry larger than {MOST_ENTRY_BYTES} bytes")
        return chunk
