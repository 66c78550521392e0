"""The commands of ``sitewatch-update``, one module each."""
