"""What several machines make together: part hands in, join publishes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.tasks.command import command
from buildx_tasks.tasks.options import FULL, INPUT, ITERABLE, SELECTION, loaded, selected, texts
from buildx_tasks.tasks.shipping import VERBOSE

if TYPE_CHECKING:
    from invoke import Context

    from buildx_tasks.tasks.options import Texts

_ID = "What all jobs of the run share, as in 4711"


@command(
    iterable=ITERABLE,
    help={
        **SELECTION,
        "id": _ID,
        "to": "Folder to write them to, as an OCI layout, where a job may not push",
        "replace": "Take the place of another part of the same cell",
        "verbose": VERBOSE,
    },
)
def part(
    c: Context,
    target: Texts = None,
    platform: Texts = None,
    overlay: Texts = None,
    set_: Texts = None,
    id: str = "",  # noqa: A002
    to: str = "",
    replace: bool = False,
    verbose: bool = False,
) -> None:
    """Hand in verified cells as parts of a run, to be joined into one image on another machine."""
    from buildx_tasks.joining import dry
    from buildx_tasks.reports.terminal import Terminal

    with loaded(c, overlay, set_) as project:
        selection = selected(project, target, platform)
        if project.commands.is_dry:
            print("\n".join(dry.parts(project, selection.plan, id)))
            return
        told = Terminal(verbose=verbose)
        selection.part(id, to=to or None, replace=replace, audience=told)


@command(
    iterable=["target", "from_", "allow_missing", "overlay", "set_"],
    help={
        "target": SELECTION["target"],
        "id": _ID,
        "from": "Folder with parts that part --to wrote, in place of the registry (repeatable)",
        "allow-missing": "Platform to publish without, where its optional gives a reason (repeatable)",
        "full": FULL,
        "verbose": VERBOSE,
        **INPUT,
    },
)
def join(
    c: Context,
    target: Texts = None,
    overlay: Texts = None,
    set_: Texts = None,
    id: str = "",  # noqa: A002
    from_: Texts = None,
    allow_missing: Texts = None,
    full: bool = False,
    verbose: bool = False,
) -> None:
    """Publish images of the parts of a run: all that are declared, verified, and no others."""
    from buildx_tasks.joining import dry
    from buildx_tasks.reports.terminal import Terminal

    with loaded(c, overlay, set_) as project:
        selection = selected(project, target)
        if project.commands.is_dry:
            print("\n".join(dry.joined(project, selection.plan, id, selection.tags())))
            return
        told = Terminal(full=full, verbose=verbose)
        missing = texts(allow_missing, "--allow-missing")
        folders = texts(from_, "--from")
        told.published(selection.join(id, folders=folders, missing=missing, audience=told))


@command(
    iterable=["target", "overlay", "set_"],
    help={
        "target": SELECTION["target"],
        "id": "Only parts of this run, however old they are",
        "older": "How old what goes has to be, as in 12h, 7d or 2w",
        "yes": "Delete; without it, what would go is printed",
        **INPUT,
    },
)
def prune(
    c: Context,
    target: Texts = None,
    overlay: Texts = None,
    set_: Texts = None,
    id: str = "",  # noqa: A002
    older: str = "7d",
    yes: bool = False,
) -> None:
    """Remove parts, caches and staging tags that nothing kept needs; without --yes only print them."""
    from buildx_tasks.joining import prune as pruning

    asked = pruning.wanted(id, older)
    with loaded(c, overlay, set_) as project:
        going = yes and not project.commands.is_dry
        number = 0
        for pile in pruning.piles(project, selected(project, target).plan, asked):
            number += len(pile.manifests)
            print("\n".join(pruning.lines(pile)), flush=True)
            if going:
                pruning.remove(pile)
    if not number:
        print("nothing to remove")
    else:
        counted = f"{number} manifest{'' if number == 1 else 's'}"
        print(f"{counted} removed" if going else f"{counted} would go; --yes deletes them")
