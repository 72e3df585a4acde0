"""A specification laid beside: how it is read, what it finds, what is wrong with itself."""

from __future__ import annotations

import errno
import json
import os
from dataclasses import replace
from importlib.resources import files
from pathlib import Path

import pytest

from gridwitness.errors import UserError
from gridwitness.judgement import judge, required
from gridwitness.report import describe
from gridwitness.rules import rules
from gridwitness.specification import (
    faults_of_the_value,
    read_specification,
    references,
    slots,
)
from gridwitness.specification.addresses import read_address
from gridwitness.specification.fault import CODES
from gridwitness.specification.formats import FORMATS
from gridwitness.specification.reading import MAX_BYTES, Unreadable, read_document
from gridwitness.trace import Trace
from tests.conftest import small_market, small_scene
from tests.test_shape import message_of

EXAMPLE = Path(str(files("gridwitness.examples"))) / "specification"
AGENT = "clearing agent"
RAW = "https://raw.githubusercontent.com/beckn"
PACK = """
openapi: 3.1.0
info: {title: a pack, version: 1.0.0}
components:
  schemas:
    Meter:
      type: object
      additionalProperties: false
      required: [meterId]
      x-jsonld: {'@context': ./context.jsonld, '@type': 'deg:Meter'}
      properties:
        meterId: {type: string}
        reading: {$ref: '../../Reading/v1.0/attributes.yaml#/components/schemas/Reading'}
"""


def lay(folder: Path, documents: dict[str, object]):
    for name, content in documents.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content if isinstance(content, str) else json.dumps(content))
    return read_specification(folder)


def codes(specification) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for fault in specification.faults():
        found.setdefault(fault.code, []).append(f"{fault.document}#{fault.pointer}")
    return found


def pack(**schemas: object) -> dict[str, object]:
    return {"openapi": "3.1.0", "components": {"schemas": schemas}}


# Reading


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 2026-01-01", {"a": "2026-01-01"}),
        ("a: [yes, no, on, off, true]", {"a": ["yes", "no", "on", "off", True]}),
        ("a: 12:30:00", {"a": "12:30:00"}),
        ("a: 0x10\nb: 1_000\nc: 1e3\nd: -5", {"a": "0x10", "b": "1_000", "c": 1000.0, "d": -5}),
        ("200: ok\nnull: x", {"200": "ok", "null": "x"}),
        ("a: &x {b: 1}\nc: *x", {"a": {"b": 1}, "c": {"b": 1}}),
        ("a: !!python/object/apply:os.getcwd []", {"a": []}),
        ("a: ~\nb:\nc: 'null'", {"a": None, "b": None, "c": "null"}),
    ],
)
def test_yaml_is_read_as_json_would_say_it(tmp_path, text, value):
    (tmp_path / "x.yaml").write_text(text)
    assert read_document(tmp_path / "x.yaml") == value


@pytest.mark.parametrize(
    ("name", "text", "why"),
    [
        ("x.yaml", "a: b: c", "line 1"),
        ("x.yaml", "a: [", "not YAML"),
        ("x.yaml", "? [a]\n: b", "line 1"),
        ("x.yaml", "a: *b", "line 1"),
        ("x.yaml", "a: 1\n---\nb: 2", "more than one"),
        ("x.yaml", "a: &a [*a]", "to itself"),
        ("x.yaml", "a: " + "[" * 500 + "]" * 500, "nested too deeply"),
        ("x.yaml", "a: " + "[" * 100_000, "YAML|nested"),
        ("x.json", "[" * 100_000, "nested too deeply|JSON"),
        ("x.json", '{"a": NaN}', "NaN"),
        ("x.json", '{\n"a": }', "line 2"),
        ("x.json", "1" * 5_000, "digits"),
    ],
)
def test_what_cannot_be_read_says_why(tmp_path, name, text, why):
    (tmp_path / name).write_text(text)
    with pytest.raises(Unreadable, match=why):
        read_document(tmp_path / name)


def test_aliases_of_aliases_are_bounded(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 12)]
    (tmp_path / "x.yaml").write_text("\n".join(lines))
    with pytest.raises(Unreadable, match="aliases"):
        read_document(tmp_path / "x.yaml")


def test_bytes_that_are_no_text_are_no_document(tmp_path):
    (tmp_path / "x.yaml").write_bytes(b"a: \xff")
    with pytest.raises(Unreadable, match="UTF-8"):
        read_document(tmp_path / "x.yaml")


def test_a_path_that_holds_no_specification_is_the_users_mistake(tmp_path):
    for path in (tmp_path, tmp_path / "nothing"):
        with pytest.raises(UserError, match="mend:"):
            read_specification(path)
    (tmp_path / "list.json").write_text("[1]")
    with pytest.raises(UserError, match="holds no specification"):
        read_specification(tmp_path)


def test_a_file_that_does_not_parse_is_the_users_mistake_and_names_the_line(tmp_path):
    (tmp_path / "beckn.yaml").write_text("openapi: 3.1.0\npaths: a: b\n")
    with pytest.raises(UserError, match="line 2"):
        read_specification(tmp_path / "beckn.yaml")


# What is no document


def described(folder: Path):
    beside = read_specification(folder)
    told = describe(beside, beside.read, beside.unresolved)
    return {fault["document"]: fault["sentence"] for fault in told["faults"]}


def test_what_cannot_be_read_is_told_and_does_not_hinder_the_rest(tmp_path, monkeypatch):
    lay(tmp_path, {"Meter/v1.0/context.jsonld": {"@context": {}}, "locked.yaml": "openapi: 3.1.0"})
    (tmp_path / "dangling.yaml").symlink_to(tmp_path / "nothing")
    os.mkfifo(tmp_path / "waits.json")
    with (tmp_path / "vast.yaml").open("wb") as file:
        file.write(b"openapi: 3.1.0")
        file.truncate(MAX_BYTES + 1)  # nothing but a hole; it takes no room
    opened = Path.open

    def locked(path: Path, *arguments: str):  # root may open everything
        if path.name == "locked.yaml":
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        return opened(path, *arguments)

    monkeypatch.setattr(Path, "open", locked)
    told = described(tmp_path)
    assert told.keys() == {"dangling.yaml", "locked.yaml", "vast.yaml", "waits.json"}
    assert "No such file" in told["dangling.yaml"]
    assert "Permission denied" in told["locked.yaml"]
    assert "is larger than" in told["vast.yaml"]
    assert "is no regular file" in told["waits.json"]


def test_a_document_that_does_not_parse_is_told_though_nobody_needs_it(tmp_path):
    lay(
        tmp_path,
        {
            "Meter/v1.0/context.jsonld": {"@context": {}},
            "api.yaml": "openapi: 3.1.0\npaths: a: b\n",
            "Meter/v1.0/vocab.jsonld": "{,",
        },
    )
    told = described(tmp_path)
    assert told.keys() == {"api.yaml", "Meter/v1.0/vocab.jsonld"}
    assert "line 2" in told["api.yaml"]


@pytest.mark.parametrize("name", ["a.yaml", "attributes.yaml", "context.jsonld", "other.json"])
def test_a_folder_of_which_nothing_parses_is_the_users_mistake(tmp_path, name):
    (tmp_path / name).write_text("openapi: 3.1.0\npaths: a: b\n")
    with pytest.raises(UserError, match=rf"holds no specification: {name} is not") as caught:
        read_specification(tmp_path)
    assert "line" in caught.value.what


def test_a_path_that_leads_nowhere_is_the_users_mistake(tmp_path):
    (tmp_path / "loop").symlink_to("loop")
    os.mkfifo(tmp_path / "waits.yaml")
    odd = ("loop", "loop/x.yaml", "a" * 5_000, "a\0b", "waits.yaml", "waits.yaml/x.yaml")
    for name in odd:
        with pytest.raises(UserError, match="mend:"):
            read_specification(tmp_path / name)


def test_a_folder_that_cannot_be_looked_into_is_the_users_mistake(tmp_path, monkeypatch):
    def scan(path: str):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))

    monkeypatch.setattr(os, "scandir", scan)
    with pytest.raises(UserError, match="Permission denied"):
        read_specification(tmp_path)


def test_the_name_of_a_file_may_be_any_bytes(tmp_path):
    top = tmp_path / os.fsdecode(b"Z\xfcrich")
    lay(top / "Meter" / "v1.0", {"attributes.yaml": PACK, "context.jsonld": {"@context": {}}})
    beside = read_specification(tmp_path)
    assert len(beside.digest) == 64
    assert {fault.code for fault in beside.faults()} == {"SPF-02", "SPF-04", "SPF-21"}
    missing, *_ = beside.slot_errors(slot(reading=5)) or []
    assert "lacks meterId" in missing.sentence
    read_specification(top).label.encode()


# Addresses


FORMS = (
    f"{RAW}/protocol-specifications-v2/refs/heads/draft/schema/core/v2/attributes.yaml",
    f"{RAW}/protocol-specifications-v2/refs/tags/draft/schema/core/v2/attributes.yaml",
    f"{RAW}/protocol-specifications-v2/tags/draft/schema/core/v2/attributes.yaml",
    f"{RAW}/protocol-specifications-new/draft/schema/core/v2/attributes.yaml",
)


def test_one_document_has_many_addresses():
    assert len({read_address(url) for url in FORMS}) == 1
    assert read_address("./attributes.yaml") is None
    assert read_address("ftp://schema.beckn.io/Offer/v2.0") is None


@pytest.mark.parametrize("host", ["schema.beckn.io", "schema.nfh.global"])
@pytest.mark.parametrize(
    "rest", ["v2.0", "2.0", "v2.0/", "v2.0/attributes.yaml", "2.0/attributes.yaml"]
)
def test_a_schema_site_is_read_with_and_without_v_and_file(tmp_path, host, rest):
    beside = lay(tmp_path, {"schemas/Offer/v2.0/attributes.yaml": pack(Offer={})})
    found = beside.library.resolve(f"https://{host}/Offer/{rest}", missing=("attributes.yaml",))
    assert found.file == "schemas/Offer/v2.0/attributes.yaml"


def test_a_known_folder_wins_over_one_that_only_looks_alike(tmp_path):
    document = pack(Order={"type": "object"})
    beside = lay(
        tmp_path,
        {
            "beckn-2.0.0-draft-2026-01/schema/core/v2/attributes.yaml": document,
            "beckn-2.0.0-rc/schema/core/v2/attributes.yaml": pack(Order={"type": "string"}),
        },
    )
    found = beside.library.resolve(FORMS[0])
    assert found.file == "beckn-2.0.0-draft-2026-01/schema/core/v2/attributes.yaml"
    assert found.how == "published"


def test_a_plain_checkout_is_recognised_by_the_end_of_the_path(tmp_path):
    beside = lay(tmp_path, {"clone/schema/core/v2/attributes.yaml": pack(Order={})})
    assert beside.library.resolve(FORMS[0]).how == "alike"


def test_what_is_ambiguous_is_not_guessed(tmp_path):
    beside = lay(
        tmp_path,
        {
            "one/schema/core/v2/attributes.yaml": pack(Order={}),
            "two/schema/core/v2/attributes.yaml": pack(Order={"type": "object"}),
        },
    )
    assert beside.library.resolve(FORMS[0]).file is None
    assert "several documents" in beside.unresolved[FORMS[0]]


def test_a_reference_never_leaves_the_folder(tmp_path):
    (tmp_path / "secret.yaml").write_text("openapi: 3.1.0")
    schema = {"$ref": "../../../secret.yaml#/components/schemas/X"}
    beside = lay(tmp_path / "in", {"Meter/v1/attributes.yaml": pack(Meter=schema)})
    assert codes(beside)["SPF-02"] == ["Meter/v1/attributes.yaml#/components/schemas/Meter"]
    assert beside.read == ("Meter/v1/attributes.yaml",)


# Messages and slots


@pytest.fixture(scope="module")
def traces(sandbox):
    return {dialect: small_market(sandbox, dialect) for dialect in ("order", "contract")}


@pytest.mark.parametrize("dialect", ["order", "contract"])
def test_our_own_messages_keep_the_example(traces, dialect):
    beside = read_specification(EXAMPLE)
    trace = replace(traces[dialect], specification=beside)
    judgement = judge(trace, AGENT)
    ids = {"SPC-001", "SPC-002", "SPC-003"}
    assert {i: judgement.verdicts[i] for i in ids} == dict.fromkeys(ids, "passed")
    assert beside.faults() == []
    assert beside.unresolved == {}


def test_without_a_specification_its_rules_do_not_apply(traces):
    judgement = judge(traces["order"], AGENT)
    assert judgement.verdicts["SPC-001"] == "not_applicable"
    assert "SPC-001" not in {rule.id for rule in required("beckn-2.0.0-rc", AGENT)}
    assert "SPC-001" in {rule.id for rule in required("beckn-2.0.0-rc", AGENT, {"api"})}


def test_a_specification_of_the_other_dialect_says_nothing(traces):
    beside = read_specification(EXAMPLE / "api" / "contract.yaml")
    assert beside.parts("order") == frozenset()
    trace = replace(traces["order"], specification=beside)
    assert judge(trace, AGENT).verdicts["SPC-001"] == "not_applicable"


def test_errors_say_where_and_what():
    beside = read_specification(EXAMPLE)
    errors = beside.message_errors("contract", "init", {"context": {"ttl": 5}, "message": {}})
    assert errors[0].pointer == "/context/ttl"
    assert errors[0].sentence == "is 5, not of type string"
    assert any("lacks action, version" in error.sentence for error in errors)
    unknown = beside.message_errors("contract", "aggregate", {"context": {}, "message": {}})
    assert [error.pointer for error in unknown] == ["/context/action"]


@pytest.mark.parametrize(
    "body",
    [None, 5, [], {"context": []}, {"message": {"contract": [[[]]]}}, {"context": {"ttl": 1e400}}],
)
def test_a_body_may_hold_anything(body):
    beside = read_specification(EXAMPLE)
    assert beside.message_errors("contract", "init", body)
    assert list(slots(body)) == []
    assert list(references(body)) == []


def test_a_body_nested_without_end_is_not_judged():
    body: dict[str, object] = {}
    for _ in range(5_000):
        body = {"message": body}
    beside = read_specification(EXAMPLE)
    errors = beside.message_errors("contract", "init", body)
    assert faults_of_the_value(errors) is None


def test_a_message_with_endless_references_is_judged_in_bounded_time():
    url = "https://x.example/" + "a/" * 200_000
    many = [f"https://x.example/{number}/b/c.jsonld" for number in range(50_000)]
    body = {"context": {"schemaContext": many}, "message": {"@context": [url, *many], "@type": "X"}}
    beside = read_specification(EXAMPLE)
    ((_, one),) = slots(body)
    assert beside.slot_errors(one) is None
    assert len(list(references(body))) == 1_000
    assert beside.reference_fault(url) is not None


def slot(**members: object) -> dict[str, object]:
    url = "https://schema.nfh.global/Meter/v1.0/context.jsonld"
    return {"@context": url, "@type": "Meter"} | members


def test_a_slot_is_judged_by_the_pack_of_its_context(tmp_path):
    beside = lay(
        tmp_path,
        {
            "Meter/v1.0/attributes.yaml": PACK,
            "Meter/v1.0/context.jsonld": {"@context": {}},
            "Reading/v1.0/attributes.yaml": pack(Reading={"type": "number"}),
        },
    )
    for kind in ("Meter", "deg:Meter", "other:Meter", ["Meter", "Thing"]):
        assert beside.slot_errors(slot(meterId="m") | {"@type": kind}) == []
    (missing,) = beside.slot_errors(slot(reading=5)) or []
    assert missing.sentence == "lacks meterId"
    (wrong,) = beside.slot_errors(slot(meterId="m", reading="much")) or []
    assert wrong.pointer == "/reading"
    (foreign,) = beside.slot_errors(slot(meterId="m", colour="red")) or []
    assert foreign.sentence == "has colour, which its schema does not know"
    (renamed,) = beside.slot_errors(slot() | {"@type": "SmartMeter"}) or []
    assert "not among the components" in renamed.sentence
    assert beside.slot_errors(slot() | {"@context": "https://nowhere.example/a/b/c.jsonld"}) is None
    assert "https://nowhere.example/a/b/c.jsonld" in beside.unresolved


def test_a_pack_that_cannot_be_resolved_blames_nobody(tmp_path):
    beside = lay(
        tmp_path,
        {"Meter/v1.0/attributes.yaml": PACK, "Meter/v1.0/context.jsonld": {"@context": {}}},
    )
    errors = beside.slot_errors(slot(meterId="m", reading=5))
    assert errors is not None
    assert "cannot be judged" in errors[0].sentence
    assert faults_of_the_value(errors) == []
    assert list(beside.unresolved) == [
        "../../Reading/v1.0/attributes.yaml#/components/schemas/Reading"
    ]
    assert codes(beside)["SPF-02"]


def test_a_pack_that_does_not_parse_blames_nobody(tmp_path):
    beside = lay(
        tmp_path,
        {"Meter/v1.0/attributes.yaml": "a: b: c", "Meter/v1.0/context.jsonld": {"@context": {}}},
    )
    errors = beside.slot_errors(slot())
    assert errors is not None
    assert faults_of_the_value(errors) is None
    assert codes(beside)["SPF-01"] == ["Meter/v1.0/attributes.yaml#"]


def test_a_context_is_given_for_its_url(tmp_path):
    context = {"@context": {"@vocab": "https://vocabulary.example/"}}
    beside = lay(tmp_path, {"Meter/v1.0/context.jsonld": context})
    assert beside.context_document("https://schema.nfh.global/Meter/1.0/context.jsonld") == context
    assert beside.context_document("https://schema.nfh.global/Meter/1.1/context.jsonld") is None


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "txn-energy-001"),
        ("date-time", "2026-01-01T00:00:60.123456789Z", "2026-13-01T00:00:00Z"),
        ("date", "2024-02-29", "2023-02-29"),
        ("time", "10:00:00+05:30", "2026-01-01T10:00:00Z"),
        ("duration", "PT15M", "15 minutes"),
        ("email", "a@example.com", "a example.com"),
        ("uri", "urn:a:b", "no uri at all"),
    ],
)
def test_formats_are_those_of_their_standards(name, good, bad):
    assert FORMATS[name](good)
    assert not FORMATS[name](bad)
    assert not FORMATS[name]("1" * 100_000)
    assert FORMATS[name](5)  # a format says nothing of what is no text


@pytest.mark.parametrize(("document", "advisory"), [("api.json", True), ("context.jsonld", False)])
def test_what_holds_no_contexts_says_nothing_of_those_it_lacks(tmp_path, document, advisory):
    """LD-001 blames a sender only where the protocol's contexts could be expected to lie."""
    url = "https://schema.nfh.global/Unheard/v1.0/context.jsonld"
    order = {"@context": url, "@type": "beckn:Order"}
    body = {"context": {"version": "2.0.0", "action": "init"}, "message": {"order": order}}
    trace = Trace(small_scene("order"), (message_of(json.dumps(body).encode(), "init"),))
    beside = lay(tmp_path, {document: {"openapi": "3.1.0", "paths": {}, "@context": {}}})
    for laid, expected in ((None, True), (beside, advisory)):
        outcomes = rules()["LD-001"].check(replace(trace, specification=laid))
        assert [one.advisory for one in outcomes if not one.kept] == [expected]


# Faults of the specification itself


CONTEXTS: dict[str, tuple[object, list[str]]] = {
    "SPF-08": ({"beckn": "./vocab.jsonld#"}, ["/@context/beckn"]),
    "SPF-09": ({"@type": {"@id": "x:type"}, "x": "https://x.example/"}, ["/@context/@type"]),
    "SPF-10": ({"b": "https://x.example/context.jsonld", "t": "b:t"}, ["/@context/b"]),
    "SPF-11": (["./context.jsonld"], ["/@context/0"]),
    "SPF-12": (
        {"a": {"@id": "x:a", "@context": {"@import": "../none.jsonld"}}},
        ["/@context/a/@context/@import"],
    ),
    "SPF-13": (
        {"kind": {"@id": "https://x.example/kind", "@type": "@id"}, "@vocab": "x:"},
        ["/@context/kind"],
    ),
    "SPF-14": ({"GB/T": "https://x.example/GBT"}, ["/@context/GB~1T"]),
    "SPF-21": ({"id": "@id"}, ["/@context"]),
}


@pytest.mark.parametrize("code", CONTEXTS)
def test_a_fault_of_a_context_is_named(tmp_path, code):
    context, places = CONTEXTS[code]
    schema = {"properties": {"kind": {"enum": ["AC", "DC"]}}}
    documents = {"Plug/v1/context.jsonld": {"@context": context}}
    if code in ("SPF-13", "SPF-21"):
        documents["Plug/v1/attributes.yaml"] = pack(Plug=schema)
    beside = lay(tmp_path, documents)
    assert codes(beside) == {code: [f"Plug/v1/context.jsonld#{place}" for place in places]}


def operation(schema: object, method: str = "post", **more: object) -> dict[str, object]:
    body = {"content": {"application/json": {"schema": schema} | more}}
    return {"openapi": "3.1.0", "paths": {"/confirm": {method: {"requestBody": body}}}}


STRICT = {"required": ["context"], "properties": {"context": {"required": ["action"]}}}
SCHEMAS: dict[str, tuple[object, str]] = {
    "SPF-02": (pack(A={"$ref": "#/$defs/B"}), "/components/schemas/A"),
    "SPF-03": (pack(A={"allOf": {"type": "object"}}), "/components/schemas/A/allOf"),
    "SPF-04": (
        pack(A={"additionalProperties": False, "x-jsonld": {"@type": "A"}}),
        "/components/schemas/A",
    ),
    "SPF-05": (
        pack(A={"additionalProperties": False, "required": ["x"]}),
        "/components/schemas/A/required",
    ),
    "SPF-06": (pack(A={"$ref": "attributes.yaml"}), "/components/schemas/A"),
    "SPF-07": (pack(A={"type": "string", "nullable": True}), "/components/schemas/A/nullable"),
    "SPF-15": (operation(STRICT, "get"), "/paths/~1confirm/get/requestBody"),
    "SPF-16": (
        operation({"type": "object"}),
        "/paths/~1confirm/post/requestBody/content/application~1json/schema",
    ),
    "SPF-17": (
        pack(A={"anyOf": [{"type": "string"}, {"required": []}]}),
        "/components/schemas/A/anyOf/1",
    ),
    "SPF-18": (
        pack(A={"$ref": "#/components/schemas/B", "required": ["x"]}, B={"properties": {"y": {}}}),
        "/components/schemas/A/required",
    ),
    "SPF-19": (
        operation(STRICT, examples={"a": {"value": {"context": {}}}}),
        "/paths/~1confirm/post/requestBody/content/application~1json/examples/a/value",
    ),
    "SPF-20": (
        pack(A={"properties": {"@context": {"const": "https://x.example/refs/heads/main/c"}}}),
        "/components/schemas/A/properties/@context",
    ),
}


@pytest.mark.parametrize("code", SCHEMAS)
def test_a_fault_of_a_schema_is_named(tmp_path, code):
    document, pointer = SCHEMAS[code]
    beside = lay(tmp_path, {"A/v1/attributes.yaml": document})
    assert codes(beside) == {code: [f"A/v1/attributes.yaml#{pointer}"]}


def test_every_code_has_a_fault_that_shows_it():
    assert {*CONTEXTS, *SCHEMAS, "SPF-01"} == set(CODES)


def test_a_closed_branch_refuses_what_the_others_allow(tmp_path):
    closed = {"additionalProperties": False, "properties": {"a": {}}}
    both = {"allOf": [closed, {"properties": {"b": {}}}]}
    beside = lay(tmp_path, {"A/v1/attributes.yaml": pack(A=both)})
    assert codes(beside) == {"SPF-05": ["A/v1/attributes.yaml#/components/schemas/A/allOf/0"]}


# The command


def test_the_demo_tells_of_what_is_laid_beside(gridwitness):
    ran = gridwitness("demo", "--spec", str(EXAMPLE), "-k", "clear_at_one_price", "--json")
    beside = ran.json["specification"]
    assert beside["name"] == "specification"
    assert beside["faults"] == []
    assert "api/order.yaml" in beside["read"]
    verdicts = {
        rule["id"]: {place["verdict"] for place in rule["by_seat"] if place["exercised"]}
        for rule in ran.json["rules"]
    }
    assert verdicts["SPC-001"] == verdicts["SPC-002"] == verdicts["SPC-003"] == {"passed"}
    assert "--spec" in ran.json["command"]
    told = gridwitness("report", "out")
    assert "specification specification: " in " ".join(told.out.split())


def test_a_specification_that_is_none_ends_with_status_2(gridwitness, tmp_path):
    ran = gridwitness("demo", "--spec", str(tmp_path / "nothing"))
    assert ran.status == 2
    assert "mend:" in ran.err
    assert "Traceback" not in ran.err


def test_a_folder_that_holds_a_pipe_makes_nobody_wait(gridwitness, tmp_path):
    (tmp_path / "beside").mkdir()
    os.mkfifo(tmp_path / "beside" / "a.yaml")
    ran = gridwitness("demo", "--spec", "beside", within_s=60)
    assert ran.status == 2
    assert "a.yaml is no regular file" in ran.err
