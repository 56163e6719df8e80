"""Keys: the same rules in every store, so that a model can be moved from one to another."""

from __future__ import annotations

from hashlib import blake2b

from go_state.core.errors import InvalidKey

RESERVED = "@"  # begins the keys under which go_state keeps what is not a model
MAX_KEY_BYTES = 480  # LMDB's limit is 511 bytes; the rest is for prefixes of the stores' own
_DIGEST = 16  # bytes

MAX_NAME_BYTES = 511  # LMDB's limit


def checked_key(key: object) -> str:
    """Return the key of a model; `InvalidKey` for what cannot be one."""
    key_bytes(key)
    if not isinstance(key, str) or key.startswith(RESERVED):
        raise InvalidKey(f'keys that begin with "{RESERVED}" are go_state\'s own: put something before it in the key function')
    return key


def key_bytes(key: object) -> bytes:
    """Return the key in UTF-8, or raise `InvalidKey` that says what is wrong with it."""
    if not isinstance(key, str):
        raise InvalidKey(f"a key is a string, not a {type(key).__qualname__}: use str(...) in the key function")
    try:
        data = key.encode()
    except UnicodeEncodeError as error:
        raise InvalidKey("the key holds a lone surrogate, which UTF-8 cannot write: clean the text it is made from") from error
    if len(data) > MAX_KEY_BYTES:
        raise InvalidKey(
            f"the key is {len(data)} bytes long and a store holds up to {MAX_KEY_BYTES}: shorten it, or use a hash of it"
        )
    return data


def reserved_key(*parts: str, most: int = MAX_KEY_BYTES) -> str:
    """Return a key of go_state's own of up to `most` bytes: the parts, quoted; one that is too long ends in a digest."""
    key = RESERVED + "/".join(part.replace("%", "%25").replace("/", "%2F") for part in parts)
    if not is_too_long(key, most):
        return key
    digest = blake2b(key.encode(errors="surrogatepass"), digest_size=_DIGEST).hexdigest()
    ending = f"%~{digest}"  # no name that is quoted has it
    return key.encode(errors="surrogatepass")[: most - len(ending)].decode(errors="ignore") + ending


def is_too_long(key: str, most: int = MAX_KEY_BYTES) -> bool:
    """Return whether a store could not hold the key."""
    return len(key.encode(errors="surrogatepass")) > most


def check_reader_name(prefix: bytes, name: str) -> None:
    """Raise `InvalidKey` for a name that no reader can have, of a journal whose records' names begin with the prefix."""
    if not isinstance(name, str) or name.startswith(RESERVED):
        raise InvalidKey(f'a reader has a name, such as "mailer", that does not begin with "@", not {name!r}')
    too_long = len(prefix) + 1 + len(key_bytes(name)) - MAX_NAME_BYTES
    if too_long > 0:
        raise InvalidKey(f"the names of the journal and its reader are {too_long} bytes too long together: shorten one")
