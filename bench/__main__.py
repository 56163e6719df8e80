"""Every bench, each in a process of its own, as one table: `python bench`, or `python bench run chain` for some of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).parent


def main(names: list[str]) -> None:
    print(f"{'question':<66} {'ratio':>7}   {'budget':<9} measured")
    for path in sorted(HERE.glob("bench_*.py")):
        if not names or path.stem.removeprefix("bench_") in names:
            subprocess.run([sys.executable, "-c", f"import {path.stem}; {path.stem}.main()"], cwd=HERE, check=True)


if __name__ == "__main__":
    main(sys.argv[1:])
