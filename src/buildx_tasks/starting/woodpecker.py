"""The jobs of a run in; the workflows of Woodpecker that run them, out: one for each level, and join."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.language.git import EPOCH
from buildx_tasks.planning.jobs import check_of, command_of
from buildx_tasks.planning.keeping import kept
from buildx_tasks.planning.pipelines import from_secrets, label_of, literal
from buildx_tasks.planning.preparing import prepared, secrets, typed
from buildx_tasks.starting.lines import items, mapping, scalar

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from buildx_tasks.planning.jobs import Job, Jobs
    from buildx_tasks.planning.selection import Plan

FOLDER = ".woodpecker"
NAMES = "images-*.yaml"
_NAME = "woodpecker"
_ID = "$CI_PIPELINE_NUMBER"

# Each job asks git itself, and takes no time of its own for the build's.
_FIXED = f"export {EPOCH}=$(git log -1 --format=%ct)"

_TEXT = """\

when:
{when}{before}{labels}
clone:
  - name: clone
    image: woodpeckerci/plugin-git
    settings: {{ partial: false, depth: 0, tags: true }}

steps:
  - name: {name}
    image: bash
{environment}    commands:
{commands}"""
_PUBLISHED = """\
  - event: push
    branch: [main, master]
  - event: tag
"""


def files(found: Jobs, flags: Sequence[str]) -> dict[str, str]:
    """Return the workflows; ``flags`` go to each command."""
    plan = found.plan
    texts = {"check": _check(plan, flags)}
    before: list[str] = []
    for number, level in enumerate(found.levels):
        by_key: dict[str, list[Job]] = {}
        for job in level:
            by_key.setdefault(label_of(job.runner)[0], []).append(job)
        named = {f"level-{number}{'' if len(by_key) == 1 else f'-{k}'}": k for k in by_key}
        texts.update({n: _level(found, flags, by_key[k], before) for n, k in named.items()})
        before = [f"images-{name}" for name in named]
    selected = [word for one in found.run.targets for word in ("-t", one.target.name)]
    commands = [
        f'{literal(typed("join", *selected, *flags))} --id "{_ID}"',
        *([literal(found.artifacts)] if found.artifacts else []),
        literal(typed("log", "--release-notes", *flags)),
    ]
    texts["join"] = _text(plan, "join", commands, before=before)
    return {f"{FOLDER}/images-{name}.yaml": text for name, text in texts.items()}


def _check(plan: Plan, flags: Sequence[str]) -> str:
    """Return the workflow of pull requests, which get no log-ins."""
    commands = [prepared(plan, _NAME)[0], check_of(flags)]
    return _TEXT.format(
        when="  - event: pull_request\n",
        before="",
        labels="",
        name="check",
        environment=_environment(plan, secrets(plan)),
        commands=items(map(literal, commands), 6),
    )


def _level(found: Jobs, flags: Sequence[str], jobs: Sequence[Job], before: Sequence[str]) -> str:
    targets = {one.target.name: one for one in found.run.targets}
    entries, has_cache = [], False
    for job in jobs:
        cache = kept(found.run, found.plan.config, targets[job.target], job.platform, _NAME)
        has_cache = has_cache or bool(cache)
        words = {"TARGET": job.target, "PLATFORM": str(job.platform)}
        words["RUNNER"] = label_of(job.runner)[1]
        lines = mapping({**words, **({"CACHE": " ".join(cache)} if cache else {})}, 6)
        entries.append(f"    - {lines[6:]}")
    key = label_of(jobs[0].runner)[0]
    labels = f"\nlabels:\n  {scalar(key)}: ${{RUNNER}}\n\nmatrix:\n  include:\n{''.join(entries)}"
    command = command_of("RUN", "TARGET", "PLATFORM", flags, _NAME)
    begin, _, end = command.partition(" build -t TARGET -p PLATFORM")
    chosen = (" ${CACHE}" if has_cache else "") + " build -t ${TARGET} -p ${PLATFORM}"
    end = literal(end).replace("--id RUN", f'--id "{_ID}"')
    command = f"{literal(begin)}{chosen}{end}"
    return _text(found.plan, "part", [command], before=before, labels=labels)


def _text(
    plan: Plan, name: str, commands: Sequence[str], *, before: Sequence[str], labels: str = ""
) -> str:
    listed = [*map(literal, prepared(plan, _NAME)), _FIXED, *commands]
    return _TEXT.format(
        when=_PUBLISHED,
        before=f"\ndepends_on:\n{items(before, 2)}" if before else "",
        labels=labels,
        name=name,
        environment=_environment(plan, from_secrets(plan)),
        commands=items(listed, 6),
    )


def _environment(plan: Plan, names: Iterable[str]) -> str:
    known = from_secrets(plan)
    lines = [f"      {name}: {{ from_secret: {known[name]['from_secret']} }}\n" for name in names]
    return f"    environment:\n{''.join(lines)}" if lines else ""
