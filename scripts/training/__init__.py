"""Training of the Sitewatch model: prepare, train, export, evaluate, bundle.

This package is the cloud side. It needs torch (see ``requirements.txt``) and is never
installed on a device. The executables beside it only parse arguments and call it.
"""
