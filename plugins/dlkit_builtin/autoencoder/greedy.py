"""Layer by layer (Bengio et al. 2007; Vincent et al. 2008, section 2.4): each layer is an autoencoder of its own.

Layer k learns to reproduce the codes of layer k − 1, which are computed once, from clean inputs. Then the encoders
are stacked, the decoders in reverse on top of them (*unrolled*, Hinton and Salakhutdinov 2006), and all is trained
together. Each layer's autoencoder is made of the two layers of the whole network that face one another, non-linearities
included, so that what it learned holds when the stack is unrolled.
"""

from __future__ import annotations

import dataclasses
from dataclasses import fields
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from dlkit.data import ImageData, Split
from dlkit.data.data import Resident
from dlkit.data.spec import DataSpec
from dlkit.errors import UsageError
from dlkit.layerwise import layer_phase, vectors
from dlkit.options import TrainOptions
from dlkit.technique import PhasePlan
from dlkit_builtin.autoencoder.networks import DenseDecoder, DenseEncoder
from dlkit_builtin.autoencoder.noise import Noise
from dlkit_builtin.autoencoder.options import AutoencoderOptions

if TYPE_CHECKING:
    from dlkit.layerwise import LayerTask
    from dlkit.run import Run
    from dlkit.runtime import Runtime
    from dlkit_builtin.autoencoder.technique import Autoencoder, Network


def plan(options: AutoencoderOptions, network: Network) -> list[PhasePlan]:
    """A phase for each layer."""
    encoder, decoder = _halves(network)
    pairs = zip(encoder.linears, decoder.linears[::-1], strict=True)
    return [
        PhasePlan(layer_phase(index + 1), options.greedy_epochs, {"encoder": up, "decoder": down})
        for index, (up, down) in enumerate(pairs)
    ]


def pretrain(whole: Autoencoder, data: ImageData, runtime: Runtime, run: Run) -> None:
    """Teach the network's layers one after the other; their weights are in the network then."""
    encoder, decoder = _halves(whole.network)
    pairs = list(zip(encoder.linears, decoder.linears[::-1], strict=True))
    for index, (up, down) in enumerate(pairs):
        layer = _layer(whole, index, data.spec, runtime)
        layer.fit(data, runtime, run, layer_phase(index + 1))
        taught, mirror = _halves(layer.network)
        up.load_state_dict(taught.code.state_dict())
        down.load_state_dict(mirror.output.state_dict())
        if index < len(pairs) - 1:
            data = _codes_of(layer, data, runtime)


def learn_layer(inputs: Split, task: LayerTask, runtime: Runtime, run: Run) -> nn.Linear:
    """One layer h = s(W x + b), the encoder of an autoencoder with tied weights; a ``dlkit.layerwise.LayerLearner``.

    Inputs that are probabilities are decoded by a sigmoid and compared by cross-entropy, others linearly and by the
    squared error (Vincent et al. 2010, section 2.2).

    Raises:
        UsageError: noise that needs rows and columns.
    """
    noise = None if task.noise is None else Noise.parse(task.noise)
    if noise is not None and any(part.kind in ("bars", "block") for part in noise.parts):
        raise UsageError(f"Vectors cannot be corrupted by {noise}: they have no rows and columns.", "Use mask:0.25.")
    common = {field.name: getattr(task.options, field.name) for field in fields(TrainOptions)} | {"patience": None}
    options = AutoencoderOptions(
        **common,
        layers=(),
        code=task.units,
        code_activation=task.activation,  # type: ignore[arg-type]
        tied=True,
        denoise=noise,
        loss="bce" if task.binary else "mse",
        output="sigmoid" if task.binary else "linear",
        init="xavier" if task.activation in ("sigmoid", "tanh") else "he",
    )
    train = _columns(inputs)
    data = _only_codes(train, train.subset(torch.arange(0)))
    layer = _drawn(options, data.spec, None, runtime, task.phase)
    layer.fit(data, runtime, run, task.phase)
    return _halves(layer.network)[0].code


def _layer(whole: Autoencoder, index: int, spec: DataSpec, runtime: Runtime) -> Autoencoder:
    """The autoencoder of one layer; sparsity is the code's alone, which is the last one's."""
    options, linears = whole.options, _halves(whole.network)[0].linears
    last = index == len(linears) - 1
    output = whole.network.output_name if index == 0 else options.activation
    own = dataclasses.replace(
        options,
        layers=(),
        code=linears[index].out_features,
        code_activation=options.unit if last else options.activation,
        output="auto",
        loss=options.loss if output == "sigmoid" else "mse",
        sparse=options.sparse if last else None,
        greedy=False,
        greedy_epochs=10,
        epochs=options.greedy_epochs,
        schedule_epochs=None,
    )
    return _drawn(own, spec, output, runtime, layer_phase(index + 1))


def _drawn(
    options: AutoencoderOptions, spec: DataSpec, output: str | None, runtime: Runtime, phase: str
) -> Autoencoder:
    """An autoencoder whose weights depend on the seed and the phase only."""
    from dlkit_builtin.autoencoder.technique import Autoencoder

    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(runtime.derive("weights", phase))
        return Autoencoder(options, spec, output)


def _codes_of(layer: Autoencoder, data: ImageData, runtime: Runtime) -> ImageData:
    """What a layer makes of clean inputs, as the next one's data."""
    train, val = (vectors(split.name, runtime.collect(layer.encode, split)) for split in (data.train, data.val))
    return _only_codes(_columns(train), _columns(val))


def _only_codes(train: Split, val: Split) -> ImageData:
    """Vectors in columns as a data set without a test split."""
    size = train.raw().shape[2]
    spec = DataSpec(source="codes", name="codes", channels=1, height=size, width=1)
    return ImageData(spec=spec, train=train, val=val, test=train.subset(torch.arange(0)))


def _columns(split: Split) -> Split:
    """Vectors ``(N, D, 1, 1)`` → ``(N, 1, D, 1)``: values that are corrupted one by one, not channels of one pixel."""
    columns: Tensor = split.raw().flatten(1)[:, None, :, None]
    return Split(split.name, Resident(columns), None, None)


def _halves(network: Network) -> tuple[DenseEncoder, DenseDecoder]:
    encoder, decoder = network.encoder, network.decoder
    assert isinstance(encoder, DenseEncoder)  # noqa: S101 - options refuse --greedy with other networks
    assert isinstance(decoder, DenseDecoder)  # noqa: S101
    return encoder, decoder
