"""Cluster membership, failure detection and discovery in one Python package."""
