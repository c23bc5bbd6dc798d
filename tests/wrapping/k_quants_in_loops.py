"""K-quants in plain loops over NumPy scalars, written after `ggml-quants.c` and sharing nothing with the library.

Each function takes the 256 numbers of a super-block, and the weights of an importance matrix or None, and returns the integers
and the float16 numbers that are stored, with the scales that encoding uses.
"""

import numpy as np

F = np.float32
EPS = F(1e-15)
IQ4 = [F(v) for v in (-127, -104, -83, -65, -49, -35, -22, -10, 1, 13, 25, 38, 53, 69, 89, 113)]


def nearest(y):
    return F(np.round(y))


def clip(q, least, most):
    return F(max(least, min(most, q)))


def total(terms):
    found = F(0)
    for each in terms:
        found = F(found + each)
    return found


def by_size(x):
    best = F(0)
    for v in x:
        if abs(v) > abs(best):
            best = v
    return best


def make_qkx(x, weights, most, first, step, count, magnitude):
    low, high = min(min(x), F(0)), max(x)
    sum_w = total(weights)
    sum_x = total(w * v for w, v in zip(weights, x))
    if high == low:
        return F(0), F(-low)

    def codes(inverse):
        return [clip(nearest(inverse * (v - low)), 0, most) for v in x]

    def error(q, scale, minimum):
        found = F(0)
        for v, w, k in zip(x, weights, q):
            difference = scale * k + minimum - v
            found += w * (abs(difference) if magnitude else difference * difference)
        return found

    inverse = F(most) / (high - low)
    scale = F(1) / inverse
    least = error(codes(inverse), scale, low)
    for i in range(count + 1):
        inverse = (F(first) + F(step) * F(i) + F(most)) / (high - low)
        q = codes(inverse)
        sum_l = total(w * k for w, k in zip(weights, q))
        sum_l2 = total(w * k * k for w, k in zip(weights, q))
        sum_xl = total(w * k * v for w, k, v in zip(weights, q, x))
        determinant = sum_w * sum_l2 - sum_l * sum_l
        if not determinant > 0:
            continue
        new = (sum_w * sum_xl - sum_x * sum_l) / determinant
        minimum = (sum_l2 * sum_x - sum_l * sum_xl) / determinant
        if minimum > 0:
            new, minimum = sum_xl / sum_l2, F(0)
        found = error(q, new, minimum)
        if found < least:
            least, scale, low = found, new, minimum
    return scale, F(-low)


def make_qx(x, weights, most):
    largest = by_size(x)
    if abs(largest) < EPS:
        return F(0), [F(-most)] * len(x)

    def sums(inverse):
        q = [clip(nearest(inverse * v), -most, most - 1) for v in x]
        return q, total(w * v * k for w, v, k in zip(weights, x, q)), total(w * k * k for w, k in zip(weights, q))

    codes, lx, l2 = sums(F(-most) / largest)
    scale = lx / l2 if l2 else F(0)
    best = scale * lx
    for i in range(-9, 10):
        if i:
            q, lx, l2 = sums(-(F(most) + F(0.1) * F(i)) / largest)
            if l2 > 0 and lx * lx > best * l2:
                codes, scale = q, lx / l2
                best = scale * lx
    return scale, codes


def descend(x, weights, codes, lx, l2, least, most, both):
    for _ in range(5):
        for i, (v, w) in enumerate(zip(x, weights)):
            lx1, l21 = lx - w * v * codes[i], l2 - w * codes[i] * codes[i]
            if not (lx1 > 0 and (l21 > 0 or not both)):
                continue
            new = clip(nearest(v * l21 / lx1), least, most)
            if new == codes[i]:
                continue
            lx1, l21 = lx1 + w * v * new, l21 + w * new * new
            if (l21 > 0 or both) and lx1 * lx1 * l2 > lx * lx * l21:
                codes[i], lx, l2 = new, lx1, l21
    return lx / l2 if l2 > 0 else F(0)


def make_q3(x, most):
    largest = by_size(x)
    if abs(largest) < EPS:
        return F(0)
    inverse = F(-most) / largest
    codes = [clip(nearest(inverse * v), -most, most - 1) for v in x]
    weights = [v * v for v in x]
    lx = total(w * v * q for w, v, q in zip(weights, x, codes))
    l2 = total(w * q * q for w, q in zip(weights, codes))
    return descend(x, weights, codes, lx, l2, -most, most - 1, both=False)


def make_qp(x, weights, most):
    largest = max(F(0), *x)
    if largest < EPS:
        return F(0), [F(0)] * len(x)

    def error(inverse):
        scale, found = F(1) / inverse, F(0)
        for v, w in zip(x, weights):
            difference = v - scale * min(nearest(inverse * v), F(most))
            found += w * difference * difference
        return found

    inverse = F(most) / largest
    least = error(inverse)
    for i in range(-4, 5):
        if i and (found := error(trial := (F(0.1) * F(i) + F(most)) / largest)) < least:
            least, inverse = found, trial
    codes = [min(nearest(inverse * v), F(most)) for v in x]
    lx = total(w * v * q for w, v, q in zip(weights, x, codes))
    l2 = total(w * q * q for w, q in zip(weights, codes))
    return descend(x, weights, codes, lx, l2, 0, most, both=True), codes


def make_iq4(x, weights):
    largest = by_size(x)
    if abs(largest) < EPS:
        return F(0)

    def sums(inverse):
        q = [IQ4[level(inverse * v)] for v in x]
        return total(w * k * v for w, k, v in zip(weights, q, x)), total(w * k * k for w, k in zip(weights, q))

    qx, q2 = sums(F(1) / (-largest / IQ4[0]))
    scale = qx / q2 if q2 > 0 else F(0)
    best = scale * qx
    for i in range(-7, 8):
        qx, q2 = sums((F(i) + IQ4[0]) / largest)
        if q2 > 0 and qx * qx > best * q2:
            scale = qx / q2
            best = scale * qx
    return scale


def level(y):
    """The nearest level, of two the larger one."""
    return min(range(16), key=lambda k: (abs(float(y) - float(IQ4[k])), -k))


def cut(x, length):
    return [x[at : at + length] for at in range(0, len(x), length)]


def by_importance(x, weights, factor, length):
    sigma = F(factor) * total(v * v for v in x) / F(256)
    return cut([w * np.sqrt(sigma + v * v) for w, v in zip(weights, x)], length)


def with_minimum(length, most, largest, trials, magnitude):
    def fit(x, weights):
        if weights is not None:
            each = by_importance(x, weights, 1 if magnitude else 2, length)
            pairs = [make_qkx(b, w, most, -0.9, 0.05, 36, False) for b, w in zip(cut(x, length), each)]
            shares = [total(w) for w in each]
            stored = [make_qp([pair[k] for pair in pairs], shares, largest) for k in (0, 1)]
        else:
            pairs = []
            for block in cut(x, length):
                mean = F(0) if magnitude else np.sqrt(total(v * v for v in block) / F(length))
                pairs.append(make_qkx(block, [mean + abs(v) for v in block], most, *trials, magnitude))
            stored = [to_integers([pair[k] for pair in pairs], largest) for k in (0, 1)]
        (d, scales), (dmin, mins) = stored
        return scales, np.float16(d), mins, np.float16(dmin)

    return fit


def to_integers(numbers, largest):
    top = max(F(0), *numbers)
    inverse = F(largest) / top if top > 0 else F(0)
    return top / F(largest), [min(nearest(inverse * v), F(largest)) for v in numbers]


def q3_k(x, weights):
    if weights is not None:
        each = by_importance(x, weights, 2, 16)
        scales = [make_qx(b, w, 4)[0] for b, w in zip(cut(x, 16), each)]
        d, codes = make_qx(scales, [total(w) for w in each], 32)
        return codes, np.float16(d)
    return from_largest([make_q3(b, 4) for b in cut(x, 16)], 32, F(-32))


def q6_k(x, weights):
    own = [v * v for v in x] if weights is None else list(weights)
    return from_largest([make_qx(b, w, 32)[0] for b, w in zip(cut(x, 16), cut(own, 16))], 128, F(0))


def from_largest(scales, largest, none):
    top = by_size(scales)
    if abs(top) < EPS:
        return [none] * len(scales), np.float16(0)
    inverse = F(-largest) / top
    return [clip(nearest(inverse * s), -largest, largest - 1) for s in scales], np.float16(F(1) / inverse)


def iq4_xs(x, weights):
    own = [v * v for v in x]
    if weights is not None:
        sigma = total(own) * F(2 / 256)
        own = [w * np.sqrt(sigma + v * v) for w, v in zip(weights, x)]
    scales = [make_iq4(b, w) for b, w in zip(cut(x, 32), cut(own, 32))]
    d = -by_size(scales) / F(32)
    codes = [clip(nearest((F(1) / d if d else F(0)) * s), -32, 31) for s in scales]
    return codes, np.float16(d), [d * q for q in codes]


FITS = {
    "q2_k": with_minimum(16, 3, 15, (-0.5, 0.1, 15), True),
    "q3_k": q3_k,
    "q4_k": with_minimum(32, 15, 63, (-1, 0.1, 20), False),
    "q5_k": with_minimum(32, 31, 63, (-0.5, 0.1, 15), False),
    "q6_k": q6_k,
}
ENDS = {"q2_k": (0, 3), "q3_k": (-4, 3), "q4_k": (0, 15), "q5_k": (0, 31), "q6_k": (-32, 31)}


def quantize(name, x, weights=None):
    """Codes, stored scales, d, and what is stored of minima, of 256 numbers."""
    x = [F(v) for v in x]
    weights = None if weights is None else [F(w) for w in weights]
    with np.errstate(all="ignore"):
        if name == "iq4_xs":
            scales, d, raw = iq4_xs(x, weights)
            inverse = [F(1) / r if r else F(0) for r in raw]
            return [level(inverse[i // 32] * v) for i, v in enumerate(x)], scales, d
        scales, d, *low = FITS[name](x, weights)
        length, codes = 256 // len(scales), []
        for j, block in enumerate(cut(x, length)):
            by, least = F(d) * scales[j], F(low[1]) * low[0][j] if low else F(0)
            zeros = ENDS[name][0] if all(abs(v) < EPS for v in block) else 0
            codes += [clip(nearest((v + least) / by), *ENDS[name]) if by else zeros for v in block]
        return codes, scales, d, *low
