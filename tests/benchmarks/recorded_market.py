"""A recorded market of any size: one that was played, under fresh ids again and again.

Belongs here: what the benchmark of the audit reads. Does not belong here: measuring.
"""

from __future__ import annotations

import json
import re
import uuid
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING

from gridwitness.mocks.market import Cast, play
from gridwitness.mocks.participant import Wish
from gridwitness.mocks.sandbox import Sandbox
from gridwitness.mocks.utility import Meter
from gridwitness.reference_impl.curves import Point
from gridwitness.trace import write_trace
from gridwitness.views import OfferCurve
from tests.conftest import SEED, SPEAKS, small_scene

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from gridwitness.trace import Trace

UUID = re.compile(r"[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}")


def curve(points: int, power_kw: int) -> OfferCurve:
    """Give a curve of many points: from taking to giving, or the other way round in sign."""
    steps = [Decimal(step) / points for step in range(points)]
    low = Decimal(min(power_kw, 0))
    high = Decimal(max(power_kw, 0))
    read = tuple(
        Point(
            (Decimal("0.05") + step / 10).quantize(Decimal("0.0001")),
            (low + (high - low) * step).quantize(Decimal("0.001")),
        )
        for step in steps
    )
    return OfferCurve(
        currency="INR", min_export_kw=read[0].power_kw, max_export_kw=read[-1].power_kw, points=read
    )


def played_market(dialect: str, participants: int, points: int) -> Trace:
    """Play a market in which half of the participants take energy and half give it."""
    names = [f"{'car' if n % 2 else 'roof'}-{n}" for n in range(participants)]
    wishes = {
        name: Wish(f"m-{name}", curve(points, -11 if name.startswith("car") else 5))
        for name in names
    }
    meters = {f"m-{name}": Meter(f"m-{name}", Decimal(30)) for name in names}
    with Sandbox(SEED, speaks=SPEAKS) as sandbox:
        trace, faults = play(sandbox, small_scene(dialect), (), Cast(wishes, meters))
    assert not faults
    return trace


def as_published(raw: bytes) -> str:
    """Write a body as the published messages are written: over many lines."""
    return json.dumps(json.loads(raw), ensure_ascii=False, indent=2)


def write_copies(trace: Trace, folder: Path, copies: int) -> int:
    """Write a trace as the traces of many markets, each under ids of its own.

    Gives the mean size of a body in bytes.
    """
    folder.mkdir(parents=True, exist_ok=True)
    published = [replace(one, raw=as_published(one.raw).encode()) for one in trace.messages]
    master = folder / "0.jsonl"
    write_trace(replace(trace, messages=tuple(published)), master)
    text = master.read_text("utf-8")
    master.unlink()
    for copy, written in enumerate(_copies(text, copies)):
        (folder / f"{copy:06d}.jsonl").write_text(written, "utf-8")
    return sum(len(message.raw) for message in published) // len(published)


def write_lines(trace: Trace, file: Path, copies: int) -> None:
    """Write the messages of many markets as JSON Lines, all their transactions interleaved."""
    with file.open("w", encoding="utf-8") as lines:
        for message in trace.beckn:
            record = {"body": as_published(message.raw), "url": message.url, "at": message.at}
            for written in _copies(json.dumps(record, ensure_ascii=False), copies):
                lines.write(written + "\n")


def _copies(text: str, copies: int) -> Iterator[str]:
    ids, pieces = UUID.findall(text), UUID.split(text)
    for copy in range(copies):
        fresh = {one: str(uuid.uuid5(uuid.NAMESPACE_OID, f"{copy}/{one}")) for one in set(ids)}
        parts = [pieces[0]]
        for one, piece in zip(ids, pieces[1:], strict=True):
            parts += [fresh[one], piece]
        yield "".join(parts)
