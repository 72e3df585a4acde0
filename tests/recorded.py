"""A recorded flow, written by hand: bodies in, a trace with the right parties out."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from gridwitness.dialects import DIALECTS
from gridwitness.judgement import judge
from gridwitness.story import BAP, BAP_AND_BPP, BPP
from gridwitness.trace import Message, Scene, Trace

if TYPE_CHECKING:
    from collections.abc import Iterable

    from gridwitness.judgement import Finding

EDITIONS = {"order": "beckn-2.0.0-rc", "contract": "beckn-2.0.0-lts"}
TRANSACTION = "11111111-1111-4111-8111-111111111111"


def message(number: int, raw: bytes) -> Message:
    """Give a message as it was recorded: its body, and nothing of how it was sent."""
    context = json.loads(raw)["context"]

    def said(order: str, contract: str) -> Any:
        return context.get(order) or context.get(contract)

    action = str(context.get("action")).rpartition("/")[2]
    parties = [said("bap_id", "bapId"), said("bpp_id", "bppId")]
    sender, receiver = reversed(parties) if action.startswith("on_") else parties
    return Message(
        number=number,
        kind="beckn",
        sender=sender,
        receiver=receiver,
        action=action,
        method="POST",
        url="",
        headers={},
        raw=raw,
        at="",
        sent_s=float(number),
        recorded="body",
    )


def recorded(dialect: str, bodies: Iterable[bytes]) -> Trace:
    """Give a trace of messages in the order in which they came."""
    messages = tuple(message(n, raw) for n, raw in enumerate(bodies, start=1))
    roles: dict[str, str] = {}
    for one in messages:
        parties = (one.sender, one.receiver)
        for role, party in zip((BPP, BAP) if one.is_callback else (BAP, BPP), parties, strict=True):
            known = roles.setdefault(str(party), role)
            roles[str(party)] = role if known == role else BAP_AND_BPP
    scene = Scene("recorded", "recorded", "BAP", dialect, EDITIONS[dialect], "strict", roles=roles)
    return Trace(scene, messages)


def body(dialect: str, action: str, content: dict[str, Any], **context: Any) -> bytes:
    """Write a message of a flow between one buyer and one seller; a minute passes each time."""
    minute = context.pop("minute", 0)
    fields = {
        "action": action,
        "version": "2.0.0",
        "bap_id": "buyer.example",
        "bap_uri": "https://buyer.example/bap",
        "bpp_id": "seller.example",
        "bpp_uri": "https://seller.example/bpp",
        "transaction_id": TRANSACTION,
        "message_id": f"message of {action.removeprefix('on_')}",
        "timestamp": f"2026-04-01T08:{minute:02}:00Z",
    } | context
    spell = DIALECTS[dialect].context_key
    written = {spell(name): value for name, value in fields.items()}
    return json.dumps({"context": written, "message": content}).encode()


def found(trace: Trace, family: str) -> list[Finding]:
    """Judge everybody; give what a family of rules finds, after all rules went through."""
    findings = judge(trace, None).findings
    assert [finding.detail for finding in findings if finding.detail] == []
    return [finding for finding in findings if finding.rule.startswith(family)]
