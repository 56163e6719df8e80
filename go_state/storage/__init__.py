"""Storage: models, snapshots and messages as bytes, and where those bytes are kept.

A model or a message comes in and is on disk, behind a version or a position, when a call returns; it comes back equal, or an error
names the key and the field. Imports point down this list only (import-linter checks it), so it can be read from either end:

`backends/`    stores: memory, an LMDB file, a Postgres database; `RecordStore` is what they have in common
`journal/`     the durable buffer: messages that wait, the flush that writes them, reading them back
`letters/`     what was set aside, as it lies in a store
`records/`     how models, keyframes and journals lie in transactions over named records
`snapshots/`   a model in an envelope that says what it is, made in pieces if it is large
`codec/`       values of one type as JSON and back, proved or compared to be equal
`types/`       what a type's values look like in JSON, its description, and what has changed in it

`records` and `snapshots` do not know each other: bytes, and what they mean.
"""
