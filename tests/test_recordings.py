"""Recordings: every form becomes the same trace; what is hostile is told, in bounded space."""

from __future__ import annotations

import base64
import json
import os
import tracemalloc
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from gridwitness.dialects.order import CORE_CONTEXT
from gridwitness.errors import UserError
from gridwitness.judgement import judge
from gridwitness.recordings import files, lines
from gridwitness.recordings.files import Flow, PassedOver, read_flow, recorded
from gridwitness.recordings.flows import Terms, known_editions, numbers_of
from gridwitness.recordings.pieces import MOST_MESSAGE_BYTES, as_envelope, from_bytes, from_entry
from gridwitness.trace import Trace, write_trace
from tests.conftest import small_market

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from gridwitness.recordings.files import Heard
TERMS = Terms({})


def body(action: str, transaction: str = "1", **context: Any) -> dict[str, Any]:
    known = {
        "action": action,
        "version": "2.0.0",
        "bap_id": "buyer.example",
        "bap_uri": "https://buyer.example/bap",
        "bpp_id": "seller.example",
        "bpp_uri": "https://seller.example/bpp",
        "transaction_id": f"00000000-0000-4000-8000-00000000000{transaction}",
        "message_id": f"10000000-0000-4000-8000-00000000000{transaction}",
        "timestamp": "2026-04-01T08:30:00Z",
    }
    order = {
        "@context": CORE_CONTEXT,
        "@type": "beckn:Order",
        "beckn:id": "o-1",
        "beckn:orderStatus": "PENDING",
        "beckn:seller": "seller.example",
        "beckn:buyer": {
            "@context": CORE_CONTEXT,
            "@type": "beckn:Buyer",
            "beckn:id": "buyer.example",
        },
        "beckn:orderItems": [{"beckn:orderedItem": "energy"}],
    }
    return {"context": known | context, "message": {"order": order}}


def put(file: Path, value: Any) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(value if isinstance(value, str) else json.dumps(value, indent=1))
    return file


def found(tmp_path: Path, *paths: Path) -> list[Flow | PassedOver]:
    spool = tmp_path / "spool"
    spool.mkdir(parents=True, exist_ok=True)
    return list(recorded(paths, spool))


def heard(tmp_path: Path, *paths: Path, terms: Terms = TERMS) -> list[Heard]:
    return [read_flow(one, terms) for one in found(tmp_path, *paths) if isinstance(one, Flow)]


def actions(one: Heard) -> list[str]:
    return [message.action for message in one.trace.messages]


def entry(sent: dict[str, Any], status: int = 200, **request: Any) -> dict[str, Any]:
    """An entry of an HTTP Archive, as a proxy writes it."""
    answer = json.dumps({"message": {"ack": {"status": "ACK"}}}).encode()
    return {
        "startedDateTime": "2026-04-01T08:30:00.250+00:00",
        "time": 20,
        "request": {
            "method": "POST",
            "url": f"https://seller.example/bpp/{sent['context']['action']}?x=1",
            "headers": [{"name": "Authorization", "value": "Signature keyId=..."}],
            "postData": {"mimeType": "application/json", "text": json.dumps(sent)},
        }
        | request,
        "response": {
            "status": status,
            "headers": [{"name": "Content-Type", "value": "application/json"}],
            "content": {"text": base64.b64encode(answer).decode(), "encoding": "base64"},
        },
    }


def archive(*entries: Any) -> dict[str, Any]:
    return {"log": {"version": "1.2", "creator": {"name": "a proxy"}, "entries": list(entries)}}


# -- the forms ------------------------------------------------------------------------------


def test_a_folder_of_messages_is_one_flow_in_the_order_of_actions(tmp_path):
    for action in ("on_confirm", "confirm", "on_init", "init"):
        put(tmp_path / "flow" / f"{action}-request.json", body(action))
    put(tmp_path / "flow" / "schema.json", {"type": "object"})
    (one,) = heard(tmp_path, tmp_path / "flow")
    assert actions(one) == ["init", "on_init", "confirm", "on_confirm"]
    assert [(m.sender, m.receiver) for m in one.trace.messages][:2] == [
        ("buyer.example", "seller.example"),
        ("seller.example", "buyer.example"),
    ]
    assert one.places[0].endswith("flow/init-request.json")
    assert [(p.place.rpartition("/")[2], p.why) for p in one.passed_over] == [
        ("schema.json", "an object without a context")
    ]


def test_numbered_folders_are_steps_of_one_flow_and_others_flows_of_their_own(tmp_path):
    put(tmp_path / "ev" / "02_on_init" / "b.json", body("on_init"))
    put(tmp_path / "ev" / "01_init" / "a.json", body("init"))
    put(tmp_path / "ev" / "10_confirm" / "deep" / "c.json", body("confirm"))
    put(tmp_path / "ev" / "09.status" / "2.late.json", body("status"))
    put(tmp_path / "ev" / "09.status" / "1.early.json", body("on_status"))
    put(tmp_path / "p2p" / "x.json", body("select"))
    flows = {str(one.trace.scene.scenario): actions(one) for one in heard(tmp_path, tmp_path)}
    assert flows == {
        "ev": ["init", "on_init", "on_status", "status"],
        "deep": ["confirm"],
        "p2p": ["select"],
    }


@pytest.mark.parametrize(
    ("name", "numbers"),
    [("03_select", [3]), ("08_01_status", [8, 1]), ("2.order", [2]), ("7", [7]), ("1.2-x", [1, 2])]
    + [(name, []) for name in ("select", "2025-11-03", "20251103", "p2p-2", "٣_select")],
)
def test_a_number_at_the_beginning_of_a_name_is_its_place(name: str, numbers: list[int]):
    assert numbers_of(name) == numbers


def test_lines_are_grouped_by_transaction_however_they_interleave(tmp_path):
    said = [body("init", "1"), body("init", "2"), body("on_init", "2"), body("on_init", "1")]
    enveloped = {
        "body": said[3],
        "url": "https://buyer.example/bap/on_init",
        "headers": {"Authorization": "Signature x"},
        "at": "2026-04-01T08:31:00Z",
        "response": {"status": 200, "headers": {}, "body": {"message": {"ack": {"status": "ACK"}}}},
    }
    rows = [*said[:2], "", said[2], enveloped]
    text = "\n".join(json.dumps(row) if row else "" for row in rows)
    first, second = heard(tmp_path, put(tmp_path / "all.jsonl", text))
    assert actions(first) == actions(second) == ["init", "on_init"]
    assert [place.rpartition(":")[2] for place in first.places] == ["1", "5"]
    assert [message.recorded for message in first.trace.messages] == ["body", "whole"]
    answered = first.trace.messages[1]
    assert answered.ack is not None
    assert answered.headers == {"authorization": "Signature x"}
    assert answered.sent_s == 60


def test_an_archive_gives_its_messages_with_their_answers(tmp_path):
    page = {"request": {"method": "GET", "url": "https://x/y.js"}, "response": {"status": 200}}
    sent = entry(body("init")), page, entry(body("on_init")), entry(body("confirm"), status=0)
    file = put(tmp_path / "traffic.har", archive(*sent))
    passed_over, flow = found(tmp_path, file)
    assert isinstance(passed_over, PassedOver)
    assert passed_over.number == 1
    assert isinstance(flow, Flow)
    one = read_flow(flow, TERMS)
    assert actions(one) == ["init", "on_init", "confirm"]
    assert [place.rpartition(":")[2] for place in one.places] == ["1", "3", "4"]
    init, _, confirm = one.trace.messages
    assert init.answer is not None
    assert init.answer.status == 200
    assert init.ack is not None
    assert init.raw == json.dumps(body("init")).encode()
    assert init.signature is None
    assert confirm.failure == "no answer was recorded"


def test_a_trace_of_ours_is_read_as_it_was_written(sandbox, tmp_path):
    trace = small_market(sandbox)
    write_trace(trace, tmp_path / "out" / "traces" / "one.jsonl")
    put(tmp_path / "out" / "report.json", {"$schema": files.OURS + "1"})
    put(tmp_path / "out" / "allure-results" / "x.json", body("init"))
    (one,) = heard(tmp_path, tmp_path / "out")
    assert one.trace == trace
    assert one.places[0].endswith("one.jsonl:2")


@pytest.mark.parametrize("break_", ["\u2028", "\u0085", "\x0b"])
def test_a_line_separator_within_a_text_breaks_no_line(sandbox, tmp_path, break_: str):
    trace = small_market(sandbox)
    raw = json.dumps({"context": {"action": f"a{break_}b"}}, ensure_ascii=False).encode()
    odd = Trace(trace.scene, (replace(trace.messages[0], raw=raw),))
    write_trace(odd, tmp_path / "odd.jsonl")
    assert heard(tmp_path, tmp_path / "odd.jsonl")[0].trace == odd


def test_a_piece_survives_the_envelope():
    piece = from_entry(entry(body("init")), "x:1")
    again = from_bytes(as_envelope(piece), "x:1")
    assert (again.raw, again.url, again.headers, again.reply) == (
        piece.raw, piece.url, piece.headers, piece.reply
    )  # fmt: skip


def test_the_edition_follows_the_dialect_unless_another_is_asked_for(tmp_path):
    camel = {"context": {"action": "init", "messageId": "m"}, "message": {"contract": {}}}
    file = put(tmp_path / "a.json", camel)
    terms = Terms({"contract": "beckn-2.0.0-nfh"}, "deployed")
    assert heard(tmp_path, file)[0].trace.scene.edition == "beckn-2.0.0-lts"
    scene = heard(tmp_path, file, terms=terms)[0].trace.scene
    assert (scene.edition, scene.strictness) == ("beckn-2.0.0-nfh", "deployed")


# -- what was not recorded is not missing ----------------------------------------------------


def rules_of(one: Heard) -> set[str]:
    return {finding.rule for finding in judge(one.trace, None).findings}


def exercised(one: Heard) -> set[str]:
    counts = judge(one.trace, None).exercised
    return {rule for rule, number in counts.items() if number}


def test_a_bare_body_says_nothing_of_signature_address_or_answer(tmp_path):
    (one,) = heard(tmp_path, put(tmp_path / "a.json", body("init")))
    assert not rules_of(one)
    silent = {"ACK-001", "ACK-002", "SIG-001", "SIG-003", "SIG-004", "SIG-005", "ENV-003"}
    assert not silent & exercised(one)


def test_an_archive_is_judged_by_its_answers_and_addresses(tmp_path):
    wrong = entry(body("init"), url="https://seller.example/bpp/select")
    (one,) = heard(tmp_path, put(tmp_path / "a.har", archive(wrong, entry(body("confirm"), 0))))
    assert rules_of(one) >= {"ENV-003", "ACK-001"}
    assert not {"SIG-001", "SIG-003"} & exercised(one)


def test_a_callback_whose_request_was_not_recorded_is_not_blamed(tmp_path):
    (alone,) = heard(tmp_path, put(tmp_path / "a.json", body("on_init")))
    assert "COR-002" not in exercised(alone)
    put(tmp_path / "both" / "init.json", body("init", "2"))
    put(tmp_path / "both" / "on_init.json", body("on_init", "1"))
    (both,) = heard(tmp_path, tmp_path / "both")
    assert "COR-002" in rules_of(both)


def test_a_party_that_gives_another_address_is_told(tmp_path):
    put(tmp_path / "f" / "init.json", body("init"))
    put(
        tmp_path / "f" / "confirm.json",
        body("confirm", bap_uri="https://other.example", message_id="3"),
    )
    (one,) = heard(tmp_path, tmp_path / "f")
    assert "ENV-009" in rules_of(one)


# -- hostile input ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "raw",
    [
        b"[" * 100_000,
        b'{"a":' * 50_000,
        b"\xff\xfe\x00",
        b'{"context": {"action": "init", "n": ' + b"9" * 5000 + b"}}",
        b'{"context": {"action": "init", "n": 1e999999999}}',
        b'{"context": {"action": "in\x00it"}}',
        b'{"context": {"action": NaN}}',
        b"",
        b"   \n\t",
        b"\x00" * 1000,
        b"\\ud800",
    ],
    ids=[
        *("deep-array", "deep-object", "no-utf8", "digits", "exponent", "nul", "nan"),
        *("empty", "blank", "nuls", "surrogate"),
    ],
)
def test_a_file_that_cannot_be_read_is_told_in_a_folder(tmp_path, raw: bytes):
    put(tmp_path / "f" / "a.json", body("init"))
    (tmp_path / "f" / "b.json").write_bytes(raw)
    (one,) = heard(tmp_path, tmp_path / "f")
    told = {f.rule for f in judge(one.trace, None).findings if f.verdict == "nonconformant"}
    unreadable = len(one.trace.messages) == 2
    assert unreadable == bool(told & {"ENV-001"}) or one.passed_over
    assert "harness_error" not in {f.verdict for f in judge(one.trace, None).findings}


@pytest.mark.parametrize("raw", [b"", b"hello\nworld\n", b"\x89PNG\r\n", b"{", b"[1, 2"])
def test_a_file_that_is_no_recording_is_a_users_mistake(tmp_path, raw: bytes):
    (tmp_path / "x.bin").write_bytes(raw)
    with pytest.raises(UserError, match=r"x\.bin: holds no recording"):
        found(tmp_path, tmp_path / "x.bin")


def test_a_path_that_is_not_there_is_a_users_mistake(tmp_path):
    with pytest.raises(UserError, match="neither a file nor a folder"):
        found(tmp_path, tmp_path / "none")


def test_links_in_a_circle_end(tmp_path):
    put(tmp_path / "f" / "a.json", body("init"))
    (tmp_path / "f" / "again").symlink_to(tmp_path / "f", target_is_directory=True)
    (tmp_path / "f" / "01_again").symlink_to(tmp_path / "f", target_is_directory=True)
    (tmp_path / "f" / "self.json").symlink_to(tmp_path / "f" / "self.json")
    os.mkfifo(tmp_path / "f" / "pipe.json")
    told: list[Any] = found(tmp_path, tmp_path / "f")
    assert [(one.place.rpartition("/")[2], one.why) for one in told[:-1]] == [
        ("01_again", "a link to a folder"),
        ("again", "a link to a folder"),
        ("pipe.json", "no file"),
        ("self.json", "no file"),
    ]
    assert isinstance(told[-1], Flow)


def test_a_name_in_a_recording_is_never_a_path(sandbox, tmp_path):
    trace = small_market(sandbox)
    lost = replace(trace.scene, feature="../../etc/passwd")
    write_trace(Trace(lost, trace.messages), tmp_path / "a.jsonl")
    outside = entry(body("init"), url="file:///../../../../etc/passwd")
    put(tmp_path / "b.har", archive(outside))
    before = set(tmp_path.parent.iterdir())
    assert len(heard(tmp_path, tmp_path / "a.jsonl", tmp_path / "b.har")) == 2
    assert set(tmp_path.parent.iterdir()) == before


def peak_mb(work: Any) -> float:
    tracemalloc.start()
    try:
        work()
        return tracemalloc.get_traced_memory()[1] / 1e6
    finally:
        tracemalloc.stop()


def test_an_endless_line_is_read_in_a_bounded_space(tmp_path):
    file = tmp_path / "a.jsonl"
    first = json.dumps(body("init")).encode()
    with file.open("wb") as out:
        out.write(first + b"\n")
        out.write(b'{"context": "')
        out.truncate(64_000_000)  # a hole in the file: as long as we like
        out.seek(64_000_000)
        out.write(b"\n" + first + b"\n")
    flows: list[Heard] = []
    assert peak_mb(lambda: flows.extend(heard(tmp_path, file))) < 8 * MOST_MESSAGE_BYTES / 1e6
    known, unknown = flows
    assert [place.rpartition(":")[2] for place in known.places] == ["1", "3"]
    assert "ENV-001" in rules_of(unknown)


def test_an_endless_entry_of_an_archive_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MOST_ENTRY_BYTES", 200_000)
    monkeypatch.setattr(lines, "CHUNK_BYTES", 1000)
    sent = [entry(body("init", str(n % 9))) for n in range(300)]
    assert heard(tmp_path, put(tmp_path / "good.har", archive(*sent)))
    sent[7]["comment"] = "x" * 1_000_000
    with pytest.raises(UserError, match="an entry larger than"):
        found(tmp_path, put(tmp_path / "bad.har", archive(*sent)))


@pytest.mark.parametrize("text", ['{"log": {"entries": [', '{"log": {"entries": [}', '{"log": 1'])
def test_a_broken_archive_is_a_users_mistake(tmp_path, text: str):
    with pytest.raises(UserError, match="is not an HTTP Archive"):
        found(tmp_path, put(tmp_path / "a.har", text))


@pytest.mark.parametrize("text", ['{"log": 1}', '{"log": {"entries": {}}}', '{"log": {}}'])
def test_an_archive_without_entries_holds_no_message(tmp_path, text: str):
    assert [type(one) for one in found(tmp_path, put(tmp_path / "a.har", text))] == [PassedOver]


def test_a_deep_archive_is_read_in_a_bounded_space(tmp_path):
    file = put(tmp_path / "a.har", '{"log": {"entries": [' + '{"a": [' * 100_000)
    with pytest.raises(UserError, match="is not an HTTP Archive"):
        found(tmp_path, file)


def test_a_flow_that_is_too_large_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MOST_FLOW_MESSAGES", 3)
    file = put(tmp_path / "a.jsonl", "\n".join([json.dumps(body("init"))] * 4))
    with pytest.raises(UserError, match="has 4 messages, 3 at most"):
        found(tmp_path, file)


def damaged(trace: Trace, tmp_path: Path, line: int, change: dict[str, Any]) -> Path:
    file = tmp_path / "trace.jsonl"
    write_trace(trace, file)
    rows = [json.loads(row) for row in file.read_text().split("\n")[:-1]]
    (rows[line]["scene"] if line == 0 else rows[line]).update(change)
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


@pytest.mark.parametrize(
    ("line", "change"),
    [
        (1, {"number": 2}),
        (1, {"number": "1"}),
        (1, {"sender": 7}),
        (1, {"action": None}),
        (1, {"sent_s": "soon"}),
        (1, {"headers": ["a"]}),
        (1, {"headers": {"a": 1}}),
        (1, {"raw": {"base64": 5}}),
        (1, {"raw": [1]}),
        (1, {"answer": {"status": "200", "headers": {}, "raw": ""}}),
        (1, {"signature": {"status": "splendid"}}),
        (1, {"recorded": "perhaps"}),
        (0, {"roles": {"a": 1}}),
        (0, {"sequence": [{"name": "x"}]}),
        (0, {"dialect": 1}),
        (0, {"ids": {}}),
        (0, {"subject": "nobody"}),
        (0, {"strictness": "meh"}),
        (1, {"sent_s": float("nan")}),
        (1, {"sent_s": 10**400}),
        (1, {"deadline_s": float("inf")}),
        (1, {"answer": {"status": -5, "headers": {}, "raw": ""}}),
        (1, {"answer": {"status": 10**30, "headers": {}, "raw": ""}}),
        (1, {"signature": None}),
        (0, {"dialect": "contract"}),
        (0, {"edition": "beckn-9"}),
        (0, {"price_tick": "a"}),
        (0, {"power_step": "0.0"}),
        (0, {"power_step": "1e9999999"}),
    ],
    ids=str,
)
def test_a_damaged_trace_is_a_users_mistake(sandbox, tmp_path, line: int, change: dict[str, Any]):
    file = damaged(small_market(sandbox), tmp_path, line, change)
    with pytest.raises(UserError, match="is not a trace"):
        heard(tmp_path, file)


def test_a_trace_of_a_later_table_is_judged_by_what_is_known(sandbox, tmp_path):
    step = {"name": "1", "sender": "market participant", "receiver": "clearing agent"}
    later = step | {
        "actions": ["init"],
        "carries": ["a word to come"],
        "after": [],
        "after_all": [],
    }
    file = damaged(small_market(sandbox), tmp_path, 0, {"sequence": [later]})
    (one,) = heard(tmp_path, file)
    assert "harness_error" not in {f.verdict for f in judge(one.trace, None).findings}


def flow_names(told: Sequence[Flow | PassedOver]) -> list[str]:
    return [one.name for one in told if isinstance(one, Flow)]


def test_ids_of_any_length_and_kind_group_messages(tmp_path):
    rows = [body("init"), body("init"), body("init"), body("init")]
    rows[0]["context"]["transaction_id"] = "x" * 100_000
    rows[1]["context"]["transaction_id"] = {"a": 1}
    rows[2]["context"]["transaction_id"] = "'; DROP TABLE message; --"
    rows[3]["context"]["transaction_id"] = ""
    text = "\n".join(map(json.dumps, [*rows, "not a message"]))
    told = found(tmp_path, put(tmp_path / "a.jsonl", text))
    assert [len(one.lines) for one in told if isinstance(one, Flow)] == [1, 2, 1]
    assert flow_names(told)[1] == "without a transaction"
    assert told[-1] == PassedOver(f"{tmp_path / 'a.jsonl'}:5", "JSON, but no object")


# -- what people's programs write --------------------------------------------------------------

MARK = "\ufeff"


@pytest.mark.parametrize("name", ["a.json", "a.jsonl", "a.har"])
def test_a_byte_order_mark_is_no_part_of_what_it_precedes(tmp_path, name: str):
    line = json.dumps(body("init"))
    text = {
        "a.json": line,
        "a.jsonl": f"{line}\n{line}\n",
        "a.har": json.dumps(archive(entry(body("init")))),
    }[name]
    for path in (put(tmp_path / name, MARK + text), put(tmp_path / "f" / name, MARK + text)):
        (one,) = heard(tmp_path, path if path.parent == tmp_path else path.parent)
        assert set(actions(one)) == {"init"}
        assert "ENV-001" not in rules_of(one)


def response(**content: Any) -> dict[str, Any]:
    return {"status": 200, "headers": [], "content": content}


@pytest.mark.parametrize(
    ("answer", "recorded"),
    [
        (response(size=123), "request"),
        (response(size=-1), "request"),
        (None, "request"),
        (response(size=0), "whole"),
        ({"status": 0, "headers": [], "content": {"size": 0}}, "whole"),
    ],
)
def test_an_answer_that_was_not_exported_is_not_missing(tmp_path, answer: Any, recorded: str):
    sent = entry(body("init")) | {"response": answer}
    (one,) = heard(tmp_path, put(tmp_path / "a.har", archive(sent)))
    (message,) = one.trace.messages
    assert message.recorded == recorded
    assert ("ACK-001" in rules_of(one)) == (recorded == "whole")


@pytest.mark.parametrize("size", [2000, 1e99])
def test_a_body_that_was_not_exported_is_passed_over(tmp_path, size: float):
    sent = entry(body("init"), postData={"mimeType": "application/json"}, bodySize=size)
    told = found(tmp_path, put(tmp_path / "a.har", archive(entry(body("init")), sent)))
    assert told[0] == PassedOver(f"{tmp_path / 'a.har'}:2", "its body was not recorded")
    empty = entry(body("init"), postData={"mimeType": "application/json"}, bodySize=0)
    (one,) = heard(tmp_path, put(tmp_path / "b.har", archive(empty)))
    assert "ENV-001" in rules_of(one)


def test_what_else_a_browser_posts_is_no_message(tmp_path):
    form = {"mimeType": "application/x-www-form-urlencoded", "text": "v=1&t=pageview"}
    counted = entry(body("init"), url="https://counter.example/collect?v=1", postData=form)
    other = {"context": {"page": "x"}}
    tracked = entry(
        body("init"), url="https://counter.example/v1/t", postData={"text": json.dumps(other)}
    )
    (*passed_over, flow) = found(
        tmp_path, put(tmp_path / "a.har", archive(counted, tracked, entry(body("init"))))
    )
    assert [one.why for one in passed_over if isinstance(one, PassedOver)] == [
        "a POST of no JSON, to no known action",
        "its context names neither a transaction, a message nor a party",
    ]
    assert isinstance(flow, Flow)
    assert len(flow.lines) == 1


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("https://seller.example/bpp/on_init", "text/plain"),
        ("https://seller.example/x", "application/json; charset=utf-8"),
    ],
)
def test_what_was_meant_as_a_message_is_judged(tmp_path, url: str, kind: str):
    sent = entry(body("init"), url=url, postData={"mimeType": kind, "text": "{broken"})
    (one,) = heard(tmp_path, put(tmp_path / "a.har", archive(sent)))
    assert "ENV-001" in rules_of(one)


def test_lines_that_are_no_message_fill_no_flow(tmp_path, monkeypatch):
    monkeypatch.setattr(lines, "MOST_FLOW_MESSAGES", 3)
    rows = ["1"] * 9 + ['{"level": "info"}'] * 9 + [json.dumps(body("init"))]
    told = found(tmp_path, put(tmp_path / "a.jsonl", "\n".join(rows)))
    assert [len(one.lines) for one in told if isinstance(one, Flow)] == [1]
    assert len(told) == 19
    broken = put(tmp_path / "b.jsonl", "\n".join([*rows, *["{"] * 4]))
    with pytest.raises(UserError, match="'without a transaction' has 4 messages"):
        found(tmp_path, broken)


@pytest.mark.parametrize(
    ("raw", "reason"),
    [(b'{"context": ', "Expecting value"), (b"", "no JSON"), (b"\xff{}", "can't decode")],
)
def test_a_lone_message_file_that_is_broken_is_judged_with_the_reason(tmp_path, raw, reason: str):
    (tmp_path / "a.json").write_bytes(raw)
    (one,) = heard(tmp_path, tmp_path / "a.json")
    (finding,) = [f for f in judge(one.trace, None).findings if f.rule == "ENV-001"]
    assert reason in finding.observed


def test_a_file_that_is_no_recording_says_why(tmp_path):
    with pytest.raises(UserError, match=r"holds no recording that can be read \(Expecting"):
        found(tmp_path, put(tmp_path / "a.har", '{"log"'))


def test_a_message_that_is_too_large_is_told_as_that(tmp_path):
    sent = body("init", comment="x" * MOST_MESSAGE_BYTES)
    alone = put(tmp_path / "a.json", json.dumps(sent))
    for path in (alone, put(tmp_path / "b.har", archive(entry(sent)))):
        (one,) = heard(tmp_path, path)
        observed = [f.observed for f in judge(one.trace, None).findings if f.rule == "ENV-001"]
        assert observed == ["no JSON: larger than 4 MB"]


def test_pipes_are_never_opened(tmp_path):
    put(tmp_path / "f" / "a.json", body("init"))
    os.mkfifo(tmp_path / "f" / "report.json")
    assert len(heard(tmp_path, tmp_path / "f")) == 1
    put(tmp_path / "out" / "report.json", {"$schema": files.OURS + "1"})
    (tmp_path / "out" / "traces").mkdir()
    os.mkfifo(tmp_path / "out" / "traces" / "a.jsonl")
    with pytest.raises(UserError, match="is not a trace"):
        heard(tmp_path, tmp_path / "out")


def test_files_of_other_kinds_are_counted(tmp_path):
    put(tmp_path / "f" / "a.json", body("init"))
    for name in ("a.txt", "b.json.gz", "README"):
        put(tmp_path / "f" / name, "x")
    passed_over, _ = found(tmp_path, tmp_path / "f")
    assert isinstance(passed_over, PassedOver)
    assert (passed_over.place, passed_over.number) == (str(tmp_path / "f"), 3)


def test_all_paths_are_looked_at_before_anything_is_read(tmp_path):
    good = put(tmp_path / "a.json", body("init"))
    told = recorded([good, tmp_path / "none"], tmp_path / "spool")
    with pytest.raises(UserError, match="neither a file nor a folder"):
        next(told)


def test_paths_that_lead_nowhere_are_a_users_mistake(tmp_path):
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    for path in (tmp_path / "loop", tmp_path / ("x" * 5000), tmp_path / "a\0b"):
        with pytest.raises(UserError):
            found(tmp_path, path)


def test_two_editions_of_one_dialect_are_a_users_mistake():
    with pytest.raises(UserError, match="both speak the dialect"):
        known_editions(["beckn-2.0.0-lts", "beckn-2.0.0-nfh"])
    assert known_editions(["beckn-2.0.0-lts", "beckn-2.0.0-rc"]).keys() == {"order", "contract"}


@pytest.mark.parametrize("chunk", [13, 64, 1000])
def test_a_film_in_an_archive_hides_no_message(tmp_path, monkeypatch, chunk: int):
    film = entry(body("init"), method="GET", url="https://x/y.mp4", postData={})
    film["response"]["content"] = {"text": 'A\\"é' * 50 + "QUFB" * 10_000, "size": 30_000}
    text = json.dumps(archive(entry(body("init")), film, entry(body("confirm"))))
    file = put(tmp_path / "a.har", text)
    (before,) = heard(tmp_path, file)
    monkeypatch.setattr(lines, "LONGEST_TEXT", 4000)
    monkeypatch.setattr(lines, "MOST_ENTRY_BYTES", 20_000)
    with file.open("rb") as opened:
        bounded = lines._Bounded(opened)
        pieces = []
        while piece := bounded.read(chunk):
            pieces.append(piece)
            bounded.since = 0
    read = json.loads(b"".join(pieces))
    kept = read["log"]["entries"][1]["response"]["content"].pop("text")
    whole = json.loads(text)
    assert whole["log"]["entries"][1]["response"]["content"].pop("text").startswith(kept)
    assert 3000 < len(kept) < 4200
    assert read == whole
    (one,) = heard(tmp_path / "again", file)
    assert actions(one) == actions(before) == ["init", "confirm"]


def test_an_archive_is_told_wherever_its_log_stands(tmp_path):
    odd = {"_written_by": {"log": 1}, "comment": "x", **archive(entry(body("init")))}
    for text in (json.dumps(odd), json.dumps(odd, indent=1)):
        (one,) = heard(tmp_path, put(tmp_path / "a.har", text))
        assert one.trace.messages[0].recorded == "whole"
    logged = {"level": "info", "log": "a line"}
    assert isinstance(found(tmp_path, put(tmp_path / "b.json", logged))[0], Flow)
