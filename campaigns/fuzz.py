"""Coverage-guided fuzzing of everything that parses files: whatever the bytes, an answer or an error for the user.

pip install atheris
python campaigns/fuzz.py                        # a minute for each parser
python campaigns/fuzz.py --only npz --seconds 600
"""

from __future__ import annotations

import argparse
import io
import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from commands import scratch
from mutations import encoded

Parser = Callable[[Path], object]


def manifest(path: Path) -> object:
    """A CSV manifest."""
    from dlkit.data.manifest import list_manifest

    return list_manifest(path)


def archive(path: Path) -> object:
    """An .npz of images."""
    from dlkit.data.npz import list_npz

    return list_npz(path)


def codes(path: Path) -> object:
    """Codes of images."""
    from dlkit.codes import read_codes

    return read_codes(path)


def idx(path: Path) -> object:
    """An IDX file."""
    from dlkit.data.idx import list_idx_file

    return list_idx_file(path)


def image(path: Path) -> object:
    """An image: read, or named as bad."""
    from dlkit.data.decode import quiet_pil
    from dlkit.data.files import FileImages
    from dlkit.data.spec import DataSpec
    from dlkit.display import Display

    spec = DataSpec(source="", name="", channels=3, height=16, width=16)
    with quiet_pil():
        files = FileImages([path], workers=1)
        files.survey(Display(quiet=True))
        return files.read(np.zeros(1, np.int64), spec, np.empty((1, 3, 16, 16), np.uint8))


def config(path: Path) -> object:
    """A config of any technique."""
    from dlkit.discovery import registry
    from dlkit.settings import settings_from_toml

    return settings_from_toml(path, registry())


def spec(path: Path) -> object:
    """A run's data.json."""
    from dlkit.run.reading import read_spec

    return read_spec(path)


def figures(path: Path) -> object:
    """A run's evaluation.json, status.json, environment.json and metrics.jsonl."""
    from dlkit.errors import DlkitError
    from dlkit.run.reading import read_figures, read_object, read_rows, read_sessions

    for read in (read_figures, read_object, read_rows, read_sessions):
        try:
            read(path)
        except DlkitError:
            continue
    return None


def checkpoint(path: Path) -> object:
    """A checkpoint."""
    from dlkit.runtime.checkpoint import read_checkpoint

    return read_checkpoint(path)


def weights(path: Path) -> object:
    """A file of weights: safetensors, and PyTorch's own."""
    from dlkit.backbones.weights import read_weights
    from dlkit.errors import DlkitError

    for suffix in (".safetensors", ".pth"):
        named = path.with_suffix(suffix)
        named.write_bytes(path.read_bytes())
        try:
            read_weights(str(named))
        except DlkitError:
            continue
    return None


def exported(path: Path) -> object:
    """An ONNX file."""
    from dlkit.predict.onnx_predictor import OnnxPredictor

    return OnnxPredictor(path, threads=1)


def policy(path: Path) -> object:
    """A policy of augmentation, as a file."""
    from dlkit.augment.policy import Policy
    from dlkit.errors import UsageError

    named = path.with_suffix(".toml")
    named.write_bytes(path.read_bytes())
    try:
        return Policy.parse(str(named))
    except ValueError as error:  # what an option's value says of itself becomes this
        raise UsageError(str(error)) from error


PARSERS: dict[str, tuple[Parser, Callable[[], list[bytes]]]] = {
    "manifest": (manifest, lambda: [b"image_path,label,split\na.png,x,train\n\"b,c.png\",,val\n"]),
    "npz": (archive, lambda: [_npz(images=np.zeros((3, 4, 4), np.uint8), labels=np.arange(3))]),
    "codes": (codes, lambda: [_npz(codes=np.ones((3, 2), np.float32), files=np.array(["a", "b", "c"]))]),
    "idx": (idx, lambda: [b"\0\0\x08\x03\0\0\0\x02\0\0\0\x02\0\0\0\x02" + bytes(8)]),
    "image": (image, lambda: [content for _, content in encoded(random.Random(0))]),
    "config": (config, lambda: [b'technique = "autoencoder"\nepochs = 3\nlayers = [8, 4]\ndenoise = "gaussian:0.3"\n']),
    "spec": (spec, lambda: [_spec()]),
    "figures": (figures, lambda: [b'{"metrics": [], "tables": []}\n', b'[{"threads": 1}]\n']),
    "checkpoint": (checkpoint, lambda: [_checkpoint()]),
    "weights": (weights, lambda: [_checkpoint(), _pickled()]),
    "onnx": (exported, lambda: [b"\x08\x08\x12\x00"]),
    "policy": (policy, lambda: [b'[[step]]\naugment = "rotate"\ndegrees = "10..20"\n']),
}  # fmt: skip


def _npz(**arrays: np.ndarray) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, **arrays)
    return stream.getvalue()


def _spec() -> bytes:
    import json

    from dlkit.data.spec import DataSpec

    return json.dumps(DataSpec(source="x", name="x", channels=1, height=4, width=4).to_json()).encode()


def _checkpoint() -> bytes:
    import torch
    from safetensors.torch import save

    return save({"a": torch.zeros(2)}, {"dlkit": '{"dict": [["format", 1], ["x", {"tensor": "a"}]]}'})


def _pickled() -> bytes:
    import torch

    stream = io.BytesIO()
    torch.save({"w": torch.zeros(2)}, stream)
    return stream.getvalue()


def fuzz(name: str, place: Path, seconds: int) -> None:
    """Fuzz one parser in this process, which ends with it: 0 where all went well."""
    import atheris

    with atheris.instrument_imports(include=["dlkit"]):
        from dlkit.errors import DlkitError

        parser, seeds = PARSERS[name]
        file, corpus = place / f"{name}.bin", place / f"{name}-corpus"
        corpus.mkdir()
        for number, content in enumerate(seeds()):
            (corpus / str(number)).write_bytes(content)
        try:
            file.write_bytes(b"")
            parser(file)  # import what it needs
        except DlkitError:
            pass

    def once(content: bytes) -> None:
        file.write_bytes(content)
        try:
            parser(file)
        except DlkitError as error:
            str(error).encode()

    arguments = [
        f"-max_total_time={seconds}",
        "-rss_limit_mb=4096",
        "-timeout=20",
        "-max_len=8192",
        "-print_final_stats=1",
    ]
    atheris.Setup([sys.argv[0], *arguments, f"-artifact_prefix={place}/{name}-", str(corpus)], once)
    atheris.Fuzz()


def main() -> int:
    """Run the campaign; the exit code is 1 where a parser failed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--only", choices=PARSERS, nargs="+", default=list(PARSERS))
    parser.add_argument("--seconds", type=int, default=60, help="for each parser")
    parser.add_argument("--scratch", help="folder for what is found; by default the system's")
    options = parser.parse_args()
    place, failed = scratch("fuzz", options.scratch), []
    for name in options.only:
        began = time.monotonic()
        if (pid := os.fork()) == 0:
            log = os.open(place / f"{name}.log", os.O_WRONLY | os.O_CREAT, 0o600)
            os.dup2(log, 1)
            os.dup2(log, 2)
            fuzz(name, place, options.seconds)
            os._exit(3)  # Fuzz() does not return
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        text = (place / f"{name}.log").read_text(errors="replace")
        tried = [line.split()[-1] for line in text.splitlines() if "number_of_executed_units" in line]
        print(
            f"{name}: {tried[0] if tried else '?'} inputs in {time.monotonic() - began:.0f} s, exit code {code}",
            flush=True,
        )
        if code != 0:
            failed.append(name)
            print("\n".join(f"  {line}" for line in text.splitlines()[-25:]), flush=True)
    if not failed:
        shutil.rmtree(place)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
