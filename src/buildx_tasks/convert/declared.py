"""What targets come to, and what they declare → tables that inherit, or have a matrix, as declared.

What a target has beside what it inherits, and what the targets of a matrix share, is found in what
they come to. It stays where it then comes to the same, for the defaults and for each variable changed.
"""

from __future__ import annotations

import itertools
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.convert.likeness import alike
from buildx_tasks.language.merging import APPENDED, MERGED_BY_KEY

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from buildx_tasks.convert.hcl import Block
    from buildx_tasks.convert.keeping import Data, Kept

_DEFAULTS = {"context": ".", "dockerfile": "Dockerfile"}


class Declared(NamedTuple):
    """Data, the variables that they have beside those kept, and the targets that are worked out."""

    data: Data
    variables: Data
    worked_out: list[str]


class _Change(NamedTuple):
    """A table that stands for some targets, and the variables that it needs."""

    name: str
    targets: list[str]
    table: dict[str, Any]
    variables: Data


def as_declared(kept: Kept, blocks: Mapping[str, Block]) -> Declared:
    """Return the data of ``kept`` with inheritance and matrices as they are declared."""
    changes, worked_out = [], []
    for block in blocks.values():
        if not block.inherits and block.matrix is None and not block.title:
            continue
        change = _change(kept, block)
        if change:
            changes.append(change)
        elif block.name in kept.data["target"] or block.name in kept.data.get("group", {}):
            worked_out.append(block.name)
    good = changes
    if changes and not _holds(kept, changes):
        good = []  # one by one: a wrong one must not take the others with it
        for change in changes:
            if _holds(kept, [*good, change]):
                good.append(change)
            else:
                worked_out.append(change.name)
    variables = {name: table for change in good for name, table in change.variables.items()}
    return Declared(_changed(kept.data, good), variables, worked_out)


def _holds(kept: Kept, changes: Sequence[_Change]) -> bool:
    variables = {name: table for change in changes for name, table in change.variables.items()}
    return kept.says(_changed(kept.data, changes), variables)


def _changed(data: Data, changes: Sequence[_Change]) -> Data:
    by_target = {target: change for change in changes for target in change.targets}
    targets: dict[str, Any] = {}
    for name, table in data["target"].items():
        change = by_target.get(name)
        targets[change.name if change else name] = change.table if change else table
    made = {change.name for change in changes if change.targets != [change.name]}
    groups = {name: one for name, one in data.get("group", {}).items() if name not in made}
    rest = {key: one for key, one in data.items() if key not in {"group", "target"}}
    return {**rest, **({"group": groups} if groups else {}), "target": targets}


def _change(kept: Kept, block: Block) -> _Change | None:
    """Return the table of a block; None where what it declares cannot be told."""
    targets = kept.data["target"]
    parents = [targets[name] for name in block.inherits if name in targets]
    if len(parents) < len(block.inherits):
        parents = []
    inherits = {"inherits": block.inherits} if parents else {}
    if block.matrix is None:
        if block.title or not parents or block.name not in targets:
            return None
        own = _own(targets[block.name], parents, block.keys)
        return _Change(block.name, [block.name], {**inherits, **own}, {})
    listed = {
        axis: one
        for axis, one in block.matrix.items()
        if isinstance(one, str) and not (kept.defaults.get(one) or "").startswith("[")
    }
    values = {axis: _listed(kept, one) for axis, one in block.matrix.items()}
    if not all(values.values()):
        return None
    cells = [dict(zip(values, one)) for one in itertools.product(*values.values())]
    told = [_told(cell) for cell in cells]
    names = [block.named(cell) for cell in told]
    if None in names or any(name not in targets for name in names):
        return None
    found = [str(name) for name in names]
    owns = [_own(targets[name], parents, block.keys) for name in found]
    title = alike(found, told)
    table = alike(owns, told)
    if title is None or table is None:
        return None
    matrix = {axis: [f"${{{listed[axis]}}}"] if axis in listed else values[axis] for axis in values}
    variables = {
        name: {"type": "list", "default": values[axis]}
        for axis, name in listed.items()
        if name not in kept.variables
    }
    return _Change(
        block.name, found, {**inherits, "name": title, "matrix": matrix, **table}, variables
    )


def _listed(kept: Kept, axis: list[Any] | str) -> list[Any]:
    """Return the values of an axis; none where a table does not know them."""
    if isinstance(axis, list):
        scalar = (str, int, float, bool)
        good = all(isinstance(one, scalar) or _is_flat(one) for one in axis)
        return axis if good else []
    told = kept.defaults.get(axis) or ""
    if told.startswith("["):  # of type list, which no environment sets
        return _listed(kept, json.loads(told))
    return [one for one in told.split(",") if one]


def _is_flat(value: Any) -> bool:
    return isinstance(value, dict) and not any(
        isinstance(one, (dict, list)) for one in value.values()
    )


def _told(cell: Mapping[str, Any]) -> dict[str, str]:
    """Return what a cell's axes, and the keys of those that are tables, are as texts."""
    found = {}
    for axis, value in cell.items():
        for key, one in value.items() if isinstance(value, dict) else [("", value)]:
            text = str(one).lower() if isinstance(one, bool) else str(one)
            found[f"{axis}.{key}" if key else axis] = text
    return found


def _own(
    table: Mapping[str, Any],
    parents: Sequence[Mapping[str, Any]],
    keys: Mapping[str, frozenset[str]],
) -> dict[str, Any]:
    """Return what a table has beside its parents', and what it declares again."""
    base: dict[str, Any] = {}
    for parent in parents:
        for key, value in parent.items():
            if key in MERGED_BY_KEY:
                base[key] = {**base.get(key, {}), **value}
            elif key in APPENDED:
                base[key] = [*base.get(key, []), *value]
            else:
                base[key] = value
    own: dict[str, Any] = {}
    for key, value in table.items():
        if key not in base:
            own[key] = value
            continue
        there = base[key]
        if key in MERGED_BY_KEY:
            again = keys.get(key, frozenset())
            rest = {k: v for k, v in value.items() if k in again or there.get(k) != v}
            own.update({key: rest} if rest else {})
        elif key in APPENDED:
            rest_ = [one for one in value if one not in there]
            own.update({key: rest_} if rest_ else {})
        elif key in keys or there != value:
            own[key] = value
    own.update({key: one for key, one in _DEFAULTS.items() if key in base and key not in table})
    return own
