"""What may be wrong with one message, and what is made of it: the newest edition, and the rest.

The features play the two older editions in both seats; here are what only the newest one
asks, the catalogue of faults, and the parts that a feature cannot see.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace
from types import SimpleNamespace
from typing import TYPE_CHECKING

import pytest

from gridwitness import protocol
from gridwitness.acks import Refusal, read_ack, write_ack
from gridwitness.editions import editions
from gridwitness.fixtures import may_be_cast, titles
from gridwitness.judgement import judge
from gridwitness.mocks.market import play
from gridwitness.mocks.sandbox import Sandbox
from gridwitness.mocks.spoilt import FAULTS
from gridwitness.plan import Casting
from gridwitness.rules import rules
from gridwitness.story import AGENT, PARTICIPANT
from gridwitness.trace import Answer, Message, Trace
from gridwitness.wire import CLIENT_KEEPS_S, SERVER_KEEPS_S
from tests.conftest import SEED, small_cast, small_scene

if TYPE_CHECKING:
    from collections.abc import Iterator

NEWEST = "beckn-2.0.0-nfh"


@pytest.fixture(scope="module")
def newest() -> Iterator[Sandbox]:
    with Sandbox(SEED, speaks=[(NEWEST, "strict")]) as sandbox:
        yield sandbox


def traded(sandbox: Sandbox, words: str, seat: str, **changes) -> Trace:
    """Play a small market in which one message has a fault."""
    scene = small_scene("contract", edition=NEWEST, seat=seat, subject=seat)
    trace, faults = play(sandbox, scene, (), small_cast(spoilt=FAULTS[words], **changes))
    assert not faults
    return trace


def spoilt(trace: Trace) -> Message:
    [message] = [m for m in trace.beckn if m.deliberate is not None]
    return message


def settled(trace: Trace) -> bool:
    return {m.receiver for m in trace.of("on_status") if m.reading.contract} >= {"car", "roof"}


REFUSED = [words for words, fault in FAULTS.items() if fault.at == "discover" and not fault.honest]
REFUSED = [words for words in REFUSED if FAULTS[words].place == "before"]
ONLY_CALLBACKS = {"in a transaction that nobody opened"}
ONLY_REQUESTS = {"whose time is over"}
ODD = [words for words, fault in FAULTS.items() if fault.place == "instead"]


@pytest.mark.parametrize("seat", [AGENT, PARTICIPANT])
@pytest.mark.parametrize("words", REFUSED)
def test_the_newest_edition_refuses_it_and_the_trade_goes_on(newest, words: str, seat: str):
    if words in (ONLY_CALLBACKS if seat == AGENT else ONLY_REQUESTS):
        pytest.skip("comes the other way only")
    trace = traded(newest, words, seat)
    message = spoilt(trace)
    assert message.ends_here
    assert message.ack is not None
    assert message.ack.error_code is None or message.ack.error_code in protocol.CODE_NAMES
    assert message.answer is not None
    assert message.answer.status in (400, 401, 404)
    assert settled(trace)
    judged = judge(trace, trace.scene.subject)
    assert [f.rule for f in judged.findings] == []


@pytest.mark.parametrize("seat", [AGENT, PARTICIPANT])
@pytest.mark.parametrize("words", ODD)
def test_the_newest_edition_accepts_what_only_looks_odd(newest, words: str, seat: str):
    trace = traded(newest, words, seat)
    assert not [m for m in trace.beckn if m.deliberate is not None or m.ends_here]
    assert settled(trace)
    assert judge(trace, trace.scene.subject).findings == ()


def test_a_callback_chained_to_a_foreign_message_is_refused(newest):
    message = spoilt(traded(newest, "chained to a message that it does not answer", PARTICIPANT))
    assert message.is_callback
    assert message.signature is not None
    assert message.signature.status == "wrong signature"
    assert message.answer is not None
    assert message.answer.status == 401
    assert message.ack is not None
    assert message.ack.error_code == "AUT_SIGNATURE_INVALID"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ("about a contract that nobody agreed", "BIZ_ORDER_NOT_FOUND"),
        ("about an offer that nobody made", "BIZ_OFFER_NOT_FOUND"),
        ("that commits to the same once more", "CTX_MESSAGE_ID_DUPLICATE"),
    ],
)
def test_the_newest_edition_names_what_is_unknown(newest, words: str, code: str):
    trace = traded(newest, words, AGENT)
    assert spoilt(trace).ack.error_code == code
    assert settled(trace)
    assert judge(trace, AGENT).findings == ()


def test_who_is_turned_away_is_told_so_by_202_and_hears_nothing_more(newest):
    trace = traded(newest, "that gets no callback", PARTICIPANT)
    asked = [m for m in trace.of("discover") if m.sender == "car"]
    assert [(m.answer.status, m.ack.status, m.ack.error_code) for m in asked] == [
        (202, "ACK", "BIZ_NO_RESULTS_FOUND")
    ]
    assert asked[0].ends_here
    assert [m for m in trace.beckn if m.receiver == "car"] == []
    assert judge(trace, "car").findings == ()


def test_news_without_a_request_is_not_chained(newest):
    trace = traded(newest, "that nobody asked for", PARTICIPANT)
    lines = {m.signature.lines for m in trace.of("on_status") if m.receiver == "car"}
    assert lines == {3, 4}


def test_every_fault_is_tried_in_a_feature():
    from pathlib import Path

    features = Path(__file__).parent.parent / "features" / "transport"
    written = "".join(file.read_text("utf-8") for file in features.glob("*.feature"))
    assert [words for words in FAULTS if words not in written] == []


# -- the rules, over messages made by hand ----------------------------------------------


def answered(trace: Trace, message: Message, **changes) -> Trace:
    """Give a trace in which one message was answered otherwise."""
    answer = replace(message.answer, **changes)
    other = replace(message, answer=answer)
    return Trace(trace.scene, tuple(other if m is message else m for m in trace.messages))


def broken_rules(trace: Trace) -> set[str]:
    return {finding.rule for finding in judge(trace, trace.scene.subject).findings}


@pytest.fixture(scope="module")
def refused(newest) -> Trace:
    return traded(newest, "without a signature", AGENT)


@pytest.mark.parametrize(
    "text",
    [
        "Traceback (most recent call last):",
        "at org.beckn.Verifier.check(Verifier.java:42)",
        "main.go:17: nil map",
        "cannot reach postgres://db",
        "dial tcp 10.0.3.7",
        "no such file /home/agent/keys",
    ],
)
def test_an_error_that_shows_the_inside_is_found(refused, text: str):
    message = spoilt(refused)
    body = write_ack("signed-header", message.reading.envelope, "", Refusal(401, "AUT_X", text))
    raw = protocol_json(body)
    assert "ACK-006" in broken_rules(answered(refused, message, raw=raw))


@pytest.mark.parametrize("text", ["the signature has expired at 10:30", "no item 10.5 of 2.0.0"])
def test_an_error_in_plain_words_is_none(refused, text: str):
    message = spoilt(refused)
    code = "AUT_SIGNATURE_MISSING"
    body = write_ack("signed-header", message.reading.envelope, "", Refusal(401, code, text))
    assert broken_rules(answered(refused, message, raw=protocol_json(body))) <= {"SIG-005"}


def protocol_json(body: object) -> bytes:
    from gridwitness.dialects.base import dump_json

    return dump_json(body)


@pytest.mark.parametrize(
    ("status", "broken"),
    [
        (200, {"SIG-003", "SIG-006", "ACK-003"}),
        (400, {"SIG-003", "SIG-006"}),
        (500, {"SIG-003", "SIG-006", "ACK-008"}),
    ],
)
def test_the_status_of_a_refusal_matters(refused, status: int, broken: set[str]):
    assert broken_rules(answered(refused, spoilt(refused), status=status)) == broken


@pytest.mark.parametrize("raw", [b"", b"[]", b'"x"', b'{"message": []}', b"\xff", b"[" * 9000])
def test_an_answer_of_any_kind_breaks_no_rule_of_ours(refused, raw: bytes):
    judged = judge(answered(refused, spoilt(refused), raw=raw), AGENT)
    assert "harness_error" not in {f.verdict for f in judged.findings}


def test_a_request_that_is_repeated_may_be_answered_once(newest):
    trace = traded(newest, "that commits to the same once more", AGENT)
    message = spoilt(trace)
    accepted = write_ack("signed-header", message.reading.envelope, "")
    lenient = answered(trace, message, status=200, raw=protocol_json(accepted))
    assert "COR-010" not in broken_rules(lenient)
    [answer] = [m for m in trace.of("on_confirm") if m.receiver == message.sender]
    twice = replace(answer, number=len(trace.messages) + 1)
    assert "COR-010" in broken_rules(Trace(lenient.scene, (*lenient.messages, twice)))


# -- names and numbers ------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(protocol.CODE_NAMES))
def test_every_code_can_be_written_in_every_edition(name: str):
    for edition in editions().values():
        written = protocol.write_code(name, edition.error_codes)
        assert protocol.code_is_listed(written, edition.error_codes)


def test_a_code_of_another_list_is_not_listed():
    assert not protocol.code_is_listed("AUT_SIGNATURE_MISSING", "numbers")
    assert not protocol.code_is_listed("60001", "names")
    assert not protocol.code_is_listed("30013", "numbers")
    assert not protocol.code_is_listed("Unauthorized", "names")


@pytest.mark.parametrize(
    ("action", "known"),
    [
        ("discover", True),
        ("on_discover", True),
        ("catalog/publish", True),
        ("catalog/on_publish", True),
        ("barter", False),
        ("callbacks/on_discover", False),
        ("", False),
    ],
)
def test_the_actions_of_the_protocol_are_known(action: str, known: bool):
    assert protocol.is_known(action) is known


def test_an_ack_that_no_callback_follows_is_read_as_one():
    refusal = Refusal(409, "40000", "nothing today", acknowledged=True)
    for form in ("flat", "nested", "signed-body", "signed-header"):
        ack = read_ack(write_ack(form, None, "now", refusal))
        assert ack is not None
        assert (ack.status, ack.error_code) == ("ACK", "40000")


# -- outlines ---------------------------------------------------------------------------


def test_an_outline_has_a_title_for_each_example():
    outline = SimpleNamespace(
        examples=[SimpleNamespace(as_contexts=lambda: iter([{"x": "a"}, {"x": "b"}]))],
        render=lambda example: SimpleNamespace(name=f"{example['x']} is refused"),
    )
    assert titles(outline) == {"a is refused", "b is refused"}


@pytest.mark.parametrize(
    ("feature", "title", "cast"),
    [
        ("transport/signatures.feature", "A message <spoilt> is refused", True),
        ("transport/signatures.feature", "Another <spoilt> is refused", False),
        ("transport/signatures.feature", "A message without a signature is refused", True),
        ("transport/signatures.feature", "A message signed by another is refused", False),
        ("transport/envelope.feature", "A message <spoilt> is refused", False),
    ],
)
def test_a_defect_is_tried_in_one_example(feature: str, title: str, cast: bool):
    casting = Casting(AGENT, "order", "beckn-2.0.0-rc", "strict", 1.0, "believes-the-unsigned")
    assert may_be_cast(casting, feature, title) is cast


# -- connections ------------------------------------------------------------------------


def test_an_idle_connection_is_given_up_before_the_other_side_closes_it():
    """Servers close an idle connection after 2 s or 5 s, clients keep theirs for a minute or more.

    A message that is sent just while the other side closes is lost, and told as its fault.
    """
    assert CLIENT_KEEPS_S < 2
    assert SERVER_KEEPS_S > 90


def test_a_connection_that_was_idle_is_not_used_again(sandbox, monkeypatch):
    """A message that follows a pause travels on a new connection."""
    ports: list[int] = []
    served: list[asyncio.Task] = []

    async def answer(reader, writer) -> None:
        while await reader.readline():
            while (await reader.readline()).strip():
                pass
            ports.append(writer.get_extra_info("peername")[1])
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
            await writer.drain()
        writer.close()

    async def exchange() -> None:
        server = await asyncio.start_server(
            lambda reader, writer: served.append(
                asyncio.get_running_loop().create_task(answer(reader, writer))
            ),
            "127.0.0.1",
            0,
        )
        url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/x"
        wire = sandbox.wire

        async def post() -> None:
            await wire.post(url, b"", {}, sender="us", receiver=None, action="x")

        await post()
        await post()
        later = SimpleNamespace(monotonic=lambda: time.monotonic() + CLIENT_KEEPS_S + 0.1)
        monkeypatch.setattr("httpcore._async.http11.time", later)
        await post()
        server.close()

    sandbox.wire.call(exchange)
    assert ports[0] == ports[1] != ports[2]


def test_rules_that_refuse_are_exercised_by_nothing_ordinary():
    """A trade without anything odd leaves them alone; only a scenario of its own demands them."""
    quiet = {"ACK-007", "ACK-008", "SIG-015"}
    mine = {f"SIG-{n:03}" for n in range(6, 17)} | {f"ENV-{n:03}" for n in range(20, 26)}
    mine |= {f"ACK-{n:03}" for n in range(5, 9)} | {f"COR-{n:03}" for n in range(10, 15)}
    assert {id_ for id_ in mine if not rules()[id_].on_refusal} == quiet


def test_a_message_ends_here_by_its_answer(refused):
    message = refused.of("discover")[0]
    nack = Answer(400, {}, b'{"status": "NACK"}')
    assert replace(message, answer=nack).ends_here
    for status, ends in ((200, False), (202, True), (409, True)):
        assert replace(message, answer=Answer(status, {}, b'{"status": "ACK"}')).ends_here is ends
    assert not replace(message, answer=None).ends_here
