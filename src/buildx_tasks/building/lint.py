"""A plan in; what is to be said of its Dockerfiles out: BuildKit's checks, by one bake, and our own."""

from __future__ import annotations

import base64
import os.path
import sys
from typing import TYPE_CHECKING, Any

from buildx_tasks.builders.capability import explain_failure, local_text
from buildx_tasks.building import bake_call
from buildx_tasks.building.bake_call import BakeCall
from buildx_tasks.dockerfiles import rules, stages
from buildx_tasks.dockerfiles.findings import Finding
from buildx_tasks.errors import BuildError, EngineError
from buildx_tasks.language.targets import LINK
from buildx_tasks.machine.locks import locked
from buildx_tasks.planning.bakefile import bake_definition
from buildx_tasks.planning.batches import batches
from buildx_tasks.planning.dockerfile_builds import dockerfile_builds
from buildx_tasks.records import ledger
from buildx_tasks.references import REMOTE

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator
    from pathlib import Path

    from invoke import Result

    from buildx_tasks.dockerfiles.build import DockerfileBuild
    from buildx_tasks.dockerfiles.stages import Dockerfile
    from buildx_tasks.engine.engine import Engine
    from buildx_tasks.language.config import Builder
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Native
    from buildx_tasks.workspace import Workspace

# What it prints for people is in the metadata too.
_CALL = BakeCall(
    f"{ledger.FOLDER}/lint.json", f"{ledger.FOLDER}/lint-metadata.json", "quiet", hidden=True
)
# What a check asks of a target; a remote context may need the rest to be read at all.
_ASKED = ("args", "context", "contexts", "dockerfile", "dockerfile-inline", "platforms", "target")
_ASKED_REMOTE = (*_ASKED, "secret", "ssh")
# buildx cannot check a target that is built on another one; an empty image stands in for that.
# Source: https://github.com/docker/buildx/issues/3343
_STAND_IN = "docker-image://scratch"
_UNSEEN = frozenset({"UndefinedVar", "WorkdirRelativePath"})  # need the environment of the base
_VIOLATION = "lint violation found"  # what # check=error=true makes of warnings


def lint(
    workspace: Workspace, plan: Plan, builder: Builder | None, native: Native
) -> list[Finding]:
    """Check the Dockerfiles of a plan; nothing is returned under --dry.

    ``native`` says which platforms the builder runs without an emulator.

    Raises:
        BuildError: buildx cannot read what it is to check.
        EngineError: buildx, the builder or BuildKit cannot check.

    """
    found: dict[Finding, None] = {}
    for part in batches(plan):
        lacking = {} if workspace.commands.is_dry else _lacking(part, workspace.root)
        checked = _ask(workspace, part, builder, lacking)
        linked = {target.name for target in part.linked}
        for build in dockerfile_builds(part):
            spec = part.config.target[build.target]
            its = [lacking[build.name]] if build.name in lacking else []
            if build.name in checked:
                its = _findings(build, checked[build.name], native, linked=build.target in linked)
            for finding in its:
                if finding.code in spec.lint_ignore or finding._replace(platform=None) in found:
                    continue
                found[finding] = None
    return list(found)


def definition(plan: Plan, without: Collection[str] = ()) -> dict[str, Any]:
    """Return the bake file that checks the plan's Dockerfiles, ``without`` those of some names."""
    whole = bake_definition(plan)["target"]
    targets = {}
    for build in dockerfile_builds(plan):
        if build.name in without:
            continue
        attributes = whole[build.name]
        wanted = _ASKED_REMOTE if build.is_remote else _ASKED
        asked = {key: attributes[key] for key in wanted if key in attributes}
        if "contexts" in asked:
            asked["contexts"] = {
                name: _STAND_IN if value.startswith(LINK) else value
                for name, value in asked["contexts"].items()
            }
        targets[build.name] = {**asked, "call": "check"}
    return {"group": {"default": {"targets": sorted(targets)}}, "target": targets}


def _lacking(plan: Plan, root: Path) -> dict[str, Finding]:
    """Return what is to be said of Dockerfiles that are not here: one would fail the whole bake."""
    found = {}
    for build in dockerfile_builds(plan):
        context: str = build.attributes.get("context", ".")
        name: str = build.attributes.get("dockerfile", "Dockerfile")
        if build.is_remote or REMOTE.match(name):
            continue
        if not (root / context).exists():
            words = (
                f"there is no context {context}",
                "context is named from the folder of buildx.toml",
            )
        elif local_text(build, root) is None:
            words = "there is no such Dockerfile", _where(build.target, context, name, root)
        else:
            continue
        found[build.name] = _unbuildable(build, 0, "", *words)
    return found


def _where(target: str, context: str, name: str, root: Path) -> str:
    """Return where a Dockerfile is looked for, and what to write where it is elsewhere."""
    rule = f"dockerfile is named from the context, {context}"
    if not (root / name).is_file():
        return f"{rule}; correct dockerfile or context in [target.{target}]"
    right = os.path.relpath(root / name, root / context)
    return f'{rule}; write dockerfile = "{right}" in [target.{target}]'


def _unbuildable(build: DockerfileBuild, line: int, stage: str, message: str, fix: str) -> Finding:
    platform = build.platforms[0] if build.apart else None
    return Finding("Unbuildable", build.target, platform, build.file, line, stage, message, fix)


def _ask(
    workspace: Workspace, plan: Plan, builder: Builder | None, without: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Return BuildKit's answer for each Dockerfile, by the name that bake builds it under."""
    asked = definition(plan, without)
    if not asked["target"]:
        return {}
    if workspace.commands.is_dry:
        bake_call.run(workspace, builder, asked, _CALL._replace(hidden=False))
        return {}
    workspace.ledger.prepare()
    with locked(workspace.ledger.folder / "lint.lock", "another lint of this project"):
        # It ends with 1 where it warns.
        result, facts = bake_call.run(workspace, builder, asked, _CALL)
    answers = {name: fact["result.json"] for name, fact in facts.items() if "result.json" in fact}
    if asked["target"].keys() - answers.keys():
        _explain(workspace.engine, result, builder)
    return answers


def _explain(engine: Engine, result: Result, builder: Builder | None) -> None:
    explain_failure(engine, builder)
    said = [line for line in result.stderr.splitlines() if line.strip()]
    if result.ok or not said:
        raise EngineError(
            "buildx does not check Dockerfiles through bake; install buildx 0.16 or newer, and an "
            "engine with BuildKit 0.15 or newer"
        )
    raise BuildError(
        f"the Dockerfiles could not be checked: {said[-1].partition('ERROR: ')[2] or said[-1]}; "
        "correct this, then run invoke lint again"
    )


def _line(data: dict[str, Any]) -> int:
    ranges = (data.get("location") or {}).get("ranges") or [{}]
    return int(ranges[0].get("start", {}).get("line", 0))


def _findings(
    build: DockerfileBuild, answer: dict[str, Any], native: Native, *, linked: bool
) -> list[Finding]:
    # BuildKit sends back each Dockerfile as it read it, from wherever it is; our own rules read that.
    sources = answer.get("sources") or [{}]
    text = base64.b64decode(sources[0].get("data", "")).decode("utf-8", "replace")
    try:
        parsed = stages.parse(text)
        errors = list(_errors(build, answer, parsed))
        own = rules.check(build, text, native, linked=linked)
    except ValueError as error:
        empty = stages.Dockerfile((), ())
        errors = list(_errors(build, answer, empty))
        if errors:
            return [*errors, *_buildkit(build, answer, empty)]
        # Another frontend (# syntax=…) may have a language of its own.
        print(f"note: {build.file}: only BuildKit's own checks were made: {error}", file=sys.stderr)
        return _buildkit(build, answer, empty)
    order = {platform: number for number, platform in enumerate((None, *build.platforms))}
    return sorted(
        [*errors, *_buildkit(build, answer, parsed), *own],
        key=lambda one: (one.line, one.code, order.get(one.platform, 0)),
    )


def _errors(
    build: DockerfileBuild, answer: dict[str, Any], parsed: Dockerfile
) -> Iterator[Finding]:
    """Yield why BuildKit cannot build a Dockerfile."""
    error = answer.get("buildError") or {}
    message = error.get("message", "")
    if message and not message.startswith(_VIOLATION):
        line = _line(error)
        fix = "correct this, then run invoke lint again: what is behind it may not have been read"
        yield _unbuildable(build, line, _stage(parsed, line), message, fix)


def _stage(parsed: Dockerfile, line: int) -> str:
    """Return the stage that a line is in; ``""`` for none."""
    around = [stage for stage in parsed.stages if stage.line <= line]
    return around[-1].label if around else ""


def _buildkit(build: DockerfileBuild, answer: dict[str, Any], parsed: Dockerfile) -> list[Finding]:
    """Return BuildKit's warnings, without those that come from the stand-in for another target."""
    linked = {name for name, value in build.contexts.items() if value.startswith(LINK)}
    unseen: set[int] = set()
    for stage in parsed.stages:
        bases = {s.name for s in parsed.stages[: stage.number] if s.number in unseen and s.name}
        if stage.base.lower() in linked | bases:
            unseen.add(stage.number)
    found = []
    for warning in answer.get("warnings") or []:
        code, line = warning["ruleName"], _line(warning)
        around = [stage for stage in parsed.stages if stage.line <= line][-1:]
        if code in _UNSEEN and unseen.intersection(stage.number for stage in around):
            continue
        found.append(
            Finding(
                code,
                build.target,
                build.platforms[0] if build.apart else None,
                build.file,
                line,
                _stage(parsed, line),
                warning.get("detail") or warning.get("description", ""),
                warning.get("url", ""),
            )
        )
    return found
