"""The fixtures ``image`` and ``cell``, and the marker ``cells``, which gives a test each cell."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

# Loaded by every pytest where the package is installed: nothing heavy up here.
if TYPE_CHECKING:
    from collections.abc import Callable

    from buildx_tasks.pytest.image import Image
    from buildx_tasks.pytest.images import Images

FOLDER = "buildx_tasks_folder"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare where the project is."""
    parser.addini(FOLDER, "Folder of buildx.toml, from the rootdir on; also looked for above it")


def pytest_configure(config: pytest.Config) -> None:
    """Declare the marker."""
    config.addinivalue_line(
        "markers",
        "cells(*targets, platforms=()): run the test with each cell of these targets, groups or globs "
        'of buildx.toml (none: what is built by default) as the argument "cell"',
    )


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a marked test each of its cells."""
    marker = metafunc.definition.get_closest_marker("cells")
    if marker is None:
        return
    from buildx_tasks.pytest.failing import said_plainly

    with said_plainly(trace=False):
        cells = _images(metafunc.config).cells(*marker.args, **marker.kwargs)
    if "cell" not in metafunc.fixturenames:
        pytest.fail(
            f'{metafunc.function.__name__} is marked with cells, and has no argument "cell": add it',
            pytrace=False,
        )
    metafunc.parametrize("cell", cells, ids=list(map(str, cells)), indirect=True)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Remove all that was made on the engine."""
    images = config.__dict__.pop("_buildx_tasks_images", None)
    if images is not None:
        images.close()


@pytest.fixture(scope="session")
def image(pytestconfig: pytest.Config) -> Callable[..., Image]:
    """Return the image of a target on a platform: ``image("app", "linux/arm64")``."""

    def of(target: str, platform: str = "") -> Image:
        __tracebackhide__ = True
        from buildx_tasks.pytest.failing import said_plainly

        with said_plainly():
            return _images(pytestconfig).image(target, platform)

    return of


@pytest.fixture(scope="session")
def cell(request: pytest.FixtureRequest, image: Callable[..., Image]) -> Image:
    """Return the image of the cell that the test is run with."""
    found: Any = getattr(request, "param", None)
    if found is None:
        pytest.fail(
            'mark the test with its targets, as in @pytest.mark.cells("app")', pytrace=False
        )
    return image(found.target, str(found.platform))


def _images(config: pytest.Config) -> Images:
    from buildx_tasks.pytest.images import Images

    known = config.__dict__
    if "_buildx_tasks_images" not in known:
        known["_buildx_tasks_images"] = Images(config.rootpath / config.getini(FOLDER))
    found: Images = known["_buildx_tasks_images"]
    return found
