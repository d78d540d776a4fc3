"""The exact robustness radius of a winner-take-all network, with a proof in real arithmetic.

`radius` derives the problem and the proof, `search` goes through the rivals with the bounds of
`rows`, and `rival_distance` is the distance to one of them. The solvers (`projection`, `convex`,
`minimax`) propose, `lower_bound` proves in float64, and `exact_bound` in integers (`dyadic`), of
the rows that `real_network` makes. `parallel` shares many inputs among processes and keeps a file,
the `radius_file`; `curve` is what the radii say of the network.
"""

from .curve import certified_accuracy, clopper_pearson
from .parallel import certify
from .radius import exact_radius

__all__ = ["certified_accuracy", "certify", "clopper_pearson", "exact_radius"]
