"""dlkit as its users get it: a wheel, installed into environments of their own, far from the checkout.

PyTorch is 6 GB, so nothing is installed twice: the new environments share the packages of the one that runs the
tests, but only those that dlkit's wheel declares (with what these declare in turn), and never dlkit itself.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from environments import EXAMPLE, ROOT, Environment, build_wheel, link_dependencies, make_environment

Factory = pytest.TempPathFactory


@pytest.fixture(scope="session")
def sources() -> set[str]:
    """The files of the packages in the checkout, as they were when the wheel was built."""
    return {
        path.relative_to(base).as_posix()
        for base, package in ((ROOT, "dlkit"), (ROOT / "plugins", "dlkit_builtin"))
        for path in (base / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


@pytest.fixture(scope="session")
def wheel(sources: set[str], tmp_path_factory: Factory) -> Path:
    """dlkit's wheel."""
    return build_wheel(ROOT, tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def dependencies(wheel: Path, tmp_path_factory: Factory) -> Path:
    """A folder with what dlkit needs, without dlkit."""
    folder = tmp_path_factory.mktemp("dependencies")
    link_dependencies(wheel, folder)
    return folder


@pytest.fixture(scope="session")
def installed(wheel: Path, dependencies: Path, tmp_path_factory: Factory) -> Environment:
    """An environment with dlkit alone."""
    return make_environment(tmp_path_factory.mktemp("dlkit"), dependencies, wheel)


@pytest.fixture(scope="session")
def with_example(wheel: Path, dependencies: Path, tmp_path_factory: Factory) -> Environment:
    """An environment with dlkit and the example plugin."""
    example = build_wheel(EXAMPLE, tmp_path_factory.mktemp("example"))
    return make_environment(tmp_path_factory.mktemp("dlkit-and-example"), dependencies, wheel, example)
