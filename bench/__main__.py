"""Every bench, each in a process of its own, as one table: `python bench`, or `python bench run chain` for some of them.

Each call is kept in `runs/` (see `runs.py`), and compared with the last one. `python bench --table` prints the table of what
was measured last on this machine, and `python bench --write` puts it into docs/performance.md
(and the counts of `journeys.py` into docs/architecture.md).
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path

import runs
import table
from ratio import HEAD, skip

HERE = Path(__file__).parent
NEEDS = {"bench_eventsourcing": "eventsourcing", "bench_verify": "immutables"}  # what is compared with, if it is installed


def main(arguments: list[str]) -> None:
    if "--table" in arguments:
        print(table.of(runs.newest()))
    elif "--write" in arguments:
        pages = HERE.parent / "docs"
        table.write(pages / "performance.md", runs.newest())
        table.write(pages / "architecture.md", runs.newest(), table.journeys)
    else:
        measure(arguments)


def measure(names: list[str]) -> None:
    benches = [path for path in sorted(HERE.glob("bench_*.py")) if not names or path.stem.removeprefix("bench_") in names]
    unknown = {*names} - {path.stem.removeprefix("bench_") for path in benches} - {"journeys"}
    if unknown:
        raise SystemExit(f"there is no bench {', '.join(sorted(unknown))}")
    if not names or "journeys" in names:
        benches.append(HERE / "journeys.py")
    run = runs.this_run()
    failed = []
    print(HEAD)
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder, "results")
        for path in benches:
            extra = NEEDS.get(path.stem)
            if extra is not None and find_spec(extra) is None:
                skip(path.stem, f"it needs {extra}, of the extra go-state[bench]")
                continue
            command = [sys.executable, "-c", f"import {path.stem}; {path.stem}.main()"]
            if subprocess.run(command, cwd=HERE, env=runs.recording(out), check=False).returncode:
                failed.append(path.stem)
        run = replace(run, results=runs.recorded(out))
    print(f"\nkept as {run.save().relative_to(HERE.parent)}")
    beyond = [result for result in run.results if result.holds is False]
    if beyond:
        print(f"\n{len(beyond)} beyond their budget:")
        for result in beyond:
            print(f"    {result.question}: {result.ratio:.2f}, {result.budget}")
    if failed:
        raise SystemExit(f"these have failed: {', '.join(failed)}")


if __name__ == "__main__":
    main(sys.argv[1:])
