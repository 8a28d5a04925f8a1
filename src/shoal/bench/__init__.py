"""Real clusters on the sockets of loopback, measured: what `shoal bench` runs."""
