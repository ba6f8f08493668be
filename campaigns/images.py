"""Mutated images: no crash, no hang, no traceback; each is named or read right, and no file of the user's changes.

python campaigns/images.py                  # 2,000 of them
python campaigns/images.py --count 200 --seed 7
"""

from __future__ import annotations

import argparse
import hashlib
import multiprocessing
import os
import resource
import shutil
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from commands import scratch
from mutations import Sample, samples, write

PORTION = 100
SECONDS = 60.0  # for a portion


def read_all(folder: bytes, answers: Any) -> None:
    """Read a folder as training does (in a process of its own): names that were read and their pixels, and the bad."""
    from dlkit.data import load_data
    from dlkit.options import DataOptions
    from dlkit.options.values import Size

    os.chdir("/")
    form: dict[str, Any] = {"image_size": Size(24, 20), "channels": "3", "on_bad_image": "skip"}
    data = load_data(DataOptions(data=os.fsdecode(folder), val_fraction=0, test_fraction=0, **form), workers=1)
    assert data.train.files is not None
    pixels = [hashlib.sha256((raw * 255).round().byte().numpy().tobytes()).hexdigest() for raw in data.train.pixels()]
    bad = {image.path: image.reason for image in data.bad_files}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    answers.send((dict(zip(data.train.files, pixels, strict=True)), bad, peak))


def expected(sample: Sample) -> str | None:
    """The pixels of a whole image by Pillow alone, where nothing but the size is to be done."""
    import io

    with Image.open(io.BytesIO(sample.content)) as image:
        if image.mode not in ("RGB", "L") or image.size != (20, 24) or image.getexif().get(0x0112, 1) != 1:
            return None
        return hashlib.sha256(np.asarray(image.convert("RGB")).transpose(2, 0, 1).tobytes()).hexdigest()


def portion(folder: Path, made: dict[bytes, Sample]) -> tuple[Counter[str], list[str], float]:
    """Read one folder; what became of its files, problems, and the peak of memory in MB."""
    before = state(folder)
    context = multiprocessing.get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=read_all, args=(bytes(folder), sender))
    process.start()
    sender.close()
    answered = receiver.poll(SECONDS)
    try:
        read, bad, peak = receiver.recv() if answered else ({}, {}, 0.0)
    except EOFError:
        answered, read, bad, peak = False, {}, {}, 0.0
    process.kill()
    process.join()
    problems = [] if answered else [f"{folder}: no answer: exit code {process.exitcode}"]
    if state(folder) != before:
        problems.append(f"{folder}: files were changed")
    tally: Counter[str] = Counter()
    for name, sample in made.items() if answered else ():
        shown = os.fsdecode(name).encode("utf-8", "backslashreplace").decode()
        tally["read" if shown in read else "named" if shown in bad else "lost"] += 1
        if shown not in read and shown not in bad:
            problems.append(f"{shown!r}: neither read nor named")
        elif sample.whole and (shown in bad or expected(sample) not in (None, read[shown])):
            problems.append(f"{shown!r}: whole, but {bad.get(shown, 'other pixels')}")
    problems += [
        f"{name!r}: a reason that no terminal can show: {reason!r}" for name, reason in bad.items() if not reason
    ]
    return tally, problems, peak


def state(folder: Path) -> dict[str, Any]:
    """Every file's time and content."""
    files = sorted(folder.iterdir())
    return {str(path): (path.stat().st_mtime_ns, hashlib.sha256(path.read_bytes()).hexdigest()) for path in files}


def main() -> int:
    """Run the campaign; the exit code is 1 where something went wrong."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=2000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--scratch", help="folder for images; by default the system's")
    options = parser.parse_args()
    import dlkit.data.load  # noqa: F401 - before the forks

    place, began = scratch("images", options.scratch), time.monotonic()
    tally: Counter[str] = Counter()
    problems: list[str] = []
    peak = 0.0
    made = iter(samples(options.count, options.seed))
    for number in range(-(-options.count // PORTION)):
        folder = place / str(number)
        folder.mkdir()
        some = [sample for _, sample in zip(range(PORTION), made)]  # noqa: B905 - the last portion is smaller
        done, wrong, most = portion(folder, write(folder, iter(some)))
        tally, problems, peak = tally + done, problems + wrong, max(peak, most)
    what = ", ".join(f"{count:,} {kind}" for kind, count in sorted(tally.items()))
    seconds = time.monotonic() - began
    print(f"{options.count:,} images: {what}; {len(problems)} problems; {seconds:.0f} s, at most {peak:,.0f} MB")
    for problem in problems:
        print(f"  {problem}")
    if not problems:
        shutil.rmtree(place)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
