"""Devices, optimizers, normalisation, memory, seeds, and what stays light."""

from __future__ import annotations

import subprocess
import sys
from contextlib import nullcontext

import pytest
import torch
from torch import nn

from dlkit.data.spec import Normalization
from dlkit.errors import UsageError
from dlkit.options import RuntimeOptions, TrainOptions
from dlkit.runtime import Normalize, Runtime, count_parameters, estimate_memory
from dlkit.runtime import device as devices


@pytest.fixture
def runtime() -> Runtime:
    return Runtime(RuntimeOptions(device="cpu", threads=1))


# --- devices and precision --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("present", "asked", "got"),
    [
        (["cpu"], "auto", "cpu"),
        (["cuda:0", "cuda:1", "cpu"], "auto", "cuda:0"),
        (["cuda:0", "cuda:1", "cpu"], "cuda", "cuda:0"),
        (["cuda:0", "cuda:1", "cpu"], "cuda:1", "cuda:1"),
        (["mps", "cpu"], "auto", "mps"),
        (["mps", "cpu"], "cpu", "cpu"),
    ],
)
def test_devices(monkeypatch: pytest.MonkeyPatch, present: list[str], asked: str, got: str) -> None:
    monkeypatch.setattr(devices, "_present", lambda: present)
    assert devices.resolve_device(asked) == torch.device(got)


@pytest.mark.parametrize("asked", ["cuda", "cuda:3", "mps", "tpu", "cuda:x", ""])
def test_absent_devices(monkeypatch: pytest.MonkeyPatch, asked: str) -> None:
    monkeypatch.setattr(devices, "_present", lambda: ["cpu"])
    with pytest.raises(UsageError, match=f"--device {asked}") as caught:
        devices.resolve_device(asked)
    assert "cpu" in caught.value.hint


@pytest.mark.parametrize(("native", "asked", "got"), [(True, "auto", "bf16"), (False, "auto", "fp32"), (True, "fp32", "fp32"), (True, "bf16", "bf16")])  # fmt: skip  # noqa: E501
def test_precision_on_a_gpu(monkeypatch: pytest.MonkeyPatch, native: bool, asked: str, got: str) -> None:
    pretend_gpu(monkeypatch, native)
    assert devices.resolve_precision(asked, torch.device("cuda:0")) == got


def test_bf16_on_a_gpu_without(monkeypatch: pytest.MonkeyPatch) -> None:
    pretend_gpu(monkeypatch, False)
    with pytest.raises(UsageError, match="Old GPU does not compute in bf16"):
        devices.resolve_precision("bf16", torch.device("cuda:0"))


def pretend_gpu(monkeypatch: pytest.MonkeyPatch, native: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "Old GPU")
    monkeypatch.setattr(torch.cuda, "device", nullcontext)


def test_precision_on_a_cpu() -> None:
    assert [devices.resolve_precision(name, torch.device("cpu")) for name in ("auto", "fp32", "bf16")] == [
        "fp32", "fp32", "bf16"]  # fmt: skip


def test_threads_and_denormals() -> None:
    assert Runtime(RuntimeOptions(device="cpu", threads=1)).threads == torch.get_num_threads() == 1
    assert (torch.tensor(1e-38) * 1e-3).item() == 0.0
    assert Runtime(RuntimeOptions(device="cpu")).threads == devices.available_threads() == torch.get_num_threads()


# --- seeds ------------------------------------------------------------------------------------------------


def test_generators_repeat_and_differ() -> None:
    def draw(seed: int, *key: object) -> list[float]:
        runtime = Runtime(RuntimeOptions(device="cpu", seed=seed))
        return torch.rand(3, generator=runtime.generator(*key)).tolist()

    assert draw(0, "noise", 1) == draw(0, "noise", 1)
    assert len({tuple(draw(*key)) for key in [(0, "noise", 1), (1, "noise", 1), (0, "noise", "1"), (0, "noise")]}) == 4


def test_initialisation_is_seeded() -> None:
    weights = []
    for _ in range(2):
        Runtime(RuntimeOptions(device="cpu", seed=4))
        weights.append(nn.Linear(3, 3).weight.detach())
    assert torch.equal(*weights)


# --- optimizers -------------------------------------------------------------------------------------------


def parameters() -> list[nn.Parameter]:
    return [nn.Parameter(torch.ones(4, 4)), nn.Parameter(torch.ones(4))]


@pytest.mark.parametrize(
    ("name", "cls", "fused"),
    [("adam", "Adam", True), ("AdamW", "AdamW", True), ("sgd", "SGD", True), ("rmsprop", "RMSprop", None),
     ("adagrad", "Adagrad", True), ("adadelta", "Adadelta", None), ("nadam", "NAdam", None), ("radam", "RAdam", None),
     ("nesterov", "SGD", True), ("lion", "Lion", None), ("lamb", "Lamb", None)],
)  # fmt: skip
def test_optimizers_by_name(runtime: Runtime, name: str, cls: str, fused: bool | None) -> None:
    options = TrainOptions(optimizer=name, lr=0.03, momentum=0.8, weight_decay=0.02)
    optimizer = runtime.optimizer(parameters(), options)
    group = optimizer.param_groups[0]
    assert type(optimizer).__name__ == cls
    assert (group["lr"], group["weight_decay"], group.get("fused")) == (0.03, 0.02, fused)
    assert group.get("momentum", 0.8) == 0.8
    assert bool(group.get("nesterov")) == (name == "nesterov")
    for parameter in group["params"]:
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    assert (group["params"][0] < 1).all()


def test_overrides_and_groups(runtime: Runtime) -> None:
    first, second = parameters()
    groups = [{"params": [first]}, {"params": [second], "lr": 1.0}]
    optimizer = runtime.optimizer(groups, TrainOptions(), betas=(0.5, 0.9))
    assert [(group["lr"], group["betas"]) for group in optimizer.param_groups] == [
        (1e-3, (0.5, 0.9)),
        (1.0, (0.5, 0.9)),
    ]
    assert groups[0] == {"params": [first]}
    assert runtime.optimizer(iter(parameters()), TrainOptions(), lr=2.0).param_groups[0]["lr"] == 2.0


@pytest.mark.parametrize(
    ("name", "says"), [("adamm", "adam"), ("lbfgs", "several times"), ("sparseadam", "sparse"), ("qqqq", "Common")]
)
def test_refused_optimizers(runtime: Runtime, name: str, says: str) -> None:
    with pytest.raises(UsageError) as caught:
        runtime.optimizer(parameters(), TrainOptions(optimizer=name))
    assert says in str(caught.value)


def test_what_an_optimizer_refuses_is_the_users_error(runtime: Runtime) -> None:
    with pytest.raises(UsageError, match="--optimizer muon"):
        runtime.optimizer(parameters(), TrainOptions(optimizer="muon"))


# --- normalisation ----------------------------------------------------------------------------------------


def test_normalize() -> None:
    mean, std = torch.rand(3, 1, 1), torch.rand(3, 1, 1) + 0.5
    module = Normalize(
        Normalization(mode="channel", shape=(3, 1, 1), mean=mean.numpy().tobytes(), std=std.numpy().tobytes())
    )
    x = torch.rand(2, 3, 4, 5)
    assert torch.equal(module(x), (x - mean) / std)
    torch.testing.assert_close(module.inverse(module(x)), x)
    assert set(module.state_dict()) == {"mean", "std"}


def test_normalize_nothing() -> None:
    module, x = Normalize(Normalization()), torch.rand(2, 1, 4, 4)
    assert module(x) is x
    assert module.inverse(x) is x


# --- preparation and memory -------------------------------------------------------------------------------


def test_networks_with_convolutions_become_channels_last(runtime: Runtime) -> None:
    conv = runtime.prepare(nn.Sequential(nn.Conv2d(3, 4, 3)))
    assert conv[0].weight.is_contiguous(memory_format=torch.channels_last)


def test_parameters_are_counted_once() -> None:
    net = nn.Sequential(nn.Linear(10, 10), nn.Linear(10, 10, bias=False))
    net[1].weight = net[0].weight
    net[0].bias.requires_grad_(False)
    assert count_parameters(net) == (100, 10)


@pytest.mark.parametrize(("name", "states"), [("adam", 2), ("sgd", 1), ("rmsprop", 2), ("adagrad", 1)])
def test_memory(name: str, states: int) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(12, 50), nn.ReLU(), nn.Linear(50, 12))
    estimate = estimate_memory([net], (3, 2, 2), 7, TrainOptions(optimizer=name))
    weights = 4 * (12 * 50 + 50 + 50 * 12 + 12)
    assert (estimate.weights, estimate.gradients, estimate.optimizer) == (weights, weights, states * weights)
    # autograd keeps the input of each linear layer; the ReLU's output is the second's input
    assert estimate.activations == 4 * 7 * (12 + 50)
    assert estimate.total == (2 + states) * weights + 4 * 7 * 62


def test_memory_of_what_takes_no_images() -> None:
    assert estimate_memory([nn.Linear(100, 3)], (1, 8, 8), 4, TrainOptions()).activations is None


# --- lightness --------------------------------------------------------------------------------------------


def test_light_submodules_need_no_torch() -> None:
    code = "import dlkit.runtime, dlkit.runtime.schedule, dlkit.runtime.signals, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
