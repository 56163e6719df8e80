"""Values elsewhere: a value that many processes watch and set, such as a configuration or the address of the leader.

It keeps the contract of `gs.Value`: a watcher gets the newest value and no backlog, never an older one than before, and what it has
not seen is there when it looks. It lies in etcd or in a bucket of NATS; a copy here follows it, so that reading and watching cost no
round trip, and `connected` says whether the copy follows the server at this moment.

What is promised: whoever has set a value reads it, or a newer one; revisions only grow; `update(fn)` loses nobody's change; a server
that was restarted, compacted, frozen or replaced by another member is followed again by itself; what does not continue what was
read before, such as a cluster that lost its data, raises `SourceChanged` and shows nothing old.

What is not: there is no history, only the newest value. It is neither a lock nor a lease: whoever reads that it is the leader may
have ceased to be a moment ago. A copy is as old as its way from the server is long, up to `look` seconds where a watch has died in
silence, and older for as long as `connected` is false. A write whose answer was lost may have been made: `StoreUnavailable` says
so, and `update` with a function that recognises its own change may be called again.

What it costs: each value reads its key once every `look` seconds, and has one watch: a connection of its own to etcd, a subscription
of NATS. That is right for dozens of values, or hundreds, and not for a table; watchers cost the server nothing.

    etcd          `Etcd`: values in etcd, for threads and event loops; `etcd_gateway` is the HTTP gateway that it asks
    nats_kv       `NatsKV`: values in a key-value bucket of NATS, for the event loop of its client
    remote_value  `RemoteValue`: the value itself, whatever the server: set, update, delete, watch
    registry      one value for each key of a connection
    follower      how the copy is kept up to date through restarts and lost connections
    backend       what a server is asked for: read, write, replace, delete, changes
    home          the event loop in which a client lives, and how others call into it

Read `remote_value.py` first, then `follower.py`.
"""

from go_state.values.etcd import Etcd
from go_state.values.nats_kv import NatsKV
from go_state.values.remote_value import RemoteValue

__all__ = ["Etcd", "NatsKV", "RemoteValue"]
