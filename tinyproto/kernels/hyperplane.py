"""The nearest point of a hyperplane inside a box, in L∞ and L2 (`attacks.hyperplane` says why)."""

from ..backend import kernel, row_sum


@kernel
def project_onto_hyperplane(i, t, T, x, w, b, lo, hi, euclidean, delta):
    """delta[i] = the shortest δ with wᵢ·(xᵢ + δ) = bᵢ and lo ≤ xᵢ + δ ≤ hi.

    x, w, delta (N, d), b (N,). The length is that of L2 where `euclidean`, else of L∞.

    Let r = bᵢ − wᵢ·xᵢ. Each δⱼ has the sign of r wⱼ, and uⱼ is the distance from xⱼ to the bound on
    that side. The solution is |δⱼ| = min(τ sⱼ, uⱼ), with sⱼ = |wⱼ| in L2 and 1 in L∞, for the τ at
    which the products add up:

        f(τ) = Σⱼ |wⱼ| min(τ sⱼ, uⱼ) = |r|

    f is concave and piecewise linear, so Newton's steps from τ = 0 never pass the solution, and
    each step but the last takes at least one coordinate to its bound. A few steps, d + 1 at most,
    give τ exactly. Where the box is too small, all coordinates end at their bounds.
    """
    zero, one = x.dtype.type(0), x.dtype.type(1)
    part = zero
    for j in range(t, x.shape[1], T):
        part += w[i, j] * x[i, j]
    residual = b[i] - row_sum(part)
    sign = one if residual > 0 else -one

    tau = zero
    for _ in range(x.shape[1] + 1):
        at_bound = zero  # f's part from the coordinates at their bounds
        slope = zero  # the derivative of f's other part
        for j in range(t, x.shape[1], T):
            weight = abs(w[i, j])
            bound = hi - x[i, j] if w[i, j] * sign > 0 else x[i, j] - lo
            scale = weight if euclidean else one
            if scale * tau < bound:
                slope += weight * scale
            else:
                at_bound += weight * bound
        at_bound = row_sum(at_bound)
        slope = row_sum(slope)
        if not slope > 0:
            break
        next_tau = (abs(residual) - at_bound) / slope
        if not next_tau > tau:
            break
        tau = next_tau

    for j in range(t, x.shape[1], T):
        direction = w[i, j] * sign
        bound = hi - x[i, j] if direction > 0 else x[i, j] - lo
        length = min(tau * abs(direction) if euclidean else tau, bound)
        delta[i, j] = length if direction > 0 else -length if direction < 0 else zero
