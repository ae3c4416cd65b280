"""Several real nodes: engines behind TCP with mutual TLS, one of them pinned to linux/arm64."""

from __future__ import annotations

import subprocess
import threading
import time
from typing import TYPE_CHECKING, NamedTuple

import pytest

from buildx_tasks.records.ledger import Ledger

from .conftest import (
    SecondEngine,
    builders,
    docker,
    engine_socket,
    give_image,
    in_use,
    second_engine,
    wait_for,
)
from .grpc_bridge import Certificates, GrpcBridge

if TYPE_CHECKING:
    from collections.abc import Iterator

    from conftest import Project

IMAGE = '''
[target.{name}]
dockerfile-inline = """
FROM alpine:3.22
ARG TARGETPLATFORM NONCE
RUN echo "$NONCE" && sleep {sleep} && cat /proc/sys/kernel/random/uuid >/built
ENV PLATFORM=$TARGETPLATFORM
CMD echo "Hello, $PLATFORM!"
"""
args.NONCE = "{nonce}"
platforms = ["linux/amd64", "linux/arm64"]
tags = ["{registry}/{name}:v1", "{registry}/{name}:latest"]
verify.run.stdout = "Hello, {{platform}}!"
'''


class Fleet(NamedTuple):
    """Two nodes: ``amd`` is the machine's own engine, ``arm`` a second one."""

    certificates: Certificates
    amd: GrpcBridge
    arm: list[GrpcBridge]  # one element: the bridge of the node as it is now
    engine: SecondEngine

    def builder(self, name: str, *, arm: str = 'platforms = ["linux/arm64"]') -> str:
        return (
            f'[builder]\nname = "{name}"\ndriver = "remote"\n'
            'driver-opts = { cacert = "tls/ca.pem", cert = "tls/client.pem", key = "tls/client.key" }\n'
            f'[[builder.node]]\nname = "amd"\nendpoint = "{self.amd.endpoint}"\n'
            'platforms = ["linux/amd64"]\n'
            f'[[builder.node]]\nname = "arm"\nendpoint = "{self.arm[0].endpoint}"\n{arm}\n'
        )

    def cut(self) -> None:
        """Let the arm node go down, as a machine does: its engine dies, nothing listens."""
        self.engine.kill()
        self.arm[0].close()

    def back(self) -> None:
        port = self.arm[0].port
        self.engine.start()
        wait_for(lambda: self._bridged(port), "the node's port stays taken")

    def _bridged(self, port: int) -> bool:
        try:
            self.arm[0] = GrpcBridge(self.engine.socket, self.certificates, port)
        except OSError:
            return False
        return True


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    folder = tmp_path_factory.mktemp("fleet")
    certificates = Certificates.make(folder)
    with second_engine(folder / "dockerd.log", containerd=True) as engine:
        give_image(engine, "alpine:3.22")
        amd = GrpcBridge(engine_socket(), certificates)
        arm = [GrpcBridge(engine.socket, certificates)]
        yield Fleet(certificates, amd, arm, engine)
        amd.close()
        arm[0].close()


@pytest.fixture
def fleet(machines: Fleet, project: Project) -> Fleet:
    (project.folder / "tls").symlink_to(machines.certificates.folder)
    return machines


def node_of(name: str, node: str) -> dict[str, object]:
    return next(entry for entry in builders()[name]["Nodes"] if entry["Name"] == node)


def test_a_fleet_is_made_and_builds_each_platform_on_its_node(
    project: Project, fleet: Fleet, name: str, registry: str
) -> None:
    text = fleet.builder(name) + IMAGE.format(name=name, registry=registry, sleep=0, nonce=name)
    project.write(text)
    assert project.ok("setup").splitlines() == [
        f'create builder "{name}" (remote) with node "amd" at {fleet.amd.endpoint}',
        f'append node "arm" at {fleet.arm[0].endpoint} for linux/arm64',
        f'use builder "{name}"',
        f'bootstrap builder "{name}"',
        "ready",
    ]
    assert in_use() == name
    assert project.ok("setup") == "ready: nothing to change\n"
    assert "registry, staged" in project.ok("plan")

    result = project.invoke("build", "--progress", "plain")
    assert result.returncode == 0, result.stderr
    staging = f"{registry}/{name}"
    assert "no local store holds what several nodes built" in result.stderr
    assert f"{staging}@sha256:" in result.stderr
    # Neither tag is there before a push.
    assert docker("buildx", "imagetools", "inspect", f"{staging}:v1", check=False) == ""
    # Each platform was built by its own engine: the other one's cache knows nothing of it.
    assert "linux/arm64" in docker("buildx", "history", "inspect", DOCKER_HOST=fleet.engine.host)

    # The local engine gets each platform by its digest, and runs it.
    docker("image", "rm", "--force", f"{staging}:v1", check=False)
    rows = [line.split()[:2] for line in project.ok("verify").splitlines()[1:-1]]
    assert rows == [[f"{name}@linux/amd64", "ok"], [f"{name}@linux/arm64", "ok"]]
    assert project.invoke("run", "-p", "linux/arm64").stdout == "Hello, linux/arm64!\n"

    # What is pushed is what was built and verified: one digest from the build to both tags.
    digest = result.stderr.split(f"{staging}@")[1].split()[0]
    printed = project.ok("push")
    for tag in ("v1", "latest"):
        assert f"{staging}:{tag}@{digest}" in printed
        assert digest in docker("buildx", "imagetools", "inspect", f"{staging}:{tag}")
    entry = Ledger(project.folder).read()[-1]
    assert (entry["way"], entry["verified"], entry["digest"]) == ("staged", "passed", digest)
    project.ok("clean")
    assert name not in builders()


def test_a_node_lost_in_the_build_is_named_and_the_rest_builds_on(
    project: Project, fleet: Fleet, name: str, registry: str
) -> None:
    text = fleet.builder(name) + IMAGE.format(name=name, registry=registry, sleep=10, nonce=name)
    project.write(text).ok("setup")
    running: list[subprocess.CompletedProcess[str]] = []
    thread = threading.Thread(
        target=lambda: running.append(project.invoke("build", "--progress", "plain"))
    )
    thread.start()
    listing = ["buildx", "history", "ls", "--no-trunc"]
    wait_for(
        lambda: "Running" in docker(*listing, check=False, DOCKER_HOST=fleet.engine.host),
        "no build on the second node",
    )
    time.sleep(2)
    fleet.cut()
    try:
        thread.join()
        lost = f'node "arm" at {fleet.arm[0].endpoint}'
        assert running[0].returncode == 1
        last = running[0].stderr.strip().splitlines()[-1]
        assert last.startswith(f"error: {lost} was lost during the build; run it again")

        # The next run works with the rest, by emulation.
        text = fleet.builder(name) + IMAGE.format(name=name, registry=registry, sleep=0, nonce="2")
        project.write(text)
        result = project.invoke("build", "--progress", "plain")
        assert result.returncode == 0, result.stderr
        assert f"{lost} does not answer; built without it" in result.stderr
        assert not [one for one in builders() if one.startswith(f"{name}-without")]
        project.ok("verify")

        # Both setup and doctor say so, and wait for nothing.
        started = time.monotonic()
        for task in (["setup"], ["setup", "--check"]):
            result = project.invoke(*task)
            assert result.returncode == 1
            assert f"{lost} does not answer" in result.stdout + result.stderr
        assert time.monotonic() - started < 38  # buildx would wait that long, each time
        result = project.invoke("doctor")
        assert result.returncode == 1
        assert f"FAIL  {lost}" in result.stdout

        # With native nodes only, nothing is left for linux/arm64.
        result = project.write(text + '[emulators]\nfrom = "never"\n').invoke("build")
        assert result.returncode == 1
        cell = f"{name}@linux/arm64"
        where = f"[target.{name}] dockerfile-inline:3"
        assert f"{cell} cannot be built: {where} runs there, {lost} does" in result.stderr
    finally:
        fleet.back()
    project.write(text)
    # Not setup itself: asking another engine above made buildx forget which builder is in use.
    assert project.ok("setup", "--check") == "as declared: nothing to change\n"
    result = project.invoke("build", "--progress", "plain")
    assert result.returncode == 0
    assert "without it" not in result.stderr
    project.ok("clean")


def test_drift_of_every_declared_field_is_found_and_repaired(
    project: Project, fleet: Fleet, name: str
) -> None:
    project.write(fleet.builder(name) + "[target.a]\n").ok("setup")
    options = [
        "--driver-opt",
        f"cacert={project.folder}/tls/ca.pem",
        "--driver-opt",
        f"cert={project.folder}/tls/client.pem",
        "--driver-opt",
        f"key={project.folder}/tls/client.key",
    ]
    create = ["buildx", "create", "--name", name]
    leave = [*create, "--node", "arm", "--leave"]
    append = [*create, "--append", "--node", "arm"]
    spare = GrpcBridge(fleet.engine.socket, fleet.certificates)
    arm = fleet.arm[0].endpoint
    cases = [
        # what somebody did, and what setup says of it
        (
            [[*create, "--node", "arm", "--platform", "linux/arm64,linux/s390x", arm]],
            "platforms are",
        ),
        ([[*create, "--node", "arm", spare.endpoint]], f"endpoint is {spare.endpoint}"),
        ([leave, [*append, *options, "--driver-opt", "servername=127.0.0.1", arm]], "servername"),
        ([leave], 'append node "arm"'),
        ([leave, [*append, *options, arm]], "platforms are none, declared are linux/arm64"),
        (
            [[*create, "--append", "--node", "extra", *options, spare.endpoint]],
            'remove node "extra": it is not declared',
        ),
        ([["buildx", "use", "default"]], f'use builder "{name}"'),  # done, but no drift
        ([["buildx", "rm", "--force", name]], f'create builder "{name}"'),
        (
            [["buildx", "rm", "-f", name], [*create, "--node", "x", *options, spare.endpoint]],
            "none of its nodes is declared",
        ),
    ]
    result = project.invoke("setup", "--check")
    assert (result.returncode, result.stdout) == (0, "as declared: nothing to change\n")
    for commands, words in cases:
        for command in commands:
            docker(*command)
        assert words in project.ok("setup")
        state = builders()[name]
        nodes = {entry["Name"]: entry for entry in state["Nodes"]}
        assert set(nodes) == {"amd", "arm"}
        assert nodes["arm"]["Endpoint"] == arm
        assert nodes["arm"]["Platforms"][0] == "linux/arm64"
        assert nodes["arm"]["DriverOpts"] == nodes["amd"]["DriverOpts"]
        assert state["Current"]
    assert project.ok("setup") == "ready: nothing to change\n"
    spare.close()


def test_a_change_of_the_declared_nodes_is_applied(
    project: Project, fleet: Fleet, name: str
) -> None:
    project.write(fleet.builder(name) + "[target.a]\n").ok("setup")
    more = fleet.builder(name, arm='platforms = ["linux/arm64", "linux/riscv64"]')
    printed = project.write(more + "[target.a]\n").ok("setup")
    assert (
        'change node "arm": platforms are linux/arm64, declared are linux/arm64, linux/riscv64'
    ) in printed
    assert "linux/riscv64" in str(node_of(name, "arm")["Platforms"])[:40]
    # One node less.
    amd, _, _ = fleet.builder(name).rpartition("[[builder.node]]")
    assert 'remove node "arm": it is not declared' in project.write(amd + "[target.a]\n").ok(
        "setup"
    )
    # The last one changes: the builder is made anew.
    one = amd.replace('platforms = ["linux/amd64"]', "platforms = []")
    printed = project.write(one + "[target.a]\n").ok("setup")
    assert f'remove builder "{name}" to make it anew, its cache is kept: node "amd"' in printed
    assert project.ok("setup") == "ready: nothing to change\n"


def test_two_setups_at_once_make_one_builder(project: Project, fleet: Fleet, name: str) -> None:
    project.write(fleet.builder(name) + "[target.a]\n")
    processes = [
        subprocess.Popen(
            project.command("setup"),
            cwd=project.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    outputs = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], outputs
    assert sorted(out.splitlines()[-1] for out, _ in outputs) == [
        "ready",
        "ready: nothing to change",
        "ready: nothing to change",
    ]
    assert len(builders()[name]["Nodes"]) == 2


@pytest.mark.parametrize("seconds", [0.8, 1.2, 1.7])
def test_a_killed_setup_is_finished_by_the_next_one(
    project: Project, fleet: Fleet, name: str, seconds: float
) -> None:
    project.write(fleet.builder(name) + "[target.a]\n")
    process = subprocess.Popen(
        project.command("setup"), cwd=project.folder, stdout=subprocess.DEVNULL
    )
    time.sleep(seconds)
    process.kill()
    process.wait()
    assert project.ok("setup").splitlines()[-1].startswith("ready")
    assert project.ok("setup") == "ready: nothing to change\n"
    assert len(builders()[name]["Nodes"]) == 2
    project.ok("clean")
    assert name not in builders()


def test_clean_builder_leaves_nodes_that_are_not_declared(
    project: Project, fleet: Fleet, name: str
) -> None:
    both = fleet.builder(name)
    project.write(both + "[target.a]\n").ok("setup")
    amd, _, _ = both.rpartition("[[builder.node]]")
    project.write(amd + "[target.a]\n")
    assert project.ok("clean", "--builder") == f'removed node "amd" of builder "{name}"\n'
    assert [entry["Name"] for entry in builders()[name]["Nodes"]] == ["arm"]


def test_a_client_without_certificate_is_not_let_in(
    project: Project, fleet: Fleet, name: str
) -> None:
    text = fleet.builder(name).replace(', cert = "tls/client.pem", key = "tls/client.key"', "")
    result = project.write(text + "[target.a]\n").invoke("setup")
    assert result.returncode == 1
    assert f'node "amd" at {fleet.amd.endpoint} does not answer' in result.stderr
    text = fleet.builder(name).replace("tls/ca.pem", "tls/none.pem")
    result = project.write(text + "[target.a]\n").invoke("setup")
    assert f"does not answer (cacert {project.folder}/tls/none.pem cannot be read)" in result.stderr
