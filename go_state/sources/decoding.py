"""Decoding one record: bytes in, a message out, whatever the stream is that the bytes come from.

`json_decoder(of, tag=..., tags=..., parse=...)` gives the function for a stream of JSON values, and `why_undecodable` says in words what
it has raised, without anything that the record holds. `named_classes` says which class of a union a record is of, by the name in one
of its fields.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from go_state.core.errors import BadRecord, NotStorable, UsageError
from go_state.core.naming import names_of
from go_state.storage.codec.error_texts import error_text, without_contents
from go_state.storage.types.annotations import UNTYPED, Instance, TypeForm, class_of, members_of, without_wrapping

if TYPE_CHECKING:
    from typing_extensions import TypeVar as TypeVarWithDefault  # type checkers know it, whether it is installed or not

    Msg = TypeVarWithDefault("Msg", default=Any)  # what JSON holds, if nothing says what a message is
else:
    Msg = TypeVar("Msg")
Raw = TypeVar("Raw")
Tags: TypeAlias = Mapping[Any, type]  # Any: texts, or texts and numbers; a mapping of one is none of the other
Made: TypeAlias = Callable[[Instance], Instance]

Tag: TypeAlias = str | int
"""What a record says that it is: a class's stored name, or a msgspec Struct's own tag, which may be a number."""


class UndecodableError(ValueError):
    """A record that is not a message; the text says why, and nothing of what it holds."""


def json_decoder(
    of: TypeForm = None,
    *,
    tag: str | None = None,
    tags: Tags | None = None,
    parse: Callable[[bytes], Msg] | None = None,
) -> Callable[[bytes], Msg]:
    """Return the function that makes a message of the bytes of one JSON value; it raises whatever `why_undecodable` explains.

    With `tag` the record is an object that names its class in the field of that name; `tags` gives classes other names than their
    stored ones. `parse` takes the raw record and returns the message. Without anything a message is what JSON holds.
    """
    check_decoding(of, tag, tags, parse)
    if parse is not None:
        return parsed_by(parse)
    return _tagged(of, tag, tags) if tag is not None or _own_tag(of) else _plain(of)


def why_undecodable(error: Exception) -> str:
    """Return what is wrong with a record on which its decoder has raised the error, which is raised again if it is not the record's."""
    if isinstance(error, MemoryError):
        raise error
    if isinstance(error, UndecodableError):
        return str(error)
    if isinstance(error, UnicodeDecodeError):
        return not_utf8(error)
    if isinstance(error, (ValueError, RecursionError)):
        return f"it is not a message: {without_contents(error)}"
    return (
        f"its class raised {type(error).__qualname__}"  # a class that checks its own fields: its words are not ours to repeat
    )


def decoded_alone(decode: Callable[[bytes], Msg], raw: bytes, name: str) -> Msg:
    """Return the message of a record that was kept apart; `BadRecord` if it still is not one."""
    try:
        return decode(raw)
    except Exception as error:
        raise BadRecord(name, "that was kept", why_undecodable(error)) from None


def not_utf8(error: UnicodeDecodeError) -> str:
    """Return what is wrong with text that is not UTF-8."""
    return f"it is not UTF-8 ({error.reason}): save the file as UTF-8; if it is compressed, its name ends in .gz or .zip"


def check_decoding(of: TypeForm, tag: object, tags: object, parse: object) -> None:
    """Raise `UsageError` for arguments that cannot work together."""
    if parse is not None and (of is not None or tag is not None or tags is not None):
        raise UsageError("parse= makes the message itself: leave of=, tag= and tags= out")
    if parse is not None and not callable(parse):
        raise UsageError(f"parse= is a function of the raw record that returns a message, not a {type(parse).__qualname__}")
    if tag is not None and (not isinstance(tag, str) or not tag or of is None):
        raise UsageError(
            'tag= is the name of the field that says which class of of= a record is, as in of=Sale | Refund, tag="type"'
        )
    if tags is not None and (tag is None or not isinstance(tags, Mapping)):
        raise UsageError(
            'tags= maps the names in the tag\'s field to classes: tag="type", tags={"sale": Sale, "refund": Refund}'
        )


def parsed_by(parse: Callable[[Raw], Msg]) -> Callable[[Raw], Msg]:
    """Return the function with whatever it raises as an `UndecodableError`."""

    def message_of(raw: Raw) -> Msg:
        try:
            return parse(raw)
        except MemoryError:
            raise
        except Exception as error:  # whatever a function of the user's may raise; its words may quote the record
            raise UndecodableError(f"parse= raised {type(error).__qualname__}") from None

    return message_of


def named_classes(of: TypeForm, tags: Tags | None = None) -> dict[Tag, TypeForm]:
    """Return the classes of the union by the names that a record may give: their stored names, present and past, or their own tags."""
    from go_state.storage.types.classes.fields import is_class_with_fields

    named: dict[Tag, TypeForm] = {}
    kinds = [each for each in members_of(without_wrapping(of)) if each is not type(None)]
    for kind in kinds:
        if not is_class_with_fields(kind):
            raise UsageError(
                f"tag= tells classes with fields apart, such as dataclasses, and {kind!r} is none: leave it out of of="
            )
        cls = class_of(kind)
        given = [name for name, each in (tags or {}).items() if each is cls or each is kind]
        own = _struct_tag(cls)
        for name in given or ([own[1]] if own is not None else names_of(cls)):
            if name in named:
                raise NotStorable(
                    cls.__qualname__, f"two classes of its union are called {name!r}: give one another with @gs.stored_as"
                )
            named[name] = kind
    strange = [each for each in (tags or {}).values() if each not in named.values()]
    if strange:
        raise UsageError(f"tags= names {strange[0]!r}, which of= does not have")
    return named


def unknown_tag(tag: str, named: Iterable[object]) -> UndecodableError:
    """Return the error of a record whose tag is not a class of the union."""
    return UndecodableError(f"its {tag} is not one of {', '.join(map(str, named))}")


# -------------------------------------------------------------------- JSON


def _plain(of: TypeForm) -> Callable[[bytes], Instance]:
    if of is None:
        from msgspec import json

        # orjson would read a whole number of more than 64 bits as a float
        return json.Decoder().decode
    from go_state.storage.codec.json_codec import JsonCodec

    return JsonCodec[Instance](of, whole_floats=True).decode


def _struct_tag(cls: TypeForm) -> tuple[str, Tag] | None:
    """Return the field and the tag by which msgspec knows the class; None for one that has none."""
    config = getattr(cls, "__struct_config__", None)
    return None if config is None or config.tag is None else (config.tag_field, config.tag)


def _own_tag(of: TypeForm) -> str | None:
    """Return the field in which all classes of the union have tags of their own, None if they have not."""
    if of is None:
        return None
    kinds = [each for each in members_of(without_wrapping(of)) if each is not type(None)]
    fields = {None if found is None else found[0] for found in (_struct_tag(class_of(kind)) for kind in kinds)}
    return next(iter(fields)) if len(fields) == 1 else None


def _tagged(of: TypeForm, tag: str | None, tags: Tags | None) -> Callable[[bytes], Instance]:
    """Return the decoder of a union whose members are told apart by the name in one field.

    msgspec finds the class itself, from mirrors that are tagged. A class that has the field itself is read in two steps: the name
    first, then the record with the field in it.
    """
    import msgspec

    tag = tag or _own_tag(of)
    assert tag is not None  # or it would be decoded without
    named = named_classes(of, tags)
    record: TypeForm = msgspec.defstruct("Record", [("tag", UNTYPED)], rename={"tag": tag})
    peek = msgspec.json.Decoder(record).decode
    mirrors, backs, has_field = _mirrors(tag, named)
    decoders: dict[Tag, Callable[[bytes], Instance]] = {
        name: msgspec.json.Decoder(mirror).decode for name, mirror in mirrors.items()
    }

    def in_two_steps(raw: bytes) -> Instance:
        return decoders[known(peek(raw).tag)](raw)

    # msgspec has no unions in which some tags are numbers and others text.
    in_steps = has_field or len({type(name) for name in named}) > 1
    read: Callable[[bytes], Instance] = (
        in_two_steps if in_steps else msgspec.json.Decoder(_union(list(mirrors.values()))).decode
    )

    def known(name: object) -> Tag:
        if isinstance(name, (str, int)) and name in named:
            return name
        raise unknown_tag(tag, named)

    def decode(raw: bytes) -> Instance:
        try:
            mirror = read(raw)
            return backs[type(mirror)](mirror)
        except (UndecodableError, UnicodeDecodeError, MemoryError):
            raise
        except RecursionError:
            raise UndecodableError("it is nested too deeply") from None
        except Exception as error:
            if isinstance(error, msgspec.ValidationError) and error.args and str(error).endswith(f"`$.{tag}`"):
                known(peek(raw).tag)
            raise UndecodableError(f"it is not a message: {error_text(error)}") from None

    return decode


def _mirrors(tag: str, named: Mapping[Tag, TypeForm]) -> tuple[dict[Tag, type], dict[type, Made], bool]:
    """Return what msgspec reads for each name, how an object of the class is made of that, and whether a class has the field itself."""
    import msgspec

    from go_state.storage.types.classes.fields import fields_of
    from go_state.storage.types.classes.mirror import same
    from go_state.storage.types.shape import shape_of

    mirrors: dict[Tag, type] = {}
    backs: dict[type, Made] = {}
    has_field = any(field.name == tag for kind in named.values() for field in fields_of(kind))
    for name, kind in named.items():
        shape = shape_of(kind)
        mirror: TypeForm = shape.mirror
        if all(field.name != tag for field in fields_of(kind)):
            mirror = msgspec.defstruct(
                class_of(kind).__name__, [], bases=(mirror,), tag=name, tag_field=tag, forbid_unknown_fields=True, frozen=True
            )
        mirrors[name] = mirror
        backs[mirror] = shape.back or same
    return mirrors, backs, has_field


def _union(kinds: list[type]) -> TypeForm:
    from typing import Union

    return Union[tuple(kinds)]  # known only now
