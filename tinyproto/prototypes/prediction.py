"""What a fitted winner-take-all network is asked: its scores, their linear form, its bounds."""

import math
from collections.abc import Callable

import numpy as np

from ..backend.device import Array, array_module
from ..validation import check_shape, resolve_norm
from .estimator import Classifier
from .radius_objective import radius_bound
from .validation import check_learned, encode_targets


class Predictor(Classifier):
    """A network of neurons with scores o = β × unscaled score, K for each class."""

    device: str
    prototype_labels_: np.ndarray

    @property
    def beta_(self) -> float:
        """The current β; 1 where the network has none."""
        return float(self._beta[0])

    @property
    def _per_class(self) -> int:
        """K of the prototypes that there are, whatever `set_params` has changed since `fit`."""
        return len(self.prototype_labels_) // len(self.classes_)

    # What a subclass defines.

    def _unscaled_scores(self, x: Array) -> Array:
        raise NotImplementedError

    def _score_gradient(self, x: Array, neuron: Array) -> Array:
        """∂o/∂x of one neuron for each sample: (N, d) for x (N, d) and neuron (N,)."""
        raise NotImplementedError

    def _unscaled_linear(self) -> tuple[Array, Array]:
        """`linear` for β = 1, on the device and in the dtype of the network."""
        raise NotImplementedError

    def linear(self) -> tuple[np.ndarray, np.ndarray]:
        """A (C K, d) and b (C K,) in float64 with oₖ = Aₖ·x + bₖ, up to a term that all neurons
        share, which changes no winner."""
        raise NotImplementedError

    # What follows from it.

    def __call__(self, x: Array) -> tuple[Array, Callable[[Array], Array]]:
        """The network as a layer: class scores z (N, C) of x (N, …), and the backward pass
        dz ↦ dx. A class's score is its largest neuron's, so dx = Σ_c dz_c ∂o_{winner of c}/∂x."""
        self.check_is_fitted()
        if array_module(x) is not self._xp:
            raise ValueError(f"x is not on the network's device, {self.device!r}; move it there")
        flat = x.reshape(len(x), math.prod(x.shape[1:]))
        flat = flat.astype(self._beta.dtype, order="C", copy=False)
        if flat.shape[1] != self.n_features_in_:
            raise ValueError(
                f"{type(self).__name__} expects {self.n_features_in_} features, not {flat.shape[1]}"
            )
        z, winners = self._class_scores(flat)

        def backward(dz: Array) -> Array:
            check_shape("dz", dz, z.shape)
            dx = self._xp.zeros_like(flat)
            for c in range(z.shape[1]):
                dx += dz[:, c : c + 1].astype(dx.dtype) * self._score_gradient(flat, winners[:, c])
            return dx.reshape(x.shape)

        return z, backward

    def neuron_scores(self, X: Array) -> Array:
        """The scores o (N, C K) of all neurons, for X (N, d)."""
        return self._finite(self._neuron_scores(self._validate_samples(X)))

    def _neuron_scores(self, x: Array) -> Array:
        check_learned(self)
        return self._unscaled_scores(x) * self._beta

    def radius_bound(self, X: Array, y: Array, *, norm: str | float = "l2") -> Array:
        """A lower bound of the radius within which each prediction stays right, without a box.

        Parameters
        ----------
        X : array (N, d)
            The samples.
        y : array (N,)
            Their labels.
        norm : {"l2", "linf"}
            The norm, in any of the ways of `validation.resolve_norm`.

        Returns
        -------
        array (N,)
            maxᵢ minⱼ (oᵢ − oⱼ) / ‖Aᵢ − Aⱼ‖ over the neurons i of class y and j of all others, with
            the dual norm, in float64; negative where the prediction is wrong. It is what
            objective="radius" trains, and fast; `exact_radius` is never smaller, and a proof.

        Raises
        ------
        ValueError
            For an unknown norm, and samples or labels that the network does not have.
        """
        x = self._validate_samples(X)
        label = self._xp.asarray(encode_targets(y, len(x), self.classes_)[1])
        return radius_bound(self, x, label, resolve_norm(norm))

    def _class_scores(self, x: Array) -> tuple[Array, Array]:
        score = self._neuron_scores(x).reshape(len(x), len(self.classes_), self._per_class)
        first = self._xp.arange(len(self.classes_)) * self._per_class
        return score.max(axis=2), score.argmax(axis=2) + first
