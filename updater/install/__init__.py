"""From a ``model.zip`` to a committed release, or back."""
