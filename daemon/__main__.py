"""``python -m daemon``: the same as the command ``sitewatch``."""

from daemon.cli import main

if __name__ == "__main__":
    raise SystemExit(main())
