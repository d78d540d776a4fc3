"""The equations of the map, by the page that shows them."""

from equation import Equation, breakable

LAYER_GRADIENTS = "tests/layers/test_layer_gradients.py::test_gradients"
FULL_GRADIENT = "tests/prototypes/test_gradients.py::test_full_gradient"
CERTIFIED = "results.md#networks-trained-for-their-radius"
TRACES = "results.md#autoattack-on-adv-dpnp"
CONVOLUTION = "convolution.md#3-the-forward-pass"

PROTOTYPES = (
    Equation(
        "The score of a neuron",
        "oₖ = β (½‖x − w⁻ₖ‖² − ½‖x − w⁺ₖ‖²)",
        "kernels/winner_take_all.py",
        "total += (positive[j] - negative[j]) * (two * x[j] - (positive[j] + negative[j]))",
        "tinyproto.prototypes.winner_take_all",
        "tests/prototypes/test_gradients.py::test_mini_batches_of_one_are_the_online_rule",
        "01",
    ),
    Equation(
        "The score is linear",
        "oₖ = β (w⁺ₖ − w⁻ₖ)·x − ½β (‖w⁺ₖ‖² − ‖w⁻ₖ‖²)",
        "prototypes/winner_take_all.py",
        "return self.beta_ * (positive - negative), -0.5 * self.beta_ * squares",
        "tinyproto.prototypes.equivalence",
        "tests/prototypes/test_networks.py::"
        "test_the_linear_form_is_the_score_but_for_what_all_neurons_share",
        "01",
    ),
    Equation(
        "The competitive cross-entropy",
        "E = −log Σ_own q        −∂E/∂oₖ = τₖ − qₖ",
        "kernels/winner_take_all.py",
        "residual[k] = max(tau - residual[k] / total, zero)",
        "tinyproto.prototypes.cross_entropy",
        FULL_GRADIENT,
        "02",
    ),
    breakable("switching", "The switching rule", "tinyproto.prototypes.winner_take_all", "02"),
    Equation(
        "One sample at a time",
        "w ← w + α β |τ − q| (x − w)",
        "kernels/online.py",
        "w[j] += step * (x[j] - w[j])",
        "tinyproto.prototypes.winner_take_all",
        "tests/prototypes/test_gradients.py::test_mini_batches_of_one_are_the_online_rule",
        "02",
    ),
    breakable("beta", "The step of β", "tinyproto.prototypes.winner_take_all", "02"),
    Equation(
        "The bound of the radius",
        "r ≥ maxᵢ minⱼ (oᵢ − oⱼ) / ‖Aᵢ − Aⱼ‖",
        "kernels/radius.py",
        "return (score[k] - score[j]) * inverse_norm[k, j]",
        "tinyproto.prototypes.radius_objective",
        "tests/prototypes/test_radius_objective.py::test_the_bound_is_its_definition",
        "03",
    ),
    breakable(
        "radius-dual",
        "The dual of the exact radius",
        "tinyproto.prototypes.certificate.radius",
        "03",
    ),
    Equation(
        "A step of training for the radius",
        "v ← μ v + g        w ← w + α (g + μ v)",
        "kernels/radius.py",
        "w[i, j] += rate * (g + momentum * v)",
        "tinyproto.prototypes.radius_objective",
        "tests/prototypes/test_radius_objective.py::"
        "test_a_mini_batch_averages_its_samples_and_has_momentum",
        "03",
        CERTIFIED,
    ),
    Equation(
        "Certified accuracy",
        "the share of inputs with radius ≥ r (for r = 0: > 0)",
        "prototypes/certificate/curve.py",
        'below = np.searchsorted(np.sort(found), at.ravel(), side="left").reshape(at.shape)',
        "tinyproto.prototypes:certified_accuracy",
        "tests/prototypes/test_curve.py::test_certified_accuracy_counts_the_inputs",
        "03",
        CERTIFIED,
    ),
)

ATTACKS = (
    Equation(
        "A step of PGD",
        "x′ ← P(x′ + s g/‖g‖₂)",
        "attacks/region.py",
        "moved = points + size * normalize_l2(gradient)",
        "tinyproto.attacks.pgd",
        "tests/attacks/test_exact_radius.py::"
        "test_attacks_succeed_exactly_in_balls_larger_than_the_distance",
        "04",
    ),
    Equation(
        "The ball and the box",
        "max(x − ε, lo) ≤ x′ ≤ min(x + ε, hi)",
        "attacks/region.py",
        "low = xp.clip(exact - eps, least, greatest).astype(x.dtype)",
        "tinyproto.attacks.region",
        "tests/attacks/test_pgd.py::test_linf_bounds_are_tight",
        "04",
    ),
    breakable("fab", "The hyperplane of FAB", "tinyproto.attacks.fab", "04"),
    Equation(
        "A step of FAB",
        "x′ ← (1 − α)(x′ + η δ) + α (x + η δ_orig)",
        "attacks/fab.py",
        "moved = (current + ETA * delta) * (1 - alpha) + (x_orig + ETA * delta_orig) * alpha",
        "tinyproto.attacks.fab",
        "tests/attacks/test_reference.py::test_fab_is_the_paper_s_algorithm",
        "04",
    ),
    Equation(
        "The nearest point of a hyperplane in a box",
        "Σⱼ |wⱼ| min(τ sⱼ, uⱼ) = |b − w·x|        sⱼ = |wⱼ| in L2, 1 in L∞",
        "kernels/hyperplane.py",
        "next_tau = (abs(residual) - at_bound) / slope",
        "tinyproto.attacks.hyperplane",
        "tests/attacks/test_hyperplane.py::test_the_step_is_the_shortest",
        "04",
    ),
    Equation(
        "The momentum of APGD",
        "p = P(x′ + η direction)        x′ ← P(x′ + α (p − x′) + (1 − α)(x′ − x′_previous))",
        "attacks/apgd.py",
        "move = (z - x) * alpha + (x - self.previous) * (1 - alpha)",
        "tinyproto.attacks.apgd",
        "tests/attacks/test_reference.py::test_apgd_is_the_paper_s_algorithm",
        "04",
        TRACES,
    ),
    breakable("apgd", "When APGD halves its step", "tinyproto.attacks.apgd", "04", TRACES),
    Equation(
        "Flat gradients",
        "∇L = 0 to the last bit, though L is not flat at these scores",
        "attacks/victim.py",
        "return int((zero & (dz.any(axis=1) | saturated)).sum())",
        "tinyproto.attacks:Victim",
        "tests/attacks/test_properties.py::test_what_counts_as_a_flat_gradient",
        "10",
    ),
    breakable("cross-entropy", "Cross-entropy", "tinyproto.losses:cross_entropy", "10"),
    Equation(
        "The margin",
        "ℓ = z_t − z_y        dz = 1_t − 1_y",
        "losses/margins.py",
        "return z[rows, target] - z[rows, y], dz",
        "tinyproto.losses:margin",
        "tests/test_losses.py::test_the_value_is_the_definition",
        "10",
    ),
)

LAYERS = (
    Equation(
        "The weights of a linear layer",
        "dW = xᵀ dy",
        "layers/linear.py",
        'grads["weight"] += x.T @ dy',
        "tinyproto.layers:Linear",
        LAYER_GRADIENTS,
        "05",
    ),
    breakable("accumulation", "Gradients are added", "tinyproto.layers:Layer", "05"),
    Equation(
        "The chain rule",
        "dx = backward₁(backward₂(… backwardₙ(dy)))",
        "layers/containers.py",
        "dy = backward(dy, grads.get(name) if grads else None)",
        "tinyproto.layers:Sequential",
        "tests/layers/test_layer_gradients.py::test_gradients_of_a_network",
        "05",
    ),
    Equation(
        "The central difference",
        "f′(x) ≈ (8 (f₁ − f₋₁) − (f₂ − f₋₂)) / 12h",
        "testing/differences.py",
        "return (8 * near - far) / (12 * step)",
        "tinyproto.testing.differences",
        "tests/testing/test_differences.py::test_a_cubic_is_exact",
        "06",
    ),
    Equation(
        "ReLU's backward pass",
        "dx = dy where y > 0, else 0",
        "kernels/channels.py",
        "dx[i, j] = dy[i, j] if y[i, j] > zero else zero",
        "tinyproto.layers:ReLU",
        "tests/layers/test_layers.py::test_the_gradient_of_relu_is_0_at_0",
        "06",
    ),
    Equation(
        "The largest of a window",
        "∂y/∂x = 1 at the first largest element, else 0",
        "kernels/pooling.py",
        "if value > largest or value != value:  # NaN remains NaN",
        "tinyproto.kernels.pooling",
        "tests/layers/test_layers.py::"
        "test_max_pooling_of_equal_values_takes_the_first_in_reading_order",
        "06",
    ),
    breakable("batch-norm", "BatchNorm's backward pass", "tinyproto.layers.batch_norm", "07"),
    breakable(
        "global-average-pool",
        "The mean over the pixels",
        "tinyproto.layers:GlobalAveragePool",
        "07",
    ),
    Equation(
        "BatchNorm folded into a convolution",
        "W′ = W γ/s        b′ = (b − μ) γ/s + β",
        "layers/fold.py",
        '"weight": (weight * gain).astype(weight.dtype),',
        "tinyproto.layers.fold",
        "tests/layers/test_fast_path.py::test_folding_changes_nothing_beyond_rounding",
        "07",
    ),
    Equation(
        "The windows of a convolution",
        "columns[h, w, (a, b, c)] = x[h S − P + a, w S − P + b, c]",
        "kernels/im2col.py",
        "columns[i, e] = x[n, k] if inside else zero",
        "tinyproto.kernels.im2col",
        "tests/kernels/test_im2col.py::test_im2col",
        "07",
        CONVOLUTION,
    ),
    breakable(
        "col2im", "The transpose of the windows", "tinyproto.kernels.im2col", "07", CONVOLUTION
    ),
)

TRAINING = (
    Equation(
        "Adversarial training",
        "min_θ E[ max L(θ, x + δ, y) over ‖δ‖∞ ≤ ε ]",
        "training/defenses.py",
        "z, backward = network(attacked_images(attack, network, batch), train=True)",
        "tinyproto.training:pgd",
        "tests/training/test_defenses.py::"
        "test_attacked_images_are_computed_in_eval_mode_and_in_the_ball",
        "08",
    ),
    Equation(
        "Alignment",
        "ℓ = ‖h − c_y‖²        dC_j = 2 Σ_{y_i = j} (c_j − h_i)",
        "prototypes/dpnp.py",
        "d_prototypes = -2 * _sum_by(y, difference, len(prototypes))",
        "tinyproto.prototypes:alignment",
        "tests/prototypes/test_dpnp.py::test_alignment",
        "09",
    ),
    breakable("repulsion", "Repulsion", "tinyproto.prototypes:repulsion", "09"),
    breakable("sphere", "The sphere of the prototypes", "tinyproto.prototypes:PrototypeHead", "09"),
    Equation(
        "The simplex",
        "cos(c_i, c_j) = −1/(M − 1)",
        "prototypes/dpnp.py",
        "centred = np.eye(vertices) - 1 / vertices",
        "tinyproto.prototypes:simplex",
        "tests/prototypes/test_dpnp.py::test_simplex",
        "09",
    ),
    breakable(
        "clean-prototypes",
        "Prototypes learn from clean images alone",
        "tinyproto.training.prototype_defenses",
        "09",
    ),
    breakable("kl", "Consistency", "tinyproto.losses:kl_divergence", "09"),
    Equation(
        "Compactness",
        "the distance of features to the centre of their class",
        "evaluation/geometry/distances.py",
        "own = np.linalg.norm(h - c[y], axis=1)",
        "tinyproto.evaluation.geometry:compactness",
        "tests/evaluation/test_geometry.py::test_compactness_and_separation_of_known_points",
        "09",
        "concepts/geometry.md#pictures",
    ),
)

KERNELS = (
    Equation(
        "A sum in parts",
        "‖x − w‖² = Σ_t Σ_{j = t, t + T, …} (x_j − w_j)²",
        "kernels/winner_take_all.py",
        "total += (x[j] - w[j]) * (x[j] - w[j])",
        "tinyproto.backend:kernel",
        "tests/prototypes/test_gradients.py::test_the_loss_is_its_definition",
        "11",
    ),
    Equation(
        "A tile of a matrix product",
        "C[m, n] = Σ_r Σ_k A[m; r, k] B[r, k; n]",
        "cpu/gemm.py",
        "sums[i] = v.emit_fma(builder, broadcast, row_of_b[j], sums[i])",
        "tinyproto.cpu.gemm",
        "tests/cpu/test_gemm.py::test_a_product_of_any_size",
        "12",
        CONVOLUTION,
    ),
    Equation(
        "Winograd's input transform",
        "Bᵀ d, its first row: a²b² 0 −a²−b² 0 1 0",
        "cpu/winograd/transforms.py",
        "fma(A2B2, d[0], fma(-A2_B2, d[2], d[4])),",
        "tinyproto.cpu.winograd",
        "tests/cpu/test_convolution.py::test_winograd",
        "12",
    ),
    breakable("winograd", "Winograd's output transform", "tinyproto.cpu.winograd", "12"),
)

THEMES = {
    "prototypes": ("Prototypes", PROTOTYPES),
    "attacks": ("Attacks and their losses", ATTACKS),
    "layers": ("Layers", LAYERS),
    "training": ("Adversarial training and Adv-DPNP", TRAINING),
    "kernels": ("Kernels", KERNELS),
}
"""File name of the page: its title and its equations."""
