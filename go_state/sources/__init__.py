"""Sources: files and streams of records that know where they were, so that an interrupted run goes on where it stopped.

A path and a class come in; messages come out, each with a position. A file is opened once, recognised by its fingerprint, and read
on after the records that were counted already. A record that is no message comes out as an `Undecoded`, on which `on_error` decides.

`files.py`       a file as a source: positions, fingerprint, and a last record that may still grow
`contents.py`    the bytes of an open file, decompressed (`gzipped.py`) and cut into lines
`decoding.py`    one record: bytes in, a message out, and in words why not; for streams of any kind
`jsonlines.py`   one JSON value a line
`tables.py`      CSV: rows (`rows.py`) whose columns become fields (`columns.py`)
`progress.py`    the same with a bar
`kinesis/`       shards of a Kinesis stream; the events of a Lambda function
`jetstream/`     subjects of a stream of JetStream
`streams/`       a topic of Kafka; what streams have in common: leases; one part of a source for each of several processes; many
                 partitions from plain functions, such as the files of a folder or the ranges of a table

An object with the methods of `go_state.core.ports.Source` is a source too.
"""

from go_state.core.ports import Undecoded
from go_state.sources.jetstream.source import JetStream
from go_state.sources.jsonlines import JSONLines
from go_state.sources.kinesis.event import KinesisEvent, LambdaAnswer, LambdaContext
from go_state.sources.kinesis.source import Kinesis
from go_state.sources.progress import progress
from go_state.sources.streams.kafka.record import KafkaRecord
from go_state.sources.streams.kafka.source import Kafka
from go_state.sources.streams.part import part
from go_state.sources.streams.partitions import Partitions
from go_state.sources.tables import CSV

__all__ = [
    "CSV",
    "JSONLines",
    "JetStream",
    "Kafka",
    "KafkaRecord",
    "Kinesis",
    "KinesisEvent",
    "LambdaAnswer",
    "LambdaContext",
    "Partitions",
    "Undecoded",
    "part",
    "progress",
]
