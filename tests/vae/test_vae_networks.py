"""The networks: any image size comes back, the class is told, pixels and codes go where they should."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from dlkit_builtin.vae.model import Network
from dlkit_builtin.vae.options import VaeOptions, capabilities
from dlkit_builtin.vae.technique import Vae
from torch import nn
from vae_models import digits, options, spec

from dlkit.cli.main import main
from dlkit.data.spec import DataSpec
from dlkit.errors import DataError, UsageError

SIZES = [(1, 8, 8), (3, 13, 17), (1, 28, 28), (3, 5, 4), (1, 1, 7)]
CLASSES = ("a", "b", "c")


@pytest.mark.parametrize("shape", SIZES, ids=str)
@pytest.mark.parametrize("classes", [(), CLASSES], ids=["plain", "conditional"])
@pytest.mark.parametrize("net", [{}, {"net": "conv", "layers": (4, 3)}, {"net": "conv", "layers": (2, 2, 2), "batch_norm": True}], ids=str)  # noqa: E501  # fmt: skip
def test_any_image_size_comes_back(net: dict[str, Any], classes: tuple[str, ...], shape: tuple[int, int, int]) -> None:
    technique = Vae(options(conditional=bool(classes), **net), spec(shape, classes))
    images = torch.rand(3, *shape)
    outputs = dict(zip(technique.outputs(), technique.inference_module()(images), strict=True))
    assert outputs["reconstruction"].shape == images.shape
    assert outputs["code"].shape == outputs["log_variance"].shape == (3, 4)
    assert torch.equal(technique.encode(images), outputs["code"])
    assert torch.equal(technique.reconstruct(images), outputs["reconstruction"])
    if classes:
        torch.testing.assert_close(outputs["probabilities"].sum(1), torch.ones(3))
        assert torch.equal(technique.classify(images), outputs["probabilities"])


def test_the_inference_module_takes_each_image_for_one_of_its_most_probable_class() -> None:
    technique = Vae(options(conditional=True), spec(classes=CLASSES))
    images = digits(5)
    reconstruction, code, _, probabilities = technique.inference_module()(images)
    best = probabilities.argmax(1)
    mean, _ = technique.network.posterior(images, technique.network.one_hot(best))
    torch.testing.assert_close(code, mean)
    torch.testing.assert_close(technique.decode(code, best), reconstruction)
    generator = torch.Generator().manual_seed(0)
    assert not torch.equal(
        *(technique.decode(torch.randn(1, 4, generator=generator), torch.tensor([y])) for y in (0, 1))
    )


def test_classes_are_weighed_by_their_shares() -> None:
    technique = Vae(options(conditional=True), spec(classes=CLASSES))
    even = technique.classify(digits(4))
    technique.network.class_shares.copy_(torch.tensor([0.5, 0.3, 0.2]))
    weighed = even * torch.tensor([0.5, 0.3, 0.2])
    torch.testing.assert_close(technique.classify(digits(4)), weighed / weighed.sum(1, keepdim=True))


@pytest.mark.parametrize("net", ["dense", "conv"])
def test_the_code_is_mean_plus_deviation_times_noise(net: Any) -> None:
    technique = Vae(options(net=net, layers=(6, 5)), spec())
    network, images, noise = technique.network.eval(), digits(3), torch.randn(3, 4)
    activations, mean, log_variance = network(images, noise, None)
    codes = mean + log_variance.exp().sqrt() * noise
    torch.testing.assert_close(network.pixels(activations), technique.decode(codes))


def test_generating_draws_from_the_prior_and_repeats() -> None:
    technique = Vae(options(), spec())
    first, second = (technique.generate(6, torch.Generator().manual_seed(1)) for _ in range(2))
    codes = torch.randn(6, 4, generator=torch.Generator().manual_seed(1))
    assert torch.equal(first, second)
    assert torch.equal(first, technique.decode(codes))
    assert first.min() >= 0
    assert first.max() <= 1


def test_a_conditional_model_generates_classes_in_their_proportions(monkeypatch: pytest.MonkeyPatch) -> None:
    technique = Vae(options(conditional=True), spec(classes=CLASSES))
    technique.network.class_shares.copy_(torch.tensor([0.7, 0.3, 0.0]))
    drawn: list[torch.Tensor] = []
    monkeypatch.setattr(technique, "decode", lambda codes, labels: drawn.append(labels) or codes)
    technique.generate(2000, torch.Generator().manual_seed(0))
    assert drawn[0].bincount(minlength=3).div(2000).tolist() == pytest.approx([0.7, 0.3, 0.0], abs=0.04)


def test_binarising() -> None:
    images = digits(400)
    generator = torch.Generator().manual_seed(0)
    dynamic = Vae(options(binarize="dynamic"), spec())
    first, second = (dynamic.observed(images, generator) for _ in range(2))
    assert set(first.unique().tolist()) == {0.0, 1.0}
    assert not torch.equal(first, second)
    assert float(first.mean()) == pytest.approx(float(images.mean()), abs=0.01)
    assert torch.equal(dynamic.observed(first, generator), first)  # 0 and 1 stay what they are
    threshold = Vae(options(binarize="threshold"), spec())
    assert torch.equal(threshold.observed(images, generator), (images >= 0.5).float())
    assert torch.equal(threshold.encode(images), threshold.encode((images >= 0.5).float()))  # a part of the model
    assert Vae(options(), spec()).observed(images, generator) is images


def test_what_can_be_done_depends_on_the_condition() -> None:
    both = {"encode", "reconstruct", "generate", "draw"}
    assert capabilities(VaeOptions()) == both | {"decode"}
    assert capabilities(VaeOptions(conditional=True)) == both | {"condition", "classify"}


def test_wrong_codes_and_missing_classes_are_refused() -> None:
    with pytest.raises(UsageError, match=r"expected \(B, 4\)"):
        Vae(options(), spec()).decode(torch.zeros(2, 5))
    with pytest.raises(UsageError, match="needs the class"):
        Vae(options(conditional=True), spec(classes=CLASSES)).decode(torch.zeros(2, 4))


@pytest.mark.parametrize(("target", "says"), [("classes", "nothing"), ("multi-label", "several labels per image")])
def test_unlabelled_data_cannot_condition(target: Any, says: str) -> None:
    names = () if target == "classes" else ("hat", "beard")
    data = DataSpec(source="photos", name="x", channels=1, height=8, width=8, target=target, classes=names)
    with pytest.raises(DataError, match=f"one class per image; the labels of photos say {says}"):
        Vae(options(conditional=True), data)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--variance", "0.1"], "add --likelihood gaussian"),
        (["--likelihood", "gaussian", "--binarize", "dynamic"], "leave --likelihood at bernoulli"),
        (["--batch-norm", "--batch-size", "1"], "statistics of several images"),
    ],
)
def test_options_that_do_not_go_together(words: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "vae", "--data", "digits", *words]) == 2
    assert message in capsys.readouterr().err


def test_the_state_goes_through_save_and_load() -> None:
    data = spec(classes=CLASSES)
    for given in ({"likelihood": "gaussian"}, {"likelihood": "gaussian", "variance": 0.1}, {"conditional": True}):
        technique = Vae(options(**given), data)
        copy = Vae.load(technique.state(), options(**given), data)
        for ours, theirs in zip(technique.network.state_dict().items(), copy.network.state_dict().items(), strict=True):
            assert ours[0] == theirs[0]
            assert torch.equal(ours[1], theirs[1])
    assert isinstance(Network(options(likelihood="gaussian"), data).log_noise, nn.Parameter)
    assert float(Network(options(likelihood="gaussian", variance=0.1), data).log_noise.exp()) == pytest.approx(0.1)
