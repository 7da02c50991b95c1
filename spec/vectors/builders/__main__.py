"""Write the vectors, their trust stores and their index: `python -m spec.vectors.builders`.

Files with ML-DSA signatures are left as they are unless `--force` is given, because hedged
signatures differ from run to run.
"""

from __future__ import annotations

import sys
from pathlib import Path

from .everything import write


def main() -> None:
    """Write into the folder above this one."""
    written = write(Path(__file__).resolve().parents[1], force="--force" in sys.argv[1:])
    print(f"{len(written)} files")


if __name__ == "__main__":
    main()
