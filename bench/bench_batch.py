"""Does a batch over a generator cost the same per message for 10 million as for 100 thousand, in flat memory?"""

from __future__ import annotations

import resource

from ratio import add, line, seconds

import go_state as gs

FEW, MANY = 100_000, 10_000_000


def main() -> None:
    program = gs.Program(lambda: (0, ()), add)
    through(program, FEW)
    few = min(seconds(lambda: through(program, FEW)) for _ in range(7)) / FEW
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    many = seconds(lambda: through(program, MANY)) / MANY
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    line(
        "batch, 10 million against 100 thousand, a message",
        many / few,
        "<= 1.2",
        f"{many * 1e6:.3f} us against {few * 1e6:.3f} us; memory grew by {grown} KiB",
    )


def through(program: gs.Program[int, int], count: int) -> None:
    assert gs.batch(program, (1 for _ in range(count))).model == count


if __name__ == "__main__":
    print(__doc__)
    main()
