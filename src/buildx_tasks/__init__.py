"""Declare, build, run, verify and push multi-platform container images from invoke tasks.

A repo's ``tasks.py`` needs one line: ``from buildx_tasks import namespace``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from buildx_tasks.tasks import namespace

__all__ = ["namespace"]
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    # Importing the package stays cheap: invoke is loaded when the tasks are asked for.
    if name == "namespace":
        from buildx_tasks.tasks import namespace

        return namespace
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
