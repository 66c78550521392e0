"""The releases on disk, which of them runs, and how one follows another."""
