"""The nearest point of a hyperplane inside a box, in L∞ and in L2; the derivation stands in
`attacks.hyperplane`."""

from ..backend import kernel, row_sum


@kernel
def project_onto_hyperplane(i, t, T, x, w, b, lo, hi, euclidean, out):
    """out[i] = the shortest δ with wᵢ·(xᵢ + δ) = bᵢ and lo ≤ xᵢ + δ ≤ hi. x, w, out (N, d), b (N,).

    Coordinate j has room uⱼ on its way and goes min(τ sⱼ, uⱼ), with sⱼ = |wⱼ| in L2 and 1 in L∞.
    The gain f(τ) = Σ |wⱼ| min(τ sⱼ, uⱼ) is concave, so Newton's steps from τ = 0 to f(τ) = |gap|
    never pass the root, and each that is not the last uses up the room of at least one coordinate:
    after few of them, and after d + 1 at the most, τ is exact.
    """
    zero, one = x.dtype.type(0), x.dtype.type(1)
    part = zero
    for j in range(t, x.shape[1], T):
        part += w[i, j] * x[i, j]
    gap = b[i] - row_sum(part)
    way = one if gap > 0 else -one

    time = zero
    for _ in range(x.shape[1] + 1):
        held = zero  # gained by the coordinates whose room is used up
        slope = zero  # what the others gain in a unit of τ
        for j in range(t, x.shape[1], T):
            gain = abs(w[i, j])
            room = hi - x[i, j] if w[i, j] * way > 0 else x[i, j] - lo
            speed = gain if euclidean else one
            if speed * time < room:
                slope += gain * speed
            else:
                held += gain * room
        held = row_sum(held)
        slope = row_sum(slope)
        if not slope > 0:
            break
        later = (abs(gap) - held) / slope
        if not later > time:
            break
        time = later

    for j in range(t, x.shape[1], T):
        gain = w[i, j] * way
        room = hi - x[i, j] if gain > 0 else x[i, j] - lo
        far = min(time * abs(gain) if euclidean else time, room)
        out[i, j] = far if gain > 0 else -far if gain < 0 else zero
