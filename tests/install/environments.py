"""Environments of their own for installed wheels."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import Distribution, PathDistribution, distribution
from pathlib import Path
from zipfile import ZipFile

from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "examples" / "dlkit-rotation"
_LEFT_OUT = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "DLKIT_NO_PLUGINS", "DLKIT_HOME")


@dataclass(frozen=True)
class Environment:
    """A virtual environment and a folder to work in."""

    python: Path
    workplace: Path

    def run(self, program: str, *words: str | Path, code: int = 0, **variables: str) -> str:
        """Run one of the environment's programs; what it printed, where it ended with that exit code."""
        kept = {name: value for name, value in os.environ.items() if name not in _LEFT_OUT}
        own = {"PYTHONNOUSERSITE": "1", "DLKIT_HOME": str(self.workplace / "home"), "NO_COLOR": "1", "COLUMNS": "200"}
        done = subprocess.run(
            [self.python.parent / program, *words],
            cwd=self.workplace,
            env=kept | own | variables,
            capture_output=True,
            text=True,
        )
        assert done.returncode == code, f"{program} {words} gave {done.returncode}:\n{done.stdout}\n{done.stderr}"
        return done.stdout + done.stderr

    @property
    def site_packages(self) -> Path:
        """Where the environment's packages are."""
        (found,) = (self.python.parents[1] / "lib").glob("python*/site-packages")
        return found

    def dlkit(self, *words: str | Path, code: int = 0, **variables: str) -> str:
        return self.run("dlkit", *words, code=code, **variables)


def own_tests(package: Path, path: Path, workplace: Path, *words: str) -> str:
    """Run a package's tests here, where pytest is, with what is installed at ``path``; what pytest said."""
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-rs", "-p", "no:cacheprovider", *words, package / "tests"],
        cwd=workplace,
        env=os.environ | {"PYTHONPATH": str(path), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pip(*words: str | Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "pip", "--disable-pip-version-check", *words], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr


def build_wheel(project: Path, folder: Path) -> Path:
    """The project's wheel, by the build backend of the environment that runs the tests; no network."""
    pip("wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", folder, project)
    (wheel,) = folder.glob("*.whl")
    return wheel


def link_dependencies(wheel: Path, folder: Path) -> None:
    """Fill a folder with links to the packages that the wheel needs, as installed where the tests run."""
    with ZipFile(wheel) as archive:
        metadata = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        archive.extract(metadata, wheel.parent)
    itself = PathDistribution((wheel.parent / metadata).parent)
    for needed in _closure(itself, frozenset(), {"dlkit"}):
        for name in {file.parts[0] for file in needed.files or ()} - {"..", "__pycache__"}:
            link = folder / name
            if not link.exists():  # packages that share a namespace (nvidia) name it several times
                link.symlink_to(str(needed.locate_file(name)))


def _closure(package: Distribution, extras: frozenset[str], seen: set[str]) -> Iterator[Distribution]:
    for text in package.requires or ():
        need = Requirement(text)
        wanted = need.marker is None or any(need.marker.evaluate({"extra": extra}) for extra in extras | {""})
        key = need.name.lower().replace("_", "-") + "".join(sorted(need.extras))
        if wanted and key not in seen:
            seen.add(key)
            found = distribution(need.name)
            yield found
            yield from _closure(found, frozenset(need.extras), seen)


def make_environment(folder: Path, dependencies: Path, *wheels: Path) -> Environment:
    """A fresh environment that sees the dependencies and gets the wheels by pip."""
    venv.create(folder / "venv", with_pip=False, symlinks=True)
    python = folder / "venv" / "bin" / "python"
    (site_packages,) = (folder / "venv" / "lib").glob("python*/site-packages")
    (site_packages / "dependencies.pth").write_text(f"{dependencies}\n")
    # Without --no-deps: pip checks that all that the wheels need is there; it has nowhere to fetch it from.
    pip("--python", python, "install", "--quiet", "--no-index", *wheels)
    (folder / "workplace").mkdir()
    return Environment(python, folder / "workplace")
