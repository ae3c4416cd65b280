"""What git says about the working tree: asked only for what a file refers to, each once."""

from __future__ import annotations

import datetime as dt
import functools
import os
import re
import shutil
import subprocess
from typing import TYPE_CHECKING, Callable

from buildx_tasks.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

_SCP_URL = re.compile(r"(?:ssh://)?(?:[^@/]+@)([^:/]+)(?::\d+/|[:/])(.+)")


EPOCH = "SOURCE_DATE_EPOCH"  # https://reproducible-builds.org/specs/source-date-epoch/


class GitError(Exception):
    """A value that git cannot give here; the message says why and what to do."""


class Git:
    """Lazy facts about the repository that holds ``root``.

    All values are text: commits in hexadecimal, times in UTC (seconds since 1970, or RFC 3339),
    ``true`` or ``false`` for ``dirty``. In a CI job with a detached HEAD the branch is the one that
    the job was started for (GITHUB_REF_NAME, CI_COMMIT_BRANCH).
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, str] = {}
        self._askers: dict[str, Callable[[], str]] = {
            "commit": lambda: self._ask("rev-parse", "--verify", "HEAD"),
            "short-commit": lambda: self._ask("rev-parse", "--short=7", "--verify", "HEAD"),
            "branch": self._branch,
            "tag": lambda: next(iter(self.tags()), ""),
            "describe": lambda: self._ask("describe", "--tags", "--always", "--dirty"),
            "dirty": lambda: "true" if self._ask("status", "--porcelain") else "false",
            "commit-time": lambda: self._ask("show", "--no-patch", "--format=%ct", "HEAD"),
            "commit-date": self._date,
            "source": self._source,
        }

    @property
    def names(self) -> tuple[str, ...]:
        """What can be asked, as in ``${git.commit}``."""
        return tuple(self._askers)

    def get(self, name: str) -> str:
        """Return the value of one of :attr:`names`; ``""`` for a branch or tag that is not there.

        Raises:
            GitError: there is no git, no repository, or no commit in it.

        """
        if name not in self._known:
            self._known[name] = self._askers[name]()
        return self._known[name]

    @functools.cache  # noqa: B019 - one object per load
    def tags(self) -> tuple[str, ...]:
        """Return the tags of exactly this commit, the highest version first."""
        return tuple(self._ask("tag", "--points-at", "HEAD", "--sort=-v:refname").split())

    def _ask(self, *question: str) -> str:
        if not shutil.which("git"):
            raise GitError("git is not installed")
        done = subprocess.run(
            ["git", *question], cwd=self._root, capture_output=True, text=True, check=False
        )
        if done.returncode:
            said = done.stderr.strip().splitlines()
            if "not a git repository" in done.stderr:
                raise GitError("there is no git repository here")
            if "ownership" in done.stderr:
                raise GitError(said[0])
            raise GitError("the git repository has no commit yet")
        return done.stdout.strip()

    def _branch(self) -> str:
        branch = self._ask("rev-parse", "--abbrev-ref", "HEAD")
        if branch != "HEAD":
            return branch
        if os.environ.get("GITHUB_REF_TYPE") == "branch":
            return os.environ.get("GITHUB_HEAD_REF") or os.environ.get("GITHUB_REF_NAME", "")
        return os.environ.get("CI_COMMIT_BRANCH", "")

    def _date(self) -> str:
        time = dt.datetime.fromtimestamp(int(self.get("commit-time")), dt.timezone.utc)
        return time.strftime("%Y-%m-%dT%H:%M:%SZ")

    def _source(self) -> str:
        try:
            url = self._ask("remote", "get-url", "origin")
        except GitError:
            return ""
        shell = _SCP_URL.fullmatch(url)
        address = f"https://{shell[1]}/{shell[2]}" if shell else url
        # A token in the URL must not end in a label.
        address = re.sub(r"^(https?://)[^@/]*@", r"\1", address)
        return address.removesuffix(".git")


def source_date_epoch(root: Path) -> str:
    """Return the seconds since 1970 that a reproducible build takes for the time it is.

    They are the environment's SOURCE_DATE_EPOCH; where that is not set, the time of the commit; where
    there is no commit either, 0.

    Raises:
        UsageError: SOURCE_DATE_EPOCH is no number of seconds.

    """
    said = os.environ.get(EPOCH, "")
    if said and not (said.isascii() and said.isdigit()):
        raise UsageError(
            f'{EPOCH}="{said}" is no number of seconds since 1970; correct or unset it'
        )
    if said:
        return said
    try:
        return Git(root).get("commit-time")
    except GitError:
        return "0"
