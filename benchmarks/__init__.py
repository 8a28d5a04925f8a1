"""Benchmarks of shoal. Figures live here and in docs/benchmarks.md, never in the tests."""
