"""Dead letters: what was set aside, kept in a store until somebody has looked at it, retried it or dropped it.

A store and a name enter; `gs.SetAside(gs.DeadLetters(store, "night"))` fills them, and a person empties them.

- `dead_letters.py`: `DeadLetters`: list, show, retry, drop, export;
- `again.py`: the message of a letter, and what becomes of it in a retry;
- `into_models.py`: a retry into the models of an aggregate; `into_journals.py`: into the journals of programs.

Promised: a letter that is retried is removed in the transaction that writes what its message has led to, so it counts once, also
through kill -9; one that fails again stays, with the new error. How letters lie in a store is in `storage/letters`.
"""

from go_state.dead_letters.again import Retried
from go_state.dead_letters.dead_letters import DeadLetters
from go_state.storage.letters.letter import Letter

__all__ = ["DeadLetters", "Letter", "Retried"]
