"""Every gradient of every layer, and of networks made of them, against finite differences."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.layer_strategies import (
    PARTS,
    cases,
    check_input_gradient,
    check_parameter_gradients,
    network_cases,
)
from tinyproto import layers
from tinyproto.layers import im2col as im2col_module

WITHOUT_PARAMETERS = {
    "ReLU", "Normalize", "MaxPool2D", "AveragePool2D", "GlobalAveragePool", "Flatten", "Affine",
    "Pad2D"
}  # fmt: skip
WITH_PARAMETERS = [name for name in PARTS if name not in WITHOUT_PARAMETERS]
COMPOSED = 5e-5  # the step in a network: a smaller one crosses fewer kinks of its many ReLUs

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
    """The groups are so small that a batch is several of them, the last one shorter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(im2col_module, "GROUP_BYTES", data.draw(st.sampled_from([1, 4000])))
        patch.setattr(im2col_module, "GROUP_ROWS", data.draw(st.sampled_from([1, 40])))
        case = data.draw(cases("Conv2D", batch=7))
        check_input_gradient(case, False)
        check_parameter_gradients(case, False)


def test_every_layer_is_covered():
    kinds = {name for name in layers.__all__ if isinstance(getattr(layers, name), type)}
    assert kinds - {"Backward", "Layer"} == {name.split()[0] for name in PARTS} - {"PrototypeHead"}
