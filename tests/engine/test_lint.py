"""Our reading of Dockerfiles against BuildKit's own, and its checks and ours in one bake call."""

from __future__ import annotations

import contextlib
import io
import json
import os
import random
import re
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

import pytest
from invoke import Config, Context

from buildx_tasks import platforms
from buildx_tasks.builders import choice
from buildx_tasks.building import lint
from buildx_tasks.dockerfiles import findings, stages
from buildx_tasks.errors import BuildxTasksError
from buildx_tasks.language import loading
from buildx_tasks.planning.selection import make_plan
from buildx_tasks.workspace import Workspace

from .conftest import ROOT, cannot_run, docker, free_port, running, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterable

    from buildx_tasks.platforms import Platform

HOST = platforms.host_platform()
FOREIGN = platforms.parse("linux/arm64" if HOST.architecture == "amd64" else "linux/amd64")


def native(platform: Platform) -> bool:
    return platforms.runs_natively(platform, HOST)


CORPUS = {
    "plain": "FROM alpine:3.22\n",
    "named": "FROM alpine:3.22 AS Base\nFROM base\nfrom base as x\n",
    "platforms": "FROM --platform=$BUILDPLATFORM alpine:3.22 AS a\nFROM --platform=linux/arm64 a AS b\n",
    "arguments": 'ARG V=3.22 B="alpine"\nFROM ${B}:${V:-1} AS a\nARG V\nFROM $B:${V%.*} AS b\n',
    "directives": "# check=skip=all\n# Escape = `\nFROM a `\n  AS b\nRUN x \\\nFROM c\n",
    "no directive": "# words\n# escape=`\nFROM a\nRUN x `\nUSER y\nFROM b\n",
    "continuation": "FROM \\\n  # why\n\n  alpine:3.22 \\\n  AS a\n"
    "RUN x && \\\n# FROM b\n  y \\\n\n\nFROM c AS d\n",
    "continued to the end": "FROM a\nFROM b \\\n",
    "two backslashes": "FROM a\nWORKDIR C:\\\\\nFROM b\n",
    "backslash and space": "FROM a\nRUN x \\ \t\nFROM b\nFROM c\n",
    "keyword alone": "FROM\\\n alpine:3.22 AS a\n",
    "white space": "\n\n \t FROM   alpine:3.22\tAS \t a  \n\n\tRUN x\n",
    "byte order mark": "\ufeffFROM a\r\nRUN x \\\r\n  y\r\nFROM b AS c\r\n",
    "comments": "# FROM x\nFROM a\n  # FROM y\n#FROM z\nFROM b\n",
    "heredoc": "FROM a\nRUN <<EOF\nFROM x\nEOF\nFROM b\n",
    "heredoc dash": "FROM a\nRUN <<-EOF\n\tFROM x\n\t\tEOF\nFROM b\n",
    "heredoc quoted": "FROM a\nCOPY <<'E O F' <<\"B\" /x/\nFROM x\nE O F\nFROM y\nB\nFROM b\n",
    "heredoc spaced": "FROM a\nRUN << EOF\nFROM x\nEOF\nFROM b\n",
    "heredoc in a continuation": "FROM a\nRUN x && \\\n# <<NO\n  cat <<EOF \\\n > y\n"
    "FROM x \\\nEOF\nFROM b\n",
    "heredoc with a number": "FROM a\nRUN cat 3<<EOF\nFROM x\nEOF\nFROM b\n",
    "heredoc with its sign": "FROM a\nRUN cat <<EOF; x\nFROM x\nEOF;\nFROM b\n",
    "heredoc in ONBUILD": "FROM a\nONBUILD RUN <<EOF\nFROM x\nEOF\nFROM b\n",
    "heredoc with flags": "FROM a\nRUN --mount=target=/x <<EOF\n#FROM x\nFROM y\nEOF\nFROM b\n",
    "heredoc with a variable": "FROM a\nRUN <<$EOF\nFROM x\n$EOF\nFROM b\n",
    "heredoc and CRLF": "FROM a\r\nRUN <<EOF\r\nFROM x\r\nEOF\r\nFROM b\r\n",
    "heredoc that is empty": "FROM a\nRUN <<EOF\nEOF\nFROM b\n",
    "no heredoc: json": 'FROM a\nRUN ["cat", "<<EOF"]\nFROM b\n',
    "no heredoc: quoted": "FROM a\nRUN echo \"<<EOF\" '<<EOF' x<<EOF\nFROM b\n",
    "no heredoc: here-string": "FROM a\nRUN cat <<<EOF\nFROM b\n",
    "no heredoc: other instruction": "FROM a\nENV X=<<EOF\nLABEL y=<<EOF\nFROM b\n",
    "no heredoc: inside a quote": "FROM a\nRUN x='a <<EOF' y\nFROM b\n",
}

# These would change what stands before or behind them.
WHOLE = {"directives", "no directive", "continued to the end", "byte order mark"}

Stages = list[tuple[str, str, str, int]]  # name, base, platform, line


def theirs(folder: Path, texts: Iterable[str]) -> list[Stages]:
    """Return the stages that BuildKit's own ``targets`` call lists for each text, from one bake call."""
    targets = {}
    for number, text in enumerate(texts):
        (folder / f"D{number}").write_bytes(text.encode())
        targets[f"t{number}"] = {"dockerfile": f"D{number}", "call": "targets"}
    bake(folder, targets)
    facts = json.loads((folder / "facts.json").read_text())
    return [
        [
            (
                one.get("name", ""),
                one["base"],
                one.get("platform", ""),
                one["location"]["ranges"][0]["start"]["line"],
            )
            for one in facts[name]["result.json"]["targets"]
        ]
        for name in targets
    ]


def ours(text: str) -> Stages:
    return [(s.name, s.base, s.platform, s.line) for s in stages.parse(text).stages]


def bake(folder: Path, targets: dict[str, Any]) -> None:
    names = list(targets)
    (folder / "bake.json").write_text(json.dumps({"target": targets}))
    subprocess.run(
        [
            "docker",
            "buildx",
            "bake",
            "--file",
            "bake.json",
            "--metadata-file",
            "facts.json",
            *names,
        ],
        cwd=folder,
        check=True,
        capture_output=True,
    )


@pytest.fixture(scope="module")
def listed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Stages]:
    return dict(zip(CORPUS, theirs(tmp_path_factory.mktemp("corpus"), CORPUS.values())))


@pytest.mark.parametrize("name", CORPUS)
def test_stages_are_the_ones_that_buildkit_sees(name: str, listed: dict[str, Stages]) -> None:
    assert ours(CORPUS[name]) == listed[name]


def test_stages_of_any_mixture_are_the_ones_that_buildkit_sees(tmp_path: Path) -> None:
    chance = random.Random(0)  # noqa: S311 - no secret
    pieces = [text for name, text in CORPUS.items() if name not in WHOLE]
    texts = ["".join(chance.sample(pieces, chance.randint(2, 6))) for _ in range(40)]
    assert list(map(ours, texts)) == theirs(tmp_path, texts)


def test_a_syntax_line_changes_no_stage() -> None:
    # BuildKit would fetch the frontend that it names.
    text = CORPUS["directives"]
    assert [s[:3] for s in ours(f"# syntax=docker/dockerfile:1\n{text}")] == [
        s[:3] for s in ours(text)
    ]


# Every RUN says its line and the machine it runs on.
RUNS = """\
ARG WHERE=$BUILDPLATFORM
ARG PICK=${TARGETARCH}
FROM alpine:3.22 AS unused
RUN echo "ran 4 $(uname -m)"
FROM --platform=$WHERE alpine:3.22 AS pinned
RUN echo "ran 6 $(uname -m)" > /pinned
ONBUILD RUN echo "ran 7 $(uname -m)" > /onbuild
FROM pinned AS child
RUN echo "ran 9 $(uname -m)" > /child
FROM alpine:3.22 AS plain
RUN echo "ran 11 $(uname -m)" > /plain
FROM --platform=$BUILDPLATFORM plain AS ignored
RUN echo "ran 13 $(uname -m)" > /ignored
FROM alpine:3.22 AS replaced
RUN echo "ran 15 $(uname -m)"
FROM alpine:3.22 AS pick-amd64
RUN <<EOF
echo "ran 17 $(uname -m)" > /pick
EOF
FROM alpine:3.22 AS pick-arm64
RUN \\
  # a comment

  echo "ran 21 $(uname -m)" > /pick
FROM pick-${PICK} AS picked
FROM alpine:3.22
COPY --from=picked /pick /
COPY --from=1 /pinned /
COPY --from=CHILD /child /onbuild /
COPY --from=replaced / /replaced
RUN --mount=type=bind,from=ignored,target=/m cp /m/ignored / && echo "ran 31 $(uname -m)" > /last
RUN cat /pinned /onbuild /child /m/plain /ignored /pick /last 2>&1 || true; echo "ran 32 $(uname -m)"
"""


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64"])
@pytest.mark.parametrize("args", [{}, {"WHERE": str(FOREIGN), "PICK": "amd64"}], ids=["", "args"])
def test_what_is_said_to_be_emulated_really_runs_emulated(
    platform: str, args: dict[str, str], tmp_path: Path
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "Dockerfile").write_text(RUNS.replace('" > /', '" | tee /'))
    argv = [
        "docker",
        "buildx",
        "build",
        "--no-cache",
        "--progress=plain",
        "--output=type=cacheonly",
    ]
    for key, value in args.items():
        argv += ["--build-arg", f"{key}={value}"]
    argv += ["--platform", platform, "--build-context", "replaced=empty", "."]
    done = subprocess.run(argv, cwd=tmp_path, check=True, capture_output=True, text=True)
    ran = set(re.findall(r"^#\d+ [\d.]+ ran (\d+) (\w+)$", done.stderr, re.MULTILINE))
    really = {int(line) for line, machine in ran if platforms.parse(machine) != HOST}
    said = stages.emulated_runs(
        RUNS, platforms.parse(platform), native, args, contexts={"replaced"}
    )
    assert {run.line for _, run in said} == really
    assert {"6", "7", "9", "11", "13", "31", "32"} <= {line for line, _ in ran}
    assert {"4", "15"}.isdisjoint(line for line, _ in ran)


class Ended(NamedTuple):
    """How a lint ended: its findings, or what it said instead."""

    summary: dict[str, Any]
    places: list[tuple[str, str, str]]  # code, cell and place of each finding
    refused: str
    out: str


def start(folder: Path, *targets: str, wanted: tuple[str, ...] = (), dry: bool = False) -> Ended:
    """Do what the task does, in the folder."""
    here = Path.cwd()
    printed = io.StringIO()
    os.chdir(folder)
    try:
        path = folder / "buildx.toml"
        context = Context(Config(overrides={"run": {"dry": dry}}))
        workspace = Workspace(path, loading.load(path), context)
        plan = make_plan(workspace.config, targets, wanted)
        with contextlib.closing(workspace), contextlib.redirect_stdout(printed):
            found = lint.lint(workspace, plan, choice.meant(workspace), native)
    except BuildxTasksError as error:
        return Ended({}, [], f"{type(error).__name__}: {error}", printed.getvalue())
    finally:
        os.chdir(here)
    if dry:
        return Ended({}, [], "", printed.getvalue())
    places = [
        (
            one.code,
            f"{one.target}@{one.platform}" if one.platform else one.target,
            (f"{one.file}:{one.line}" if one.line else one.file)
            + (f" ({one.stage})" if one.stage else ""),
        )
        for one in found
    ]
    return Ended(findings.summary(found), places, "", printed.getvalue())


def run_lint(folder: Path, *targets: str, wanted: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """Return the findings of a lint that ends well."""
    done = start(folder, *targets, wanted=wanted)
    assert done.refused == ""
    found: list[dict[str, Any]] = done.summary["findings"]
    return found


def said(folder: Path, *targets: str) -> list[tuple[str, str, str]]:
    """Return code, cell and place of each finding."""
    done = start(folder, *targets)
    assert done.refused == ""
    return done.places


def refused(folder: Path) -> str:
    """Return what a lint says that does not end well."""
    return start(folder).refused


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Path]:
    def write(toml: str, **files: str) -> Path:
        (tmp_path / "buildx.toml").write_text(toml)
        for name, text in files.items():
            (tmp_path / name).write_text(text)
        return tmp_path

    return write


def test_the_sample(tmp_path: Path) -> None:
    # Whichever builder there is: the sample's own is another test's.
    toml = (ROOT / "buildx.toml").read_text().replace('[builder]\nname = "hello-builder"\n', "")
    (tmp_path / "buildx.toml").write_text(toml)
    (tmp_path / "go-sample").symlink_to(ROOT / "go-sample")
    findings = run_lint(tmp_path)
    emulated = [row for row in said(tmp_path) if row[0].startswith("Emulated")]
    foreign = [p for p in ("linux/arm64", "linux/amd64") if not native(platforms.parse(p))]
    assert [row for row in emulated if row[1].startswith("hello-emulated")] == [
        ("EmulatedCompile", f"hello-emulated@{p}", "go-sample/Dockerfile:5 (builder)")
        for p in foreign
    ]
    assert {code for code, cell, _ in emulated if "prebuilt" in cell} == {"EmulatedRun"}
    first = next(one for one in findings if one["target"] == "hello-emulated")
    assert "stage builder compiles Go under emulation" in first["message"]
    assert "FROM --platform=$BUILDPLATFORM golang:1.24-alpine AS builder" in first["fix"]
    assert {one["target"] for one in findings} == {"hello-emulated", "hello-prebuilt"}
    assert run_lint(tmp_path, "hello-cross", "hello-binaries", "hello-files") == []


ODD = "FROM alpine:3.22 as base\nMAINTAINER x\n"
TWO = """
[target.app]
dockerfile = "app"
contexts = { base = "target:base" }
platforms = ["linux/amd64", "linux/arm64"]
[target.app.files]
"linux/amd64" = "x.amd64"
"linux/arm64" = "x.arm64"
[target.base]
dockerfile-inline = '''
FROM alpine:3.22 as made
ENV FOLDER=/srv
'''
platforms = ["linux/amd64", "linux/arm64"]
"""
APP = """\
FROM base AS one
WORKDIR $FOLDER
COPY --from=files /x $FOLDER/x
FROM alpine:3.22 AS Two
WORKDIR $NONE/x
FROM one
COPY --from=two / $FOLDER
"""


def test_buildkit_checks_linked_targets_and_those_that_are_built_on_them(
    write: Callable[..., Path],
) -> None:
    folder = write(TWO, app=APP)
    assert said(folder, "app") == [
        ("StageNameCasing", "app", "app:4 (two)"),
        ("UndefinedVar", "app", "app:5 (two)"),
        ("FromAsCasing", "base", "[target.base] dockerfile-inline:1 (made)"),
    ]


def test_ignored_codes_are_ignored_for_their_target_only(write: Callable[..., Path]) -> None:
    toml = '[target.one]\ndockerfile = "odd"\n[target.two]\ndockerfile = "odd"\n'
    folder = write(toml, odd=ODD)
    codes = ["FromAsCasing", "MaintainerDeprecated"]
    both = [(t, c) for t in ("one", "two") for c in codes]
    assert [(one["target"], one["code"]) for one in run_lint(folder)] == both
    write(toml + '[target.two.lint]\nignore = ["FromAsCasing"]\n')
    assert [(one["target"], one["code"]) for one in run_lint(folder)] == both[:2] + both[3:]
    emulated = f'[target.one]\ndockerfile = "run"\nplatforms = ["{FOREIGN}"]\n'
    write(emulated, run="FROM alpine:3.22\nRUN true\n")
    assert [(one["code"], one["platform"]) for one in run_lint(folder)] == [
        ("EmulatedRun", str(FOREIGN))
    ]
    write(emulated + '[target.one.lint]\nignore = ["EmulatedRun"]\n')
    assert run_lint(folder) == []


def test_each_platform_s_own_dockerfile_is_checked(write: Callable[..., Path]) -> None:
    toml = (
        '[target.app]\ndockerfile = "odd"\nplatforms = ["linux/amd64", "linux/arm64", "linux/riscv64"]\n'
        '[target.app.platform."linux/arm64"]\ndockerfile = "fine"\ntarget = "built"\n'
        '[target.app.platform."linux/riscv64"]\nargs = { A = "1" }\n'
    )
    fine = "FROM alpine:3.22 AS built\nRUN make\nFROM alpine:3.22\nRUN true\n"
    found = said(write(toml, odd=ODD, fine=fine))
    assert found == [
        ("FromAsCasing", "app", "odd:1 (base)"),
        ("MaintainerDeprecated", "app", "odd:2 (base)"),
        *(
            [("EmulatedCompile", "app@linux/arm64", "fine:2 (built)")]
            if not native(platforms.parse("linux/arm64"))
            else []
        ),
    ]


def test_platforms_that_are_not_selected_are_not_reported(write: Callable[..., Path]) -> None:
    toml = f'[target.app]\ndockerfile = "run"\nplatforms = ["{HOST}", "{FOREIGN}"]\n'
    folder = write(toml, run="FROM alpine:3.22\nRUN true\n")
    assert run_lint(folder, wanted=(str(HOST),)) == []
    assert len(run_lint(folder, wanted=(str(FOREIGN),))) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("FROM alpine:3.22\nRUNN x\n", "bad:2: .*unknown instruction: RUNN"),
        ("FROM alpine:3.22\nRUN <<E\n", "bad:2: unterminated heredoc"),
        ("FROM alpine:3.22\nCOPY --from=x$y / /\n", "bad:0: variable expansion is not supported"),
        ("ARG X\n", "bad:0: "),
    ],
)
def test_a_bad_dockerfile_is_a_finding_beside_the_others(
    text: str, message: str, write: Callable[..., Path]
) -> None:
    toml = '[target.bad]\ndockerfile = "bad"\n[target.odd]\ndockerfile = "odd"\n'
    found = run_lint(write(toml, bad=text, odd=ODD))
    (bad,) = [one for one in found if one["target"] == "bad" and one["code"] == "Unbuildable"]
    assert re.search(message, f"{bad['file']}:{bad['line']}: {bad['message']}"), bad
    assert [one["code"] for one in found if one["target"] == "odd"] == [
        "FromAsCasing",
        "MaintainerDeprecated",
    ]


def test_a_missing_dockerfile_or_stage_is_a_finding_beside_the_others(
    write: Callable[..., Path],
) -> None:
    toml = '[target.odd]\ndockerfile = "odd"\n[target.app]\ndockerfile = "odd"\ntarget = "nosuch"\n'
    found = run_lint(write(toml, odd=ODD), "app")
    assert [one["code"] for one in found] == [
        "Unbuildable",
        "FromAsCasing",
        "MaintainerDeprecated",
    ]
    assert 'target stage "nosuch" could not be found' in found[0]["message"]
    folder = write('[target.odd]\ndockerfile = "odd"\n[target.app]\ndockerfile = "nosuch"\n')
    assert sorted(said(folder)) == [
        ("FromAsCasing", "odd", "odd:1 (base)"),
        ("MaintainerDeprecated", "odd", "odd:2 (base)"),
        ("Unbuildable", "app", "nosuch"),
    ]
    assert said(folder, "app") == [("Unbuildable", "app", "nosuch")]


def test_a_dockerfile_that_makes_warnings_errors_is_still_only_warned_of(
    write: Callable[..., Path],
) -> None:
    text = "# check=error=true;skip=MaintainerDeprecated\n" + ODD
    folder = write('[target.app]\ndockerfile = "odd"\n', odd=text)
    assert said(folder) == [("FromAsCasing", "app", "odd:2 (base)")]


def test_secrets_and_caches_are_not_needed_to_check(write: Callable[..., Path]) -> None:
    toml = (
        '[target.app]\ndockerfile = "odd"\nsecret = ["id=x,src=nosuch"]\n'
        'cache-from = ["type=local,src=nosuch"]\noutput = ["type=local,dest=/nosuch/x"]\n'
    )
    assert len(run_lint(write(toml, odd=ODD))) == 2


def test_a_remote_dockerfile_is_checked_by_both(write: Callable[..., Path], tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    (repository / "Dockerfile").write_text("FROM alpine:3.22 as one\nRUN make\n")
    identity = ["-c", "user.name=x", "-c", "user.email=x@y"]
    for words in (["init", "-q", "-b", "main"], ["add", "."], [*identity, "commit", "-qm", "x"]):
        subprocess.run(["git", *words], cwd=repository, check=True)
    port = free_port()
    options = [f"--base-path={tmp_path}", "--export-all", "--listen=127.0.0.1", f"--port={port}"]
    with running(["git", "daemon", "--reuseaddr", *options], stderr=subprocess.DEVNULL) as process:
        url = f"git://127.0.0.1:{port}/repository"
        try:
            wait_for(
                lambda: (
                    not subprocess.run(
                        ["git", "ls-remote", url], check=False, capture_output=True
                    ).returncode
                ),
                "no git daemon",
            )
            toml = f'[target.far]\ncontext = "{url}#main"\nplatforms = ["{FOREIGN}"]\n'
            done = start(write(toml))
            if "could not be checked" in done.refused:
                cannot_run(f"the engine does not reach this machine's loopback: {done.refused}")
        finally:
            process.terminate()
    place = f"{url}#main Dockerfile"
    assert done.places == [
        ("FromAsCasing", "far", f"{place}:1 (one)"),
        ("EmulatedCompile", f"far@{FOREIGN}", f"{place}:2 (one)"),
    ]


def test_dry_prints_what_can_be_pasted_and_asks_nothing(write: Callable[..., Path]) -> None:
    folder = write('[target.app]\ndockerfile = "odd"\n', odd=ODD)
    text = start(folder, dry=True).out
    assert not (folder / ".buildx").exists()
    pasted = subprocess.run(
        ["sh", "-c", text], cwd=folder, check=False, capture_output=True, text=True
    )
    assert pasted.returncode == 1, text  # it warns
    facts = json.loads((folder / ".buildx/lint-metadata.json").read_text())
    assert len(facts["app"]["result.json"]["warnings"]) == 2


def test_more_targets_than_one_bake_can_take(write: Callable[..., Path]) -> None:
    toml = "".join(f'[target.t{n}]\ndockerfile = "odd"\n' for n in range(120))
    assert len(run_lint(write(toml, odd=ODD))) == 240


def test_no_builder_is_a_named_error(write: Callable[..., Path]) -> None:
    toml = '[builder]\nname = "bt-nosuch"\n[target.app]\ndockerfile = "odd"\n'
    assert re.search('EngineError: builder "bt-nosuch" is not there', refused(write(toml, odd=ODD)))


def test_nothing_is_built(write: Callable[..., Path], name: str) -> None:
    toml = f'[target.app]\ndockerfile = "run"\ntags = ["{name}:x"]\nplatforms = ["{FOREIGN}"]\n'
    assert len(run_lint(write(toml, run="FROM alpine:3.22\nRUN sleep 1000\n"))) == 1
    assert docker("image", "ls", "--quiet", name) == ""
