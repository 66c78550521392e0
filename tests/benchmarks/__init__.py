"""Measurements of the whole daemon; run one with ``python -m tests.benchmarks NAME``.

Their figures depend on the machine, so no test asserts on them; ratios are taken within one run.
"""
