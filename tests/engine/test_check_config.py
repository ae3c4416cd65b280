from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import msgspec
from support import workspaces

from buildx_tasks.building import location
from buildx_tasks.language import expectations
from buildx_tasks.planning.selection import make_plan
from buildx_tasks.platforms import parse
from buildx_tasks.verification.check import Found, Subject
from buildx_tasks.verification.checks import config
from buildx_tasks.verification.containers import Session

if TYPE_CHECKING:
    from conftest import Project

DECLARED = {
    "entrypoint": ["/bin/echo"],
    "cmd": ["Hello"],
    "user": "app:app",
    "nonroot": True,
    "env": {"LEVEL": "info"},
    "ports": [8080, "53/udp"],
    "labels": {"org.example.kind": "test"},
    "annotations": {"org.example.on": "manifest", "org.example.by": "descriptor"},
    "working-dir": "/srv",
    "healthcheck": ["CMD", "/bin/true"],
    "stop-signal": "SIGINT",
}
# Each differs in one thing; the twin's name is how the one problem begins.
TWINS: dict[str, dict[str, Any]] = {
    'entrypoint: expected ["/app"], got ["/bin/echo"]; set ENTRYPOINT': {"entrypoint": ["/app"]},
    'cmd: expected none, got ["Hello"]; set CMD': {"cmd": []},
    'user: expected "root", got "app:app"; set USER': {"user": "root"},
    'env LEVEL: expected "debug", got "info"; set ENV': {"env": {"LEVEL": "debug"}},
    "ports: expected 8080/tcp, got 53/udp, 8080/tcp; set EXPOSE": {"ports": [8080]},
    'label org.example.kind: expected "x", got "test"': {"labels": {"org.example.kind": "x"}},
    # What is on the index is on neither manifest nor descriptor.
    'annotation org.example.at: expected "index", got nothing, but the index has it: expect it with '
    "index = { annotations = … }, or set annotations in buildx.toml": {
        "annotations": {"org.example.at": "index"}
    },
    'annotation org.example.kind: expected "test", got nothing, but it is a label: expect it with': {
        "annotations": {"org.example.kind": "test"}
    },
    'annotation org.example.on: expected "other", got "manifest"; set annotations in buildx.toml': {
        "annotations": {"org.example.on": "other"}
    },
    'working-dir: expected "/", got "/srv"; set WORKDIR': {"working-dir": "/"},
    'healthcheck: expected none, got ["CMD","/bin/true"]; set HEALTHCHECK': {"healthcheck": False},
    'stop-signal: expected "SIGTERM", got "SIGINT"; set STOPSIGNAL': {"stop-signal": "SIGTERM"},
}

DOCKERFILE = """
FROM scratch AS base
ENTRYPOINT ["/bin/echo"]
CMD ["Hello"]
COPY passwd /etc/passwd
FROM base AS plain
USER app:app
ENV LEVEL=info
EXPOSE 8080 53/udp
LABEL org.example.kind=test
WORKDIR /srv
HEALTHCHECK CMD ["/bin/true"]
STOPSIGNAL SIGINT
FROM base AS toor
USER toor
FROM base AS nobody
USER absent
FROM base AS root
"""


def test_each_field_passes_and_fails_for_its_own_reason(project: Project, name: str) -> None:
    project.write(DOCKERFILE, "Dockerfile")
    project.write("root:x:0:0::/:/bin/sh\ntoor:x:0:0::/:/bin/sh\napp:x:1000:1000::/:\n", "passwd")
    stages = ("plain", "toor", "nobody", "root")
    project.write("".join(_target(stage, name) for stage in stages))
    project.ok("build", "--progress", "quiet")
    with (
        closing(workspaces.declared(project.folder)) as workspace,
        closing(Session(workspace)) as session,
    ):
        targets = {target.name: target for target in make_plan(workspace.config).targets}

        def found(stage: str, platform: str, expected: dict[str, Any]) -> Found:
            target = targets[stage]
            image = location.require(workspace.engine, target)
            subject = Subject(session, target, image, parse(platform))
            return config.check(subject, msgspec.convert(expected, expectations.Config))

        for platform in ("linux/amd64", "linux/arm64"):
            assert found("plain", platform, DECLARED) == Found(facts=("user app is uid 1000",))
        for start, twin in TWINS.items():
            (problem,) = found(
                "plain", "linux/arm64", {**DECLARED, "nonroot": False, **twin}
            ).problems
            assert problem.startswith(start)
        users = {
            "toor": 'nonroot: the user "toor" is root: uid 0 in the image\'s /etc/passwd',
            "nobody": 'nonroot: the image\'s /etc/passwd has no user "absent", so it cannot start',
            "root": "nonroot: no user is set, so it runs as root; set USER in the Dockerfile",
        }
        for stage, start in users.items():
            (problem,) = found(stage, "linux/arm64", {"nonroot": True}).problems
            assert problem.startswith(start)


def _target(stage: str, name: str) -> str:
    return f"""
[target.{stage}]
target = "{stage}"
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{name}:{stage}"]
annotations = [
  "manifest:org.example.on=manifest",
  "manifest-descriptor:org.example.by=descriptor",
  "index:org.example.at=index",
]
"""
