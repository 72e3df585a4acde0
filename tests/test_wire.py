"""The wire: everything that arrives is answered properly and recorded."""

from __future__ import annotations

import json
import socket
import socketserver
import threading
import time
from contextlib import contextmanager, suppress

import httpx
import pytest

from gridwitness.acks import read_ack
from gridwitness.errors import UserError
from gridwitness.mocks.conduct import Conduct
from gridwitness.mocks.market import play
from gridwitness.mocks.sandbox import Sandbox
from gridwitness.mocks.utility import Utility
from gridwitness.signing import sign
from gridwitness.trace import Trace
from gridwitness.wire import BODY_LIMIT_BYTES, Wire
from tests.conftest import SEED, SPEAKS, small_cast, small_market, small_scene


@pytest.fixture
def utility(sandbox, played_utility):
    """A utility that listens, and a fresh recording of what reaches it."""
    return played_utility, sandbox.wire.record()


def post(url: str, body: bytes, **headers: str) -> httpx.Response:
    return httpx.post(url, content=body, headers=headers, trust_env=False, timeout=10)


def test_a_body_over_the_limit_is_refused_and_recorded_in_part(utility):
    actor, recorder = utility
    answer = post(f"{actor.uri}/init", b"x" * (BODY_LIMIT_BYTES + 1))
    assert answer.status_code == 413
    assert read_ack(answer.json()).error_code == "SCH_BODY_TOO_LARGE"
    [message] = recorder.messages()
    assert message.answer.status == 413
    assert len(message.raw) < BODY_LIMIT_BYTES


def test_a_body_at_the_limit_is_read(utility):
    actor, recorder = utility
    assert post(f"{actor.uri}/init", b"x" * BODY_LIMIT_BYTES).status_code == 401
    assert len(recorder.messages()[0].raw) == BODY_LIMIT_BYTES


UNREADABLE = [
    (b"", "SCH_INVALID_JSON"),
    (b"{", "SCH_INVALID_JSON"),
    (b'{"context": NaN}', "SCH_INVALID_JSON"),
    (b"\xff\xfe", "SCH_INVALID_JSON"),
    (b"[" * 100_000, "SCH_INVALID_JSON"),
    (b'{"a": "\\ud800"}', "SCH_INVALID_JSON"),
    (b'{"a": 1e99999999999999999999}', "SCH_INVALID_JSON"),
    (b"[]", "CTX_MISSING_FIELD"),
    (b"{}", "CTX_MISSING_FIELD"),
    (b'{"context": []}', "CTX_MISSING_FIELD"),
    (b'{"context": {"message_id": "m"}}', "CTX_MISSING_FIELD"),
]


@pytest.mark.parametrize(("body", "code"), UNREADABLE)
def test_what_cannot_be_read_gets_a_nack_and_is_recorded(sandbox, utility, body: bytes, code: str):
    actor, recorder = utility
    now = int(time.time())
    signed = sign(sandbox.signer("utility"), body, created_s=now, expires_s=now + 60)
    ack = read_ack(post(f"{actor.uri}/init", body, authorization=signed).json())
    assert (ack.status, ack.error_code) == ("NACK", code)
    [message] = recorder.messages()
    assert message.raw == body
    assert read_ack(message.answer.body) == ack


@pytest.mark.parametrize("body", [body for body, _ in UNREADABLE])
def test_what_nobody_signed_is_refused_before_it_is_read(utility, body: bytes):
    actor, recorder = utility
    answer = post(f"{actor.uri}/init", body)
    assert answer.status_code == 401
    assert read_ack(answer.json()).error_code == "AUT_SIGNATURE_MISSING"
    assert recorder.messages()[0].raw == body


def test_an_unknown_path_gets_404_and_is_recorded_as_a_stray(utility):
    actor, recorder = utility
    answer = post(actor.uri.replace("utility", "nobody") + "/init", b"{}")
    assert answer.status_code == 404
    assert "/utility" in read_ack(answer.json()).error_text
    [message] = recorder.messages()
    assert (message.kind, message.receiver, message.action) == ("stray", None, "init")


def test_an_unknown_action_gets_a_nack(utility, sandbox):
    actor, recorder = utility
    body = json.dumps({"context": {"message_id": "m"}}).encode()
    assert post(f"{actor.uri}/nonsense", body).status_code == 401
    assert recorder.messages()[0].action == "nonsense"


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"])
def test_a_wrong_method_gets_405_with_the_right_one(utility, method: str):
    actor, recorder = utility
    answer = httpx.request(method, f"{actor.uri}/init", trust_env=False)
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    assert recorder.messages()[0].method == method


def test_a_taken_port_is_a_users_mistake():
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        with pytest.raises(UserError, match=f"port {port}.*cannot listen"):
            Sandbox(SEED, port=port, speaks=SPEAKS).__enter__()


def test_the_system_chooses_the_port_and_loopback_is_the_default(sandbox):
    assert sandbox.wire.port > 0
    assert sandbox.wire.base_url == f"http://127.0.0.1:{sandbox.wire.port}"


def test_another_callback_host_is_what_others_are_told():
    with Sandbox(SEED, speaks=SPEAKS, callback_host="host.example") as sandbox:
        assert sandbox.wire.url_of("utility").startswith("http://host.example:")
        url = sandbox.registry_url.replace("host.example", "127.0.0.1")
        assert post(f"{url}/lookup", b"{}").json() == []


def test_a_message_between_two_of_us_is_recorded_once(sandbox):
    trace = small_market(sandbox)
    assert len(trace.messages) == 28
    assert [message.number for message in trace.messages] == list(range(1, 29))
    assert all(message.answer is not None for message in trace.messages)
    assert all(message.signature.is_valid for message in trace.messages)


def test_a_record_holds_bytes_headers_instants_and_deadlines(sandbox):
    trace = small_market(sandbox)
    discover = trace.of("discover")[0]
    assert json.loads(discover.raw)["context"]["action"] == "discover"
    assert discover.headers["authorization"].startswith("Signature keyId=")
    assert 0 <= discover.sent_s < discover.answer.at_s < discover.deadline_s
    assert discover.deadline_s - discover.sent_s == pytest.approx(10, abs=0.5)
    assert all(m.deadline_s is None for m in trace.beckn if m.is_callback)


def test_patience_scales_the_deadline(sandbox):
    discover = small_market(sandbox, patience=0.5).of("discover")[0]
    assert discover.deadline_s - discover.sent_s == pytest.approx(5, abs=0.5)


def test_silence_ends_at_the_deadline_and_the_record_says_so(sandbox):
    broken = "clearing agent", Conduct(silent_on=frozenset({"on_discover"}))
    trace = small_market(sandbox, broken=broken, patience=0.02)
    assert {message.action for message in trace.messages} == {"discover"}


@contextmanager
def listening(answer: bytes | None):
    """A server that answers every connection with the same bytes, or never."""
    released = threading.Event()

    class Handler(socketserver.BaseRequestHandler):
        def handle(self):
            self.request.recv(65536)
            if answer is None:
                released.wait(10)
            with suppress(OSError):
                self.request.sendall(answer or b"")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            released.set()
            server.shutdown()
            thread.join()


class _NoKeys:
    async def find(self, subscriber_id, key_id):
        return None


def sent_to(port: int, **limits) -> Trace:
    with Wire(_NoKeys(), **limits) as wire:

        async def send():
            return await wire.post(
                f"http://127.0.0.1:{port}/discover",
                b"{}",
                {},
                sender="car",
                receiver="agent",
                action="discover",
                answer_within_s=0.3,
            )

        return wire.call(send)


def test_a_refused_connection_is_recorded():
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        message = sent_to(closed.getsockname()[1])
    assert message.answer is None
    assert "ConnectError" in message.failure


def test_an_endpoint_that_never_answers_is_recorded():
    with listening(None) as port:
        message = sent_to(port)
    assert message.answer is None
    assert message.failure == "no answer within 0.3 s"


def test_an_endless_answer_is_cut_off():
    head = b"HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n"
    with listening(head + b"x" * 999_999) as port:
        message = sent_to(port, body_limit_bytes=1000)
    assert message.failure == "the answer is larger than 1000 bytes"


def test_a_redirect_is_not_followed():
    head = b"HTTP/1.1 307 Temporary Redirect\r\nlocation: http://elsewhere.example/\r\n"
    with listening(head + b"content-length: 0\r\n\r\n") as port:
        message = sent_to(port)
    assert message.answer.status == 307


def test_nonsense_instead_of_http_is_recorded():
    with listening(b"this is not http\r\n\r\n") as port:
        message = sent_to(port)
    assert message.answer is None
    assert "ProtocolError" in message.failure


def test_what_fails_in_an_actor_is_our_fault(sandbox, monkeypatch):
    async def fails(self, message):
        raise ZeroDivisionError("an actor fails")

    monkeypatch.setattr(Utility, "_approve", fails)
    _, faults = play(sandbox, small_scene(), (), small_cast(patience=0.02))
    assert {type(fault) for fault in faults} == {ZeroDivisionError}
