"""What outlives a process: files that a node, or a group of nodes, keeps."""

__all__: list[str] = []
