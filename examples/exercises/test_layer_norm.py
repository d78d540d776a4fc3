"""The grader of exercise 2."""

from types import ModuleType

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.testing import check_gradients
from tinyproto.testing.layers import cases


@given(data=st.data())
def test_gradients(answer: ModuleType, data: st.DataObject) -> None:
    sizes = st.integers(2, 6)
    case = data.draw(
        cases(lambda draw: (answer.LayerNorm(d := draw(sizes)), (draw(st.integers(1, 4)), d)))
    )
    check_gradients(case.layer, case.x, directions=2)


def test_it_is_its_definition(answer: ModuleType) -> None:
    layer = answer.LayerNorm(3)
    layer.params["scale"][:] = 1, 2, 3
    layer.params["shift"][:] = 0, 0, 1
    x = np.array([[1.0, 2.0, 3.0], [0.0, 0.0, 6.0]])
    hat = np.array([[-1.5, 0, 1.5], [-1, -1, 2]]) / np.array([[np.sqrt(1.5)], [np.sqrt(2)]])
    np.testing.assert_allclose(layer(x)[0], hat * [1, 2, 3] + [0, 0, 1], atol=1e-4)


def test_an_example_does_not_depend_on_the_others(answer: ModuleType) -> None:
    x = np.random.default_rng(0).normal(size=(4, 5))
    layer = answer.LayerNorm(5)
    np.testing.assert_allclose(layer(x, True)[0][1:2], layer(x[1:2], True)[0], rtol=1e-12)


def test_float32_stays_float32(answer: ModuleType) -> None:
    layer = answer.LayerNorm(4)
    y, backward = layer(np.arange(8, dtype=np.float32).reshape(2, 4))
    assert y.dtype == backward(y).dtype == np.float32
