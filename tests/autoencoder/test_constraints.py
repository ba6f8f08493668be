"""Penalties beside torch.distributions, autograd's full Jacobian and plain formulas; what is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from dlkit_builtin.autoencoder.constraints import SLOPES, closed_form, kl_bernoulli, signs, sparsity, squared_jacobian
from dlkit_builtin.autoencoder.networks import activation
from dlkit_builtin.autoencoder.options import AutoencoderOptions
from dlkit_builtin.autoencoder.sparsity import KL_WEIGHT, Sparsity
from dlkit_builtin.autoencoder.technique import Autoencoder
from hypothesis import given as drawn
from hypothesis import strategies as st
from small_autoencoders import new_run, options, pixels, runtime, small
from torch import Tensor
from torch.autograd.functional import jacobian
from torch.distributions import Bernoulli, kl_divergence

from dlkit.cli.main import main
from dlkit.data import ImageData, load_data
from dlkit.errors import UsageError
from dlkit.options import DataOptions
from dlkit.run import Run


@pytest.fixture(scope="module")
def data(shapes_npz: Path) -> ImageData:
    return load_data(DataOptions(data=str(shapes_npz)))


@pytest.mark.parametrize("target", [0.01, 0.05, 0.5, 0.9])
def test_kl_is_that_of_torch_distributions(target: float) -> None:
    means = torch.rand(50, generator=torch.Generator().manual_seed(0)).clamp(0.001, 0.999).requires_grad_()
    ours, theirs = kl_bernoulli(target, means), kl_divergence(Bernoulli(torch.tensor(target)), Bernoulli(means))
    torch.testing.assert_close(ours, theirs)
    torch.testing.assert_close(*(torch.autograd.grad(each.sum(), means)[0] for each in (ours, theirs)))


def test_kl_of_units_that_never_or_always_fire_is_finite() -> None:
    assert kl_bernoulli(0.05, torch.tensor([0.0, 1.0])).isfinite().all()


def test_sparsity_is_summed_over_units() -> None:
    code = torch.rand(6, 3, generator=torch.Generator().manual_seed(0)) - 0.3
    torch.testing.assert_close(sparsity(code, Sparsity.parse("l1:0.5")), 0.5 * code.abs().sum() / 6)
    code = code.sigmoid()
    each = kl_divergence(Bernoulli(torch.tensor(0.2)), Bernoulli(code.mean(0)))
    torch.testing.assert_close(sparsity(code, Sparsity.parse("kl:0.2:3")), 3 * each.sum())


@pytest.mark.parametrize("name", SLOPES)
def test_slopes_are_derivatives(name: str) -> None:
    points = torch.linspace(-2, 2, 40, requires_grad=True)
    values = activation(name)(points)
    torch.testing.assert_close(SLOPES[name](values), torch.autograd.grad(values.sum(), points)[0])


def trained(data: ImageData, path: Path, **given: Any) -> Autoencoder:
    torch.manual_seed(0)
    technique = Autoencoder(options(**given), data.spec)
    technique.train(data, runtime(), new_run(path))
    return technique


def full_jacobians(technique: Autoencoder, images: Tensor) -> Tensor:
    """‖∂f/∂x‖²_F by autograd, image by image: ``(B,)``."""
    encoder = technique.network.encoder.eval()
    squares = [
        jacobian(lambda image: encoder(image)[0], image[None], vectorize=True).square().sum() for image in images
    ]
    return torch.stack(squares)


@pytest.mark.parametrize("unit", sorted(SLOPES))
def test_the_contraction_of_one_layer_is_exact(unit: Any) -> None:
    technique = small(layers=(), code_activation=unit, contractive=0.1)
    images = pixels()
    assert not technique.probing
    encoder = technique.network.encoder
    ours = squared_jacobian(encoder, unit, encoder(images)[0], images, None)
    torch.testing.assert_close(ours, full_jacobians(technique, images), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "given",
    [
        {"activation": "tanh"},
        {"layers": (), "code_activation": "gelu"},
        {"net": "conv", "code_activation": "sigmoid"},
        {"net": "conv", "upsample": "unpool"},
    ],
    ids=str,
)
def test_the_contraction_of_other_encoders_is_unbiased(given: dict[str, Any]) -> None:
    """Over all sign vectors the estimate's mean is the norm itself: 2⁵ of them here."""
    technique = small(contractive=0.1, **given)
    images = pixels(3)
    assert technique.probing
    encoder, inputs = technique.network.encoder.eval(), images.clone().requires_grad_()
    vectors = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0])] * 5)
    code = encoder(inputs)[0]
    estimates = [squared_jacobian(encoder, "", code, inputs, vector.expand(3, 5)) for vector in vectors]
    torch.testing.assert_close(torch.stack(estimates).mean(0), full_jacobians(technique, images), rtol=1e-4, atol=1e-5)


def test_the_gradient_of_the_contraction_is_that_of_the_full_jacobian() -> None:
    """With a code of one unit one probe says all, so the gradients by the weights must be equal."""
    technique = small(contractive=0.1, code=1, activation="tanh")
    encoder, images = technique.network.encoder, pixels(3)
    weights = [parameter for name, parameter in encoder.named_parameters() if name != "code.bias"]
    inputs = images.clone().requires_grad_()
    ours = squared_jacobian(encoder, "linear", encoder(inputs)[0], inputs, torch.ones(3, 1)).sum()
    theirs = torch.stack(
        [jacobian(lambda x: encoder(x)[0], image[None], create_graph=True).square().sum() for image in images]
    ).sum()
    for mine, other in zip(torch.autograd.grad(ours, weights), torch.autograd.grad(theirs, weights), strict=True):
        torch.testing.assert_close(mine, other)


def test_the_loss_is_the_sum_of_its_terms() -> None:
    technique = small(layers=(), sparse=Sparsity.parse("kl:0.1:2"), contractive=0.3, l1=1e-3)
    images, noisy = pixels(6), pixels(6) + 0.1
    code, network = technique.encode(noisy), technique.network
    parts: Any = technique.loss(noisy, images)
    expected = {
        "reconstruction": (technique.reconstruct(noisy) - images).square().mean(),
        "sparsity": 2 * kl_divergence(Bernoulli(torch.tensor(0.1)), Bernoulli(code.mean(0))).sum(),
        "contraction": 0.3 * full_jacobians(technique, noisy).mean() / 64,
    }
    assert list(parts) == ["loss", *expected]
    for name, value in expected.items():
        torch.testing.assert_close(parts[name], value, msg=name)
    weights = 1e-3 * sum(p.abs().sum() for p in network.parameters() if p.ndim == 2)
    torch.testing.assert_close(parts["loss"], sum(expected.values()) + weights)


def test_signs_are_signs() -> None:
    drawn_signs = signs(2000, 3, torch.Generator().manual_seed(0))
    assert drawn_signs.unique().tolist() == [-1, 1]
    assert drawn_signs.mean(0).abs().max() < 0.1


@pytest.mark.parametrize("asked", ["kl:0.1", "l1:1e-2"])
def test_sparsity_makes_units_quiet(tmp_path: Path, data: ImageData, asked: str) -> None:
    means = []
    for name, sparse in (("without", None), ("with", Sparsity.parse(asked))):
        technique = trained(
            data, tmp_path / name, sparse=sparse, code_activation="sigmoid", layers=(), epochs=15, lr=0.05
        )
        means.append(technique.encode(data.train.pixels()).mean(0).detach())
    if asked.startswith("kl"):
        assert (means[1] - 0.1).abs().max() < 0.06
        assert (means[0] - 0.1).abs().max() > 0.15
    assert means[1].mean() < 0.6 * means[0].mean()


@pytest.mark.parametrize("layers", [(), (9,)], ids=["closed form", "estimate"])
def test_contraction_makes_the_derivative_smaller(tmp_path: Path, data: ImageData, layers: Any) -> None:
    norms = []
    for name, weight in (("without", None), ("with", 5.0)):
        technique = trained(
            data,
            tmp_path / name,
            contractive=weight,
            layers=layers,
            tied=True,
            code_activation="sigmoid",
            epochs=6,
            lr=0.01,
        )
        norms.append(full_jacobians(technique, data.test.pixels()).mean())
    assert norms[1] < 0.5 * norms[0]
    row = Run(tmp_path / "with").metrics()[-1]
    assert row["train_loss"] == pytest.approx(row["train_reconstruction"] + row["train_contraction"], rel=1e-4)


def test_the_validation_loss_has_the_constraints_in_it(tmp_path: Path, data: ImageData) -> None:
    chosen = options(layers=(), contractive=1.0, sparse=Sparsity.parse("kl:0.2"))
    torch.manual_seed(0)
    technique = Autoencoder(chosen, data.spec)
    held_out = data.val.pixels()
    parts: Any = technique.loss(held_out, held_out)
    assert technique.mean_loss(data.val, runtime()) == pytest.approx(parts["loss"].item(), rel=1e-5)
    deep = Autoencoder(options(contractive=1.0), data.spec)
    assert deep.mean_loss(data.val, runtime()) == deep.mean_loss(data.val, runtime())


def test_kl_makes_samples_dependent(tmp_path: Path, data: ImageData) -> None:
    technique = Autoencoder(options(sparse=Sparsity.parse("kl:0.1"), accumulate=2), data.spec)
    with pytest.raises(UsageError, match="--accumulate 2"):
        technique.train(data, runtime(), new_run(tmp_path))


REFUSED = [
    (["--sparse", "kl:0.05", "--code-activation", "relu"], "--sparse kl takes activations as probabilities"),
    (["--sparse", "kl"], "between 0 and 1 (kl:0.05), got 'kl'"),
    (["--sparse", "kl:1"], "between 0 and 1 (kl:0.05), got 'kl:1'"),
    (["--sparse", "kl:0.1:0"], "positive weight (kl:0.05:0.1), got 'kl:0.1:0'"),
    (["--sparse", "l1:-1"], "l1 takes a positive weight (l1:1e-4), got 'l1:-1'"),
    (["--sparse", "l2:1"], "expected kl:TARGET, kl:TARGET:WEIGHT or l1:WEIGHT, got 'l2:1'"),
    (["--contractive", "0"], "--contractive: expected a number greater than 0"),
    (["--contractive", "--batch-norm"], "with --batch-norm it depends on the others"),
    (["--tied", "--net", "conv", "--upsample", "nearest"], "leave --upsample nearest out"),
    (["--layers", "5,0"], "--layers 5,0: a layer needs units"),
    (["--layers", "0", "--net", "conv"], "--layers 0 leaves a convolutional network no stage"),
    (["--output", "linear", "--loss", "bce"], "--loss bce takes the output as a probability"),
    (["--greedy", "--net", "conv"], "--greedy trains fully connected layers"),
    (["--greedy", "--layers", "0"], "--layers 0 leaves a single one"),
    (["--greedy", "--batch-norm"], "leave --batch-norm out"),
    (["--greedy", "--denoise", "mask:0.1+bars:2"], "use gaussian, speckle, mask or salt-pepper"),
    (["--greedy-epochs", "3"], "add --greedy"),
]


@pytest.mark.parametrize(
    ("flags", "says"), REFUSED, ids=lambda value: " ".join(value) if isinstance(value, list) else ""
)
def test_what_makes_no_sense_is_refused(flags: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "autoencoder", *flags, "--write-config", "never.toml"]) == 2
    assert says in capsys.readouterr().err


@drawn(
    st.one_of(
        st.builds(Sparsity, st.just("l1"), st.floats(1e-12, 1e12)),
        st.builds(Sparsity, st.just("kl"), st.just(KL_WEIGHT) | st.floats(1e-12, 1e12), st.floats(1e-9, 0.999)),
    )
)
def test_sparsity_is_written_as_it_is_read(sparse: Sparsity) -> None:
    assert Sparsity.parse(str(sparse)) == sparse


def test_the_code_is_linear_unless_kl_needs_probabilities() -> None:
    assert AutoencoderOptions().unit == "linear"
    assert AutoencoderOptions(sparse=Sparsity.parse("l1:1")).unit == "linear"
    assert AutoencoderOptions(sparse=Sparsity.parse("kl:0.1")).unit == "sigmoid"
    assert not closed_form(small(layers=(3,)).network.encoder, "linear")
