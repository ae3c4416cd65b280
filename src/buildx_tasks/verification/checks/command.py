"""``command``: a program of this machine looks at exactly one platform's image, and judges it."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from buildx_tasks import sizes
from buildx_tasks.building.location import by_digest
from buildx_tasks.images import graph, sources
from buildx_tasks.images.layout import Layout
from buildx_tasks.machine import programs
from buildx_tasks.verification import tool_reports, walk
from buildx_tasks.verification.check import Found, fill_in
from buildx_tasks.verification.rootfs import Unpacking

if TYPE_CHECKING:
    from buildx_tasks.language.expectations import Tool
    from buildx_tasks.machine.programs import Ended
    from buildx_tasks.verification.check import Subject

_MOST_OUTPUT = 64 * 1000**2  # bytes of a report, and of what a command prints
_KEPT = 1_000_000  # characters of what it printed
_CLASSIC = (
    "{oci} is what a registry would get, and the classic image store has no such manifest before it "
    "is pushed; use the containerd image store, or {rootfs}"
)


def check(subject: Subject, spec: Tool) -> Found:
    """Run the command, and read the report that it writes.

    It passes where the exit code is 0, and a JUnit report has no failed test. What a SARIF report
    finds are problems where the command fails, and facts where it does not.

    Raises:
        EngineError: the image cannot be read, or there is no room for it here.
        faults.api_errors: the engine refuses.

    """
    subject.session.require_open()
    ours = subject.session.workspace.ledger.folder
    with tempfile.TemporaryDirectory(prefix="tool-", dir=ours) as held:
        folder = Path(held)
        values, problems = _prepared(subject, spec, folder)
        if problems:
            return Found(problems)
        argv = fill_in(spec.command, values)
        memory = sizes.parse(spec.memory) if spec.memory is not None else 0
        bounds = programs.Bounds(spec.timeout, _MOST_OUTPUT, memory)
        try:
            ended = programs.run(argv, subject.root, bounds, subject.session.require_open)
        except OSError as error:
            fix = (
                "install it, or put it on PATH"
                if isinstance(error, FileNotFoundError)
                else "allow it"
            )
            return Found((f"{argv[0]} cannot be run: {error.strerror or 'not found'}; {fix}",))
        return _judged(spec, ended, folder / "report")


def _prepared(subject: Subject, spec: Tool, folder: Path) -> tuple[dict[str, str], tuple[str, ...]]:
    """Return what the placeholders stand for, made where the command names them; and what is wrong."""
    digest = subject.image.manifest(subject.platform)
    tag = subject.target.spec.tags[0]
    places = {name: str(folder / name) for name in ("oci", "rootfs", "report")}
    values = {**places, "ref": by_digest(tag, digest)}
    named = {name for name in values for word in spec.command if f"{{{name}}}" in word}
    if "oci" in named:
        if subject.image.parts or not (
            subject.image.repository or subject.engine.has_containerd_store
        ):
            return values, (_CLASSIC,)
        registries = subject.session.workspace.registries
        source = sources.of_image(subject.image, subject.engine, registries)
        Layout(folder / "oci").add(tag.rpartition(":")[2], graph.graph_of(source, digest), source)
    if "rootfs" in named:
        Path(values["rootfs"]).mkdir()
        found = walk.walk(subject, [Unpacking(Path(values["rootfs"]))])[0]
        return values, found.problems
    return values, ()


def _judged(spec: Tool, ended: Ended, file: Path) -> Found:
    from_file = any("{report}" in word for word in spec.command)
    printed = "" if spec.report != "none" and not from_file else _text(ended.stdout)
    said = Found(stdout=printed, stderr=_text(ended.stderr))
    if ended.why:
        return said._replace(problems=(f"{ended.why}; mend the command, or allow it more",))
    try:
        told = tool_reports.read(spec.report, _read(file) if from_file else ended.stdout)
    except ValueError as error:
        code = f"exit code {ended.code}; " if ended.code else ""
        return said._replace(problems=(f"{code}its report cannot be used: {error}",))
    said = said._replace(facts=(told.summary,) if told.summary else (), sarif=told.sarif)
    if ended.code:
        wrong = (*told.failures, *told.findings) or (f"exit code {ended.code}",)
        return said._replace(problems=wrong)
    return said._replace(problems=told.failures, facts=(*said.facts, *told.findings))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")[-_KEPT:]


def _read(file: Path) -> bytes:
    """Return the report that was written.

    Raises:
        ValueError: there is none, or it is too large.

    """
    try:
        with file.open("rb") as stream:
            data = stream.read(_MOST_OUTPUT + 1)
    except OSError as error:
        raise ValueError(f"the file for {{report}} cannot be read: {error.strerror}") from None
    if len(data) > _MOST_OUTPUT:
        raise ValueError(f"it has more than {_MOST_OUTPUT} bytes")
    return data
