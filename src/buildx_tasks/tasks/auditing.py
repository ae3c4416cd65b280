"""invoke verify of what is published: --ref, --published, --audit."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

from buildx_tasks.tasks.options import loaded_or_empty, names, selected, texts

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from invoke import Context

    from buildx_tasks.auditing.audit import Looked, Options, Subject
    from buildx_tasks.building.locking import Outcome
    from buildx_tasks.project import Project
    from buildx_tasks.tasks.options import Texts


class Asked(NamedTuple):
    """What verify was asked for, of what is published."""

    selection: tuple[Texts, Texts, Texts, Texts]  # target, platform, overlay, set
    ref: Texts
    require: Texts
    published: bool
    audit: bool
    run: bool
    jobs: int
    full: bool
    files: Mapping[str, str]

    @property
    def is_audit(self) -> bool:
        """Whether it is about what is published at all."""
        return bool(self.ref or self.require or self.published or self.audit or self.run)


def is_done(c: Context, asked: Asked, given: Mapping[str, Any]) -> bool:
    """Audit what is published, if that is asked for, print and write what was found; say whether it is.

    ``given`` are the flags that are of no use here, by name.

    Raises:
        UsageError: flags do not fit together.
        VerifyError: something is not as expected.

    """
    from buildx_tasks.auditing import audit as auditing
    from buildx_tasks.engine.faults import faults
    from buildx_tasks.reports import writing
    from buildx_tasks.reports.terminal import Terminal
    from buildx_tasks.text import printable

    if not asked.is_audit:
        return False
    _require_fitting(asked, given)
    if asked.require:
        demand(c, asked)
        return True
    target, _, overlay, set_ = asked.selection
    told = Terminal(full=asked.full)
    needed = asked.published or asked.audit
    with loaded_or_empty(c, overlay, set_, needed=needed) as project, faults():
        listed = auditing.looked_up(list(_subjects(project, asked, target)))
        number = sum(one.number for one in listed)
        with _options(project, asked, listed) as options, told.verifying(number) as watcher:
            report = auditing.audit(listed, options, watcher)
        told.reported(report)
        for note in auditing.notes(report):
            told.said(printable(f"note: {note}"))
        writing.conclude(report, asked.files, project)
    return True


@contextmanager
def _options(project: Project, asked: Asked, listed: Sequence[Looked]) -> Iterator[Options]:
    """Yield how it is gone about; an engine is there only where something is run."""
    from buildx_tasks.auditing import subjects

    options = subjects.options(project, asked.jobs)
    if not asked.run or project.commands.is_dry:
        yield options
        return
    from buildx_tasks.auditing.running import Runner

    with Runner(project, listed) as runner:
        yield options._replace(runner=runner)


def _subjects(project: Project, asked: Asked, target: Texts) -> Iterator[Subject]:
    from buildx_tasks.auditing import subjects

    platform = asked.selection[1]
    if asked.published:
        if target or platform or not project.is_of_artifacts:
            selection = selected(project, target, platform)
            yield from subjects.published(project, selection.images("an image to audit"))
        if not (target or platform):
            yield from subjects.of_artifacts(project, project.artifacts().names)
    if asked.ref:
        references = texts(asked.ref, "--ref")
        yield from subjects.asked(project, references, names(platform, "-p"))
    if asked.audit:
        yield from subjects.listed(project)


def _require_fitting(asked: Asked, given: Mapping[str, Any]) -> None:
    from buildx_tasks.errors import UsageError

    target, platform, *_ = asked.selection
    if asked.ref and asked.published:
        raise UsageError("--ref and --published are two things; leave one out")
    if asked.ref and target:
        raise UsageError("--ref names an image by itself: leave out --target")
    if asked.run and not (asked.ref or asked.published or asked.audit):
        raise UsageError(
            "--run is about what is published: name it with --ref, --published or --audit"
        )
    if asked.require and (platform or asked.published or asked.audit or asked.run):
        raise UsageError("--require asks for verdicts of whole images: leave out all but --ref")
    for name, value in given.items():
        if value:
            raise UsageError(
                f"--{name} is about what was built, not about what is published; leave it out"
            )


def audit_bases(project: Project, found: Outcome) -> list[str]:
    """Audit the images that a lock would take, and print what was found; return what failed."""
    from buildx_tasks.auditing import audit as auditing
    from buildx_tasks.auditing import subjects
    from buildx_tasks.engine.faults import faults
    from buildx_tasks.reports.terminal import Terminal
    from buildx_tasks.verification.passed import failures

    told = Terminal()
    with faults():
        listed = auditing.looked_up(subjects.bases(project, found.current))
        with told.verifying(sum(one.number for one in listed)) as watcher:
            report = auditing.audit(listed, subjects.options(project, 0), watcher)
    told.reported(report)
    return failures(report)


def demand(c: Context, asked: Asked) -> None:
    """Print what published images have of what is required of them.

    Raises:
        UsageError: something to ask about, or to ask for, is missing.
        VerifyError: one lacks something.

    """
    from buildx_tasks.engine.faults import faults
    from buildx_tasks.publishing import demands
    from buildx_tasks.text import printable

    _, _, overlay, set_ = asked.selection
    wanted = demands.asked(texts(asked.ref, "--ref"), texts(asked.require, "--require"))
    answers = []
    with loaded_or_empty(c, overlay, set_, needed=False) as project, faults():
        for answer in demands.verdicts(project, wanted):
            print("\n".join(map(printable, demands.lines(answer))), flush=True)
            answers.append(answer)
    demands.conclude(answers)
