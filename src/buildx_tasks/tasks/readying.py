"""What makes a machine ready, looks at it, and tidies up: setup, doctor, clean."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import task

from buildx_tasks.tasks.project import INPUT, load, plainly, require_format

if TYPE_CHECKING:
    from invoke import Context


@task(
    iterable=["overlay", "set_"],
    help={
        **INPUT,
        "check": "Only say what differs from what is declared; exit code 1 if anything",
    },
)
@plainly
def setup(c: Context, overlay: list[str], set_: list[str], check: bool = False) -> None:
    """Make the emulators and the declared builder ready (create, use, bootstrap)."""
    from buildx_tasks.builders import setup as making_ready
    from buildx_tasks.errors import DriftError
    from buildx_tasks.machine import commands

    project = load(overlay, set_)
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
    iterable=["overlay", "set_"],
    help={**INPUT, "format": "table or json"},
)
@plainly
def doctor(
    c: Context,
    overlay: list[str],
    set_: list[str],
    format: str = "table",  # noqa: A002
) -> None:
    """Look at engine, buildx, image store, builder, emulators and registries; say the fix."""
    from buildx_tasks.doctor import examine as examining
    from buildx_tasks.errors import DoctorError
    from buildx_tasks.machine import commands
    from buildx_tasks.reports import terminal as report

    require_format(format, "table", "json")
    project = load(overlay, set_)
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


@task(
    iterable=["overlay", "set_"],
    help={**INPUT, "builder": "Remove the declared builder, and nothing else"},
)
@plainly
def clean(c: Context, overlay: list[str], set_: list[str], builder: bool = False) -> None:
    """Remove what setup and build made: builder, images, .buildx/."""
    from buildx_tasks.cleaning import clean as cleaning
    from buildx_tasks.machine import commands

    project = load(overlay, set_)
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
