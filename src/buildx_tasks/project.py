"""The public API: a project, and a selection of its targets and platforms, to be worked on.

The tasks are written on it, and it works as well without invoke's command line: in a script, in
pytest, in nox. What stands here stays as it is from one minor version to the next.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from buildx_tasks.auditing.outside import Outside
from buildx_tasks.joining.joinable import Joinable
from buildx_tasks.planning.selection import make_plan
from buildx_tasks.publishing.audience import Nobody

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from invoke import Context

    from buildx_tasks.building.audience import Audience as BuildAudience
    from buildx_tasks.building.locking import Outcome
    from buildx_tasks.building.results import Built
    from buildx_tasks.dockerfiles.findings import Finding
    from buildx_tasks.images.description import Shown
    from buildx_tasks.images.image import Image
    from buildx_tasks.language.config import Builder
    from buildx_tasks.language.loading import Values
    from buildx_tasks.planning.cells import TargetPlan
    from buildx_tasks.planning.jobs import Jobs
    from buildx_tasks.planning.selection import Plan
    from buildx_tasks.publishing.audience import Audience
    from buildx_tasks.publishing.publish import Published
    from buildx_tasks.references import Reference
    from buildx_tasks.verification.foreground import Options as RunOptions
    from buildx_tasks.verification.results import Report

NATIVE = "native"


class Project(Outside):
    """A loaded project: its folder (``root``), its ``file``, and what that comes to (``config``).

    Engine and registries are reached when they are first needed, and let go by :meth:`close`, or at
    the end of a ``with``. Every error of it is a
    :class:`~buildx_tasks.errors.BuildxTasksError`, whose text says what is wrong and how to go on.
    """

    @classmethod
    def load(
        cls,
        folder: Path | str | None = None,
        *,
        overlays: Sequence[str] = (),
        values: Mapping[str, str] | None = None,
        context: Context | None = None,
    ) -> Project:
        """Load the nearest ``buildx.toml`` (or ``pyproject.toml`` with the table), from ``folder`` on.

        Args:
            folder: where to look, and in the folders above it; default: that of the tasks file
                that ``context`` was loaded from, then the current one.
            overlays: names of ``buildx.NAME.toml``; default: what BUILDX_TASKS_OVERLAY names.
            values: values of variables, before the environment's and the defaults.
            context: invoke's, for ``--dry``, ``--echo`` and ``--search-root``; default: none of them.

        Raises:
            ConfigError: there is no such file, or it cannot be used; says where in it.
            UsageError: an overlay or a variable is not declared.

        """
        from buildx_tasks.language import chosen, loading

        path = loading.find(Path(folder).absolute()) if folder is not None else chosen.file(context)
        names = overlays or chosen.overlays()
        sets = [f"{name}={value}" for name, value in (values or {}).items()]
        project = cls(path, loading.load(path, overlays=names, sets=sets), context)
        project._asked = (names, sets)
        return project

    _asked: tuple[Sequence[str], Sequence[str]] = ((), ())

    def fixing(self, plan: Plan) -> list[str]:
        """Return the flags that give another machine the same: overlays, values that no file has."""
        from buildx_tasks.joining import runs

        return runs.fixing(plan, *self._asked, self.variables)

    @cached_property
    def variables(self) -> Values:
        """The values of the variables, by name; each is worked out when it is asked for.

        Raises:
            ConfigError: (looking one up) it has no value that is as declared.

        """
        from buildx_tasks.language import loading

        return loading.Values(self.file, *self._asked)

    def select(self, *targets: str, platforms: Sequence[str] = ()) -> Selection:
        """Select targets (names, groups, globs) and platforms (as in ``linux/arm64``).

        The platform ``native`` is the engine's own. Without targets the group ``default`` is meant,
        and all targets where there is none; without platforms all that are declared.

        Raises:
            UsageError: something selected does not exist, or is not declared.

        """
        wanted = [str(self.engine.platform) if p == NATIVE else p for p in platforms]
        return Selection(self, make_plan(self.config, targets, wanted), named=bool(targets))

    @property
    def builder(self) -> Builder | None:
        """The builder of all builds; None for the engine's own, or what BUILDX_BUILDER names."""
        from buildx_tasks.builders import choice

        return choice.meant(self)

    @property
    def images(self) -> Mapping[str, Image]:
        """The images of the targets, by name, as they were built last; looked up when asked for.

        Raises:
            EngineError: (looking one up) it is not built, or no engine answers.

        """
        from buildx_tasks.building.built_images import BuiltImages

        return BuiltImages(self)

    def __enter__(self) -> Project:  # noqa: PYI034 - Python 3.9 has no Self
        """Return the project itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Let go of engine and registries."""
        self.close()


class Selection(Joinable):
    """Some targets on some platforms of a project; ``plan`` says which, and what bake gets."""

    project: Project

    def __init__(self, project: Project, plan: Plan, *, named: bool) -> None:
        super().__init__(project, plan)
        self._named = named

    def build(
        self,
        *,
        progress: str = "auto",
        no_cache: bool = False,
        pull: bool = False,
        lock: bool = True,
        always: bool = False,
        audience: BuildAudience | None = None,
    ) -> list[Built]:
        """Build what has changed with one ``docker buildx bake``; return a result for each target.

        ``progress`` is buildx's own, but that ``auto`` tells the ``audience``. Without ``lock`` bases
        are what their names stand for now, whatever ``buildx.lock`` pins. What is unchanged, and
        still there, is built where it is to be ``always``. Nothing is returned under ``--dry``.

        Raises:
            ConfigError: ``buildx.lock`` cannot be used.
            BuildError: bake failed, and has said why.
            EngineError: engine, buildx, builder or emulators are why it cannot be built.

        """
        self.project.look_ahead(self.plan.images)
        from buildx_tasks.building import bake

        options = bake.Options(progress, no_cache, pull, lock, always, audience)
        return bake.build(self.project, self.plan, options)

    @property
    def bake_file(self) -> dict[str, Any]:
        """The bake file of the selection, with bases as ``buildx.lock`` pins them.

        Raises:
            ConfigError: ``buildx.lock`` cannot be used.

        """
        if self.project.pins is None:
            return self.plan.bake_file
        from buildx_tasks.building.standing import Standing

        standing = Standing(self.project, self.plan, self.project.builder, asks=False)
        return standing.pinned(self.plan.bake_file, self.plan)

    def lock(self, *names: str, update: bool = False, check: bool = False) -> Outcome:
        """Write into ``buildx.lock`` what the selection reads and it lacks; return what came of it.

        ``update`` moves pins, too, to what is published now, ``check`` only says what moved and what
        is missing; with ``names`` (images, or globs) it is about these alone. Nothing is written
        under ``--dry``. ``problems`` holds what cannot be pinned, or is not as it should be: no error
        is raised for it.

        Raises:
            ConfigError: ``buildx.lock`` cannot be used.
            UsageError: nothing that is selected reads such a name.

        """
        from buildx_tasks.building import locking

        if check:
            return locking.check(self.project, self.plan, names)
        found = (locking.update if update else locking.add)(self.project, self.plan, names)
        if not self.project.commands.is_dry:
            locking.write(self.project, found)
        return found

    def run(
        self, *arguments: str, options: RunOptions | None = None, audience: Audience | None = None
    ) -> None:
        """Run the selected cells one after another, each with ``arguments`` for its program.

        ``options`` are docker's own, as of :class:`buildx_tasks.verification.foreground.Options`.

        Raises:
            UsageError: nothing selected leaves an image.
            EngineError: an image is not built.
            RunError: a container ended with another exit code than 0, which the error carries.

        """
        from buildx_tasks.errors import UsageError
        from buildx_tasks.verification.foreground import Options, run_cell

        cells = [(target, cell) for target in self.plan.images for cell in target.cells]
        if not cells:
            raise UsageError(
                "nothing selected leaves an image to run; select another target with -t"
            )
        for target, cell in cells:
            if len(cells) > 1:
                (audience or Nobody()).said(f"--- {cell}")
            chosen, alone = options or Options(), len(cells) == 1
            run_cell(self.project, target, cell, arguments, chosen, alone=alone)

    def verify(
        self,
        *,
        jobs: int = 0,
        force: bool = False,
        keep: bool = False,
        fail_fast: bool = False,
        last_failed: bool = False,
        audience: Audience | None = None,
    ) -> Report:
        """Check every selected cell against ``[target.NAME.verify]``; return what was found.

        ``report.failed`` holds what is not as expected: no error is raised for it. What was verified
        before, and did not change, is not run again unless ``force``. ``jobs`` is how many cells are
        looked at at once, 0 for what suits; ``last_failed`` leaves out those that did not fail the
        last time.

        Raises:
            EngineError: an image is not built, or the engine fails and does not come back.

        """
        self.project.look_ahead(self.plan.images)
        from buildx_tasks.verification import passed
        from buildx_tasks.verification.results import Report
        from buildx_tasks.verification.verify import Options

        told = audience or Nobody()
        listed, history = passed.wanted(self.project, self.plan.images)
        if last_failed:
            listed = [unit for unit in listed if unit.id in history.failed]
            if not listed:
                return Report("", 0.0, (), {})
        known, options = {} if force else history.passed, Options(jobs, keep, fail_fast)
        with told.verifying(len(listed)) as watcher:
            report, unrecorded = passed.verified(
                self.project, self.plan, listed, known, options, watcher
            )
        report = report._replace(unrecorded=tuple(unrecorded))
        told.reported(report)
        return report

    def push(
        self, *, tags: Sequence[str] = (), verify: bool = True, audience: Audience | None = None
    ) -> list[Published]:
        """Publish exactly what was verified (verified first where it was not); return each tag.

        ``tags`` are taken instead of the declared ones: ``v2`` in each repository of a target, or
        whole references. Without ``verify`` it is published as it is, and the ledger says so.

        Raises:
            UsageError: nothing selected leaves an image, or two targets would have one tag.
            VerifyError: an image is not as expected; nothing was pushed.
            EngineError: an image is not built whole.
            PushError, RegistryError: a registry refused; says what each tag holds now.

        """
        self.project.look_ahead(self.plan.images)
        from buildx_tasks.publishing.push import push

        return push(self.project, self.plan, self.tags(tags), audience or Nobody(), verify=verify)

    def tags(self, wanted: Sequence[str] = ()) -> dict[str, tuple[Reference, ...]]:
        """Return the tags under which :meth:`push` publishes, by target.

        Raises:
            UsageError: as :meth:`push`.

        """
        from buildx_tasks.publishing.tags import refuse_shared, tags_of

        found = {one.name: tags_of(one, wanted) for one in self.images("an image to push")}
        refuse_shared(list(found.items()))
        return found

    def images(self, what: str = "an image") -> Sequence[TargetPlan]:
        """Return the selected targets that leave images.

        Raises:
            UsageError: none does.

        """
        from buildx_tasks.publishing.push import selected

        return selected(self.plan, what, named=self._named)

    def inspect(self, *, published: bool = False) -> Iterator[Shown]:
        """Yield the images as trees: as they were built, or as their tags are ``published``.

        Raises:
            UsageError: nothing selected leaves an image.
            EngineError: one is not built.
            RegistryError: a registry does not answer.

        """
        from buildx_tasks.publishing import inspection
        from buildx_tasks.publishing.tags import tags_of

        targets = self.images()
        if not published:
            return inspection.built(self.project, targets)
        asked = [(tag, "") for one in targets for tag in tags_of(one, ())]
        return inspection.published(self.project, asked)

    def jobs(self, run: str, *, system: str = "github", changed_since: str = "") -> Jobs:
        """Return the jobs of a run on several machines, for the selected images on all their platforms.

        ``run`` is an id that all jobs share, ``system`` the CI whose runners are meant: github, gitlab
        or woodpecker. With ``changed_since``, a commit, only targets count that changed after it.

        Raises:
            UsageError: it is no id, nothing selected leaves an image, or git does not know the commit.

        """
        from buildx_tasks.joining import runs

        found = runs.run_of(self.project, self.plan, run)
        if changed_since:
            found = runs.changed(self.project, self.plan, found, changed_since)
        flags, everything = self.project.fixing(self.plan), not self._named
        return runs.jobs_of(self.project, self.plan, found, system, flags, everything=everything)

    def lint(self) -> list[Finding]:
        """Check the Dockerfiles; return what is found, nothing under ``--dry``.

        Raises:
            BuildError, EngineError: they cannot be checked.

        """
        from buildx_tasks.builders import capability
        from buildx_tasks.building.lint import lint

        with capability.standing(self.project) as (builder, native):
            return lint(self.project, self.plan, builder, native)

    def grants(self) -> dict[str, list[str]]:
        """Return what building gives to each target besides its context; those without are left out.

        These are entitlements, files outside of the project's folder, secrets and ssh.
        """
        from buildx_tasks.building.permissions import granted

        return granted(self.plan.bake_file["target"], self.project.root)

    def always_built(self) -> dict[str, str]:
        """Return why targets are built where nothing changed, too; the others are left out."""
        from buildx_tasks.building import unchanged

        return unchanged.always_built(self.project, self.plan)

    def ways(self) -> dict[str, str]:
        """Return the way by which each target would be published; asks the engine where it matters."""
        from buildx_tasks.building import staging

        return staging.ways(self.project.engine, self.project.builder, self.plan)
