"""What makes a machine ready, looks at it, and tidies up: setup, doctor, clean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.tasks.command import command
from buildx_tasks.tasks.options import INPUT, loaded, require_known

if TYPE_CHECKING:
    from invoke import Context

    from buildx_tasks.tasks.options import Texts


@command(
    iterable=["overlay", "set_"],
    help={
        **INPUT,
        "check": "Only say what differs from what is declared; exit code 1 if anything",
    },
)
def setup(c: Context, overlay: Texts = None, set_: Texts = None, check: bool = False) -> None:
    """Make the emulators and the declared builder ready (create, use, bootstrap)."""
    from buildx_tasks.builders import setup as builder_setup
    from buildx_tasks.errors import DriftError, as_called

    with loaded(c, overlay, set_) as project:
        found = builder_setup.setup(
            project, lambda line: print(as_called(line), flush=True), check=check
        )
        differing = len(found.changes) + len(found.silent)
        if check and differing:
            raise DriftError(f"{differing} of these differ from what is declared; run invoke setup")
        if check:
            print("as declared: nothing to change")
        elif project.commands.is_dry:
            print("" if found.changes else "# nothing to change\n", end="")
        else:
            print("ready" if found.changes else "ready: nothing to change")


@command(
    iterable=["overlay", "set_"],
    help={**INPUT, "format": "table or json"},
)
def doctor(
    c: Context,
    overlay: Texts = None,
    set_: Texts = None,
    format: str = "table",  # noqa: A002
) -> None:
    """Look at engine, buildx, image store, builder, emulators and registries; say the fix."""
    from buildx_tasks.doctor import examine, findings
    from buildx_tasks.errors import DoctorError, as_called
    from buildx_tasks.reports import tables
    from buildx_tasks.text import json_text

    require_known("--format", format, ("table", "json"))
    with loaded(c, overlay, set_) as project:
        found = [one._replace(fix=as_called(one.fix)) for one in examine.examine(project)]
    if format == "json":
        print(json_text(findings.as_json(found)), end="")
    else:
        rows = [("ok" if f.ok else "FAIL", f.subject, f.found, f.fix) for f in found]
        tables.print_table(("", "subject", "found", "fix"), rows)
    wrong = [finding.subject for finding in found if not finding.ok]
    if wrong:
        raise DoctorError(f"not ok: {', '.join(wrong)}; the fix stands beside each")


@command(
    iterable=["overlay", "set_"],
    help={**INPUT, "builder": "Remove the declared builder, and nothing else"},
)
def clean(c: Context, overlay: Texts = None, set_: Texts = None, builder: bool = False) -> None:
    """Remove what setup and build made: builder, images, .buildx/."""
    from buildx_tasks.cleaning import clean as cleaning

    with loaded(c, overlay, set_) as project:
        removed = cleaning.clean_builder(project) if builder else cleaning.clean(project)
        if project.commands.is_dry:
            return
    for item in removed:
        print(f"removed {item}")
    if not removed:
        print("nothing to remove")
