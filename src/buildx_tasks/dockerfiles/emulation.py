"""``EmulatedCompile`` and ``EmulatedRun``: what a build of several platforms runs under emulation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from buildx_tasks.dockerfiles import asking, compiling
from buildx_tasks.dockerfiles.view import chain_of, image_of, languages

if TYPE_CHECKING:
    from collections.abc import Iterator

    from buildx_tasks.dockerfiles.compiling import Language
    from buildx_tasks.dockerfiles.findings import Finding
    from buildx_tasks.dockerfiles.stages import Stage
    from buildx_tasks.dockerfiles.view import View
    from buildx_tasks.platforms import Native


def emulated(view: View, native: Native) -> Iterator[Finding]:
    """Yield a finding for each ``RUN`` under emulation; no emulator runs Windows, or wasm."""
    for platform, needed in view.needed.items():
        image = {one.stage.number for one in image_of(view, platform)}
        for one in needed:
            if one.platform is None or one.platform.os != "linux" or native(one.platform):
                continue
            chain = chain_of(view.placed[platform], one.stage.number)
            root = chain[-1].stage
            asked = [
                c.run for _, c in asking.compiled_in(chain, view.build.args) if c.asks == "target"
            ]
            where = "" if one.platform == platform else f" on {one.platform}"
            for run, language in languages(view, platform, one.stage):
                what = f"compiles {language.name}" if language else "runs"
                in_image = one.stage.number in image
                if language and run in asked:  # it is told the target already
                    language = language._replace(cross="")  # noqa: PLW2901
                found = view.finding(
                    "EmulatedCompile" if language else "EmulatedRun",
                    one.stage,
                    run.line,
                    f"stage {one.stage.label} {what} under emulation{where}",
                    _natively(root, language, in_image=in_image),
                    platform=platform,
                )
                # What has to run in the image itself, as a package manager, cannot be moved.
                yield found._replace(level="note") if in_image and not language else found


def _natively(root: Stage, language: Language | None, *, in_image: bool) -> str:
    """Return what to write instead of an emulated ``RUN``.

    Pinning a stage of the image itself would give it the build machine's base.
    """
    name = root.name if root.name and not in_image else "build"
    pinned = f"FROM --platform=$BUILDPLATFORM {root.base} AS {name}"
    if language and in_image:
        cross = f"{language.cross}; " if language.cross else ""
        return f"compile in a stage of its own, {pinned}; {cross}then COPY --from={name} the result"
    if language is compiling.WHEELS:
        return (
            f"wheels of pure Python: write {pinned} in line {root.line}; others need a node that runs "
            "the platform natively"
        )
    if language:
        cross = f"; {language.cross}" if language.cross else ""
        return f"write {pinned} in line {root.line}{cross}"
    if not in_image:
        return (
            f"where its result is the same for every platform, write {pinned} in line {root.line}; "
            "else build on a node that runs the platform natively, or ignore EmulatedRun"
        )
    return (
        "make files in a stage FROM --platform=$BUILDPLATFORM and COPY --from it, pick them with "
        "$TARGETARCH in COPY; what has to run here, as a package manager, needs a node that runs "
        "the platform natively, or ignore EmulatedRun"
    )
