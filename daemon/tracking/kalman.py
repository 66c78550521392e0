"""A Kalman filter for the place of one box, with steps of any length.

Constant velocity as in SORT (A. Bewley et al., "Simple Online and Realtime Tracking", ICIP 2016),
noise in proportion to the size of the object as in DeepSORT and ByteTrack (N. Wojke et al., 2017;
Y. Zhang et al., 2022). Differences, because a camera here may give 1 frame a second or 30:

- The step is in seconds, and the velocity is driven by white noise of the acceleration (Y.
  Bar-Shalom et al., "Estimation with Applications to Tracking and Navigation", 2001, section
  6.2.2), so uncertainty grows with time and not with the number of frames.
- Width and height have no velocity: extrapolated over a second it makes nonsense of a box that was
  cut by the picture's edge. They follow what was seen.

x and y have the same noise and do not influence each other, so one covariance serves both and
no matrix is ever inverted.
"""

from __future__ import annotations

from dataclasses import dataclass

PLACE_NOISE = 0.05
"""Standard deviation of a found box's centre, in body sizes; ByteTrack's 1/20."""

START_SPEED = 0.5
"""Standard deviation of a new track's velocity, body sizes a second. A walk of 1.4 m/s is 0.8 body
heights of 1.7 m a second; 0.5 puts it, and a run, within the gate of three deviations."""

ACCELERATION_NOISE = 0.5
"""White noise of the acceleration, body sizes a second to the power 3/2: within a second people
stop, or start to walk."""


@dataclass(slots=True)
class ConstantVelocity:
    """Centre and velocity of one box, in pixels and pixels a second.

    Attributes:
        x: centre, pixels.
        y: centre, pixels.
        velocity_x: pixels a second.
        velocity_y: pixels a second.
        place_variance: of x and of y, square pixels.
        covariance: of place and velocity.
        speed_variance: of each velocity.
    """

    x: float
    y: float
    velocity_x: float
    velocity_y: float
    place_variance: float
    covariance: float
    speed_variance: float

    @classmethod
    def start(cls, x: float, y: float, body_px: float) -> ConstantVelocity:
        """A box seen for the first time, of a body size in pixels."""
        return cls(x, y, 0.0, 0.0, (PLACE_NOISE * body_px) ** 2, 0.0, (START_SPEED * body_px) ** 2)

    def predict(self, step_s: float, body_px: float) -> None:
        """Moves the state on by a time."""
        noise = (ACCELERATION_NOISE * body_px) ** 2
        self.x += self.velocity_x * step_s
        self.y += self.velocity_y * step_s
        self.place_variance += (
            2 * step_s * self.covariance + step_s**2 * self.speed_variance + noise * step_s**3 / 3
        )
        self.covariance += step_s * self.speed_variance + noise * step_s**2 / 2
        self.speed_variance += noise * step_s

    def innovation_variance(self, body_px: float) -> float:
        """Variance of the distance, along x or y, at which the box will be found."""
        return self.place_variance + (PLACE_NOISE * body_px) ** 2

    def correct(self, x: float, y: float, body_px: float) -> None:
        """Takes in where the box was found."""
        total = self.innovation_variance(body_px)
        gain, speed_gain = self.place_variance / total, self.covariance / total
        away_x, away_y = x - self.x, y - self.y
        self.x += gain * away_x
        self.y += gain * away_y
        self.velocity_x += speed_gain * away_x
        self.velocity_y += speed_gain * away_y
        self.speed_variance -= speed_gain * self.covariance
        self.covariance *= 1 - gain
        self.place_variance *= 1 - gain
