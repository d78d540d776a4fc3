"""Every gradient of every layer, and of networks made of them, against finite differences."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tinyproto import layers
from tinyproto.layers import im2col as im2col_module
from tinyproto.testing import check_gradients
from tinyproto.testing.layers import PARTS, cases
from tinyproto.testing.networks import network_cases

mode = pytest.mark.parametrize("train", [False, True], ids=["eval", "train"])


def check(case, train, step=1e-4):
    """x and each parameter along one direction: Hypothesis draws many cases."""
    return check_gradients(
        case.layer, case.x, train=train, directions=1, step=step, seed=case.random.integers(2**32)
    )


@mode
@pytest.mark.parametrize("name", PARTS)
@given(st.data())
def test_gradients(name, train, data):
    assert check(data.draw(cases(name)), train).skipped == 0


@mode
@pytest.mark.parametrize("name", ["small CNN", "small ResNet"])
@settings(max_examples=10)
@given(st.data())
def test_gradients_of_a_network(name, train, data):
    check(data.draw(network_cases(name)), train)


@mode
@settings(max_examples=2)
@given(network_cases("WRN-10-1"))
def test_gradients_of_a_wide_resnet(train, case):
    check(case, train)


@settings(max_examples=10)
@given(st.data())
def test_gradients_of_a_convolution_in_several_groups(data):
    """The groups are so small that a batch is several of them, the last one shorter."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(im2col_module, "GROUP_BYTES", data.draw(st.sampled_from([1, 4000])))
        patch.setattr(im2col_module, "GROUP_ROWS", data.draw(st.sampled_from([1, 40])))
        check(data.draw(cases("Conv2D", batch=7)), False)


def test_every_layer_is_covered():
    kinds = {name for name in layers.__all__ if isinstance(getattr(layers, name), type)}
    assert kinds - {"Backward", "Layer"} == {name.split()[0] for name in PARTS} - {"PrototypeHead"}
