"""The options that every technique shares: data, runtime, run directory, gradient training."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from dlkit.options.declare import Options, option
from dlkit.options.values import Duration, Fold, LabelBudget, Schedule, Size


@dataclass(frozen=True, kw_only=True)
class DataOptions(Options):
    """Data"""

    data: str = option(
        "digits",
        "A data set's name (see `dlkit list datasets`), a folder, a CSV manifest, an .npz or an IDX file.",
        metavar="NAME|PATH",
        place="data",
    )
    label: tuple[str, ...] = option(
        (), "The manifest's column with the labels, by default `label`; or several, of numbers.", metavar="COLUMN,…"
    )
    target: Literal["auto", "classes", "multi-label", "number"] = option(
        "auto",
        "What labels say. auto: several per image where a manifest separates them by ; or |, numbers where they have "
        "fractions, else classes.",
    )
    labels: LabelBudget | None = option(
        None,
        "Keep so many labels of the train and val split, or this share of them, and hide the others; each class keeps "
        "its share. The test split keeps all.",
        metavar="N|FRACTION",
    )
    without: tuple[Literal["augmented", "generated"], ...] = option(
        (), "Leave out training images that `dlkit augment` added to the data.", metavar="ORIGIN,…", advanced=True
    )
    image_size: Size | None = option(
        None, "Height x width to bring images to; by default their own where they agree.", metavar="N|HxW"
    )
    channels: Literal["auto", "1", "3"] = option("auto", "1 for grey, 3 for RGB; by default what the images have.")
    normalize: Literal["none", "channel", "mean-image", "standardize"] = option(
        "none", "What the model subtracts and divides by, from the train split's statistics."
    )
    resize: Literal["crop", "pad", "stretch"] = option(
        "crop", "How images of another shape are fitted: cover and centre-crop, fit and pad, or stretch.", advanced=True
    )
    val_fraction: float = option(
        0.1,
        "Share of the training images held out for validation where the data has no val split.",
        min=0,
        max=0.9,
        advanced=True,
    )
    test_fraction: float = option(
        0.2,
        "Share of all images held out for testing where the data has no test split.",
        min=0,
        max=0.9,
        advanced=True,
    )
    fold: Fold | None = option(
        None,
        "Test on the I-th of K equal parts of the images, and train on the others; where the data has a test split, "
        "that is left out. `--kfold K` trains on all K.",
        metavar="I/K",
        advanced=True,
    )
    split_seed: int = option(
        0, "Seed of the splits that dlkit makes, and of the labels that it keeps.", min=0, max=2**32 - 1, advanced=True
    )
    on_bad_image: Literal["stop", "skip"] = option(
        "stop", "An image that cannot be read stops training before it starts, or is skipped and recorded."
    )
    in_memory: Literal["auto", "yes", "no"] = option(
        "auto", "Keep the decoded images in memory, or read them batch by batch; auto decides by size.", advanced=True
    )


@dataclass(frozen=True, kw_only=True)
class RuntimeOptions(Options):
    """Runtime"""

    device: str = option("auto", "auto, cpu, cuda, cuda:1, mps.", metavar="DEVICE")
    devices: int = option(
        1, "Processes that train together on this machine: one per GPU, or sharing a CPU's threads.", min=1
    )
    nodes: int = option(1, "Machines that train together, each with --devices processes.", min=1, advanced=True)
    rendezvous: str | None = option(
        None,
        "Where the processes of several nodes find one another: a port of the first node.",
        metavar="HOST:PORT",
        advanced=True,
    )
    precision: Literal["auto", "fp32", "bf16"] = option(
        "auto", "Arithmetic of the forward pass; weights stay float32. auto: bf16 on a GPU that has it, else fp32."
    )
    seed: int = option(0, "Seed of every random draw.", min=0)
    threads: int | None = option(
        None, "CPU threads; by default all that the process may use.", min=1, max=4096, advanced=True
    )
    workers: int | None = option(
        None,
        "Threads that read images when data is not in memory; by default as many as CPU threads.",
        min=1,
        max=4096,
        advanced=True,
    )
    compile: bool = option(False, "Compile the networks with torch.compile.", advanced=True)


@dataclass(frozen=True, kw_only=True)
class RunOptions(Options):
    """Run"""

    runs: str = option("runs", "Directory that holds the runs.", metavar="DIR")
    name: str | None = option(None, "The run's name; a number is added. By default the data's name.")


@dataclass(frozen=True, kw_only=True)
class TrainOptions(Options):
    """Training"""

    epochs: int = option(20, "Passes over the training images.", min=1, group="Training")
    batch_size: int = option(128, "Images per update.", min=1, group="Training")
    lr: float = option(1e-3, "Learning rate.", min=0, exclusive=True, group="Training")
    optimizer: str = option(
        "adam", "adam, adamw, sgd, rmsprop… of torch, or any that timm knows.", group="Training", metavar="NAME"
    )
    momentum: float = option(
        0.9, "Momentum, for optimizers that have one.", min=0, max=1, group="Training", advanced=True
    )
    weight_decay: float = option(0.0, "L2 penalty, or decoupled decay with adamw.", min=0, group="Training")
    schedule: Schedule = option(
        Schedule("constant"),
        "Learning rate over time: constant, step:30, exponential:0.97, sqrt, inverse, exp, cosine, one-cycle.",
        group="Training",
        metavar="NAME[:X]",
    )
    schedule_epochs: int | None = option(
        None,
        "Horizon T of sqrt, cosine and one-cycle; by default the phase's epochs.",
        min=1,
        group="Training",
        advanced=True,
    )
    warmup: float = option(
        0.0, "Epochs of linear warm-up of the learning rate.", min=0, group="Training", advanced=True
    )
    clip: float | None = option(
        None, "Clip the gradient's norm to this.", min=0, exclusive=True, group="Training", advanced=True
    )
    accumulate: int = option(
        1, "Compute each update in this many micro-batches.", min=1, group="Training", advanced=True
    )
    patience: int | None = option(
        None, "Stop after this many epochs without improvement on the val split.", min=1, group="Training"
    )
    max_time: Duration | None = option(
        None,
        "Stop training, and keep what was learned, after this long (90s, 10m, 1.5h).",
        group="Training",
        metavar="TIME",
    )
    checkpoint_every: Duration = option(
        Duration(30.0),
        "Time between checkpoints; 0 saves after every epoch.",
        group="Training",
        metavar="TIME",
        advanced=True,
    )
