"""Peer programs: N nodes of one membership implementation in one process.

The contract is the same in every language. ``PROG --nodes N`` starts N nodes on 127.0.0.1 with ephemeral
ports, in the implementation's LAN profile, and joins them all at once against the first one. When every one
of the N views holds all N members it prints one line of JSON, and then idles. The line's fields are ``event``
("formed"), ``seconds`` (since before the first node started), ``name``, ``version``, ``encrypted``,
``profile``, and, of those in Python, ``loop``.

``--spread SECONDS`` starts the joins evenly over so long instead of all at once. Those in Python take
``--loop uvloop``.

The floor is no membership: it sends and answers probes on bare sockets, and bounds what Python can reach.

After that line it takes commands on standard input, one a line, and prints a line of JSON when each is done:

- ``crash``: end one node, another one each time but never the first, as if its process had been killed: sockets
  closed, no goodbye. ``{"event": "crash", "first_s": …, "all_know_s": …, "false_deaths": …}``: seconds until the first
  and until the last of the others held it dead, ``null`` if that was not within a minute, and how many deaths of nodes
  that ran were seen since the cluster formed, or, in Python, since the first crash; each observer's counts;
- ``restart``: start the ended node again, under the same name at the same address, and wait until every view is
  complete. ``{"event": "restored", "seconds": …}``.

Whenever its standard input closes the program exits 0 at once, without leaving: what follows the window is
not measured, and a peer whose benchmark was killed ends by itself.
"""
