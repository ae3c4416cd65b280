"""``invoke lint``: BuildKit's checks of every Dockerfile, from one bake call, and our own.

BuildKit sends back each Dockerfile as it read it, from wherever it is; our own rules read that.
"""

from __future__ import annotations

import base64
import json
import os.path
import sys
from typing import TYPE_CHECKING, Any, Callable

from buildx_tasks.builders import state as builders
from buildx_tasks.building.bake import permissions
from buildx_tasks.dockerfiles import rules
from buildx_tasks.dockerfiles import stages as dockerfile
from buildx_tasks.dockerfiles.rules import Finding
from buildx_tasks.engine import connection as engine
from buildx_tasks.errors import BuildError, EngineError
from buildx_tasks.language.expansion import LINK
from buildx_tasks.language.merging import REMOTE
from buildx_tasks.machine.commands import is_dry, json_text, locked, print_files, run, write_file
from buildx_tasks.planning.dockerfile_builds import cases, local_text
from buildx_tasks.planning.selection import Cell, bake_definition, batches
from buildx_tasks.records import ledger

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator
    from pathlib import Path

    from invoke import Context, Result

    from buildx_tasks.language.config import Builder
    from buildx_tasks.planning.dockerfile_builds import Case
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Platform

BAKE_FILE = f"{ledger.FOLDER}/lint.json"
METADATA_FILE = f"{ledger.FOLDER}/lint-metadata.json"

# Source: https://github.com/moby/buildkit/tree/master/frontend/dockerfile/docs/rules
BUILDKIT_CODES = frozenset(
    "ConsistentInstructionCasing CopyIgnoredFile DuplicateStageName ExposeInvalidFormat "
    "ExposeProtoCasing FromAsCasing FromPlatformFlagConstDisallowed InvalidBaseImagePlatform "
    "InvalidDefaultArgInFrom InvalidDefinitionDescription JSONArgsRecommended LegacyKeyValueFormat "
    "MaintainerDeprecated MultipleInstructionsDisallowed NoEmptyContinuation "
    "RedundantTargetPlatform ReservedStageName SecretsUsedInArgOrEnv StageNameCasing "
    "UndefinedArgInFrom UndefinedVar WorkdirRelativePath".split()
)
KNOWN_CODES = BUILDKIT_CODES.union(rules.CODES)

# What a check asks of a target; a remote context may need the rest to be read at all.
_ASKED = ("args", "context", "contexts", "dockerfile", "dockerfile-inline", "platforms", "target")
_ASKED_REMOTE = (*_ASKED, "secret", "ssh")
# buildx cannot check a target that is built on another one; an empty image stands in for that.
# Source: https://github.com/docker/buildx/issues/3343
_STAND_IN = "docker-image://scratch"
_UNSEEN = frozenset({"UndefinedVar", "WorkdirRelativePath"})  # need the environment of the base
_VIOLATION = "lint violation found"  # what # check=error=true makes of warnings


def lint(
    c: Context,
    plan: Plan,
    root: Path,
    builder: Builder | None,
    native: Callable[[Platform], bool],
) -> list[Finding]:
    """Check the Dockerfiles of a plan; nothing is returned under --dry.

    ``native`` says which platforms the builder runs without an emulator.

    Raises:
        BuildError: buildx cannot read what it is to check.
        EngineError: buildx, the builder or BuildKit cannot check.

    """
    found: dict[Finding, None] = {}
    for part in batches(plan):
        lacking = {} if is_dry(c) else _lacking(part, root)
        checked = _ask(c, part, root, builder, lacking)
        linked = {target.name for target in part.linked}
        for case in cases(part):
            spec = part.config.target[case.target]
            its = [lacking[case.name]] if case.name in lacking else []
            if case.name in checked:
                its = _findings(case, checked[case.name], native, linked=case.target in linked)
            for finding in its:
                if finding.code in spec.lint_ignore or finding._replace(platform=None) in found:
                    continue
                found[finding] = None
    return list(found)


def definition(plan: Plan, without: Collection[str] = ()) -> dict[str, Any]:
    """Return the bake file that checks the plan's Dockerfiles, ``without`` those of some names."""
    whole = bake_definition(plan)["target"]
    targets = {}
    for case in cases(plan):
        if case.name in without:
            continue
        attributes = whole[case.name]
        wanted = _ASKED_REMOTE if case.is_remote else _ASKED
        asked = {key: attributes[key] for key in wanted if key in attributes}
        if "contexts" in asked:
            asked["contexts"] = {
                name: _STAND_IN if value.startswith(LINK) else value
                for name, value in asked["contexts"].items()
            }
        targets[case.name] = {**asked, "call": "check"}
    return {"group": {"default": {"targets": sorted(targets)}}, "target": targets}


def _lacking(plan: Plan, root: Path) -> dict[str, Finding]:
    """Return what is to be said of Dockerfiles that are not here: one would fail the whole bake."""
    found = {}
    for case in cases(plan):
        context: str = case.attributes.get("context", ".")
        name: str = case.attributes.get("dockerfile", "Dockerfile")
        if case.is_remote or REMOTE.match(name):
            continue
        if not (root / context).exists():
            words = (
                f"there is no context {context}",
                "context is named from the folder of buildx.toml",
            )
        elif local_text(case, root) is None:
            words = "there is no such Dockerfile", _where(case.target, context, name, root)
        else:
            continue
        found[case.name] = _unbuildable(case, 0, "", *words)
    return found


def _where(target: str, context: str, name: str, root: Path) -> str:
    """Return where a Dockerfile is looked for, and what to write where it is elsewhere."""
    rule = f"dockerfile is named from the context, {context}"
    if not (root / name).is_file():
        return f"{rule}; correct dockerfile or context in [target.{target}]"
    right = os.path.relpath(root / name, root / context)
    return f'{rule}; write dockerfile = "{right}" in [target.{target}]'


def _unbuildable(case: Case, line: int, stage: str, message: str, fix: str) -> Finding:
    platform = case.platforms[0] if case.apart else None
    return Finding("Unbuildable", case.target, platform, case.file, line, stage, message, fix)


def _ask(
    c: Context, plan: Plan, root: Path, builder: Builder | None, without: Collection[str]
) -> dict[str, dict[str, Any]]:
    """Return BuildKit's answer for each Dockerfile, by the name that bake builds it under."""
    asked = definition(plan, without)
    if not asked["target"]:
        return {}
    text = json_text(asked)
    allowed = [word for p in permissions(asked["target"], root) for word in ("--allow", p)]
    files = ["--file", BAKE_FILE, "--metadata-file", METADATA_FILE]
    argv = [*builders.command(builder, "bake"), *files, "--progress", "quiet", *allowed]
    if is_dry(c):
        print_files({BAKE_FILE: text}, root)
        run(c, argv, folder=root)
        return {}
    metadata = root / METADATA_FILE
    ledger.prepare(root)
    with locked(root / ledger.FOLDER / "lint.lock", "another lint of this project"):
        write_file(root / BAKE_FILE, text)
        metadata.unlink(missing_ok=True)
        # What it prints for people is in the metadata too; it ends with 1 where it warns.
        result = run(c, argv, folder=root, hide=True)
        facts = json.loads(metadata.read_text(encoding="utf-8")) if metadata.exists() else {}
    answers = {name: fact["result.json"] for name, fact in facts.items() if "result.json" in fact}
    lacking = asked["target"].keys() - answers.keys()
    if lacking:
        _explain(c, result, builder)
    return answers


def _explain(c: Context, result: Result, builder: Builder | None) -> None:
    needs_engine = builder is None or builder.driver in builders.ENGINES
    engine.explain_failure(c, () if needs_engine else None, builder.name if builder else None)
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


def _place(file: str, line: int) -> str:
    return f"{file}:{line}" if line else file


def _findings(
    case: Case, answer: dict[str, Any], native: Callable[[Platform], bool], *, linked: bool
) -> list[Finding]:
    sources = answer.get("sources") or [{}]
    text = base64.b64decode(sources[0].get("data", "")).decode("utf-8", "replace")
    try:
        parsed = dockerfile.parse(text)
        errors = list(_errors(case, answer, parsed))
        own = rules.check(case, text, native, linked=linked)
    except ValueError as error:
        empty = dockerfile.Dockerfile((), ())
        errors = list(_errors(case, answer, empty))
        if errors:
            return [*errors, *_buildkit(case, answer, empty)]
        # Another frontend (# syntax=…) may have a language of its own.
        print(f"note: {case.file}: only BuildKit's own checks were made: {error}", file=sys.stderr)
        return _buildkit(case, answer, empty)
    order = {platform: number for number, platform in enumerate((None, *case.platforms))}
    return sorted(
        [*errors, *_buildkit(case, answer, parsed), *own],
        key=lambda one: (one.line, one.code, order.get(one.platform, 0)),
    )


def _errors(case: Case, answer: dict[str, Any], parsed: dockerfile.Dockerfile) -> Iterator[Finding]:
    """Yield why BuildKit cannot build a Dockerfile."""
    error = answer.get("buildError") or {}
    message = error.get("message", "")
    if message and not message.startswith(_VIOLATION):
        line = _line(error)
        fix = "correct this, then run invoke lint again: what is behind it may not have been read"
        yield _unbuildable(case, line, _stage(parsed, line), message, fix)


def _stage(parsed: dockerfile.Dockerfile, line: int) -> str:
    """Return the stage that a line is in; ``""`` for none."""
    around = [stage for stage in parsed.stages if stage.line <= line]
    return around[-1].label if around else ""


def _buildkit(case: Case, answer: dict[str, Any], parsed: dockerfile.Dockerfile) -> list[Finding]:
    """Return BuildKit's warnings, without those that come from the stand-in for another target."""
    linked = {name for name, value in case.contexts.items() if value.startswith(LINK)}
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
                case.target,
                case.platforms[0] if case.apart else None,
                case.file,
                line,
                _stage(parsed, line),
                warning.get("detail") or warning.get("description", ""),
                warning.get("url", ""),
            )
        )
    return found


def merged(findings: Iterable[Finding]) -> dict[Finding, list[str]]:
    """Return findings with the cells that each is of; those that differ only in the platform are one."""
    found: dict[Finding, list[str]] = {}
    for one in findings:
        cell = str(Cell(one.target, one.platform)) if one.platform else one.target
        found.setdefault(one._replace(platform=None), []).append(cell)
    return found


def lines(findings: Iterable[Finding]) -> list[str]:
    """Return findings as lines for people: what is wrong where, and below it the fix."""
    found = []
    for one, cells in merged(findings).items():
        place = _place(one.file, one.line)
        found.append(f"{place}: {one.code} {one.message} [{', '.join(cells)}]")
        if one.fix:
            found.append(f"  fix: {one.fix}")
    return found


def summary(findings: Iterable[Finding]) -> dict[str, Any]:
    """Return findings as JSON data."""
    return {
        "findings": [
            {**one._asdict(), "platform": str(one.platform) if one.platform else None}
            for one in findings
        ]
    }
