"""Published weights: out of the caches of Hugging Face and torch, else fetched; without a network one error, soon.

What is in a cache is used as it is, and nobody is asked whether there is something newer: a run repeats, and works
offline. ``HF_HOME``, ``HF_HUB_CACHE``, ``HF_HUB_OFFLINE``, ``HF_ENDPOINT``, ``HF_TOKEN`` and ``TORCH_HOME`` mean what
they mean to these libraries.
"""

from __future__ import annotations

import os
import re
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlparse

import huggingface_hub as hf
import torch
from huggingface_hub import constants, errors

from dlkit.display import Display
from dlkit.errors import DataError
from dlkit.fetching import FetchError, digest_begins, fetch

PATIENCE = 2.5
"""Seconds until a host counts as not reachable; ``HF_HUB_ETAG_TIMEOUT`` overrides it. The libraries' own way is to
try again and again for most of a minute."""

STANDSTILL = 600.0
"""Seconds without a sign of progress after which the hub's library is stopped. It gives a server up that is silent, but
not one that drips; and it writes what comes in pieces of 10 MiB, so that these are the signs: 17 kB/s are enough."""

_PARTING = 5.0  # seconds, at most, for what is stopped to clear up

_FILES = ("model.safetensors", "pytorch_model.bin")
_REMEDIES = (
    "Give --weights FILE, or --random-init for a network without pretraining; or fill {cache} on a machine with a "
    "network ({variable} names another place){mirror}."
)
_T = TypeVar("_T")


def patience() -> float:
    """Seconds to wait for a host's first answer."""
    return float(os.environ.get("HF_HUB_ETAG_TIMEOUT") or PATIENCE)


def cached_from_hub(repository: str, filename: str | None = None) -> Path | None:
    """The file of weights in Hugging Face's cache, if it is there.

    Args:
        repository: ``owner/name``, or ``owner/name@revision``.
        filename: by default the usual ones.
    """
    name, _, revision = repository.partition("@")
    for candidate in (filename,) if filename else _FILES:
        found = hf.try_to_load_from_cache(name, candidate, revision=revision or None, cache_dir=constants.HF_HUB_CACHE)
        if isinstance(found, str) and Path(found).is_file():
            return Path(found)
    return None


def from_hub(repository: str, filename: str | None = None) -> Path:
    """The file of weights of a repository of the hub: cached, or fetched into the cache.

    Raises:
        DataError: it is not cached, and cannot be fetched; within a few seconds where nobody answers.
    """
    found = cached_from_hub(repository, filename)
    if found is not None:
        return found
    if constants.is_offline_mode():
        raise _unavailable(repository, "HF_HUB_OFFLINE is set")
    name, _, revision = repository.partition("@")
    for candidate in (filename,) if filename else _FILES:
        url = hf.hf_hub_url(name, candidate, revision=revision or None, endpoint=constants.ENDPOINT)
        try:
            within(patience(), lambda url=url: hf.get_hf_file_metadata(url, timeout=patience()))  # type: ignore[misc]
            return _checked(Path(_downloaded(name, candidate, revision or None)))
        except errors.EntryNotFoundError:
            continue
        except Exception as error:  # the libraries below (hub, HTTP, TLS) share no base class
            raise _unavailable(repository, _reason(error)) from error
    raise _unavailable(repository, f"{constants.ENDPOINT} has no {' or '.join(_FILES)} of it")


def _downloaded(name: str, filename: str, revision: str | None) -> str:
    """As the hub's library does it, which waits for a server that drips without end.

    Raises:
        TimeoutError: too little comes; what came is removed.
    """
    cache = Path(constants.HF_HUB_CACHE)

    def unfinished() -> dict[Path, float]:
        found = {}
        for path in cache.glob(f"models--{name.replace('/', '--')}/blobs/*.incomplete"):
            with suppress(FileNotFoundError):  # it is whole now
                found[path] = path.stat().st_mtime
        return found

    def download() -> str:
        return str(hf.hf_hub_download(name, filename, revision=revision, cache_dir=cache))

    def stop() -> None:
        if hasattr(hf, "close_session"):
            hf.close_session()  # with its connections: the library ends, removes what came, lets go of its lock

    try:
        return within(STANDSTILL, download, unfinished, stop)
    except TimeoutError:
        for path, written in unfinished().items():
            if time.time() - written >= STANDSTILL:  # nobody's any more
                path.unlink(missing_ok=True)
        raise


def _checked(path: Path) -> Path:
    """The file, if it is what the hub calls it: large files are known by their SHA-256, which nobody else checks.

    Raises:
        ValueError: it is not; the cache has it no longer.
    """
    blob = path.resolve()
    if re.fullmatch("[0-9a-f]{64}", blob.name) and not digest_begins(blob, "sha256", blob.name):
        path.unlink()
        blob.unlink(missing_ok=True)
        raise ValueError("what came is another file: its SHA-256 is not the one that the hub names")
    return path


def _reason(error: Exception) -> str:
    if isinstance(error, errors.GatedRepoError):
        return f"its licence must be accepted at {constants.ENDPOINT} first, and HF_TOKEN be set"
    if isinstance(error, errors.RepositoryNotFoundError):
        return f"{constants.ENDPOINT} has no such repository, or it is private"
    # Whichever limit is the first to end, ours or that of the HTTP library, whose ConnectTimeout… are no TimeoutError.
    if isinstance(error, TimeoutError) or type(error).__name__.endswith("Timeout"):
        return f"{constants.ENDPOINT} does not answer ({error})"
    text = " ".join(str(error).split()) or type(error).__name__
    return f"fetching it from {constants.ENDPOINT} failed: {text[:300]}"


def _unavailable(what: str, reason: str) -> DataError:
    remedies = _REMEDIES.format(
        cache=constants.HF_HUB_CACHE, variable="HF_HOME", mirror="; HF_ENDPOINT names a mirror of the hub"
    )
    return DataError(f"The weights {what!r} are not in the cache, and cannot be fetched: {reason}.", remedies)


def torch_cache() -> Path:
    """Where torch, torchvision and timm keep what they fetch by URL; ``TORCH_HOME`` moves it."""
    return Path(torch.hub.get_dir()) / "checkpoints"


def cached_from_url(url: str) -> Path | None:
    """The file that ``url`` names in torch's cache, if it is there."""
    path = torch_cache() / Path(urlparse(url).path).name
    return path if path.is_file() else None


def from_url(url: str) -> Path:
    """The file of weights at a URL: cached, or fetched into torch's cache and checked against the hash in its name.

    Raises:
        DataError: it is not cached, and cannot be fetched; or its content is not what its name says.
    """
    path = torch_cache() / Path(urlparse(url).path).name
    wanted = re.search(r"-([a-f0-9]{8,})\.", path.name)
    prefix = wanted[1] if wanted else ""
    if path.is_file():
        if not digest_begins(path, "sha256", prefix):
            raise DataError(f"{str(path)!r} is broken: its SHA-256 is not the one in its name.", "Remove the file.")
        return path
    if constants.is_offline_mode():
        raise _not_fetched(url, "HF_HUB_OFFLINE is set")
    try:
        fetch(url, path, Display(quiet=not sys.stderr.isatty()), ("sha256", prefix), patience())
    except FetchError as error:
        raise _not_fetched(url, str(error)) from error
    return path


def _not_fetched(url: str, reason: str) -> DataError:
    remedies = _REMEDIES.format(cache=torch_cache(), variable="TORCH_HOME", mirror="")
    return DataError(f"The weights {url!r} are not in the cache, and cannot be fetched: {reason}.", remedies)


def within(
    seconds: float,
    action: Callable[[], _T],
    sign: Callable[[], object] = lambda: None,
    stop: Callable[[], object] | None = None,
) -> _T:
    """What ``action`` returns or raises; looking up a host's name, say, has no timeout of its own.

    Args:
        seconds: for the whole action, or without a change of the sign.
        action: what takes time; in a thread, which ends with the process where it is given up.
        sign: something that changes while it comes on.
        stop: makes it end, where it is given up or a signal comes.

    Raises:
        TimeoutError: it takes longer.
    """
    outcome: list[_T | Exception] = []
    ended = threading.Event()  # whose wait, unlike Thread.join, can be repeated after a signal

    def run() -> None:
        try:
            outcome.append(action())
        except Exception as error:
            outcome.append(error)
        finally:
            ended.set()

    before = sign()
    threading.Thread(target=run, daemon=True).start()
    try:
        while not ended.wait(seconds):
            now = sign()
            if now == before:
                raise TimeoutError(f"nothing came within {seconds:g} s")
            before = now
    except BaseException:
        if stop is not None:
            stop()
            ended.wait(_PARTING)
        raise
    if isinstance(outcome[0], Exception):
        raise outcome[0]
    return outcome[0]
