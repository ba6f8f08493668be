"""Checks of data sets, backbones, export formats and loggers."""

from __future__ import annotations

import json
from typing import Any, cast

import pluggy
import torch

from dlkit import hookspecs
from dlkit.backbones import BackboneOptions, build_backbone, image_form
from dlkit.data import ImageData, load_data
from dlkit.data.names import DatasetCard
from dlkit.discovery import BUILT_IN, registry
from dlkit.export import export_run
from dlkit.export.formats import ExportFormat
from dlkit.files import cache_home
from dlkit.options import DataOptions
from dlkit.run import Run
from dlkit.testing.bench import Bench, Silent, apart, bench
from dlkit.testing.items import NotApplicable
from dlkit.testing.subjects import Subject, all_subjects
from dlkit.testing.watch import watching

_MODEL = "classifier"
"""The technique of dlkit's own that export formats and loggers are tried out with, where it is there."""


def dataset_loads(subject: Subject) -> None:
    """Images, labels and classes that fit together."""
    data = _loaded(subject)
    assert len(data.train), "there are no images to train on"
    for split in data.splits:
        labels = split.labels
        if labels is not None and len(labels):
            assert int(labels.max()) < len(data.spec.classes), (
                f"{split.name}: the label {int(labels.max())} is beyond the {len(data.spec.classes)} classes"
            )
    images = data.train.raw(torch.arange(min(16, len(data.train))))
    assert images.float().std() > 0, "the first images are all one colour"


def dataset_repeats(subject: Subject) -> None:
    """Loaded again it is the same data, so that runs on it can be resumed."""
    first, second = (_loaded(subject).spec.fingerprint for _ in range(2))
    assert first == second, "loaded again it has another fingerprint: same order, same pixels, same labels each time"


def _loaded(subject: Subject) -> ImageData:
    card: DatasetCard = subject.card
    folder = cache_home() / "data"
    lacking = [each.path for each in card.downloads if not (folder / (each.unpacked or each.path)).exists()]
    if lacking:
        raise NotApplicable(
            f"its files are not on this machine ({', '.join(lacking)}); `dlkit data {card.name}` fetches"
        )
    return load_data(DataOptions(data=card.name), progress=Silent())


def backbone_builds(subject: Subject) -> None:
    """Features of the right form, finite, the same each time, through which gradients flow."""
    options = BackboneOptions(backbone=subject.name, random_init=not subject.card.pretrained)
    form = image_form(options)
    torch.manual_seed(0)
    network = build_backbone(options).eval()
    images = torch.rand(2, form.channels, form.height, form.width)
    features = network(images)
    assert features.shape == (2, network.size), f"features are {tuple(features.shape)}, not (2, {network.size})"
    assert features.isfinite().all(), "features are not finite"
    assert torch.equal(features, network(images)), "in eval mode it gives other features each time"
    features.sum().backward()
    assert any(each.grad is not None for each in network.parameters()), "no gradient reaches its parameters"


def backbone_has_stages(subject: Subject) -> None:
    """There is something to tap beside the top, and the top is called that."""
    options = BackboneOptions(backbone=subject.name, random_init=not subject.card.pretrained)
    stages = [stage.name for stage in build_backbone(options).stages]
    assert stages, "it has no stages"
    assert stages[-1] == "top", f"its stages are {', '.join(stages)}; the last should be 'top'"


def format_equals(subject: Subject) -> None:
    """A model is written, reloaded, and compared with the original on real images, in several batch sizes."""
    own = _model()
    card: ExportFormat = subject.card
    with apart(own.folder):
        target = own.folder / "work" / f"{subject.name.replace('/', '-')}{card.suffix}"
        report = export_run(own.trained.run, subject.name, target)
        assert report.path.is_file(), f"{card.implementation}.write() left no file"
        assert report.path.stat().st_size > 0, f"{card.implementation}.write() left an empty file"


def hooks_work(subject: Subject) -> None:
    """The hooks are called around a training's events, and write nothing outside the run's directory."""
    own = _model()
    manager = pluggy.PluginManager("dlkit")
    manager.add_hookspecs(hookspecs)
    manager.register(subject.plugin.module)
    with apart(own.folder):
        run = own.trained.run
        before = (run.path / "config.toml").read_bytes()
        with watching([run.path, own.folder / "home"], apart_from=own.folder) as seen:
            _tell(manager, run)
        assert not seen.writes, f"it writes outside the run: {', '.join(sorted(seen.writes)[:5])}"
        assert (run.path / "config.toml").read_bytes() == before, "it changes the run's config.toml"
        assert run.metrics(), "it spoils the run's metrics.jsonl"


def _tell(manager: pluggy.PluginManager, run: Run) -> None:
    hook = cast(Any, manager.hook)
    for _ in range(2):  # a start and a resume
        hook.dlkit_run_started(run=run)
        for row in run.metrics():
            hook.dlkit_epoch_ended(run=run, phase=str(row["phase"]), metrics=json.loads(json.dumps(row)))
    hook.dlkit_run_ended(run=run)


def _model() -> Bench:
    """The bench of a technique that dlkit ships."""
    shipped = [each for each in all_subjects() if each.kind == "technique" and each.plugin.distribution == BUILT_IN]
    if not shipped:
        raise NotApplicable(f"dlkit ships no technique ({len(registry().techniques)} are installed)")
    return bench(next((each for each in shipped if each.name == _MODEL), shipped[0]))
