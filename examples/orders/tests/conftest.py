"""The example's folder and the SDK of this checkout come first on the path."""

import sys
from pathlib import Path

HERE = Path(__file__).parent.parent
sys.path[:0] = [str(HERE), str(HERE.parent.parent / "sdk" / "python" / "src")]
