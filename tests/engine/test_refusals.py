"""What the engine refuses for the image's sake is a problem of each check, and no engine's fault."""

from __future__ import annotations

from pathlib import Path

import pytest

from buildx_tasks.errors import EngineError
from buildx_tasks.images import archives
from buildx_tasks.language.expectations import Config, File, Run, Size
from buildx_tasks.verification.checks import config, files, run, size
from buildx_tasks.verification.walk import walk

from .check_image import built, subject

FULL = Path("/dev/full")


def test_an_image_of_which_no_container_can_be_made(tmp_path: Path) -> None:
    why = "cannot be started: cannot mount volume over existing file, file exists "
    with built("covered", "linux/amd64") as tag, subject(tag, tmp_path) as made:
        (found,) = walk(made, [files.visitor(made, {"/echo": File()})])
        nonroot = config.check(made, Config(nonroot=True, cmd=["x"]))
        # The engine unpacked it before it refused, or another test did.
        size.check(made, Size(unpacked=10))
        for one in (found, run.check(made, Run())):
            assert one.problems[0].startswith(why)
        assert nonroot.problems[0].startswith("cmd: expected ")
        assert nonroot.problems[1].startswith(f"nonroot: {why}")
        # Nothing of it is kept in memory: a full disk is found while it is written.
        with pytest.raises(EngineError, match=r"^/dev/full cannot be written: No space left on"):
            archives.save(made.engine, made.image.runnable(made.platform), made.platform, FULL)
