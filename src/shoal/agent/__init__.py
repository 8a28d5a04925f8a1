"""The agent: one node as a process, steered and watched over a small HTTP API."""
