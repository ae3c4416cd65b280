"""A selection and an id in; what all runners of that run hold to, with git's part in it, out."""

from __future__ import annotations

import hashlib
import re
import sys
from typing import TYPE_CHECKING

from buildx_tasks.errors import UsageError
from buildx_tasks.language.git import Git, GitError, GitRefusedError, source_date_epoch
from buildx_tasks.language.lockfile import LOCK_FILE
from buildx_tasks.language.secrets import is_named_as_one
from buildx_tasks.planning import changes, jobs, runs
from buildx_tasks.planning.preparing import secrets

if TYPE_CHECKING:
    from collections.abc import Sequence

    from buildx_tasks.language.loading import Values
    from buildx_tasks.planning.jobs import Jobs
    from buildx_tasks.planning.runs import Run
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.workspace import Workspace

_LOG_IN = re.compile(r"://[^/\s]*@")


def run_of(workspace: Workspace, plan: Plan, run: str) -> Run:
    """Return the run of the selected images.

    Raises:
        UsageError: the id is none, nothing selected leaves an image, or git refuses to say the commit.

    """
    known = runs.require_id(run)
    try:
        commit = Git(workspace.root).get("commit")
    except GitError:
        commit = ""
    except GitRefusedError as error:
        raise UsageError(f"the commit cannot be had: {error}") from None
    path = workspace.root / LOCK_FILE
    lock = hashlib.sha256(path.read_bytes()).hexdigest() if path.exists() else ""
    return runs.run_of(plan, runs.Fixed(known, commit, source_date_epoch(workspace.root), lock))


def changed(workspace: Workspace, plan: Plan, run: Run, ref: str) -> Run:
    """Return a run with those of its targets only that changed since a commit.

    Raises:
        UsageError: git does not know what changed.

    """
    try:
        files = Git(workspace.root).changed_since(ref)
    except (GitError, GitRefusedError) as error:
        raise UsageError(f"--changed-since {ref}: {error}") from None
    names = [one.target.name for one in run.targets]
    found = changes.changed(plan.config, workspace.root.resolve(), files, names)
    return run._replace(targets=tuple(one for one in run.targets if one.target.name in found))


def fixing(plan: Plan, overlays: Sequence[str], sets: Sequence[str], values: Values) -> list[str]:
    """Return the flags that give another machine the values of this one.

    These are overlays, what was set, and what comes from git, the environment or files of ``[env]``,
    which a clone does not have. What is a secret, or may be one by its name or with a log-in in it, is
    none of them: that is told.
    """
    found = values.of_here()
    told = set(secrets(plan))
    hidden = [name for name, value in found.items() if name in told or _may_be_secret(name, value)]
    if hidden:
        line = f"{', '.join(hidden)} may be secret, and are in no plan: each job needs them from its CI"
        print(f"note: {line}", file=sys.stderr, flush=True)
    here = {name: value for name, value in found.items() if name not in hidden}
    fixed = [f"{name}={value}" for name, value in {**values.of_git(), **here}.items()]
    given = [("-o", name) for name in overlays] + [("-s", one) for one in (*sets, *fixed)]
    return [word for pair in given for word in pair]


def _may_be_secret(name: str, value: str) -> bool:
    return bool(_LOG_IN.search(value)) or is_named_as_one(name)


def jobs_of(
    workspace: Workspace,
    plan: Plan,
    run: Run,
    system: str,
    flags: Sequence[str],
    *,
    everything: bool = False,
) -> Jobs:
    """Return the jobs of a run, with all that git says fixed for them: tags and labels, too.

    ``everything`` is what ``push`` publishes without a selection: artifacts as well.
    """
    artifacts = list(plan.config.artifact) if everything else []
    return jobs.jobs(run, plan, system, flags, Git(workspace.root).fixing(), artifacts)
