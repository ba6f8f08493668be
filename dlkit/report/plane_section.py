"""The interactive plane of codes in the report."""

from __future__ import annotations

import base64
import json
import shlex
from typing import Any

from dlkit.report.picture import PLANE, PLANE_IMAGES, png_size
from dlkit.report.sections import Image
from dlkit.run.reading import read_object
from dlkit.run.run import Run

_MOST_BYTES = 8 << 20
"""A page with more would open slowly; what dlkit writes is smaller."""


def plane_section(run: Run, pictures: list[Image]) -> dict[str, Any] | None:
    """What the page's script needs, as JSON and a picture; None where the run has no plane.

    Args:
        run: the run.
        pictures: all of the report; the one called ``code-plane`` is shown where there is no script.

    Raises:
        DataError: ``plane.json`` is broken.
    """
    facts = read_object(run.path / "plots" / PLANE)
    path = run.path / "plots" / PLANE_IMAGES
    content = path.read_bytes() if path.is_file() else b""
    image = next((picture for picture in pictures if picture.name == "code-plane"), None)
    if not facts or image is None or png_size(content) is None or len(content) > _MOST_BYTES:
        return None
    from dlkit.report.style import PALETTE  # matplotlib: not before it is needed

    return {
        "image": image,
        "sprite": "data:image/png;base64," + base64.b64encode(content).decode("ascii"),
        "facts": json.dumps(facts | {"run": shlex.quote(str(run.path)), "colours": PALETTE}, separators=(",", ":")),
    }
