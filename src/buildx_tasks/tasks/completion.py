"""What a shell offers behind ``invoke TASK -t`` and ``-p``: through invoke's own completion scripts.

invoke offers names of tasks wherever it knows nothing better; this answers before it, where a value
of a flag of ours, or a target as a word, is being typed.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from invoke import Exit

from buildx_tasks.tasks.flags import Flag, of_a_task, words_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from buildx_tasks.project import Project

_PROGRESS = ("auto", "plain", "tty", "quiet", "rawjson")


def answer(contexts: Mapping[str, Any]) -> None:
    """Print what can come next, and end; do nothing where invoke's own answer is right.

    Raises:
        Exit: this was the answer.

    """
    typed = sys.argv[sys.argv.index("--") + 1 :] if "--" in sys.argv else []
    words = [word for line in typed for word in line.split()][1:]
    found = offered(words, contexts)
    if found is not None:
        print("\n".join(found))
        raise Exit


def offered(words: list[str], contexts: Mapping[str, Any]) -> list[str] | None:
    """Return what can stand for the last word, or behind it; None where that is invoke's matter.

    Whether a space follows the last word is not known: what could follow it is offered, too.
    """
    context: Any = None
    flag: Any = None
    value = False
    for word in words:
        flag, value = (flag, True) if flag is not None and not value else (None, False)
        if value:
            continue
        if context is not None and word in context.flags:
            flag = context.flags[word] if context.flags[word].takes_value else None
        elif word in contexts:
            context = contexts[word]
    if not of_a_task(context) or not words:
        return None
    if flag is None:
        target = words_of(context)
        if words[-1].startswith("-") or target is None or target.kind is not list:
            return None
        return [*(_values(target.names[0]) or ()), *sorted(contexts)]
    found = _values(flag.names[0]) if isinstance(flag, Flag) else None
    if found is None:
        return None
    return [*found, *sorted(contexts)] if value and words[-1] in found else found


def _values(name: str) -> list[str] | None:
    """Return the values that a flag can have, none where the file cannot be read; None: files."""
    if name == "progress":
        return list(_PROGRESS)
    if name not in ("target", "platform", "overlay", "image"):
        return None
    from buildx_tasks.errors import BuildxTasksError
    from buildx_tasks.project import NATIVE, Project

    try:
        with Project.load() as project:
            if name == "overlay":
                return sorted(_overlays(project.root))
            if name == "image":
                return sorted(project.pins or ())
            if name == "platform":
                return [NATIVE, *sorted(_platforms(project))]
            return sorted({*project.config.target, *project.config.group})
    except BuildxTasksError:
        return []


def _overlays(folder: Path) -> Iterable[str]:
    return (path.name.split(".")[1] for path in folder.glob("buildx.*.toml"))


def _platforms(project: Project) -> Iterable[str]:
    return {
        str(platform) for target in project.select("*").plan.targets for platform in target.declared
    }
