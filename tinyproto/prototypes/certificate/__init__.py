"""The exact robustness radius of a winner-take-all network, with a proof in real arithmetic.

`radius` derives the problem and the proof, and goes through the rivals; `rival_distance` is the
distance to one of them. The solvers (`projection`, `convex`) propose, `lower_bound` proves in
float64, and `exact_bound` in integers (`dyadic`), of the rows that `real_network` makes.
"""

from .radius import exact_radius

__all__ = ["exact_radius"]
