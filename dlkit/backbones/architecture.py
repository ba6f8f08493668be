"""What a weights file says about its architecture, checked against what was built.

Wrong padding, say, loads without a word and ruins the features. So a file may state ``arch`` in its safetensors
metadata: ``timm mobilenetv2_100, pad_type='same'``; ``torchvision.squeezenet1_0``.
"""

from __future__ import annotations

import re
from typing import Any

from dlkit.backbones.source import Draft
from dlkit.backbones.weights import WeightsFile
from dlkit.errors import DataError
from dlkit.options.literals import literal

_ARCH = re.compile(r"(timm|torchvision)[ ./:]\s*([A-Za-z0-9_.]+)((?:\s*,\s*\w+\s*=\s*[^,=]+)*)\s*")
_UNSET = object()


def check_architecture(file: WeightsFile, draft: Draft) -> tuple[str, ...]:
    """Compare the file's ``arch`` with the network.

    Returns:
        What the user should know: that it cannot be checked, or that arguments were added.

    Raises:
        DataError: it is of another network, or of one that was built with other arguments.
    """
    stated = file.metadata.get("arch", "")
    if not stated:
        return ()
    match = _ARCH.fullmatch(stated.strip())
    if match is None:
        return (f"{file.name} says that it is of {stated!r}, which cannot be compared with the network.",)
    library, name = match[1], match[2]
    pairs = (pair.partition("=") for pair in match[3].split(",") if pair.strip())
    arguments = {key.strip(): literal(value) for key, _, value in pairs}
    given = dict(draft.arguments)
    lacking = {key: value for key, value in arguments.items() if given.get(key, _UNSET) != value}
    if library != draft.package or name.partition(".")[0] not in draft.names or lacking:
        raise _mismatch(file.path, stated, library, name, arguments, draft)
    added = [key for key in given if key not in arguments and key not in ("variant", "num_classes", "img_size")]
    if added:
        return (f"{file.name} says that it is of {stated!r}; you added {', '.join(added)}, which it does not mention.",)
    return ()


def _mismatch(path: str, stated: str, library: str, name: str, arguments: dict[str, Any], draft: Draft) -> DataError:
    built = ", ".join([f"{draft.package} {'/'.join(sorted(draft.names))}", *_pairs(draft.arguments)])
    backbone = name if library == "timm" else f"torchvision/{name}"
    words = f"--backbone {backbone}"
    if arguments:
        words += f" --backbone-arg {','.join(_pairs(arguments))}"
    same_network = library == draft.package and name.partition(".")[0] in draft.names
    if same_network:
        words = f"--backbone-arg {','.join(_pairs(arguments))}" if arguments else words
    return DataError(f"{path!r} holds weights of {stated!r}; what was built is {built!r}.", f"Use {words}")


def _pairs(arguments: Any) -> list[str]:
    return [f"{key}={value}" for key, value in arguments.items()]
