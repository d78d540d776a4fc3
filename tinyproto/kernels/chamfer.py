"""The distance from each pixel to the nearest one of a set, along steps between pixels."""

from ..backend import kernel, routine


@routine
def shorter(distance, row, column, step_row, step_column, cost):
    """The distance at (row, column), or the one by the step from there if that is shorter."""
    y, x = row + step_row, column + step_column
    here = distance[row, column]
    if 0 <= y < distance.shape[0] and 0 <= x < distance.shape[1]:
        return min(here, distance[y, x] + cost)
    return here


@kernel
def chamfer_distance(i, t, T, straight, diagonal, knight, distance):
    """Lower distance[i] to the shortest way to a pixel where it is 0.

    distance (N, H, W): 0 or a large number at first. A way consists of steps to one of the four
    neighbours, of diagonal steps, and of a knight's move, at these costs (Borgefors, "Distance
    transformations in digital images", 1986: two passes over a 5 × 5 mask are exact).
    """
    height, width = distance.shape[1], distance.shape[2]
    if t == 0:
        for p in range(2 * height * width):
            sign = -1 if p < height * width else 1  # what lies before a pixel, then what lies after
            q = p if p < height * width else 2 * height * width - 1 - p
            row, column = q // width, q % width
            d = distance[i]
            d[row, column] = shorter(d, row, column, 2 * sign, -1, knight)
            d[row, column] = shorter(d, row, column, 2 * sign, 1, knight)
            d[row, column] = shorter(d, row, column, sign, -2, knight)
            d[row, column] = shorter(d, row, column, sign, -1, diagonal)
            d[row, column] = shorter(d, row, column, sign, 0, straight)
            d[row, column] = shorter(d, row, column, sign, 1, diagonal)
            d[row, column] = shorter(d, row, column, sign, 2, knight)
            d[row, column] = shorter(d, row, column, 0, sign, straight)
