"""Between the core and the world: transports, host names, and the driver that runs one core on one event loop."""
