"""The declared tables of targets → :class:`Tables`: a matrix becomes one table for each combination."""

from __future__ import annotations

import itertools
import re
from typing import TYPE_CHECKING, Any

from buildx_tasks.errors import nearest
from buildx_tasks.language.tables import Table, Tables, dotted

if TYPE_CHECKING:
    from buildx_tasks.language.positions import KeyPath
    from buildx_tasks.language.sources import Sources
    from buildx_tasks.language.variables import Variables

_UNSAFE = re.compile(r"[^a-zA-Z0-9_-]+")
_ROWS = ("include", "exclude")

_Cell = dict[str, Any]  # axis → value


def tables(defaults: dict[str, Any], variables: Variables, sources: Sources) -> Tables:
    """Return the tables of all targets, variables filled in.

    Raises:
        ConfigError: a matrix is impossible, or two targets have one name.

    """
    declared: dict[str, dict[str, Any]] = sources.data.get("target", {})
    plain = {name: table for name, table in declared.items() if "matrix" not in table}
    if sources.has_variables:
        plain = variables.fill(plain, ("target",))
    found: dict[str, Table] = {}
    matrices: dict[str, list[str]] = {}
    for name, table in declared.items():
        path = ("target", name)
        if "matrix" not in table:
            if "name" in table:
                raise sources.fail(
                    (*path, "name"),
                    f"[target.{name}] has a name but no matrix; remove it, or add a matrix",
                )
            made = {name: Table(path, plain[name])}
        else:
            made = _tables_of(name, table, variables, sources)
            matrices[name] = list(made)
        for target, its_table in made.items():
            if target in found:
                raise sources.fail(
                    path,
                    f'[target.{name}] makes a target "{target}", which '
                    f"[{dotted(found[target].path)}] makes already; change one of the names",
                )
            found[target] = its_table
    return Tables(found, matrices, defaults)


def _tables_of(
    name: str, table: dict[str, Any], variables: Variables, sources: Sources
) -> dict[str, Table]:
    """Return the tables that a matrix makes by target, the last axis changing first."""
    path = ("target", name)
    matrix = variables.fill(table["matrix"], (*path, "matrix"))
    template = table.get("name")
    rest = {key: value for key, value in table.items() if key not in {"matrix", "name"}}
    found: dict[str, Table] = {}
    for cell in _cells(name, matrix, sources):
        if template is None:
            values = (
                v if not isinstance(v, dict) else next(iter(v.values())) for v in cell.values()
            )
            target = "-".join([name, *map(str, values)])
        else:
            target = str(variables.fill(template, (*path, "name"), cell))
        target = _UNSAFE.sub("-", target)
        if target in found or target == name:
            raise sources.fail(
                (*path, "name") if template else path,
                f'two targets of the matrix are called "{target}"; name all axes, as in '
                f'name = "{name}-{"-".join(f"${{{axis}}}" for axis in _axes(matrix))}"'
                if target != name
                else f'a target of the matrix is called "{name}", as the matrix is; name its axes too',
            )
        found[target] = Table(path, variables.fill(rest, path, cell))
    return found


def _cells(name: str, matrix: dict[str, Any], sources: Sources) -> list[_Cell]:
    """Return the combinations of a matrix: all of them, without the excluded, with the included."""
    where = ("target", name, "matrix")
    axes = _axes(matrix)
    if not axes:
        raise sources.fail(
            where, f'[target.{name}] has a matrix without axes; add one, as in go = ["1.24"]'
        )
    _check_rows(matrix, axes, where, sources)
    cells = [dict(zip(axes, values)) for values in itertools.product(*axes.values())]
    for number, row in enumerate(matrix.get("exclude", ())):
        kept = [cell for cell in cells if any(cell[key] != row[key] for key in row)]
        if len(kept) == len(cells):
            raise sources.fail(
                (*where, "exclude", number),
                "excludes no combination of the matrix; correct or remove it",
            )
        cells = kept
    cells += matrix.get("include", ())
    if not cells:
        raise sources.fail(where, f"[target.{name}] excludes every combination; remove an exclude")
    return cells


def _axes(matrix: dict[str, Any]) -> dict[str, list[Any]]:
    return {axis: values for axis, values in matrix.items() if axis not in _ROWS}


def _check_rows(
    matrix: dict[str, Any], axes: dict[str, Any], path: KeyPath, sources: Sources
) -> None:
    """Refuse rows of include and exclude that are no combinations of the axes."""
    for kind in _ROWS:
        for number, row in enumerate(matrix.get(kind, ())):
            where = (*path, kind, number)
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
