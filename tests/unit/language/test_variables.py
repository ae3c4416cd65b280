"""Variables, overlays, git values and what follows from them."""

from __future__ import annotations

import subprocess
from typing import TYPE_CHECKING, Any

import pytest

from buildx_tasks.errors import ConfigError, UsageError
from buildx_tasks.language import loading
from buildx_tasks.language.metadata import KINDS, Facts, tags

if TYPE_CHECKING:
    from pathlib import Path

    from buildx_tasks.language.targets import Config


def load(folder: Path, text: str, **options: Any) -> Config:
    (folder / "buildx.toml").write_text(text)
    return loading.load(folder / "buildx.toml", **{"environment": {}, **options})


VERSIONED = """
[variable.V]
default = "1"
[variable.FULL]
default = "v${V}-x"
[target.a]
tags = ["a:${FULL}"]
args = { V = "${V}", KEPT = "$${V} %{x} $V", UNSET = "${NONE}", OR = "${NONE:-none}" }
[variable.NONE]
"""


def test_a_default_then_the_environment_then_set(tmp_path: Path) -> None:
    def tag(**options: Any) -> str:
        return load(tmp_path, VERSIONED, **options).target["a"].tags[0]

    assert tag() == "a:v1-x"
    assert tag(environment={"V": "2"}) == "a:v2-x"
    assert tag(environment={"V": "2"}, sets=["V=3"]) == "a:v3-x"


def test_texts_are_filled_escaped_and_left_out(tmp_path: Path) -> None:
    args = load(tmp_path, VERSIONED).target["a"].attributes["args"]
    assert args == {"V": "1", "KEPT": "${V} %{x} $V", "OR": "none"}
    args = load(tmp_path, VERSIONED, sets=["NONE=set"]).target["a"].attributes["args"]
    assert (args["UNSET"], args["OR"]) == ("set", "set")


def test_types_come_from_outside_as_text(tmp_path: Path) -> None:
    text = """
    [variable]
    B = { default = false }
    N = { default = 1 }
    L = { default = ["linux/amd64"] }
    [target.a]
    pull = "${B}"
    args = { pull = "${B}", N = "${N}" }
    platforms = ["${L}", "linux/s390x"]
    """
    given = {"B": "true", "N": "7", "L": "linux/arm64, linux/riscv64"}
    attributes = load(tmp_path, text, environment=given).target["a"].attributes
    assert attributes["pull"] is True
    assert attributes["args"] == {"pull": "true", "N": "7"}
    assert attributes["platforms"] == ["linux/arm64", "linux/riscv64", "linux/s390x"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sets": ["VV=1"]}, '--set: no [variable.VV] is declared; did you mean "V"?'),
        ({"sets": ["V"]}, '--set: "V" is no NAME=value; write --set VERSION=1.2'),
        ({"overlays": ["relase"]}, "--overlay: there is no buildx.relase.toml; did you mean"),
        ({"overlays": ["../x"]}, "--overlay: there is no buildx.../x.toml"),
    ],
)
def test_what_was_asked_for_must_exist(
    tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    (tmp_path / "buildx.release.toml").write_text("")
    with pytest.raises(UsageError) as caught:
        load(tmp_path, VERSIONED, **options)
    assert str(caught.value).startswith(message)


def test_overlays_merge_tables_and_replace_the_rest(tmp_path: Path) -> None:
    (tmp_path / "buildx.release.toml").write_text(
        '[target.a]\ntags = ["a:release"]\nargs = { B = "2", C = "3" }\n[target.b]\n'
    )
    (tmp_path / "buildx.other.toml").write_text('[target.a.args]\nC = "4"\n')
    base = '[target.a]\ntags = ["a:dev", "a:x"]\nargs = { A = "1", B = "1" }\n'
    config = load(tmp_path, base, overlays=["release", "other"])
    assert config.target.keys() == {"a", "b"}
    assert config.target["a"].tags == ["a:release"]
    assert config.target["a"].attributes["args"] == {"A": "1", "B": "2", "C": "4"}
    (tmp_path / "buildx.local.toml").write_text('[target.a]\ntags = ["a:mine"]\n')
    assert load(tmp_path, base).target["a"].tags == ["a:mine"]
    assert load(tmp_path, base, overlays=["release"]).target["a"].tags == ["a:mine"]


def test_an_error_names_the_overlay_that_has_it(tmp_path: Path) -> None:
    (tmp_path / "buildx.x.toml").write_text('[target.a]\nplatforms = ["linux/arm46"]\n')
    with pytest.raises(ConfigError, match=r"^buildx\.x\.toml:2:14: "):
        load(tmp_path, '[target.a]\nplatforms = ["linux/arm64"]\n', overlays=["x"])
    (tmp_path / "buildx.x.toml").write_text('[target.a]\nargs = { A = "1" }\n')
    with pytest.raises(ConfigError, match=r"^buildx\.toml:2:14: "):
        load(tmp_path, '[target.a]\nplatforms = ["linux/arm46"]\n', overlays=["x"])


def test_pyproject_is_the_other_place(tmp_path: Path) -> None:
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_text('[project]\nname = "x"\n[tool.buildx-tasks.target.a]\ntags = ["a"]\n')
    (tmp_path / "sub").mkdir()
    assert loading.find(tmp_path / "sub") == pyproject
    assert loading.load(pyproject).target["a"].tags == ["a"]
    pyproject.write_text('[project]\nname = "x"\n[tool.buildx-tasks.target.a]\ntgas = ["a"]\n')
    with pytest.raises(ConfigError, match=r"^pyproject\.toml:4:1: unknown key \"tgas\""):
        loading.load(pyproject)
    (tmp_path / "buildx.toml").write_text("")
    with pytest.raises(ConfigError, match="keep one"):
        loading.find(tmp_path)


def test_a_pyproject_without_our_table_is_passed_by(tmp_path: Path) -> None:
    (tmp_path / "buildx.toml").write_text("[target.a]\n")
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "pyproject.toml").write_text("[project\nbroken")
    assert loading.find(tmp_path / "sub") == tmp_path / "buildx.toml"


def git(folder: Path, *words: str) -> str:
    who = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "commit.gpgsign=false"]
    return subprocess.run(
        ["git", *who, *words], cwd=folder, capture_output=True, text=True, check=True
    ).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-b", "feature/x")
    (tmp_path / "buildx.toml").write_text("[target.a]\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-m", "x")
    git(tmp_path, "remote", "add", "origin", "git@example.com:team/app.git")
    return tmp_path


GIT = """
[target.a]
args = { C = "${git.commit}", S = "${git.short-commit}", B = "${git.branch}", T = "${git.tag:-none}",
  D = "${git.dirty}", E = "${git.commit-time}", X = "${git.describe}" }
"""


def test_git_s_values(repository: Path) -> None:
    args = load(repository, GIT).target["a"].attributes["args"]
    assert args["C"] == git(repository, "rev-parse", "HEAD")
    assert args["S"] == args["C"][:7]
    assert (args["B"], args["T"], args["D"]) == ("feature/x", "none", "true")
    assert args["E"] == git(repository, "show", "-s", "--format=%ct")
    git(repository, "commit", "-am", "y")
    git(repository, "tag", "v1.2.3")
    args = load(repository, GIT).target["a"].attributes["args"]
    assert (args["T"], args["D"], args["X"]) == ("v1.2.3", "false", "v1.2.3")


METADATA = '[target.a.metadata]\nimages = ["localhost:5000/a", "b"]\n'


def test_tags_and_labels_follow_from_git(repository: Path) -> None:
    load(repository, METADATA)
    git(repository, "commit", "-am", "y")
    git(repository, "tag", "v1.2.3")
    target = load(repository, METADATA).target["a"]
    sha = git(repository, "rev-parse", "--short=7", "HEAD")
    kinds = ["1.2.3", "1.2", "1", "feature-x", f"sha-{sha}", "latest"]
    assert target.tags == [
        f"{image}:{kind}" for image in ("localhost:5000/a", "b") for kind in kinds
    ]
    prefix = "org.opencontainers.image."
    labels = target.attributes["labels"]
    assert labels[f"{prefix}revision"] == git(repository, "rev-parse", "HEAD")
    assert labels[f"{prefix}source"] == "https://example.com/team/app"
    assert labels[f"{prefix}version"] == "1.2.3"
    assert labels[f"{prefix}created"].endswith("Z")


def test_without_a_repository_the_fallback_or_an_error(tmp_path: Path) -> None:
    assert (
        load(tmp_path, METADATA + 'fallback = "dev"\n').target["a"].tags[0]
        == "localhost:5000/a:dev"
    )
    with pytest.raises(ConfigError, match="there is no git commit here"):
        load(tmp_path, METADATA)


def test_a_token_in_the_remote_s_address_stays_out_of_the_label(repository: Path) -> None:
    git(repository, "remote", "set-url", "origin", "https://user:s3cret@example.com/a/b.git")
    labels = load(repository, METADATA).target["a"].attributes["labels"]
    assert labels["org.opencontainers.image.source"] == "https://example.com/a/b"


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        (Facts(("v1.2.3",), "main", "abc"), ["1.2.3", "1.2", "1", "main", "sha-abc", "latest"]),
        (Facts(("v0.2.3",), "main", "abc"), ["0.2.3", "0.2", "main", "sha-abc", "latest"]),
        (Facts(("v1.2.3-rc.1",), "", "abc"), ["1.2.3-rc.1", "sha-abc"]),
        (Facts(("v1.2.3+build",), "", "abc"), ["1.2.3", "1.2", "1", "sha-abc", "latest"]),
        (Facts(("release",), "a/b#c", "abc"), ["a-b-c", "sha-abc"]),
        (Facts(("v1.2.3",), "main", "abc", dirty=True), ["main-dirty", "sha-abc-dirty"]),
    ],
)
def test_which_tags(facts: Facts, expected: list[str]) -> None:
    assert tags(facts, KINDS) == expected
