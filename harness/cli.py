"""The command: gridwitness demo, certify, audit, examples, play, diagram, selftest and others.

Belongs here: options, exit statuses, where everything is put together. Does not
belong here: anything another module could be asked to do.

Exit status: 0 conformant, 1 nonconformant or untestable, 2 a mistake of the user,
3 a fault of the harness.
"""

from __future__ import annotations

import base64
import io
import json
import os
import re
import secrets
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import traceback
from dataclasses import asdict, replace
from functools import partial
from importlib import import_module
from importlib.resources import as_file, files
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import simplejson
import typer
from rich.console import Console
from rich.table import Table

from gridwitness import __version__, example_flows, market_file, settlement_file
from gridwitness.audit import Audited, audit
from gridwitness.diagram import draw, page, sequences
from gridwitness.editions import editions
from gridwitness.errors import UserError
from gridwitness.feature_folder import (
    FEATURES,
    check_folder,
    definitions,
    feature_files,
    load_steps,
)
from gridwitness.fixtures import every_scenario, folder_of, where_played
from gridwitness.ledger import ledger
from gridwitness.mocks.catalogue import CatalogueService
from gridwitness.mocks.clearing_agent import ClearingAgent
from gridwitness.mocks.conduct import RIGHT
from gridwitness.mocks.defects import DEFECTS
from gridwitness.mocks.sandbox import Sandbox
from gridwitness.plan import Plan, write_plan
from gridwitness.profile import (
    AT_AN_ENDPOINT,
    DEFAULT_EDITIONS,
    SEATS,
    castings,
    reachable,
    read_profile,
)
from gridwitness.recordings.files import checked, located
from gridwitness.recordings.flows import Terms, known_editions
from gridwitness.report import EXIT_STATUS, rebuild
from gridwitness.rules import rules
from gridwitness.specification import read_specification
from gridwitness.steps import MODULES
from gridwitness.terminal import flow_line, print_audit, print_report, safe
from gridwitness.wire import bind

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import ModuleType

    from pytest_bdd.steps import StepFunctionContext

    from gridwitness.mocks.defects import Defect
    from gridwitness.trace import Step

USER_ERROR, HARNESS_ERROR = 2, 3
STRICTNESSES = ("strict", "deployed")
NO_TESTS, PYTEST_USAGE = 5, 4
PLUGINS = ("gridwitness.plugin", "pytest_bdd.plugin", "allure_pytest.plugin", "xdist.plugin")
PLAYED = {"clearing-agent": ClearingAgent, "catalogue": CatalogueService}
"""Who is played in a process of its own, by the seat."""

SILENCE_PATIENCE = 0.2
"""The patience with defects that are known by a silence; with all others nobody waits."""

INTERRUPTED_WAIT_S = 10
TRACE_NAME = re.compile(r"traces/[^/]+\.jsonl")
ALLURE_NAME = re.compile(r"[0-9a-f-]{36}-(result\.json|container\.json|attachment\.\w+)")
PROCESSES = ("-n", "--numprocesses", "--dist")
MOST_PROCESSES = 4
"""How many processes the demo takes unless it is told: no more than there are cores."""

WORTH_A_PROCESS = 16
"""How many scenarios are worth the start of a process."""

PASS_THROUGH = {"allow_extra_args": True, "ignore_unknown_options": True}

app = typer.Typer(
    help="Flow conformance for decentralized energy exchange on the Beckn protocol.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
Out = Annotated[Path, typer.Option("--out", help="Where the outputs are written.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print report.json instead of text.")]
Spec = Annotated[
    Path | None,
    typer.Option(help="An OpenAPI file, or a folder with the official ones, to judge by as well."),
]
Features = Annotated[
    Path | None,
    typer.Option(
        "--features", help="A folder of features, and steps.py if need be, to play instead of ours."
    ),
]
File = Annotated[str, typer.Argument(metavar="FILE|-", help="A JSON file, or - for the input.")]


@app.command(context_settings=PASS_THROUGH)
def demo(
    context: typer.Context,
    out: Out = Path("out"),
    as_json: AsJson = False,  # noqa: FBT002
    spec: Spec = None,
    features: Features = None,
) -> None:
    """Certify the reference participants in every seat and both dialects, over real HTTP.

    Further options go to pytest: -k EXPRESSION selects scenarios, -n 2 runs in two processes.
    """
    plan = Plan(
        out=str(out),
        castings=tuple(
            casting
            for seat in SEATS.values()
            for casting in castings(seat, DEFAULT_EDITIONS, "strict")
        ),
        command=shlex.join(
            ["gridwitness", "demo", *_spec_option(spec), *_features_option(features)]
        ),
        name="the reference participants",
        seed=_new_seed(),
        specification=_laid_beside(spec),
        features=_checked_features(features),
    )
    plan = where_played(plan)
    chosen = any(arg.startswith(PROCESSES) for arg in context.args)
    most = min(os.cpu_count() or 1, MOST_PROCESSES, len(every_scenario(plan)) // WORTH_A_PROCESS)
    parallel = [] if chosen or most < 2 else ["-n", str(most)]  # noqa: PLR2004 (one is none)
    raise typer.Exit(_run_and_tell(plan, out, [*parallel, *context.args], as_json=as_json))


@app.command(context_settings=PASS_THROUGH)
def certify(  # noqa: PLR0913 (each is an option)
    context: typer.Context,
    profile: Annotated[Path, typer.Argument(help="The participant's profile (TOML).")],
    out: Out = Path("out"),
    as_json: AsJson = False,  # noqa: FBT002
    callback_host: Annotated[
        str | None, typer.Option(help="The host under which the participant reaches us.")
    ] = None,
    spec: Spec = None,
    features: Features = None,
) -> None:
    """Certify a participant at its own endpoint, as its profile says.

    Further options go to pytest: -k EXPRESSION selects scenarios, -x stops at the first failure.
    """
    who = read_profile(profile)
    if any(arg.startswith(PROCESSES) for arg in context.args):
        raise UserError(
            "one participant is certified by one process at a time",
            where=" ".join(context.args),
            mend="drop the option; the demo may run in parallel",
        )
    checked_features = _checked_features(features)
    host = callback_host or who.callback_host
    bind(host, who.port).close()
    plan = Plan(
        out=str(out),
        castings=who.castings,
        command=shlex.join(
            ["gridwitness", "certify", str(profile)]
            + (["--callback-host", callback_host] if callback_host else [])
            + _spec_option(spec)
            + _features_option(features)
        ),
        name=who.name,
        participant=who.participant,
        port=who.port,
        callback_host=host,
        seed=_new_seed(),
        key=who.key,
        absent=dict(who.absent),
        price_tick=who.price_tick,
        power_step=who.power_step,
        specification=_laid_beside(spec),
        features=checked_features,
    )
    _all_played(plan, profile)
    reachable(who)
    raise typer.Exit(_run_and_tell(plan, out, context.args, as_json=as_json))


@app.command("audit")
def audit_recordings(  # noqa: PLR0913 (each is an option)
    paths: Annotated[list[Path], typer.Argument(help="Traces, folders, JSON Lines or HAR files.")],
    out: Out = Path("audit"),
    edition: Annotated[
        list[str] | None, typer.Option(help="An edition to judge its dialect by.")
    ] = None,
    strictness: Annotated[str, typer.Option(help="strict or deployed.")] = "strict",
    as_json: AsJson = False,  # noqa: FBT002
    spec: Spec = None,
) -> None:
    """Judge recorded traffic by the same rules: a verdict a flow and a message.

    A trace of ours is judged by the edition and for the participant it was recorded with.
    An audit certifies nothing by silence: it tells what it found in what was recorded.
    """
    chosen = edition or []
    _known_editions(chosen)
    if strictness not in STRICTNESSES:
        raise UserError(
            f"{strictness!r} is unknown", where="--strictness", mend="strict or deployed"
        )
    options = [word for name in chosen for word in ("--edition", name)]
    options += ["--strictness", strictness, *_spec_option(spec)]
    into = located(out, f"--out {out}")
    for path in paths:
        if located(path, str(path)).is_relative_to(into):
            raise UserError(
                "would be overwritten", where=f"--out {out}", mend="name another folder"
            )
    terms = Terms(known_editions(chosen), strictness, _laid_beside(spec), tuple(options))
    checked(paths)
    _earlier(out)

    def tell(one: Audited) -> None:
        told = flow_line(one.verdict, one.messages, one.title), *map(safe, one.lines)
        typer.echo("\n    ".join(told), err=as_json)

    # What an earlier audit found is only given up for what this one found.
    found = audit(paths, terms, out, tell=tell, clear=partial(_clear, out))
    if as_json:
        with (out / "report.json").open(encoding="utf-8") as file:
            shutil.copyfileobj(file, sys.stdout)
    else:
        print_audit(found, str(out))
    raise typer.Exit(EXIT_STATUS[found["verdict"]])


@app.command()
def play(  # noqa: PLR0913 (each is an option)
    seat: Annotated[str, typer.Argument(help="The seat to play: clearing-agent or catalogue.")],
    registry: Annotated[str, typer.Option(help="The registry that knows the other parties.")],
    port: Annotated[int, typer.Option(help="0 lets the system choose.")] = 0,
    callback_host: Annotated[str, typer.Option(help="The host under which others reach us.")] = (
        "127.0.0.1"
    ),
    edition: Annotated[
        list[str] | None, typer.Option(help="An edition to speak; one a dialect.")
    ] = None,
    strictness: Annotated[str, typer.Option(help="strict or deployed.")] = "strict",
    defect: Annotated[str | None, typer.Option(help="Misbehave in this way.")] = None,
) -> None:
    """Play a reference actor in a process of its own, until it is interrupted."""
    if seat not in AT_AN_ENDPOINT:
        raise UserError(
            f"there is no seat {seat!r} to play from outside",
            where="play",
            mend=f"one of: {', '.join(AT_AN_ENDPOINT)}",
        )
    chosen = tuple(edition or DEFAULT_EDITIONS)
    _known_editions(chosen)
    if defect is not None and defect not in DEFECTS:
        raise UserError(
            f"there is no defect {defect!r}", where="--defect", mend="see: gridwitness selftest"
        )
    speaks = [(name, strictness) for name in chosen]
    sandbox = Sandbox(
        secrets.token_bytes(32),
        port=port,
        callback_host=callback_host,
        speaks=speaks,
        registry_url=registry.rstrip("/"),
    )
    stop = threading.Event()

    def interrupted(_number: int, _frame: object) -> None:
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, interrupted)
    with sandbox:
        signer = sandbox.signer(SEATS[seat])
        conduct = DEFECTS[defect].conduct if defect else RIGHT
        actor = PLAYED[seat](sandbox.setting, SEATS[seat], signer, conduct)
        actor.join()
        lines = {
            "seat": seat,
            "id": actor.id,
            "endpoint": actor.uri,
            "key id": signer.key_id,
            "public key": signer.public_key,
            "registry": sandbox.registry_url,
        }
        for name, value in lines.items():
            print(f"{name:<11} {value}", flush=True)  # noqa: T201 (what the user asked for)
        stop.wait()
        sandbox.wire.call(actor.leave)


def _known_editions(chosen: Sequence[str]) -> None:
    for name in chosen:
        if name not in editions():
            known = ", ".join(editions())
            raise UserError(f"{name!r} is unknown", where="--edition", mend=f"one of: {known}")


@app.command("rules")
def show_rules(
    rule_id: Annotated[str | None, typer.Argument(help="One rule, in full.")] = None,
    of_ledger: Annotated[  # noqa: FBT002
        bool, typer.Option("--ledger", help="Tell every published requirement and who judges it.")
    ] = False,
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """List the rules, or tell all about one; or what became of every published requirement."""
    if of_ledger:
        _tell_ledger(as_json=as_json)
        return
    known = rules()
    if rule_id is not None and rule_id not in known:
        raise UserError(
            f"there is no rule {rule_id!r}", where="rules", mend="see: gridwitness rules"
        )
    chosen = [known[rule_id]] if rule_id else list(known.values())
    records: list[dict[str, Any]] = [
        {
            "id": rule.id,
            "level": rule.level,
            "sentence": rule.sentence,
            "source": rule.source,
            "judges": list(rule.judges),
            "editions": [e.id for e in editions().values() if rule.id in e.rules],
            "defects": [d.name for d in DEFECTS.values() if d.breaks == rule.id],
        }
        for rule in chosen
    ]
    console = Console(highlight=False)
    if as_json:
        typer.echo(json.dumps(records, indent=1))
    elif rule_id:
        for name, value in records[0].items():
            text = value if isinstance(value, str) else ", ".join(value)
            console.print(f"{name:<9} {text}", soft_wrap=True, markup=False)
        for name in records[0]["defects"]:
            console.print(f"{'':<9} {name}: {DEFECTS[name].says}", soft_wrap=True, markup=False)
    else:
        table = Table("rule", "level", "sentence", box=None, pad_edge=False)
        for record in records:
            table.add_row(record["id"], record["level"], record["sentence"])
        console.print(table)


def _tell_ledger(*, as_json: bool) -> None:
    book, counts = ledger(), ledger().coverage()
    rows = [asdict(row) | {"state": row.state} for row in book.rows]
    if as_json:
        contradictions = [asdict(one) for one in book.contradictions]
        found = {"coverage": counts, "rows": rows, "contradictions": contradictions}
        typer.echo(json.dumps(found, indent=1))
        return
    console = Console(highlight=False)
    table = Table("id", "asks", "judged by, or why not", box=None, pad_edge=False)
    for row in book.rows:
        judged = [", ".join(row.rules)] if row.rules else []
        table.add_row(row.id, row.asks, "; ".join([*judged, *([row.reason] if row.reason else [])]))
    console.print(table, markup=False)
    table = Table("id", "contradiction", "one", "other", "held", box=None, pad_edge=False)
    for one in book.contradictions:
        table.add_row(one.id, one.about, one.one, one.other, one.held)
    console.print()
    console.print(table, markup=False)
    told = ", ".join(f"{state} {number}" for state, number in counts.items())
    typer.echo(
        f"\n{len(book.rows)} requirements: {told}; {len(book.contradictions)} contradictions"
    )


@app.command()
def steps(features: Features = None) -> None:
    """List the sentences that features are written in, with those of a folder of your own."""
    table = Table("step", "sentence", "defined in", box=None, pad_edge=False)
    own = load_steps(features) if features else None
    for kind, sentence, where in vocabulary(own):
        table.add_row(kind, sentence, where)
    Console(highlight=False).print(table, markup=False)


def vocabulary(own: ModuleType | None = None) -> list[tuple[str, str, str]]:
    """Give every sentence: its kind, its text, and the module that defines it.

    own is the module of a folder's own sentences.
    """
    modules = (*MODULES, *([own.__name__] if own else []))
    found = [
        (definition.type or "", definition.parser.name, definition.step_func.__module__)
        for definition in _sentences(modules)
    ]
    kinds = ("given", "when", "then", "")
    return sorted(found, key=lambda step: (kinds.index(step[0]), modules.index(step[2]), step[1]))


def _sentences(modules: Sequence[str]) -> list[StepFunctionContext]:
    for name in MODULES:
        import_module(name)
    return definitions(modules)


@app.command()
def diagram(
    features: Annotated[list[str], typer.Argument(help="Features, or folders of them.")],
    write: Annotated[  # noqa: FBT002
        bool, typer.Option("--write", help="Redraw what the README.md of each folder holds.")
    ] = False,
) -> None:
    """Draw the message sequence of features as Mermaid, or redraw it where it is kept."""
    drawn: dict[Path, dict[tuple[Step, ...], str]] = {}
    for name in features:
        found = {file: sequences(file) for file in _features_at(name)}
        if not any(found.values()):
            raise UserError(
                "states no message sequence",
                where=name,
                mend="write 'Given the message sequence' and its table",
            )
        drawn |= found
    if write:
        for folder in sorted({file.parent for file, found in drawn.items() if found}):
            (folder / "README.md").write_text(page(folder), "utf-8")
        return
    for file, found in drawn.items():
        for sequence, title in found.items():
            typer.echo(draw(sequence, title or (file.name if len(drawn) > 1 else "")))


def _features_at(name: str) -> list[Path]:
    """Find a feature, or the features of a folder, where it says or below our own."""
    for path in (Path(name), FEATURES / name):
        if path.is_dir() and (files := feature_files(path)):
            return files
        if path.is_file():
            return [path]
    raise UserError(
        "is no feature and no folder that holds any", where=name, mend="see: features/README.md"
    )


@app.command()
def selftest(
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Break the reference actors in every known way, and prove that it is noticed."""
    tried = tuple(
        replace(casting, defect=name, patience=SILENCE_PATIENCE if defect.is_silent else 1.0)
        for name, defect in DEFECTS.items()
        for casting in castings(seat_to_try(defect), DEFAULT_EDITIONS, "strict")
    )
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        plan = Plan(
            out=str(out),
            castings=tried,
            command="gridwitness selftest",
            name="every defect",
            seed=_new_seed(),
        )
        # Twice as many processes as cores: half of the time is spent waiting for silence.
        workers = str(2 * (os.cpu_count() or 1))
        status = _run(plan, out, ["-n", workers], quiet=True)
        if not (out / "report.json").is_file():
            raise typer.Exit(_failed(status))
        report: dict[str, Any] = json.loads((out / "report.json").read_text("utf-8"))
    matrix = bite_matrix(report)
    good = all(row["caught"] and not row["unrelated"] for row in matrix)
    if as_json:
        typer.echo(json.dumps(matrix, indent=1))
    else:
        table = Table("defect", "breaks", "caught", "also", "unrelated", box=None, pad_edge=False)
        for row in matrix:
            caught = "yes" if row["caught"] else "NO"
            also, unrelated = ", ".join(row["also"]), ", ".join(row["unrelated"])
            table.add_row(row["defect"], row["breaks"], caught, also, unrelated)
        Console(highlight=False).print(table)
        number = sum(1 for row in matrix if row["caught"] and not row["unrelated"])
        typer.echo(f"\n{number} of {len(matrix)} defects are caught by their rule and by no other")
    raise typer.Exit(0 if good else HARNESS_ERROR)


@app.command()
def examples(
    out: Annotated[
        Path | None, typer.Option("--out", help="The folder of the examples; the source tree's.")
    ] = None,
    check: Annotated[  # noqa: FBT002
        bool, typer.Option("--check", help="Compare only: tell which files are not as made.")
    ] = False,
) -> None:
    """Write the examples: one complete flow of every feature that states a sequence.

    They are what the reference actors say, the same to the byte in every run.
    """
    folder = out or _examples_of_the_source_tree()
    found = _played_examples()
    if check:
        told = example_flows.differences(found, folder)
        typer.echo("\n".join(told or [f"{len(found.files)} messages are as they are made"]))
        raise typer.Exit(1 if told else 0)
    example_flows.write(found, folder)
    typer.echo(f"{len(found.files)} messages in {folder}")


def _examples_of_the_source_tree() -> Path:
    room = import_module("gridwitness.examples").__file__ or ""
    folder = Path(room).resolve().parent
    if not (folder.parent / "pyproject.toml").is_file():
        raise UserError("is in no source tree", where=str(folder), mend="name the folder by --out")
    return folder


def _played_examples() -> example_flows.Flows:
    with tempfile.TemporaryDirectory() as temporary:
        out = Path(temporary)
        plan = Plan(
            out=str(out),
            castings=tuple(
                casting
                for seat in SEATS.values()
                for casting in castings(seat, DEFAULT_EDITIONS, "strict")
            ),
            command="gridwitness examples",
            name="the examples",
            seed=base64.b64encode(b"the keys of the examples").decode(),
            example=True,
        )
        status = _run(plan, out, [], quiet=True)
        if not (out / "report.json").is_file():
            raise typer.Exit(_failed(status))
        report: dict[str, Any] = json.loads((out / "report.json").read_text("utf-8"))
        found = example_flows.flows_of(report, out)
    failed = [*report["broken"], *found.failed]
    if failed or not found.files:
        typer.echo("\n".join(failed) or "no flow was played", err=True)
        raise typer.Exit(HARNESS_ERROR)
    return found


def seat_to_try(defect: Defect) -> str:
    """Give the seat in which a defect is tried: what it says, its role's, or the agent's."""
    seat = defect.seat or defect.role
    return seat if seat in SEATS.values() else SEATS["clearing-agent"]


def bite_matrix(report: dict[str, Any]) -> list[dict[str, Any]]:
    """Tell for each defect which MUST rules fired: its own, related ones, and any other."""
    fired: dict[str, set[str]] = {}
    for finding in report["findings"]:
        name = finding["rule"]
        if finding["verdict"] == "harness_error":
            name += f" at {finding['actor']}"
        fired.setdefault(finding["defect"], set()).add(name)
    return [
        {
            "defect": defect.name,
            "breaks": defect.breaks,
            "caught": defect.breaks in fired.get(defect.name, ()),
            "also": sorted(fired.get(defect.name, set()) & set(defect.also)),
            "unrelated": sorted(fired.get(defect.name, set()) - {defect.breaks, *defect.also}),
        }
        for defect in DEFECTS.values()
    ]


@app.command()
def report(
    out: Annotated[Path, typer.Argument(help="The folder that a run wrote.")],
    as_json: AsJson = False,  # noqa: FBT002
) -> None:
    """Rebuild what a run derived from report.json and the traces, and tell it again."""
    found = rebuild(out)
    _tell(found, out, as_json=as_json)
    raise typer.Exit(EXIT_STATUS[found["verdict"]])


@app.command("clear")
def clear_market(file: File) -> None:
    """Clear the market of a file: its prices, and everyone's power, as JSON."""
    _answer(market_file.clear(market_file.read_market(_bytes_of(file), file)))


@app.command()
def check_clearing(file: File) -> None:
    """Judge the result that a market file claims: the conditions it violates, as JSON."""
    _answer(market_file.check(market_file.read_market(_bytes_of(file), file)))


@app.command("settle")
def settle_market(file: File) -> None:
    """Settle what a file holds: every payment, and what is left to whom, as JSON."""
    inputs = settlement_file.read_settlement(_bytes_of(file), file)
    _answer(settlement_file.settlement_answer(inputs))


@app.command()
def check_settlement(file: File) -> None:
    """Judge the payments that a file claims: the conditions they violate, as JSON."""
    claim = settlement_file.read_claim(_bytes_of(file), file)
    _answer(settlement_file.violations_answer(claim))


def _bytes_of(file: str) -> bytes:
    try:
        if file != "-":
            return Path(file).read_bytes()
        return typer.get_binary_stream("stdin").read()
    except (OSError, AttributeError, RuntimeError) as error:  # no input is a mistake, too
        raise UserError(f"cannot be read: {error}", where=file, mend="name a file, or -") from error


def _answer(found: dict[str, Any]) -> None:
    """Print an answer; the exit status tells whether the input was valid and the claim right."""
    text = simplejson.dumps(found, use_decimal=True, ensure_ascii=False, indent=2)
    typer.echo(text.encode("utf-8"))
    if found.get("status") == "INVALID":
        raise typer.Exit(USER_ERROR)
    raise typer.Exit(1 if found.get("violations") else 0)


@app.command()
def version() -> None:
    """Tell the version."""
    typer.echo(f"gridwitness {__version__}")


def _laid_beside(spec: Path | None) -> str | None:
    """Make sure that a specification can be read before anything is played; gives its path."""
    if spec is None:
        return None
    read_specification(spec)
    return str(spec.resolve())


def _spec_option(spec: Path | None) -> list[str]:
    return ["--spec", str(spec)] if spec else []


def _checked_features(folder: Path | None) -> str | None:
    """Make sure that features of others can be played before anything is; gives their path."""
    if folder is None:
        return None
    own = load_steps(folder)
    modules = (*MODULES, *([own.__name__] if own else []))
    check_folder(folder, _sentences(modules), SEATS)
    return str(folder.resolve())


def _all_played(plan: Plan, profile: Path) -> None:
    """Make sure that features have a place for the seat in every edition that is claimed."""
    played = where_played(plan).castings
    for casting in plan.castings:
        if casting not in played:
            raise UserError(
                f"no feature of {folder_of(plan)} has a scenario for the seat of the"
                f" {casting.seat} in the {casting.dialect} dialect",
                where=f"{profile}: certify.editions",
                mend=f"leave {casting.edition} out, or tag a scenario for it",
            )


def _features_option(features: Path | None) -> list[str]:
    return ["--features", str(features)] if features else []


def _new_seed() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _run_and_tell(plan: Plan, out: Path, extra: Sequence[str], *, as_json: bool) -> int:
    status = _run(plan, out, extra, quiet=as_json)
    if status == NO_TESTS:
        raise UserError("no scenario is selected", where=" ".join(extra), mend="drop or correct -k")
    if status not in (0, 1) or not (out / "report.json").is_file():
        return _failed(status)
    found: dict[str, Any] = json.loads((out / "report.json").read_text("utf-8"))
    _tell(found, out, as_json=as_json)
    ended = EXIT_STATUS[found["verdict"]]
    return HARNESS_ERROR if status and not ended else ended


def _failed(status: int) -> int:
    """Give the exit status of a run that left no report; pytest has said why."""
    return USER_ERROR if status == PYTEST_USAGE else HARNESS_ERROR


def _tell(found: dict[str, Any], out: Path, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(found, indent=1, ensure_ascii=False))
    elif "audit" in found:
        print_audit(found, str(out))
    else:
        print_report(found, str(out))


def _run(plan: Plan, out: Path, extra: Sequence[str], *, quiet: bool) -> int:
    """Run pytest on the features in a child process, with the shipped settings only."""
    _clear(out)
    with (
        tempfile.TemporaryDirectory() as folder,
        as_file(files("gridwitness") / "pytest.ini") as settings,
    ):
        features = folder_of(plan)
        plan_file = Path(folder) / "plan.json"
        write_plan(replace(plan, out=str(out.resolve())), plan_file)
        command = [sys.executable, "-m", "pytest", "-c", str(settings), "--rootdir", str(features)]
        command.append("--noconftest")  # nor what others keep beside their features
        for plugin in PLUGINS:
            command += ["-p", plugin]
        command += [
            "--gridwitness-plan",
            str(plan_file),
            "--alluredir",
            str(out / "allure-results"),
        ]
        environment = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
            environment.pop(name, None)
        process = subprocess.Popen(  # noqa: S603 (our own interpreter, no shell)
            [*command, *map(str, feature_files(features)), *extra],
            env=environment,
            stdout=sys.stderr if quiet else None,
        )
        try:
            return process.wait()
        except KeyboardInterrupt:
            process.wait(INTERRUPTED_WAIT_S)  # it was interrupted too, and keeps what it has
            raise


def _earlier(out: Path) -> dict[str, Any] | None:
    """Give the report an earlier run left in the folder, which is made if it is not there."""
    try:
        out.mkdir(parents=True, exist_ok=True)
        report_file = out / "report.json"
        if not report_file.exists():
            return None
        # Nothing but a file is opened: a pipe would be waited for.
        text = report_file.read_text("utf-8") if report_file.is_file() else "{}"
        old: dict[str, Any] = json.loads(text)
        _ = list(old["traces"])
    except OSError as error:
        raise UserError(
            f"cannot be written to ({error.strerror})", where=f"--out {out}", mend="name another"
        ) from error
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise UserError(
            "holds a report.json that is none of ours", where=f"--out {out}", mend="name another"
        ) from error
    return old


def _clear(out: Path) -> None:
    """Remove what an earlier run left in the folder, by its own report; nothing else."""
    old = _earlier(out)
    if old is None:
        return
    try:
        for name in old["traces"]:
            if TRACE_NAME.fullmatch(name):
                (out / name).unlink(missing_ok=True)
        for file in (out / "allure-results").glob("*-*"):
            if ALLURE_NAME.fullmatch(file.name):
                file.unlink()
        (out / "junit.xml").unlink(missing_ok=True)
        (out / "report.json").unlink()
    except OSError as error:
        raise UserError(
            f"cannot be written to ({error.strerror})", where=f"--out {out}", mend="name another"
        ) from error
    except TypeError as error:
        raise UserError(
            "holds a report.json that is none of ours", where=f"--out {out}", mend="name another"
        ) from error


def main() -> None:
    """Run the command; a user's mistake becomes one message and exit status 2.

    What the encoding of the output has no character for is shown as a question mark.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")
    try:
        app()
    except UserError as error:
        print(error, file=sys.stderr)  # noqa: T201 (the message is the output)
        sys.exit(USER_ERROR)
    except Exception:  # noqa: BLE001 (a fault of ours must not look like the participant's)
        traceback.print_exc()
        sys.exit(HARNESS_ERROR)
