"""Native code between unreadable pages: `python -m tests.guard_pages --cases N --seed S`.

Every array that a compiled function gets is copied to where it ends at such a page, and in a second
run to where it begins after one; one number read or written beyond an array ends the process with
SIGSEGV. The last line printed names the case. The outputs must have the bits of an ordinary run,
in which the memory around the arrays holds other things.
"""

import argparse
import ctypes
import mmap

import numpy as np

from tests.kernel_examples import EXAMPLES, all_kernels
from tinyproto import data, parameters, prototypes
from tinyproto.attacks.hyperplane import projection_step
from tinyproto.backend import cpu, kernel
from tinyproto.cpu import direct, winograd
from tinyproto.cpu.winograd import convolve
from tinyproto.layers import (
    AveragePool2D,
    BatchNorm,
    Conv2D,
    GlobalAveragePool,
    Linear,
    MaxPool2D,
    Normalize,
    ReLU,
    Residual,
    convolution,
    im2col,
)
from tinyproto.testing import randomize

GUARD = 1 << 20  # bytes before and after: a wrong stride does not jump over them
PAGE = mmap.PAGESIZE
mprotect = ctypes.CDLL(None, use_errno=True).mprotect
mprotect.argtypes = ctypes.c_void_p, ctypes.c_size_t, ctypes.c_int

calls, arrays = 0, 0


def guarded(array: np.ndarray, at_end: bool) -> np.ndarray:
    """A copy of an array between unreadable pages: it ends at one, or begins after one."""
    global arrays
    arrays += 1
    body = -(-array.nbytes // PAGE) * PAGE
    memory = mmap.mmap(-1, body + 2 * GUARD)
    address = ctypes.addressof(ctypes.c_char.from_buffer(memory))
    for start in (address, address + GUARD + body):
        if mprotect(start, GUARD, 0):  # PROT_NONE
            raise OSError(ctypes.get_errno(), "mprotect failed")
    start = GUARD + (body - array.nbytes if at_end else 0)
    copy = np.ndarray(array.shape, array.dtype, buffer=memory, offset=start)
    copy[...] = array
    return copy


class Guard:
    """Inside the block, compiled functions get guarded copies of their arrays."""

    def __init__(self, at_end: bool):
        self.at_end, self.run = at_end, cpu.run

    def __enter__(self):
        cpu.run = self.run_guarded

    def __exit__(self, *error):
        cpu.run = self.run

    def run_guarded(self, compiled, workers, arguments):
        global calls
        calls += 1
        copies = {}  # an array that is passed twice is copied once

        def copied(argument):
            if not isinstance(argument, np.ndarray) or not argument.flags.c_contiguous:
                return argument
            key = argument.ctypes.data, argument.shape, argument.dtype
            if key not in copies:
                copies[key] = argument, guarded(argument, self.at_end)
            return copies[key][1]

        self.run(compiled, workers, [copied(argument) for argument in arguments])
        for argument, copy in copies.values():
            if argument.flags.writeable:
                argument[...] = copy


# ---------------------------------------------------------------- cases: random ↦ name, function


def layer_case(random, layer, shape, dtype):
    """Forward and backward pass, fused with a ReLU or not, with gradients of the parameters."""
    randomize(layer, random, dtype)
    x, train, fused = random.normal(size=shape).astype(dtype), *random.integers(0, 2, 2)
    train = train and x.size // max(1, shape[-1]) > 1  # else BatchNorm refuses
    seed = int(random.integers(1 << 31))

    def run():
        y, backward = (layer.forward_relu if fused else layer)(x, bool(train))
        grads = parameters.zeros(layer.params)
        dy = np.random.default_rng(seed).normal(size=y.shape).astype(dtype)
        found = [y, backward(dy), backward(dy, grads)]
        return found + [np.asarray(leaf) for _, leaf in parameters.leaves(grads)]

    return f"{layer!r}, {np.dtype(dtype)} {shape}, train={train}, relu={fused}", run


def sizes(random, smallest=1):
    """Images, height and width; now and then so many that the work is split into chunks."""
    if random.random() < 0.1:
        return 4, *random.integers(max(24, smallest), 34, 2)
    return int(random.integers(0, 4)), *random.integers(smallest, smallest + 12, 2)


def channels(random):
    return int(random.choice([random.integers(1, 71), random.choice([1, 3, 16, 32, 64])]))


def convolution_case(random, dtype):
    size, stride = int(random.choice([3, 3, 1, 2, 4, 5])), int(random.choice([1, 1, 1, 2, 3]))
    padding, bias = int(random.integers(0, 4)), bool(random.integers(2))
    images, height, width = map(int, sizes(random, max(1, size - 2 * padding)))
    inputs, outputs = (channels(random) // (3 if height > 20 else 1) + 1 for _ in range(2))
    layer = Conv2D(inputs, outputs, size, stride=stride, padding=padding, bias=bias)
    backends = [None, direct, im2col]
    if size == 3 and stride == 1 and padding <= 2:
        backends += [winograd, winograd]
    chosen = random.choice(backends) if dtype == np.float32 else None
    shape = images, height, width, inputs
    name, run = layer_case(random, layer, shape, dtype)

    def run_with_backend():
        select = convolution.select_backend
        convolution.select_backend = (lambda *_: chosen) if chosen else select
        try:
            return run()
        finally:
            convolution.select_backend = select

    return f"{name}, {getattr(chosen, '__name__', 'any')}", run_with_backend


def pool_case(random, dtype):
    kind = MaxPool2D if random.random() < 0.6 else AveragePool2D
    size = int(random.choice([1, 2, 2, 3, 5, 16]))
    layer = kind(size, int(random.integers(1, 4)))
    images, height, width = map(int, sizes(random, size))
    return layer_case(random, layer, (images, height, width, channels(random)), dtype)


def other_layer_case(random, dtype):
    images, height, width = map(int, sizes(random, 2))
    count = channels(random)
    rows = random.random() < 0.3
    shape = (images + 2, count) if rows else (images, height, width, count)
    layers = [BatchNorm(count), ReLU(), Normalize([0.5] * count, [2.0] * count)]
    layers += [Linear(count, channels(random))] if rows else [
        GlobalAveragePool(), Residual(Conv2D(count, count, 3, padding=1)), BatchNorm(count),
    ]  # fmt: skip
    return layer_case(random, layers[random.integers(len(layers))], shape, dtype)


def network_case(random, dtype):
    """A winner-take-all network, trained; k-means is the start of one in three."""
    kind = random.choice([prototypes.PlusMinusEDWTA, prototypes.EDWTA, prototypes.IPWTA])
    count, features, classes = random.integers(12, 40), random.integers(1, 20), 3
    x, y = random.normal(size=(count, features)).astype(dtype), np.arange(count) % classes
    options = {
        "prototypes_per_class": int(random.integers(1, 4)),
        "batch_size": int(random.choice([1, 7])),
        "init": str(random.choice(["random", "kmeans", "class-mean"])),
    }

    def run():
        network = kind(epochs=2, dtype=np.dtype(dtype).name, **options).fit(x, y)
        z, backward = network(x)
        return [z, backward(z), network.predict(x)]

    return f"{kind.__name__}, {np.dtype(dtype)} {x.shape}, {options}", run


def attack_case(random, dtype):
    x = random.random((random.integers(1, 5), random.integers(1, 40))).astype(dtype)
    w, b = random.normal(size=x.shape), random.normal(size=len(x))
    norm = "linf" if random.random() < 0.5 else "l2"
    return f"projection_step {x.shape} {norm}", lambda: [projection_step(x, w, b, norm=norm)]


def augment_case(random, dtype):
    shape = random.integers(1, 9, 4)
    images, seed = random.random(shape).astype(dtype), int(random.integers(99))
    options = {"seed": seed, "epoch": 0, "index": random.integers(0, 1000, shape[0])}

    def run():
        cropped = data.crop_and_flip(images, padding=int(shape[3]), cutout=int(shape[0]), **options)
        points = int(2 + shape[3])
        return [cropped, data.elastic(images[..., 0], control_points=points, **options)]

    return f"augment {images.shape} {np.dtype(dtype)}", run


CASES = [convolution_case] * 10 + [pool_case] * 4 + [other_layer_case] * 4
CASES += [network_case, attack_case, augment_case]


def kernel_cases(dtype):
    """Every kernel on its example, so that a new one is covered from its first day."""
    for name, body in all_kernels().items():
        made = EXAMPLES[name](np.random.default_rng(0), dtype)

        def run(body=body, made=made):
            rows, *arguments = [a.copy() if isinstance(a, np.ndarray) else a for a in made]
            body(rows, *arguments)
            return [a for a in arguments if isinstance(a, np.ndarray)]

        yield f"kernel {name}, {np.dtype(dtype)}", run


# ---------------------------------------------------------------- faults that must be seen


@kernel
def reads_beyond(i, t, T, x, y):
    for j in range(x.shape[1]):
        y[i, j] = x[i, j + 1]


@kernel
def reads_before(i, t, T, x, y):
    for j in range(x.shape[1]):
        y[i, j] = x[i, j - 2 * x.shape[1]]  # Numba adds the length once to a negative index


@kernel
def writes_beyond(i, t, T, x, y):
    for j in range(x.shape[1] + 1):
        y[i, j] = x[i, 0]


def broken_kernel(body):
    x = np.ones((2, 5), np.float32)
    return f"{body.__name__}, which must fault", lambda: [body(len(x), x, np.zeros_like(x))]


def unchecked_bias():
    """A bias of 3 numbers for 48 outputs, without the check of parameters."""
    layer, x = Conv2D(32, 48, 3, padding=1), np.ones((2, 8, 8, 32), np.float32)
    layer.params["bias"] = np.zeros(3, np.float32)
    convolution.check_parameters = lambda *_: None
    convolve.check_array = lambda *_: None
    return "a bias of another shape, which must fault", lambda: [layer(x)[0]]


BROKEN = {
    "reads_beyond": lambda: broken_kernel(reads_beyond),
    "reads_before": lambda: broken_kernel(reads_before),
    "writes_beyond": lambda: broken_kernel(writes_beyond),
    "unchecked_bias": unchecked_bias,
}


def check(name, run):
    """Run a case guarded on either side, and compare with an ordinary run."""
    print(name, flush=True)
    expected = run()
    for at_end in (True, False):
        with Guard(at_end):
            found = run()
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_array_equal(one, other, strict=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--cases", type=int, default=0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--broken", choices=BROKEN)
    options = parser.parse_args()
    if options.broken:
        name, run = BROKEN[options.broken]()
        for at_end in (True, False):
            with Guard(at_end):
                run()
        return
    for dtype in (np.float32, np.float64):
        for name, run in kernel_cases(dtype):
            check(name, run)
    for i in range(options.cases):
        random = np.random.default_rng([options.seed, i])
        cpu.MIN_WORK_PER_THREAD = int(random.choice([1, 1 << 22]))  # several workers, or one
        dtype = np.float32 if random.random() < 0.7 else np.float64
        check(*CASES[random.integers(len(CASES))](random, dtype))
    print(f"{options.cases} cases, {calls} calls of compiled functions with {arrays} arrays")


if __name__ == "__main__":
    main()
