"""Declare, build, run, verify and push multi-platform container images from invoke tasks.

A repo's ``tasks.py`` needs one line: ``from buildx_tasks import namespace``; a script of its own,
``from buildx_tasks import Project``. Each task can be imported by its name, too.
"""

from __future__ import annotations

import sys

from buildx_tasks.machine.version import __version__

TYPE_CHECKING = False  # typing's own costs more to import than all of this
if TYPE_CHECKING:
    from types import ModuleType

    from buildx_tasks.project import Project, Selection
    from buildx_tasks.tasks import (
        build,
        clean,
        doctor,
        import_,
        init,
        inspect,
        join,
        lint,
        lock,
        log,
        namespace,
        part,
        plan,
        promote,
        prune,
        push,
        run,
        schema,
        setup,
        verify,
    )

__all__ = [
    "Project",
    "Selection",
    "__version__",
    "build",
    "clean",
    "doctor",
    "import_",
    "init",
    "inspect",
    "join",
    "lint",
    "lock",
    "log",
    "namespace",
    "part",
    "plan",
    "promote",
    "prune",
    "push",
    "run",
    "schema",
    "setup",
    "verify",
]


def __getattr__(name: str) -> object:
    # Importing the package stays cheap: each name is loaded when it is asked for.
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    from buildx_tasks.machine import compiled

    place = "project" if name in ("Project", "Selection") else "tasks"
    with compiled.kept():
        return getattr(import_module(f"{__name__}.{place}"), name)


if not TYPE_CHECKING:
    ModuleType = type(sys)


class _Package(ModuleType):
    def __setattr__(self, name: str, value: object) -> None:
        # Python would put the room doctor/ over the task of that name, once it is imported.
        if name not in __all__ or not isinstance(value, ModuleType):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
