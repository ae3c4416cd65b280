"""What all tasks share: their flags, the loaded project, errors as a message and a code."""

from __future__ import annotations

import functools
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

from invoke import Exit

from buildx_tasks.machine import compiled

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from contextlib import AbstractContextManager

    from invoke import Context

    from buildx_tasks.machine.things import Things
    from buildx_tasks.project import Project, Selection

SELECTION = {
    "target": "Target, group or glob (repeatable); default: the group default, or all targets",
    "platform": "Platform, as in linux/arm64 (repeatable); default: all that are declared",
}
INPUT = {
    "overlay": "Merge buildx.NAME.toml over buildx.toml (repeatable); also BUILDX_TASKS_OVERLAY=a,b",
    "set": "Variable, as in VERSION=1.2, or attribute, as in app.args.X=1 (repeatable)",
}
SELECTION.update(INPUT)
FULL = "Shorten nothing on a terminal: digests, columns"
ITERABLE = ["target", "platform", "overlay", "set_"]

# What a flag that repeats may be given in a call from Python: one text, several, or none.
Texts = Optional[Union[str, "Sequence[str]"]]


def texts(given: Texts, flag: str = "") -> list[str]:
    """Return what was given to a flag that repeats as a list.

    Raises:
        UsageError: an entry is empty: it would select nothing, and so everything.

    """
    from buildx_tasks.errors import UsageError

    found: list[Any] = [given] if isinstance(given, str) else list(given or ())
    wrong = next((one for one in found if not isinstance(one, str)), "")
    if wrong != "":
        raise UsageError(
            f"{flag or 'a flag'}: {wrong!r} is no text; write a value, or leave it out"
        )
    if not all(text.strip() for text in found):
        raise UsageError(
            f'{flag or "a flag"}: "" is empty; write a value, or leave it out (is a variable not set?)'
        )
    return found


def refuse_empty(given: Mapping[str, Any]) -> None:
    """Refuse a list without an entry from a person's own task: it selects nothing, and so everything.

    Raises:
        UsageError: with what to write.

    """
    from buildx_tasks.errors import UsageError
    from buildx_tasks.tasks.flags import Typed

    for name in ("target", "platform"):
        value = given.get(name)
        if isinstance(value, (list, tuple)) and not value and not isinstance(value, Typed):
            raise UsageError(
                f"{name}={value!r} is empty, and selects nothing; give it an entry, or {name}=None to "
                "select as if it were left out"
            )


def names(given: Texts, flag: str = "") -> list[str]:
    """Return the same with lists in it taken apart: docker's own --platform takes one with commas.

    Raises:
        UsageError: an entry is empty.

    """
    from buildx_tasks.errors import UsageError

    found = [part.strip() for value in texts(given, flag) for part in value.split(",")]
    if not all(found):
        raise UsageError(
            f'{flag}: "{",".join(texts(given))}" has an empty entry; take the comma out, or write what '
            "belongs there (is a variable not set?)"
        )
    return found


@contextmanager
def loaded(c: Context, overlay: Texts, set_: Texts) -> Iterator[Project]:
    """Yield the nearest project; overlays and values as --overlay and --set give them."""
    from buildx_tasks.language.given import parse_sets
    from buildx_tasks.project import Project

    values = parse_sets(texts(set_, "--set"))
    with Project.load(overlays=texts(overlay, "--overlay"), values=values, context=c) as project:
        project.shows = _shown
        yield project


@contextmanager
def loaded_or_empty(c: Context, overlay: Texts, set_: Texts, *, needed: bool) -> Iterator[Project]:
    """Yield the nearest project; an empty one where there is none, and none is ``needed``."""
    from buildx_tasks.language import chosen
    from buildx_tasks.project import Project

    if needed or overlay or set_ or chosen.has_file(c):
        with loaded(c, overlay, set_) as project:
            yield project
    else:
        with Project.empty(context=c) as project:
            yield project


def _shown(told: Things) -> AbstractContextManager[None]:
    """Show what a project is at; what that takes is loaded once it is."""
    from buildx_tasks.reports import things

    return things.shown(told)


def fixing(overlay: Texts, set_: Texts) -> list[str]:
    """Return the flags of a command that is to be about the same input."""
    given = [*(("-o", one) for one in texts(overlay)), *(("-s", one) for one in texts(set_))]
    return [word for pair in given for word in pair]


def selected(project: Project, target: Texts, platform: Texts = None) -> Selection:
    """Return what -t and -p select.

    Raises:
        UsageError: it does not exist; a word that means something else is told so.

    """
    from buildx_tasks.errors import UsageError, task_names

    asked = names(target, "-t")
    following = getattr(target, "next_task", "")  # only what was typed has it
    if following in {*project.config.target, *project.config.group}:
        line = f"{following} is a task, and a target too: for the target write -t {following}"
        print(f"note: {line}", file=sys.stderr, flush=True)
    try:
        return project.select(*asked, platforms=names(platform, "-p"))
    except UsageError as error:
        hint = _meant(asked, {*project.config.target, *project.config.group}, task_names)
        raise UsageError(f"{error}{hint}") from None


def _meant(asked: list[str], known: set[str], tasks: Mapping[str, str]) -> str:
    """Return what an unknown target could be besides a target."""
    from difflib import get_close_matches

    for word in asked:
        near = get_close_matches(word, tasks.values(), n=1, cutoff=0.8)
        if word in known:
            continue
        if word in tasks.values():
            return f'; "{word}" is a task: what was -t to be?'
        if near:
            return f'; or the task "{near[0]}"?'
        if "/" in word or word == "native":
            return f"; for a platform write -p {word}"
    return ""


def plainly(body: Callable[..., None]) -> Callable[..., None]:
    """Turn our errors, signals and lost output into a message and an exit code, without traceback."""

    @functools.wraps(body)
    @compiled.kept()
    def wrapped(*args: Any, **kwargs: Any) -> None:
        from buildx_tasks.errors import BuildxTasksError, as_called, task_names
        from buildx_tasks.machine import interruption, output
        from buildx_tasks.tasks import parsing

        task_names.update(parsing.NAMES)
        name = as_called(f"invoke {body.__name__.rstrip('_')}").partition(" ")[2]
        try:
            with interruption.heeded(name), output.enduring(name) as lost:
                body(*args, **kwargs)
        except BuildxTasksError as error:
            text = as_called(f"error: {error}" if error.code == 1 else str(error))
            raise Exit(text, error.code) from None
        except interruption.Interruption as end:
            raise Exit(interruption.message(name, end.number), 128 + end.number) from None
        except KeyboardInterrupt:  # in a thread, which gets no signals
            raise Exit(f"{name} was interrupted", 130) from None
        except OSError as error:
            if error.errno is None:
                raise
            raise Exit(f"error: {_refused(error)}", 1) from None
        if lost:
            raise Exit(f"error: {lost[0]}", 1)

    return wrapped


def _refused(error: OSError) -> str:
    """Return what the machine refuses: a full disk, a folder that is only read."""
    place = f"{error.filename}: " if error.filename else ""
    return f"{place}{error.strerror or error}; make room, or allow it, and run this again"


def require_known(option: str, kind: str, known: Sequence[str]) -> None:
    """Refuse a value that is not of a closed set.

    Raises:
        UsageError: with the nearest one that is.

    """
    from buildx_tasks.errors import UsageError, nearest

    if kind not in known:
        hint = nearest(kind, known) or f"; known: {', '.join(known)}"
        raise UsageError(f'{option}: unknown kind "{kind}"{hint}')
