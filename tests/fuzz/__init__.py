"""Random bundles against the code that reads them; run by ``scripts/fuzz``."""
