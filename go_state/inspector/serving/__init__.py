"""Serving: the page and its API over HTTP.

    request ──▶ security.py (who may ask) ──▶ api.py (what is asked of a subject) or page/ (the page itself)
                                │                 └──▶ streams.py (what goes on: live, find, what if, fix), as server-sent events
                                └──▶ known.py (what a watched run adds to a moment)

`asgi.py` puts these together as an application; `inspect.py` serves it in a thread of its own.
"""
