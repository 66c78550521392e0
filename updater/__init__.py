"""Model bundles, their store on disk, and what installs, proves and takes back a model."""
