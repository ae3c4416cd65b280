"""What a Makefile does with variables: changed, left out, read from files, set for one call."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from buildx_tasks.errors import ConfigError, UsageError
from buildx_tasks.language import loading

if TYPE_CHECKING:
    from buildx_tasks.language.targets import Target


ROOT = Path(__file__).parents[3]


def load(folder: Path, text: str, **options: Any) -> dict[str, Target]:
    (folder / "buildx.toml").write_text(text)
    return loading.load(folder / "buildx.toml", **{"environment": {}, **options}).target


def value(folder: Path, text: str, **options: Any) -> Any:
    """Return what a text comes to as an argument, beside variables A, E (empty) and N (none)."""
    head = '[variable]\nA = { default = "Fix/One" }\nE = { default = "" }\nN = {}\n'
    args = load(folder, f"{head}[target.a.args]\nX = '''{text}'''\n", **options)["a"].attributes
    return args.get("args", {}).get("X")


@pytest.mark.parametrize(
    ("text", "came"),
    [
        ("${A|lower}", "fix/one"),
        ("${A|upper}-x", "FIX/ONE-x"),
        ("${A | lower | replace('/', '-')}", "fix-one"),
        ('${A|replace("/", "")}', "FixOne"),
        ("${A|lower:-none}", "fix/one"),
        ("${E|upper:-none}", "NONE"),
        ("${N:-a|b}", "a|b"),
        ("${N|lower:-None}", "none"),
        ("${E:-}", ""),
        ("${A:+yes}", "yes"),
        ("${E:+yes}${A}", "Fix/One"),
        ("x${N:+yes}", "x"),
        ("${A:+a:-b}", "a:-b"),
        ("$${A|lower}", "${A|lower}"),
        ("${build.date}", "2026-01-31T12:00:00Z"),
        ("${build.date|date('%Y%m%d')}", "20260131"),
    ],
)
def test_a_value_is_changed(tmp_path: Path, text: str, came: str) -> None:
    assert value(tmp_path, text, environment={"SOURCE_DATE_EPOCH": "1769860800"}) == came


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("${A|uper}", '"uper" is nothing that can be done to a value; did you mean "upper"?'),
        ("${A|}", "there are: upper, lower, replace, date"),
        ("${A|replace('/')}", "write |replace('/', '-'), as in ${A|replace('/', '-')}"),
        ("${A|lower('x')}", "write |lower, as in ${A|lower}"),
        ("${A|lower x}", "write |lower"),
        ("${A|date('%Y')}", '"Fix/One" is no date'),
        ("${B|lower}", "${B} is no variable"),
    ],
)
def test_what_cannot_be_done_is_one_error(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=r"^buildx\.toml:6:5: .*" + re.escape(message)):
        value(tmp_path, text)


LISTS = """
[variable]
R = { default = ["Docker.io/me", "ghcr.io/me"] }
T = { default = ["v1", "latest"] }
EXTRA = { default = "" }
[target.a]
tags = ["${R|lower}/app:${T}", "${EXTRA:+quay.io/me/app:}${EXTRA}"]
"""


def test_a_list_from_lists(tmp_path: Path) -> None:
    four = ["docker.io/me/app:v1", "docker.io/me/app:latest"]
    four += ["ghcr.io/me/app:v1", "ghcr.io/me/app:latest"]
    assert load(tmp_path, LISTS)["a"].tags == four
    given = {"R": "x.io", "T": "v2"}
    tags = load(tmp_path, LISTS, environment=given, sets=["EXTRA=n"])["a"].tags
    assert tags == ["x.io/app:v2", "quay.io/me/app:n"]


def test_a_version_from_a_file(tmp_path: Path) -> None:
    text = '[variable.V]\ndefault = { file = "V" }\n[target.a]\ntags = ["a:${V}"]\n'
    with pytest.raises(ConfigError, match=r"^buildx\.toml:2:11: V cannot be read: No such file"):
        load(tmp_path, text)
    (tmp_path / "V").write_bytes(b"\xef\xbb\xbf 1.2.3\r\n")
    assert load(tmp_path, text)["a"].tags == ["a:1.2.3"]
    assert load(tmp_path, text, sets=["V=9"])["a"].tags == ["a:9"]
    (tmp_path / "V").write_text('{\n  "version": "4.5.6"\n}\n')
    with pytest.raises(ConfigError, match=r":2:11: V has several lines; name the one with match"):
        load(tmp_path, text)
    matched = text.replace('"V" }', '"V", match = \'"version": "(.+?)"\' }')
    assert load(tmp_path, matched)["a"].tags == ["a:4.5.6"]
    (tmp_path / "V").write_text("none")
    with pytest.raises(ConfigError, match="V has nothing that matches"):
        load(tmp_path, matched)
    (tmp_path / "V").write_text("7")
    number = text.replace("[target.a]", 'type = "number"\n[target.a]')
    assert load(tmp_path, number)["a"].tags == ["a:7"]


@pytest.mark.parametrize("name", ["../secret", "/etc/hostname", "link"])
def test_no_file_outside_the_project_is_read(tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to("/etc/hostname")
    text = f'[variable.V]\ndefault = {{ file = "{name}" }}\n[target.a]\ntags = ["a:${{V}}"]\n'
    with pytest.raises(ConfigError, match=r":2:11: .* is not below the project's folder"):
        load(tmp_path, text)
    with pytest.raises(ConfigError, match=r":2:1: .* is not below the project's folder"):
        load(tmp_path, f'[env]\nfile = "{name}"\n[target.a]\n')


def test_values_of_a_dot_env(tmp_path: Path) -> None:
    text = '[env]\nfile = [".env", ".env.local"]\n[variable.V]\ndefault = "d"\n[variable.W]\n'
    text += 'default = ""\n[target.a]\nargs = { V = "${V}", W = "${W}" }\n'

    def args(**options: Any) -> list[str]:
        return list(load(tmp_path, text, **options)["a"].attributes["args"].values())

    assert args() == ["d", ""]
    said = "# c\n\nexport V = 'a # $b'\nW=x y # c\nOTHER=\"a\\n\"\n"
    (tmp_path / ".env").write_text(said)
    assert args() == ["a # $b", "x y"]
    (tmp_path / ".env.local").write_text("V=\n")
    assert args() == ["", "x y"]
    assert args(environment={"V": "e"}, sets=["W=s"]) == ["e", "s"]
    (tmp_path / ".env.local").write_text("V=1\nhunter2\n")
    with pytest.raises(ConfigError, match=r"^\.env\.local:2:1: this is no NAME=value") as caught:
        args()
    assert "hunter2" not in str(caught.value)
    (tmp_path / ".env.local").write_text("V=x\n")
    with pytest.raises(ConfigError, match=r"correct V in \[env\] file"):
        load(tmp_path, text.replace('default = "d"', 'default = "d"\ntype = "bool"'))


SEVERAL = """
[variable.V]
default = "1"
[target.app]
platforms = ["linux/amd64", "linux/arm64"]
tags = ["app:${V}"]
args = { X = "0", Y = "0" }
dockerfile-inline = "FROM scratch"
[target.app.platform."linux/arm64"]
args = { X = "arm" }
[target.api]
inherits = ["app"]
"""


def test_attributes_are_set_for_one_call(tmp_path: Path) -> None:
    sets = ["app.args.X=1", "*.platforms=linux/arm64", "api.no-cache=true", "V=2"]
    sets += ["app.output=type=local,dest=x", "app.dockerfile=D", "api.tags=a:1,b:1"]
    targets = load(tmp_path, SEVERAL, sets=sets)
    app, api = targets["app"], targets["api"]
    assert app.attributes["args"] == {"X": "1", "Y": "0"}
    assert [one["args"]["X"] for one in app.overrides.values()] == ["1"]
    assert [one["args"]["X"] for one in api.overrides.values()] == ["arm"]
    assert app.platforms == api.platforms == ["linux/arm64"]
    assert (app.tags, api.tags) == (["app:2"], ["a:1", "b:1"])
    assert app.output == [{"type": "local", "dest": "x"}]
    assert (app.attributes["dockerfile"], api.attributes["no-cache"]) == ("D", True)
    assert "dockerfile-inline" not in app.attributes


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("ap.args.X=1", '--set ap.args.X: no target is called "ap"; did you mean'),
        ("app.tgas=x", '--set app.tgas: targets have no "tgas"; did you mean "tags"?'),
        ("app.args=x", "--set app.args: write --set app.args.NAME=value"),
        ("app.tags.x=x", "--set app.tags.x: write --set app.tags=value"),
        ("app.pull=x", '--set app.pull: must be true or false, not "x"'),
        ("app.tags=A B", "--set app.tags: "),
        ("app.secret=id", "--set app.secret: "),
        ("app.platform=linux/arm46", "--set app.platform: "),
    ],
)
def test_what_cannot_be_set_is_one_error(tmp_path: Path, given: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        load(tmp_path, SEVERAL, sets=[given])
    assert str(caught.value).startswith(message)


def test_the_page_says_what_comes_of_its_file(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "variables.md").read_text()
    (tmp_path / "VERSION").write_text("1.2\n")
    target = load(tmp_path, page.split("```toml\n")[1].split("```")[0])["app"]
    assert target.tags == [
        f"{registry}/me/app:{tag}"
        for registry in ("docker.io", "ghcr.io")
        for tag in ("1.2", "latest")
    ]
    assert target.attributes["args"]["CHANNEL"] == "none"
