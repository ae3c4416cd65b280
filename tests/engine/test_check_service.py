from __future__ import annotations

import re
import shlex
import socket
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest

from buildx_tasks.engine.engine import Engine
from buildx_tasks.language.expectations import Http, Output, Service
from buildx_tasks.verification import containers
from buildx_tasks.verification.checks import service

from .check_image import built, subject
from .conftest import docker, running, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from buildx_tasks.verification.check import Found, Subject

UP = Http(body=Output(json_at={"/state": "up", "/parts/1": 2}))
# As the first program it gets only the signals that it traps.
SERVE = "trap 'echo bye; exit 3' TERM; trap 'exit 0' INT; httpd -p 8080 -h /www; "
WAIT = "while :; do sleep 9 & wait $!; done"


@pytest.fixture(scope="module")
def tag() -> Iterator[str]:
    with built("whole", "linux/amd64", "linux/arm64") as tag:
        yield tag


@pytest.fixture
def native(tag: str, tmp_path: Path) -> Iterator[Subject]:
    with subject(tag, tmp_path) as made:
        yield made


def serving(script: str = SERVE + WAIT, **spec: Any) -> Service:
    return Service(**{"args": ["sh", "-c", script], "port": 8080, "exit_code": 3, **spec})


def passes(subject: Subject, spec: Service) -> Found:
    found = service.check(subject, spec)
    assert found.problems == (), found
    return found


def fails(subject: Subject, spec: Service) -> list[str]:
    """The problems of a check, and that its container does not run any more."""
    found = service.check(subject, spec)
    assert found.problems
    assert found.enter == ""
    running = ("ps", "-q", "--filter", f"label={containers.PROJECT}={subject.root}")
    wait_for(lambda: docker(*running) == "", "it runs on", 5)
    return list(found.problems)


@pytest.mark.parametrize("platform", ["linux/amd64", "linux/arm64"])
def test_it_answers_and_stops(tag: str, tmp_path: Path, platform: str) -> None:
    with subject(tag, tmp_path, platform) as made:
        found = passes(made, serving(http=UP))
        assert found.stdout == "bye\n"
        answered, stopped = found.facts
        assert answered.startswith("answered after ")
        assert stopped.startswith("stopped in ")
        passes(made, serving())
        passes(made, serving(stop_signal="SIGINT", exit_code=0))


def test_it_is_asked_until_it_is_ready(native: Subject) -> None:
    page = "/www/cgi-bin/503"
    later = f"(sleep 1; printf '#!/bin/sh\\necho; echo ready' > {page})& {SERVE}{WAIT}"
    http = Http(path="/cgi-bin/503", body="ready")
    found = passes(native, serving(later, http=http, ready_within=20))
    assert float(found.facts[0].split()[2]) >= 0.8
    problems = fails(native, serving(http=http, ready_within=0.8))
    assert problems == [
        'not ready within 0.8 s: GET /cgi-bin/503: expected status 200, got 503 with "starting"'
    ]
    passes(native, serving(http=Http(path="/cgi-bin/503", status=503, body="starting")))


UNREADY: list[tuple[dict[str, Any], str]] = [
    ({"port": 81}, "port 81: nothing listens there (127.0.0.1 inside the container is not enough)"),
    ({"port": 81, "http": UP}, "GET /: nothing listens there (127.0.0.1 inside"),
    ({"http": Http(path="/no ne")}, "GET /no ne: expected status 200, got 404 with "),
    ({"http": Http(body="down")}, 'body of GET /: expected "down", got "{"state": "up", '),
    (
        {"http": Http(body=Output(json_at={"/state": "down"}))},
        'body of GET /: at /state expected "down", got "up"',
    ),
    ({"http": Http(path="/cgi-bin/slow"), "ready_within": 5}, "GET /cgi-bin/slow: no whole answer"),
    ({"args": ["sh", "-c", "nc -ll -p 8080 -e echo x"], "http": UP}, "GET /: no HTTP answer: "),
    ({"args": ["sh", "-c", "httpd -p 127.0.0.1:8080; sleep 9"]}, "port 8080: nothing listens"),
]


def test_what_does_not_answer_as_expected(native: Subject) -> None:
    # All at once: one session serves several threads.
    specs = [serving(**{"ready_within": 3, **spec}) for spec, _ in UNREADY]
    with ThreadPoolExecutor(len(specs)) as pool:
        found = list(pool.map(lambda spec: service.check(native, spec), specs))
    for one, spec, (_, problem) in zip(found, specs, UNREADY):
        (said,) = one.problems
        assert said.startswith(f"not ready within {spec.ready_within:g} s: {problem}")
    running = ("ps", "-q", "--filter", f"label={containers.PROJECT}={native.root}")
    wait_for(lambda: docker(*running) == "", "it runs on", 5)


def test_how_it_ends(native: Subject) -> None:
    deaf = f"httpd -p 8080; {WAIT}"
    slow = f"trap 'sleep 1; exit 3' TERM; {deaf}"
    late = (
        "still running 0.5 s after SIGTERM; it was killed "
        "(a container's first program gets only the signals that it handles)"
    )
    ended = "before it answered on port 8080; it printed"
    cases = [
        (serving("echo a; echo none >&2; exit 7"), f'ended with exit code 7 {ended} "none", "a"'),
        (serving("/nope"), f'ended with exit code 127 {ended} "sh: line 0: /nope: not found"'),
        (serving(exit_code=0), "exit code after SIGTERM: expected 0, got 3 (bye)"),
        (serving(deaf, stop_within=0.5), late),
        (serving(slow, stop_within=0.5), late),
        (serving(slow, stop_within=20), None),
    ]
    with ThreadPoolExecutor(len(cases)) as pool:
        found = list(pool.map(lambda case: service.check(native, case[0]), cases))
    assert [one.problems for one in found] == [(said,) if said else () for _, said in cases]
    # It answers once, and then has had enough.
    (problem,) = fails(native, serving("nc -l -p 8080; exit 2", stop_signal="SIGWINCH"))
    assert "exit code 2 before it got" in problem or "expected 3, got 2" in problem


def test_what_cannot_be_started(native: Subject) -> None:
    assert fails(native, serving(stop_signal="SIGNOPE")) == [
        "cannot be started: invalid signal: SIGNOPE"
    ]
    assert fails(native, serving(args=["nope"])) == [
        'cannot be started: exec: "nope": executable file not found in $PATH'
    ]
    problems = fails(native, serving(args=["/martian"]))
    assert "exec format error" in problems[0]
    assert problems[1].startswith("/martian is a program for ")


def test_want_of_memory_is_said(native: Subject) -> None:
    wanting = ["dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1"]
    (problem,) = fails(native, serving(args=wanting, memory="20MB"))
    assert re.match(
        r"ended with exit code 137 before it answered on port 8080 "
        r"\(SIGKILL; (likely )?killed because it wanted more than 20\.0 MB of memory\)",
        problem,
    )


def test_a_chatty_service_is_no_failure(native: Subject) -> None:
    found = passes(native, serving(f"yes | head -c 3000000; {SERVE}{WAIT}", http=UP))
    assert len(found.stdout) == 1_000_000


def test_without_network_there_is_no_way_out(native: Subject) -> None:
    with socket.create_server(("0.0.0.0", 0)) as elsewhere:  # noqa: S104
        port = elsewhere.getsockname()[1]
        # Another network of this machine, which stands for the whole world.
        bridge = docker("network", "inspect", "bridge", "-f", "{{(index .IPAM.Config 0).Gateway}}")
        ask = f"ip route; timeout 1 nc {bridge} {port} </dev/null"
        inside = passes(native, serving(f"({ask}; nslookup example.com) 2>&1; {SERVE}{WAIT}"))
        outside = passes(native, serving(f"({ask}) 2>&1; {SERVE}{WAIT}", network="default"))
    assert "Network is unreachable" in inside.stdout
    assert "default via" not in inside.stdout
    assert "can't find example.com: SERVFAIL" in inside.stdout
    assert "can't connect" not in outside.stdout
    assert "default via" in outside.stdout


def test_services_do_not_reach_each_other(native: Subject) -> None:
    network = native.session.network().name
    with native.created(["httpd", "-f", "-p", "80"], network_mode=network) as other:
        containers.start(other)
        other.reload()
        ((place),) = other.attrs["NetworkSettings"]["Networks"].values()
        script = f"nc -w 1 {place['IPAddress']} 80 </dev/null 2>&1; {SERVE}{WAIT}"
        assert "timed out" in passes(native, serving(script)).stdout


def test_on_the_machines_own_network(native: Subject) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert fails(native, serving(network="host", port=port)) == [
            f'something else listens on port {port} of this machine, which network = "host" '
            "shares; stop it, or leave network out"
        ]
    script = SERVE.replace("8080", f"127.0.0.1:{port}") + WAIT
    spec = serving(script, network="host", port=port, http=UP)
    # At once, and each gets the port to itself.
    found: list[Found] = []
    threads = [
        threading.Thread(target=lambda: found.append(service.check(native, spec))) for _ in "ab"
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [one.problems for one in found] == [(), ()]


def test_an_engine_elsewhere_publishes_the_port(
    native: Subject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Engine, "is_local", False)
    for network in ("none", "host"):
        assert fails(native, serving(network=network)) == [
            f'cannot be asked: the engine is not on this machine, and network is "{network}"; '
            'write network = "default", or run verify on its machine'
        ]
    passes(native, serving(network="default", http=UP))
    passes(native, serving(network="default"))
    # The engine's proxy accepts all, and there is nothing behind it.
    (problem,) = fails(native, serving(f"echo a; {WAIT}", network="default", ready_within=1.5))
    assert problem.startswith("not ready within 1.5 s: port 8080: ")


def test_the_command_does_the_same(native: Subject) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    script = SERVE.replace("8080", str(port)) + WAIT
    spec = serving(script, http=UP, port=port, env={"A": "b"}, stop_signal="SIGINT")
    argv = service.command(native.image.reference, native.platform, native.root, spec)

    def answers() -> bool:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=1) as response:
                return b"up" in response.read()
        except OSError:
            return False

    with running(["sh", "-c", f"exec {shlex.join(argv)}"]) as process:
        wait_for(answers, "no answer")
        process.terminate()
        assert process.wait(10) == 3


def test_a_kept_service_runs_on(tag: str, tmp_path: Path) -> None:
    with subject(tag, tmp_path, keep=True) as made:
        running = service.check(
            made, serving(f"{SERVE} echo $$ > /it; {WAIT}", port=81, ready_within=1)
        )
        ended = service.check(made, serving(exit_code=0))
    try:
        containers.sweep(made.engine)
        name = running.enter.split()[3]
        assert running.enter == f"docker exec -it {name} sh"
        assert docker("exec", "-i", name, "sh", "-c", "cat /it") == "1"
        assert ended.enter.startswith("docker run -it --rm --name ")
        name = ended.enter.split()[5].replace("-sh", "")
        docker("start", name)  # its network is there too
        containers.sweep(made.engine)
        wait_for(lambda: docker("exec", name, "wget", "-qO-", "127.0.0.1:8080") != "", "no answer")
    finally:
        containers.remove_kept(made.engine, tmp_path)
        made.engine.close()
    assert docker("network", "ls", "-q", "--filter", f"label={containers.PROJECT}={tmp_path}") == ""
