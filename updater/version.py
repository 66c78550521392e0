"""The version of Sitewatch, the one place it is written down."""

VERSION = "0.1.0"
