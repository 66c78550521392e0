"""The loop shown whole: from the pictures that cameras keep to a better model on each of them.

The services are stand-ins or local servers of ``tests.support`` (the demonstration runs in a
checkout, which has them); devices, models, steps and flows are the real ones. docs/loop.md says
which is which.
"""
