"""``python -m updater``: the same as the command ``sitewatch-update``."""

from updater.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
