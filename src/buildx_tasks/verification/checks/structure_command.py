"""A command test of container-structure-test: set up, run in a container of its own, compared."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any

from buildx_tasks.engine.faults import RefusedError
from buildx_tasks.images import starting, store
from buildx_tasks.language.expectations import Mount, Run
from buildx_tasks.verification.check import Found
from buildx_tasks.verification.checks import container, run
from buildx_tasks.verification.checks.output import quoted
from buildx_tasks.verification.outside import structure

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from buildx_tasks.verification.check import Subject
    from buildx_tasks.verification.outside.structure import Command

_LEAST_HELD = 4  # characters of a value: what is shorter is in any text
_SECONDS = 300.0  # that a command may take: the format knows no time limit


def check(subject: Subject, spec: Command) -> Found:
    """Run the commands of ``setup``, then the command itself, as container-structure-test does.

    Each has a container of its own on the engine's default network, without the image's entrypoint;
    what ``setup`` changed is there for those that follow.

    Raises:
        EngineError: the image is gone from the engine.
        faults.api_errors: the engine fails.

    """
    config = store.content(subject.engine, subject.image, subject.platform).config
    known = starting.environment_of(config)
    own: dict[str, str] = {}
    for name, value in spec.env:
        own[name] = structure.filled(value, {**known, **own})
    known.update(own)
    passed = structure.passed(spec.options, subject.root)
    env = {**own, **passed}
    settings: dict[str, Any] = (
        {"cap_add": list(spec.options.capabilities)} if spec.options.capabilities else {}
    )
    try:
        with contextlib.ExitStack() as stack:
            for words in spec.setup:
                before = _started(spec, [structure.filled(word, known) for word in words], env)
                subject = stack.enter_context(_after(subject, before, settings))
            words = tuple(structure.filled(word, known) for word in spec.words)
            more: dict[str, Any] = {"exit_code": spec.exit_code}
            wanted = _started(spec, words, env, stdout=spec.stdout, stderr=spec.stderr, **more)
            return _without(passed, run.carried_out(subject, wanted, **settings)[1])
    except RefusedError as refused:
        return _without(passed, Found((str(refused),)))


def _without(passed: Mapping[str, str], found: Found) -> Found:
    """Return what was found with the names of variables that were passed on, not their values."""

    def masked(text: str) -> str:
        for name, value in passed.items():
            text = text.replace(value, f"${{{name}}}") if len(value) >= _LEAST_HELD else text
        return text

    problems = tuple(map(masked, found.problems))
    return found._replace(
        problems=problems, stdout=masked(found.stdout), stderr=masked(found.stderr)
    )


def _started(spec: Command, words: Sequence[str], env: dict[str, str], **expected: Any) -> Run:
    return Run(
        entrypoint=[words[0]],
        args=list(words[1:]),
        env=env,
        user=spec.options.user or None,
        mounts=[Mount(source=s, target=t, readonly=ro) for s, t, ro in spec.options.mounts],
        network="default",
        timeout=_SECONDS,
        **expected,
    )


@contextlib.contextmanager
def _after(subject: Subject, spec: Run, settings: Mapping[str, Any]) -> Iterator[Subject]:
    """Run a command of ``setup``; give the subject with the image that it leaves.

    Raises:
        RefusedError: it cannot be run, or fails.

    """
    container.require_timeouts(subject)
    with container.created(subject, spec, **settings) as box:
        _, found = run.finished(box, spec)
        found = container.with_hint(subject, box, found)
        if found.problems:
            what = quoted(" ".join([*(spec.entrypoint or ()), *spec.args]))
            raise RefusedError(f"setup {what}: {'; '.join(found.problems)}")
        with subject.session.committed(box) as name:
            left = subject.image._replace(digest=name, repository="", parts={})
            yield subject._replace(image=left)
