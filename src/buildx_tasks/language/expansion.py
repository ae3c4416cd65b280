"""Declared tables → :class:`Config`: matrices, defaults, inheritance and links worked out."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from buildx_tasks import platforms, references
from buildx_tasks.builders import nodes
from buildx_tasks.errors import listed, nearest
from buildx_tasks.language import metadata
from buildx_tasks.language.config import Builder, Emulators, Group
from buildx_tasks.language.expectations import Verify
from buildx_tasks.language.git import GitError
from buildx_tasks.language.merging import (
    ATTRIBUTES,
    PLAIN,
    Attributes,
    canonical,
    entitled,
    merge,
    normalise,
)
from buildx_tasks.language.verify_table import faults, named_platforms, same_names
from buildx_tasks.planning.helpers import helper_names

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from buildx_tasks.language.git import Git
    from buildx_tasks.language.sources import Sources
    from buildx_tasks.language.variables import Variables
    from buildx_tasks.platforms import Platform

DEFAULT = "default"  # bake's name for what is built when nothing is selected
LINK = "target:"

_LOGGED_IN = re.compile(r"https?://[^/]+@")
_UNSAFE = re.compile(r"[^a-zA-Z0-9_-]+")
_ROWS = ("include", "exclude")
_EMPTY: dict[str, Any] = {}

Path = tuple[Any, ...]


class Target(NamedTuple):
    """One target, worked out.

    ``attributes`` are bake's, in the form of ``bake --print``; ``overrides`` holds, for each platform
    that has some, all attributes of that platform's build; ``files`` maps each platform to the files
    offered to it: name → path from the project's folder; ``lint_ignore`` holds codes not reported,
    ``immutable`` globs of tags that never move, ``sign`` cosign's key or True.
    """

    attributes: Attributes
    verify: Verify | None = None
    files: dict[Platform, dict[str, str]] = {}  # noqa: RUF012 - never written to
    overrides: dict[Platform, Attributes] = {}  # noqa: RUF012 - never written to
    lint_ignore: tuple[str, ...] = ()
    immutable: tuple[str, ...] = ()
    sign: bool | str = False

    @property
    def tags(self) -> list[str]:
        """Image references; the first one names the image."""
        return list(self.attributes.get("tags", ()))

    @property
    def platforms(self) -> list[str]:
        """Platforms as they were written; empty for this machine's own."""
        return list(self.attributes.get("platforms", ()))

    @property
    def output(self) -> list[dict[str, str]]:
        """Exports; empty for the image store."""
        return list(self.attributes.get("output", ()))

    @property
    def description(self) -> str | None:
        """One line for people."""
        return self.attributes.get("description")

    @property
    def builds(self) -> tuple[Attributes, ...]:
        """The attributes of every build that the target needs."""
        return (self.attributes, *self.overrides.values())


class Config(NamedTuple):
    """What a file comes to; a matrix is a group of its targets."""

    target: dict[str, Target]
    group: dict[str, Group]
    builder: Builder | None
    emulators: Emulators


class _Table(NamedTuple):
    """One target before inheritance; ``path`` is where it stands in the file."""

    path: Path
    data: dict[str, Any]


def links(target: Target) -> dict[str, str]:
    """Return the targets that a target builds on: key in its table → name after ``target:``."""
    found = {
        f"contexts.{key}": value[len(LINK) :]
        for attributes in target.builds
        for key, value in attributes.get("contexts", _EMPTY).items()
        if value.startswith(LINK)
    }
    for platform, files in target.files.items():
        for path in files.values():
            if path.startswith(LINK):
                found[f"files.{platform}"] = path[len(LINK) :].partition("/")[0]
    return found


def expand(sources: Sources, variables: Variables, git: Git) -> Config:
    """Work out what the merged and checked data of ``sources`` come to.

    Raises:
        ConfigError: a value is impossible, a name unknown, a chain circular.

    """
    data = {key: value for key, value in sources.data.items() if key != "variable"}
    plain = {name: table for name, table in data["target"].items() if "matrix" not in table}
    if sources.has_variables:
        rest = {key: value for key, value in data.items() if key != "target"}
        data = {**variables.fill(rest, ()), "target": data["target"]}
        plain = variables.fill(plain, ("target",))
    tables: dict[str, _Table] = {}
    matrices: dict[str, list[str]] = {}
    for name, table in data["target"].items():
        path = ("target", name)
        if "matrix" not in table:
            if "name" in table:
                raise sources.fail(
                    (*path, "name"),
                    f"[target.{name}] has a name but no matrix; remove it, or add a matrix",
                )
            cells = {name: _Table(path, plain[name])}
        else:
            cells = _matrix(name, table, variables, sources)
            matrices[name] = list(cells)
        for cell, cell_table in cells.items():
            if cell in tables:
                raise sources.fail(
                    path,
                    f'[target.{name}] makes a target "{cell}", which [{_dotted(tables[cell].path)}] '
                    "makes already; change one of the names",
                )
            tables[cell] = cell_table
    work = _Expansion(sources, git, tables, data.get("defaults", {}))
    targets = {name: work.finish(name) for name in tables}
    work.check_links(targets)
    work.check_helpers(targets)
    work.check_verify(targets)
    groups = _groups(data.get("group", {}), matrices, targets, sources)
    work.check_tags({name: targets[name] for name in members(groups, default(targets, groups))})
    builder = msgspec.convert(data["builder"], Builder) if "builder" in data else None
    if builder:
        nodes.check(builder, sources.fail)
    return Config(
        targets,
        groups,
        builder,
        msgspec.convert(data.get("emulators", {}), Emulators),
    )


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))


def _matrix(
    name: str, table: dict[str, Any], variables: Variables, sources: Sources
) -> dict[str, _Table]:
    """Return the targets of a matrix by name, the last axis changing first."""
    path = ("target", name)
    matrix = variables.fill(table["matrix"], (*path, "matrix"))
    axes = {axis: values for axis, values in matrix.items() if axis not in _ROWS}
    if not axes:
        raise sources.fail(
            (*path, "matrix"),
            f'[target.{name}] has a matrix without axes; add one, as in go = ["1.24"]',
        )
    rows = {kind: matrix.get(kind, []) for kind in _ROWS}
    for kind, items in rows.items():
        for number, row in enumerate(items):
            where = (*path, "matrix", kind, number)
            if not isinstance(row, dict):
                raise sources.fail(
                    where, f"{kind} holds tables, as in {{ {next(iter(axes))} = … }}"
                )
            for key in row:
                if key not in axes:
                    hint = nearest(key, axes) or f"; axes: {', '.join(axes)}"
                    raise sources.fail((*where, key), f'"{key}" is no axis of the matrix{hint}')
            if kind == "include" and len(row) < len(axes):
                lacking = ", ".join(axis for axis in axes if axis not in row)
                raise sources.fail(
                    where, f"this combination lacks {lacking}; give every axis a value"
                )
    cells = [dict(zip(axes, values)) for values in itertools.product(*axes.values())]
    for number, row in enumerate(rows["exclude"]):
        kept = [cell for cell in cells if any(cell[key] != row[key] for key in row)]
        if len(kept) == len(cells):
            raise sources.fail(
                (*path, "matrix", "exclude", number),
                "excludes no combination of the matrix; correct or remove it",
            )
        cells = kept
    cells += rows["include"]
    if not cells:
        raise sources.fail(
            (*path, "matrix"), f"[target.{name}] excludes every combination; remove an exclude"
        )
    template = table.get("name")
    rest = {key: value for key, value in table.items() if key not in {"matrix", "name"}}
    found: dict[str, _Table] = {}
    for cell in cells:
        if template is None:
            parts = [
                v if not isinstance(v, dict) else next(iter(v.values())) for v in cell.values()
            ]
            label = "-".join([name, *map(str, parts)])
        else:
            label = variables.fill(template, (*path, "name"), cell)
        label = _UNSAFE.sub("-", str(label))
        if label in found or label == name:
            raise sources.fail(
                (*path, "name") if template else path,
                f'two targets of the matrix are called "{label}"; name all axes, as in '
                f'name = "{name}-{"-".join(f"${{{axis}}}" for axis in axes)}"'
                if label != name
                else f'a target of the matrix is called "{name}", as the matrix is; name its axes too',
            )
        found[label] = _Table(path, variables.fill(rest, path, cell))
    return found


class _Own(NamedTuple):
    """What one table adds: canonical attributes, and our own tables as they were written."""

    attributes: Attributes
    tables: dict[str, Any]
    platform: dict[Platform, Attributes]


_OURS = ("files", "lint", "metadata", "push", "verify")


def _patterns(immutable: bool | list[str]) -> tuple[str, ...]:
    return tuple(immutable) if isinstance(immutable, list) else ("*",) * immutable


class _Expansion:
    def __init__(
        self, sources: Sources, git: Git, tables: dict[str, _Table], defaults: dict[str, Any]
    ) -> None:
        self._sources = sources
        self._git = git
        self._tables = tables
        self._resolved: dict[str, _Own] = {}
        self._good_platforms: set[tuple[str, ...]] = set()
        self._defaults = self._own(_Table(("defaults",), defaults))
        self._has_defaults = bool(defaults)

    def _own(self, table: _Table) -> _Own:
        """Check one table's values and bring them into canonical form."""
        path, data = table
        if "platforms" in data:
            self._check_platforms(data["platforms"], (*path, "platforms"))
        if "tags" in data:
            for number, tag in enumerate(data["tags"]):
                self._check_tag(tag, (*path, "tags", number))
        platform = {}
        for text, override in data.get("platform", _EMPTY).items():
            where = (*path, "platform", text)
            platform[self._platform(text, where)] = self._attributes(override, where)
        ours = {key: data[key] for key in _OURS if key in data}
        if "files" in ours:
            ours["files"] = self._files(ours["files"], (*path, "files"))
        for where, message in faults(data.get("verify", _EMPTY)):
            raise self._sources.fail((*path, "verify", *where), message)
        return _Own(self._attributes(data, path), ours, platform)

    def _attributes(self, data: dict[str, Any], path: Path) -> Attributes:
        found: Attributes = {}
        for key, value in data.items():
            if key not in ATTRIBUTES:
                continue
            if key in PLAIN:
                found[key] = value
                continue
            try:
                found[key] = canonical(key, value)
            except ValueError as error:
                number, reason = error.args
                raise self._sources.fail((*path, key, number), f"{key}: {reason}") from None
        if "dockerfile" in data and "dockerfile-inline" in data:
            raise self._sources.fail(
                (*path, "dockerfile-inline"),
                f"[{_dotted(path)}] has both dockerfile and dockerfile-inline; keep one",
            )
        if data.get("context", "").startswith(LINK):
            raise self._sources.fail(
                (*path, "context"),
                "a context cannot be another target; name it in contexts, as in "
                f'contexts = {{ base = "{data["context"]}" }}, and say FROM base',
                value=True,
            )
        places: dict[Path, str] = {("context",): data.get("context", "")}
        places.update({("contexts", key): one for key, one in data.get("contexts", _EMPTY).items()})
        for steps, place in places.items():
            if "@" in place and _LOGGED_IN.match(place):
                raise self._sources.fail(
                    (*path, *steps),
                    f"{'.'.join(steps)} holds a log-in, which would be in the bake file for all to read; "
                    'take it out of the address, and give it as secret = ["id=GIT_AUTH_TOKEN,env=…"]',
                    value=True,
                )
        for text in data.get("annotations", ()):
            if "=" not in text:
                raise self._sources.fail(
                    (*path, "annotations", data["annotations"].index(text)),
                    f'"{text}" is no annotation; write KEY=VALUE, or manifest:KEY=VALUE',
                )
        return found

    def _platform(self, text: str, where: Path) -> Platform:
        try:
            return platforms.parse(text)
        except ValueError as error:
            raise self._sources.fail(where, str(error)) from None

    def _check_platforms(self, declared: list[str], where: Path) -> None:
        if tuple(declared) in self._good_platforms:
            return
        seen: dict[Platform, str] = {}
        for number, text in enumerate(declared):
            parsed = self._platform(text, (*where, number))
            if parsed in seen:
                raise self._sources.fail(
                    (*where, number),
                    f'"{text}" is the same platform as "{seen[parsed]}"; keep one',
                )
            seen[parsed] = text
        self._good_platforms.add(tuple(declared))

    def _check_tag(self, tag: str, where: Path) -> None:
        try:
            references.parse(tag)
        except ValueError as error:
            raise self._sources.fail(where, str(error)) from None

    def _files(self, data: dict[str, Any], where: Path) -> dict[Platform, dict[str, str]]:
        found = {}
        for text, files in data.items():
            platform = self._platform(text, (*where, text))
            if isinstance(files, str):
                files = {file_name(files, platform): files}  # noqa: PLW2901
            for path in files.values():
                if '"' in path or "\n" in path or path.startswith("../"):
                    raise self._sources.fail(
                        (*where, text),
                        f'"{path}" must be a path below the project\'s folder, without quotes',
                    )
            found[platform] = files
        return found

    def _resolve(self, name: str, trail: tuple[str, ...] = ()) -> _Own:
        """Return a target's tables merged with those it inherits, without [defaults]."""
        if name in self._resolved:
            return self._resolved[name]
        table = self._tables[name]
        own = self._own(table)
        own = own._replace(attributes=entitled(own.attributes))
        parents = table.data.get("inherits", ())
        if not parents:
            self._resolved[name] = own
            return own
        merged = _Own({}, {}, {})
        for number, parent in enumerate(parents):
            where = (*table.path, "inherits", number)
            if parent not in self._tables:
                hint = nearest(parent, self._tables) or "; declare it"
                raise self._sources.fail(
                    where, f'[target.{name}] inherits from unknown target "{parent}"{hint}'
                )
            if parent in (*trail, name):
                chain = [*trail, name]
                way = " → ".join([*chain[chain.index(parent) :], parent])
                raise self._sources.fail(
                    where, f"targets inherit from each other: {way}; remove one of these"
                )
            merged = _joined(merged, self._resolve(parent, (*trail, name)))
        whole = _joined(merged, own)
        self._resolved[name] = whole._replace(attributes=entitled(whole.attributes))
        return self._resolved[name]

    def finish(self, name: str) -> Target:
        """Return one target, worked out."""
        whole = self._resolve(name)
        if self._has_defaults:
            whole = _joined(self._defaults, whole)
        attributes = whole.attributes
        if "metadata" in whole.tables:
            attributes = self._with_metadata(name, attributes, whole.tables["metadata"])
        if not (whole.platform or whole.tables):
            return Target(normalise(attributes))
        where = self._tables[name].path
        declared = {platforms.parse(text): text for text in attributes.get("platforms", ())}
        for platform in whole.platform:
            if platform not in declared:
                raise self._sources.fail(
                    (*where, "platform", str(platform)),
                    f"[target.{name}] has overrides for {platform}, which is none of its platforms"
                    f"{nearest(str(platform), declared.values())}",
                )
        files = whole.tables.get("files", {})
        lacking = [text for platform, text in declared.items() if platform not in files]
        if files and (lacking or not declared):
            raise self._sources.fail(
                (*where, "files"),
                f"[target.{name}.files] has no file for {', '.join(lacking) or 'any platform'}; add one"
                if lacking
                else f"[target.{name}] has files but no platforms; declare them",
            )
        if files and "files" in attributes.get("contexts", _EMPTY):
            raise self._sources.fail(
                (*where, "contexts", "files"),
                f'[target.{name}] has files and a context called "files"; rename the context',
            )
        if "lint" in whole.tables:
            self._check_codes(name, whole.tables["lint"].get("ignore", ()))
        verify = whole.tables.get("verify")
        for steps, message in same_names(verify or _EMPTY):  # of several tables together
            raise self._sources.fail(self._stands(name, "verify", *steps), message)
        return Target(
            normalise(attributes),
            msgspec.convert(verify, Verify) if verify is not None else None,
            files,
            {
                platform: normalise(_one_build(merge(attributes, _one_source(override))))
                for platform, override in whole.platform.items()
            },
            tuple(whole.tables.get("lint", _EMPTY).get("ignore", ())),
            _patterns(whole.tables.get("push", _EMPTY).get("immutable", False)),
            whole.tables.get("push", _EMPTY).get("sign", False),
        )

    def _check_codes(self, name: str, ignored: Iterable[str]) -> None:
        from buildx_tasks.building.lint import KNOWN_CODES

        for number, code in enumerate(ignored):
            if code not in KNOWN_CODES:
                hint = nearest(code, KNOWN_CODES) or f"; known: {listed(KNOWN_CODES)}"
                raise self._sources.fail(
                    self._stands(name, "lint", "ignore", number),
                    f'invoke lint has no code "{code}"{hint}',
                )

    def _with_metadata(self, name: str, attributes: Attributes, data: dict[str, Any]) -> Attributes:
        where = (*self._tables[name].path, "metadata")
        found = metadata.facts(self._git)
        tags = metadata.tags(found, data.get("tags", metadata.KINDS)) if found else []
        if not tags and "fallback" in data:
            tags = [data["fallback"]]
        if not tags:
            why = (
                "there is no git commit here" if not found else "git gives none of the wanted tags"
            )
            raise self._sources.fail(
                where, f'{why}; add fallback = "dev" to [{_dotted(where)}], or another kind of tag'
            )
        derived = [f"{image}:{tag}" for image in data["images"] for tag in tags]
        for number, image in enumerate(data["images"]):
            self._check_tag(f"{image}:{tags[0]}", (*where, "images", number))
        base: Attributes = {}
        if found and data.get("labels", True):
            try:
                base["labels"] = metadata.labels(self._git, tags[0])
            except GitError as error:
                raise self._sources.fail(where, f"{error}; set labels = false") from None
        return {
            **merge(base, attributes),
            "tags": [*attributes.get("tags", []), *derived],
        }

    def _stands(self, name: str, *steps: Any) -> Path:
        """Return where an expanded value stands: in its own table, or where it was inherited."""
        waiting = [name]
        while waiting:
            table = self._tables[waiting.pop(0)]
            if steps[0] in table.data:
                return (*table.path, *steps)
            waiting += reversed(table.data.get("inherits", []))
        return ("defaults", *steps) if self._has_defaults else self._tables[name].path

    def check_tags(self, targets: dict[str, Target]) -> None:
        """Refuse a tag that two of these targets claim."""
        owners: dict[references.Reference, str] = {}
        for name, target in targets.items():
            for number, tag in enumerate(target.attributes.get("tags", ())):
                owner = owners.setdefault(references.parse(tag), name)
                if owner != name:
                    raise self._sources.fail(
                        self._stands(name, "tags", number),
                        f'tag "{tag}" is already the one of target "{owner}"; '
                        "give each target tags of its own",
                    )

    def check_helpers(self, targets: dict[str, Target]) -> None:
        """Refuse a target with the name of another one's helper."""
        for name, target in targets.items():
            if not (target.files or target.overrides):
                continue
            for helper in helper_names(target, name, map(platforms.parse, target.platforms)):
                if helper in targets:
                    raise self._sources.fail(
                        self._tables[helper].path,
                        f'"{helper}" is the name of a helper of target "{name}"; rename this one',
                    )

    def check_verify(self, targets: dict[str, Target]) -> None:
        """Refuse a platform that a verify table names, and that no target with the table has."""
        having: dict[Path, list[list[str]]] = {}
        for name, target in targets.items():
            for path in self._lineage(name):
                having.setdefault(path, []).append(target.platforms)
        for name, table in self._tables.items():
            declared: dict[Platform, str] | None = None
            for steps, text in named_platforms(table.data.get("verify", _EMPTY)):
                if not all(having[table.path]):  # this machine's own platform, whichever that is
                    break
                if declared is None:
                    texts = itertools.chain.from_iterable(having[table.path])
                    declared = {platforms.parse(one): one for one in texts}
                if platforms.parse(text) not in declared:
                    known = declared.values()
                    hint = nearest(text, known) or f"; its platforms: {', '.join(known)}"
                    raise self._sources.fail(
                        (*table.path, "verify", *steps),
                        f"[target.{name}] has no platform {text} to verify{hint}",
                    )

    def _lineage(self, name: str) -> set[Path]:
        """Return where a target's own table stands, and those that it inherits."""
        table = self._tables[name]
        parents = table.data.get("inherits", ())
        return {table.path}.union(*map(self._lineage, parents))

    def check_links(self, targets: dict[str, Target]) -> None:
        """Refuse links to unknown targets, circles, and platforms that the other does not have."""
        graph = {name: list(way.values()) for name, t in targets.items() if (way := links(t))}
        for name in graph:
            for key, linked in links(targets[name]).items():
                where = self._stands(name, *key.split(".", 1))
                if linked not in targets:
                    raise self._sources.fail(
                        where,
                        f'[target.{name}] builds on unknown target "{linked}"'
                        + (nearest(linked, targets) or "; declare it"),
                        value=True,
                    )
                if circle := cycle(graph, name):
                    raise self._sources.fail(
                        where, f"targets build on each other: {circle}; remove one link"
                    )
                theirs = set(map(platforms.parse, targets[linked].platforms))
                ours = [p for p in targets[name].platforms if platforms.parse(p) not in theirs]
                if ours and len(targets[name].platforms) > 1 and len(theirs) > 1:
                    raise self._sources.fail(
                        where,
                        f'[target.{name}] builds on "{linked}", which has no {", ".join(ours)}; '
                        "add it there",
                        value=True,
                    )


def default(targets: Iterable[str], groups: Iterable[str]) -> list[str]:
    """Return what is meant where nothing is selected: ``default``, or all that is not ``_hidden``."""
    if DEFAULT in {*targets, *groups}:
        return [DEFAULT]
    return [name for name in targets if not name.startswith("_")]


def members(groups: Mapping[str, Group], names: Iterable[str]) -> list[str]:
    """Return the targets that the names (of targets and groups) stand for, each once."""
    found: dict[str, None] = {}
    for name in names:
        group = groups.get(name)
        found.update(dict.fromkeys(members(groups, group.targets) if group else [name]))
    return list(found)


def _joined(base: _Own, own: _Own) -> _Own:
    platform = dict(base.platform)
    for key, override in own.platform.items():
        platform[key] = merge(platform.get(key, {}), override)
    tables = {
        key: {**base.tables.get(key, {}), **own.tables.get(key, {})}
        for key in (*base.tables, *(k for k in own.tables if k not in base.tables))
    }
    return _Own(merge(base.attributes, own.attributes), tables, platform)


def _one_source(override: Attributes) -> Attributes:
    """Let an override's Dockerfile replace the target's, whichever way each is given."""
    if "dockerfile" in override:
        return {**override, "dockerfile-inline": None}
    return override


def _one_build(attributes: Attributes) -> Attributes:
    """Return what a build of one platform takes of a target: nothing that belongs to the image."""
    whole = ("attest", "cache-to", "call", "description", "output", "platforms", "tags")
    return {key: value for key, value in attributes.items() if key not in whole}


def file_name(path: str, platform: Platform) -> str:
    """Return a file's name without the suffix that names its platform; ``""`` for all of a folder.

    ``dist/hello.arm64``, ``dist/hello-linux-arm64`` and ``dist/arm64/hello`` are all ``hello``.
    """
    base = path.rpartition("/")[2]
    if not base:
        return ""
    architecture = {platform.architecture, platform.architecture + platform.variant}
    if platform.variant:
        architecture |= {f"{platform.architecture}{mark}{platform.variant}" for mark in "-_."}
    architecture |= {alias for alias in ("x86_64", "aarch64") if platforms.parse(alias) == platform}
    suffixes = [*architecture, *(f"{platform.os}{mark}{a}" for a in architecture for mark in "-_.")]
    for suffix in sorted(suffixes, key=len, reverse=True):
        if base == suffix:
            return ""
        if base.endswith(suffix) and base[-len(suffix) - 1] in "._-":
            return base[: -len(suffix) - 1]
    return base


def _groups(
    declared: dict[str, Any],
    matrices: dict[str, list[str]],
    targets: dict[str, Target],
    sources: Sources,
) -> dict[str, Group]:
    groups = {name: Group(members) for name, members in matrices.items()}
    for name, table in declared.items():
        if name in targets or name in matrices:
            raise sources.fail(
                ("group", name), f'"{name}" is a target and a group; rename one of them'
            )
        groups[name] = msgspec.convert(
            {**table, "targets": list(dict.fromkeys(table["targets"]))}, Group
        )
    for name, members in matrices.items():
        if name in targets:
            raise sources.fail(
                ("target", name), f'a target of the matrix is called "{name}"; change its name'
            )
        groups[name] = Group(members)
    graph = {name: list(group.targets) for name, group in groups.items()}
    for name, table in declared.items():
        for number, member in enumerate(table["targets"]):
            if member not in targets and member not in groups:
                raise sources.fail(
                    ("group", name, "targets", number),
                    f'[group.{name}] names unknown target "{member}"'
                    + (nearest(member, {*targets, *groups}) or "; declare it"),
                )
        if way := cycle(graph, name):
            raise sources.fail(
                ("group", name), f"groups contain each other: {way}; remove one of these members"
            )
    return groups


def cycle(graph: dict[str, list[str]], start: str) -> str:
    """Return the way from ``start`` back to ``start`` as ``a → b → a``, or ``""``."""
    trail: list[tuple[str, ...]] = [(start,)]
    seen: set[str] = set()
    while trail:
        way = trail.pop()
        for following in graph.get(way[-1], []):
            if following == start:
                return " → ".join((*way, start))
            if following not in seen:
                seen.add(following)
                trail.append((*way, following))
    return ""
