"""The grader of exercise 1."""

from types import ModuleType
from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.layers import AveragePool2D
from tinyproto.testing import check_gradients
from tinyproto.testing.layers import cases, images


@given(data=st.data())
def test_gradients(answer: ModuleType, data: st.DataObject) -> None:
    def build(draw: Any) -> Any:
        shape = images(draw)
        return answer.AveragePool(draw(st.integers(1, min(shape[1:3])))), shape

    case = data.draw(cases(build))
    check_gradients(case.layer, case.x, directions=2)


def test_pixels_in_no_window_get_0(answer: ModuleType) -> None:
    x = np.arange(15.0).reshape(1, 3, 5, 1)
    y, backward = answer.AveragePool(2)(x)
    ours, ours_backward = AveragePool2D(2)(x)
    np.testing.assert_allclose(y, ours)
    dy = np.array([1.0, 2.0]).reshape(y.shape)
    np.testing.assert_allclose(backward(dy), ours_backward(dy))


def test_float32_stays_float32(answer: ModuleType) -> None:
    y, backward = answer.AveragePool(2)(np.ones((1, 4, 4, 2), np.float32))
    assert backward(y).dtype == np.float32
