"""The invoke tasks: parse flags, call the modules that do it, print; nothing else.

Heavy imports stay inside the tasks: ``invoke --list`` pays for none of them.
"""

from __future__ import annotations

import functools
import os
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from invoke import Collection, Exit, task

if TYPE_CHECKING:
    from invoke import Context

    from buildx_tasks.expansion import Config
    from buildx_tasks.plan import Plan

_SELECTION = {
    "target": "Target, group or glob (repeatable); default: the group default, or all targets",
    "platform": "Platform, as in linux/arm64 (repeatable); default: all that are declared",
}
_INPUT = {
    "overlay": "Merge buildx.NAME.toml over buildx.toml (repeatable); also BUILDX_TASKS_OVERLAY=a,b",
    "set": "Value of a variable, as in VERSION=1.2 (repeatable)",
}
_SELECTION.update(_INPUT)
_ITERABLE = ["target", "platform", "overlay", "set_"]
OVERLAY_VARIABLE = "BUILDX_TASKS_OVERLAY"


class _Project(NamedTuple):
    root: Path
    config: Config

    def plan(self, targets: list[str], platforms: list[str] | None = None) -> Plan:
        from buildx_tasks.plan import make_plan

        return make_plan(self.config, _split(targets), _split(platforms or []))


def _split(values: list[str]) -> list[str]:
    # docker's own --platform takes a list with commas; no name has one.
    return [part for value in values for part in value.split(",")]


def _load(overlay: list[str] | None = None, sets: list[str] | None = None) -> _Project:
    from buildx_tasks import loading

    path = loading.find(Path.cwd())
    named = os.environ.get(OVERLAY_VARIABLE, "").split(",")
    overlays = overlay or [name.strip() for name in named if name.strip()]
    return _Project(path.parent, loading.load(path, overlays=overlays, sets=sets or ()))


def _plainly(body: Callable[..., None]) -> Callable[..., None]:
    """Turn our errors into a message and an exit code, and Ctrl-C into 130, without traceback."""

    @functools.wraps(body)
    def wrapped(*args: Any, **kwargs: Any) -> None:
        from buildx_tasks.errors import BuildxTasksError

        try:
            body(*args, **kwargs)
        except BuildxTasksError as error:
            raise Exit(f"error: {error}" if error.code == 1 else str(error), error.code) from None
        except KeyboardInterrupt:
            raise Exit("interrupted", 130) from None

    return wrapped


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


@task(
    iterable=["overlay", "set_"],
    help={
        **_INPUT,
        "check": "Only say what differs from what is declared; exit code 1 if anything",
    },
)
@_plainly
def setup(c: Context, overlay: list[str], set_: list[str], check: bool = False) -> None:
    """Make the emulators and the declared builder ready (create, use, bootstrap)."""
    from buildx_tasks import commands
    from buildx_tasks import setup as making_ready
    from buildx_tasks.errors import DriftError

    project = _load(overlay, set_)
    found = making_ready.setup(
        c, project.config, project.root, lambda line: print(line, flush=True), check=check
    )
    differing = len(found.changes) + len(found.silent)
    if check:
        if differing:
            raise DriftError(f"{differing} of these differ from what is declared; run invoke setup")
        print("as declared: nothing to change")
    elif commands.is_dry(c):
        if not found.changes:
            print("# nothing to change")
    else:
        print("ready" if found.changes else "ready: nothing to change")


@task(
    iterable=_ITERABLE,
    help={
        **_SELECTION,
        "progress": "How buildx shows its work: auto, plain, tty, quiet or rawjson",
        "no-cache": "Build every step anew",
        "pull": "Look for newer base images",
    },
)
@_plainly
def build(
    c: Context,
    target: list[str],
    platform: list[str],
    overlay: list[str],
    set_: list[str],
    progress: str = "auto",
    no_cache: bool = False,
    pull: bool = False,
) -> None:
    """Build the selected targets for all their platforms with one docker buildx bake."""
    from buildx_tasks import build as building
    from buildx_tasks import report

    project = _load(overlay, set_)
    built = building.build(
        c,
        project.plan(target, platform),
        project.root,
        progress=_progress(progress),
        no_cache=no_cache,
        pull=pull,
    )
    if built:
        report.print_table(
            ("target", "platforms", "index digest", "seconds"),
            [
                (
                    item.target,
                    ", ".join(map(str, item.platforms)),
                    item.digest or "(files)",
                    "" if item.seconds is None else f"{item.seconds:.1f}",
                )
                for item in built
            ],
        )
    waiting = [item.staged for item in built if item.staged]
    if waiting:
        _say(
            "no local store holds what several nodes built: it waits in the registry, where verify, "
            f"run and push take it from: {', '.join(waiting)}"
        )


def _progress(progress: str) -> str:
    from buildx_tasks.errors import UsageError, nearest

    known = ("auto", "plain", "tty", "quiet", "rawjson")
    if progress not in known:
        hint = nearest(progress, known) or f"; known: {', '.join(known)}"
        raise UsageError(f'--progress: unknown kind "{progress}"{hint}')
    return progress


@task(
    iterable=_ITERABLE,
    help={**_SELECTION, "args": "Arguments for the container, quoted as in a shell"},
)
@_plainly
def run(
    c: Context,
    target: list[str],
    platform: list[str],
    overlay: list[str],
    set_: list[str],
    args: str = "",
) -> None:
    """Run the selected cells one after another, emulated where they must be."""
    from buildx_tasks.errors import UsageError
    from buildx_tasks.run import run_cell

    project = _load(overlay, set_)
    plan = project.plan(target, platform)
    try:
        arguments = shlex.split(args)
    except ValueError as error:
        raise UsageError(f"--args: {error}; quote it as in a shell") from None
    cells = [(planned, cell) for planned in plan.images for cell in planned.cells]
    if not cells:
        raise UsageError("nothing selected leaves an image to run; select another target with -t")
    for planned, cell in cells:
        if len(cells) > 1:
            _say(f"--- {cell}")
        run_cell(c, planned, cell, arguments, project.root)


@task(
    iterable=_ITERABLE,
    help={**_SELECTION, "junit": "Write the result as JUnit XML to this file too"},
)
@_plainly
def verify(
    c: Context,
    target: list[str],
    platform: list[str],
    overlay: list[str],
    set_: list[str],
    junit: str = "",
) -> None:
    """Run every cell and compare it with what [target.NAME.verify] expects."""
    from buildx_tasks import commands, engine, images, ledger, reach, report, staging
    from buildx_tasks import verify as verifying
    from buildx_tasks.errors import VerifyError

    project = _load(overlay, set_)
    plan = project.plan(target, platform)
    references = {planned.name: images.reference_of(planned) for planned in plan.images}
    typed = [
        verifying.docker_run_command(references[planned.name], cell, planned.spec.verify)
        for planned in plan.images
        for cell in planned.cells
        if planned.spec.verify
    ]
    if commands.is_dry(c) or c.config.run.echo:
        # The cells run through the Engine API, in parallel; typed one by one, they do the same.
        print("\n".join(map(shlex.join, typed)), flush=True)
    if commands.is_dry(c):
        return
    checked = [planned for planned in plan.images if planned.spec.verify]
    reach.require_runnable(c, [cell for planned in checked for cell in planned.cells])
    client = engine.connect()
    results = verifying.verify(
        client,
        plan.images,
        _progress_line(c),
        lambda planned: staging.locate(c, client, project.root, planned, planned.platforms),
    )
    if junit:
        report.write_junit(Path(junit), results)
    report.print_table(
        ("cell", "result", "manifest digest", "seconds", ""),
        [
            (str(r.cell), r.status, r.digest or "-", f"{r.seconds:.1f}", "; ".join(r.problems))
            for r in results
        ],
    )
    passed = [r for r in results if r.status == "ok"]
    if passed:
        entries = [{"cell": str(r.cell), "digest": r.digest} for r in passed]
        ledger.record(project.root, "verified", entries)
    failed = [str(r.cell) for r in results if r.status == "FAIL"]
    if failed:
        raise VerifyError(f"{len(failed)} of {len(results)} cells failed: {', '.join(failed)}")


def _progress_line(c: Context) -> Callable[[Any], None]:
    # A person at a terminal sees cells as they end; a log has the table, which says the same.
    if not sys.stderr.isatty() or c.config.run.echo:
        return lambda _result: None
    return lambda result: _say(f"{result.cell}: {result.status}")


@task(iterable=["target", "overlay", "set_"], help={"target": _SELECTION["target"], **_INPUT})
@_plainly
def push(c: Context, target: list[str], overlay: list[str], set_: list[str]) -> None:
    """Push the selected targets' tags, and read back what the registry then holds."""
    from buildx_tasks import push as pushing
    from buildx_tasks.errors import UsageError

    project = _load(overlay, set_)
    plan = project.plan(target)
    targets = plan.images if not target else plan.targets
    if not targets:
        raise UsageError("nothing selected leaves an image to push; select another target with -t")

    def show(item: pushing.Pushed) -> None:
        print(f"{item.tag}@{item.image.digest}", flush=True)
        for platform, digest in item.image.manifests.items():
            print(f"  {platform!s:<15} {digest}", flush=True)

    pushing.push(c, targets, project.root, show)


@task(
    iterable=_ITERABLE,
    help={
        **_SELECTION,
        "format": "table, json, bake (as docker buildx bake --print), or github (a CI matrix)",
    },
)
@_plainly
def plan(
    c: Context,  # noqa: ARG001
    target: list[str],
    platform: list[str],
    overlay: list[str],
    set_: list[str],
    format: str = "table",  # noqa: A002
) -> None:
    """Show what would be done, without asking any engine."""
    from buildx_tasks import commands, report
    from buildx_tasks import plan as planning

    forms = {
        "bake": planning.bake_definition,
        "github": planning.github_matrix,
        "json": planning.summary,
    }
    _require_format(format, "table", *forms)
    selected = _load(overlay, set_).plan(target, platform)
    if format == "github":
        print(commands.json_line(planning.github_matrix(selected)))
    elif format != "table":
        print(commands.json_text(forms[format](selected)), end="")
    else:
        report.print_table(("cell", "tags", "output", "builds on"), planning.rows(selected))


@task(
    iterable=_ITERABLE,
    help={**_SELECTION, "format": "table or json"},
)
@_plainly
def lint(
    c: Context,
    target: list[str],
    platform: list[str],
    overlay: list[str],
    set_: list[str],
    format: str = "table",  # noqa: A002
) -> None:
    """Check the Dockerfiles: BuildKit's own checks, emulated steps, one platform's files in all."""
    from buildx_tasks import commands, reach
    from buildx_tasks import lint as linting
    from buildx_tasks.errors import LintError

    _require_format(format, "table", "json")
    project = _load(overlay, set_)
    plan = project.plan(target, platform)
    with reach.standing(c, plan, project.root) as (builder, native):
        findings = linting.lint(c, plan, project.root, builder, native)
    if commands.is_dry(c):
        return
    if format == "json":
        print(commands.json_text(linting.summary(findings)), end="")
    elif findings:
        print("\n".join(linting.lines(findings)))
    else:
        print("nothing found")
    if findings:
        raise LintError(
            f"{len(linting.merged(findings))} found; correct them, or leave codes out with "
            '[target.NAME.lint] ignore = ["CODE"]'
        )


@task(
    name="import",
    help={
        "from": "docker-bake.json, docker-bake.hcl or compose.yaml",
        "to": "File to write; - for standard output; an existing one is not touched",
    },
)
@_plainly
def import_(c: Context, from_: str, to: str = "buildx.toml") -> None:
    """Write a buildx.toml from what docker buildx bake --print makes of another file."""
    from buildx_tasks import importing

    text = importing.convert(c, Path(from_))
    if to == "-":
        print(text, end="")
        return
    importing.write_new(Path(to), text)
    print(f"wrote {to}")


@task(
    iterable=["overlay", "set_"],
    help={**_INPUT, "format": "table or json"},
)
@_plainly
def doctor(
    c: Context,
    overlay: list[str],
    set_: list[str],
    format: str = "table",  # noqa: A002
) -> None:
    """Look at engine, buildx, image store, builder, emulators and registries; say the fix."""
    from buildx_tasks import commands, report
    from buildx_tasks import doctor as examining
    from buildx_tasks.errors import DoctorError

    _require_format(format, "table", "json")
    project = _load(overlay, set_)
    findings = list(examining.examine(c, project.config, project.root))
    if format == "json":
        print(commands.json_text(examining.as_json(findings)), end="")
    else:
        report.print_table(
            ("", "subject", "found", "fix"),
            [("ok" if f.ok else "FAIL", f.subject, f.found, f.fix) for f in findings],
        )
    wrong = [finding.subject for finding in findings if not finding.ok]
    if wrong:
        raise DoctorError(f"not ok: {', '.join(wrong)}; the fix stands beside each")


def _require_format(kind: str, *known: str) -> None:
    from buildx_tasks.errors import UsageError, nearest

    if kind not in known:
        hint = nearest(kind, known) or f"; known: {', '.join(known)}"
        raise UsageError(f'--format: unknown kind "{kind}"{hint}')


@task(
    iterable=["overlay", "set_"],
    help={**_INPUT, "builder": "Remove the declared builder, and nothing else"},
)
@_plainly
def clean(c: Context, overlay: list[str], set_: list[str], builder: bool = False) -> None:
    """Remove what setup and build made: builder, images, .buildx/."""
    from buildx_tasks import clean as cleaning
    from buildx_tasks import commands

    project = _load(overlay, set_)
    if builder:
        removed = cleaning.clean_builder(c, project.config, project.root)
    else:
        removed = cleaning.clean(c, project.root)
    if commands.is_dry(c):
        return
    for item in removed:
        print(f"removed {item}")
    if not removed:
        print("nothing to remove")


namespace = Collection(setup, build, run, verify, push, plan, lint, doctor, clean, import_)
