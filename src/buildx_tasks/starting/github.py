"""The jobs of a run in; the workflow of GitHub Actions that runs them, out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks import platforms
from buildx_tasks.planning.jobs import check_of, runner_of
from buildx_tasks.planning.preparing import install, logins, secrets, typed
from buildx_tasks.starting.lines import indented, mapping, scalar

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from buildx_tasks.planning.jobs import Jobs
    from buildx_tasks.planning.preparing import Login
    from buildx_tasks.planning.selection import Plan

FILE = ".github/workflows/images.yml"

_CHECKOUT = "actions/checkout@de0fac2e4500dabe0009e67214ff5f5447ce83dd # v6.0.2"
# GitHub's own, too; what its cache needs is given to actions alone, and not to commands.
_SCRIPT = "actions/github-script@ed597411d8f924073f98dfc5c65a23a2325f34cd # v8.0.0"
_OF_CACHE = "ACTIONS_CACHE_SERVICE_V2 ACTIONS_RESULTS_URL ACTIONS_RUNTIME_TOKEN"
_OWN_REGISTRY = "ghcr.io"
_PLAN = "fromJSON(needs.plan.outputs.plan)"

_HEAD = """\
name: images

on:
  push:
    branches: [main, master]
    tags: ["v*"]
  pull_request:

permissions:
  contents: read

jobs:
  # Pull requests publish nothing: all platforms on one runner, emulated where they must be.
  check:
    if: github.event_name == 'pull_request'
    runs-on: {runner}
    steps:
{begun}{check}
  # Says what there is to do, and fixes for all jobs what git says.
  plan:
    if: github.event_name != 'pull_request'
    runs-on: {runner}
    outputs:
      plan: ${{{{ steps.plan.outputs.plan }}}}
    steps:
{begun}      - id: plan
        run: |
          plan=$({plan} --id "$GITHUB_RUN_ID-$GITHUB_RUN_ATTEMPT" --format github)
          echo "plan=$plan" >> "$GITHUB_OUTPUT"
"""
_LEVEL = """
  level-{number}:
    needs: [{needs}]
    strategy:
      matrix: ${{{{ {plan}.levels[{number}] }}}}
    runs-on: ${{{{ matrix.runner }}}}
{permissions}    env: ${{{{ {plan}.environment }}}}
    steps:
{begun}{run}"""
_JOIN = """
  join:
    needs: [{needs}]
    runs-on: {runner}
{permissions}    env: ${{{{ {plan}.environment }}}}
    steps:
{begun}      - run: ${{{{ {plan}.join }}}}
{artifacts}      - run: {notes}
"""


def files(found: Jobs, flags: Sequence[str]) -> dict[str, str]:
    """Return the workflow; ``flags`` go to each command that is not the plan's own."""
    plan = found.plan
    runner = runner_of(plan.config.ci, platforms.parse("linux/amd64"), "github")
    secret = {name: f"${{{{ secrets.{name} }}}}" for name in secrets(plan)}
    levels = range(len(found.levels))
    deep, shallow = _begun(plan, depth=0), _begun(plan, depth=1)
    ready = shallow + _logged_in(logins(plan, "github"))
    cached = plan.config.ci.cache and plan.config.ci.cache.type == "gha"
    check = _step(check_of(flags), secret)
    head = _HEAD.format(runner=scalar(runner), begun=deep, check=check, plan=typed("plan", *flags))
    parts = [
        _LEVEL.format(
            number=number,
            needs=", ".join(["plan", *(f"level-{n}" for n in levels[:number])]),
            plan=_PLAN,
            permissions=_permissions(plan, is_last=False),
            begun=ready + (_cache() if cached else ""),
            run=_step("${{ matrix.run }}", secret),
        )
        for number in levels
    ]
    last = _JOIN.format(
        needs=", ".join(["plan", *(f"level-{number}" for number in levels)]),
        runner=scalar(runner),
        permissions=_permissions(plan, is_last=True),
        plan=_PLAN,
        begun=ready,
        artifacts=_step(found.artifacts, {}) if found.artifacts else "",
        notes=scalar(f'{typed("log", "--release-notes", *flags)} >> "$GITHUB_STEP_SUMMARY"'),
    )
    return {FILE: "".join([head, *parts, last])}


def _begun(plan: Plan, *, depth: int) -> str:
    fetched = ["fetch-depth: 0"] if depth == 0 else []
    settings = ", ".join([*fetched, "persist-credentials: false"])
    return indented(
        f"- uses: {_CHECKOUT}\n  with: {{ {settings} }}\n- run: {scalar(install(plan, 'github'))}\n",
        6,
    )


def _logged_in(needed: Sequence[Login]) -> str:
    values = {}
    for one in needed:
        has_own = one.registry == _OWN_REGISTRY
        user = "github.actor" if has_own else f"secrets.{one.user}"
        password = "secrets.GITHUB_TOKEN" if has_own else f"secrets.{one.password}"
        values[one.user] = f"${{{{ {user} }}}}"
        values[one.password] = f"${{{{ {password} }}}}"
    return _step("\n".join(one.command for one in needed), values)


def _step(command: str, environment: Mapping[str, str]) -> str:
    lines = command.split("\n")
    run = scalar(command) if len(lines) == 1 else f"|\n{indented(command, 4)}"
    shown = f"  env:\n{mapping(environment, 4)}" if environment else ""
    return indented(f"- run: {run}\n{shown}", 6)


def _cache() -> str:
    script = (
        f"for (const name of '{_OF_CACHE}'.split(' ')) core.exportVariable(name, process.env[name])"
    )
    return indented(f"- uses: {_SCRIPT}\n  with:\n    script: {script}\n", 6)


def _permissions(plan: Plan, *, is_last: bool) -> str:
    wanted = {}
    if any(one.registry == _OWN_REGISTRY for one in logins(plan, "github")):
        wanted["packages"] = "write"
    if is_last and any(target.spec.sign is True for target in plan.images):
        wanted["id-token"] = "write"
    if not wanted:
        return ""
    return f"    permissions:\n{mapping({'contents': 'read', **wanted}, 6)}"
