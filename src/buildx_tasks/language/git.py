"""What git says about the working tree: asked only for what a file refers to, each once."""

from __future__ import annotations

import datetime as dt
import functools
import os
import re
import shutil
import subprocess
from pathlib import Path
from typing import Callable
from urllib.parse import parse_qsl, urlencode

from buildx_tasks.errors import UsageError
from buildx_tasks.language import semver

_SCP_URL = re.compile(r"(?:ssh://)?(?:[^@/]+@)([^:/]+)(?::\d+/|[:/])(.+)")

# What git says, fixed once for all runners of a run: only the commit is theirs to have.
FIXED = "BUILDX_TASKS_GIT"
EPOCH = "SOURCE_DATE_EPOCH"  # https://reproducible-builds.org/specs/source-date-epoch/


_DESCRIBED = re.compile(r"(?P<tag>.+)-(?P<after>\d+)-g(?P<commit>[0-9a-f]+)(?P<dirty>-dirty)?")
_TAGS = "tags"  # beside the names that can be asked for
_SHORT = 12  # characters of a commit
_SAFE = "git config --global --add safe.directory"


# A folder that a stranger made may hold a repository whose settings start programs.
# Source: https://git-scm.com/docs/git-config (core.fsmonitor, safe.bareRepository)
_INERT = ("-c", "core.fsmonitor=false", "-c", "safe.bareRepository=explicit", "--no-optional-locks")


class GitError(Exception):
    """A value that git cannot give here, for there is no repository or no commit; says which."""


class GitRefusedError(Exception):
    """A repository is there, and git does not give the value; the message ends with the fix.

    No other value may stand in for it: it would be a wrong version.
    """


class Git:
    """Lazy facts about the repository that holds ``root``.

    All values are text: commits in hexadecimal, times in UTC (seconds since 1970, or RFC 3339),
    ``true`` or ``false`` for ``dirty``. In a CI job with a detached HEAD the branch is the one that
    the job was started for (GITHUB_REF_NAME, CI_COMMIT_BRANCH). What BUILDX_TASKS_GIT says counts
    instead of what this clone would, where both are at the same commit.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._known: dict[str, str] = {}
        self._askers: dict[str, Callable[[], str]] = {
            "commit": lambda: self._ask("rev-parse", "--verify", "HEAD"),
            "short-commit": lambda: self._ask("rev-parse", "--short=7", "--verify", "HEAD"),
            "branch": self._branch,
            "tag": lambda: next(iter(self.tags()), ""),
            "describe": self._describe,
            "dirty": lambda: "true" if self._ask("status", "--porcelain") else "false",
            "commit-time": self._time_asked,
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
            GitError: there is no repository, or no commit in it.
            GitRefusedError: there is one, and git does not say it.

        """
        if name not in self._known:
            fixed = self._fixed
            self._known[name] = fixed[name] if name in fixed else self._askers[name]()
        return self._known[name]

    def fixing(self) -> str:
        """Return all that git says here, as BUILDX_TASKS_GIT takes it; ``""`` without a commit.

        What git refuses to say is left out.
        """
        found = {}
        for name in self._askers:
            try:
                found[name] = self.get(name)
            except GitError:
                return ""
            except GitRefusedError:
                continue
        if "tag" in found:
            found[_TAGS] = " ".join(self.tags())
        return urlencode(found)

    @functools.cached_property
    def _fixed(self) -> dict[str, str]:
        """What is fixed; nothing where nothing is."""
        said = os.environ.get(FIXED, "")
        if not said:
            return {}
        try:
            fixed = dict(parse_qsl(said, keep_blank_values=True, strict_parsing=True))
        except ValueError:
            fixed = {}
        if "commit" not in fixed:
            raise GitRefusedError(f"{FIXED} is not what invoke plan wrote; unset it")
        try:
            here = self._ask("rev-parse", "--verify", "HEAD")
        except GitError as error:
            raise GitRefusedError(f"{FIXED} is set, and {error}; unset it") from None
        if here != fixed["commit"]:
            raise GitRefusedError(
                f"{FIXED} is of the commit {fixed['commit'][:_SHORT]}, and this is {here[:_SHORT]}; "
                "check out that one, or unset it"
            )
        return fixed

    @property
    def empty(self) -> list[str]:
        """What was asked for, and is not there: a branch or a tag."""
        return [name for name, value in self._known.items() if not value]

    @functools.cache  # noqa: B019 - one object per load
    def tags(self) -> tuple[str, ...]:
        """Return the tags of exactly this commit, the highest version first."""
        if _TAGS in self._fixed:
            return tuple(self._fixed[_TAGS].split())
        self._require_history("tags")
        return self._tags_of("HEAD")

    def changed_since(self, ref: str) -> tuple[Path, ...]:
        """Return the files that commits since ``ref`` changed: since the last one that both share.

        Raises:
            GitError: there is no repository, or no commit in it.
            GitRefusedError: it does not know ``ref``, or what both share.

        """
        top = Path(self._ask("rev-parse", "--show-toplevel"))
        if self._run(
            "rev-parse", "--verify", "-q", "--end-of-options", f"{ref}^{{commit}}"
        ).returncode:
            raise GitRefusedError(
                "git knows no such commit here; fetch it (in a shallow clone: git fetch --unshallow), or "
                "name another one"
            )
        if self._run("merge-base", "--end-of-options", ref, "HEAD").returncode:
            raise GitRefusedError(
                "git knows no commit here that it shares with HEAD; fetch more of the history (git fetch "
                "--unshallow), or name another one"
            )
        base = self._ask("merge-base", "--end-of-options", ref, "HEAD")
        listed = self._ask("diff", "--name-only", "-z", "--no-renames", base, "HEAD")
        return tuple(top / name for name in listed.split("\0") if name)

    def commit_time(self) -> str:
        """Return the seconds since 1970 of this commit, in a shallow clone too."""
        return self._ask("show", "--no-patch", "--format=%ct", "HEAD")

    def _time_asked(self) -> str:
        self._require_history("commit-time")
        return self.commit_time()

    def _tags_of(self, commit: str) -> tuple[str, ...]:
        listed = self._ask("tag", "--points-at", commit, "--sort=-v:refname").split()
        return tuple(sorted(listed, key=semver.precedence, reverse=True))

    def _describe(self) -> str:
        """Return what ``git describe`` says, with the highest of the tags that one commit has."""
        self._require_history("describe")
        said = self._ask("describe", "--tags", "--always", "--dirty", "--long")
        found = _DESCRIBED.fullmatch(said)
        if not found:
            return said
        tag = self._tags_of(found["tag"] + "^{commit}")[0]
        since = f"-{found['after']}-g{found['commit']}" if int(found["after"]) else ""
        return f"{tag}{since}{found['dirty'] or ''}"

    def _require_history(self, what: str) -> None:
        """Refuse to guess from the few commits of a shallow clone."""
        if self._ask("rev-parse", "--is-shallow-repository") == "true":
            raise GitRefusedError(
                f"this is a shallow clone, whose {what} may not be the repository's; run git fetch "
                "--unshallow --tags (actions/checkout: fetch-depth: 0)"
            )

    def _ask(self, *question: str) -> str:
        done = self._run(*question)
        if not done.returncode:
            return done.stdout.strip()
        if self._run("rev-parse", "--git-dir").returncode:
            self._require_none(done.stderr)
            raise GitError("there is no git repository here")
        if self._is_unborn():
            raise GitError("the git repository has no commit yet")
        raise GitRefusedError(_in_one_line(done.stderr))

    def _run(self, *question: str) -> subprocess.CompletedProcess[str]:
        if not shutil.which("git"):
            self._require_none("git is not installed; install it")
            raise GitError("there is no git repository here")
        return subprocess.run(
            ["git", *_INERT, *question],
            cwd=self._root,
            env={**os.environ, "LC_ALL": "C", "LANGUAGE": ""},  # its words are read here
            capture_output=True,
            text=True,
            errors="replace",
            check=False,
        )

    def _require_none(self, said: str) -> None:
        """Raise where there is a repository after all, of which git says this."""
        is_named = bool(os.environ.get("GIT_DIR"))
        beyond = [f"{Path(one).absolute()}/" for one in _ceilings()]
        folders = (self._root.absolute(), *self._root.absolute().parents)
        inside = [one for one in folders if not any(high.startswith(f"{one}/") for high in beyond)]
        is_there = any(os.path.lexists(folder / ".git") for folder in inside)
        # git looks no further than the file system of the folder, and says so.
        is_refused = is_named or "ownership" in said
        if is_refused or (is_there and "mount point" not in said):
            raise GitRefusedError(_in_one_line(said))

    def _is_unborn(self) -> bool:
        """Say whether HEAD is a branch that has no commit yet, rather than a damaged one."""
        branch = self._run("symbolic-ref", "--quiet", "HEAD")
        if branch.returncode:
            return False
        name = branch.stdout.strip()
        place = self._run("rev-parse", "--git-path", name).stdout.strip()
        known = self._run("show-ref", "--verify", "--quiet", name)
        return bool(known.returncode) and not (self._root / place).exists()

    def _branch(self) -> str:
        branch = self._ask("rev-parse", "--abbrev-ref", "HEAD")
        if branch != "HEAD":
            return branch
        if os.environ.get("GITHUB_REF_TYPE") == "branch":
            return os.environ.get("GITHUB_HEAD_REF") or os.environ.get("GITHUB_REF_NAME", "")
        return os.environ.get("CI_COMMIT_BRANCH", "")

    def _date(self) -> str:
        time = dt.datetime.fromtimestamp(int(self.commit_time()), dt.timezone.utc)
        return time.strftime("%Y-%m-%dT%H:%M:%SZ")

    def _source(self) -> str:
        asked = self._run("remote", "get-url", "origin")
        if asked.returncode:  # there need be no remote
            return ""
        url = asked.stdout.strip()
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
        UsageError: SOURCE_DATE_EPOCH is no number of seconds, or git refuses to say the time.

    """
    said = os.environ.get(EPOCH, "")
    if said and not (said.isascii() and said.isdigit()):
        raise UsageError(
            f'{EPOCH}="{said}" is no number of seconds since 1970; correct or unset it'
        )
    if said:
        return said
    try:
        return Git(root).commit_time()
    except GitError:
        return "0"
    except GitRefusedError as error:
        raise UsageError(f"the time of the commit cannot be had: {error}") from None


def _ceilings() -> list[str]:
    return [one for one in os.environ.get("GIT_CEILING_DIRECTORIES", "").split(os.pathsep) if one]


def _in_one_line(said: str) -> str:
    """Return git's own words in one line, with the fix where one is known."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    words = re.sub(r"^(?:fatal|error): ", "", lines[0]) if lines else "git does not say why"
    fix = next((line for line in lines if line.startswith(_SAFE)), "")
    if fix:
        return f"git says: {words}; if you trust it, run {fix} (safe.directory)"
    if words.startswith("git is not installed"):
        return words
    return f"git says: {words}; see git fsck, or clone the repository again"
