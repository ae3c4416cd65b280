"""``invoke lint``: BuildKit's checks of every Dockerfile, from one bake call, and our own.

BuildKit sends back each Dockerfile as it read it, from wherever it is; our own rules read that.
"""

from __future__ import annotations

import base64
import json
import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Callable

from buildx_tasks import builder as builders
from buildx_tasks import dockerfile, engine, ledger, rules
from buildx_tasks.build import permissions
from buildx_tasks.cases import cases
from buildx_tasks.commands import is_dry, json_text, locked, run, write_file
from buildx_tasks.errors import BuildError, EngineError
from buildx_tasks.expansion import LINK
from buildx_tasks.plan import Cell, bake_definition, batches
from buildx_tasks.rules import Finding

if TYPE_CHECKING:
    from collections.abc import Iterable

    from invoke import Context, Result

    from buildx_tasks.cases import Case
    from buildx_tasks.plan import Plan
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


def lint(c: Context, plan: Plan, root: Path, native: Callable[[Platform], bool]) -> list[Finding]:
    """Check the Dockerfiles of a plan; nothing is returned under --dry.

    ``native`` says which platforms the builder runs without an emulator.

    Raises:
        BuildError: a Dockerfile cannot be built at all.
        EngineError: buildx, the builder or BuildKit cannot check.

    """
    found: dict[Finding, None] = {}
    for part in batches(plan):
        checked = _ask(c, part, root)
        for case in cases(part):
            if case.name not in checked:
                continue
            spec = part.config.target[case.target]
            for finding in _findings(case, checked[case.name], native):
                if finding.code in spec.lint_ignore or finding._replace(platform=None) in found:
                    continue
                found[finding] = None
    return list(found)


def definition(plan: Plan) -> dict[str, Any]:
    """Return the bake file that checks the plan's Dockerfiles."""
    whole = bake_definition(plan)["target"]
    targets = {}
    for case in cases(plan):
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


def _ask(c: Context, plan: Plan, root: Path) -> dict[str, dict[str, Any]]:
    """Return BuildKit's answer for each Dockerfile, by the name that bake builds it under."""
    builder = builders.meant(plan.config, root)
    asked = definition(plan)
    text = json_text(asked)
    allowed = [word for p in permissions(asked["target"], root) for word in ("--allow", p)]
    files = ["--file", BAKE_FILE, "--metadata-file", METADATA_FILE]
    argv = [*builders.command(builder, "bake"), *files, "--progress", "quiet", *allowed]
    if is_dry(c):
        if root != Path.cwd():
            print(f"cd {shlex.quote(str(root))}")
        print(f"mkdir -p {ledger.FOLDER} && cat > {BAKE_FILE} <<'EOF'\n{text}EOF")
        run(c, argv, folder=root)
        return {}
    metadata = root / METADATA_FILE
    with locked(root / ledger.FOLDER / "lint.lock", "another lint of this project"):
        write_file(root / BAKE_FILE, text)
        metadata.unlink(missing_ok=True)
        # What it prints for people is in the metadata too; it ends with 1 where it warns.
        result = run(c, argv, folder=root, hide=True)
        facts = json.loads(metadata.read_text(encoding="utf-8")) if metadata.exists() else {}
    answers = {name: fact["result.json"] for name, fact in facts.items() if "result.json" in fact}
    lacking = asked["target"].keys() - answers.keys()
    if lacking:
        _explain(c, result, builders.name_of(builder) if builder else None)
    _require_buildable(plan, answers)
    return answers


def _explain(c: Context, result: Result, builder: str | None) -> None:
    engine.explain_failure(c, (), builder)
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


def _require_buildable(plan: Plan, answers: dict[str, dict[str, Any]]) -> None:
    errors = []
    for case in cases(plan):
        error = answers[case.name].get("buildError") or {}
        message = error.get("message", "")
        if message and not message.startswith(_VIOLATION):
            errors.append(f"{_place(case.file, _line(error))}: {message}")
    if errors:
        raise BuildError("\n".join([*errors, "correct this, then run invoke lint again"]))


def _line(data: dict[str, Any]) -> int:
    ranges = (data.get("location") or {}).get("ranges") or [{}]
    return int(ranges[0].get("start", {}).get("line", 0))


def _place(file: str, line: int) -> str:
    return f"{file}:{line}" if line else file


def _findings(
    case: Case, answer: dict[str, Any], native: Callable[[Platform], bool]
) -> list[Finding]:
    sources = answer.get("sources") or [{}]
    text = base64.b64decode(sources[0].get("data", "")).decode("utf-8", "replace")
    try:
        parsed = dockerfile.parse(text)
        own = rules.check(case, text, native)
    except ValueError as error:
        # Another frontend (# syntax=…) may have a language of its own.
        print(f"note: {case.file}: only BuildKit's own checks were made: {error}", file=sys.stderr)
        return _buildkit(case, answer, dockerfile.Dockerfile((), ()))
    order = {platform: number for number, platform in enumerate((None, *case.platforms))}
    return sorted(
        [*_buildkit(case, answer, parsed), *own],
        key=lambda one: (one.line, one.code, order.get(one.platform, 0)),
    )


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
                around[0].label if around else "",
                warning.get("detail") or warning.get("description", ""),
                warning.get("url", ""),
            )
        )
    return found


def rows(findings: Iterable[Finding]) -> list[tuple[str, ...]]:
    """Return findings as rows for people: code, cell or target, place, what is wrong, and the fix."""
    found: list[tuple[str, ...]] = []
    for one in findings:
        cell = str(Cell(one.target, one.platform)) if one.platform else one.target
        place = _place(one.file, one.line) + (f" ({one.stage})" if one.stage else "")
        found.append((one.code, cell, place, one.message, one.fix))
    return found


def summary(findings: Iterable[Finding]) -> dict[str, Any]:
    """Return findings as JSON data."""
    return {
        "findings": [
            {**one._asdict(), "platform": str(one.platform) if one.platform else None}
            for one in findings
        ]
    }
