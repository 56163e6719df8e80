"""Values elsewhere: a value that many processes watch and set, such as a configuration or the address of whoever leads.

It keeps the contract of `gs.Value`: a watcher gets the newest value and no backlog, never an older one than before, and what it has
not seen is there when it looks. It lies in etcd or in a bucket of NATS; a copy here follows it, so that reading and watching cost no
round trip, and `connected` says whether the copy is up to date.

    etcd          `Etcd`: values in etcd, over its HTTP gateway, for threads and event loops
    nats_kv       `NatsKV`: values in a key-value bucket of NATS, for the event loop of its client
    remote_value  `RemoteValue`: the value itself, whatever the server: set, update, delete, watch
    follower      how the copy is kept up to date through restarts and lost connections
    backend       what a server is asked for: read, write, replace, delete, changes
    home          the event loop in which a client lives, and how others call into it

Read `remote_value.py` first, then `follower.py`.
"""

from go_state.values.etcd import Etcd
from go_state.values.nats_kv import NatsKV
from go_state.values.remote_value import RemoteValue

__all__ = ["Etcd", "NatsKV", "RemoteValue"]
