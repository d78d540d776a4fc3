"""Random networks as ONNX graphs, for Hypothesis, and what ONNX Runtime computes of a file."""

import numpy as np
import onnx
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper


class Builder:
    """A graph that grows node by node. `shape` is that of the last value, without the batch."""

    def __init__(self, draw, shape, random):
        self.draw, self.random = draw, random
        self.nodes, self.constants = [], []
        self.value, self.shape = "x", tuple(shape)
        self.inputs = [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", *shape])]

    def constant(self, array):
        name = f"c{len(self.constants)}"
        array = np.asarray(array)
        array = array.astype(np.float32) if array.dtype.kind == "f" else array
        if self.draw(st.booleans()):
            self.constants.append(numpy_helper.from_array(array, name))
        else:
            self.constants.append(None)
            value = numpy_helper.from_array(array, name)
            self.nodes.append(helper.make_node("Constant", [], [name], value=value))
        return name

    def add(self, kind, *inputs, shape=None, **attributes):
        output = f"v{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], name=output, **attributes))
        self.value, self.shape = output, self.shape if shape is None else tuple(shape)
        return output

    def normal(self, *shape, scale=1.0):
        return self.random.normal(size=shape) * scale

    def model(self, opset=17):
        graph = helper.make_graph(
            self.nodes,
            "random",
            self.inputs,
            [helper.make_tensor_value_info(self.value, TensorProto.FLOAT, ["N", *self.shape])],
            [constant for constant in self.constants if constant is not None],
        )
        opsets = [helper.make_opsetid("", opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=8)


def output_side(side, size, stride, before, after):
    return (side + before + after - size) // stride + 1


def windows(b, size, pads, strides=(1, 2)):
    """Attributes of square windows, and height and width after them; None where they do not fit."""
    stride = b.draw(st.sampled_from(strides))
    above, left, below, right = pads
    height = output_side(b.shape[1], size, stride, above, below)
    width = output_side(b.shape[2], size, stride, left, right)
    attributes = {"kernel_shape": [size] * 2, "strides": [stride] * 2, "pads": list(pads)}
    return (attributes, height, width) if min(height, width) >= 1 else None


def pads_of(b, most):
    if b.draw(st.booleans()):
        return [b.draw(st.integers(0, most))] * 4
    return [b.draw(st.integers(0, most)) for _ in range(4)]


def conv(b, strides=(1, 2), out=None, size=None, pads=None):
    size = b.draw(st.integers(1, 3)) if size is None else size
    found = windows(b, size, pads_of(b, 2) if pads is None else pads, strides)
    if found is None:
        return
    attributes, height, width = found
    out = b.draw(st.integers(1, 4)) if out is None else out
    weight = b.normal(out, b.shape[0], size, size, scale=1 / np.sqrt(b.shape[0] * size**2))
    inputs = [b.value, b.constant(weight)]
    if b.draw(st.booleans()):
        inputs.append(b.constant(b.normal(out)))
    b.add("Conv", *inputs, shape=(out, height, width), **attributes)


def norm(b):
    c = b.shape[0]
    arrays = b.normal(c), b.normal(c), b.normal(c), b.random.uniform(0.5, 2, c)
    b.add("BatchNormalization", b.value, *map(b.constant, arrays), epsilon=1e-3)


def relu(b):
    b.add("Relu", b.value)


def same(b):
    b.add(b.draw(st.sampled_from(["Identity", "Dropout"])), b.value)


def pool(b):
    size = b.draw(st.integers(1, 3))
    found = windows(b, size, pads_of(b, size - 1))
    if found is None:
        return
    attributes, height, width = found
    kind = b.draw(st.sampled_from(["MaxPool", "AveragePool"]))
    if kind == "AveragePool":
        attributes["count_include_pad"] = 1
    b.add(kind, b.value, shape=(b.shape[0], height, width), **attributes)


def pad(b):
    above, left, below, right = pads_of(b, 2)
    pads = b.constant(np.array([0, 0, above, left, 0, 0, below, right]))
    channels, height, width = b.shape
    shape = (channels, height + above + below, width + left + right)
    b.add("Pad", b.value, pads, b.constant(np.float32(b.random.normal())), shape=shape)


def arithmetic(b):
    """With one number, or one for each channel, of several shapes; c − x, too."""
    kind = b.draw(st.sampled_from(["Add", "Sub", "Mul", "Div"]))
    c, last = b.shape[0], (1,) * (len(b.shape) - 1)
    number = b.random.uniform(0.5, 2, b.draw(st.sampled_from([(), (1, c, *last), (c, *last)])))
    number = number * b.random.choice([-1, 1])
    inputs = [b.value, b.constant(number)]
    if kind != "Div" and b.draw(st.booleans()):
        inputs.reverse()
    b.add(kind, *inputs)


def branches(b):
    """A convolution, or several steps, beside the value itself, and their sum."""
    start, shape = b.value, b.shape
    steps = b.draw(st.lists(st.sampled_from([relu, norm, arithmetic, same]), max_size=2))
    conv(b, strides=(1,), out=shape[0], size=3, pads=[1] * 4)
    middle = b.value
    for step in steps:
        step(b)
    other = b.draw(st.sampled_from([start, middle]))
    ends = [b.value, other]
    if b.draw(st.booleans()):
        b.add("Sum", *ends, b.draw(st.sampled_from([start, middle, ends[0]])))
    else:
        b.add("Add", *ends)


IMAGE_STEPS = [conv, norm, relu, same, pool, pad, arithmetic, branches]


def rows(b):
    """From images to rows, in one of the ways in which files do it."""
    channels, size = b.shape[0], int(np.prod(b.shape))
    way = b.draw(st.sampled_from(["flatten", "reshape", "shape", "global", "mean", "transposed"]))
    if way == "global":
        b.add("GlobalAveragePool", b.value, shape=(channels, 1, 1))
        if b.draw(st.booleans()):
            b.add("Squeeze", b.value, b.constant(np.array([2, 3])), shape=(channels,))
            return
        size = channels
    if way == "mean":
        b.add("ReduceMean", b.value, shape=(channels,), axes=[2, 3], keepdims=0)
    elif way == "shape":  # x.view(x.size(0), −1)
        value = b.value
        shape = b.add("Shape", value)
        batch = b.add("Gather", shape, b.constant(np.array(0)), axis=0)
        batch = b.add("Unsqueeze", batch, b.constant(np.array([0])))
        target = b.add("Concat", batch, b.constant(np.array([-1])), axis=0)
        b.add("Reshape", value, target, shape=(size,))
    elif way == "reshape":
        target = b.draw(st.sampled_from([[0, -1], [-1, size], [0, size]]))
        b.add("Reshape", b.value, b.constant(np.array(target)), shape=(size,))
    else:
        if way == "transposed":
            shape = (*b.shape[1:], channels)
            b.add("Transpose", b.value, shape=shape, perm=[0, 2, 3, 1])
        b.add("Flatten", b.value, shape=(size,), axis=1)


def gemm(b, out):
    features, scale = b.shape[0], 1 / np.sqrt(b.shape[0])
    if b.draw(st.booleans()):
        b.add("MatMul", b.value, b.constant(b.normal(features, out, scale=scale)), shape=(out,))
        if b.draw(st.booleans()):
            b.add("Add", b.value, b.constant(b.normal(out)))
        return
    transposed, bias = b.draw(st.booleans()), b.draw(st.booleans())
    shape = (out, features) if transposed else (features, out)
    inputs = [b.value, b.constant(b.normal(*shape, scale=scale))]
    if bias:
        inputs.append(b.constant(b.normal(*b.draw(st.sampled_from([(out,), (1, out), (1,)])))))
    attributes = {"alpha": 0.5, "beta": 2.0} if b.draw(st.booleans()) else {}
    b.add("Gemm", *inputs, shape=(out,), transB=int(transposed), **attributes)


def row_branches(b):
    gemm(b, 3)
    start = b.value
    gemm(b, b.shape[0])
    b.add("Add", start, b.value)


@st.composite
def models(draw):
    """A random CNN of up to six steps on images, and up to four on rows: the model, and images
    (N, H, W, C)."""
    random = np.random.default_rng(draw(st.integers(0, 10**6)))
    channels, height, width = (
        draw(st.integers(1, 3)),
        draw(st.integers(2, 7)),
        draw(st.integers(2, 7)),
    )
    b = Builder(draw, (channels, height, width), random)
    for step in draw(st.lists(st.sampled_from(IMAGE_STEPS), max_size=6)):
        step(b)
    rows(b)
    for step in draw(
        st.lists(st.sampled_from([relu, norm, arithmetic, same, row_branches]), max_size=3)
    ):
        step(b)
    gemm(b, draw(st.integers(1, 4)))
    x = random.random((draw(st.integers(1, 3)), height, width, channels), dtype=np.float32)
    return b.model(), x


def run(path, x):
    """The output of ONNX Runtime for a file, of images as we have them."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    x = x.transpose(0, 3, 1, 2) if x.ndim == 4 else x
    return session.run(None, {"x": np.ascontiguousarray(x)})[0]


def save(model, path):
    onnx.checker.check_model(model)
    onnx.save(model, str(path))
    return path
