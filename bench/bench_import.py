"""How long does `import go_state` take, and what does Python itself need for the standard modules under it?"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys

from ratio import line

STANDARD = "import collections.abc, contextlib, dataclasses, hashlib, inspect, threading, types, typing"


def main() -> None:
    milliseconds("import go_state")
    pairs = [(milliseconds("import go_state"), milliseconds(STANDARD)) for _ in range(15)]
    ours, standard = (statistics.median(each) for each in zip(*pairs, strict=True))
    line(
        "import go_state against the standard modules it needs",
        statistics.median(a / b for a, b in pairs),
        "<= 2",
        f"{ours:.0f} ms against {standard:.0f} ms",
    )


def milliseconds(statement: str) -> float:
    # With compiled bytecode on disk, as after any installation: the first run of each statement writes it.
    env = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    code = f"import time; t = time.perf_counter(); {statement}; print((time.perf_counter() - t) * 1e3)"
    return float(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env).stdout)


if __name__ == "__main__":
    print(__doc__)
    main()
