"""The sample clip: what stands on it is known, so its alerts can be judged."""

from __future__ import annotations

import itertools
from pathlib import Path

import av
import numpy as np

from scripts.demonstration import clip


def test_frames_are_the_same_every_time_and_of_the_stated_size() -> None:
    once, again = (list(itertools.islice(clip.frames(), 3)) for _ in range(2))
    assert all(frame.shape == (clip.HEIGHT_PX, clip.WIDTH_PX, 3) for frame in once)
    assert all(np.array_equal(*pair) for pair in zip(once, again, strict=True))


def test_the_camera_pans_from_one_end_of_the_wall_to_the_other() -> None:
    wall = clip.wall()
    first, *_, last = clip.frames()
    step_px = round(clip.PAN_PX_PER_S / clip.FRAMES_PER_S)
    assert np.array_equal(first, wall[:, : clip.WIDTH_PX])
    assert any(
        np.array_equal(last, wall[:, -clip.WIDTH_PX - offset : -offset or None])
        for offset in range(2 * step_px)
    )


def test_never_two_posters_in_view() -> None:
    assert clip.POSTER_GAP_PX >= clip.WIDTH_PX


def test_the_hat_is_drawn_on_the_head_and_nowhere_else() -> None:
    bare, hat = np.asarray(clip.portrait()), np.asarray(clip.portrait_with_hard_hat())
    left, top, right, bottom = clip.HEAD
    changed = np.abs(bare.astype(int) - hat).max(axis=2) > 60
    assert changed[top : (top + bottom) // 2, left:right].mean() > 0.3
    changed[: (top + bottom) // 2 + 10, left - 30 : right + 30] = False
    assert changed.mean() < 0.001


def test_the_file_holds_every_frame(tmp_path: Path) -> None:
    path = tmp_path / "sample.mp4"
    clip.write(path)
    with av.open(str(path)) as container:
        times_s = [frame.time for frame in container.decode(video=0)]
    assert len(times_s) == sum(1 for _ in clip.frames())
    assert times_s[1] == 1 / clip.FRAMES_PER_S
