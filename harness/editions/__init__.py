"""Editions: what one published revision of the protocol asks, as frozen data.

Belongs here: reading the TOML files beside this module. Does not belong here: the
rules themselves.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from gridwitness.protocol import CodeList
    from gridwitness.signing import DigestPrefix

AckForm = Literal["flat", "nested", "signed-body", "signed-header"]
"""How an acknowledgement is written; see `gridwitness.acks`."""


@dataclass(frozen=True)
class Edition:
    """One revision of the protocol.

    digest_prefix     what a signer writes; both are read
    callback_lines    how many lines a solicited callback signs: 3, or 4 when it chains
    ack_form          how an acknowledgement is written
    ack_form_deployed how the networks that run today write it
    no_callback_status
                      the HTTP status of an ACK that no callback follows; 0 where there is none
    error_codes       how error codes are written
    rules             the ids the revision requires
    deployed          the ids that are warnings under strictness `deployed`, each with
                      the reason the published networks give for it
    """

    id: str
    dialect: str
    title: str
    digest_prefix: DigestPrefix
    callback_lines: int
    ack_form: AckForm
    ack_form_deployed: AckForm
    no_callback_status: int
    error_codes: CodeList
    rules: tuple[str, ...]
    deployed: dict[str, str]

    def ack_form_for(self, strictness: str) -> AckForm:
        return self.ack_form if strictness == "strict" else self.ack_form_deployed


@cache
def editions() -> dict[str, Edition]:
    """Read every edition, by its id."""
    found: dict[str, Edition] = {}
    for file in sorted(files(__name__).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            data = tomllib.loads(file.read_text("utf-8"))
            data["rules"] = tuple(data["rules"])
            found[data["id"]] = Edition(**data)
    return found
