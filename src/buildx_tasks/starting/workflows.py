"""A plan in; the files of a CI that build, verify, join and publish its images, out."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks.errors import UsageError
from buildx_tasks.planning import jobs, runs
from buildx_tasks.planning.preparing import typed
from buildx_tasks.starting import github, gitlab, woodpecker
from buildx_tasks.text import printable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from buildx_tasks.planning.selection import Plan

_MARK = "# Written by "  # how each file begins that is ours to write again
_SIGNS = "push.sign needs cosign where join runs; [ci] install can bring it."
_WRITERS = {"github": github.files, "gitlab": gitlab.files, "woodpecker": woodpecker.files}
SYSTEMS = tuple(_WRITERS)


class Files(NamedTuple):
    """The files of a CI that are not as they should be: their texts ``before``, if any, and ``after``.

    ``notes`` say what else is to be done by hand.
    """

    before: dict[str, str]
    after: dict[str, str]
    notes: tuple[str, ...]


def files(folder: Path, plan: Plan, system: str, flags: Sequence[str]) -> Files:
    """Return the files for a CI that differ from what is there; ``flags`` go to each command.

    Raises:
        UsageError: nothing leaves an image, or a file is there that init did not write.

    """
    if not (folder / ".git").exists() and any((p / ".git").exists() for p in folder.parents):
        raise UsageError(
            f"init --ci: {folder} is not the top folder of its repository, and a CI looks there alone; "
            "put buildx.toml there"
        )
    if wrong := [word for word in flags if not word.isprintable()]:
        raise UsageError(
            f"init --ci: {printable(wrong[0])} is not of one line; give it in the file"
        )
    run = runs.run_of(plan, runs.Fixed("RUN", "", "0"))
    written = typed("init", "--ci", system, *flags)
    head = f"{_MARK}{written}: --check says whether it still is what that would write.\n"
    signed = [target.name for target in plan.images if target.spec.sign]
    remark = f"# {', '.join(signed)}: {_SIGNS}\n" if signed else ""
    before, after = {}, {}
    found = jobs.jobs(run, plan, system, flags, artifacts=list(plan.config.artifact))
    texts = _WRITERS[system](found, flags)
    for name, text in texts.items():
        path = folder / name
        there = path.read_text("utf-8", "replace") if path.exists() else None
        if there is not None and not there.startswith(_MARK):
            if name == gitlab.ROOT:
                continue
            raise UsageError(
                f"init --ci: {name} is there already, and init did not write it; move it away, "
                "or take over by hand what init writes elsewhere"
            )
        whole = head + (remark if name != gitlab.ROOT else "") + text
        if there != whole:
            after[name] = whole
            before.update({name: there} if there is not None else {})
    return Files(before, after, tuple(_notes(folder, texts)))


def _notes(folder: Path, wanted: Mapping[str, str]) -> Iterator[str]:
    root = folder / gitlab.ROOT
    is_theirs = gitlab.ROOT in wanted and root.exists()
    if is_theirs and gitlab.FILE not in root.read_text("utf-8", "replace"):
        yield f"{gitlab.ROOT} does not include {gitlab.FILE}; add {gitlab.INCLUDED}"
    if gitlab.ROOT not in wanted and github.FILE not in wanted:
        for path in sorted((folder / woodpecker.FOLDER).glob(woodpecker.NAMES)):
            name = path.relative_to(folder).as_posix()
            if name not in wanted and path.read_text("utf-8", "replace").startswith(_MARK):
                yield f"{name} is not needed any more; remove it"
