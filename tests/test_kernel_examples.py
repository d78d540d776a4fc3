"""Every kernel has an example, which the CUDA checks run."""

from tests.kernel_examples import EXAMPLES, all_kernels


def test_every_kernel_has_an_example_and_every_example_a_kernel():
    assert set(EXAMPLES) == set(all_kernels())
