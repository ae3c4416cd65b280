"""``--set app.args.X=1``: an attribute of the targets that a pattern names, for one call."""

from __future__ import annotations

from fnmatch import fnmatchcase
from typing import TYPE_CHECKING, Any

from buildx_tasks import platforms
from buildx_tasks.errors import ConfigError, UsageError, listed, nearest
from buildx_tasks.language.merging import ATTRIBUTES, MERGED_BY_KEY
from buildx_tasks.language.own import Reader
from buildx_tasks.language.tables import Table

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from buildx_tasks.language.merging import Attributes
    from buildx_tasks.language.positions import KeyPath
    from buildx_tasks.platforms import Platform

_FLAGS = {"true": True, "1": True, "false": False, "0": False}
# Their entries hold no commas of their own; the entries of other lists do, and are one.
_SPLIT = frozenset("entitlements no-cache-filter platforms tags".split())
_ENTRIES = frozenset(
    "annotations attest cache-from cache-to output policy secret ssh ulimits".split()
)
_BAKES = {"platform": "platforms", "tag": "tags"}


class Overriding:
    """What ``--set`` says of attributes; each is checked as if it stood in the file."""

    def __init__(self, overrides: Mapping[str, str]) -> None:
        self._given = [
            (name, *name.partition(".")[::2], value) for name, value in overrides.items()
        ]

    def check(self, targets: Iterable[str]) -> None:
        """Refuse what names no target.

        Raises:
            UsageError: with the nearest one.

        """
        known = list(targets)
        for name, pattern, _, _ in self._given:
            if not any(fnmatchcase(target, pattern) for target in known):
                hint = nearest(pattern, known) or f"; there are: {listed(known)}"
                raise UsageError(f'--set {name}: no target is called "{pattern}"{hint}')

    def applied(
        self, target: str, attributes: Attributes, platform: dict[Platform, Attributes]
    ) -> tuple[Attributes, dict[Platform, Attributes]]:
        """Return a target's attributes, and those of its platforms, with what was set in their place.

        Raises:
            UsageError: there is no such attribute, or it cannot have this value.

        """
        if not self._given:
            return attributes, platform
        attributes, own = dict(attributes), dict(platform)
        for name, pattern, rest, value in self._given:
            if not fnmatchcase(target, pattern):
                continue
            key, made = _read(name, rest, value)
            attributes[key] = _over(attributes.get(key), made)
            if key == "platforms":
                kept = {platforms.parse(text) for text in made}
                own = {one: table for one, table in own.items() if one in kept}
            if key == "dockerfile":
                attributes.pop("dockerfile-inline", None)
            for one, table in own.items():
                if key in table:
                    own[one] = {**table, key: _over(table[key], made)}
        return attributes, own


def _over(before: Any, made: Any) -> Any:
    return {**(before or {}), **made} if isinstance(made, dict) else made


def _read(name: str, rest: str, value: str) -> tuple[str, Any]:
    """Return the attribute that is meant and what it is set to, in canonical form."""
    key, _, subkey = rest.partition(".")
    key = _BAKES.get(key, key)
    if key not in ATTRIBUTES:
        known = sorted(ATTRIBUTES)
        hint = nearest(key, known) or f"; targets have: {', '.join(known)}"
        raise UsageError(f'--set {name}: targets have no "{key}"{hint}')
    if bool(subkey) != (key in MERGED_BY_KEY):
        first = name.partition(".")[0]
        shown = f"{first}.{key}" if subkey else f"{first}.{key}.NAME"
        raise UsageError(f"--set {name}: write --set {shown}=value")
    made: Any = value
    if subkey:
        made = {subkey: value}
    elif key in {"no-cache", "pull"}:
        if value.lower() not in _FLAGS:
            raise UsageError(f'--set {name}: must be true or false, not "{value}"')
        made = _FLAGS[value.lower()]
    elif key in _SPLIT:
        made = [word.strip() for word in value.split(",") if word.strip()]
    elif key in _ENTRIES:
        made = [value] if value else []

    def fail(path: KeyPath, message: str, *, value: bool = False) -> ConfigError:  # noqa: ARG001
        return ConfigError(message)

    try:
        found = Reader(fail, lambda _: []).own(Table(("target",), {key: made}))
    except ConfigError as error:
        raise UsageError(f"--set {name}: {error}") from None
    return key, found.attributes[key]
