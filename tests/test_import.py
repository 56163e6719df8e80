"""What `import go_state` costs: the standard library's plain modules, and nothing that a program may not need."""

import subprocess
import sys

LATER = ["asyncio", "immutables", "janus", "lmdb", "msgspec", "orjson", "rich"]


def test_importing_takes_no_third_party_along() -> None:
    """Clients of databases, codecs and event loops are imported when they are first used."""
    code = f"import sys, go_state; print([name for name in {LATER} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"
