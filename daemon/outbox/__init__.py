"""Alerts on disk, in order and bounded, until the broker has them."""
