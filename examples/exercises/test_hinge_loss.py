"""The grader of exercise 3."""

from types import ModuleType

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tinyproto.testing import check_gradients
from tinyproto.testing.losses import scores


@given(data=st.data())
def test_gradients(answer: ModuleType, data: st.DataObject) -> None:
    case = data.draw(scores(classes=(2, 6)))
    check_gradients(answer.hinge_loss, case.z, case.y, directions=4)


def test_it_is_its_definition(answer: ModuleType) -> None:
    z = np.array([[3.0, 1.0, 2.5], [3.0, 1.0, 1.5], [0.0, 2.0, -1.0]])
    value, dz = answer.hinge_loss(z, np.array([0, 0, 0]))
    np.testing.assert_allclose(value, [0.5, 0, 3])
    np.testing.assert_allclose(dz, [[-1, 0, 1], [0, 0, 0], [-1, 1, 0]])


def test_dtype_and_arguments(answer: ModuleType) -> None:
    z, y = np.array([[1.0, 2.0]], np.float32), np.array([0])
    value, dz = answer.hinge_loss(z, y)
    assert value.dtype == dz.dtype == np.float32
    np.testing.assert_array_equal(z, [[1, 2]])
    np.testing.assert_array_equal(y, [0])
