"""The package in whole machines (qemu): arm64, power cuts, little memory.

``scripts/test-vm`` starts it; what came of it is in ``docs/vm.md``.
"""
