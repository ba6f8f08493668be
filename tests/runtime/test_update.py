from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from dlkit.errors import PluginError, TrainingError
from dlkit.options import RuntimeOptions
from dlkit.runtime import Runtime


class Heard:
    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str) -> None:
        self.warnings.append(text)


def setting(seed: int = 0) -> tuple[Runtime, nn.Module, torch.optim.Optimizer, Tensor, Tensor]:
    runtime = Runtime(RuntimeOptions(device="cpu", threads=1, seed=seed), Heard())  # type: ignore[arg-type]
    net = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2))
    optimizer = torch.optim.SGD(net.parameters(), lr=0.1, momentum=0.9)
    return runtime, net, optimizer, torch.randn(11, 6), torch.randn(11, 2)


def losses(net: nn.Module) -> Callable[[Tensor, Tensor], dict[str, Tensor]]:
    def loss(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        out = net(x)
        return {"loss": F.mse_loss(out, y), "error": (out - y).abs().mean()}

    return loss


def short_of_memory(loss: Callable[..., dict[str, Tensor]], most: int, error: Exception) -> Callable[..., dict[str, Tensor]]:  # fmt: skip  # noqa: E501
    def limited(x: Tensor, y: Tensor) -> dict[str, Tensor]:
        if len(x) > most:
            raise error
        return loss(x, y)

    return limited


def test_a_plain_update() -> None:
    runtime, net, optimizer, x, y = setting()
    other = nn.Sequential(nn.Linear(6, 5), nn.Tanh(), nn.Linear(5, 2))
    other.load_state_dict(net.state_dict())
    sgd = torch.optim.SGD(other.parameters(), lr=0.1, momentum=0.9)
    for _ in range(3):
        values = runtime.update(optimizer, losses(net), x, y)
        sgd.zero_grad()
        expected = F.mse_loss(other(x), y)
        expected.backward()
        sgd.step()
        assert torch.equal(values["loss"], expected.detach())
        assert not any(value.requires_grad for value in values.values())
    assert all(torch.equal(a, b) for a, b in zip(net.parameters(), other.parameters(), strict=True))


@pytest.mark.parametrize("parts", [2, 3, 11, 50])
def test_micro_batches_give_the_same_update(parts: int) -> None:
    whole, split = setting(), setting()
    split[0].updater.accumulate = parts
    for _ in range(3):
        expected = whole[0].update(whole[2], losses(whole[1]), *whole[3:])
        values = split[0].update(split[2], losses(split[1]), *split[3:])
        for name in expected:
            torch.testing.assert_close(values[name], expected[name])
    for a, b in zip(whole[1].parameters(), split[1].parameters(), strict=True):
        torch.testing.assert_close(a, b)


OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory: you tried …"),
    RuntimeError("DefaultCPUAllocator: not enough memory: you tried to allocate 4000 bytes."),
    RuntimeError("MPS backend out of memory"),
    MemoryError(),
]


@pytest.mark.parametrize("error", OUT_OF_MEMORY)
def test_out_of_memory_halves_until_it_fits(error: Exception) -> None:
    whole, short = setting(), setting()
    short[0].updater.independent = True
    for _ in range(3):
        expected = whole[0].update(whole[2], losses(whole[1]), *whole[3:])
        values = short[0].update(short[2], short_of_memory(losses(short[1]), 3, error), *short[3:])
        torch.testing.assert_close(values["loss"], expected["loss"])
    for a, b in zip(whole[1].parameters(), short[1].parameters(), strict=True):
        torch.testing.assert_close(a, b)
    assert short[0].updater.limit == 2  # 11 → 5 → 2
    assert len(short[0].display.warnings) == 1  # type: ignore[union-attr]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_out_of_memory_in_backward_starts_anew(accumulate: int) -> None:
    """In the middle of it, when a part has been added up and the last layer has its gradients of the next one."""
    whole, short = setting(), setting()
    updater, net, parts = short[0].updater, short[1], []
    updater.independent, updater.accumulate = True, accumulate

    class Fails(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x.clone()

        @staticmethod
        def backward(ctx: object, grad: Tensor) -> Tensor:  # type: ignore[override]
            parts.append(len(grad))
            if len(parts) == accumulate:  # of the first attempt the last part
                assert net[2].weight.grad is not None
                raise torch.OutOfMemoryError("CUDA out of memory")
            return grad

    def loss(x: Tensor, y: Tensor) -> Tensor:
        return F.mse_loss(net[2](Fails.apply(net[1](net[0](x)))), y)

    for _ in range(2):
        short[0].update(short[2], loss, *short[3:])
        whole[0].update(whole[2], losses(whole[1]), *whole[3:])
    assert parts == ([11, 5, 5, 1, 5, 5, 1] if accumulate == 1 else [6, 5, 3, 3, 3, 2, 3, 3, 3, 2])
    for a, b in zip(whole[1].parameters(), net.parameters(), strict=True):
        torch.testing.assert_close(a, b)


def test_nothing_left_to_halve() -> None:
    runtime, net, optimizer, x, y = setting()
    runtime.updater.independent = True
    with pytest.raises(TrainingError, match="single sample"):
        runtime.update(optimizer, short_of_memory(losses(net), 0, OUT_OF_MEMORY[0]), x, y)


def test_samples_that_depend_on_each_other_get_advice() -> None:
    runtime, net, optimizer, x, y = setting()
    with pytest.raises(TrainingError, match="depend on each other") as caught:
        runtime.update(optimizer, short_of_memory(losses(net), 5, OUT_OF_MEMORY[0]), x, y)
    assert "--batch-size" in caught.value.hint


def test_other_errors_pass() -> None:
    runtime, net, optimizer, x, y = setting()
    runtime.updater.independent = True
    with pytest.raises(RuntimeError, match="shapes"):
        runtime.update(optimizer, short_of_memory(losses(net), 5, RuntimeError("shapes")), x, y)


def test_clipping() -> None:
    runtime, net, _, x, y = setting()
    before = [parameter.detach().clone() for parameter in net.parameters()]
    runtime.updater.clip = 0.01
    runtime.update(torch.optim.SGD(net.parameters(), lr=1.0), losses(net), x, y * 100)
    moved = sum((a - b).detach().square().sum() for a, b in zip(net.parameters(), before, strict=True))
    assert float(moved) ** 0.5 == pytest.approx(0.01, rel=1e-3)


def test_tensors_that_are_not_there() -> None:
    runtime, net, optimizer, x, _ = setting()
    runtime.updater.accumulate = 2
    values = runtime.update(optimizer, lambda a, labels: net(a).square().mean() if labels is None else None, x, None)
    assert set(values) == {"loss"}


def test_bf16_computes_under_autocast() -> None:
    runtime = Runtime(RuntimeOptions(device="cpu", precision="bf16"))
    net = nn.Linear(4, 4)
    seen = []

    def loss(x: Tensor) -> Tensor:
        seen.append(net(x).dtype)
        return F.mse_loss(net(x).float(), x)

    runtime.update(torch.optim.SGD(net.parameters(), lr=0.1), loss, torch.randn(3, 4))
    with runtime.inference():
        seen.append(net(torch.randn(3, 4)).dtype)
        assert not torch.is_grad_enabled()
    assert seen == [torch.bfloat16] * 2
    assert net.weight.dtype == torch.float32


@pytest.mark.parametrize(
    ("loss", "complaint"),
    [
        (lambda out: out.square(), r"shape \(11, 2\); expected a scalar"),
        (lambda out: out.detach().mean(), "depends on no parameter"),
        (lambda out: {"error": out.mean()}, "gave a dict of error; expected a scalar tensor"),
        (lambda out: out.mean().item(), "expected a scalar tensor, or a dict with one as 'loss'"),
    ],
)
def test_a_loss_that_teaches_nothing_is_named(loss: Callable[[Tensor], object], complaint: str) -> None:
    runtime, net, optimizer, x, _ = setting()
    with pytest.raises(PluginError, match=complaint):
        runtime.update(optimizer, lambda images: loss(net(images)), x)
