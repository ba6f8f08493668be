import sys
from pathlib import Path

# The fake techniques that are exported there are used for predictions here.
sys.path.insert(0, str(Path(__file__).parents[1] / "export"))
