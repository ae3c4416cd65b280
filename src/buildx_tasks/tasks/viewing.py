"""What only looks, or writes a file: plan, lint, import."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from buildx_tasks.tasks.command import command
from buildx_tasks.tasks.options import ITERABLE, SELECTION, loaded, require_known, selected, texts

if TYPE_CHECKING:
    from collections.abc import Iterable

    from invoke import Context

    from buildx_tasks.project import Selection
    from buildx_tasks.tasks.options import Texts


@command(
    iterable=ITERABLE,
    help={
        **SELECTION,
        "format": "table, json, bake (as docker buildx bake --print), github (a CI matrix); with --id "
        "also gitlab, woodpecker",
        "id": "The jobs of a run on several machines, which share this id: parts, to be joined",
        "changed-since": "Only jobs of targets that changed since a commit, as in origin/main",
    },
)
def plan(
    c: Context,
    target: Texts = None,
    platform: Texts = None,
    overlay: Texts = None,
    set_: Texts = None,
    format: str = "table",  # noqa: A002
    id: str = "",  # noqa: A002
    changed_since: str = "",
) -> None:
    """Show what would be done; the engine is only asked how it keeps images of several platforms."""
    from buildx_tasks.planning import views
    from buildx_tasks.publishing import artifacts
    from buildx_tasks.text import json_line, json_text

    if id or changed_since:
        _print_jobs(c, (target, platform, overlay, set_), format, id, changed_since)
        return
    require_known("--format", format, ("table", "bake", "github", "json"))
    with loaded(c, overlay, set_) as project:
        ready = project.artifacts().packed if not target else []
        if project.is_of_artifacts and not (target or platform) and format in ("table", "json"):
            print(artifacts.text(ready, format), end="")
            return
        selection = selected(project, target, platform)
        if format == "github":
            print(json_line(views.github_matrix(selection.plan)))
        elif format == "bake":
            print(json_text(selection.bake_file), end="")
        elif format == "json":
            summary = views.summary(selection.plan, selection.ways())
            more = {"grants": selection.grants(), "always": selection.always_built()}
            more.update(artifacts.summary(ready))
            print(json_text({**summary, **more}), end="")
        else:
            _print_table(selection, artifacts.told(ready))


def _print_table(selection: Selection, more: Iterable[str]) -> None:
    """Print a plan for people, and ``more`` lines of what else goes out."""
    from buildx_tasks.planning import views
    from buildx_tasks.reports import tables
    from buildx_tasks.text import printable

    tables.print_table(views.HEADINGS, views.rows(selection.plan, selection.ways()))
    for line in more:
        print(line)
    for name, granted in selection.grants().items():
        print(printable(f"build grants {name}: {', '.join(granted)}"))
    for name, why in selection.always_built().items():
        print(printable(f"{name} is built each time: {why}"))


def _print_jobs(
    c: Context, selection: tuple[Texts, ...], kind: str, run: str, changed_since: str
) -> None:
    """Print the jobs of a run.

    Raises:
        UsageError: the run has no id, or is of some platforms only.

    """
    from buildx_tasks.errors import UsageError
    from buildx_tasks.planning import jobs, pipelines
    from buildx_tasks.reports import tables
    from buildx_tasks.text import json_line, json_text

    target, platform, overlay, set_ = selection
    known = {"json": jobs.summary, **{name: getattr(pipelines, name) for name in jobs.RUNNERS}}
    require_known("--format", kind, ("table", *known))
    if platform:
        raise UsageError(
            "-p: a run makes all platforms, of which join makes one image; leave it out"
        )
    with loaded(c, overlay, set_) as project:
        system = kind if kind in jobs.RUNNERS else "github"
        found = selected(project, target).jobs(run, system=system, changed_since=changed_since)
    if kind == "table":
        tables.print_table(jobs.HEADINGS, jobs.rows(found))
        if first := jobs.exported(found):
            print(f"first, on each machine: {first}")
    elif kind == "github":  # an output of a job is one line
        print(json_line(pipelines.github(found)))
    else:
        print(json_text(known[kind](found)), end="")


@command(
    iterable=ITERABLE,
    help={
        **SELECTION,
        "format": "table or json",
        "strict": "Notes fail it as well",
        "fix": "Show how what compiles under emulation would compile natively",
        "yes": "Write what --fix shows",
    },
)
def lint(
    c: Context,
    target: Texts = None,
    platform: Texts = None,
    overlay: Texts = None,
    set_: Texts = None,
    format: str = "table",  # noqa: A002
    strict: bool = False,
    fix: bool = False,
    yes: bool = False,
) -> None:
    """Check the Dockerfiles: BuildKit's own checks, emulated steps, one platform's files in all."""
    from buildx_tasks.dockerfiles import findings
    from buildx_tasks.errors import LintError
    from buildx_tasks.tasks.mending import mend, require_fix
    from buildx_tasks.text import json_text

    require_known("--format", format, ("table", "json"))
    require_fix(fix, yes, format)
    with loaded(c, overlay, set_) as project:
        if fix:
            mend(selected(project, target, platform), write=yes)
            return
        found = selected(project, target, platform).lint()
        if project.commands.is_dry:
            return
    if format == "json":
        print(json_text(findings.summary(found)), end="")
    else:
        print("\n".join(findings.lines(found)) or "nothing found")
    if failing := [one for one in found if strict or one.level != "note"]:
        raise LintError(
            f"{len(findings.merged(failing))} found; correct them, or leave codes out with "
            '[target.NAME.lint] ignore = ["CODE"]'
        )


@command(
    name="import",
    words="from_",
    alone=["from_"],
    iterable=["from_", "target"],
    help={
        "target": "Only these targets, groups or goals, and what they are built on",
        "from": "Bake and compose files (repeatable); or a Makefile, justfile or Taskfile and goals, "
        "build.sh, package.json",
        "to": "File to write; - for standard output; an existing one is not touched",
    },
)
def import_(c: Context, from_: Texts = None, to: str = "buildx.toml", target: Texts = None) -> None:
    """Write a buildx.toml from what bake or make makes of another file."""
    from buildx_tasks.convert import bake, scripts
    from buildx_tasks.errors import UsageError
    from buildx_tasks.machine.commands import Commands

    files = [Path(one) for one in texts(from_, "--from")]
    if not files:
        raise UsageError("--from is missing; write it as in --from docker-bake.hcl")
    commands = Commands(Path.cwd(), c)
    if scripts.is_script(files[0]):
        found = scripts.convert(commands, files[0], [*map(str, files[1:]), *texts(target, "-t")])
    else:
        found = bake.convert(commands, files, texts(target, "-t"))
    for note in found.notes:
        print(f"note: {note}", file=sys.stderr)
    if to == "-":
        print(found.text, end="")
        return
    bake.write_new(Path(to), found.text)
    print(f"wrote {to}")
