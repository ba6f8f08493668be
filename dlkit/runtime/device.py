"""Which device computes, in which precision, with how many threads."""

from __future__ import annotations

import ctypes
import os
import re
from collections.abc import Sequence
from contextlib import suppress

import torch

from dlkit import ranks
from dlkit.errors import UsageError

_ALONE = "--devices 1"
_ON_ANY_CPU = 2  # processes, to try out what several do
_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # glibc's malloc.h


def resolve_device(name: str) -> torch.device:
    """The device that ``--device`` names; where processes train together, this process's own.

    ``auto`` is the first of CUDA (ROCm included), MPS and the CPU that is there.

    Raises:
        UsageError: a name that is no device, or a device that this machine lacks, or fewer of them than processes.
    """
    present = _present()
    if ranks.count() > 1:
        return _own(name, present, ranks.local_rank(), ranks.local_count())
    return torch.device(present[0]) if name == "auto" else _named(name, present)


def _check_name(name: str, present: Sequence[str]) -> None:
    if not re.fullmatch(r"auto|cpu|mps|cuda(:\d+)?", name):
        raise UsageError(
            f"--device {name}: expected auto, cpu, cuda, cuda:N or mps.", f"This machine has: {', '.join(present)}."
        )


def _named(name: str, present: Sequence[str]) -> torch.device:
    _check_name(name, present)
    wanted = "cuda:0" if name == "cuda" else name
    if wanted not in present:
        raise UsageError(
            f"--device {name}: there is no such device here.",
            f"This machine, with the installed PyTorch {torch.__version__}, has: {', '.join(present)}.",
        )
    return torch.device(wanted)


def check_devices(name: str, count: int) -> None:
    """See whether ``count`` processes on this machine find a device each.

    Raises:
        UsageError: they do not.
    """
    if _own(name, _present(), 0, count).type == "cpu" and count > max(available_threads(), _ON_ANY_CPU):
        raise UsageError(
            f"--devices {count}: this machine has {available_threads()} CPUs, and more processes than these only wait.",
            f"On a CPU one process is mostly the fastest: {_ALONE}.",
        )


def _own(name: str, present: Sequence[str], number: int, count: int) -> torch.device:
    """Of ``count`` processes on this machine, the device of process ``number``."""
    _check_name(name, present)
    kind = present[0].partition(":")[0] if name == "auto" else name
    if kind == "cpu":
        return torch.device("cpu")
    if count == 1 and kind.startswith("cuda:"):  # one process on each of several machines
        return _named(name, present)
    if kind != "cuda":
        raise UsageError(
            f"--device {name}: processes that train together cannot share it.",
            f"Use --device cuda, --device cpu or {_ALONE}.",
        )
    found = [device for device in present if device.startswith("cuda")]
    if len(found) < count:
        have = f"this machine has {len(found)} GPU{'' if len(found) == 1 else 's'}"
        raise UsageError(f"--devices {count}: {have}.", f"Use --devices {len(found)}." if found else f"Use {_ALONE}.")
    return torch.device(found[number])


def _present() -> list[str]:
    """The devices of this machine, the preferred one first."""
    found = [f"cuda:{index}" for index in range(torch.cuda.device_count())] if torch.cuda.is_available() else []
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]


def resolve_precision(name: str, device: torch.device) -> str:
    """``fp32`` or ``bf16``, as ``--precision`` says; ``auto`` is bf16 on a CUDA device that computes in it.

    Raises:
        UsageError: bf16 was asked for on a GPU that has none.
    """
    if device.type == "cuda":
        with torch.cuda.device(device):
            native = torch.cuda.is_bf16_supported(including_emulation=False)
        if name == "bf16" and not native:
            raise UsageError(
                f"--precision bf16: {torch.cuda.get_device_name(device)} does not compute in bf16.",
                "Use --precision fp32.",
            )
        return "bf16" if native and name == "auto" else name.replace("auto", "fp32")
    return name.replace("auto", "fp32")


def configure(device: torch.device, threads: int | None) -> int:
    """Set what PyTorch keeps per process; returns the number of CPU threads.

    * Denormal numbers are flushed to zero: Adam's state decays into them, and epochs get up to 1.5 × slower.
      PyTorch's worker threads inherit the setting when they start, so a runtime is made before other work.
    * Freed memory is kept (Linux with glibc): a step's tensors are as large as the last one's, and pages that the
      system takes back and clears anew cost up to half of a step that mostly moves pixels.
    * fp32 means fp32: TF32 is off on GPUs, so that an export can be equal to the model within 1e-4; who wants
      speed has bf16, which ``auto`` takes.
    """
    count = threads or own_threads()
    torch.set_flush_denormal(True)
    _keep_memory()
    if torch.get_num_threads() != count:
        torch.set_num_threads(count)
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.backends.cuda.matmul.allow_tf32 = False
        torch.backends.cudnn.allow_tf32 = False
    return count


def _keep_memory() -> None:
    """Keep blocks of up to 64 MiB, and 512 MiB of them in all, instead of giving each back."""
    with suppress(OSError, AttributeError, TypeError):  # another system, or another C library
        set_option = ctypes.CDLL(None).mallopt
        for option, value in ((_TRIM_THRESHOLD, 512 << 20), (_MMAP_THRESHOLD, 64 << 20)):
            set_option(option, value)


def own_threads() -> int:
    """This process's share of them, where several train together on this machine."""
    return max(1, available_threads() // ranks.local_count())


def available_threads() -> int:
    """The CPUs that this process may use."""
    try:
        return len(os.sched_getaffinity(0))
    except AttributeError:  # macOS
        return os.cpu_count() or 1
