"""Optimizers' states come back from a checkpoint unchanged, though a step is rehearsed with them."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from dlkit.options import TrainOptions
from dlkit.runtime.moments import restore_optimizer
from dlkit.runtime.optimizers import make_optimizer

NAMES = ("adam", "adamw", "sgd", "nesterov", "rmsprop", "adagrad", "adadelta", "nadam", "radam", "adamax", "asgd",
         "adafactor", "lamb", "lion", "adabelief")  # fmt: skip


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(2, 3, 3), nn.Flatten(), nn.Linear(12, 2)).to(memory_format=torch.channels_last)


def step(net: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    optimizer.zero_grad()
    net(torch.ones(2, 2, 4, 4)).square().sum().backward()
    optimizer.step()


@pytest.mark.parametrize("name", NAMES)
def test_the_steps_after_are_the_same(name: str) -> None:
    nets = network(), network()
    options = TrainOptions(optimizer=name, lr=0.01)
    optimizers = [make_optimizer(net.parameters(), options, {}) for net in nets]
    step(nets[0], optimizers[0])
    kept = copy.deepcopy(optimizers[0].state_dict())
    nets[1].load_state_dict(nets[0].state_dict())
    restore_optimizer(optimizers[1], kept)
    for _ in range(2):
        for net, optimizer in zip(nets, optimizers, strict=True):
            step(net, optimizer)
    assert all(torch.equal(*pair) for pair in zip(*(net.parameters() for net in nets), strict=True))


@pytest.mark.parametrize("name", ["sgd", "rmsprop", "lion", "adamw"])
def test_moments_that_are_missing_are_told_before_a_step(name: str) -> None:
    net = network()
    optimizer = make_optimizer(net.parameters(), TrainOptions(optimizer=name), {})
    step(net, optimizer)
    kept = copy.deepcopy(optimizer.state_dict())
    before = copy.deepcopy(net.state_dict())
    for entry in list(kept["state"][0]):
        broken = copy.deepcopy(kept)
        broken["state"][1] = {key: value for key, value in kept["state"][1].items() if key != entry}
        if broken["state"][1]:
            with pytest.raises((KeyError, RuntimeError, TypeError)):
                restore_optimizer(make_optimizer(net.parameters(), TrainOptions(optimizer=name), {}), broken)
    assert all(torch.equal(tensor, before[key]) for key, tensor in net.state_dict().items())
