"""The jobs of a run in; what GitHub, GitLab and Woodpecker read of them, as JSON data, out."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

from buildx_tasks.planning.jobs import REPORT, described
from buildx_tasks.planning.preparing import logins, prepared, secrets, typed
from buildx_tasks.text import json_line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.planning.jobs import Jobs
    from buildx_tasks.planning.selection import Plan

# Docker's own image, and the engine beside it; a runner without containers leaves both out.
# Source: https://docs.gitlab.com/ci/docker/using_docker_build/#use-docker-in-docker
IMAGE, SERVICE = "docker:28-cli", "docker:28-dind"
ENGINE = {
    "DOCKER_HOST": "tcp://docker:2376",
    "DOCKER_TLS_CERTDIR": "/certs",
    "DOCKER_CERT_PATH": "/certs/client",
    "DOCKER_TLS_VERIFY": "1",
}
NOTES = "release-notes.md"


def github(found: Jobs) -> dict[str, Any]:
    """Return a matrix of GitHub Actions for each level, with the environment and the last command."""
    return {
        "environment": dict(found.environment),
        "levels": [{"include": [described(job) for job in level]} for level in found.levels],
        "join": found.join,
        **({"artifacts": found.artifacts} if found.artifacts else {}),
    }


def gitlab(found: Jobs) -> dict[str, Any]:
    """Return a child pipeline of GitLab: a stage for each level, and one that joins.

    Source: https://docs.gitlab.com/ci/pipelines/downstream_pipelines/#dynamic-child-pipelines
    """
    if not found.levels:
        return {"nothing-changed": {"script": ["echo nothing changed"]}}
    stages = [f"level-{number}" for number in range(len(found.levels))]
    begin = {"image": IMAGE, "services": [SERVICE], "before_script": prepared(found.plan, "gitlab")}
    pipeline: dict[str, Any] = {
        "stages": [*stages, "join"],
        "variables": {**ENGINE, **found.environment},
        "default": begin,
    }
    report = {"when": "always", "reports": {"junit": REPORT}}
    for stage, level in zip(stages, found.levels):
        for job in level:
            pipeline[job.name] = {
                "stage": stage,
                "tags": [job.runner],
                "script": [job.command],
                "artifacts": report,
            }
    pipeline["join"] = {
        "stage": "join",
        "script": [*found.ending, f"{typed('log', '--release-notes')} > {NOTES}"],
        "artifacts": {"paths": [NOTES]},
    }
    return pipeline


def woodpecker(found: Jobs) -> dict[str, Any]:
    """Return the workflows of Woodpecker, as its configuration extension hands them on.

    Source: https://woodpecker-ci.org/docs/usage/extensions/configuration-extension
    """
    if not found.levels:
        return {"configs": []}
    configs, before = [], list[str]()
    for level in found.levels:
        for job in level:
            key, label = label_of(job.runner)
            workflow = {"labels": {key: label}, "steps": _steps(found, "part", [job.command])}
            configs.append(_config(job.name, workflow, before))
        before = [job.name for job in level]
    commands = [*found.ending, typed("log", "--release-notes")]
    configs.append(_config("join", {"steps": _steps(found, "join", commands)}, before))
    return {"configs": configs}


def label_of(runner: str) -> tuple[str, str]:
    """Return the label that Woodpecker knows a runner by: the one that is named, else its platform."""
    key, mark, value = runner.partition("=")
    return (key, value) if mark else ("platform", runner)


def literal(command: str) -> str:
    """Return a command that Woodpecker hands to the shell as it is.

    It fills in ``${`` itself, and takes ``$$`` for the one dollar that is not filled in.

    Source: https://woodpecker-ci.org/docs/usage/environment#string-substitution
    Source: scanEscaped in https://github.com/drone/envsubst/blob/master/parse/scan.go
    """
    return re.sub(r"\$(?=[${])", "$$", command)


def from_secrets(plan: Plan) -> dict[str, Any]:
    """Return the variables that Woodpecker fills with its secrets, which are in lower case."""
    needed = [name for one in logins(plan, "woodpecker") for name in (one.user, one.password)]
    return {name: {"from_secret": name.lower()} for name in (*needed, *secrets(plan))}


def _steps(found: Jobs, name: str, commands: Sequence[str]) -> list[dict[str, Any]]:
    # The local backend, where docker is at hand, takes the name of a shell for the image.
    environment = {**found.environment, **from_secrets(found.plan)}
    listed = [literal(one) for one in (*prepared(found.plan, "woodpecker"), *commands)]
    return [{"name": name, "image": "bash", "environment": environment, "commands": listed}]


def _config(name: str, workflow: dict[str, Any], before: Sequence[str]) -> dict[str, str]:
    needs = {"depends_on": list(before)} if before else {}
    return {"name": name, "data": json_line({**needs, **workflow})}
