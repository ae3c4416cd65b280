"""What commands built, and what the new file builds, both as ``bake --print`` says it: equal or not."""

from __future__ import annotations

import json
import posixpath
import re
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildx_tasks import platforms
from buildx_tasks.convert import moving
from buildx_tasks.convert.standing import StandIns, agent
from buildx_tasks.convert.writing import loaded, text_of
from buildx_tasks.errors import BuildxTasksError
from buildx_tasks.language.targets import LINK
from buildx_tasks.planning.selection import make_plan

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from buildx_tasks.convert.lines import Built
    from buildx_tasks.language.targets import Config
    from buildx_tasks.machine.commands import Commands

_OF_THE_IMAGE = frozenset({"platforms", "tags"})
_DEFAULTS = {"context": ".", "dockerfile": "Dockerfile"}
_LINKED = "https://target.invalid/"
TIME = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:Z|[+-]\d\d:?\d\d)?")
EQUAL = "equal"
UNKNOWN = "not compared, for docker buildx bake does not answer"


def compared(
    commands: Commands, text: str, built: Sequence[Built], variables: Mapping[str, Any]
) -> list[str]:
    """Return for each of the builds whether a file's text says the same, or what differs.

    ``variables`` are those that stand in the commands.
    """
    whole: dict[str, Any] = {}
    try:
        config = loaded(text, Path(), with_env=False)
        for number, one in enumerate(built):
            whole[f"old-{number}"] = _old(one, variables)
            whole[f"new-{number}"] = _new(config, one)
    except BuildxTasksError:
        return [UNKNOWN] * len(built)
    names = [(f"old-{number}", f"new-{number}") for number in range(len(built))]
    printed = bake_prints(commands, {"target": whole})
    if printed is not None:
        return [_result(printed, *pair) for pair in names]
    # One by one: what bake refuses of one command must not take the others with it.
    alone = [bake_prints(commands, {"target": {one: whole[one] for one in pair}}) for pair in names]
    return [_result(one, *pair) if one else UNKNOWN for one, pair in zip(alone, names)]


def _result(printed: Mapping[str, Any], old: str, new: str) -> str:
    is_equal = _timeless(printed[old]) == _timeless(printed[new])
    return EQUAL if is_equal else differences(printed[old], printed[new])


def _timeless(table: Mapping[str, Any]) -> str:
    """Return a target without the times in it: the time of a build is another one each time."""
    return TIME.sub("", json.dumps(table, sort_keys=True))


def bake_prints(commands: Commands, definition: dict[str, Any]) -> dict[str, Any] | None:
    """Return the targets of a definition as bake prints them; None where it does not."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "docker-bake.json")
        standing = StandIns(Path(folder))
        targets = {name: standing.table(_alone(t)) for name, t in definition["target"].items()}
        file.write_text(json.dumps({**definition, "target": targets}), "utf-8")
        words = ["env", *agent(Path(folder)), "docker", "buildx", "bake", "--file", str(file)]
        result = commands.query([*words, "--print", *targets])
    return dict(json.loads(result.stdout)["target"]) if result.ok else None


def _alone(table: dict[str, Any]) -> dict[str, Any]:
    """Return a target that stands alone, and whose platforms are told one by one."""
    done = dict(table)
    if "contexts" in table:
        addresses = {key: one.replace(LINK, _LINKED) for key, one in table["contexts"].items()}
        done["contexts"] = addresses
    if "platforms" in table:
        done["platforms"] = [one for text in table["platforms"] for one in text.split(",")]
    return done


def differences(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """Return in one line what differs between two targets as bake prints them."""
    said = [
        f"{key}: {_shown(old, key)} before, {_shown(new, key)} now"
        for key in dict.fromkeys([*old, *new])
        if old.get(key) != new.get(key)
    ]
    return "differs: " + "; ".join(said)


def _shown(table: Mapping[str, Any], key: str) -> str:
    if key not in table:
        return "nothing"
    return json.dumps(table[key], ensure_ascii=False).replace(f"{Path.cwd()}/", "")


def _old(built: Built, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return a target with whole paths, as docker reads what its command says."""
    folder = posixpath.join(str(Path.cwd()), _filled(built.folder, variables))
    table: dict[str, Any] = _filled({"context": ".", **built.attributes}, variables)
    if built.platform:
        table = {key: value for key, value in table.items() if key not in _OF_THE_IMAGE}
    if built.context is None:
        return _escaped(_told(table, folder))
    table["context"] = _filled(built.context, variables) or "."
    file = _filled(built.file, variables)
    if "-" in {table["context"], file}:
        return _escaped(_whole({**table, "context": ".", "dockerfile": "standard input"}, folder))
    if not moving.is_path(table["context"]):
        return _escaped(_whole({**table, "dockerfile": file}, folder))
    table = _whole(table, folder)
    # docker takes it from here, or it is in the context; a whole path says where it is.
    file = file or posixpath.join(table["context"], "Dockerfile")
    table["dockerfile"] = posixpath.normpath(posixpath.join(folder, file))
    return _escaped(table)


def _new(config: Config, built: Built) -> dict[str, Any]:
    """Return a target, or what one platform has of it, as planned; its paths are whole."""
    target = config.target[built.target]
    plan = make_plan(config, [built.target])  # one by one: together they may write one place
    table = plan.bake_file["target"][built.target]
    if built.platform:
        own = target.overrides.get(platforms.parse(built.platform), target.attributes)
        table = _escaped({k: v for k, v in own.items() if k not in _OF_THE_IMAGE})
    return _told(table, str(Path.cwd()))


def _told(table: dict[str, Any], folder: str) -> dict[str, Any]:
    """Return a target with whole paths, as bake takes them."""
    done = _whole({**_DEFAULTS, **table}, folder)
    if moving.is_path(table.get("context", ".")):
        file = posixpath.join(done["context"], done["dockerfile"])
        done["dockerfile"] = posixpath.normpath(file)
    return done


def _whole(table: dict[str, Any], folder: str) -> dict[str, Any]:
    return moving.with_paths(
        table, lambda path: posixpath.normpath(posixpath.join(folder, path)) if path else path
    )


def _filled(data: Any, variables: Mapping[str, Any]) -> Any:
    """Return data with the values of the variables in it, as without an environment."""
    texts: list[str] = []
    _collect(data, texts)
    args = {str(number): text for number, text in enumerate(texts)}
    probe = {"target": {"probe": {"args": args}}, "variable": dict(variables)}
    if not texts:
        return data
    try:
        values = (
            loaded(text_of(probe), Path(), with_env=False)
            .target["probe"]
            .attributes.get("args", {})
        )
    except BuildxTasksError:  # a variable without a default
        return data
    known = {text: values.get(str(number)) for number, text in enumerate(texts)}
    return _replaced(data, known)


def _collect(data: Any, texts: list[str]) -> None:
    if isinstance(data, str) and "${" in data:
        texts.append(data)
    elif isinstance(data, (dict, list)):
        for one in [*data, *data.values()] if isinstance(data, dict) else data:
            _collect(one, texts)


def _replaced(data: Any, known: Mapping[str, str | None]) -> Any:
    if isinstance(data, str):
        return known.get(data, data)
    if isinstance(data, dict):
        done = {_replaced(key, known): _replaced(item, known) for key, item in data.items()}
        return {key: item for key, item in done.items() if item is not None}
    return [_replaced(item, known) for item in data] if isinstance(data, list) else data


def _escaped(table: dict[str, Any]) -> dict[str, Any]:
    """Escape what bake would take for a template."""
    return {_text(key): _text(item) for key, item in table.items()}


def _text(data: Any) -> Any:
    if isinstance(data, str):
        return data.replace("${", "$${").replace("%{", "%%{")
    if isinstance(data, dict):
        return _escaped(data)
    return list(map(_text, data)) if isinstance(data, list) else data
