"""Fine-tuning against a plain PyTorch loop, formulas, and what must not change."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from dlkit_builtin.transfer import finetune as module
from dlkit_builtin.transfer.finetune import STRATEGIES, finetune, phases, steps, train_strategy
from dlkit_builtin.transfer.finetune_options import FinetuneOptions
from dlkit_builtin.transfer.freezing import BatchNorm
from dlkit_builtin.transfer.levels import Finetuning, levels
from dlkit_builtin.transfer.network import Network
from dlkit_builtin.transfer.options import TransferOptions
from dlkit_builtin.transfer.scratch import scratch_backbone, training_options
from finetune_fakes import FakeRun, data, network, options, runtime, snapshot
from torch import Tensor, nn
from torch.nn import functional as F

from dlkit.errors import UsageError
from dlkit.options.values import Duration, Schedule

SHAPE = (3, 32, 32)


def train(path: Path, plan: Finetuning, net: Network, opts: FinetuneOptions, val: int = 0) -> FakeRun:
    run, time = FakeRun(path), runtime()
    finetune(time.prepare(net), plan, data(val=val), time, run, opts)
    return run


def plain_loop(net: Network, trained: list[str], opts: FinetuneOptions, statistics: bool) -> None:
    """What a tutorial would write: parameters by the beginnings of their names, SGD, one rate."""
    time, train_split = runtime(), data().train
    time.prepare(net).eval()
    for name, parameter in net.named_parameters():
        parameter.requires_grad_(name.startswith(tuple(trained)))
    for name, part in net.named_modules():
        part.training = name.startswith(tuple(trained)) and (statistics or not isinstance(part, BatchNorm))
    optimizer = torch.optim.SGD([p for p in net.parameters() if p.requires_grad], opts.lr, momentum=0.9, fused=True)
    for epoch in range(opts.epochs):
        generator = time.generator("permutation", "finetune", epoch)
        order = torch.randperm(len(train_split), generator=generator)
        for indices in order.split(opts.batch_size):
            optimizer.zero_grad()
            logits = net(train_split.pixels(indices))
            F.cross_entropy(logits, train_split.labels[indices]).backward()  # type: ignore[index]
            optimizer.step()
    net.eval()


@pytest.mark.parametrize(
    ("plan", "trained", "statistics"),
    [
        (Finetuning.all(), ["head", "backbone.network"], "train"),
        (Finetuning.all(), ["head", "backbone.network"], "frozen"),
        (Finetuning.top(), ["head", "backbone.network.layer4"], "train"),
        (Finetuning.top("layer3"), ["head", "backbone.network.layer3", "backbone.network.layer4"], "frozen"),
        (Finetuning.head_only(), ["head"], "frozen"),
    ],
)
def test_equals_a_plain_loop(
    tmp_path: Path, plan: Finetuning, trained: list[str], statistics: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module.Shortcut, "works", lambda *_: False)
    opts = options(backbone_lr_factor=1.0, batch_norm=statistics)
    ours, theirs = network(), network()
    train(tmp_path, plan, ours, opts)
    plain_loop(theirs, trained, opts, statistics == "train")
    expected = theirs.state_dict()
    for name, tensor in ours.state_dict().items():
        assert torch.equal(tensor, expected[name]), name


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050"])
@pytest.mark.parametrize("plan", [Finetuning.top(), Finetuning.top(2), Finetuning.head_only()])
def test_computing_frozen_stages_once_changes_nothing(
    tmp_path: Path, name: str, plan: Finetuning, monkeypatch: pytest.MonkeyPatch
) -> None:
    opts = options(lr=0.01, batch_norm="train", layer_decay=0.5)
    short, whole = network(name), network(name)
    taken = []
    works = module.Shortcut.works
    monkeypatch.setattr(module.Shortcut, "works", lambda *a: taken.append(works(*a)) or taken[-1])
    short_run = train(tmp_path / "short", plan, short, opts, val=6)
    assert taken == [True]
    monkeypatch.setattr(module.Shortcut, "works", lambda *_: False)
    whole_run = train(tmp_path / "whole", plan, whole, opts, val=6)
    for key, tensor in short.state_dict().items():
        torch.testing.assert_close(tensor, whole.state_dict()[key], rtol=1e-5, atol=1e-6)
    for ours, theirs in zip(short_run.rows, whole_run.rows, strict=True):
        assert ours["train_loss"] == pytest.approx(theirs["train_loss"], rel=1e-5)
        assert ours["val_loss"] == pytest.approx(theirs["val_loss"], rel=1e-5)
    assert not any("forward" in vars(part) for part in short.modules())


@pytest.mark.parametrize("name", ["resnet10t", "mobilenetv3_small_050", "test_vit"])
@pytest.mark.parametrize("cached", [True, False])
def test_what_is_frozen_stays_to_the_bit(
    tmp_path: Path, name: str, cached: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not cached:
        monkeypatch.setattr(module.Shortcut, "works", lambda *_: False)
    net = network(name, **({"img_size": 32} if name == "test_vit" else {}))
    before, stages, plan = snapshot(net), levels(net, SHAPE), Finetuning.deep()
    train(tmp_path, plan, net, options(optimizer="adamw", weight_decay=0.1, lr=1e-3, batch_norm="train"))
    trained = {path for level in stages[plan.first(stages) :] for path in level.paths}
    for key, tensor in net.state_dict().items():
        path = key.removeprefix("backbone.network.").rpartition(".")[0]
        moves = key.startswith("head.") or path in trained
        assert torch.equal(tensor, before[key]) is not moves, key
    assert not any(part.training for part in net.modules())


@pytest.mark.parametrize("statistics", ["frozen", "train"])
def test_batch_norm_statistics(tmp_path: Path, statistics: Any) -> None:
    net = network()
    before = snapshot(net)
    train(tmp_path, Finetuning.all(), net, options(batch_norm=statistics))
    moved = {key for key, value in net.state_dict().items() if "running_" in key and not value.equal(before[key])}
    assert len(moved) == (0 if statistics == "frozen" else sum("running_" in key for key in before))


def test_l2_sp_holds_weights_by_its_formula(tmp_path: Path) -> None:
    """One step of SGD from a place that is not the anchor: the step changes by −η (α (w − w⁰)), in the head −η β w."""
    alpha, beta = 0.3, 0.2

    def after(**given: Any) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        net = network()
        anchor = module._anchor(net, options(**given))
        start = snapshot(net)
        with torch.no_grad():
            for parameter in net.parameters():
                parameter += 0.01
        moved, time = snapshot(net), runtime()
        opts = options(epochs=1, batch_size=22, momentum=0.0, backbone_lr_factor=0.5, **given)
        finetune(net, Finetuning.all(), data(), time, FakeRun(tmp_path / str(len(given))), opts, anchor=anchor)
        return start, moved, snapshot(net)

    _, _, free = after()
    start, moved, held = after(l2_sp=alpha, l2_sp_head=beta)
    for name, parameter in network().named_parameters():
        if name.startswith("backbone.classifier"):
            continue
        head = name.startswith("head")
        pull = beta * moved[name] if head else alpha * (moved[name] - start[name])
        rate = 0.05 * (1 if head else 0.5)
        torch.testing.assert_close(held[name], free[name] - rate * pull, rtol=1e-4, atol=1e-6), parameter.shape


class Stop(Exception):  # noqa: N818
    pass


RESUMED = {
    "finetune-top": {"batch_norm": "train", "l2_sp": 0.1},
    "finetune": {"batch_norm": "train", "mixup": 0.2, "layer_decay": 0.7},
    "gradual": {"l2_sp": 0.1, "epochs": 4, "unfreeze": "2", "sampling": "balanced"},
}


@pytest.mark.parametrize("strategy", RESUMED)
def test_resume_ends_with_the_same_bits(tmp_path: Path, strategy: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dlkit.runtime.fit._SAVING_SHARE", 1e9)
    opts = options(
        optimizer="adamw", lr=1e-3, schedule=Schedule("cosine"), checkpoint_every=Duration(1e-9), **RESUMED[strategy]
    )

    def go(path: Path, stop_at: int) -> Network:
        net, time, count = network(), runtime(), 0
        inner = time.updater

        def update(*arguments: Any) -> dict[str, Tensor]:
            nonlocal count
            if count == stop_at:
                raise Stop
            count += 1
            return inner(*arguments)

        monkeypatch.setattr(time, "update", lambda opt, fn, *tensors: update(opt, fn, tensors))
        train_strategy(time.prepare(net), strategy, data(val=6), time, FakeRun(path), opts)
        return net

    expected = go(tmp_path / "whole", -1).state_dict()
    for _ in range(2):
        with pytest.raises(Stop):
            go(tmp_path / "stopped", 2)
    resumed = go(tmp_path / "stopped", -1).state_dict()
    assert all(torch.equal(resumed[name], tensor) for name, tensor in expected.items())


def test_gradual_unfreezing_trains_one_more_stage_each_time(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Howard and Ruder 2018, section 3.3."""
    net, seen = network(), []
    set_modes = module.set_modes

    def spy(network: Network, trained: Any, statistics: bool) -> None:
        set_modes(network, trained, statistics)
        names = {".".join(name.split(".")[2:3]) for name, p in network.named_parameters() if p.requires_grad}
        seen.append(names - {""})

    monkeypatch.setattr(module, "set_modes", spy)
    results = train_strategy(net, "gradual", data(), runtime(), FakeRun(tmp_path), options(epochs=7, unfreeze="3"))
    tops = [set(), {"layer4"}, {"layer3", "layer4"}, {"layer2", "layer3", "layer4"}]
    assert seen == tops
    names = ["finetune-head", "finetune-1-layer4", "finetune-2-layer3", "finetune-3-layer2"]
    assert [(result.phase, result.epochs) for result in results] == list(zip(names, [1, 1, 1, 4], strict=True))


def test_the_plan_tells_what_trains() -> None:
    net = network()
    stages = levels(net, SHAPE)
    head = 512 * 3 + 3
    expected = {
        "finetune-top": [stages[4].size],
        "finetune-deep": [sum(level.size for level in stages[2:])],
        "finetune": [sum(level.size for level in stages)],
        "scratch": [sum(level.size for level in stages)],
        "lp-ft": [sum(level.size for level in stages)],
        "gradual": [sum(level.size for level in stages[5 - depth :]) for depth in range(6)],
    }
    total = sum(parameter.numel() for parameter in net.parameters())
    for strategy in STRATEGIES:
        plans = phases(net, strategy, options(epochs=8), SHAPE)
        parameters = [list(plan.modules["network"].parameters()) for plan in plans]
        found = [sum(p.numel() for p in some if p.requires_grad) - head for some in parameters]
        assert found == expected[strategy]
        assert all(sum(p.numel() for p in some) == total for some in parameters)
        assert sum(plan.epochs for plan in plans) == 8


def test_options_that_do_not_fit_are_refused() -> None:
    stages = levels(network(), SHAPE)
    with pytest.raises(UsageError, match="no such stage"):
        steps("finetune-top", options(unfreeze="layer9"), stages)
    with pytest.raises(UsageError, match="5 stages with weights"):
        steps("finetune-top", options(unfreeze="6"), stages)
    with pytest.raises(UsageError, match="too few"):
        steps("gradual", options(epochs=5), stages)
    with pytest.raises(UsageError, match="itself says"):
        steps("finetune-deep", options(unfreeze="2"), stages)
    with pytest.raises(ValueError, match="weight-decay"):
        options(l2_sp=0.1, weight_decay=0.1)
    with pytest.raises(ValueError, match="from 1 on"):
        options(unfreeze="0")


def test_scratch_has_one_rate() -> None:
    given = TransferOptions(layer_decay=0.5, batch_norm="frozen")
    taken = training_options(given)
    assert (taken.backbone_lr_factor, taken.layer_decay, taken.batch_norm) == (1.0, 1.0, "train")


def test_scratch_depends_on_the_seed_alone() -> None:
    def weights(seed: int) -> Tensor:
        torch.rand(7)  # whatever was drawn before
        found: Tensor = next(scratch_backbone(TransferOptions(), 64, seed).network.parameters())
        return found

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_learns(tmp_path: Path) -> None:
    """Brightness tells the classes of the data apart."""
    net = network("test_resnet")
    run = train(tmp_path, Finetuning.all(), net, options(epochs=12, lr=0.1, backbone_lr_factor=0.5), val=30)
    assert run.rows[-1]["val_accuracy"] > 0.9


def test_a_tap_below_the_cut_is_seen(tmp_path: Path) -> None:
    """A head on an early and a late stage: the shortcut notices that it would lose the early one."""
    from dlkit.backbones import Tap

    net = network(taps=(Tap("layer1"), Tap("top")))
    shortcut = module.Shortcut(net, stages := levels(net, SHAPE), Finetuning.top().first(stages), SHAPE)
    assert not shortcut.works(data().train, runtime())
    train(tmp_path, Finetuning.top(), net, options())
    assert isinstance(net.head, nn.Linear)
    assert bool(torch.isfinite(net.head.weight).all())
