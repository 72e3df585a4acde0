"""The profile: one file that says who a participant is and what it claims.

Belongs here: reading `participant.toml`, checking it, telling the user what to
mend. Does not belong here: running anything.

Its shape is schemas/own/participant.schema.json; every problem names file and key.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import socket
import tomllib
from dataclasses import dataclass, field
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import jsonschema

from gridwitness.address import is_http_address
from gridwitness.editions import editions
from gridwitness.errors import UserError
from gridwitness.plan import Casting, Participant
from gridwitness.registry import look_up
from gridwitness.rules import rules
from gridwitness.signing import KeyProblem, public_text, read_private_key, read_public_key
from gridwitness.wire import CONNECT_TIMEOUT_S

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SEATS = {
    "clearing-agent": "clearing agent",
    "market-participant": "market participant",
    "consumer": "consumer",
    "prosumer": "prosumer",
    "ev-app": "ev app",
    "charging-operator": "charging operator",
    "buyer-platform": "buyer platform",
    "seller-platform": "seller platform",
    "buyer-utility": "buyer utility",
    "seller-utility": "seller utility",
    "grid-node": "grid node",
    "aggregator": "aggregator",
    "catalogue": "catalogue",
    "utility": "utility",
}
"""The seats that features have a place for today, as a profile and as an actor calls them."""

AT_AN_ENDPOINT = ("clearing-agent", "catalogue")
"""The seats that can be taken from outside: who sits there waits to be asked."""

DEFAULT_EDITIONS = ("beckn-2.0.0-rc", "beckn-2.0.0-lts")


@dataclass(frozen=True)
class Profile:
    """A checked profile."""

    file: str
    name: str
    seat: str
    participant: Participant
    editions: tuple[str, ...]
    strictness: str
    patience: float
    port: int
    callback_host: str
    key: str | None
    price_tick: str
    power_step: str
    absent: Mapping[str, str] = field(default_factory=dict[str, str])

    @property
    def castings(self) -> tuple[Casting, ...]:
        return castings(self.seat, self.editions, self.strictness, self.patience)


def castings(
    seat: str, edition_ids: tuple[str, ...], strictness: str, patience: float = 1.0
) -> tuple[Casting, ...]:
    """Cast a seat in each edition."""
    return tuple(
        Casting(seat, editions()[edition].dialect, edition, strictness, patience)
        for edition in edition_ids
    )


def read_profile(path: Path) -> Profile:
    """Read and check a profile, and find the participant's key.

    Raises UserError for anything a user can mend in the file or its surroundings.
    """
    data = _load(path)
    _check_shape(path, data)
    who, run = data["participant"], data.get("certify", {})
    harness, market = data.get("harness", {}), data.get("market", {})
    chosen = tuple(run.get("editions", DEFAULT_EDITIONS))
    _check_editions(path, chosen)
    absent: dict[str, str] = data.get("absent", {})
    for rule_id in absent:
        if rule_id not in rules():
            raise _mistake(
                path, f"absent.{rule_id}", "there is no such rule", "see: gridwitness rules"
            )
    _check_seat(path, who["seat"])
    _check_endpoint(path, who["endpoint"])
    key_id, public_key = _participant_key(path, who)
    return Profile(
        file=str(path),
        name=who.get("name", who["id"]),
        seat=SEATS[who["seat"]],
        participant=Participant(who["id"], who["endpoint"].rstrip("/"), key_id, public_key),
        editions=chosen,
        strictness=run.get("strictness", "strict"),
        patience=float(run.get("patience", 1.0)),
        port=harness.get("port", 0),
        callback_host=harness.get("callback_host", "127.0.0.1"),
        key=_harness_key(path, harness),
        price_tick=str(market.get("price_tick", "0.0001")),
        power_step=str(market.get("power_step_kw", "0.001")),
        absent=absent,
    )


def reachable(profile: Profile) -> None:
    """Make sure that something listens at the endpoint; raises UserError when it refuses."""
    url = profile.participant.url
    parts = urlsplit(url)
    port = parts.port or (443 if parts.scheme == "https" else 80)
    try:
        socket.create_connection((parts.hostname or "", port), CONNECT_TIMEOUT_S).close()
    except OSError as error:
        raise UserError(
            f"nothing answers at {url} ({error.strerror or error})",
            where=f"{profile.file}: participant.endpoint",
            mend="start the participant, or correct the endpoint",
        ) from error


def _load(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(
            f"cannot be read ({error})", where=str(path), mend="name a profile that exists"
        ) from error
    except tomllib.TOMLDecodeError as error:
        raise UserError(f"is not TOML: {error}", where=str(path), mend="correct it") from error


def _check_shape(path: Path, data: dict[str, Any]) -> None:
    schema = json.loads(
        files("gridwitness.schemas").joinpath("own/participant.schema.json").read_text("utf-8")
    )
    validator: Any = jsonschema.Draft202012Validator(schema)
    problems: list[Any] = sorted(validator.iter_errors(data), key=lambda p: str(p.json_path))
    for problem in problems:
        raise _shape_mistake(path, problem)


def _shape_mistake(path: Path, problem: Any) -> UserError:  # noqa: ANN401 (untyped library)
    key = ".".join(str(part) for part in problem.absolute_path)
    prefix = f"{key}." if key else ""
    if problem.validator == "additionalProperties":
        known = list(problem.schema.get("properties", {}))
        unknown = next(name for name in problem.instance if name not in known)
        near = difflib.get_close_matches(unknown, known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
        return _mistake(path, f"{prefix}{unknown}", "is no key of a profile", hint)
    if problem.validator == "required":
        missing = next(name for name in problem.validator_value if name not in problem.instance)
        about = problem.schema["properties"][missing].get("description", "a value")
        return _mistake(path, f"{prefix}{missing}", "is missing", f"add it: {about}")
    about = problem.schema.get("description", "see schemas/own/participant.schema.json")
    return _mistake(path, key, problem.message, about)


def _check_editions(path: Path, chosen: tuple[str, ...]) -> None:
    for edition in chosen:
        if edition not in editions():
            known = ", ".join(editions())
            raise _mistake(path, "certify.editions", f"{edition!r} is unknown", f"known: {known}")
    dialects = [editions()[edition].dialect for edition in chosen]
    if len(set(dialects)) < len(dialects):
        raise _mistake(
            path,
            "certify.editions",
            "two editions speak the same dialect",
            "certify them one after the other",
        )


def _check_seat(path: Path, seat: str) -> None:
    if seat not in AT_AN_ENDPOINT:
        raise _mistake(
            path,
            "participant.seat",
            f"{seat!r} is taken by the reference participant only, for now: "
            "it acts first, and a profile cannot say yet what starts it",
            f"take one of: {', '.join(AT_AN_ENDPOINT)}; gridwitness demo plays {seat}",
        )


def _check_endpoint(path: Path, endpoint: str) -> None:
    if not is_http_address(endpoint):
        raise _mistake(
            path,
            "participant.endpoint",
            f"{endpoint!r} is not an http or https address",
            "write for instance http://127.0.0.1:9001/clearing-agent",
        )


def _participant_key(path: Path, who: dict[str, Any]) -> tuple[str, str]:
    key: dict[str, str] = who["key"]
    key_id = key.get("id", "key-1")
    if "registry" in key:
        record = asyncio.run(look_up(key["registry"].rstrip("/"), who["id"], key_id))
        if record is None:
            raise _mistake(
                path,
                "participant.key.registry",
                f"{key['registry']} gives no Ed25519 key of {who['id']}",
                "start the registry, correct its address, or give the key itself as 'public'",
            )
        return record.key_id, record.public_key
    where = "participant.key.file" if "file" in key else "participant.key.public"
    text = key.get("public") or _text(path, where, key["file"])
    try:
        return key_id, public_text(read_public_key(text))
    except KeyProblem as problem:
        mend = "give the Ed25519 public key: base64 of 32 bytes, or PEM"
        raise _mistake(path, where, f"is no Ed25519 public key: {problem}", mend) from problem


def _harness_key(path: Path, harness: dict[str, Any]) -> str | None:
    if "key_file" not in harness:
        return None
    text = _text(path, "harness.key_file", harness["key_file"])
    try:
        read_private_key(text)
    except KeyProblem as problem:
        mend = "give an Ed25519 private key: base64 of its 32-byte seed, or PKCS #8"
        what = f"is no Ed25519 private key: {problem}"
        raise _mistake(path, "harness.key_file", what, mend) from problem
    return text


def _text(path: Path, key: str, name: str) -> str:
    file = path.parent / name
    try:
        return file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        what = f"{file} cannot be read ({error.__class__.__name__})"
        raise _mistake(path, key, what, "paths count from the profile's folder") from error


def _mistake(path: Path, key: str, what: str, mend: str) -> UserError:
    return UserError(what, where=f"{path}: {key}", mend=mend)
