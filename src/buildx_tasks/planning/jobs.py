"""A run in; its jobs in levels, with runners and commands, out."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks import platforms
from buildx_tasks.language.git import EPOCH, FIXED
from buildx_tasks.language.targets import dashed, links
from buildx_tasks.planning.keeping import kept
from buildx_tasks.planning.preparing import typed
from buildx_tasks.planning.runs import part_tag

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from buildx_tasks.language.shipping import Ci
    from buildx_tasks.planning.runs import Run
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.platforms import Platform

HEADINGS = ("level", "cell", "runner", "run")

# Each CI's own runners by the architecture that they run natively; Woodpecker's are known by labels.
# Sources: https://docs.github.com/en/actions/reference/runners/github-hosted-runners
# https://docs.gitlab.com/ci/runners/hosted_runners/linux/
# https://woodpecker-ci.org/docs/usage/workflow-syntax#labels
RUNNERS = {
    "github": ("ubuntu-24.04", "ubuntu-24.04-arm"),
    "gitlab": ("saas-linux-small-amd64", "saas-linux-small-arm64"),
    "woodpecker": ("linux/amd64", "linux/arm64"),
}
_ARM = frozenset({"arm", "arm64"})
REPORT = ".buildx/verify.xml"  # which GitLab shows


class Job(NamedTuple):
    """One cell of a run: on which runner, and the command that makes, verifies and hands in its part."""

    target: str
    platform: Platform
    runner: str
    command: str

    @property
    def name(self) -> str:
        """What CI systems call it."""
        return f"{self.target}-{dashed(self.platform)}"


class Jobs(NamedTuple):
    """All jobs of a run: those of one level build on none of it; ``join`` is the command of the end.

    ``artifacts`` publishes what is no image behind that, ``""`` where there is nothing of the kind.
    Where nothing changed there is no level, and nothing to join.
    """

    run: Run
    plan: Plan
    levels: tuple[tuple[Job, ...], ...]
    join: str
    environment: Mapping[str, str]
    artifacts: str = ""

    @property
    def ending(self) -> list[str]:
        """The commands of the last job."""
        return [command for command in (self.join, self.artifacts) if command]


def jobs(
    run: Run,
    plan: Plan,
    ci: str,
    flags: Sequence[str],
    git: str = "",
    artifacts: Sequence[str] = (),
) -> Jobs:
    """Return the jobs of a run for a CI system.

    ``flags`` fix values for each command, ``git`` is what git says, fixed for all runners;
    ``artifacts`` are the names of those that go out behind the images.
    """
    by_level: dict[int, list[Job]] = {}
    levels = _levels(plan, [one.target.name for one in run.targets])
    for one in run.targets:
        name = one.target.name
        for platform in one.target.declared:
            runner = runner_of(plan.config.ci, platform, ci)
            chosen = [*flags, *kept(run, plan.config, one, platform, ci)]
            command = command_of(run.fixed.id, name, platform, chosen, ci)
            by_level.setdefault(levels[name], []).append(Job(name, platform, runner, command))
    selected = [word for one in run.targets for word in ("-t", one.target.name)]
    join = typed("join", "--id", run.fixed.id, *selected, *flags) if selected else ""
    listed = tuple(tuple(by_level[level]) for level in sorted(by_level))
    environment = {EPOCH: run.fixed.epoch, **({FIXED: git} if git else {})}
    behind = [word for name in artifacts if join for word in ("--artifact", name)]
    pushed = typed("push", *behind, *flags) if behind else ""
    return Jobs(run, plan, listed, join, environment, pushed)


def runner_of(ci: Ci, platform: Platform, system: str) -> str:
    """Return the runner of a platform: the declared one, else the CI's own that runs it natively."""
    declared = {platforms.parse(text): runner for text, runner in ci.runners.items()}
    usual, arm = RUNNERS[system]
    return declared.get(platform, arm if platform.architecture in _ARM else usual)


def _levels(plan: Plan, names: Sequence[str]) -> dict[str, int]:
    """Return the level of each target: above those that it builds on, through others too."""
    targets, found = plan.config.target, dict[str, int]()

    def level(name: str) -> int:
        if name not in found:
            below = [level(other) for other in dict.fromkeys(links(targets[name]).values())]
            # Of what has no job of its own only that counts which it builds on.
            found[name] = max((one + 1 for one in below), default=0)
            if name not in names:
                found[name] = max(below, default=-1)
        return found[name]

    return {name: level(name) for name in names}


def command_of(
    run: str, target: str, platform: Platform | str, flags: Sequence[str], system: str
) -> str:
    """Return what makes, verifies and hands in one cell; GitLab gets a report that it shows."""
    # What setup and build are given holds for the tasks behind them.
    made = ["setup", *flags, "build", "-t", target, "-p", str(platform)]
    report = ["--junit", REPORT] if system == "gitlab" else []
    return typed(*made, "verify", *report, "part", "--id", run)


def check_of(flags: Sequence[str], *report: str) -> str:
    """Return what makes and verifies all cells on one machine, and hands in none."""
    return typed("setup", *flags, "build", "verify", *report)


def summary(found: Jobs) -> dict[str, Any]:
    """Return a run with all that it fixes, and its jobs, as JSON data."""
    fixed = found.run.fixed
    return {
        "run": fixed.id,
        "commit": fixed.commit,
        "epoch": fixed.epoch,
        "lock": fixed.lock,
        "targets": [
            {
                "name": one.target.name,
                "plan": one.hash,
                "tags": one.target.spec.tags,
                "platforms": list(map(str, one.target.declared)),
                "parts": [
                    str(one.staging._replace(tag=part_tag(fixed.id, one.target.name, platform)))
                    for platform in one.target.declared
                ],
            }
            for one in found.run.targets
        ],
        "environment": dict(found.environment),
        "levels": [[described(job) for job in level] for level in found.levels],
        "join": found.join,
        **({"artifacts": found.artifacts} if found.artifacts else {}),
    }


def rows(found: Jobs) -> list[tuple[str, ...]]:
    """Return the jobs as rows for people."""
    listed = [
        (str(number), f"{job.target}@{job.platform}", job.runner, job.command)
        for number, level in enumerate(found.levels)
        for job in level
    ]
    named = zip(("(all)", "(artifacts)"), found.ending)
    return [*listed, *(("-", name, "-", command) for name, command in named)]


def exported(found: Jobs) -> str:
    """Return what gives a shell the environment of a run, ``""`` where nothing is fixed by it."""
    words = [f"{name}={shlex.quote(value)}" for name, value in found.environment.items() if value]
    return f"export {' '.join(words)}" if words and found.levels else ""


def described(job: Job) -> dict[str, str]:
    """Return a job as JSON data."""
    return {
        "target": job.target,
        "platform": str(job.platform),
        "runner": job.runner,
        "run": job.command,
    }
