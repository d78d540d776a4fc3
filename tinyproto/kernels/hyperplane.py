"""The nearest point of a hyperplane inside a box, in L∞ and L2 (`attacks.hyperplane` says why)."""

from ..backend import kernel, routine, row_sum


@routine
def box_multiplier(t, T, x, w, residual, lo, hi, euclidean):
    """The τ ≥ 0 at which f(τ) = |residual|, and f′ there, for one row; x and w (d,).

    Let each δⱼ have the sign of residual · wⱼ, and uⱼ be the distance from xⱼ to the bound on that
    side. With |δⱼ| = min(τ sⱼ, uⱼ), sⱼ = |wⱼ| in L2 and 1 in L∞,

        f(τ) = w·δ(τ) = Σⱼ |wⱼ| min(τ sⱼ, uⱼ)

    is concave and piecewise linear, so Newton's steps from τ = 0 never pass the solution, and
    each step but the last takes at least one coordinate to its bound. A few steps, d + 1 at most,
    give τ exactly. Where the box is too small, all coordinates end at their bounds, and f′ is 0.
    """
    zero, one = x.dtype.type(0), x.dtype.type(1)
    sign = one if residual > 0 else -one
    tau, derivative = zero, zero
    for _ in range(x.shape[0] + 1):
        at_bound = zero  # f's part from the coordinates at their bounds
        slope = zero  # the derivative of f's other part
        for j in range(t, x.shape[0], T):
            weight = abs(w[j])
            bound = hi - x[j] if w[j] * sign > 0 else x[j] - lo
            scale = weight if euclidean else one
            if scale * tau < bound:
                slope += weight * scale
            else:
                at_bound += weight * bound
        at_bound = row_sum(at_bound)
        slope = row_sum(slope)
        derivative = slope
        if not slope > 0:
            break
        next_tau = (abs(residual) - at_bound) / slope
        if not next_tau > tau:
            break
        tau = next_tau
    return tau, derivative


@routine
def box_step(j, tau, x, w, sign, lo, hi, euclidean):
    """δⱼ of one row: |δⱼ| = min(τ sⱼ, uⱼ), in the direction of sign · wⱼ."""
    direction = w[j] * sign
    bound = hi - x[j] if direction > 0 else x[j] - lo
    length = min(tau * abs(direction) if euclidean else tau, bound)
    return length if direction > 0 else -length if direction < 0 else x.dtype.type(0)


@kernel
def project_onto_hyperplane(i, t, T, x, w, b, lo, hi, euclidean, delta):
    """delta[i] = the shortest δ with wᵢ·(xᵢ + δ) = bᵢ and lo ≤ xᵢ + δ ≤ hi.

    x, w, delta (N, d), b (N,). The length is that of L2 where `euclidean`, else of L∞. Where the
    box is too small, all coordinates end at their bounds.
    """
    part = x.dtype.type(0)
    for j in range(t, x.shape[1], T):
        part += w[i, j] * x[i, j]
    residual = b[i] - row_sum(part)
    sign = x.dtype.type(1) if residual > 0 else -x.dtype.type(1)
    tau, _ = box_multiplier(t, T, x[i], w[i], residual, lo, hi, euclidean)
    for j in range(t, x.shape[1], T):
        delta[i, j] = box_step(j, tau, x[i], w[i], sign, lo, hi, euclidean)
