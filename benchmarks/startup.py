"""Start-up of an installed dlkit beside `python -c "import click, rich.console, pluggy"`, in paired runs.

    python benchmarks/startup.py [--runs 20]

Builds the wheel, installs it with its bytecode into a scratch environment that borrows this one's dependencies,
and prints the ratio of the medians of whole-process times; the bound is 2.0. Exits with 1 beyond it.
"""

from __future__ import annotations

import argparse
import compileall
import os
import site
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path

BASE = ["-c", "import click, rich.console, pluggy"]
COMMANDS = {
    "dlkit --help": ["--help"],
    "dlkit list": ["list"],
    "dlkit train autoencoder --help": ["train", "autoencoder", "--help"],
}
BOUND = 2.0


def install(scratch: Path) -> Path:
    """A virtual environment in `scratch` with dlkit's wheel; returns its `python`."""
    root = Path(__file__).parent.parent
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(scratch / "wheel")],
        cwd=root, check=True, capture_output=True,
    )  # fmt: skip
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(scratch / "env")], check=True)
    packages = next((scratch / "env" / "lib").glob("python*/site-packages"))
    [wheel] = (scratch / "wheel").glob("*.whl")
    zipfile.ZipFile(wheel).extractall(packages)
    for package in ("dlkit", "dlkit_builtin"):
        compileall.compile_dir(packages / package, quiet=2)
    # The dependencies by path only: an editable dlkit's .pth files there are not read, and ours comes first.
    (packages / "dependencies.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    script = scratch / "env" / "bin" / "dlkit"
    script.write_text("import sys\nfrom dlkit.cli.main import main\nif __name__ == '__main__':\n    sys.exit(main())\n")
    return scratch / "env" / "bin" / "python"


def seconds(command: list[str], cwd: Path) -> float:
    """Wall time of a process that must succeed."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    start = time.perf_counter()
    subprocess.run(command, cwd=cwd, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - start


def main() -> int:
    """Measure and print; 1 where a ratio is beyond the bound."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=20)
    runs = parser.parse_args().runs
    with tempfile.TemporaryDirectory() as folder:
        scratch = Path(folder)
        python = str(install(scratch))
        script = str(scratch / "env" / "bin" / "dlkit")
        commands = {"base": [python, *BASE]} | {name: [python, script, *words] for name, words in COMMANDS.items()}
        times: dict[str, list[float]] = {name: [] for name in commands}
        for run in range(runs + 1):
            for name, command in commands.items():
                elapsed = seconds(command, scratch)
                if run:  # the first round warms the file cache
                    times[name].append(elapsed)
    worst = 0.0
    print(f"{'base: ' + BASE[1]:50} {statistics.median(times['base']) * 1000:6.1f} ms")
    for name in COMMANDS:
        ratio = statistics.median(own / base for own, base in zip(times[name], times["base"], strict=True))
        worst = max(worst, ratio)
        print(f"{name:50} {statistics.median(times[name]) * 1000:6.1f} ms   {ratio:.2f} x")
    print(f"bound {BOUND} x: {'kept' if worst <= BOUND else 'EXCEEDED'}")
    return int(worst > BOUND)


if __name__ == "__main__":
    sys.exit(main())
