"""Where runs lie: numbers, names, `latest`, finding them again."""

from __future__ import annotations

import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from dlkit.data.spec import DataSpec
from dlkit.discovery import registry
from dlkit.errors import DlkitError, UsageError
from dlkit.run import Run, open_run
from dlkit.run.directory import create_directory, find_run, is_run, list_runs, safe_name
from dlkit.settings import resolve

SPEC = DataSpec(source="/x/tiny.npz", name="tiny", channels=1, height=4, width=4, counts={"train": 3})


def create(root: Path, **flags: object) -> Run:
    card = registry().technique("autoencoder")
    return Run.create(resolve(card, flags={"runs": str(root), **flags}), SPEC)


def test_a_new_run_holds_its_config_and_spec(tmp_path: Path) -> None:
    run = create(tmp_path / "runs", code=7, denoise="mask:0.123456789")
    assert run.path == tmp_path / "runs" / "autoencoder" / "tiny-001"
    again = open_run("latest", tmp_path / "runs")
    assert (again.path, again.spec, again.settings) == (run.path, SPEC, run.settings)
    assert again.settings.options.code == 7
    assert str(again.settings.options.denoise) == "mask:0.123456789"
    assert (again.name, again.technique, again.status, again.environments, again.metrics()) == (
        "tiny-001", "autoencoder", {}, [], [],
    )  # fmt: skip
    assert (tmp_path / "runs" / "latest").readlink() == Path("autoencoder/tiny-001")  # survives moving the whole tree


def test_numbers_go_on_after_the_largest_and_leave_others_alone(tmp_path: Path) -> None:
    for name in ("tiny-002", "tiny-041", "tiny-x", "tiny-2-900", "other-77", "tiny-1000"):
        (tmp_path / "autoencoder" / name).mkdir(parents=True)
    before = sorted(tmp_path.rglob("*"))
    assert create_directory(tmp_path, "autoencoder", "tiny").name == "tiny-1001"
    assert create_directory(tmp_path, "autoencoder", "tiny-2").name == "tiny-2-901"
    assert create_directory(tmp_path, "autoencoder", "new").name == "new-001"
    assert set(before) < set(tmp_path.rglob("*"))


def make_some(arguments: tuple[str, int]) -> list[str]:
    root, count = arguments
    return [str(create_directory(Path(root), "autoencoder", "tiny")) for _ in range(count)]


def test_eight_processes_never_get_the_same_directory(tmp_path: Path) -> None:
    with multiprocessing.get_context("fork").Pool(8) as pool:
        made = [path for paths in pool.map(make_some, [(str(tmp_path), 10)] * 8, chunksize=1) for path in paths]
    assert len(set(made)) == 80
    assert sorted(Path(path).name for path in made) == [f"tiny-{number:03d}" for number in range(1, 81)]


def test_eight_threads_never_get_the_same_run(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        runs = [job.result() for job in [pool.submit(create, tmp_path) for _ in range(40)]]
    assert len({run.path for run in runs}) == 40
    assert (tmp_path / "latest").resolve() in {run.path for run in runs}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["autoencoder", "latest"]


@pytest.mark.parametrize("name", ["", "a/b", "..", ".hidden", "-x", "a b", "a\n", "ü", "x" * 81, "a\0"])
def test_names_that_no_directory_should_have_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(UsageError, match="cannot be a directory's name"):
        create_directory(tmp_path, "autoencoder", name)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("text", "name"),
    [("digits", "digits"), ("my data (2)", "my-data-2"), ("../..", "run"), ("данные", "run"), ("", "run"),
     ("-x-", "x"), ("a" * 200, "a" * 80), ("a.b_c-d", "a.b_c-d")],
)  # fmt: skip
def test_a_name_is_made_from_any_text(tmp_path: Path, text: str, name: str) -> None:
    assert safe_name(text) == name
    create_directory(tmp_path, "t", name)


def test_a_root_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(DlkitError, match="Cannot make a run under"):
        create(tmp_path / "file")
    with pytest.raises(UsageError, match="~nobody-of-that-name"):
        create(Path("~nobody-of-that-name/runs"))
    (tmp_path / "runs" / "latest").mkdir(parents=True)  # somebody's own folder
    with pytest.raises(DlkitError, match="latest"):
        create(tmp_path / "runs")
    assert (tmp_path / "runs" / "latest").is_dir()


def test_a_technique_folder_may_lie_on_another_disk(tmp_path: Path) -> None:
    (tmp_path / "runs").mkdir()
    (tmp_path / "disk").mkdir()
    (tmp_path / "runs" / "autoencoder").symlink_to(tmp_path / "disk")
    run = create(tmp_path / "runs")
    assert run.path == tmp_path / "disk" / "tiny-001"
    assert open_run("latest", tmp_path / "runs").path == run.path
    assert open_run("tiny-001", tmp_path / "runs").path == run.path


def test_a_run_is_found_by_path_name_and_latest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "runs"
    first, second = create(root), create(root)
    monkeypatch.chdir(tmp_path)
    for reference in ("tiny-001", "autoencoder/tiny-001", "runs/autoencoder/tiny-001", str(first.path)):
        assert find_run(reference, root) == first.path
    assert find_run("latest", root) == second.path
    assert find_run("runs/latest", Path("elsewhere")) == second.path
    assert list_runs(root) == [first.path, second.path]


def test_resuming_an_old_run_does_not_make_it_the_newest(tmp_path: Path) -> None:
    first = create(tmp_path)
    time.sleep(0.02)
    second = create(tmp_path)
    time.sleep(0.02)
    first.write_settings(first.settings)
    assert list_runs(tmp_path) == [first.path, second.path]


@pytest.mark.parametrize(
    "reference", ["nope", "", "/", "~nobody-of-that-name/x", "x" * 5000, "a\0b", "..", "latest", "tiny-001/config.toml"]
)
def test_what_is_no_run_is_a_usage_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, reference: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"No run .*: neither a run's directory, nor a name"):
        find_run(reference, tmp_path / "runs")


def test_errors_list_what_there_is(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="There are no runs under"):
        find_run("nope", tmp_path)
    create(tmp_path)
    with pytest.raises(UsageError, match="The newest are tiny-001"):
        find_run("nope", tmp_path)
    create_directory(tmp_path, "gan", "tiny")
    for file in ("config.toml", "data.json"):
        (tmp_path / "gan" / "tiny-001" / file).write_bytes((tmp_path / "autoencoder" / "tiny-001" / file).read_bytes())
    with pytest.raises(UsageError, match="Several runs are named 'tiny-001': autoencoder/tiny-001, gan/tiny-001"):
        find_run("tiny-001", tmp_path)
    assert find_run("gan/tiny-001", tmp_path).parent.name == "gan"


def test_somebodys_project_with_a_config_is_no_run(tmp_path: Path) -> None:
    """`dlkit runs remove .` must not offer to remove it."""
    (tmp_path / "config.toml").write_text('title = "my site"\n')
    assert not is_run(tmp_path)
    with pytest.raises(UsageError):
        find_run(str(tmp_path), tmp_path)


def test_a_run_half_made_by_a_killed_process_is_not_listed(tmp_path: Path) -> None:
    create_directory(tmp_path, "autoencoder", "tiny")
    (tmp_path / "autoencoder" / "tiny-001" / "data.json").write_text("{}")
    assert list_runs(tmp_path) == []
    assert create(tmp_path).name == "tiny-002"


@pytest.mark.parametrize("target", [None, "/", "../else/where", "release-7"])
def test_what_is_called_latest_and_is_not_ours_stays(tmp_path: Path, target: str | None) -> None:
    """A config may name any folder for its runs; a file of that name was replaced, and so was a link."""
    link = tmp_path / "latest"
    link.write_text("mine") if target is None else link.symlink_to(target)
    with pytest.raises(DlkitError, match="is not dlkit's"):
        create(tmp_path)
    assert link.read_text() == "mine" if target is None else str(link.readlink()) == target


def test_a_dangling_latest_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to("autoencoder/gone-001")
    with pytest.raises(UsageError, match="'latest'"):
        find_run("latest", tmp_path)
    assert create(tmp_path).path == (tmp_path / "latest").resolve()


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_folder_that_may_not_be_read_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "secret").mkdir(mode=0)
    with pytest.raises(UsageError):
        find_run(str(tmp_path / "secret"), tmp_path)
