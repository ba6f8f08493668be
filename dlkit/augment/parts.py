"""A batch in parts, on which several threads work at once.

Augmenters are made of many small operations, and policies of small groups of images: on a CPU PyTorch's own threads
would wait for each other in each of them. Here every thread computes alone.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from threading import Barrier

import torch

from dlkit.augment.scenes import Scenes

_LEAST = 2**20  # numbers that are worth a thread


def in_parts(work: Callable[[slice], Scenes], scenes: Scenes) -> Scenes:
    """What work on rows gives for all rows of these scenes.

    Args:
        work: for some rows, what becomes of them; called by several threads at once.
        scenes: a batch, for which one call is enough on a GPU, with one thread, or where it is small.
    """
    threads, size = torch.get_num_threads(), len(scenes)
    count = min(threads, size, scenes.images.numel() // _LEAST) if scenes.images.device.type == "cpu" else 1
    if count < 2:
        return work(slice(0, size))
    edges = [size * part // count for part in range(count + 1)]
    whole, inference = scenes.blank(), torch.is_inference_mode_enabled()

    def fill(rows: slice) -> None:
        with torch.inference_mode(inference):  # as the caller; PyTorch keeps it for each thread
            whole.write(rows, work(rows))

    list(lonely_pool(threads).map(fill, map(slice, edges, edges[1:])))
    return whole


@cache
def lonely_pool(threads: int) -> ThreadPoolExecutor:
    """So many threads, of which each computes alone."""
    started = Barrier(threads + 1)

    def alone() -> None:
        torch.get_num_threads()  # a thread takes over the process's number when it is first asked for
        torch.set_num_threads(1)
        started.wait()

    pool = ThreadPoolExecutor(threads, thread_name_prefix="augment", initializer=alone)
    for _ in range(threads):
        pool.submit(int)
    started.wait()
    torch.set_num_threads(threads)  # the process's number, for all later threads
    return pool
