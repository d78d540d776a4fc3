"""Small arguments to run every kernel on: in the CUDA simulator, in the builds for real GPUs.

`EXAMPLES[name](random, dtype)` returns (rows, *arguments) for the kernel of that name.
"""

import importlib
import pkgutil
from collections.abc import Callable

import numpy as np

import tinyproto.kernels
from tinyproto.backend.kernel import Kernel
from tinyproto.kernels.im2col import col2im_table, im2col_table

EXAMPLES: dict[str, Callable[..., tuple]] = {}


def all_kernels() -> dict[str, Kernel]:
    """Every kernel of the package by name: a new file under kernels/ is found by itself."""
    modules = [
        importlib.import_module(f"tinyproto.kernels.{module.name}")
        for module in pkgutil.iter_modules(tinyproto.kernels.__path__)
    ]
    kernels = [k for module in modules for k in vars(module).values() if isinstance(k, Kernel)]
    return {kernel.__name__: kernel for kernel in kernels}


def example(make: Callable[..., tuple]) -> Callable[..., tuple]:
    """Register the arguments for the kernel that the function is named after."""
    EXAMPLES[make.__name__] = make
    return make


def normal(random, dtype, *shapes):
    """Arrays of standard normal numbers."""
    return [random.normal(size=shape).astype(dtype) for shape in shapes]


# Channels.


@example
def channel_sums(random, dtype):
    return 3, *normal(random, dtype, (3, 5, 4)), np.zeros((3, 4), dtype)


@example
def channel_moments(random, dtype):
    return 3, *normal(random, dtype, (3, 5, 4)), *(np.zeros((3, 4), dtype) for _ in range(3))


def affine(random, dtype):
    """x, centre, gain, offset, and a minimum that half of the values lie below."""
    return [*normal(random, dtype, (3, 5, 4), 4, 4, 4), dtype(0)]


@example
def merge_moments(random, dtype):
    return 4, *np.zeros((2, 4)), *normal(random, dtype, (5, 4), (5, 4), (5, 4)), 7


@example
def merge_gradients(random, dtype):
    return 4, *np.zeros((2, 4)), *normal(random, dtype, 4, (5, 4), (5, 4))


@example
def add_bias(random, dtype):
    return 3, *normal(random, dtype, (3, 5, 4), 4), dtype(0), np.zeros((3, 5, 4), dtype)


@example
def channel_affine(random, dtype):
    return 3, *affine(random, dtype), np.zeros((3, 5, 4), dtype)


@example
def channel_affine_backward(random, dtype):
    return 3, *affine(random, dtype), *normal(random, dtype, (3, 5, 4)), np.zeros((3, 5, 4), dtype)


@example
def batch_norm_backward_reduce(random, dtype):
    inputs = [*affine(random, dtype), *normal(random, dtype, (3, 5, 4))]
    return 3, *inputs, np.zeros((3, 4), dtype), np.zeros((3, 4), dtype)


@example
def batch_norm_backward(random, dtype):
    inputs = [*affine(random, dtype), *normal(random, dtype, (3, 5, 4), 4, 4)]
    return 3, *inputs, np.zeros((3, 5, 4), dtype)


@example
def add(random, dtype):
    return 3, *normal(random, dtype, (3, 7), (3, 7)), dtype(0), np.zeros((3, 7), dtype)


@example
def global_average_pool_backward(random, dtype):
    return 3, *normal(random, dtype, (3, 4)), dtype(0.2), np.zeros((3, 5, 4), dtype)


@example
def relu(random, dtype):
    return 3, *normal(random, dtype, (3, 7)), np.zeros((3, 7), dtype)


@example
def relu_backward(random, dtype):
    return 3, *normal(random, dtype, (3, 7), (3, 7)), np.zeros((3, 7), dtype)


# Windows of images.


@example
def im2col(random, dtype):
    """Of images 5 × 4 × 3, windows 3 × 3, stride 2, padding 1."""
    sources = im2col_table(4, 2, 3, 3, 2, 1, np)
    x, columns = *normal(random, dtype, (2, 5 * 4 * 3)), np.zeros((2 * 3, 2 * 27), dtype)
    return 2 * 3, x, 3, sources, 2 * 4 * 3, -4 * 3, columns


@example
def col2im(random, dtype):
    sources = col2im_table(4, 2, 3, 3, 2, 1, np)
    columns, x = *normal(random, dtype, (2 * 3, 2 * 27)), np.zeros((2 * 5, 4 * 3), dtype)
    return 2 * 5, columns, 3, sources, 5, 2, 1, x


@example
def max_pool(random, dtype):
    y, winner = np.zeros((2, 2, 1, 3), dtype), np.full((2, 2, 1, 3), 9, np.uint8)
    return 4, *normal(random, dtype, (2, 5, 4, 3)), 2, 3, y, winner


@example
def max_pool_backward(random, dtype):
    winner = random.integers(0, 9, (2, 2, 1, 3)).astype(np.uint8)
    dy, dx = *normal(random, dtype, (2, 2, 1, 3)), np.zeros((2, 5, 4, 3), dtype)
    return 10, dy, winner, 2, 3, dx


@example
def average_pool(random, dtype):
    return 4, *normal(random, dtype, (2, 5, 4, 3)), 2, 3, np.zeros((2, 2, 1, 3), dtype)


@example
def average_pool_backward(random, dtype):
    return 10, *normal(random, dtype, (2, 2, 1, 3)), 2, 3, np.zeros((2, 5, 4, 3), dtype)


# Augmentation, attacks, random numbers.


@example
def crop(random, dtype):
    images = random.random((3, 5, 4, 2)).astype(dtype)
    offset, flip = np.array([[0, 0], [-2, 1], [1, -1]]), np.array([0, 1, 0])
    hole = np.array([[5, 5], [-1, 2], [2, 1]])
    return 15, images, offset, flip, hole, 2, images * 0


@example
def warp(random, dtype):
    images = random.random((3, 5, 4)).astype(dtype)
    field = random.uniform(-2, 2, (3, 3, 3, 2)).astype(dtype)
    return 3, images, field, images * 0


@example
def project_onto_hyperplane(random, dtype):
    x, w = random.random((3, 9)).astype(dtype), random.normal(size=(3, 9)).astype(dtype)
    b = ((w * x).sum(axis=1) + random.normal(size=3)).astype(dtype)
    return 3, x, w, b, dtype(0), dtype(1), True, np.zeros((3, 9), dtype)


@example
def random_words(random, dtype):
    return 3, np.arange(3), 7, 11, 13, 17, np.zeros((3, 8), np.int64)


# k-means.


@example
def assign_clusters(random, dtype):
    x = random.normal(size=(7, 5)).astype(dtype)
    return 7, x, x[:3].copy(), random.integers(0, 1, 7), x[:, 0] * 0


@example
def cluster_means(random, dtype):
    x = random.normal(size=(7, 5)).astype(dtype)
    return 4, x, random.integers(0, 3, 7), x[:4] * 1


# Winner-take-all networks: seven samples of five features, three classes of two neurons.


def network(random, dtype):
    x = random.normal(size=(7, 5)).astype(dtype)
    first, second = random.normal(size=(2, 6, 5)).astype(dtype)
    return x, random.integers(0, 3, 7), first, second


@example
def inner_products(random, dtype):
    x, _, w, _ = network(random, dtype)
    return 7, x, w, w[:, 0].copy(), x[:, :1].repeat(6, 1)


@example
def squared_distances(random, dtype):
    x, _, w, _ = network(random, dtype)
    return 7, x, w, x[:, :1].repeat(6, 1)


@example
def distance_differences(random, dtype):
    x, _, positive, negative = network(random, dtype)
    return 2, x, positive, negative, x[:, :1].repeat(6, 1)


@example
def competitive_softmax(random, dtype):
    _, label, _, _ = network(random, dtype)
    score = random.normal(size=(7, 6)).astype(dtype)
    return 7, score, label, 2, dtype(1e-7), score * 0, score[:, 0] * 0


@example
def gradient_update(random, dtype):
    x, _, w, _ = network(random, dtype)
    residual = random.normal(size=(7, 6)).astype(dtype)
    return 6, x, residual, np.full(1, 0.1, dtype), dtype(1), w


@example
def switching_update(random, dtype):
    x, _, positive, negative = network(random, dtype)
    residual = random.normal(size=(7, 6)).astype(dtype)
    return 6, x, residual, np.full(1, 0.1, dtype), positive, negative


def online(random, dtype):
    """The samples in an order, two arrays of prototypes, α, α_β and β's floor, the rest."""
    x = random.normal(size=(7, 5)).astype(dtype)
    first, second = random.normal(size=(2, 6, 5)).astype(dtype)
    samples = x, random.integers(0, 3, 7), random.permutation(7), 2
    rates = dtype(0.1), dtype(0.01), dtype(0.001)
    return samples, first, second, rates, (dtype(1e-7), np.zeros((3, 6), dtype))


@example
def online_plus_minus(random, dtype):
    samples, positive, negative, rates, rest = online(random, dtype)
    buffer, loss = np.zeros((2, 5), dtype), np.zeros(7, dtype)
    return 1, *samples, positive, negative, np.ones(1, dtype), *rates, *rest, buffer, loss


@example
def online_euclidean(random, dtype):
    samples, w, _, rates, rest = online(random, dtype)
    return 1, *samples, w, np.ones(1, dtype), *rates, *rest, np.zeros(7, dtype)


@example
def online_inner_product(random, dtype):
    samples, weight, _, rates, rest = online(random, dtype)
    bias = weight[:, 0].copy()
    return 1, *samples, weight, bias, rates[0], *rest, np.zeros(7, dtype)


# Training for the radius: two neurons each of three classes.


def pairs(random, dtype):
    """x, scores, labels, the own neuron and a rival of each sample."""
    x, label, A, _ = network(random, dtype)
    own = 2 * label + random.integers(0, 2, 7)
    return x, (x @ A.T).astype(dtype), label, A, own, (own + 2) % 6


@example
def boundary_points(random, dtype):
    x, _, _, A, own, rival = pairs(random, dtype)
    x, limits = 1 / (1 + np.exp(-x)), (dtype(0), dtype(1))
    outputs = (np.zeros((7, 5), dtype) for _ in range(2))
    numbers = (np.zeros(7, dtype) for _ in range(2))
    return (
        7, x, A, A[:, 0].copy(), own, rival, *limits, True, dtype(1), dtype(-1), dtype(0.5),
        *outputs, *numbers,
    )  # fmt: skip


@example
def pair_update(random, dtype):
    x, _, _, A, own, rival = pairs(random, dtype)
    both = np.concatenate([own, rival])
    member = np.argsort(both, kind="stable")
    start = np.searchsorted(both[member], np.arange(7))
    numbers = map(dtype, (1, -1, 1, 0.1, 0.9))
    return 6, x, random.random(7).astype(dtype), member, start, *numbers, A * 0, A * 1, A


@example
def absolute_differences(random, dtype):
    return 2, *normal(random, dtype, (6, 5)), np.zeros((6, 6), dtype)


@example
def nearest_pairs(random, dtype):
    _, score, label, _, own, rival = pairs(random, dtype)
    inverse_norm = (0.1 + random.random((6, 6))).astype(dtype)
    return 7, score, label, 2, inverse_norm, own * 0, rival * 0, score[:, 0] * 0


# Polyhedra.


@example
def difference_sums(random, dtype):
    return 3, *normal(random, dtype, (3, 5), (5, 4)), True, np.zeros((3, 4), dtype)


# Corruptions of images.


@example
def line_blur(random, dtype):
    images = random.random((3, 5, 4, 2)).astype(dtype)
    offset, weight = random.integers(-6, 7, (3, 3, 2)), random.random(3).astype(dtype)
    return 3, images, offset, weight, images * 0


@example
def resample(random, dtype):
    images = random.random((3, 5, 4, 2)).astype(dtype)
    return 3, images, random.uniform(-9, 9, (3, 5, 4, 2)).astype(dtype), 1, images * 0


@example
def chamfer_distance(random, dtype):
    distance = np.where(random.random((3, 5, 4)) < 0.2, 0, 1 << 20)
    return 3, 65536, 91750, 143976, distance


@example
def quantiles(random, dtype):
    distribution = np.sort(random.random((4, 6)), axis=1).astype(dtype)
    uniform = random.random((3, 7)).astype(dtype)
    return 3, uniform, random.integers(0, 4, (3, 7)), distribution, np.zeros((3, 7), np.int64)
