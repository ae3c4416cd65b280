"""A person's own defaults of flags: ``buildx_tasks`` in invoke's configuration and environment."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from invoke.config import DataProxy

if TYPE_CHECKING:
    from collections.abc import Collection

    from invoke import Config, Context

TABLE = "buildx_tasks"
# A key → the parameter of a task.
_KEYS = {
    "target": "target",
    "targets": "target",
    "platform": "platform",
    "platforms": "platform",
    "overlay": "overlay",
    "overlays": "overlay",
    "progress": "progress",
    "jobs": "jobs",
}
_KEPT = "_buildx_tasks_declared"
_TABLES = (Mapping, DataProxy)


def defaults(c: Context, wanted: Collection[str]) -> dict[str, Any]:
    """Return the values that are set for the ``wanted`` parameters.

    Raises:
        UsageError: a key is unknown, or has no value of its kind.

    """
    from buildx_tasks.errors import UsageError, listed, nearest

    set_ = c.config[TABLE] if TABLE in c.config else {}  # noqa: SIM401 - not a dict
    if not isinstance(set_, _TABLES):
        raise UsageError(f"{TABLE} in invoke's configuration is no table; write {TABLE}: with keys")
    for key, value in set_.items():
        if key in _KEYS and isinstance(value, _TABLES):  # which invoke does not take for a value
            raise UsageError(f"invoke's configuration: {TABLE}.{key} is a table; write a value")
    found: dict[str, Any] = {}
    for key, value in _read(c.config).items():
        if key not in _KEYS:
            hint = nearest(key, _KEYS) or f"; known: {listed(_KEYS)}"
            raise UsageError(f'invoke\'s configuration: {TABLE} has no "{key}"{hint}')
        if value is not None and _KEYS[key] in wanted:
            found[_KEYS[key]] = _converted(key, value)
    return found


def _read(config: Config) -> Any:
    """Return the table, once invoke knows its keys: it reads only known ones from the environment."""
    if not vars(config).get(_KEPT):
        own = vars(config)["_defaults"].get(TABLE) or {}
        known = {**dict.fromkeys(_KEYS), **own}
        config.load_defaults({**vars(config)["_defaults"], TABLE: known})
        config.load_shell_env()
        object.__setattr__(config, _KEPT, True)
    return config[TABLE]


def _converted(key: str, value: Any) -> Any:
    from buildx_tasks.errors import UsageError

    if key == "jobs":
        try:
            return int(value)
        except (TypeError, ValueError):
            raise UsageError(
                f'invoke\'s configuration: {TABLE}.jobs: "{value}" is no whole number'
            ) from None
    if key != "progress" and isinstance(value, (list, tuple)):
        return [str(item) for item in value]
    return str(value)
