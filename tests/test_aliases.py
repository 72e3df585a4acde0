"""A whole market in other words: the same meaning is understood, the same shape is not enough."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from gridwitness.context_documents import CORE, ENERGY
from gridwitness.contexts import UNPREFIXED, spellings
from gridwitness.dialects.blocks import CONTEXT
from gridwitness.dialects.order import CORE_CONTEXT
from gridwitness.editions import editions
from gridwitness.judgement import judge
from gridwitness.mocks.conduct import Conduct
from gridwitness.mocks.market import play
from gridwitness.story import AGENT, PARTICIPANT, UTILITY
from tests.conftest import small_cast, small_scene

OWN_CORE = {"b": CORE, "s": "https://schema.org/", "sort": "@type"}
MAPS = ("clearedPower",)


def renamed(value: Any, *, in_block: bool = False, in_core: bool = False) -> Any:
    """Say the same in other words: other prefixes, other terms, another name for @type."""
    if isinstance(value, list | tuple):
        return [renamed(item, in_block=in_block, in_core=in_core) for item in value]
    if not isinstance(value, dict):
        return value
    context = value.get("@context")
    if context == CONTEXT:
        said = {key: item for key, item in value.items() if key != "@context"}
        inner = renamed(said, in_block=True)
        return {"@context": own_context(inner), **inner}
    in_core = in_core or context == CORE_CONTEXT
    result: dict[str, Any] = {}
    for key, item in value.items():
        if key == "@context":
            result[key] = OWN_CORE if item == CORE_CONTEXT else item
        elif key == "@type":
            result["sort"] = item.replace("beckn:", "b:") if not in_block else f"e:{item}"
        elif in_block:
            kept = {"@value": item} if key in ("status", "amount") else item
            result[mine(key)] = item if key in MAPS else renamed(kept, in_block=True)
        else:
            own = key.replace("beckn:", "b:").replace("schema:", "s:")
            own = f"b:{key}" if in_core and key in UNPREFIXED else own
            result[own] = renamed(item, in_core=in_core)
    return result


def mine(term: str) -> str:
    return term if term == "@value" else f"my-{term}"


def words_in(value: Any) -> set[str]:
    """Give the keys that a value uses, however deep."""
    if isinstance(value, list):
        return {word for item in value for word in words_in(item)}
    if not isinstance(value, dict):
        return set()
    return {*value, *(word for item in value.values() for word in words_in(item))}


def own_context(said: dict[str, Any]) -> dict[str, Any]:
    """Define the words that a block uses: a context of all words would be none that people send."""
    own, used = dict[str, Any]({"e": ENERGY, "sort": "@type"}), words_in(said)
    for iri, spelling in spellings().items():
        if iri.startswith(ENERGY) and mine(spelling.word) in used:
            container = {"@container": spelling.container} if spelling.container else {}
            own[mine(spelling.word)] = {"@id": "e:" + spelling.word} | container
    return own


def in_other_words(action: str, body: Any) -> Any:
    del action
    return {key: renamed(item) if key == "message" else item for key, item in body.items()}


@pytest.mark.parametrize("dialect", ["order", "contract"])
@pytest.mark.parametrize("role", [AGENT, PARTICIPANT, UTILITY])
def test_a_market_in_other_words_is_the_same_market(sandbox, dialect: str, role: str):
    other = Conduct(bodies=in_other_words)
    trace, faults = play(sandbox, small_scene(dialect), (), small_cast(broken=(role, other)))
    assert not faults
    name = next(actor for actor, its_role in trace.scene.roles.items() if its_role == role)
    assert judge(trace, name).findings == ()
    told = [m for m in trace.beckn if m.sender == name and m.meaning.has_context]
    assert told
    assert all("my-" in m.raw.decode() for m in told)
    assert all(m.canonical is not m.body for m in told)
    judgement = judge(trace, AGENT)
    unasked = {rule for rule, verdict in judgement.verdicts.items() if verdict == "untestable"}
    assert not unasked & set(said_in_views(trace.scene.edition))
    assert judgement.verdict == "passed"


def said_in_views(edition: str) -> list[str]:
    """Give the rules about what a market says, apart from those about a refusal."""
    families = ("MKT-", "LCK-", "SET-", "LD-")
    return [r for r in editions()[edition].rules if r.startswith(families) and r != "MKT-002"]


@pytest.mark.parametrize("dialect", ["order", "contract"])
def test_the_same_shape_in_words_of_another_vocabulary_is_refused(sandbox, dialect: str):
    def foreign(action: str, body: Any) -> Any:
        return body | {"message": strange(body["message"])} if action == "on_confirm" else body

    def strange(value: Any) -> Any:
        if isinstance(value, dict):
            local = value.get("@context")
            own = {"@vocab": "https://shop.example/"}
            changed = {key: strange(item) for key, item in value.items()}
            return changed | ({"@context": [None, own]} if local == CONTEXT else {})
        return [strange(item) for item in value] if isinstance(value, list | tuple) else value

    broken = AGENT, Conduct(bodies=foreign)
    trace, _ = play(sandbox, small_scene(dialect), (), small_cast(broken=broken))
    found = {f.rule for f in judge(trace, AGENT).findings if f.verdict == "nonconformant"}
    assert "LD-003" in found
    bound = [m for m in trace.of("on_confirm") if m.sender == AGENT]
    assert bound
    assert all(m.reading.contract.clearing is None for m in bound)
    assert all(m.reading.contract.participant_id is None for m in bound)


@pytest.mark.parametrize("dialect", ["order", "contract"])
def test_a_finding_points_at_the_words_of_the_message(sandbox, dialect: str):
    def dear(action: str, body: Any) -> Any:
        if action != "on_status":
            return body
        changed = double(body["message"])
        return in_other_words(action, body | {"message": changed})

    def double(value: Any) -> Any:
        if isinstance(value, dict):
            return {
                key: item * 2 if isinstance(item, Decimal) and key == "amount" else double(item)
                for key, item in value.items()
            }
        return [double(item) for item in value] if isinstance(value, list | tuple) else value

    broken = AGENT, Conduct(bodies=dear)
    trace, _ = play(sandbox, small_scene(dialect), (), small_cast(broken=broken))
    findings = [f for f in judge(trace, AGENT).findings if f.rule.startswith("SET")]
    assert findings
    for finding in findings:
        body = trace.messages[finding.message - 1].body
        for token in finding.pointer.split("/")[1:]:
            body = body[int(token)] if isinstance(body, list) else body[token]
        assert "my-" in finding.pointer
