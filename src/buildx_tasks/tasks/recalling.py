"""What shows the past: log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import task

from buildx_tasks.tasks.options import INPUT, loaded, plainly, require_known, selected, texts

if TYPE_CHECKING:
    from invoke import Context

    from buildx_tasks.tasks.options import Texts


@task(
    iterable=["target", "event", "overlay", "set_"],
    help={
        "target": "Target, group or glob (repeatable); default: everything",
        **INPUT,
        "event": "Event, as in pushed (repeatable); default: all",
        "number": "Most rows; 0: all",
        "all": "Each verified cell in a row of its own; the versions of what pushed",
        "format": "table, or json (the entries themselves)",
        "release-notes": "A markdown table of the last push: references with digests",
    },
)
@plainly
def log(
    c: Context,
    target: Texts = None,
    event: Texts = None,
    overlay: Texts = None,
    set_: Texts = None,
    number: int = 50,
    all: bool = False,  # noqa: A002
    format: str = "table",  # noqa: A002
    release_notes: bool = False,
) -> None:
    """Show what was built, verified, pushed and promoted, newest first."""
    from buildx_tasks.errors import UsageError
    from buildx_tasks.reports import past

    require_known("--format", format, ("table", "json"))
    if number < 0:
        raise UsageError(f"--number: {number} is no number of rows; write 1 or more, or 0 for all")
    if release_notes and (event or all or format != "table"):
        raise UsageError(
            "--release-notes is a table of its own: leave out --event, --all and --format"
        )
    with loaded(c, overlay, set_) as project:
        entries = project.ledger.whole()
        plan = selected(project, target).plan if target or release_notes else None
    if release_notes and plan:
        print(past.notes(entries, plan, texts(target)), end="")
        return
    past.print_log(entries, plan, texts(event), number or None, format, all)
