"""The plan of a run: who is certified, in which seat and edition, and how.

Belongs here: what the command hands to the pytest process that runs the scenarios.
Does not belong here: where it comes from (profile, cli).

A plan is written to a temporary file; it may hold a seed or a key and is never
part of the outputs.
"""

from __future__ import annotations

import base64
import json
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path


@dataclass(frozen=True)
class Casting:
    """One way in which every scenario is run: seat, edition, and a defect to try if any.

    patience scales every deadline that follows from a message's ttl.
    """

    seat: str
    dialect: str
    edition: str
    strictness: str
    patience: float = 1.0
    defect: str | None = None

    @property
    def label(self) -> str:
        """The label a scenario's test carries, for -k."""
        parts = [self.seat.replace(" ", "-"), self.dialect, self.defect]
        return "-".join(part for part in parts if part)


@dataclass(frozen=True)
class Participant:
    """The participant under test at its own endpoint."""

    subscriber_id: str
    url: str
    key_id: str
    public_key: str


@dataclass(frozen=True)
class Plan:
    """See the module's head.

    participant   None puts the reference participant in the seat
    absent        rule id -> why the participant declares that it does not apply
    command       how the user repeats the run
    example       whether one scenario a feature is played, the same to the byte in every run
    specification the path of what is laid beside, if anything is
    features      the folder of the features of others; None plays ours
    """

    out: str
    castings: tuple[Casting, ...]
    command: str
    name: str
    participant: Participant | None = None
    port: int = 0
    callback_host: str = "127.0.0.1"
    seed: str = ""
    key: str | None = None
    example: bool = False
    absent: dict[str, str] = field(default_factory=dict[str, str])
    price_tick: str = "0.0001"
    power_step: str = "0.001"
    specification: str | None = None
    features: str | None = None

    @property
    def seed_bytes(self) -> bytes:
        return base64.b64decode(self.seed)


def write_plan(plan: Plan, path: Path) -> None:
    path.write_text(json.dumps(asdict(plan)), "utf-8")


def read_plan(path: Path) -> Plan:
    data: dict[str, Any] = json.loads(path.read_text("utf-8"))
    known = {item.name for item in fields(Plan)}
    data["castings"] = tuple(Casting(**casting) for casting in data["castings"])
    data["participant"] = data["participant"] and Participant(**data["participant"])
    return Plan(**{name: value for name, value in data.items() if name in known})
