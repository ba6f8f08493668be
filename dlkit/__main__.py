"""``python -m dlkit`` is ``dlkit``, for launchers that start modules."""

import sys

from dlkit.cli.main import main

sys.exit(main())
