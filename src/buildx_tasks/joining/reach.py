"""What refers to what in a repository, and what is kept, in; what nothing kept can reach, out. No I/O."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence


class Node(NamedTuple):
    """One manifest: what it lists (``below``), and what it is about (``subject``, or ``""``)."""

    below: tuple[str, ...] = ()
    subject: str = ""


def removable(nodes: Mapping[str, Node], kept: Iterable[str], stale: Iterable[str]) -> list[str]:
    """Return what may go of stale trees, each before what it lists.

    What is kept reaches what it lists, what it is about, and what is about it: signatures and other
    statements. What is about something that goes, goes with it, and before it. Digests that ``nodes``
    does not know list nothing.
    """
    about: dict[str, list[str]] = {}
    for digest, node in nodes.items():
        if node.subject:
            about.setdefault(node.subject, []).append(digest)
    reached: set[str] = set()
    waiting = list(kept)
    while waiting:
        digest = waiting.pop()
        if digest in reached:
            continue
        reached.add(digest)
        node = nodes.get(digest, Node())
        waiting += [*node.below, *about.get(digest, ()), *([node.subject] if node.subject else [])]
    return [digest for digest in _with_statements(nodes, stale, about) if digest not in reached]


def _with_statements(
    nodes: Mapping[str, Node], stale: Iterable[str], about: Mapping[str, Sequence[str]]
) -> list[str]:
    """Return stale trees behind all that is about any of them, or about that."""
    listed, more = _downwards(nodes, stale), [""]
    while more:
        known = set(listed)
        more = [one for digest in listed for one in about.get(digest, ()) if one not in known]
        listed = _downwards(nodes, [*listed, *more])
    return listed


def _downwards(nodes: Mapping[str, Node], roots: Iterable[str]) -> list[str]:
    """Return the trees of roots, each manifest before all that it lists."""
    done: dict[str, None] = {}  # what is listed comes before what lists it

    def visit(root: str) -> None:
        trail = [(root, iter(nodes.get(root, Node()).below))]
        seen = {root}
        while trail:
            digest, rest = trail[-1]
            following = next((one for one in rest if one not in done and one not in seen), None)
            if following is None:
                done[digest] = None
                trail.pop()
            else:
                seen.add(following)
                trail.append((following, iter(nodes.get(following, Node()).below)))

    for root in roots:
        if root not in done:
            visit(root)
    return list(done)[::-1]
