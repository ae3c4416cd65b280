from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from support import workspaces

from buildx_tasks.errors import EngineError
from buildx_tasks.verification import containers

from .check_image import built, subject
from .conftest import docker, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator

    from docker import DockerClient

# What others verify meanwhile sweeps too.
pytestmark = pytest.mark.alone

# Two containers (one runs, one was only created) and a network; then it waits to be killed.
SESSION = """
import sys, time
from pathlib import Path
from buildx_tasks.verification.containers import start
from engine.check_image import subject

with subject(sys.argv[1], Path(sys.argv[2])) as made:
    network = made.session.network().name
    with made.created(["sleep", "99"], network_mode=network) as one:
        with made.created(None):
            start(one)
            print("made", flush=True)
            time.sleep(99)
"""


@pytest.fixture(autouse=True)
def records(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="module")
def tag() -> Iterator[str]:
    with built("whole", "linux/amd64") as tag:
        yield tag


def started(tag: str, root: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", SESSION, tag, str(root)],
        cwd=Path(__file__).parents[1],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    assert process.stdout.readline() == "made\n"
    return process


def there(root: Path) -> tuple[int, int]:
    """How many containers and networks of the project there are."""
    of = ("--quiet", "--filter", f"label={containers.PROJECT}={root}")
    containers_, networks = docker("ps", "--all", *of), docker("network", "ls", *of)
    return len(containers_.split()), len(networks.split())


def volumes() -> set[str]:
    return set(docker("volume", "ls", "--quiet").split())


def test_what_a_killed_session_left_goes_and_a_live_one_stays(
    tag: str, tmp_path: Path, engine: DockerClient
) -> None:
    swept = workspaces.bare(tmp_path, engine).engine
    locks = tmp_path / "state" / "buildx-tasks" / "sessions"
    with started(tag, tmp_path) as live:
        before = volumes()
        assert there(tmp_path) == (2, 1)
        with started(tag, tmp_path) as dead:
            assert there(tmp_path) == (4, 2)
            assert len(volumes() - before) >= 2
            left = volumes()
            dead.kill()
        sweepers = [threading.Thread(target=containers.sweep, args=(swept,)) for _ in "ab"]
        for sweeper in sweepers:
            sweeper.start()
        for sweeper in sweepers:
            sweeper.join()
        assert there(tmp_path) == (2, 1)
        assert len(list(locks.iterdir())) == 1
        assert live.poll() is None
        assert docker("ps", "--quiet", "--filter", f"label={containers.PROJECT}={tmp_path}")
        live.kill()
    containers.sweep(swept)
    assert there(tmp_path) == (0, 0)
    mine = left - before
    assert len(mine & volumes()) <= len(mine) - 2


def test_volumes_of_containers_go_with_them(tag: str, tmp_path: Path) -> None:
    with subject(tag, tmp_path) as made:
        with made.created(["true"]) as one:
            containers.start(one)
            one.wait()
            one.reload()
            (mount,) = one.attrs["Mounts"]
            containers.start(one)  # so that it goes at once
            assert mount["Name"] in volumes()
        assert mount["Name"] not in volumes()


def test_what_another_machine_made_is_left_for_a_day(
    tag: str, tmp_path: Path, engine: DockerClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Their home may be one, and not the locks in it."""
    with started(tag, tmp_path) as process:
        process.kill()
    swept = workspaces.bare(tmp_path, engine).engine
    monkeypatch.setattr("socket.gethostname", lambda: "another")
    (record,) = (tmp_path / "state" / "buildx-tasks" / "sessions").iterdir()
    for hours, there_is in ((0, (2, 1)), (23, (2, 1)), (25, (0, 0))):
        at = time.time() - hours * 3600
        os.utime(record, (at, at))
        containers.sweep(swept)
        assert there(tmp_path) == there_is
    assert not record.exists()


def test_nothing_can_be_made_once_it_is_closed(tag: str, tmp_path: Path) -> None:
    with subject(tag, tmp_path) as made:
        made.session.close()
        assert made.session.closed
        with pytest.raises(EngineError, match="verify was stopped; run it again"):
            made.session.network()
        with (
            pytest.raises(EngineError, match="verify was stopped"),
            made.created(None),
        ):
            pass
        made.session.close()


def test_what_threads_make_while_it_is_closed_does_not_stay(tag: str, tmp_path: Path) -> None:
    with subject(tag, tmp_path) as made:
        begun = threading.Event()

        def work() -> None:
            network = made.session.network().name
            for _ in range(100):
                try:
                    with made.created(["sleep", "9"], network_mode=network) as one:
                        begun.set()
                        containers.start(one)
                except Exception:  # noqa: BLE001 - it is taken away from under its hands
                    if made.session.closed:
                        return

        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads:
            thread.start()
        begun.wait(20)
        time.sleep(0.2)
        made.session.close()
        wait_for(lambda: there(tmp_path) == (0, 0), "something stays", 5)
        for thread in threads:
            thread.join()
        assert there(tmp_path) == (0, 0)


def test_what_has_ended_is_removed_together_and_what_runs_at_once(
    tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "TOGETHER", 4)

    def made_by(number: int, *, started: bool) -> None:
        for _ in range(number):
            with made.created(["sleep", "9"]) as one:
                if started:
                    containers.start(one)

    with subject(tag, tmp_path) as made:
        made_by(3, started=False)
        assert there(tmp_path) == (3, 0)
        made_by(1, started=True)
        assert there(tmp_path) == (0, 0)
        made_by(4, started=False)
        assert there(tmp_path) == (0, 0)
        made_by(2, started=False)
        made.session.close()
        assert there(tmp_path) == (0, 0)


def test_what_took_too_long_to_create_while_it_was_closed_does_not_stay(
    tag: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(containers, "_GOING_SECONDS", 0)
    with subject(tag, tmp_path) as made:
        api = made.session._patient
        create = api.create_container

        def late(*args: Any, **settings: Any) -> Any:
            made.session.close()
            return create(*args, **settings)

        api.create_container = late
        with (
            pytest.raises(EngineError, match="verify was stopped; run it again"),
            made.created(None),
        ):
            pytest.fail("it was created")
        assert there(tmp_path) == (0, 0)
