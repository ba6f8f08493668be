from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_reference_is_fresh() -> None:
    done = subprocess.run([sys.executable, ROOT / "scripts" / "reference.py", "--check"], check=False)
    assert done.returncode == 0, "docs/reference.md is stale: run `python scripts/reference.py` and commit it"
