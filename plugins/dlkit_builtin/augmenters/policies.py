"""Published policies: augmenters that choose among augmenters, image by image."""

from __future__ import annotations

from torch import Tensor

from dlkit.augment import Draws, History, Scenes
from dlkit_builtin.augmenters.operations import RAND, TRIVIAL, Choice, even, perform

BINS = 31
_WITHOUT_INVERT = [name for name in TRIVIAL if name != "Invert"]


def trivial(scenes: Scenes, draws: Draws, *, strength: Tensor, history: History | None = None) -> Scenes:
    """One of 14 operations for each image, at a magnitude that is even over 31 values up to ``strength`` ``(B,)``."""
    operations = [TRIVIAL[name] for name in _WITHOUT_INVERT]
    choice = Choice.drawn(draws, len(operations), even(draws, BINS, strength))
    return perform(scenes, draws, choice, operations, history)


def rand(
    scenes: Scenes, draws: Draws, *, operations: Tensor, magnitude: Tensor, history: History | None = None
) -> Scenes:
    """``operations`` ``(B,)`` of 14 for each image, one after the other, all at ``magnitude`` ``(B,)`` of 30."""
    known = [RAND[name] for name in _WITHOUT_INVERT]
    for turn in range(int(operations.max())):
        now = draws.fork(turn)
        choice = Choice.drawn(now, len(known), magnitude / (BINS - 1))
        choice.operations[operations <= turn] = -1
        scenes = perform(scenes, now, choice, known, history)
    return scenes
