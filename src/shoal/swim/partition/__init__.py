"""Network partitions: how one is suspected, and what a side of it should do.

Nothing here acts. `suspicion` says that the cluster has probably come apart, `strategies` says which side should live
on, `settling` says when to ask; whoever holds the core decides what follows.
"""

__all__: list[str] = []
