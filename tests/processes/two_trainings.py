"""What each process of a group does in ``test_together``: the trainings that a file lists, one after the other.

python two_trainings.py JOBS      JOBS: a JSON list of [technique, options]; torchrun sets the rest
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from torch import nn

from dlkit import ranks, session
from dlkit.discovery import registry
from dlkit.display import Display
from dlkit.settings import resolve


def main(jobs: Path) -> None:
    """Train, conclude nothing, and leave only runs."""
    from dlkit_builtin.gan import networks

    # Batch norm sees the rows of one process only: what is to be the same does without.
    networks.norm = lambda channels, size, kind=nn.BatchNorm2d: nn.Identity()
    session.conclude = lambda run, *arguments: None
    for technique, options in json.loads(jobs.read_text()):
        settings = resolve(registry().technique(technique), flags=options)
        session.train(settings, Display(quiet=True, mute=ranks.rank() > 0))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
