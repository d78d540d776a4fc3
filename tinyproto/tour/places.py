"""Places in the package worth breaking: a line of a formula, and a test that must catch a wrong
one."""

from typing import NamedTuple

from .sandbox import CHECKOUT


class Place(NamedTuple):
    """A line of a file of the package, the one whose text this is, and a wrong one in its place."""

    file: str
    line: str
    wrong: str
    formula: str
    what: str
    """What is wrong then, in a few words."""
    tests: tuple[str, ...]
    """The tests that cover the line; the first that fails is one of these."""

    def number(self) -> int:
        """The line's number, from 1."""
        return line_number(self.file, self.line)

    def broken(self, text: str) -> str:
        """The text of the file with the wrong line."""
        lines = text.split("\n")
        at = self.number() - 1
        lines[at] = lines[at].replace(self.line, self.wrong)
        return "\n".join(lines)


def line_number(file: str, text: str) -> int:
    """The number, from 1, of the line of a file of the package that has this text. ValueError
    unless there is just one."""
    lines = (CHECKOUT / "tinyproto" / file).read_text().splitlines()
    found = [i for i, line in enumerate(lines, 1) if line.strip() == text]
    if len(found) != 1:
        raise ValueError(f"tinyproto/{file}: {len(found)} lines are {text!r}, not 1")
    return found[0]


LAYER_GRADIENTS = "tests/layers/test_layer_gradients.py::test_gradients"
DPNP = "tests/prototypes/test_dpnp.py"

PLACES = {
    "batch-norm": Place(
        "layers/batch_norm.py",
        "batch_norm_backward(rows, *affine, dy, share * inverse * d_scale, share * d_shift, dx)",
        "batch_norm_backward(rows, *affine, dy, -share * inverse * d_scale, share * d_shift, dx)",
        "dx = γ/s (dy − dβ/m − x̂ dγ/m)",
        "a sign in BatchNorm's backward pass",
        (f"{LAYER_GRADIENTS}[BatchNorm of rows-train]",),
    ),
    "global-average-pool": Place(
        "layers/pooling.py",
        "global_average_pool_backward(images, xp.ascontiguousarray(dy), inverse_count, dx)",
        "global_average_pool_backward(images, xp.ascontiguousarray(dy), x.dtype.type(1), dx)",
        "dx = dy/(H W) at every pixel",
        "the missing 1/N of a mean",
        (f"{LAYER_GRADIENTS}[GlobalAveragePool-eval]",),
    ),
    "accumulation": Place(
        "layers/linear.py",
        'grads["bias"] += dy.sum(axis=0)',
        'grads["bias"][...] = dy.sum(axis=0)',
        "backward(dy, grads) adds the gradients of the parameters into grads",
        "a gradient that replaces the one it should be added to",
        (f"{LAYER_GRADIENTS}[Linear-eval]",),
    ),
    "col2im": Place(
        "kernels/im2col.py",
        "if k != OUTSIDE:",
        "if k == k:",
        "x[r, s] = Σ over all windows that contain the pixel, and no others",
        "col2im without its mask",
        ("tests/kernels/test_im2col.py::test_col2im",),
    ),
    "winograd": Place(
        "cpu/winograd/transforms.py",
        "fma(B3, odd_b, fma(A3, odd_a, m[5])),",
        "fma(B3, odd_b, fma(A2, odd_a, m[5])),",
        "Aᵀ's last row: 0 a³ −a³ b³ −b³ 1",
        "an entry of Winograd's output transform",
        ("tests/cpu/test_convolution.py::test_winograd",),
    ),
    "kl": Place(
        "losses/divergences.py",
        "dz = p * (log_ratio - value[:, None])",
        "dz = p * log_ratio",
        "∂KL(p ‖ q)/∂z = p (log p/q − KL)",
        "KL's gradient at its first argument, without the derivative of p",
        ("tests/test_losses.py::test_each_partial_derivative[kl_divergence]",),
    ),
    "cross-entropy": Place(
        "losses/entropy.py",
        "dz[rows, y] = -dz.sum(axis=1)",
        "dz[rows, y] = dz.sum(axis=1)",
        "dz = p − 1_y, whose entry of y is −Σ of the others",
        "the sign of the label's gradient",
        ("tests/test_losses.py::test_each_partial_derivative[cross_entropy]",),
    ),
    "adam": Place(
        "optimizers.py",
        "leaf -= (learning_rate / (1 - self.beta1**t)) * m / root",
        "leaf -= learning_rate * m / root",
        "m̂ = m / (1 − β₁ᵗ)",
        "Adam without the correction of its first moment's bias",
        ("tests/test_optimizers.py::test_three_steps_of_adam_by_hand",),
    ),
    "switching": Place(
        "kernels/winner_take_all.py",
        "if residual[n, i] > 0:",
        "if residual[n, i] != 0:",
        "w⁺ₖ moves for own examples alone, w⁻ₖ for those of other classes alone",
        "the mask of ±ED-WTA's switching rule",
        ("tests/prototypes/test_gradients.py::"
         "test_switching_rule_is_the_gradient_where_it_updates_and_zero_elsewhere",),
    ),
    "beta": Place(
        "prototypes/cross_entropy.py",
        "beta = network._beta + ascent",
        "beta = network._beta - ascent",
        "β ← β − α_β Σₖ (qₖ − τₖ)(d⁻ₖ − d⁺ₖ)",
        "the sign of the step of β",
        ("tests/prototypes/test_gradients.py::test_full_gradient",),
    ),
    "radius-dual": Place(
        "prototypes/certificate/projection.py",
        "return float(multipliers @ (h - G @ delta) + 0.5 * delta @ delta), delta",
        "return float(multipliers @ (h - G @ delta) - 0.5 * delta @ delta), delta",
        "D(λ) = λ·(h − Gδ) + ½‖δ‖²,  δ = clip(Gᵀλ, low, high)",
        "the dual of the exact radius",
        ("tests/prototypes/test_certificate.py::test_boxed_projection_proves_itself_optimal",
         "tests/prototypes/test_certificate.py::test_radius_agrees_with_general_solvers"),
    ),
    "repulsion": Place(
        "prototypes/dpnp.py",
        "return -(difference**2).sum(axis=1)[y], _sum_by(rival, push, len(prototypes)) - push",
        "return -(difference**2).sum(axis=1)[y], -push",
        "dC_j = −2 Σ_{y_i = j} v_j + 2 Σ_{n(y_i) = j} v_{y_i}",
        "the second half of the repulsion: the rival's",
        (f"{DPNP}::test_repulsion",),
    ),
    "sphere": Place(
        "prototypes/dpnp.py",
        "prototypes *= (self.radius / xp.maximum(length, 1e-12)).astype(prototypes.dtype)",
        "prototypes *= (1 / xp.maximum(length, 1e-12)).astype(prototypes.dtype)",
        "c_j ← a c_j/‖c_j‖",
        "the radius of the prototypes' sphere",
        (f"{DPNP}::test_projection_puts_prototypes_on_the_sphere",),
    ),
    "clean-prototypes": Place(
        "training/prototype_defenses.py",
        "clean.add_to_scores(dz_clean * scale, moves_prototypes=both)",
        "clean.add_to_scores(dz_clean * scale, moves_prototypes=True)",
        "KL(p ‖ p′) with C held fixed",
        "prototypes of Adv-DPNP that the consistency term moves",
        ("tests/training/test_defenses.py::"
         "test_prototypes_learn_from_clean_images_alone_to_the_bit",),
    ),
    "fab": Place(
        "attacks/fab.py",
        "plane = gradient, (gradient * current).sum(axis=1) - difference",
        "plane = gradient, (gradient * current).sum(axis=1) + difference",
        "the hyperplane {p : g·p = g·x′ − (z_t − z_y)}, g = ∇(z_t − z_y)(x′)",
        "the plane of FAB's projection, on the other side",
        ("tests/attacks/test_reference.py::test_fab_is_the_paper_s_algorithm",),
    ),
    "apgd": Place(
        "attacks/apgd.py",
        "halve = condition_1 | condition_2",
        "halve = condition_1 & condition_2",
        "the step is halved if condition 1 or condition 2 holds",
        "when APGD halves its step",
        ("tests/attacks/test_reference.py::test_apgd_is_the_paper_s_algorithm",),
    ),
    "n-fgsm": Place(
        "attacks/n_fgsm.py",
        "return clip_to_box(moved, *box)",
        "return moved.astype(x.dtype)",
        "x′ = clip(x + η + ε sign ∇ℓ(x + η))",
        "N-FGSM without its clip to the box",
        ("tests/attacks/test_n_fgsm.py::test_it_is_one_signed_step_from_a_noisy_start",),
    ),
}  # fmt: skip
"""Name → place."""
