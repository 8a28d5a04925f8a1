"""A vectorised model of large clusters: what the simulator plays message by message, as arrays of all members."""
