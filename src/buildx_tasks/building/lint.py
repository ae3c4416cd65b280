"""A plan in; what is to be said of its Dockerfiles out: BuildKit's checks, by one bake, and our own."""

from __future__ import annotations

import base64
import sys
from typing import TYPE_CHECKING, Any

from buildx_tasks.builders.capability import explain_failure, local_text
from buildx_tasks.building import bake_call
from buildx_tasks.building.bake_call import BakeCall
from buildx_tasks.building.bases import Bases
from buildx_tasks.building.requirements import lacking
from buildx_tasks.building.resolving import Resolved
from buildx_tasks.building.unlocked import Unlocked
from buildx_tasks.dockerfiles import rules, stages
from buildx_tasks.dockerfiles.findings import Finding
from buildx_tasks.dockerfiles.instructions import syntax
from buildx_tasks.errors import BuildError, EngineError
from buildx_tasks.language.targets import LINK
from buildx_tasks.machine.locks import locked
from buildx_tasks.planning.bakefile import bake_definition
from buildx_tasks.planning.batches import batches
from buildx_tasks.planning.dockerfile_builds import dockerfile_builds
from buildx_tasks.records import ledger

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator
    from pathlib import Path

    from invoke import Result

    from buildx_tasks.dockerfiles.build import DockerfileBuild
    from buildx_tasks.dockerfiles.stages import Dockerfile
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
    bases = Bases(Resolved(workspace, builder), workspace.pins)
    unlocked = Unlocked(workspace, builder)
    for part in batches(plan):
        lacking = {} if workspace.commands.is_dry else _lacking(part, workspace.root)
        checked = _ask(workspace, part, builder, lacking)
        linked = {target.name for target in part.linked}
        for build in dockerfile_builds(part):
            spec = part.config.target[build.target]
            its = [lacking[build.name]] if build.name in lacking else []
            if build.name in checked:
                is_linked = build.target in linked
                looks = (bases, unlocked)
                its = _findings(build, checked[build.name], native, looks, linked=is_linked)
            for finding in its:
                if finding.code in spec.lint_ignore or finding._replace(platform=None) in found:
                    continue
                found[finding] = None
    return list(found)


def definition(plan: Plan, without: Collection[str] = ()) -> dict[str, Any]:
    """Return the bake file that checks the plan's Dockerfiles, ``without`` those of some names."""
    whole = bake_definition(plan, caches=False)["target"]
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
        if its := lacking(build, root):
            found[build.name] = _unbuildable(build, 0, "", its.what, its.fix)
    return found


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

    def call(names: Collection[str]) -> tuple[dict[str, dict[str, Any]], str]:
        its = {"group": {"default": {"targets": sorted(names)}}}
        chosen = {**its, "target": {name: asked["target"][name] for name in names}}
        # It ends with 1 where it warns.
        result, facts = bake_call.run(workspace, builder, chosen, _CALL)
        answers = {name: one["result.json"] for name, one in facts.items() if "result.json" in one}
        return answers, "" if answers.keys() >= set(names) else _why(workspace, result, builder)

    with locked(workspace.ledger.folder / "lint.lock", "another lint of this project"):
        answers, why = call(asked["target"])
        if why:
            builds = [one for one in dockerfile_builds(plan) if one.name in asked["target"]]
            answers = _apart(builds, workspace.root, call, why)
    return answers


def _apart(
    builds: list[DockerfileBuild],
    root: Path,
    call: Callable[[Collection[str]], tuple[dict[str, dict[str, Any]], str]],
    why: str,
) -> dict[str, dict[str, Any]]:
    """Ask again for those of each ``# syntax=``, and for each Dockerfile where that does not help.

    One that BuildKit cannot even begin with, as its frontend cannot be reached, stops a whole bake.
    """
    texts = {build.name: local_text(build, root) or "" for build in builds}
    wanted = {name: syntax(text) for name, text in texts.items()}
    groups: dict[str, list[str]] = {}
    for name, (frontend, _) in wanted.items():
        groups.setdefault(frontend, []).append(name)
    refused: dict[str, str] = {}
    answers: dict[str, dict[str, Any]] = {}
    waiting = list(groups.items())
    while waiting:
        frontend, names = waiting.pop(0)
        found, said = call(names) if len(names) < len(builds) else ({}, why)
        answers.update(found)
        if not said:
            continue
        if len(names) == 1 or (frontend and frontend.partition(":")[0] in said):
            refused.update(dict.fromkeys(names, said))
        else:
            waiting += [(frontend, [name]) for name in names]
    if not answers and not any(frontend for frontend, _ in wanted.values()):
        raise BuildError(
            f"the Dockerfiles could not be checked: {why}; correct this, then run invoke lint again"
        )
    for name, said in refused.items():
        frontend, line = wanted[name]
        place = {"ranges": [{"start": {"line": line}}]} if frontend else {}
        data = base64.b64encode(texts[name].encode()).decode()
        error = {"message": said, "location": place}
        answers[name] = {"buildError": error, "sources": [{"data": data}]}
    return answers


def _why(workspace: Workspace, result: Result, builder: Builder | None) -> str:
    """Return why bake gave no answer.

    Raises:
        EngineError: engine, builder or buildx are why.

    """
    explain_failure(workspace.engine, builder)
    said = [line for line in result.stderr.splitlines() if line.strip()]
    if result.ok or not said:
        raise EngineError(
            "buildx does not check Dockerfiles through bake; install buildx 0.16 or newer, and an "
            "engine with BuildKit 0.15 or newer"
        )
    return said[-1].partition("ERROR: ")[2] or said[-1]


def _line(data: dict[str, Any]) -> int:
    ranges = (data.get("location") or {}).get("ranges") or [{}]
    return int(ranges[0].get("start", {}).get("line", 0))


def _findings(
    build: DockerfileBuild,
    answer: dict[str, Any],
    native: Native,
    looks: tuple[Bases, Unlocked],
    *,
    linked: bool,
) -> list[Finding]:
    bases, unlocked = looks
    # BuildKit sends back each Dockerfile as it read it, from wherever it is; our own rules read that.
    sources = answer.get("sources") or [{}]
    text = base64.b64decode(sources[0].get("data", "")).decode("utf-8-sig", "replace")
    try:
        parsed = stages.parse(text)
        errors = list(_errors(build, answer, parsed))
        own = rules.check(build, text, native, linked=linked)
        if not errors:  # else BuildKit has no better way to the base images either
            known = bases.settled(build, text, native)
            own = [o for o in own if o.code != "ArchitectureInFrom" or o.line not in known]
            own += bases.lacking(build, text, native)
        own += unlocked.found(build, text, native)
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
