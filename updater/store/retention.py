"""Which releases may go: a pure rule."""

from __future__ import annotations

from updater.store.journal import Journal, Origin, Release


def superfluous(
    journal: Journal, keep: int, max_bytes: int, *, current: str | None = None
) -> tuple[Release, ...]:
    """The releases that are given up, those that failed here first, then the oldest.

    Never among them: the committed one, the one before it, the candidate's, what ``current``
    names, and the floor. These count; they stay even where they alone are too many.

    Args:
        journal: what there is, oldest first.
        keep: releases kept besides the floor.
        max_bytes: of all releases kept besides the floor.
        current: what ``current`` says; None if it is not there.
    """
    held = [each for each in journal.releases if each.origin is Origin.BUNDLE]
    candidate = None if journal.candidate is None else journal.candidate.release
    failed = {failure.digest for failure in journal.failures}
    protected = {each.path for each in (journal.committed, journal.previous) if each} | {current}
    if candidate is not None:
        protected.add(candidate.path)
    free = [each for each in held if each.path not in protected]
    gone = [each for each in free if each.digest in failed]
    good = [each for each in free if each.digest not in failed]
    count = len(held) - len(gone)
    size_bytes = sum(each.size_bytes for each in held) - sum(each.size_bytes for each in gone)
    for release in good:
        if count <= keep and size_bytes <= max_bytes:
            break
        gone.append(release)
        count -= 1
        size_bytes -= release.size_bytes
    return tuple(gone)
