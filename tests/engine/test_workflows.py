"""What ``invoke init --ci`` writes, run step by step as the CI would, on two runners of their own."""

from __future__ import annotations

import datetime as dt
import json
import os
import re
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple
from uuid import uuid4

import pytest
from conftest import Project
from ruamel.yaml import YAML

from buildx_tasks import platforms
from buildx_tasks.engine.settings import config_folder
from buildx_tasks.machine import executables

from .conftest import docker, second_engine
from .secured import htpasswd_registry
from .test_push_secured import USER, Place

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

TOML = """
[ci]
install = "true"
runners = {{ "linux/amd64" = "{labels[0]}", "linux/arm64" = "{labels[1]}" }}
[ci.cache]
type = "registry"
[variable.TAG]
default = "latest"
[target.app]
platforms = ["linux/amd64", "linux/arm64"]
dockerfile-inline = '''
FROM scratch
ARG TARGETARCH
COPY bin/$TARGETARCH /app
RUN ["/app"]
CMD ["/app"]
'''
tags = ["{address}/{name}/app:${{git.tag:-dev}}", "{address}/{name}/app:${{TAG}}"]
verify = {{ binaries = {{ static = true }}, index = {{}} }}
[artifact.readme]
path = "bin/readme"
type = "text/x-readme"
tags = ["{address}/{name}/readme:v1"]
"""
API = """
[target.api]
platforms = ["linux/amd64", "linux/arm64"]
contexts.app = "target:app"
dockerfile-inline = '''
FROM app
RUN ["/app"]
COPY bin/readme /readme
'''
tags = ["{address}/{name}/api:${{git.tag:-dev}}"]
verify.binaries = {{}}
"""
FLAGS = ("-s", "TAG=a-b")
LABELS = ("runner=one", "runner=two")


class Machine(NamedTuple):
    """A runner: its home, an engine, and the repository that it clones."""

    home: Path
    origin: Path
    host: Mapping[str, str]

    def clone(self, *, depth: int) -> Path:
        """A fresh clone, as each job gets one; 0 is the whole history."""
        folder = self.home / f"job-{uuid4().hex[:8]}" / "clone"
        flags = ["--depth", str(depth), "--no-tags"] if depth else []
        argv = ["git", "clone", "-q", *flags, f"file://{self.origin}", str(folder)]
        subprocess.run(argv, check=True)
        return folder

    def run(self, script: str, folder: Path, more: Mapping[str, str], shell: str = "bash") -> str:
        """Run lines as the CI's shell does: the first that fails ends it."""
        theirs = ("GITHUB_", "CI", "GITLAB", "BUILDX_TASKS_")
        env = {key: value for key, value in os.environ.items() if not key.startswith(theirs)}
        own = {
            "HOME": str(self.home),
            "XDG_STATE_HOME": f"{self.home}/state",
            "DOCKER_CONFIG": f"{self.home}/.docker",
            "PATH": f"{Path(sys.executable).parent}:{env['PATH']}",
            **self.host,
        }
        done = subprocess.run(
            [shell, "-e", "-c", script],
            cwd=folder,
            env={**env, **own, **more},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{script}\n{done.stdout}{done.stderr}"
        return done.stdout + done.stderr


def machine(home: Path, origin: Path, **host: str) -> Machine:
    """A runner with docker's plug-ins and no log-ins."""
    home.mkdir()
    shutil.copytree(config_folder(), home / ".docker", symlinks=True)
    (home / ".docker" / "config.json").write_text("{}")
    return Machine(home, origin, host)


class Ci(NamedTuple):
    """A registry with a log-in, a repository with a tag, and two runners by their labels."""

    place: Place
    origin: Path
    machines: dict[str, Machine]
    secrets: dict[str, str]
    name: str

    @property
    def one(self) -> Machine:
        return next(iter(self.machines.values()))

    def load(self, file: str) -> Any:
        return YAML(typ="safe").load((self.origin / file).read_text())

    def require_published(self, *targets: str) -> None:
        """Require whole images under all tags, put together of what two machines made; and a file."""
        assert self.place.served(f"{self.name}/readme", "v1")
        known = {}
        for target in targets:
            tags = ("v1.2.0", "a-b") if target == "app" else ("v1.2.0",)
            data = [self.place.served(f"{self.name}/{target}", tag) for tag in tags]
            assert data[0]
            assert len(set(data)) == 1
            listed = json.loads(data[0])["manifests"]
            assert [one["platform"]["architecture"] for one in listed[:2]] == ["amd64", "arm64"]
            known.update({one["digest"]: one["platform"]["architecture"] for one in listed[:2]})
        made = {
            (entry["digest"], number)
            for number, each in enumerate(self.machines.values())
            for ledger in each.home.glob("job-*/clone/.buildx/ledger.json")
            for entry in json.loads(ledger.read_text())
            if entry["event"] == "part"
        }
        assert made == {(d, ("amd64", "arm64").index(arch)) for d, arch in known.items()}


@pytest.fixture
def ci(request: pytest.FixtureRequest, tmp_path: Path, name: str) -> Iterator[Ci]:
    system, more = request.param
    origin = tmp_path / "origin"
    (origin / "bin").mkdir(parents=True)
    for architecture in ("amd64", "arm64"):
        data = executables.binary(platforms.parse(f"linux/{architecture}"))
        assert data
        (origin / "bin" / architecture).write_bytes(data)
        (origin / "bin" / architecture).chmod(0o755)
    (origin / "bin" / "readme").write_text(name)  # nothing of it is known to the engine yet
    password = f"it's ${name}"
    with htpasswd_registry(tmp_path, USER, password) as address:
        host = re.sub(r"\W", "_", address).upper()
        secrets = {f"REGISTRY_{host}_USER": USER, f"REGISTRY_{host}_PASSWORD": password}
        project = Project(origin)
        project.write((TOML + more).format(address=address, name=name, labels=LABELS))
        git = ["git", "-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run([*git, "init", "-q", "-b", "main"], cwd=origin, check=True)
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], cwd=origin, check=True)
        project.ok("init", "--ci", system, *FLAGS, "--yes")
        for words in (["add", "-A"], ["commit", "-qm", "all"], ["tag", "v1.2.0"]):
            subprocess.run([*git, *words], cwd=origin, check=True)
        machines = {label: machine(tmp_path / label[-3:], origin) for label in LABELS}
        yield Ci(Place(address, password), origin, machines, secrets, name)


class Github:
    """As much of GitHub Actions as the workflow uses; an expression that is not known is an error."""

    def __init__(self, ci: Ci) -> None:
        self.ci = ci
        self.summary = ci.origin.parent / "summary.md"
        self.jobs: dict[str, Any] = {}
        self.ran: list[tuple[str, str, str]] = []

    def all(self) -> None:
        workflow = self.ci.load(".github/workflows/images.yml")
        for name, job in workflow["jobs"].items():
            if "if" in job and not self.value(job["if"], {}):
                continue
            assert set(job.get("needs", ())) <= self.jobs.keys()
            matrix = self.text(job.get("strategy", {}).get("matrix", "${{ matrix }}"), {})
            entries = matrix.get("include", [{}])
            with ThreadPoolExecutor() as pool:
                found = list(pool.map(lambda entry, job=job: self.job(job, entry), entries))
            self.jobs[name] = {"outputs": found[-1]}

    def job(self, job: dict[str, Any], matrix: dict[str, str]) -> dict[str, str]:
        known: dict[str, Any] = {"matrix": matrix, "steps": {}}
        label = self.text(job["runs-on"], known)
        runner = self.ci.machines[label]
        env = self.text(job.get("env", {}), known)
        folder = Path()
        for step in job["steps"]:
            if "uses" in step:
                assert step["uses"].startswith("actions/checkout@")
                depth = step["with"].get("fetch-depth", 1)
                folder = runner.clone(depth=depth)
                continue
            output = folder.parent / "output"
            own = {key: self.text(value, known) for key, value in step.get("env", {}).items()}
            theirs = {
                "GITHUB_ACTIONS": "true",
                "GITHUB_RUN_ID": "4711",
                "GITHUB_RUN_ATTEMPT": "1",
                "GITHUB_OUTPUT": str(output),
                "GITHUB_STEP_SUMMARY": str(self.summary),
                "GITHUB_REF_TYPE": "tag",
            }
            command = self.text(step["run"], known)
            self.ran.append((label, command, runner.run(command, folder, {**theirs, **env, **own})))
            if "id" in step:
                lines = output.read_text().splitlines()
                known["steps"][step["id"]] = {"outputs": dict(x.split("=", 1) for x in lines)}
        return {key: self.text(each, known) for key, each in job.get("outputs", {}).items()}

    def text(self, text: Any, known: dict[str, Any]) -> Any:
        """Return a text with its expressions filled in; where it is one alone, its value."""
        if not isinstance(text, str):
            return text
        if alone := re.fullmatch(r"\$\{\{ ([^}]*) \}\}", text):
            return self.value(alone[1], known)
        return re.sub(r"\$\{\{ ([^}]*) \}\}", lambda found: str(self.value(found[1], known)), text)

    def value(self, said: str, known: dict[str, Any]) -> Any:
        if compared := re.fullmatch(r"(\S+) ([!=])= '(\w+)'", said):
            return (self.value(compared[1], known) == compared[3]) == (compared[2] == "=")
        if read := re.fullmatch(r"fromJSON\((\S+)\)(\S+)", said):
            value = json.loads(self.value(read[1], known))
            path = re.findall(r"\w+", read[2])
        else:
            github = {"event_name": "push", "actor": "somebody"}
            value = {"github": github, "secrets": self.ci.secrets, "needs": self.jobs}
            value = {"matrix": {}, **value, **known}
            path = said.split(".")
        for word in path:
            value = value[int(word) if word.isdigit() else word]
        return value


@pytest.mark.parametrize("ci", [("github", API)], indirect=True)
def test_github_s_workflow_publishes_and_a_cold_runner_runs_no_step_again(
    ci: Ci, tmp_path: Path
) -> None:
    github = Github(ci)
    github.all()
    ci.require_published("app", "api")
    summary = github.summary.read_text()
    assert summary.count("## ✅ verify") == 4
    assert f"{ci.name}/api:v1.2.0" in summary
    assert [text for _, text, _ in github.ran if "it's" in text] == []
    jobs = [text for _, text, _ in github.ran if " part --id 4711-1" in text]
    assert len(jobs) == 4
    began = dt.datetime.now(dt.timezone.utc)
    with second_engine(tmp_path / "dockerd.log", containerd=True) as other:
        cold = machine(tmp_path / "cold", ci.origin, DOCKER_HOST=other.host)
        folder = cold.clone(depth=0)
        login = next(text for _, text, _ in github.ran if "docker login" in text)
        cold.run(login, folder, ci.secrets)
        for job in jobs[2:]:
            said = cold.run(job.partition(" verify ")[0], folder, {})
            # Without SOURCE_DATE_EPOCH an image says when each of its steps ran.
            asked = re.search(r"-p (\S+)", job), re.search(r"a part only, under (\S+);", said)
            assert all(asked), said
            words = ["--platform", *(found[1] for found in asked if found)]
            times = docker("history", "--format", "{{.CreatedAt}}", *words, DOCKER_HOST=other.host)
            ran = [dt.datetime.fromisoformat(one.replace("Z", "+00:00")) for one in times.split()]
            assert len(ran) == 6
            assert max(ran) < began, said


@pytest.mark.parametrize("ci", [("gitlab", "")], indirect=True)
def test_gitlab_s_pipelines_publish(ci: Ci) -> None:
    (included,) = ci.load(".gitlab-ci.yml").values()
    parent = ci.load(included)
    theirs = {"CI_PIPELINE_ID": "4711", "CI_JOB_ID": "8", "CI_COMMIT_TAG": "v1.2.0", **ci.secrets}
    plan = parent["plan-images"]
    folder = ci.one.clone(depth=int(plan["variables"]["GIT_DEPTH"]))
    ci.one.run("\n".join(plan["script"]), folder, theirs, "sh")
    assert parent["images"]["trigger"]["include"][0]["job"] == "plan-images"
    (artifact,) = plan["artifacts"]["paths"]
    child = YAML(typ="safe").load((folder / artifact).read_text())
    for stage in child["stages"]:
        listed = [
            one for one in child.values() if isinstance(one, dict) and one.get("stage") == stage
        ]

        def run(job: dict[str, Any]) -> None:
            runner = ci.machines[job["tags"][0]] if "tags" in job else ci.one
            clone = runner.clone(depth=1)
            lines = [*child["default"]["before_script"], *job["script"]]
            # The engine is the machine's, and not that of a service beside the job.
            own = {k: v for k, v in child["variables"].items() if not k.startswith("DOCKER_")}
            runner.run("\n".join(lines), clone, {**theirs, **own}, "sh")
            report = job["artifacts"].get("reports", {}).get("junit")
            assert (clone / (report or job["artifacts"]["paths"][0])).read_text().strip()

        with ThreadPoolExecutor() as pool:
            list(pool.map(run, listed))
    ci.require_published("app")


@pytest.mark.parametrize("ci", [("woodpecker", "")], indirect=True)
def test_woodpecker_s_workflows_publish(ci: Ci) -> None:
    theirs = {"CI_PIPELINE_NUMBER": "4711"}
    done: list[str] = []
    waiting = ["images-join", "images-level-0"]

    def run(name: str, matrix: dict[str, str]) -> None:
        text = (ci.origin / ".woodpecker" / f"{name}.yaml").read_text()
        for key, value in matrix.items():
            text = re.sub(rf"(?<!\$)\$\{{{key}\}}", value.replace("\\", r"\\"), text)
        workflow = YAML(typ="safe").load(text.replace("$${", "${"))
        assert set(workflow.get("depends_on", ())) <= set(done)
        label = "=".join(next(iter(workflow.get("labels", {"": ""}).items())))
        runner = ci.machines.get(label, ci.one)
        settings = workflow["clone"][0]["settings"]
        assert (settings["partial"], settings["depth"], settings["tags"]) == (False, 0, True)
        clone = runner.clone(depth=0)
        for step in workflow["steps"]:
            known = {key.lower(): value for key, value in ci.secrets.items()}
            env = {key: known[one["from_secret"]] for key, one in step["environment"].items()}
            runner.run("\n".join(step["commands"]), clone, {**theirs, **env}, step["image"])

    for name in reversed(waiting):
        entries = ci.load(f".woodpecker/{name}.yaml").get("matrix", {"include": [{}]})["include"]
        with ThreadPoolExecutor() as pool:
            list(pool.map(lambda entry, name=name: run(name, entry), entries))
        done.append(name)
    ci.require_published("app")
