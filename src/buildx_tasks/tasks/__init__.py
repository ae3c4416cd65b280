"""Flags of invoke in; one call of the project, and what it prints, out.

Heavy imports stay inside the tasks: ``invoke --list`` pays for none of them.
"""

from __future__ import annotations

from invoke import Collection

from buildx_tasks.tasks.building import build, run
from buildx_tasks.tasks.joining import join, part, prune
from buildx_tasks.tasks.locking import lock
from buildx_tasks.tasks.readying import clean, doctor, setup
from buildx_tasks.tasks.recalling import log
from buildx_tasks.tasks.shipping import inspect, promote, push
from buildx_tasks.tasks.starting import init, schema
from buildx_tasks.tasks.verifying import verify
from buildx_tasks.tasks.viewing import import_, lint, plan

__all__ = [
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

namespace = Collection(
    setup,
    build,
    run,
    verify,
    push,
    promote,
    inspect,
    log,
    lock,
    plan,
    part,
    join,
    prune,
    lint,
    doctor,
    clean,
    import_,
    init,
    schema,
)
