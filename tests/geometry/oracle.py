"""An independent partition in rational arithmetic, slow and exact, to check the fast one.

It shares nothing with splinelib: one polygon at a time, one unit at a time, each region's
affine map kept as fractions.
"""

from fractions import Fraction
from math import sqrt


def _value(row, point):
    return row[0] * point[0] + row[1] * point[1] + row[2]


def _split(polygon, row):
    """The parts of a convex polygon where the function is > 0 and < 0, either may be None."""
    values = [_value(row, p) for p in polygon]
    if max(values) <= 0 or min(values) >= 0:
        return (polygon, None) if max(values) > 0 else (None, polygon)
    sides = ([], [])
    for i, (p, f) in enumerate(zip(polygon, values, strict=True)):
        q, g = polygon[(i + 1) % len(polygon)], values[(i + 1) % len(polygon)]
        if f >= 0:
            sides[0].append(p)
        if f <= 0:
            sides[1].append(p)
        if f * g < 0:
            t = f / (f - g)
            cross = (p[0] + t * (q[0] - p[0]), p[1] + t * (q[1] - p[1]))
            sides[0].append(cross)
            sides[1].append(cross)
    return sides


def partition(layers, domain, slopes=(0, 1)):
    """Cells of a network of linear layers with a pointwise activation between them.

    layers: list of (weight rows, biases), numbers that Fraction takes exactly; the last one is
    the output and cuts nothing. Returns a list of (code, polygon).
    """
    (x0, x1), (y0, y1) = domain
    corners = [(x0, y0), (x1, y0), (x1, y1), (x0, y1)]
    square = [(Fraction(x), Fraction(y)) for x, y in corners]
    identity = [[Fraction(1), Fraction(0), Fraction(0)], [Fraction(0), Fraction(1), Fraction(0)]]
    cells = [((), square, identity)]
    for weight, bias in layers[:-1]:
        following = []
        for code, polygon, rows in cells:
            pre = [
                [sum(Fraction(w) * r[i] for w, r in zip(ws, rows, strict=True)) for i in range(3)]
                for ws in weight
            ]
            for row, b in zip(pre, bias, strict=True):
                row[2] += Fraction(b)
            parts = [((), polygon)]
            for row in pre:
                split = []
                for bits, piece in parts:
                    above, below = _split(piece, row)
                    if above is not None:
                        split.append(((*bits, True), above))
                    if below is not None:
                        split.append(((*bits, False), below))
                parts = split
            for bits, piece in parts:
                scale = [Fraction(slopes[1]) if on else Fraction(slopes[0]) for on in bits]
                out = [[s * v for v in row] for s, row in zip(scale, pre, strict=True)]
                following.append((code + bits, piece, out))
        cells = following
    return [(code, polygon) for code, polygon, _ in cells]


def area(polygon) -> Fraction:
    """Area of a counter-clockwise polygon."""
    turns = zip(polygon, polygon[1:] + polygon[:1], strict=True)
    return sum(p[0] * q[1] - p[1] * q[0] for p, q in turns) / 2


def perimeter(polygon) -> float:
    """Length of the polygon's border."""
    ends = zip(polygon, polygon[1:] + polygon[:1], strict=True)
    return sum(sqrt((p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2) for p, q in ends)


def boundary_length(layers, domain, slopes=(0, 1)) -> float | None:
    """Length of the zero set of a network's one output; None if the output vanishes on a cell."""

    def output(point):
        for weight, bias in layers[:-1]:
            pre = [sum(Fraction(w) * x for w, x in zip(ws, point, strict=True)) for ws in weight]
            pre = [z + Fraction(b) for z, b in zip(pre, bias, strict=True)]
            point = [Fraction(slopes[z > 0]) * z for z in pre]
        (weight,), (bias,) = layers[-1]
        return sum(Fraction(w) * x for w, x in zip(weight, point, strict=True)) + Fraction(bias)

    (x0, x1), (y0, y1) = domain
    length = 0.0
    for _, polygon in partition([*layers, ([[0]], [0])], domain, slopes):
        zero = [output(p) == 0 for p in polygon]
        if all(zero):
            return None
        for i, p in enumerate(polygon):
            q = polygon[(i + 1) % len(polygon)]
            if zero[i] and zero[(i + 1) % len(polygon)]:
                border = p[0] == q[0] in (x0, x1) or p[1] == q[1] in (y0, y1)
                # every side inside belongs to two cells
                length += sqrt((p[0] - q[0]) ** 2 + (p[1] - q[1]) ** 2) / (1 if border else 2)
    return length
