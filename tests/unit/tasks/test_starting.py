"""What a project begins with: its schema, where an editor and git find it."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
import tomli

from buildx_tasks import Project as LoadedProject
from buildx_tasks.dockerfiles import rules
from buildx_tasks.dockerfiles.build import DockerfileBuild
from buildx_tasks.errors import UsageError
from buildx_tasks.language import schema
from buildx_tasks.platforms import parse
from buildx_tasks.starting import dockerfiles
from buildx_tasks.starting.expecting import added
from buildx_tasks.starting.writing import FIRST_CHECKS, toml

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Project

LINE = "#:schema ./buildx.schema.json"


def test_the_schema_is_written_beside_the_file_and_kept_up_to_date(project: Project) -> None:
    project.write("[target.app]\n")
    (project.folder / "sub").mkdir()
    assert json.loads(project.ok("schema"))["$id"] == schema.ADDRESS
    done = project.invoke("schema", "--write", folder="sub")
    assert done.stdout == (
        f"wrote buildx.schema.json; put this into the first line of buildx.toml: {LINE}\n"
    )
    file = project.folder / "buildx.schema.json"
    assert file.read_text() == schema.SCHEMA_FILE.read_text()
    project.write(f"{LINE}\n[target.app]\n")
    assert project.ok("schema", "--write") == "buildx.schema.json is as it should be\n"
    file.write_text('{"title": "buildx.toml"}')  # an older one
    assert project.ok("schema", "--write") == "wrote buildx.schema.json\n"
    file.write_text("mine")
    done = project.invoke("schema", "--write")
    assert done.returncode == 2
    assert "is there and is no schema of buildx.toml; move it away" in done.stderr
    assert file.read_text() == "mine"


MAIN = "package main\n\nfunc main() {}\n"


def written(project: Project, files: dict[str, str], *flags: str) -> dict[str, str]:
    """What ``invoke init`` has written, by path."""
    for name, text in files.items():
        path = project.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    before = {path for path in project.folder.rglob("*") if path.is_file()}
    project.ok("init", "--yes", *flags)
    return {
        path.relative_to(project.folder).as_posix(): path.read_text()
        for path in project.folder.rglob("*")
        if path.is_file() and path not in before and ".git/" not in path.as_posix()
    }


def test_a_diff_is_shown_first_and_nothing_is_overwritten(project: Project) -> None:
    (project.folder / "Dockerfile").write_text("FROM scratch\nCOPY .git/HEAD /\n")
    for done in (project.invoke("init"), project.invoke("--dry", "init", "--yes")):
        assert done.returncode == 0
        assert "+++ b/buildx.toml" in done.stdout
        assert "tasks.py" not in done.stdout
        assert done.stderr.endswith("nothing is written yet: --yes writes it\n")
        assert not (project.folder / "buildx.toml").exists()
    made = written(project, {".dockerignore": "mine\n"})
    assert set(made) == {"buildx.toml"}
    assert (project.folder / ".dockerignore").read_text() == "mine\n"
    assert project.ok("init") == "all files are there; nothing to do\n"


def test_each_dockerfile_is_a_target_with_the_context_that_has_its_files(project: Project) -> None:
    subprocess.run(["git", "init", "-q", str(project.folder)], check=True)
    remote = ["remote", "add", "origin", "git@github.com:Some-One/My.App.git"]
    subprocess.run(["git", "-C", str(project.folder), *remote], check=True)
    files = {
        "Dockerfile": "FROM scratch\nCOPY go.mod *.go ./\n",
        "go.mod": "module app\n",
        "main.go": MAIN,
        "Dockerfile.debug": "FROM scratch\n",
        "docker/worker.Dockerfile": "FROM scratch\nCOPY main.go /\n",
        "services/web/Dockerfile": "FROM scratch\nCOPY ./index.html /\n",
        "services/web/index.html": "",
        "services/web/Dockerfile.dockerignore": "x\n",
        'odd "${name}/Dockerfile': "FROM scratch\nCOPY . /\n",
        "node_modules/x/Dockerfile": "FROM scratch\n",
        "bad\udcff/Dockerfile": "FROM scratch\n",
        "compose.yaml": "services:\n  web:\n    build: .\n",
    }
    made = written(project, files)
    assert set(made) == {"buildx.toml", ".dockerignore"}
    assert made[".dockerignore"].startswith(".git\n.buildx\n")
    with LoadedProject.load(project.folder) as loaded:
        config = loaded.config
        assert loaded.variables["REGISTRY"] == "ghcr.io/some-one"
        found = {
            name: (
                one.attributes.get("context", "."),
                one.attributes.get("dockerfile", "Dockerfile"),
            )
            for name, one in config.target.items()
        }
    assert found == {
        "my-app": (".", "Dockerfile"),
        "my-app-debug": (".", "Dockerfile.debug"),
        "my-app-worker": (".", "docker/worker.Dockerfile"),
        "services-web": ("services/web", "Dockerfile"),
        "odd-name": ('odd "${name}', "Dockerfile"),
    }
    assert "ghcr.io/some-one/services-web" in project.ok("plan", "--format", "bake")


def test_a_dockerfile_for_go_is_written_where_there_is_a_program(project: Project) -> None:
    for files, message in (
        ({}, "no Dockerfile is here; write one, have one written with --dockerfile go, or name"),
        ({"docker-bake.hcl": ""}, "or run invoke import --from docker-bake.hcl"),
    ):
        for name, text in files.items():
            (project.folder / name).write_text(text)
        done = project.invoke("init")
        assert done.returncode == 2
        assert message in done.stderr
    for flag, message in (("cobol", "--dockerfile: unknown kind"), ("go", "no go.mod is here")):
        done = project.invoke("init", "--dockerfile", flag)
        assert done.returncode == 2
        assert message in done.stderr
    files = {
        "go.mod": "module app\n\ngo 1.24.1\n",
        "cmd/tool/main.go": MAIN,
        "lib.go": "package lib\n",
    }
    made = written(project, files, "--dockerfile", "go")
    assert "golang:1.24-alpine AS builder" in made["Dockerfile"]
    assert "go build -trimpath -o /tool ./cmd/tool" in made["Dockerfile"]
    done = project.invoke("init", "--dockerfile", "go")
    assert "Dockerfile is there already" in done.stderr


PROGRAMS: dict[str, tuple[dict[str, str], list[str]]] = {
    "rust": (
        {
            "Cargo.toml": '[package]\nname = "tool"\n',
            "Cargo.lock": "",
            "src/main.rs": "fn main() {}",
        },
        [
            "FROM --platform=$BUILDPLATFORM rust:1-slim-trixie AS builder",
            "cargo build --release --locked --target $triple",
            "cp target/$triple/release/tool /tool",
            'ENTRYPOINT ["tool"]',
        ],
    ),
    "c": (
        {"CMakeLists.txt": "project(x C)\nadd_executable(tool main.c)\n", "main.c": "int main;"},
        ["-DCMAKE_C_COMPILER=$gnu-gcc", "--target tool", "COPY --from=builder /out/ /"],
    ),
    "node": (
        {
            "package.json": '{"scripts": {"build": "tsc", "start": "node dist/server.js --port 80"}}',
            "package-lock.json": "{}",
        },
        [
            "RUN npm run build",
            "npm ci --omit=dev --ignore-scripts --os=linux --cpu=$cpu",
            'CMD ["node","dist/server.js","--port","80"]',
        ],
    ),
    "python": (
        {
            "pyproject.toml": '[project]\nname = "my-tool"\n[project.scripts]\ntool = "my_tool:main"\n'
        },
        ["pip wheel --no-deps", "--only-binary=:all: --python-version 3.13", 'CMD ["tool"]'],
    ),
}


@pytest.mark.parametrize("language", PROGRAMS)
def test_a_dockerfile_for_each_language_compiles_for_each_platform(
    project: Project, language: str
) -> None:
    files, wanted = PROGRAMS[language]
    for name, text in files.items():
        path = project.folder / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    assert f"--dockerfile {language}" in project.invoke("init").stderr
    made = written(project, files, "--dockerfile", language)
    for line in wanted:
        assert line in made["Dockerfile"]
    platforms = tuple(map(parse, ("linux/amd64", "linux/arm64", "linux/arm/v7")))
    build = DockerfileBuild("app", "app", "Dockerfile", {}, platforms)
    found = rules.check(build, made["Dockerfile"], lambda one: one.architecture == "amd64")
    assert [str(one) for one in found if one.level != "note"] == []


REFUSED = [
    ("go", {}, "no go.mod is here"),
    ("rust", {"Cargo.toml": "[workspace]\n"}, "Cargo.toml is a workspace"),
    ("rust", {"Cargo.toml": "["}, "Cargo.toml cannot be read"),
    ("rust", {"Cargo.toml": "[package]\nname = 'x'\n"}, "no program is here"),
    ("c", {"CMakeLists.txt": "project(x)\n"}, "CMakeLists.txt has no add_executable"),
    ("c", {"Makefile": "all:\n"}, "Makefile has no goal install"),
    ("node", {"package.json": "["}, "package.json cannot be read"),
    ("node", {"package.json": "{}", "yarn.lock": ""}, "it is written for npm"),
    ("python", {"requirements.txt": "six\n"}, "neither a package nor main.py is here"),
    ("go", {"go.mod": "module x\n", "cmd/a b/main.go": MAIN}, "is no name of a program"),
]


@pytest.mark.parametrize(("language", "files", "message"), REFUSED)
def test_what_its_program_is_must_be_known(
    tmp_path: Path, language: str, files: dict[str, str], message: str
) -> None:
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    with pytest.raises(UsageError, match=message):
        dockerfiles.dockerfile(tmp_path, language, "app")


def test_files_of_other_tools_that_build_images_are_named(project: Project) -> None:
    (project.folder / "Makefile").write_text("image:\n\tdocker buildx build -t x .\n")
    (project.folder / "package.json").write_text('{"scripts": {"test": "jest"}}')
    (project.folder / "Dockerfile").write_text("FROM scratch\n")
    said = project.invoke("init").stderr
    assert "note: Makefile declares images, too: invoke import --from Makefile" in said
    assert "package.json" not in said


@pytest.mark.parametrize(
    ("name", "text", "is_named"),
    [
        ("compose.yaml", "services:\n  web:\n    build: .\n", True),
        ("compose.yaml", "services:\n  web: { build: . }\n", True),
        ("compose.yaml", "services:\n  web: { image: nginx }\n", False),
        ("Makefile", "image:\n\t$(CONTAINER_TOOL) build .\n", True),
        ("Makefile", "test:\n\tgo test\n", False),
        ("justfile", "image:\n  docker build .\n", True),
        ("Taskfile.yml", "tasks: { a: docker buildx build . }\n", True),
        ("build.sh", "docker buildx bake\n", True),
        ("build.sh", "make\n", False),
    ],
)
def test_only_files_that_import_reads_are_named(
    project: Project, name: str, text: str, is_named: bool
) -> None:
    (project.folder / "Dockerfile").write_text("FROM scratch\n")
    (project.folder / name).write_text(text)
    assert (f"invoke import --from {name}" in project.invoke("init").stderr) == is_named


@pytest.mark.parametrize("name", ["tasks.py", "tasks/__init__.py"])
def test_tasks_of_a_persons_own_stay_and_are_told_how_to_have_ours(
    project: Project, name: str
) -> None:
    (project.folder / "tasks.py").unlink()
    (project.folder / "Dockerfile").write_text("FROM scratch\n")
    own = project.folder / name
    own.parent.mkdir(exist_ok=True)
    own.write_text("import invoke\n")
    done = subprocess.run(
        [sys.executable, "-m", "buildx_tasks.tasks", "init", "--yes"],
        cwd=project.folder,
        capture_output=True,
        text=True,
        check=True,
    )
    assert f"note: {name} is there; write from buildx_tasks import namespace in it" in done.stderr
    assert done.stdout.endswith("wrote .dockerignore, buildx.toml\n")
    assert own.read_text() == "import invoke\n"


def test_a_dockerfile_that_is_none_is_not_looked_into(project: Project) -> None:
    (project.folder / "Dockerfile.gone").symlink_to("/nowhere/at/all")
    (project.folder / "Dockerfile.d").mkdir()
    declared = written(project, {"Dockerfile": "FROM\nRUN 'x\n"})["buildx.toml"]
    assert declared.count("[target.") == 3
    assert "gone" not in declared


def test_a_repo_without_tasks_begins_with_the_module(project: Project) -> None:
    (project.folder / "tasks.py").unlink()
    (project.folder / "Dockerfile").write_text("FROM scratch\n")
    subprocess.run(
        [sys.executable, "-m", "buildx_tasks.tasks", "init", "--yes"],
        cwd=project.folder,
        check=True,
        capture_output=True,
    )
    assert "@linux/arm64" in project.ok("plan")


@pytest.mark.parametrize(
    "text", ["plain", 'a"b\\c', "${X}", "\x1b[31m\x7f\x9b", "\u202e\n", "é 🐳"]
)
def test_what_an_image_says_is_the_same_in_toml_and_acts_on_no_terminal(text: str) -> None:
    shown = toml([text])
    assert shown.isprintable()
    assert tomli.loads(f"a = {shown}")["a"] == [text.replace("${", "$${")]


def test_what_the_image_is_is_put_where_init_left_room() -> None:
    room = f"[target.app.verify]\n{FIRST_CHECKS}"
    assert added(f"a\n{room}\n[target.b]\n", "app", "new\n") == f"a\n{room}new\n\n[target.b]\n"
    assert added(room, "app", "new\n") == f"{room}new\n"
    assert added("[target.app]\n", "app", "new\n") == "[target.app]\n\n[target.app.verify]\nnew\n"
    for own in (f"{room}run = {{}}\n", "[target.app.verify]\nsize = {}\n"):
        with pytest.raises(
            UsageError, match="says something already, which stays; it could say:\nnew"
        ):
            added(own, "app", "new\n")
