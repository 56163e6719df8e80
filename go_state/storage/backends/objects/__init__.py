"""Objects: an LMDB file for each partition of a stream, with copies in an object store, such as S3, GCS or a folder.

A partition's name enters when this process is given it, and its file is opened: the one that lies here, or a copy that whoever had it
before has left. Copies of what was saved leave, every few minutes and when the partition is given back.

- `store.py`: `CopiedStore`, what a user opens, with the thread that copies (`copier.py`);
- `partitions.py`: which partitions of one source are open; `held_file.py`: the file of one, and its fence;
- `copies.py`: the claims and copies of a partition, by their names in the object store; `client.py` is the object store itself.

Promised: a copy is whole or not there; who has claimed a partition last has its newest copy, whatever an earlier holder still copies.
What was saved after the newest copy is read again from the stream, so a model has to be a function of the stream.

    <program>/<source>/<partition>/claims/<epoch>                        made by whoever begins with the partition, and by nobody else
    <program>/<source>/<partition>/copies/<epoch>-<number>-<digest>      in the order of their names, the last is the newest
    shared/<key>/<version>                                               what all holders agree on, such as where a topic is entered
"""
