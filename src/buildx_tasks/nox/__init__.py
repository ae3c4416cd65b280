"""A person's noxfile in; sessions that build, verify and push their images, by invoke, out.

``from buildx_tasks.nox import sessions; sessions()`` is all that the noxfile needs: see docs/nox.md.
"""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    import nox

    from buildx_tasks.planning.cells import Cell

TAG = "images"  # of build, verify and push
_TASKS = ("build", "verify", "push")
_MEANING = {
    "build": "Build the declared images; arguments as of invoke build, as in: -- -t app",
    "verify": "Verify the images that were built; arguments as of invoke verify",
    "push": "Publish what was verified; arguments as of invoke push",
}
_SECONDS = 10.0  # our tasks end within 5 s of Ctrl-C, with all that they started


def sessions(folder: Path | str = ".", *, collection: str = "") -> list[str]:
    """Add ``build``, ``verify``, ``push`` and ``verify(target@platform)`` to a noxfile; return all names.

    They run ``invoke`` of the interpreter that runs nox, in no virtualenv of their own. A plain
    ``nox`` runs ``build`` and ``verify``. Where ``buildx.toml`` cannot be used, nox is told so, and
    there are no cells.

    Args:
        folder: where ``tasks.py`` and ``buildx.toml`` are, from the noxfile's folder on.
        collection: the name under which ``tasks.py`` has our tasks, as ``image`` of ``image.build``.

    Raises:
        ValueError: the noxfile has a session of one of these names already.

    """
    prefix = f"{collection}." if collection else ""
    for task in _TASKS:
        _add(task, Path(folder), [f"{prefix}{task}"], _MEANING[task], (TAG,))
    names = list(_TASKS)
    for cell in _cells(Path(folder)):
        words = [f"{prefix}verify", "-t", cell.target, "-p", str(cell.platform)]
        name = f"verify({cell})"
        _add(name, Path(folder), words, f"Verify {cell}", _tags(cell))
        names.append(name)
    return names


def _cells(folder: Path) -> Iterator[Cell]:
    from nox.logger import logger

    from buildx_tasks.errors import BuildxTasksError
    from buildx_tasks.project import Project

    try:
        with Project.load(folder) as project:
            targets = project.select("*").plan.images
    except BuildxTasksError as error:
        logger.warning(f"no sessions verify(target@platform): {error}")
        return
    for target in targets:
        yield from target.cells


def _tags(cell: Cell) -> tuple[str, ...]:
    """Return what ``-t`` selects the cell by; ``-k`` knows only what could be a name in Python."""
    words = (cell.target, str(cell.platform))
    return tuple(dict.fromkeys((*words, *(re.sub(r"\W", "_", word) for word in words))))


def _add(name: str, folder: Path, words: list[str], meaning: str, tags: tuple[str, ...]) -> None:
    import nox

    def session(session: nox.Session) -> None:
        if not _has_tasks(folder.resolve()):
            session.error(
                f"no tasks.py in {folder.resolve()} or above it; write one with the line: "
                "from buildx_tasks import namespace"
            )
        root = [] if str(folder) == "." else ["--search-root", str(folder)]
        session.run(
            *(sys.executable, "-m", "invoke", *root, *words, *session.posargs),
            external=True,
            interrupt_timeout=_SECONDS,
            terminate_timeout=_SECONDS,
        )

    session.__doc__ = meaning
    is_cell = "(" in name
    is_default = not is_cell and name != "push"
    nox.session(name=name, venv_backend="none", tags=list(tags), default=is_default)(session)


def _has_tasks(folder: Path) -> bool:
    """Say whether invoke can find a collection; a configuration may name another one."""
    if "INVOKE_TASKS_COLLECTION_NAME" in os.environ:
        return True
    known = ("tasks.py", "tasks", "invoke.yaml", "invoke.yml", "invoke.json", "invoke.py")
    return any((above / one).exists() for above in (folder, *folder.parents) for one in known)
