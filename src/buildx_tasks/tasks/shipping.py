"""What publishes images: push."""

from __future__ import annotations

from typing import TYPE_CHECKING

from invoke import task

from buildx_tasks.tasks.project import INPUT, SELECTION, load, plainly

if TYPE_CHECKING:
    from invoke import Context


@task(iterable=["target", "overlay", "set_"], help={"target": SELECTION["target"], **INPUT})
@plainly
def push(c: Context, target: list[str], overlay: list[str], set_: list[str]) -> None:
    """Push the selected targets' tags, and read back what the registry then holds."""
    from buildx_tasks import push as pushing
    from buildx_tasks.errors import UsageError

    project = load(overlay, set_)
    plan = project.plan(target)
    targets = plan.images if not target else plan.targets
    if not targets:
        raise UsageError("nothing selected leaves an image to push; select another target with -t")

    def show(item: pushing.Pushed) -> None:
        print(f"{item.tag}@{item.image.digest}", flush=True)
        for platform, digest in item.image.manifests.items():
            print(f"  {platform!s:<15} {digest}", flush=True)

    pushing.push(c, targets, project.root, show)
