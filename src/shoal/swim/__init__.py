"""The protocol core: SWIM with Lifeguard as one sans-I/O state machine."""
