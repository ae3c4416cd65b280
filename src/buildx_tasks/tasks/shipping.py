"""What publishes images, and looks at what is published: push, promote, inspect."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from buildx_tasks.tasks.command import command
from buildx_tasks.tasks.options import (
    FULL,
    INPUT,
    SELECTION,
    loaded,
    loaded_or_empty,
    require_known,
    selected,
    texts,
)

if TYPE_CHECKING:
    from invoke import Context

    from buildx_tasks.tasks.options import Texts

VERBOSE = "Tell of each layer and platform in a log too"


@command(
    iterable=["target", "artifact", "tag", "overlay", "set_"],
    help={
        "target": SELECTION["target"],
        "tag": "Tag instead of the declared ones: v2 in each repository of the target, or a whole "
        "reference (repeatable)",
        "artifact": "Only this [artifact.NAME], and what -t selects (repeatable); default: all, where "
        "neither -t nor --tag is given",
        "no-verify": "Publish what was not verified; the ledger says so",
        "full": FULL,
        "verbose": VERBOSE,
        **INPUT,
    },
)
def push(
    c: Context,
    target: Texts = None,
    artifact: Texts = None,
    tag: Texts = None,
    overlay: Texts = None,
    set_: Texts = None,
    no_verify: bool = False,
    full: bool = False,
    verbose: bool = False,
) -> None:
    """Publish exactly what was verified (verified first where it was not), and read it back."""
    from buildx_tasks.publishing.artifacts import lines
    from buildx_tasks.publishing.push import commands_of
    from buildx_tasks.reports.terminal import Terminal

    with loaded(c, overlay, set_) as project:
        wanted, asked = texts(tag, "--tag"), texts(artifact, "--artifact")
        others = project.artifacts(*asked) if asked or not (target or wanted) else None
        # A file may declare artifacts alone.
        is_of_images = bool(target) or not (asked or (project.is_of_artifacts and not wanted))
        selection = selected(project, target) if is_of_images else None
        # What is wrong with an artifact is said before anything moves.
        ready = others.packed if others else []
        if project.commands.is_dry:
            tags = selection.tags(wanted) if selection else {}
            images = selection.images() if selection else ()
            print("\n".join([*commands_of(project, images, tags), *lines(ready)]))
            return
        told = Terminal(full=full, verbose=verbose)
        if others and selection:
            others.require_movable()
        how: Any = {"tags": wanted, "verify": not no_verify, "audience": told}
        moved = selection.push(**how) if selection else []
        told.published([*moved, *(others.push(audience=told) if others else [])])


@command(
    words="from_",
    iterable=["to", "overlay", "set_"],
    help={
        "from": "Reference of a published image, as in localhost:5000/app:v1 or …@sha256:…",
        "to": "Tag that it gets: v1 in the same repository, or a whole reference (repeatable)",
        **INPUT,
        "full": FULL,
        "verbose": VERBOSE,
    },
)
def promote(
    c: Context,
    from_: str = "",
    to: Texts = None,
    overlay: Texts = None,
    set_: Texts = None,
    full: bool = False,
    verbose: bool = False,
) -> None:
    """Give a published image further tags, in its registry or another one, without rebuilding."""
    from buildx_tasks.errors import UsageError

    if not from_:
        raise UsageError("--from is missing; write it as in --from localhost:5000/app:rc1")
    if not to:
        raise UsageError("--to is missing; write the tag that the image gets, as in --to v1")
    from buildx_tasks.publishing import promote as promoting
    from buildx_tasks.publishing.push import copy_command
    from buildx_tasks.reports.terminal import Terminal

    with loaded(c, overlay, set_) as project:
        wanted = promoting.wanted(from_, texts(to, "--to"), project.config)
        if project.commands.is_dry:
            for tag in wanted.tags:
                print(copy_command(str(tag), from_))
            return
        told = Terminal(full=full, verbose=verbose)
        told.published(promoting.promote(project, wanted, told))


@command(
    alone=["ref"],
    iterable=["target", "ref", "overlay", "set_"],
    help={
        "target": SELECTION["target"],
        "published": "What the registries hold under each declared tag",
        "ref": "Any image in a registry, as in localhost:5000/app:v1 or …@sha256:… (repeatable)",
        "format": "tree or json",
        "full": FULL,
        **INPUT,
    },
)
def inspect(
    c: Context,
    target: Texts = None,
    ref: Texts = None,
    overlay: Texts = None,
    set_: Texts = None,
    published: bool = False,
    format: str = "tree",  # noqa: A002
    full: bool = False,
) -> None:
    """Show images with their platforms, layers and attestations, as built or as published."""
    from buildx_tasks.engine.faults import faults
    from buildx_tasks.errors import UsageError
    from buildx_tasks.publishing import inspection
    from buildx_tasks.publishing.tags import exact
    from buildx_tasks.reports import trees

    require_known("--format", format, ("tree", "json"))
    if ref and (target or published):
        raise UsageError("--ref names an image by itself: leave out --target and --published")
    with loaded_or_empty(c, overlay, set_, needed=not ref) as project, faults():
        if ref:
            found = inspection.published(
                project, [exact(text, "--ref") for text in texts(ref, "--ref")]
            )
        else:
            found = selected(project, target).inspect(published=published)
        fix = "check the name" if ref else "run invoke push"
        trees.print_shown(found, format, fix, full=full)
