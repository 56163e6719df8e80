"""Codec: a model or message as JSON that a person can read, and back as an equal value, or a refusal.

`json_codec.py`      `JsonCodec`: encode and decode the values of one type
`message_codec.py`   `MessageCodec`: the messages of a journal, with their names, schemas and migrations, a block at a time
`codecs.py`          one codec for each type, cached
`program_types.py`   which types a program has, from the annotations of its update
`equality.py`        is what was read back the same as what was written?
`difference.py`      if not, in which part, and why: for people who look for a fault in a model, and for errors
`error_texts.py`     what an error says, without anybody's data
`json_values.py`     JSON without types, for migrations
`depth.py`           what is nested deeply is done on an empty stack

Built on `types`, whose mirrors msgspec reads and writes.
"""
