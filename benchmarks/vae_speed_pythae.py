"""The other side of vae_speed.py: pythae's VAE and its BaseTrainer, an epoch for each line that is read.

Runs with the Python of an environment that has pythae, torch and nothing of dlkit.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from pathlib import Path

import torch


def main() -> None:
    """``ready``, ``epoch``, ``elbo`` on standard input; answers on standard output."""
    from pythae.data.datasets import BaseDataset
    from pythae.models import VAE, VAEConfig
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    folder, settings = sys.argv[1], json.loads(sys.argv[2])
    torch.set_num_threads(settings["threads"])
    torch.manual_seed(settings["seed"])
    images = torch.load(Path(folder) / "images.pt", weights_only=True)
    train, test = images["train"], images["test"]
    model = VAE(VAEConfig(input_dim=tuple(train.shape[1:]), latent_dim=16, reconstruction_loss="bce"))
    config = BaseTrainerConfig(
        output_dir=str(Path(folder) / "pythae"), num_epochs=settings["epochs"], learning_rate=1e-3,
        per_device_train_batch_size=settings["batch"], seed=settings["seed"], no_cuda=True,
    )  # fmt: skip
    trainer = BaseTrainer(model, train_dataset=BaseDataset(train, torch.zeros(len(train))), training_config=config)
    trainer.prepare_training()
    epoch, clock = 0, time.process_time if settings["clock"] == "cpu" else time.perf_counter
    for line in sys.stdin:
        answer = "yes"
        if line.strip() == "epoch":
            epoch += 1
            began = clock()
            with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):  # its progress bar
                trainer.train_step(epoch)
            answer = str(clock() - began)
        elif line.strip() == "elbo":
            model.eval()
            with torch.no_grad():
                answer = str(-float(model(BaseDataset(test, torch.zeros(len(test)))[:]).loss))
        print(f"answer {answer}", flush=True)


if __name__ == "__main__":
    main()
