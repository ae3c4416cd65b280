"""Our tasks without a ``tasks.py``, as a repo has none before ``python -m buildx_tasks.tasks init``."""

from __future__ import annotations

from invoke import Program

from buildx_tasks.machine.version import __version__
from buildx_tasks.tasks import namespace

if __name__ == "__main__":
    program = Program(
        version=__version__, namespace=namespace, name="buildx-tasks", binary="buildx-tasks"
    )
    program.run()
