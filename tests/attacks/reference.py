"""The attacks a second time, for one example and as the papers describe them: plain loops without
early exit that share nothing with the package but the model, its loss and the random numbers."""

import numpy as np


def project(x, point, eps, norm):
    if norm == "linf":
        return np.clip(np.clip(point, x - eps, x + eps), 0, 1)
    delta = np.clip(point, 0, 1) - x
    return x + delta * min(1, eps / max(np.linalg.norm(delta), 1e-300))


def apgd(model, x, y, start, eps, norm, loss, steps):
    """Algorithm 1 of arXiv 2003.01690; the point of the largest loss."""

    def evaluate(point):
        z, backward = model(point[None])
        value, dz = loss(z, np.array([y]))
        return value[0], backward(dz)[0]

    def direction(gradient):
        length = np.linalg.norm(gradient)
        return np.sign(gradient) if norm == "linf" else gradient / (length or 1)

    checkpoints, period = [0], int(0.22 * steps)  # whole steps, as in the authors' code
    while checkpoints[-1] < steps:
        checkpoints.append(checkpoints[-1] + period)
        period = max(period - max(int(0.03 * steps), 1), max(int(0.06 * steps), 1))
    point = previous = best = start
    value, gradient = evaluate(point)
    values, bests = [value], [value]
    best_value, best_gradient, size = value, gradient, 2 * eps
    sizes, best_at = [size], [value]
    for k in range(1, steps + 1):
        z = project(x, point + size * direction(gradient), eps, norm)
        moved = z if k == 1 else point + 0.75 * (z - point) + 0.25 * (point - previous)
        previous, point = point, project(x, moved, eps, norm)
        value, gradient = evaluate(point)
        values.append(value)
        if value > best_value:
            best, best_value, best_gradient = point, value, gradient
        bests.append(best_value)
        if k in checkpoints:
            last = checkpoints[checkpoints.index(k) - 1]
            rises = sum(values[i] > values[i - 1] for i in range(last + 1, k + 1))
            condition_1 = rises <= 0.75 * (k - last)
            condition_2 = len(sizes) > 1 and sizes[-1] == sizes[-2] and best_at[-1] == best_value
            if condition_1 or condition_2:
                size, point, gradient = size / 2, best, best_gradient
            sizes.append(size)
            best_at.append(best_value)
    return best


def project_onto_hyperplane(x, w, b, norm):
    """By bisection over the multiplier τ."""
    required = b - w @ x
    direction = np.sign(w) * np.sign(required)
    limit = np.where(direction > 0, 1 - x, x)
    rate = np.abs(w) if norm == "l2" else np.ones_like(w)
    low, high = 0.0, 1e9
    for _ in range(200):
        middle = (low + high) / 2
        reached = np.abs(w) @ np.minimum(middle * rate, limit)
        low, high = (middle, high) if reached < abs(required) else (low, middle)
    return direction * np.minimum(high * rate, limit)


def fab(model, x, y, norm, steps):
    """Algorithm 1 of arXiv 1907.02044, one untargeted run; the nearest misclassified point."""
    order = {"linf": np.inf, "l2": 2}[norm]
    dual = {"linf": 1, "l2": 2}[norm]
    point, best, least = x, x, np.inf
    for _ in range(steps):
        z, backward = model(point[None])
        planes = []
        for k in range(z.shape[1]):
            if k != y:
                dz = np.zeros_like(z)
                dz[0, k], dz[0, y] = 1, -1
                w = backward(dz)[0]
                f = z[0, k] - z[0, y]
                planes.append((abs(f) / np.linalg.norm(w, dual), w, w @ point - f))
        _, w, b = min(planes, key=lambda plane: plane[0])
        delta, delta_orig = (project_onto_hyperplane(p, w, b, norm) for p in (point, x))
        length, length_orig = (max(np.linalg.norm(d, order), 1e-8) for d in (delta, delta_orig))
        alpha = min(length / (length + length_orig), 0.1)
        point = (1 - alpha) * (point + 1.05 * delta) + alpha * (x + 1.05 * delta_orig)
        point = np.clip(point, 0, 1)
        if model(point[None])[0].argmax() != y:
            if np.linalg.norm(point - x, order) < least:
                best, least = point, np.linalg.norm(point - x, order)
            point = 0.1 * x + 0.9 * point
    return best


def peak(rows, columns):
    """Equation 2 of arXiv 1912.00049: rectangles that grow by one on each side, the k-th 1/k²."""
    total = np.zeros((rows, columns))
    for i in range(rows):
        for j in range(columns):
            ring = max(abs(i - rows // 2), abs(j - columns // 2))
            for k in range(ring, max(rows // 2, columns // 2) + 1):
                total[i, j] += 1 / (k + 1) ** 2
    return total / np.linalg.norm(total)


def carlini_wagner(model, x, y, steps, c, learning_rate):
    """One run with one c, its gradient by central differences; the nearest misclassified point."""

    def objective(w):
        point = (np.tanh(w) + 1) / 2
        z = model(point[None])[0][0]
        return ((point - x) ** 2).sum() + c * max(z[y] - np.delete(z, y).max(), 0)

    w, mean, square = np.arctanh((2 * x - 1) * (1 - 1e-6)), 0.0, 0.0
    best, least, h = x, np.inf, 1e-6
    for step in range(1, steps + 1):
        point = (np.tanh(w) + 1) / 2
        if model(point[None])[0].argmax() != y and np.linalg.norm(point - x) < least:
            best, least = point, np.linalg.norm(point - x)
        gradient = np.array(
            [(objective(w + h * e) - objective(w - h * e)) / (2 * h) for e in np.eye(len(w))]
        )
        mean, square = 0.9 * mean + 0.1 * gradient, 0.999 * square + 0.001 * gradient**2
        w = w - learning_rate * (mean / (1 - 0.9**step)) / (
            np.sqrt(square / (1 - 0.999**step)) + 1e-8 / np.sqrt(1 - 0.999**step)
        )
    return best
