"""Who vouches for a bundle, and whether this device may install it."""
