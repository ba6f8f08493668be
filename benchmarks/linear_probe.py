"""A linear probe, whole processes: the PyTorch tutorial's loop beside `dlkit transfer --strategy linear-probe`.

python benchmarks/linear_probe.py [--images 300] [--data FOLDER] [--rounds 1] [--backbone resnet50] [--weights FILE]

The tutorial (transfer learning, "ConvNet as fixed feature extractor"): the frozen backbone runs again in each of 10
epochs, fp32, batches of 4 through a DataLoader with PIL transforms, SGD on the last layer; after each epoch the val
images. dlkit runs twice: with an empty feature cache, and again with what is there then. The goals are 12 times faster
than the tutorial (40 where the processor has bf16 matrix units), and, the second time, imports plus at most 2 s.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from photos import make_photos, tutorial_loader

EPOCHS = 10


def tutorial(folder: Path, backbone: str, weights: str | None, arguments: list[str], workers: int) -> None:
    """The loop, in a process of its own; prints its best val accuracy as JSON."""
    import timm
    import torch
    from torch import nn

    torch.manual_seed(0)
    built = dict(argument.split("=") for argument in arguments)
    network = timm.create_model(backbone, pretrained=False, **built)
    if weights:
        from safetensors.torch import load_file

        network.load_state_dict(load_file(weights), strict=False)
    network.requires_grad_(False)
    loaders = {
        "train": tutorial_loader(folder / "train", 4, training=True, workers=workers),
        "val": tutorial_loader(folder / "val", 4, workers=workers),
    }
    network.reset_classifier(len(loaders["train"].dataset.classes))
    head = network.get_classifier()
    optimizer = torch.optim.SGD(head.parameters(), lr=0.001, momentum=0.9)
    schedule = torch.optim.lr_scheduler.StepLR(optimizer, step_size=7, gamma=0.1)
    best = 0.0
    for _ in range(EPOCHS):
        for phase in ("train", "val"):
            network.train(phase == "train")
            right = 0
            for images, labels in loaders[phase]:
                optimizer.zero_grad()
                with torch.set_grad_enabled(phase == "train"):
                    logits = network(images)
                    loss = nn.functional.cross_entropy(logits, labels)
                    if phase == "train":
                        loss.backward()
                        optimizer.step()
                right += int((logits.argmax(1) == labels).sum())
            if phase == "train":
                schedule.step()
            else:
                best = max(best, right / len(loaders[phase].dataset))
    print(json.dumps({"accuracy": best}))


def timed(command: list[str], environment: dict[str, str], place: Path) -> tuple[float, float, str]:
    """Wall seconds, CPU seconds, standard output of a process."""
    before = os.times()
    start = time.perf_counter()
    done = subprocess.run(command, env=environment, cwd=place, capture_output=True, text=True)
    wall, after = time.perf_counter() - start, os.times()
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stderr}")
    print("    " + "\n    ".join(line for line in done.stderr.splitlines() if line.startswith("Features")), flush=True)
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return wall, cpu, done.stdout


def accuracy_of(place: Path) -> float:
    """Of the held-out images, as the latest run evaluated it."""
    rows = json.loads((place / "runs/latest/evaluation.json").read_text())
    figures: Any = rows.get("metrics", rows) if isinstance(rows, dict) else rows
    return next((float(row["value"]) for row in figures if row["name"] in ("top1", "accuracy")), float("nan"))


def main() -> None:
    """Parse, and compare; or be the tutorial."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=300, help="that are generated")
    parser.add_argument("--data", type=Path, help="a folder with train/ and val/ in place of generated ones")
    parser.add_argument("--backbone", default="resnet50")
    parser.add_argument("--weights", help="a timm state dict (safetensors); random weights if not given")
    parser.add_argument("--backbone-arg", default=[], nargs="*")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--workers", type=int, default=0, help="DataLoader workers of the tutorial's loop")
    parser.add_argument("--tutorial", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.tutorial:
        tutorial(options.tutorial, options.backbone, options.weights, options.backbone_arg, options.workers)
        return
    with tempfile.TemporaryDirectory() as folder:
        compare(options, Path(folder))


def compare(options: argparse.Namespace, place: Path) -> None:
    """Run the processes in turns."""
    data = (options.data or make_photos(place / "photos", options.images)).absolute()
    shared = ["--backbone", options.backbone]
    shared += ["--weights", str(Path(options.weights).absolute())] if options.weights else []
    arguments = [part for argument in options.backbone_arg for part in ("--backbone-arg", argument)]
    loop = [sys.executable, str(Path(__file__).absolute()), "--tutorial", str(data), "--workers", str(options.workers)]
    loop += shared + (["--backbone-arg", *options.backbone_arg] if options.backbone_arg else [])
    command = [
        str(Path(sys.executable).with_name("dlkit")),
        "transfer",
        "--strategy",
        "linear-probe",
        "--data",
        str(data),
        *shared,
        *arguments,
    ]
    command += [] if options.weights else ["--random-init"]
    imports = [sys.executable, "-c", "import torch, timm, sklearn.linear_model, matplotlib.figure, dlkit.session"]
    sides: dict[str, list[tuple[float, float]]] = {"imports": [], "tutorial": [], "first run": [], "second run": []}
    accuracies: dict[str, float] = {}
    for turn in range(options.rounds):
        environment = os.environ | {"DLKIT_HOME": str(place / f"home{turn}")}
        for name, line in zip(sides, (imports, loop, command, command), strict=True):
            wall, cpu, out = timed(line, environment, place)
            sides[name].append((wall, cpu))
            if name == "tutorial":
                accuracies[name] = json.loads(out)["accuracy"]
            elif name != "imports":
                accuracies[name] = accuracy_of(place)
    show(sides, accuracies)


def show(sides: dict[str, list[tuple[float, float]]], accuracies: dict[str, float]) -> None:
    """Medians, ratios to the tutorial, accuracies."""
    print(f"{'':14}{'wall s':>9}{'cpu s':>9}{'ratio':>8}{'cpu ratio':>11}{'accuracy':>10}")
    for name, taken in sides.items():
        wall, cpu = (statistics.median(part) for part in zip(*taken, strict=True))
        pairs = list(zip(sides["tutorial"], taken, strict=True))
        ratios = [statistics.median(base[clock] / own[clock] for base, own in pairs) for clock in (0, 1)]
        figure = f"{accuracies[name]:10.3f}" if name in accuracies else ""
        print(f"{name:14}{wall:9.1f}{cpu:9.1f}{ratios[0]:8.1f}{ratios[1]:11.1f}{figure}")
    beyond = statistics.median(b[0] - a[0] for a, b in zip(sides["imports"], sides["second run"], strict=True))
    print(f"The second run took {beyond:.1f} s more than its imports (goal: at most 2).")


if __name__ == "__main__":
    main()
