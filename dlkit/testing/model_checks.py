"""Checks of what was learned: kept, used, measured, exported."""

from __future__ import annotations

import json
import math
from typing import Any

import torch
from torch import Tensor

from dlkit.capabilities import capabilities_of
from dlkit.export import export_run
from dlkit.metrics import Metric, Metrics
from dlkit.report.figures import number
from dlkit.technique import CAPABILITIES
from dlkit.testing.bench import Bench, with_bench
from dlkit.testing.items import NotApplicable

_COUNT = 6


@with_bench
def save_load_equals(bench: Bench) -> None:
    """The run's technique, loaded from its files, gives the same outputs and the same state."""
    trained = bench.trained
    loaded = trained.run.load_technique()
    for technique in (trained.technique, loaded):  # in one memory layout, which decides how sums round
        trained.runtime.prepare(technique.inference_module())
    first, second = trained.technique.state(), loaded.state()
    for name, tensor in first.tensors.items():
        assert name in second.tensors, f"load() loses the tensor {name!r}"
        assert torch.equal(tensor.cpu(), second.tensors[name].cpu()), f"load() changes the tensor {name!r}"
    before, after = (json.dumps(state.plain, sort_keys=True, default=str) for state in (first, second))
    assert before == after, f"load() changes state().plain: {before[:200]} and {after[:200]}"
    images = _held_out(bench)
    for (name, one), (_, other) in zip(outputs_of(trained.technique, images), outputs_of(loaded, images), strict=True):
        assert torch.equal(one, other), f"loaded, the output {name!r} differs by {float((one - other).abs().max()):.3g}"


@with_bench
def capabilities_hold(bench: Bench) -> None:
    """The methods are there, and their results have the right shapes and values; likewise ``outputs()``."""
    technique, spec = bench.trained.technique, bench.trained.data.spec
    promised = capabilities_of(bench.trained.run)
    absent = [name for name in promised & CAPABILITIES.keys() if not isinstance(technique, CAPABILITIES[name])]
    assert not absent, f"the card promises {', '.join(sorted(absent))}, but there is no such method"
    unknown = promised - CAPABILITIES.keys() - {"condition"}
    assert not unknown, f"the card promises {', '.join(sorted(unknown))}; there are {', '.join(CAPABILITIES)}"
    images = _held_out(bench)
    kinds = technique.outputs()
    for name, output in outputs_of(technique, images):
        assert output.shape[0] == len(images), f"output {name!r} has {output.shape[0]} rows for {len(images)} images"
        assert output.isfinite().all(), f"output {name!r} is not finite"
        _check_kind(name, kinds[name], output, len(spec.classes))
    with torch.inference_mode():
        _check_capabilities(technique, promised, images, spec.shape, len(spec.classes))


def _check_kind(name: str, kind: str, output: Tensor, classes: int) -> None:
    if kind == "probabilities":
        assert output.shape[1:] == (classes,), (
            f"{name!r} are probabilities of {output.shape[1:]}, not {classes} classes"
        )
        assert torch.allclose(output.sum(1), torch.ones(len(output)), atol=1e-4), f"rows of {name!r} do not sum to one"
    if kind == "image":
        assert output.ndim == 4, f"{name!r} is an image of shape {tuple(output.shape)}; expected (B, C, H, W)"
        assert output.min() >= -1e-5 and output.max() <= 1 + 1e-5, f"{name!r} leaves [0, 1]"  # noqa: PT018
    if kind == "code":
        assert output.ndim == 2, f"{name!r} is a code of shape {tuple(output.shape)}; expected (B, Z)"


def _check_capabilities(
    technique: Any, promised: frozenset[str], images: Tensor, shape: tuple[int, int, int], classes: int
) -> None:
    if "encode" in promised:
        codes = technique.encode(images)
        _check_kind("encode()", "code", codes, classes)
        if "decode" in promised:
            decoded = technique.decode(codes)
            assert tuple(decoded.shape) == (len(images), *shape), f"decode() gives {tuple(decoded.shape)}"
            _check_kind("decode()", "image", decoded, classes)
    if "reconstruct" in promised:
        again = technique.reconstruct(images)
        assert again.shape == images.shape, f"reconstruct() gives {tuple(again.shape)} for {tuple(images.shape)}"
    if "classify" in promised and classes:
        _check_kind("classify()", "probabilities", technique.classify(images), classes)
    if "generate" in promised:
        labels = torch.arange(_COUNT) % classes if "condition" in promised and classes else None
        one, other = (technique.generate(_COUNT, torch.Generator().manual_seed(1), labels) for _ in range(2))
        assert tuple(one.shape) == (_COUNT, *shape), f"generate() gives {tuple(one.shape)}"
        _check_kind("generate()", "image", one, classes)
        assert torch.equal(one, other), "generate() does not repeat: take all draws from the generator that it is given"
        if "draw" in promised:
            latents = technique.draw(_COUNT, torch.Generator().manual_seed(1))
            _check_kind("draw()", "code", latents, classes)
            assert torch.allclose(technique.decode(latents, labels), one, atol=1e-5), (
                "decode(draw(…)) is not what generate() makes from the same state of the generator: draw latents first"
            )


@with_bench
def metrics_have_baselines(bench: Bench) -> None:
    """Each figure is finite, lies in its interval, is named once, and has something simpler beside it."""
    metrics = bench.figures
    assert isinstance(metrics, Metrics), f"evaluate() must give dlkit.metrics.Metrics, got {type(metrics).__name__}"
    assert len(metrics), "evaluate() gives no figures"
    keys = [(row.name, row.split) for row in metrics]
    double = sorted({name for name, split in keys if keys.count((name, split)) > 1})
    assert not double, f"figures of the same name and split: {', '.join(double)}"
    excepted = {key.partition(":")[2] for key in bench.trial.exceptions if key.startswith("metrics_have_baselines:")}
    stale = excepted - {row.name for row in metrics if not row.baselines}
    assert not stale, f"the trial excepts {', '.join(sorted(stale))}: no figure of that name lacks baselines"
    alone = sorted({row.name for row in metrics if not row.baselines} - excepted)
    assert not alone, (
        f"{', '.join(alone)} stand alone: give each Metric `baselines`, the same figure on the same images for "
        "something simpler; or except one on the card's trial, with the reason"
    )
    for row in metrics:
        _check_figure(row)


def _check_figure(row: Metric) -> None:
    assert math.isfinite(row.value), f"{row.name} is {row.value}"
    assert row.split in ("train", "val", "test"), f"{row.name} is of the split {row.split!r}"
    assert row.label.strip(), f"{row.name} has no label"
    for name, value in row.baselines.items():
        assert math.isfinite(value), f"{row.name}: its baseline {name!r} is {value}"
    if row.interval is not None:
        low, high = row.interval
        slack = 1e-6 * max(1.0, abs(row.value))
        assert low - slack <= row.value <= high + slack, (
            f"{row.name} is {number(row.value)}, outside its interval {number(low)} to {number(high)}"
        )


@with_bench
def evaluation_repeats(bench: Bench) -> None:
    """The technique loaded from the run evaluates to the same figures."""
    trained = bench.trained
    loaded = trained.run.load_technique()
    trained.runtime.prepare(loaded.inference_module())
    again = loaded.evaluate(trained.data, trained.runtime)
    expected = {(row.name, row.split): row for row in bench.figures}
    assert {(row.name, row.split) for row in again} == set(expected), "evaluated again, there are other figures"
    for row in again:
        before = expected[row.name, row.split]
        if row.unit == "s":  # a duration
            continue
        assert math.isclose(row.value, before.value, rel_tol=1e-6, abs_tol=1e-9), (
            f"{row.name} of {row.split} is {before.value!r} after training and {row.value!r} when loaded: draw from "
            "runtime.generator, and keep all that evaluate needs in state()"
        )


@with_bench
def export_equals(bench: Bench) -> None:
    """`dlkit export`: written as ONNX, reloaded, compared on held-out images in several batch sizes."""
    report = export_run(bench.trained.run, "onnx", bench.folder / "work" / f"{bench.card.name.replace('/', '-')}.onnx")
    assert report.images > 0, "no image was compared"


def _held_out(bench: Bench) -> Tensor:
    images = bench.trained.data.held_out.pixels()[:_COUNT]
    if not len(images):
        raise NotApplicable("there are no held-out images")
    return images


def outputs_of(technique: Any, images: Tensor) -> list[tuple[str, Tensor]]:
    """The outputs of the inference module by name."""
    module, names = technique.inference_module(), list(technique.outputs())
    assert not any(part.training for part in module.modules()), "inference_module() must be in eval mode"
    with torch.inference_mode():
        found = module(images)
    assert isinstance(found, tuple | list), (
        f"the module of inference_module() must return a tuple, one tensor for each of outputs() ({', '.join(names)}), "
        f"a single one too, as in `return (code,)`; it returns a {type(found).__name__}"
    )
    assert len(found) == len(names), f"inference_module() returns {len(found)} tensors; outputs() names {len(names)}"
    return [(name, tensor.float().cpu()) for name, tensor in zip(names, found, strict=True)]
