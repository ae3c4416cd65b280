"""A plan and a CI in; what its jobs begin with, out: tools, log-ins, secrets. Names, never values."""

from __future__ import annotations

import re
import shlex
from typing import TYPE_CHECKING, NamedTuple

from buildx_tasks import references
from buildx_tasks.errors import task_names
from buildx_tasks.language.artifacts import NAME, VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.planning.selection import Plan

_INSTALL = "pipx install --include-deps buildx-tasks"
# In Alpine's image of docker: pipx and git are not there, and its own folder is not on PATH.
_IN_ALPINE = f"apk add --no-cache git pipx && PIPX_BIN_DIR=/usr/local/bin {_INSTALL}"
# What the CI itself has for its own registry.
_OWN = {("gitlab", "registry.gitlab.com"): ("CI_REGISTRY_USER", "CI_REGISTRY_PASSWORD")}
_VARIABLE = re.compile(r"[A-Za-z_]\w*", re.ASCII)


class Login(NamedTuple):
    """A log-in at a registry: ``user`` and ``password`` are the variables that hold them."""

    registry: str
    user: str
    password: str

    @property
    def command(self) -> str:
        """The command that logs in: the password is on no command line."""
        return (
            f'printf %s "${self.password}" | docker login {shlex.quote(self.registry)} '
            f'--username "${self.user}" --password-stdin'
        )


def typed(*words: str) -> str:
    """Return a call of our tasks as a person's tasks file has them, quoted for a shell."""
    return shlex.join(["invoke", *(task_names.get(word, word) for word in words)])


def install(plan: Plan, system: str) -> str:
    """Return the shell command that gives a runner the tasks."""
    return plan.config.ci.install or (_IN_ALPINE if system == "gitlab" else _INSTALL)


def logins(plan: Plan, system: str) -> list[Login]:
    """Return the log-ins that the jobs of a run need, one for each registry that is named."""
    found: dict[str, Login] = {}
    names = set[str]()
    for place in _places(plan):
        registry = references.parse(place).registry
        if registry in found:
            continue
        name = re.sub(r"\W", "_", registry, flags=re.ASCII).upper()
        while name in names:  # nobody's password goes to another registry
            name += "_"
        names.add(name)
        usual = (f"REGISTRY_{name}_USER", f"REGISTRY_{name}_PASSWORD")
        found[registry] = Login(registry, *_OWN.get((system, registry), usual))
    return list(found.values())


def secrets(plan: Plan) -> list[str]:
    """Return the variables of the environment that builds take their secrets from."""
    found: dict[str, None] = {}
    for target in (*plan.targets, *plan.linked):
        for attributes in target.spec.builds:
            for entry in attributes.get("secret", ()):
                name = entry.get("env", "" if "src" in entry else entry.get("id", ""))
                if _VARIABLE.fullmatch(name):
                    found[name] = None
    return list(found)


def prepared(plan: Plan, system: str) -> list[str]:
    """Return the shell commands that each job begins with."""
    return [install(plan, system), *(one.command for one in logins(plan, system))]


def _places(plan: Plan) -> Iterator[str]:
    ci = plan.config.ci
    for target in plan.images:
        yield from target.spec.tags
        yield from target.spec.mirrors
    for artifact in plan.config.artifact.values():
        yield from map(str, artifact.references(dict.fromkeys((VERSION, NAME), "1")))
    mounts = plan.config.cache
    yield from filter(None, (ci.staging, ci.cache and ci.cache.repository, mounts.to))
