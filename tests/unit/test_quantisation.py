from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from daemon.detection.quantisation import Dequantiser, pixel_table
from daemon.detection.tensors import TensorInfo

dtypes = st.sampled_from(["int8", "uint8"])
scales = st.floats(1e-4, 4.0)
zeros = st.integers(-128, 127)


def tensor(dtype: str, scale: float, zero: int) -> TensorInfo:
    return TensorInfo("t", (1,), dtype, scale, zero + (128 if dtype == "uint8" else 0))


def every_integer(dtype: str) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
    limits = np.iinfo(dtype)
    return np.arange(int(limits.min), int(limits.max) + 1)


@given(dtypes, scales, zeros)
def test_real_values_follow_the_formula(dtype: str, scale: float, zero: int) -> None:
    info = tensor(dtype, scale, zero)
    integers = every_integer(dtype)

    real = Dequantiser(info).real(integers.astype(dtype))

    expected = (integers - info.zero_point) * scale
    np.testing.assert_allclose(real, expected, rtol=1e-6)


@given(dtypes, scales, zeros, st.floats(0.001, 1.0))
def test_the_integer_gate_lets_through_what_the_float_comparison_would(
    dtype: str, scale: float, zero: int, threshold: float
) -> None:
    numbers = Dequantiser(tensor(dtype, scale, zero))
    integers = every_integer(dtype).astype(dtype)

    gate = numbers.gate(threshold)

    passed = numbers.real(integers) >= np.float32(threshold)
    assert passed.tolist() == ([False] * 256 if gate is None else (integers >= gate).tolist())


@given(dtypes, scales, zeros, st.integers(0, 255))
def test_a_threshold_that_is_itself_a_value_lets_this_value_through(
    dtype: str, scale: float, zero: int, position: int
) -> None:
    numbers = Dequantiser(tensor(dtype, scale, zero))
    value = every_integer(dtype).astype(dtype)[position : position + 1]

    gate = numbers.gate(float(numbers.real(value)[0]))

    assert gate == value[0]
    assert gate.dtype == np.dtype(dtype)


def test_floats_stay_what_they_are() -> None:
    numbers = Dequantiser(TensorInfo("t", (1,), "float32"))
    values = np.array([0.1, -3.5, 7], np.float32)
    assert numbers.real(values) is values
    assert numbers.gate(0.25) == np.float32(0.25)


@pytest.mark.parametrize(
    ("info", "white", "expected"),
    [
        (TensorInfo("i", (1,), "int8", 1 / 255, -128), 1.0, [-128, -127, 0, 127]),
        (TensorInfo("i", (1,), "uint8", 1 / 255, 0), 1.0, [0, 1, 128, 255]),
        (TensorInfo("i", (1,), "int8", 1.0, -128), 255.0, [-128, -127, 0, 127]),
        (TensorInfo("i", (1,), "uint8"), 1.0, [0, 1, 128, 255]),
        (TensorInfo("i", (1,), "int8"), 1.0, [-128, -127, 0, 127]),
        (TensorInfo("i", (1,), "int8", 2 / 255, 0), 1.0, [0, 0, 64, 127]),
        (TensorInfo("i", (1,), "uint8", 0.5 / 255, 0), 1.0, [0, 2, 255, 255]),
        (TensorInfo("i", (1,), "float32"), 1.0, [0, 1 / 255, 128 / 255, 1]),
        (TensorInfo("i", (1,), "float32"), 255.0, [0, 1, 128, 255]),
    ],
)
def test_pixels_become_values_of_the_input(
    info: TensorInfo, white: float, expected: list[float]
) -> None:
    table = pixel_table(info, white)

    assert table.dtype == np.dtype(info.dtype)
    np.testing.assert_allclose(table[[0, 1, 128, 255]].astype(float), expected, atol=0.5e-6)
