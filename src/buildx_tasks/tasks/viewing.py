"""What only looks, or writes a file: plan, lint, import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from invoke import task

from buildx_tasks.tasks.project import ITERABLE, SELECTION, load, plainly, require_format

if TYPE_CHECKING:
    from invoke import Context


@task(
    iterable=ITERABLE,
    help={
        **SELECTION,
        "format": "table, json, bake (as docker buildx bake --print), or github (a CI matrix)",
    },
)
@plainly
def plan(
    c: Context,  # noqa: ARG001
    target: list[str],
    platform: list[str],
    overlay: list[str],
    set_: list[str],
    format: str = "table",  # noqa: A002
) -> None:
    """Show what would be done; the engine is only asked how it keeps images of several platforms."""
    from buildx_tasks.builders import state as builder
    from buildx_tasks.building import staging
    from buildx_tasks.machine import commands
    from buildx_tasks.planning import selection as planning
    from buildx_tasks.reports import terminal as report

    require_format(format, "table", "bake", "github", "json")
    project = load(overlay, set_)
    selected = project.plan(target, platform)
    if format == "github":
        print(commands.json_line(planning.github_matrix(selected)))
        return
    if format == "bake":
        print(commands.json_text(planning.bake_definition(selected)), end="")
        return
    ways = staging.ways(builder.meant(project.config, project.root), selected)
    if format == "json":
        print(commands.json_text(planning.summary(selected, ways)), end="")
    else:
        columns = ("cell", "tags", "output", "push", "builds on")
        report.print_table(columns, planning.rows(selected, ways))


@task(
    iterable=ITERABLE,
    help={**SELECTION, "format": "table or json"},
)
@plainly
def lint(
    c: Context,
    target: list[str],
    platform: list[str],
    overlay: list[str],
    set_: list[str],
    format: str = "table",  # noqa: A002
) -> None:
    """Check the Dockerfiles: BuildKit's own checks, emulated steps, one platform's files in all."""
    from buildx_tasks.builders import capability as reach
    from buildx_tasks.building import lint as linting
    from buildx_tasks.errors import LintError
    from buildx_tasks.machine import commands

    require_format(format, "table", "json")
    project = load(overlay, set_)
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
@plainly
def import_(c: Context, from_: str, to: str = "buildx.toml") -> None:
    """Write a buildx.toml from what docker buildx bake --print makes of another file."""
    from buildx_tasks.convert import bake as importing

    text = importing.convert(c, Path(from_))
    if to == "-":
        print(text, end="")
        return
    importing.write_new(Path(to), text)
    print(f"wrote {to}")
