"""The tasks: `nox` runs the default ones, `nox -s NAME` one; CI runs them all."""

from __future__ import annotations

from pathlib import Path

import nox

nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["style", "typing", "tests"]
ROOT = Path(__file__).parent


@nox.session
def tests(session: nox.Session) -> None:
    """Run the tests in parallel, in random order."""
    session.install("-e", ".[test]")
    session.run("pytest", "-n", "auto", *session.posargs)


@nox.session
def coverage(session: nox.Session) -> None:
    """Demand that the tests of the reference take every branch of it."""
    session.install("-e", ".[test]")
    modules = sorted((ROOT / "reference_impl").glob("[a-z]*.py"))
    tests = {str(test) for one in modules for test in (ROOT / "tests").glob(f"test_{one.stem}*.py")}
    session.run(
        *("pytest", "-n", "auto", "-p", "no:randomly", "--hypothesis-seed=0"),
        *("--cov=gridwitness.reference_impl", "--cov-fail-under=100"),
        *("--cov-report=term-missing:skip-covered", *sorted(tests), *session.posargs),
    )


@nox.session
def benchmarks(session: nox.Session) -> None:
    """Measure the reference, as ratios in one run; GRIDWITNESS_BENCH_FULL=1 adds ten million."""
    session.install("-e", ".[test]")
    session.run("pytest", "tests/benchmarks", "-p", "no:randomly", "-s", *session.posargs)


@nox.session
def style(session: nox.Session) -> None:
    """Check format and lint."""
    session.install("ruff>=0.15")
    session.run("ruff", "format", "--check", ".")
    session.run("ruff", "check", ".")


@nox.session
def typing(session: nox.Session) -> None:
    """Check the types of the code rooms, strictly."""
    # Only a strict editable install can be followed by a type checker.
    session.install("-e", ".", "pyright[nodejs]", "--config-settings", "editable_mode=strict")
    session.run("pyright", "--pythonpath", str(Path(session.virtualenv.bin) / "python"))


@nox.session
def wheel(session: nox.Session) -> None:
    """Build the wheel from the source archive, and run the demo from it in a fresh environment."""
    session.install("build")
    dist = Path(session.create_tmp()) / "dist"
    session.run("python", "-m", "build", "--outdir", str(dist), str(ROOT))
    session.install("--force-reinstall", str(max(dist.glob("*.whl"))))
    with session.chdir(session.create_tmp()):
        session.run("gridwitness", "demo")
        session.run("gridwitness", "report", "out", "--json", silent=True)


@nox.session
def selfcheck(session: nox.Session) -> None:
    """Run our own command on the reference participant, and on every defect of it."""
    session.install("-e", ".")
    with session.chdir(session.create_tmp()):
        session.run("gridwitness", "demo")
        session.run("gridwitness", "selftest")
