"""The comparative study: published experiments on failure detectors, repeated in the simulator with our core."""
