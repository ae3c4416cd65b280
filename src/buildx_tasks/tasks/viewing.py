"""What only looks, or writes a file: plan, lint, import."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from invoke import task

from buildx_tasks.tasks.options import ITERABLE, SELECTION, loaded, plainly, require_known, selected

if TYPE_CHECKING:
    from invoke import Context

    from buildx_tasks.tasks.options import Texts


@task(
    iterable=ITERABLE,
    help={
        **SELECTION,
        "format": "table, json, bake (as docker buildx bake --print), or github (a CI matrix)",
    },
)
@plainly
def plan(
    c: Context,
    target: Texts = None,
    platform: Texts = None,
    overlay: Texts = None,
    set_: Texts = None,
    format: str = "table",  # noqa: A002
) -> None:
    """Show what would be done; the engine is only asked how it keeps images of several platforms."""
    from buildx_tasks.planning import views
    from buildx_tasks.reports import tables
    from buildx_tasks.text import json_line, json_text

    require_known("--format", format, ("table", "bake", "github", "json"))
    with loaded(c, overlay, set_) as project:
        selection = selected(project, target, platform)
        if format == "github":
            print(json_line(views.github_matrix(selection.plan)))
        elif format == "bake":
            print(json_text(selection.plan.bake_file), end="")
        elif format == "json":
            print(json_text(views.summary(selection.plan, selection.ways())), end="")
        else:
            tables.print_table(views.HEADINGS, views.rows(selection.plan, selection.ways()))


@task(
    iterable=ITERABLE,
    help={**SELECTION, "format": "table or json"},
)
@plainly
def lint(
    c: Context,
    target: Texts = None,
    platform: Texts = None,
    overlay: Texts = None,
    set_: Texts = None,
    format: str = "table",  # noqa: A002
) -> None:
    """Check the Dockerfiles: BuildKit's own checks, emulated steps, one platform's files in all."""
    from buildx_tasks.dockerfiles import findings
    from buildx_tasks.errors import LintError
    from buildx_tasks.text import json_text

    require_known("--format", format, ("table", "json"))
    with loaded(c, overlay, set_) as project:
        found = selected(project, target, platform).lint()
        if project.commands.is_dry:
            return
    if format == "json":
        print(json_text(findings.summary(found)), end="")
    else:
        print("\n".join(findings.lines(found)) or "nothing found")
    if found:
        raise LintError(
            f"{len(findings.merged(found))} found; correct them, or leave codes out with "
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
    from buildx_tasks.convert import bake
    from buildx_tasks.machine.commands import Commands

    text = bake.convert(Commands(Path.cwd(), c), Path(from_))
    if to == "-":
        print(text, end="")
        return
    bake.write_new(Path(to), text)
    print(f"wrote {to}")
