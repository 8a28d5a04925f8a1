"""Peer programs: N nodes of one membership implementation in one process.

The contract is the same in every language. ``PROG --nodes N`` starts N nodes on 127.0.0.1 with ephemeral
ports, in the implementation's LAN profile, and joins them all at once against the first one. When every one
of the N views holds all N members it prints one line of JSON, and then idles. The line's fields are ``event``
("formed"), ``seconds`` (since before the first node started), ``name``, ``version``, ``encrypted``,
``profile``, and, of those in Python, ``loop``.

``--spread SECONDS`` starts the joins evenly over so long instead of all at once. Those in Python take
``--loop uvloop``.

The floor is no membership: it sends and answers probes on bare sockets, and bounds what Python can reach.

Whenever its standard input closes the program exits 0 at once, without leaving: what follows the window is
not measured, and a peer whose benchmark was killed ends by itself.
"""
