"""``TargetPlatformUnused`` and ``FinalStagePinned``: one machine's programs in the images of several."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.dockerfiles import architectures, asking, compiling
from buildx_tasks.dockerfiles.view import chain_of, image_of, offered, stage_text

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from buildx_tasks.dockerfiles.asking import Compiled
    from buildx_tasks.dockerfiles.findings import Finding
    from buildx_tasks.dockerfiles.stages import Placed, Stage
    from buildx_tasks.dockerfiles.view import View
    from buildx_tasks.platforms import Platform

_FILES = frozenset({"cacheonly", "local", "tar"})  # outputs that are no image


def pinned(view: View) -> Iterator[Finding]:
    """Find images of several platforms that all are of one machine."""
    build = view.build
    if (view.outputs and view.outputs <= _FILES) or build.attributes.get(
        "call", "build"
    ) != "build":
        return
    chains = {platform: image_of(view, platform) for platform in view.placed}
    on = {chain[0].platform for chain in chains.values()}
    if len(chains) < 2 or len(on) > 1 or None in on:
        return
    chain = next(iter(chains.values()))
    final, root = chain[0].stage, chain[-1].stage
    if final.name in build.contexts or root.name in build.contexts:
        return  # what stands there instead is not known
    if final is root or final.number == root.number:
        name, start = root.base, ""
        fix = (
            f"leave --platform out: FROM {name} in line {root.line}; what compiles belongs in an "
            "earlier stage that has it, with COPY --from the result"
        )
    else:
        name = root.name or str(root.number)
        start = f" as stage {root.label} in line {root.line} does"
        fix = (
            f"start stage {final.label} from an image without --platform, and COPY --from={name} the "
            "result"
        )
    (platform,) = on
    yield view.finding(
        "FinalStagePinned",
        final,
        final.line,
        f"stage {final.label}, the image, runs on {platform} for every platform{start}: the images "
        f"for {view.names} all have its programs",
        fix,
    )


def same(view: View, machine: Platform | None) -> Iterator[Finding]:
    """Find stages that compile for one platform what lands in the images of others."""
    seen: set[int] = set()
    for platform, placed in view.placed.items():
        for index in offered(view, platform):
            chain = chain_of(placed, index)
            compiled = list(asking.compiled_in(chain, view.build.args))
            if any(its.asks == "target" for _, its in compiled):
                continue  # what else it compiles may be tools
            text = "\n".join(stage_text(one.stage) for one in chain)
            named = set(architectures.in_text(" ".join((text, *view.build.args.values()))))
            for one, its in compiled:
                if its.asks != "undeclared" and platform.architecture in named:
                    continue
                if one.platform is None or one.stage.number in seen:
                    continue
                told = its.asks in {"fixed", "machine"}
                here, host = one.platform.architecture, (machine or one.platform).architecture
                if told and not its.is_foreign(here, host, platform.architecture):
                    continue
                if (not told and one.platform == platform) or its.asks == "elsewhere":
                    continue
                if _is_tool(its, chain, placed):
                    continue
                seen.add(one.stage.number)
                yield _finding(view, one, its)


def _is_tool(its: Compiled, chain: Sequence[Placed], placed: Sequence[Placed]) -> bool:
    """Say whether it installs a tool to work on the sources with, which no stage copies from there."""
    name = compiling.tool(its.run)
    own = [instruction for one in chain for instruction in one.stage.instructions]
    if not name or not any(one.keyword in {"ADD", "COPY"} for one in own):
        return False
    copies = [
        one.arguments
        for other in placed
        for one in other.stage.instructions
        if one.keyword == "COPY" and other.stage.number != chain[0].stage.number
    ]
    return not any(f"/{name} " in text or "/bin/ " in text for text in copies)


def _finding(view: View, one: Placed, its: Compiled) -> Finding:
    stage = one.stage
    on = f"on {one.platform} "
    if its.asks == "fixed":
        on = f"for {its.architecture} "
    elif its.word.startswith("$BUILD"):
        on = ""
    why, fix = _unasked(view, stage, its)
    return view.finding(
        "TargetPlatformUnused",
        stage,
        its.run.line,
        f"stage {stage.label} compiles {its.language.name} {on}{why}: one binary lands in the images "
        f"for {view.names}",
        fix,
    )


def _unasked(view: View, stage: Stage, its: Compiled) -> tuple[str, str]:
    """Return in which way a compiler does not get the target, and what to write."""
    outside = sorted(view.arguments)
    if its.asks in {"fixed", "machine"}:
        return _told(view, stage, its)
    if its.asks == "undeclared":
        before = f"ARG {its.word} stands before the first FROM only"
        return (
            f"with ${its.word}, which is empty there, as "
            + (before if its.word in outside else f"the stage has no ARG {its.word}"),
            f"write ARG {its.word} in stage {stage.label}, before line {its.run.line}",
        )
    if its.asks == "unread":
        return f"although it declares the target, as {its.language.reads}", its.language.unread
    if outside:
        before = f"ARG {' '.join(outside)} stands before the first FROM only"
        return f"without the target, as {before}, where no stage sees it", its.language.cross
    if (compiling.compiling_command(its.run) or ("",))[0].rpartition("/")[2].startswith("xx-"):
        fix = f"declare ARG TARGETPLATFORM in stage {stage.label}, before line {its.run.line}"
        return "and never asks for the target", fix
    return "and never asks for the target", its.language.cross


def _told(view: View, stage: Stage, its: Compiled) -> tuple[str, str]:
    """Return which architecture a compiler is told, and what to write: not what is there already."""
    how, _, word = its.word.partition(" ")
    name = word.partition("=")[0]
    if how == "args":
        fix = f"take {name} out of args in [target.{view.build.target}]: BuildKit gives it"
        return f"as args has {word}", fix
    if how == "value":
        fix = f"write ARG {name} in stage {stage.label}, without a value: BuildKit gives it"
        return f"as ARG {word} overrides what BuildKit gives", fix
    if its.word.startswith("$BUILD"):
        right = f"$TARGET{its.word[len('$BUILD') :]}"
        fix = f"write {right} instead, with ARG {right[1:]} in the stage"
        return f"for the build machine, by {its.word}", fix
    if its.asks == "machine":
        fix = "write $TARGETARCH instead, with ARG TARGETARCH in the stage"
        return f"by {its.word}, which is the build machine's", fix
    return f"whatever the target, by {its.word}", its.language.cross
