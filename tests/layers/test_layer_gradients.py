"""Every gradient of every layer, and of networks made of them, against finite differences."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layer_strategies import (
    NETWORKS,
    PARTS,
    cases,
    check_input_gradient,
    check_parameter_gradients,
    network_cases,
)

from tinyproto import layers, parameters
from tinyproto.layers import Conv2D
from tinyproto.layers import convolution as convolution_module

WITH_PARAMETERS = [
    name
    for name in PARTS
    if name.split()[0] in ("Conv2D", "Linear", "BatchNorm", "PrototypeHead", "Sequential")
    or "Residual" in name
]
COMPOSED = 5e-5  # the step in a network: less is moved across the kinks of its many ReLUs

mode = pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])


@mode
@pytest.mark.parametrize("name", PARTS)
@given(st.data())
def test_input_gradient(name, train, data):
    check_input_gradient(data.draw(cases(name)), train)


@mode
@pytest.mark.parametrize("name", WITH_PARAMETERS)
@given(st.data())
def test_parameter_gradients(name, train, data):
    check_parameter_gradients(data.draw(cases(name)), train)


@mode
@pytest.mark.parametrize("name", ["small CNN", "small ResNet"])
@settings(max_examples=10)
@given(st.data())
def test_gradients_of_a_network(name, train, data):
    case = data.draw(network_cases(name))
    check_input_gradient(case, train, COMPOSED)
    check_parameter_gradients(case, train, COMPOSED)


@mode
@settings(max_examples=2)
@given(network_cases("WRN-10-1"))
def test_gradients_of_a_wide_resnet(train, case):
    check_input_gradient(case, train, COMPOSED)
    check_parameter_gradients(case, train, COMPOSED)


@settings(max_examples=10)
@given(st.data())
def test_gradients_of_a_convolution_in_several_groups(data):
    """Small enough groups that a batch is many, of which the last is shorter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(convolution_module, "GROUP_BYTES", data.draw(st.sampled_from([1, 4000])))
        patch.setattr(convolution_module, "GROUP_ROWS", data.draw(st.sampled_from([1, 40])))
        case = data.draw(cases("Conv2D", batch=7))
        check_input_gradient(case, False)
        check_parameter_gradients(case, False)


def test_every_layer_is_covered():
    covered = {name.split()[0] for name in PARTS}
    assert {name for name in layers.__all__ if isinstance(getattr(layers, name), type)} <= {
        *covered,
        "Backward",
        "Layer",
    }
    assert set(NETWORKS) == {"small CNN", "small ResNet", "WRN-10-1"}
    with_slots = [
        name for name in layers.__all__ if name in ("Conv2D", "Linear", "BatchNorm")
    ]
    assert {name.split()[0] for name in WITH_PARAMETERS} > set(with_slots)
    assert parameters.count(Conv2D(1, 1, 1).params) == 2
    assert np.float64 == np.zeros(1).dtype.type
