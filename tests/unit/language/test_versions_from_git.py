"""Versions from git: in SemVer's order, and no other value in place of one that git refuses."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest

from buildx_tasks.errors import ConfigError, UsageError
from buildx_tasks.language import loading, semver
from buildx_tasks.language.git import (
    EPOCH,
    FIXED,
    Git,
    GitError,
    GitRefusedError,
    source_date_epoch,
)
from buildx_tasks.planning.selection import make_plan

if TYPE_CHECKING:
    from pathlib import Path

TEXT = '[target.a]\nplatforms = ["linux/amd64"]\ntags = ["x:{value}"]\n'
META = '[target.a]\nmetadata = { images = ["x"], fallback = "dev" }\n'


@pytest.fixture(autouse=True)
def own_git(monkeypatch: pytest.MonkeyPatch) -> None:
    for key in [key for key in os.environ if key.startswith("GIT_")]:
        monkeypatch.delenv(key)
    monkeypatch.delenv(EPOCH, raising=False)
    monkeypatch.delenv(FIXED, raising=False)


def git(folder: Path, *args: str) -> str:
    own = ["-c", "user.name=T", "-c", "user.email=t@example.com"]
    done = subprocess.run(
        ["git", *own, *args], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


def repository(folder: Path, *tags: str) -> Path:
    folder.mkdir(exist_ok=True)
    git(folder, "init", "--quiet", "--initial-branch=main")
    commit(folder)
    for tag in tags:
        git(folder, "tag", tag)
    return folder


def commit(folder: Path) -> None:
    git(folder, "commit", "--quiet", "--allow-empty", "--message=x")


def tags_of(folder: Path, text: str) -> list[str]:
    path = folder / "buildx.toml"
    path.write_text(text)
    (folder / ".git" / "info" / "exclude").write_text("buildx.toml\n")
    return make_plan(loading.load(path, environment={})).targets[0].spec.tags


def test_the_order_is_semver_s_own() -> None:
    # https://semver.org/#spec-item-11, and what is no version below all.
    order = (
        "latest 1.0.0-alpha 1.0.0-alpha.1 1.0.0-alpha.beta 1.0.0-beta 1.0.0-beta.2 v1.0.0-beta.11"
    )
    order += " 1.0.0-rc.1 v1.0.0 1.2.0 v1.10.0 2.0.0-0 2.0.0"
    words = order.split()
    assert sorted(words, key=semver.precedence, reverse=True) == words[::-1]


def test_a_release_wins_over_its_candidate_on_one_commit(tmp_path: Path) -> None:
    folder = repository(tmp_path / "r", "v1.5.0-rc.1", "v1.5.0", "stable")
    assert tags_of(folder, TEXT.format(value="${git.tag}")) == ["x:v1.5.0"]
    assert tags_of(folder, TEXT.format(value="${git.describe}")) == ["x:v1.5.0"]
    assert tags_of(folder, META)[:2] == ["x:1.5.0", "x:1.5"]
    commit(folder)
    described = tags_of(folder, TEXT.format(value="${git.describe}"))[0]
    assert described.startswith("x:v1.5.0-1-g")


@pytest.mark.parametrize("language", ["C", "de_DE.UTF-8"])
def test_no_repository_and_no_commit_may_fall_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, language: str
) -> None:
    monkeypatch.setenv("LC_ALL", language)
    with pytest.raises(GitError, match="there is no git repository here"):
        Git(tmp_path).get("commit")
    git(tmp_path, "init", "--quiet")
    for name in ("commit", "tag", "branch", "describe", "commit-time"):
        with pytest.raises(GitError, match="has no commit yet"):
            Git(tmp_path).get(name)
    assert tags_of(tmp_path, TEXT.format(value="${git.describe:-dev}")) == ["x:dev"]
    assert tags_of(tmp_path, META) == ["x:dev"]
    assert source_date_epoch(tmp_path) == "0"


def _another_user(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    assert folder.exists()
    monkeypatch.setenv("GIT_TEST_ASSUME_DIFFERENT_OWNER", "1")
    return r"dubious ownership.*safe\.directory"


def _damaged_objects(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    del monkeypatch
    for path in (folder / ".git" / "objects").rglob("*"):
        if path.is_file():
            path.unlink()
    return "git says: .*bad object"


def _an_empty_ref(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    del monkeypatch
    (folder / ".git" / "refs" / "heads" / "main").write_text("")
    return "git says: "


def _a_git_file_that_leads_nowhere(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    del monkeypatch
    (folder / ".git").rename(folder / "elsewhere")
    (folder / ".git").write_text("gitdir: /nowhere/at/all\n")
    return "git says: not a git repository: /nowhere/at/all"


def _no_git(folder: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("PATH", str(folder))
    return "git is not installed"


@pytest.mark.parametrize(
    "spoil",
    [
        _another_user,
        _damaged_objects,
        _an_empty_ref,
        _a_git_file_that_leads_nowhere,
        _no_git,
    ],
)
def test_what_git_refuses_is_an_error_with_its_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: object
) -> None:
    folder = repository(tmp_path / "r", "v1.0.0")
    assert callable(spoil)
    words = spoil(folder, monkeypatch)
    path = folder / "buildx.toml"
    for text in (TEXT.format(value="${git.describe:-dev}"), META):
        path.write_text(text)
        with pytest.raises(ConfigError, match=words):
            loading.load(path, environment={})
    with pytest.raises(UsageError, match=words):
        source_date_epoch(folder)


@pytest.mark.parametrize("name", ["describe", "tag", "commit-time"])
def test_a_shallow_clone_says_so(tmp_path: Path, name: str) -> None:
    full = repository(tmp_path / "full", "v1.0.0")
    commit(full)
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{full}", "shallow")
    with pytest.raises(GitRefusedError, match=r"shallow clone.*git fetch --unshallow --tags"):
        Git(tmp_path / "shallow").get(name)
    with pytest.raises(ConfigError, match=r"buildx.toml:2:\d+: no tags .* shallow"):
        tags_of(tmp_path / "shallow", META)
    # What does not hang on history is what it is.
    assert Git(tmp_path / "shallow").get("commit") == git(full, "rev-parse", "HEAD")
    assert source_date_epoch(tmp_path / "shallow") == git(full, "show", "-s", "--format=%ct")
    branch = '[target.a]\nmetadata = { images = ["x"], tags = ["branch"] }\n'
    assert tags_of(tmp_path / "shallow", branch) == ["x:main"]


def test_what_changed_since_a_commit_needs_that_commit(tmp_path: Path) -> None:
    full = repository(tmp_path / "full", "v1.0.0")
    first = git(full, "rev-parse", "HEAD")
    (full / "x y").write_text("x")
    git(full, "add", "-A")
    commit(full)
    assert Git(full).changed_since(first) == (full / "x y",)
    assert Git(full).changed_since("HEAD") == ()
    git(tmp_path, "clone", "--quiet", "--depth=1", f"file://{full}", "shallow")
    for one, ref in ((full, "nope"), (full, "--output=x"), (tmp_path / "shallow", first)):
        with pytest.raises(GitRefusedError, match="no such commit here; fetch it"):
            Git(one).changed_since(ref)
    git(tmp_path / "shallow", "fetch", "--quiet", "--depth=1", "origin", "tag", "v1.0.0")
    with pytest.raises(GitRefusedError, match="shares with HEAD; fetch more of the history"):
        Git(tmp_path / "shallow").changed_since("v1.0.0")
    (tmp_path / "none").mkdir()
    with pytest.raises(GitError, match="there is no git repository here"):
        Git(tmp_path / "none").changed_since("HEAD")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ('[target.a]\ntags = ["x:${git.tag}"]\n', "git.tag"),
        (
            '[variable.V]\ndefault = "${git.tag}"\n[target.a]\ntags = ["y:1", "x:${V}"]\n',
            "V}, ${git.tag",
        ),
        ('[target.a]\ntags = ["x:${git.branch}"]\n', "git.branch"),
        ('[target.a]\ncache-to = ["type=registry,ref=x:${git.tag}"]\n', "git.tag"),
        ('[variable.R]\ndefault = ""\n[target.a]\ntags = ["${R}/x:1"]\n', "R"),
    ],
)
def test_an_empty_value_is_named_as_the_cause(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str, name: str
) -> None:
    for key in ("GITHUB_REF_TYPE", "CI_COMMIT_BRANCH"):
        monkeypatch.delenv(key, raising=False)
    folder = repository(tmp_path / "r")
    git(folder, "checkout", "--quiet", "--detach")
    with pytest.raises(ConfigError) as caught:
        tags_of(folder, text)
    assert f"; ${{{name}}} " in str(caught.value)
    assert "empty here" in str(caught.value)


def test_what_a_run_fixes_holds_in_every_clone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Tags, labels and values straight from git, with other tags, remotes and depth than there."""
    origin = repository(tmp_path / "origin", "v1.2.0")
    git(origin, "remote", "add", "origin", "https://example.org/a%20&b.git")
    text = (
        META + "[target.b]\nplatforms = ['linux/amd64']\ntags = ['x:${git.tag}-${git.describe}']\n"
    )
    (origin / ".git" / "info" / "exclude").write_text("buildx.toml\n")
    path = origin / "buildx.toml"
    path.write_text(text)

    def whole(folder: Path) -> list[object]:
        (folder / "buildx.toml").write_text(text)
        plan = make_plan(loading.load(folder / "buildx.toml", environment={}))
        return [[one.spec.tags, one.spec.attributes.get("labels")] for one in plan.targets]

    meant, fixed = whole(origin), Git(origin).fixing()
    assert "x:v1.2.0-v1.2.0" in str(meant)
    assert "tags=v1.2.0&" in f"{fixed}&"
    git(tmp_path, "clone", "--quiet", "--depth", "1", f"file://{origin}", "clone")
    clone = tmp_path / "clone"
    git(clone, "tag", "v9.0.0")
    (clone / "new").write_text("")
    with pytest.raises(ConfigError, match="shallow"):
        whole(clone)
    monkeypatch.setenv(FIXED, fixed)
    assert whole(clone) == meant
    assert Git(clone).fixing() == fixed
    commit(clone)
    with pytest.raises(ConfigError, match="is of the commit .*check out that one, or unset it"):
        whole(clone)
    for wrong in ("x", "tag=v1"):
        monkeypatch.setenv(FIXED, wrong)
        with pytest.raises(GitRefusedError, match="is not what invoke plan wrote; unset it"):
            Git(clone).get("commit")
    monkeypatch.setenv(FIXED, fixed)
    (tmp_path / "none").mkdir()
    with pytest.raises(GitRefusedError, match="is set, and there is no git repository"):
        Git(tmp_path / "none").get("commit")
    monkeypatch.delenv(FIXED)
    assert Git(tmp_path / "none").fixing() == ""
