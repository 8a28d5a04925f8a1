"""The simulator: the shipped protocol cores on a virtual clock and a virtual network."""
