"""Example flows: what a run of examples said, as the files of a folder.

Belongs here: which file holds which message, comparing and writing the files. Does not
belong here: which scenario is shown (fixtures), playing it (run).

The file of a message is named after its feature, dialect, number and action:
`p2p_trading/pay_as_clear/order/03_init.json`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import simplejson

from gridwitness.dialects import DIALECTS
from gridwitness.errors import UserError
from gridwitness.trace import read_trace

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from gridwitness.trace import Trace

_NAME = re.compile(r"\d\d+_\w+\.json", re.ASCII)


@dataclass
class Flows:
    """The examples of a run.

    files maps a path below the folder to the bytes of the file. failed tells of scenarios
    that are no example: they did not pass, or something is wrong in them on purpose.
    """

    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    failed: list[str] = field(default_factory=list[str])


def flows_of(report: Mapping[str, Any], out: Path) -> Flows:
    """Read what a run said, by its report and the traces it wrote into the folder out."""
    flows = Flows()
    for record in report["scenarios"]:
        feature = record["feature"]
        trace = read_trace(out / record["trace"]) if record["trace"] else None
        if trace is None or record["verdict"] != "passed":
            flows.failed.append(f"{feature}: {record['verdict']}\n{record['message']}")
        elif any(message.deliberate for message in trace.beckn):
            flows.failed.append(f"{feature}: {record['name']}: a message is spoilt on purpose")
        else:
            folder = f"{feature.removesuffix('.feature')}/{record['dialect']}"
            flows.files |= {f"{folder}/{name}": raw for name, raw in _files(trace).items()}
    return flows


def _files(trace: Trace) -> dict[str, bytes]:
    width = max(2, len(str(len(trace.beckn))))  # so that they are listed in order
    return {
        f"{number:0{width}}_{message.action.replace('/', '_')}.json": _pretty(message.body)
        for number, message in enumerate(trace.beckn, start=1)
    }


def _pretty(body: object) -> bytes:
    """Write a body for people, with the exact digits of its numbers."""
    text = simplejson.dumps(body, use_decimal=True, ensure_ascii=False, indent=2)
    return f"{text}\n".encode()


def differences(flows: Flows, folder: Path) -> list[str]:
    """Tell which files of a folder differ from the examples, are missing or left over."""
    told = [
        f"{'differs' if (folder / name).is_file() else 'missing':<10} {name}"
        for name, raw in flows.files.items()
        if not _holds(folder / name, raw)
    ]
    return sorted([*told, *(f"{'left over':<10} {name}" for name in _left_over(flows, folder))])


def write(flows: Flows, folder: Path) -> None:
    """Write the examples into a folder, and remove what an earlier writing left there.

    Raises UserError where that cannot be done.
    """
    try:
        for name in _left_over(flows, folder):
            (folder / name).unlink()
        for name, raw in flows.files.items():
            if not _holds(folder / name, raw):
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                (folder / name).write_bytes(raw)
    except OSError as error:
        raise UserError(
            f"cannot be written to ({error.strerror})", where=str(folder), mend="name another"
        ) from error


def _holds(file: Path, raw: bytes) -> bool:
    return file.is_file() and file.read_bytes() == raw


def _left_over(flows: Flows, folder: Path) -> list[str]:
    """Find the files that are named as a message of a flow is, and are none of these."""
    there = {
        file.relative_to(folder).as_posix()
        for dialect in DIALECTS
        for file in folder.glob(f"**/{dialect}/*.json")
        if _NAME.fullmatch(file.name)
    }
    return sorted(there - flows.files.keys())
