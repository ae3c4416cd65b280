"""Secrets: there or an error, optional or taken out, and with all that is built on them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from buildx_tasks.building.requirements import require_readable
from buildx_tasks.errors import ConfigError
from buildx_tasks.language import loading
from buildx_tasks.planning.bakefile import bake_definition
from buildx_tasks.planning.selection import make_plan

if TYPE_CHECKING:
    from pathlib import Path

    from buildx_tasks.planning.selection import Plan

APP = '[target.app]\nplatforms = ["linux/amd64"]\ndockerfile-inline = "FROM scratch"\n'


def plan(folder: Path, text: str, **environment: str) -> Plan:
    path = folder / "buildx.toml"
    path.write_text(text)
    return make_plan(loading.load(path, environment=environment))


def targets(folder: Path, text: str, **environment: str) -> dict[str, Any]:
    found: dict[str, Any] = bake_definition(plan(folder, text, **environment))["target"]
    return found


@pytest.mark.parametrize(
    ("entry", "why"),
    [
        ('"id=tok,env=BT_NOT_SET"', "the variable BT_NOT_SET is not set"),
        ('{ id = "tok", env = "BT_NOT_SET" }', "the variable BT_NOT_SET is not set"),
        ('"id=tok,type=env,src=BT_NOT_SET"', "the variable BT_NOT_SET is not set"),
        ('"id=tok,src=no/file"', "there is no file no/file"),
        ('"id=tok,src=folder"', "the file folder cannot be read"),
        ('"id=BT_NOT_SET"', "there is neither a variable nor a file BT_NOT_SET"),
    ],
)
def test_a_secret_that_is_not_there_is_named_with_its_place(
    tmp_path: Path, entry: str, why: str
) -> None:
    (tmp_path / "folder").mkdir()
    its = plan(tmp_path, f'{APP}secret = [\n  "id=other,env=PATH",\n  {entry},\n]\n')
    with pytest.raises(ConfigError, match=r"^buildx.toml:6:3: \[target.app\] secret ") as caught:
        require_readable(its, tmp_path)
    assert why in str(caught.value)
    is_there = "folder" in entry
    assert ("optional = true }" in str(caught.value)) is not is_there


def test_an_empty_one_passes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BT_EMPTY", "")
    (tmp_path / "empty").touch()
    its = plan(tmp_path, f'{APP}secret = ["id=a,env=BT_EMPTY", "id=b,src=empty"]\n')
    require_readable(its, tmp_path)


def test_inherited_and_overridden_secrets_are_named_where_they_stand(tmp_path: Path) -> None:
    text = '[defaults]\nsecret = ["id=tok,env=BT_NOT_SET"]\n' + APP
    with pytest.raises(ConfigError, match=r"^buildx.toml:2:11: \[target.app\] secret "):
        require_readable(plan(tmp_path, text), tmp_path)
    text = f'{APP}[target.app.platform."linux/amd64"]\nsecret = ["id=tok,env=BT_NOT_SET"]\n'
    with pytest.raises(ConfigError, match=r'^buildx.toml:5:11: .*app.platform."linux/amd64"\] sec'):
        require_readable(plan(tmp_path, text), tmp_path)


OPTIONAL = APP + 'secret = [{ id = "tok", env = "TOK", optional = true }, "id=b,env=PATH"]\n'


def test_an_optional_one_is_taken_out_and_bake_never_hears_of_it(tmp_path: Path) -> None:
    there = targets(tmp_path, OPTIONAL, TOK="")["app"]
    assert there["secret"] == [{"id": "tok", "env": "TOK"}, {"id": "b", "env": "PATH"}]
    assert "extra-hosts" not in there
    gone = targets(tmp_path, OPTIONAL)["app"]
    assert gone["secret"] == [{"id": "b", "env": "PATH"}]
    # What tells its layers from those that are built with the value.
    assert gone["extra-hosts"] == {"without-secret-tok.invalid": "127.0.0.1"}


def test_an_optional_one_that_is_there_and_cannot_be_read_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    its = plan(tmp_path, APP + 'secret = [{ id = "tok", src = "folder", optional = true }]\n')
    with pytest.raises(ConfigError, match=r"^buildx.toml:4:11: .* cannot be read; name a file"):
        require_readable(its, tmp_path)


def test_optional_is_for_tables(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match='write { id = "a", env = "A", optional = true }'):
        plan(tmp_path, APP + 'secret = ["id=a,env=A,optional=true"]\n')


LINKED = """
[target.base]
platforms = ["linux/amd64", "linux/arm64"]
secret = ["id=tok,env=TOK"]
ssh = ["default"]
[target.middle]
platforms = ["linux/amd64", "linux/arm64"]
contexts = { base = "target:base" }
[target.app]
platforms = ["linux/amd64", "linux/arm64"]
contexts = { middle = "target:middle" }
"""


def test_secrets_and_ssh_reach_all_that_is_built_on_them(tmp_path: Path) -> None:
    found = targets(tmp_path, LINKED)
    for name in ("base", "middle", "app"):
        assert found[name]["secret"] == [{"id": "tok", "env": "TOK"}]
        assert found[name]["ssh"] == [{"id": "default"}]
    assert targets(tmp_path, LINKED + 'secret = ["id=tok,env=TOK"]\n')["app"]["secret"] == [
        {"id": "tok", "env": "TOK"}
    ]


@pytest.mark.parametrize(
    ("line", "kind"),
    [('secret = ["id=tok,src=file"]', 'secret "tok"'), ('ssh = ["default=key"]', 'ssh "default"')],
)
def test_one_id_with_two_sources_is_an_error(tmp_path: Path, line: str, kind: str) -> None:
    with pytest.raises(ConfigError, match=r"^buildx.toml:11:14: ") as caught:
        plan(tmp_path, f"{LINKED}{line}\n")
    assert f"{kind} has two sources" in str(caught.value)
    with pytest.raises(ConfigError, match="is there already, from elsewhere; keep one"):
        plan(tmp_path, APP + 'secret = ["id=tok,env=TOK", "id=tok,src=file"]\n')


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ('dockerfile = "No"', "5:1: [target.a] No: there is no such Dockerfile"),
        ('context = "no"', "5:1: [target.a] there is no context no"),
        ('context = "file"', "5:1: [target.a] the context file is no folder"),
        ('contexts = { x = "no" }', "5:1: [target.a] there is no context no (x)"),
        ('dockerfile = "folder"', "5:1: [target.a] folder: the Dockerfile is a folder"),
        ('dockerfile = "loose"', "5:1: [target.a] loose: the Dockerfile is a link to gone, which"),
        (
            '[target.a.platform."linux/amd64"]\ndockerfile = "No"',
            '6:1: [target.a.platform."linux/amd64"] No: there is no such Dockerfile',
        ),
    ],
)
def test_what_a_build_lacks_is_named_before_it(tmp_path: Path, lines: str, message: str) -> None:
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    (tmp_path / "loose").symlink_to("gone")
    its = plan(
        tmp_path, f'{APP}[target.a]\nplatforms = ["linux/amd64"]\n{lines}\n'.replace(APP, "\n\n")
    )
    with pytest.raises(ConfigError) as caught:
        require_readable(its, tmp_path)
    assert str(caught.value).startswith(f"buildx.toml:{message}")


def test_one_without_an_id_is_left_to_buildx(tmp_path: Path) -> None:
    require_readable(plan(tmp_path, f'{APP}secret = ["type=env"]\n'), tmp_path)
