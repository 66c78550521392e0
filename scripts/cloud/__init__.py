"""The cloud side beyond training: publish a bundle, roll it out, collect pictures."""
