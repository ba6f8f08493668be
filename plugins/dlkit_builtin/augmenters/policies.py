"""Published policies: augmenters that choose among augmenters, image by image.

They differ from the publications in this: pixels are interpolated bilinearly, images are sheared around their middle
rather than their corner, and TrivialAugment's 32 pixels are the whole side of smaller ones (a digit has 8).
"""

from __future__ import annotations

from dataclasses import replace

import torch
from scipy.special import gammaincinv
from torch import Tensor

from dlkit.augment import Draws, History, Scenes
from dlkit_builtin.augmenters.auto import sub_policies
from dlkit_builtin.augmenters.colour import each
from dlkit_builtin.augmenters.operations import AUGMIX, RAND, TRIVIAL, Choice, even, perform
from dlkit_builtin.augmenters.pairs import beta

BINS = 31
_NAMES = [name for name in TRIVIAL if name != "Invert"]


def trivial(scenes: Scenes, draws: Draws, *, strength: Tensor, history: History | None = None) -> Scenes:
    """One of 14 operations for each image, at a magnitude that is even over 31 values up to ``strength`` ``(B,)``."""
    operations = [TRIVIAL[name] for name in _NAMES]
    choice = Choice.drawn(draws, len(operations), even(draws, BINS) * strength)
    return perform(scenes, draws, choice, operations, history)


def rand(
    scenes: Scenes, draws: Draws, *, operations: Tensor, magnitude: Tensor, history: History | None = None
) -> Scenes:
    """``operations`` ``(B,)`` of 14 for each image, one after the other, all at ``magnitude`` ``(B,)`` of 30."""
    known = [RAND[name] for name in _NAMES]
    for turn in range(int(operations.max())):
        now = draws.fork(turn)
        choice = Choice.drawn(now, len(known), magnitude / (BINS - 1), operations > turn)
        scenes = perform(scenes, now, choice, known, history)
    return scenes


def auto(scenes: Scenes, draws: Draws, *, learned: str, history: History | None = None) -> Scenes:
    """One of 25 pairs of operations for each image, each done with its own probability at its own magnitude."""
    pairs, known = sub_policies(learned), list(RAND)
    chosen = draws.on_cpu().integers("pair", len(pairs))
    for turn in range(2):
        now = draws.fork(turn)
        names, chances, magnitudes = zip(*(pair[turn] for pair in pairs), strict=True)
        operations = torch.tensor([known.index(name) for name in names])[chosen]
        done = now.on_cpu().uniform("chance") < torch.tensor(chances)[chosen]
        choice = Choice.drawn(now, len(known), torch.tensor(magnitudes)[chosen])
        choice = replace(choice, operations=torch.where(done, operations, -1))
        scenes = perform(scenes, now, choice, list(RAND.values()), history)
    return scenes


def augmix(
    scenes: Scenes, draws: Draws, *, severity: Tensor, chains: Tensor, alpha: Tensor, history: History | None = None
) -> Scenes:
    """m x + (1 − m) Σ wᵢ chainᵢ(x), m ~ Beta(α, α), w ~ Dirichlet(α), chains of one to three operations at magnitudes
    below ``severity`` of 10 (Hendrycks et al. 2020, algorithm 1). Masks, boxes and keypoints stay."""
    if history is not None:
        history.note("augmix", {"severity": severity, "chains": chains, "alpha": alpha})
    own, weights = beta(draws, alpha), _dirichlet(draws, alpha, chains)
    images = Scenes(scenes.images)
    mixed = scenes.images * each(own).to(scenes.images.device)
    operations = [AUGMIX[name] for name in _NAMES if name != "Identity"]
    for number in range(int(chains.max())):
        chain = images
        depth = draws.on_cpu().integers(f"depth {number}", 3) + 1
        for turn in range(3):
            now = draws.fork(number, turn)
            magnitudes = (now.on_cpu().uniform("magnitude") * severity).floor() / 9
            chain = perform(chain, now, Choice.drawn(now, len(operations), magnitudes, depth > turn), operations, None)
        mixed += chain.images * each(weights[:, number] * (1 - own)).to(mixed.device)
    return scenes.with_images(mixed.clamp_(0, 1))


def _dirichlet(draws: Draws, alpha: Tensor, chains: Tensor) -> Tensor:
    """Shares of so many chains ``(B,)``, 0 for the others, ``(B, most)``: gamma variates over their sum."""
    most = int(chains.max())
    uniform = draws.on_cpu().uniform("weights", most).double().clamp_min(1e-9).numpy()
    drawn = torch.from_numpy(gammaincinv(alpha.double()[:, None].numpy(), uniform)).clamp_min(1e-30)
    drawn = drawn * (torch.arange(most) < chains[:, None])
    return (drawn / drawn.sum(1, keepdim=True)).float()
