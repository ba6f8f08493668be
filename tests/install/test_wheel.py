from __future__ import annotations

import json
from pathlib import Path
from zipfile import ZipFile

from environments import Environment

from dlkit import __version__

WHERE = """
import json
from importlib.metadata import entry_points
import dlkit, dlkit_builtin
found = [(e.name, e.dist.name, str(e.dist.locate_file(""))) for e in entry_points(group="dlkit.plugins")]
print(json.dumps([dlkit.__file__, dlkit_builtin.__file__, found]))
"""


def test_the_wheel_holds_everything_and_nothing_else(wheel: Path, sources: set[str]) -> None:
    names = set(ZipFile(wheel).namelist())
    packaged = {name for name in names if ".dist-info/" not in name}
    assert packaged == sources
    assert {"dlkit/py.typed", "dlkit_builtin/py.typed", "dlkit/report/templates/report.html.j2"} <= packaged
    assert any(name.endswith(".dist-info/licenses/LICENSE") for name in names)


def test_dlkit_comes_from_the_wheel(installed: Environment) -> None:
    home = str(installed.python.parents[1])
    core, builtin, plugins = json.loads(installed.run("python", "-c", WHERE))
    assert core.startswith(home)
    assert builtin.startswith(home)
    assert plugins
    assert len({name for name, *_ in plugins}) == len(plugins)
    assert all(name == "dlkit" and place.startswith(home) for _, name, place in plugins)


def test_the_main_command_works_far_from_the_checkout(installed: Environment) -> None:
    assert __version__ in installed.dlkit("--version")
    assert "autoencoder" in installed.dlkit("list")
    assert "PSNR" in installed.dlkit("train", "autoencoder", "--denoise", "--epochs", "1", "--quiet")
    run = installed.workplace / "runs" / "autoencoder" / "digits-001"
    written = {path.name for path in run.iterdir()}
    assert {"config.toml", "data.json", "environment.json", "status.json", "metrics.jsonl", "checkpoints"} <= written
    assert {"model.safetensors", "model.json", "evaluation.json", "plots", "report.html", "log.txt"} <= written
    assert json.loads((run / "status.json").read_text())["status"] == "finished"
    (session,) = json.loads((run / "environment.json").read_text())
    assert (session["dlkit"], session["plugin"]) == (__version__, {"distribution": "dlkit", "version": __version__})
    report = (run / "report.html").read_text()
    assert "PSNR" in report
    assert "data:image/png;base64," in report
