"""What shows the past: log."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.tasks.command import command
from buildx_tasks.tasks.options import FULL, INPUT, loaded, require_known, selected, texts

if TYPE_CHECKING:
    from invoke import Context

    from buildx_tasks.tasks.options import Texts


@command(
    iterable=["target", "platform", "event", "overlay", "set_"],
    help={
        "target": "Target, group or glob (repeatable); default: everything",
        **INPUT,
        "platform": "With --diff-published: platform, as in linux/arm64 (repeatable)",
        "event": "Event, as in pushed (repeatable); default: all",
        "number": "Most rows; 0: all",
        "all": "Each verified cell in a row of its own; the versions of what pushed",
        "full": FULL,
        "format": "table, or json (the entries themselves); with --diff-published markdown too",
        "release-notes": "A markdown table of the last push: references with digests",
        "version": "With --release-notes: the version that they are of, as in v1.2.0",
        "timeline": "Where the time of the last build went: by cell, and its most expensive steps",
        "build": "With --timeline: the id of another build that is recorded",
        "compare": "With --timeline: what changed against a build: previous, or its id",
        "html": "With --timeline: write it as one HTML page to this file too",
        "diff-published": "Sizes and digests of what was built, beside what its registries hold",
    },
)
def log(
    c: Context,
    target: Texts = None,
    platform: Texts = None,
    event: Texts = None,
    overlay: Texts = None,
    set_: Texts = None,
    number: int = 50,
    all: bool = False,  # noqa: A002
    format: str = "table",  # noqa: A002
    release_notes: bool = False,
    version: str = "",
    full: bool = False,
    diff_published: bool = False,
    timeline: bool = False,
    build: str = "",
    compare: str = "",
    html: str = "",
) -> None:
    """Show what was built, verified, pushed and promoted, newest first."""
    from buildx_tasks.reports import past

    given = {"platform": platform, "event": event, "all": all, "version": version}
    of_timeline = {"build": build, "compare": compare, "html": html}
    kinds = {"timeline": timeline, "diff-published": diff_published, "release-notes": release_notes}
    kind = _kind(kinds, {**given, **of_timeline, "format": format != "table"})
    require_known("--format", format, _FORMATS[kind])
    past.require_number(number)
    if kind == "diff-published":
        _differences(c, (target, platform, overlay, set_), format, full=full)
        return
    if kind == "timeline":
        _timeline(c, (target, overlay, set_), of_timeline, format, number)
        return
    with loaded(c, overlay, set_) as project:
        entries = project.ledger.whole()
        plan = selected(project, target).plan if target or release_notes else None
    if release_notes and plan:
        print(past.notes(entries, plan, texts(target), version), end="")
        return
    how = past.How(number or None, format, every=all, full=full)
    past.print_log(entries, plan, texts(event, "--event"), how)


# What is no list of what happened, and the flags that go with each; all take -t.
_FORMATS = {
    "": ("table", "json"),
    "timeline": ("table", "text", "json"),
    "diff-published": ("table", "text", "markdown", "json"),
    "release-notes": ("table",),
}
_GO_WITH = {
    "": ("event", "all", "format"),
    "timeline": ("build", "compare", "html", "format"),
    "diff-published": ("platform", "format"),
    "release-notes": ("version",),
}


def _kind(kinds: dict[str, bool], given: dict[str, object]) -> str:
    """Return which table is meant, ``""`` for what happened.

    Raises:
        UsageError: two are, or a flag does not go with it.

    """
    from buildx_tasks.errors import UsageError

    kind, *more = [name for name, wanted in kinds.items() if wanted] or [""]
    if more:
        raise UsageError(f"--{kind} and --{more[0]} are tables of their own; leave one out")
    for flag in (name for name, value in given.items() if value and name not in _GO_WITH[kind]):
        with_it = next((one for one, flags in _GO_WITH.items() if flag in flags), "")
        fix = f"add --{with_it}, or leave it out" if with_it and not kind else "leave it out"
        what = f"--{kind}" if kind else "the list of what happened"
        raise UsageError(f"--{flag} does not go with {what}; {fix}")
    return kind


def _timeline(
    c: Context, read: tuple[Texts, ...], wanted: dict[str, str], kind: str, number: int
) -> None:
    """Print a recorded build; write its page where one is wanted.

    Raises:
        EngineError: it is not recorded, or the page cannot be written.

    """
    from buildx_tasks.reports import recalled
    from buildx_tasks.reports import timeline as shown_as

    target, overlay, set_ = read
    with loaded(c, overlay, set_) as project:
        names = [one.name for one in selected(project, target).plan.targets] if target else []
        shown = recalled.recalled(project, wanted["build"], wanted["compare"], names)
    if wanted["html"]:
        recalled.write_page(shown, wanted["html"])
    shown_as.print_timeline(shown, kind, number or None)


def _differences(c: Context, selection: tuple[Texts, ...], kind: str, *, full: bool) -> None:
    """Print how what was built differs from what is published.

    Raises:
        RegistryError: a registry could not tell; said after all that the others did.

    """
    from buildx_tasks.errors import RegistryError
    from buildx_tasks.publishing import comparing
    from buildx_tasks.reports import differences

    target, platform, overlay, set_ = selection
    with loaded(c, overlay, set_) as project:
        found = comparing.with_published(project, selected(project, target, platform).images())
    differences.print_differences(found, kind, full=full)
    silent = list(dict.fromkeys(one.remark for one in found if one.is_fault))
    if silent:
        raise RegistryError("\nerror: ".join(silent))
