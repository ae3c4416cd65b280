"""The house keeps its shape: one direction, no circle, rooms and modules of a size to be read."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import buildx_tasks

PACKAGE = Path(buildx_tasks.__file__).parent
MODULES = {
    ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path
    for path in sorted(PACKAGE.rglob("*.py"))
}


def _imports(name: str) -> set[str]:
    """The modules that a file imports: at its top, in functions, and for type checking alike."""
    found = set()
    for node in ast.walk(ast.parse(MODULES[name].read_text("utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            for alias in node.names:
                inner = f"{node.module}.{alias.name}"
                known = inner if inner in MODULES or f"{inner}.__init__" in MODULES else node.module
                found.add(known)
    named = {one if one in MODULES else f"{one}.__init__" for one in found}
    # The package itself has the public names: nothing inside may need it for more than a version.
    return named & MODULES.keys()


def test_no_files_import_each_other_in_a_circle() -> None:
    graph = {name: _imports(name) - {name} for name in MODULES}
    circles = []
    while graph:
        free = {name for name, needs in graph.items() if not needs & graph.keys()}
        if not free:
            circles = sorted(graph)
            break
        graph = {name: needs for name, needs in graph.items() if name not in free}
    assert circles == []


def test_at_most_eight_modules_stand_outside_the_rooms() -> None:
    outside = [path.name for path in PACKAGE.glob("*.py")]
    assert len(outside) <= 8, outside


def test_each_room_says_in_its_first_line_what_comes_in_and_what_goes_out() -> None:
    for path in PACKAGE.glob("*/__init__.py"):
        line = (ast.get_docstring(ast.parse(path.read_text("utf-8"))) or "").partition("\n")[0]
        assert line, path


def test_no_module_has_more_than_400_lines() -> None:
    long = {name: n for name, path in MODULES.items() if (n := _lines(path)) > 400}
    assert long == {}


def _lines(path: Path) -> int:
    return len(path.read_text("utf-8").splitlines())


def test_no_function_takes_more_than_6_parameters() -> None:
    """But tasks, which take one for each flag."""
    many = []
    for name, path in MODULES.items():
        if name.startswith("buildx_tasks.tasks."):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef):
                taken = node.args
                names = [a.arg for a in (*taken.posonlyargs, *taken.args, *taken.kwonlyargs)]
                if len([one for one in names if one not in ("self", "cls")]) > 6:
                    many.append(f"{name}.{node.name}")
    assert many == []


def test_no_task_has_more_than_25_lines() -> None:
    """Of its own: the flags are declared above it."""
    for name, path in MODULES.items():
        if not name.startswith("buildx_tasks.tasks."):
            continue
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef):
                first = node.body[1] if len(node.body) > 1 else node.body[0]  # after the docstring
                length = (node.end_lineno or 0) - first.lineno + 1
                assert length <= 25, f"{name}.{node.name}"


def test_the_import_of_the_package_loads_nothing_but_itself() -> None:
    script = (
        "import sys; before = set(sys.modules); import buildx_tasks; "
        "print(*sorted(set(sys.modules) - before - {'__future__'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [
        "buildx_tasks",
        "buildx_tasks.machine",
        "buildx_tasks.machine.version",
    ]


def test_every_public_name_is_there() -> None:
    for name in buildx_tasks.__all__:
        assert getattr(buildx_tasks, name)
