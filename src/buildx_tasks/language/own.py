"""One table of a target → what it adds: its values checked, attributes in canonical form."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Callable, NamedTuple

from buildx_tasks import platforms, references
from buildx_tasks.errors import nearest
from buildx_tasks.language.merging import ATTRIBUTES, PLAIN, canonical, merge
from buildx_tasks.language.placeholders import IN_BRACES, OF_ATTACHED, OF_CACHES
from buildx_tasks.language.tables import Table, dotted
from buildx_tasks.language.targets import LINK
from buildx_tasks.language.verify_table import faults

if TYPE_CHECKING:
    from collections.abc import Collection

    from buildx_tasks.language.merging import Attributes
    from buildx_tasks.language.positions import KeyPath
    from buildx_tasks.language.sources import Fail
    from buildx_tasks.platforms import Platform

_LOGGED_IN = re.compile(r"https?://[^/]+@")
_WITH_ENTRIES = frozenset({"secret", "ssh", "cache-from", "cache-to"})
_OURS = ("files", "lint", "metadata", "push", "verify")  # tables that bake does not know


class Own(NamedTuple):
    """What one table adds: canonical attributes, and our own tables as they were written."""

    attributes: Attributes
    tables: dict[str, Any]
    platform: dict[Platform, Attributes]


def joined(base: Own, own: Own) -> Own:
    """Return ``base`` with ``own`` over it; neither is changed."""
    platform = dict(base.platform)
    for key, override in own.platform.items():
        platform[key] = merge(platform.get(key, {}), override)
    tables = {
        key: {**base.tables.get(key, {}), **own.tables.get(key, {})}
        for key in (*base.tables, *(k for k in own.tables if k not in base.tables))
    }
    return Own(merge(base.attributes, own.attributes), tables, platform)


class Reader:
    """Reads tables one by one; lists of platforms that are many tables' are checked once."""

    def __init__(self, fail: Fail, emptied: Callable[[KeyPath], list[str]]) -> None:
        self._fail = fail
        self._emptied = emptied
        self._good_platforms: set[tuple[str, ...]] = set()

    def own(self, table: Table) -> Own:
        """Return what a table adds.

        Raises:
            ConfigError: a value is impossible.

        """
        path, data = table
        if "platforms" in data and tuple(data["platforms"]) not in self._good_platforms:
            if any("," in text for text in data["platforms"]):  # as bake reads them
                words = [word.strip() for text in data["platforms"] for word in text.split(",")]
                data = {**data, "platforms": [word for word in words if word]}
            self._check_platforms(data["platforms"], (*path, "platforms"))
        for number, tag in enumerate(data.get("tags", ())):
            self.check_tag(tag, (*path, "tags", number))
        platform, optional = {}, dict[Any, str]()
        for text, override in data.get("platform", {}).items():
            where = (*path, "platform", text)
            parsed = self._platform(text, where)
            if "optional" in override:
                optional[parsed] = override["optional"]
            if override.keys() - {"optional"} or not override:
                platform[parsed] = self._attributes(override, where)
        ours = {key: data[key] for key in _OURS if key in data}
        if optional:
            ours["optional"] = optional
        if "files" in ours:
            ours["files"] = self._files(ours["files"], (*path, "files"))
        if "push" in data:
            self._check_push(data["push"], (*path, "push"))
        if "verify" in data:
            for steps, message in faults(data["verify"]):
                raise self._fail((*path, "verify", *steps), message)
        return Own(self._attributes(data, path), ours, platform)

    def _check_push(self, push: dict[str, Any], path: KeyPath) -> None:
        for number, text in enumerate(push.get("drop", ())):
            self._platform(text, (*path, "drop", number))
        for number, text in enumerate(push.get("mirrors", ())):
            if not references.is_repository(text):
                raise self._fail(
                    (*path, "mirrors", number),
                    f'"{text}" is no repository; write it without a tag, as in ghcr.io/org/app',
                )
        for key, text in push.get("attach", {}).items():
            self._check_words(text, OF_ATTACHED, (*path, "attach", key), "a file's path")

    def check_tag(self, tag: str, where: KeyPath) -> None:
        """Refuse a tag that is no image reference."""
        try:
            references.parse(tag)
        except ValueError as error:
            raise self._fail(where, str(error) + self._because(where)) from None

    def _because(self, where: KeyPath) -> str:
        """Return which variables are empty that a text is made of: the cause is seldom the text."""
        names = [f"${{{name}}}" for name in self._emptied(where)]
        if not names:
            return ""
        several = "are" if names[1:] else "is"
        return f"; {', '.join(names)} {several} empty here: write {names[0][:-1]}:-text}} for that"

    def _attributes(self, data: dict[str, Any], path: KeyPath) -> Attributes:
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
                raise self._fail((*path, key, number), f"{key}: {reason}") from None
        if "dockerfile" in data and "dockerfile-inline" in data:
            raise self._fail(
                (*path, "dockerfile-inline"),
                f"[{dotted(path)}] has both dockerfile and dockerfile-inline; keep one",
            )
        if "context" in data or "contexts" in data:
            self._check_contexts(data, path)
        if not _WITH_ENTRIES.isdisjoint(found):
            self._check_entries(found, path)
        for text in data.get("annotations", ()):
            if "=" not in text:
                raise self._fail(
                    (*path, "annotations", data["annotations"].index(text)),
                    f'"{text}" is no annotation; write KEY=VALUE, or manifest:KEY=VALUE',
                )
        return found

    def _check_entries(self, found: Attributes, path: KeyPath) -> None:
        """Refuse one id with two sources, and misspelt placeholders of caches."""
        for kind in ("secret", "ssh"):
            sources: dict[Any, Any] = {}
            for number, entry in enumerate(found.get(kind, ())):
                told = {key: value for key, value in entry.items() if key != "optional"}
                if sources.setdefault(entry.get("id"), told) != told:
                    raise self._fail(
                        (*path, kind, number),
                        f'{kind} "{entry.get("id")}" is there already, from elsewhere; keep one',
                    )
        for key in ("cache-from", "cache-to"):
            for number, entry in enumerate(found.get(key, ())):
                self._check_cache(entry, (*path, key, number))

    def _check_cache(self, entry: dict[str, Any], where: KeyPath) -> None:
        self._check_words(" ".join(map(str, entry.values())), OF_CACHES, where, "a cache")
        empty = self._because(where)
        if empty and entry["type"] == "registry":
            try:
                references.parse(entry.get("ref", "").partition("@")[0])
            except ValueError as error:
                raise self._fail(where, str(error) + empty) from None

    def _check_words(self, text: str, known: Collection[str], where: KeyPath, what: str) -> None:
        """Refuse words in braces that are no placeholders of ``what``."""
        for word in IN_BRACES.findall(text):
            if word not in known:
                *most, last = (f"{{{one}}}" for one in sorted(known, reverse=True))
                hint = nearest(word.lower(), known)[1:]
                hint = hint or f" {what} knows {', '.join(most)} and {last}"
                raise self._fail(where, f"{{{word}}} is no placeholder;{hint}", value=True)

    def _check_contexts(self, data: dict[str, Any], path: KeyPath) -> None:
        if data.get("context", "").startswith(LINK):
            raise self._fail(
                (*path, "context"),
                "a context cannot be another target; name it in contexts, as in "
                f'contexts = {{ base = "{data["context"]}" }}, and say FROM base',
                value=True,
            )
        places: dict[tuple[str, ...], str] = {("context",): data.get("context", "")}
        places.update({("contexts", key): one for key, one in data.get("contexts", {}).items()})
        for steps, place in places.items():
            if "@" in place and _LOGGED_IN.match(place):
                raise self._fail(
                    (*path, *steps),
                    f"{'.'.join(steps)} holds a log-in, which would be in the bake file for all to read; "
                    'take it out of the address, and give it as secret = ["id=GIT_AUTH_TOKEN,env=…"]',
                    value=True,
                )

    def _platform(self, text: str, where: KeyPath) -> Platform:
        try:
            return platforms.parse(text)
        except ValueError as error:
            raise self._fail(where, str(error)) from None

    def _check_platforms(self, declared: list[str], where: KeyPath) -> None:
        seen: dict[Platform, str] = {}
        for number, text in enumerate(declared):
            parsed = self._platform(text, (*where, number))
            if parsed in seen:
                raise self._fail(
                    (*where, number),
                    f'"{text}" is the same platform as "{seen[parsed]}"; keep one',
                )
            seen[parsed] = text
        self._good_platforms.add(tuple(declared))

    def _files(self, data: dict[str, Any], where: KeyPath) -> dict[Platform, dict[str, str]]:
        found = {}
        for text, files in data.items():
            platform = self._platform(text, (*where, text))
            if isinstance(files, str):
                files = {_file_name(files, platform): files}  # noqa: PLW2901
            for path in files.values():
                if '"' in path or "\n" in path or path.startswith("../"):
                    raise self._fail(
                        (*where, text),
                        f'"{path}" must be a path below the project\'s folder, without quotes',
                    )
            found[platform] = files
        return found


def _file_name(path: str, platform: Platform) -> str:
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
