from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from daemon.tracking.kalman import ACCELERATION_NOISE, PLACE_NOISE, START_SPEED, ConstantVelocity

BODY_PX = 200.0


class Reference:
    """The same filter along one axis in the textbook's matrices."""

    def __init__(self, x: float) -> None:
        self.state: NDArray[np.float64] = np.array([x, 0.0])
        self.covariance = np.diag([(PLACE_NOISE * BODY_PX) ** 2, (START_SPEED * BODY_PX) ** 2])

    def predict(self, dt: float) -> None:
        move = np.array([[1, dt], [0, 1]])
        noise = np.array([[dt**3 / 3, dt**2 / 2], [dt**2 / 2, dt]])
        self.state = move @ self.state
        self.covariance = (
            move @ self.covariance @ move.T + (ACCELERATION_NOISE * BODY_PX) ** 2 * noise
        )

    def correct(self, x: float) -> None:
        look = np.array([[1.0, 0.0]])
        total = look @ self.covariance @ look.T + (PLACE_NOISE * BODY_PX) ** 2
        gain = self.covariance @ look.T / total
        self.state = self.state + gain[:, 0] * (x - self.state[0])
        self.covariance = (np.eye(2) - gain @ look) @ self.covariance


@given(
    st.lists(
        st.tuples(st.floats(0, 3), st.floats(0, 1000), st.floats(0, 1000), st.booleans()),
        max_size=30,
    )
)
def test_is_the_textbooks_filter(
    steps: list[tuple[float, float, float, bool]],
) -> None:
    motion = ConstantVelocity.start(300, 400, BODY_PX)
    along_x, along_y = Reference(300), Reference(400)
    for step_s, x, y, seen in steps:
        motion.predict(step_s, BODY_PX)
        along_x.predict(step_s)
        along_y.predict(step_s)
        if seen:
            motion.correct(x, y, BODY_PX)
            along_x.correct(x)
            along_y.correct(y)
    assert (motion.x, motion.velocity_x) == pytest.approx(tuple(along_x.state), abs=1e-5)
    assert (motion.y, motion.velocity_y) == pytest.approx(tuple(along_y.state), abs=1e-5)
    spread = (motion.place_variance, motion.covariance, motion.speed_variance)
    expected = along_x.covariance[0, 0], along_x.covariance[0, 1], along_x.covariance[1, 1]
    assert spread == pytest.approx(expected, rel=1e-6, abs=1e-6)


@given(st.integers(1, 30))
def test_uncertainty_depends_on_time_and_not_on_the_number_of_steps(steps: int) -> None:
    once = ConstantVelocity.start(0, 0, BODY_PX)
    often = ConstantVelocity.start(0, 0, BODY_PX)
    once.predict(2.0, BODY_PX)
    for _ in range(steps):
        often.predict(2.0 / steps, BODY_PX)
    assert often.place_variance == pytest.approx(once.place_variance)
    assert often.speed_variance == pytest.approx(once.speed_variance)


@pytest.mark.parametrize("fps", [1, 5, 30])
def test_learns_the_speed_of_a_walk_within_two_seconds(fps: int) -> None:
    motion = ConstantVelocity.start(0, 0, BODY_PX)
    for i in range(1, 2 * fps + 1):
        motion.predict(1 / fps, BODY_PX)
        motion.correct(160 * i / fps, 0, BODY_PX)
    assert motion.velocity_x == pytest.approx(160, rel=0.05)
    assert motion.velocity_y == 0
    assert math.sqrt(motion.innovation_variance(BODY_PX)) < 0.1 * BODY_PX
