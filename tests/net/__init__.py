"""Tests of `shoal.net`."""
