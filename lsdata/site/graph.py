"""A layered drawing of a directed acyclic graph, from left to right, for SVG.

The steps of Sugiyama, Tagawa, Toda 1981 (doi:10.1109/TSMC.1981.4308636): layers by longest path, order within a layer
by barycentres, places by least squares. Long edges of one box share a lane, so that a box which feeds many does not
cover the drawing with lines.
"""

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

_HEIGHT, _LANE, _GAP, _BETWEEN, _MARGIN = 44.0, 4.0, 14.0, 48.0, 8.0  # px
_CHARACTER = 8.3  # px, of the label in the widest of the fonts it may be set in
_SWEEPS = 12


@dataclass(kw_only=True)
class Box:
    """A node of the drawing; the layout sets place and size (px)."""

    id: str
    label: str
    above: str
    kind: str
    href: str
    title: str = ""
    focus: bool = False
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = _HEIGHT


@dataclass(frozen=True, kw_only=True)
class Line:
    """An edge of the drawing: an SVG path."""

    source: str
    target: str
    path: str


@dataclass(frozen=True, kw_only=True)
class Drawing:
    """Boxes and lines with their places, and the size of all (px)."""

    boxes: Sequence[Box] = field(default_factory=list[Box])
    lines: Sequence[Line] = field(default_factory=list[Line])
    width: float = 0.0
    height: float = 0.0


_Slot = tuple[str, int]  # a box, or its lane, in a layer


def draw(boxes: Sequence[Box], edges: Sequence[tuple[str, str]]) -> Drawing:
    """Lay out boxes and edges (source id, target id); the edges make no circle."""
    if not boxes:
        return Drawing()
    layer = _layers([b.id for b in boxes], edges)
    reach: dict[str, int] = {}  # how far to the right the lane of a box goes
    for source, target in edges:
        reach[source] = max(reach.get(source, 0), layer[target] - 1)
    columns: list[list[_Slot]] = [[] for _ in range(max(layer.values()) + 1)]
    for box in boxes:
        for at in range(layer[box.id], max(reach.get(box.id, 0), layer[box.id]) + 1):
            columns[at].append((box.id, at))
    links = {((s, layer[t] - 1), (t, layer[t])) for s, t in edges}
    links |= {((s, at), (s, at + 1)) for s, far in reach.items() for at in range(layer[s], far)}
    columns = _ordered(columns, links)
    by_id = {b.id: b for b in boxes}
    heights = {slot: by_id[slot[0]].height if layer[slot[0]] == slot[1] else _LANE for c in columns for slot in c}
    middle = _places(columns, links, heights)
    left, x = [0.0] * len(columns), _MARGIN
    widths = [max((_width(by_id[i]) for i, at in c if layer[i] == at), default=_LANE) for c in columns]
    for at, width in enumerate(widths):
        left[at] = x
        x += width + _BETWEEN
    top = min(middle[s] - heights[s] / 2 for s in middle) - _MARGIN
    for box in boxes:
        box.x, box.width = left[layer[box.id]], widths[layer[box.id]]
        box.y = middle[box.id, layer[box.id]] - box.height / 2 - top
    lines: list[Line] = []
    for source, target in edges:
        start, end = layer[source], layer[target]
        y = middle[source, start] - top
        path = f"M{left[start] + widths[start]:.0f} {y:.1f}"
        for at in range(start + 1, end + 1):
            before, y = y, middle[(target if at == end else source), at] - top
            half = left[at] - _BETWEEN / 2
            path += f"C{half:.0f} {before:.1f} {half:.0f} {y:.1f} {left[at]:.0f} {y:.1f}"
            path += f"H{left[at] + widths[at]:.0f}" if at < end else ""
        lines.append(Line(source=source, target=target, path=path))
    height = max(middle[s] + heights[s] / 2 for s in middle) - top + _MARGIN
    return Drawing(boxes=boxes, lines=lines, width=x - _BETWEEN + _MARGIN, height=height)


def _width(box: Box) -> float:
    return max(len(box.label), 0.8 * len(box.above)) * _CHARACTER + 24


def _layers(ids: Sequence[str], edges: Sequence[tuple[str, str]]) -> dict[str, int]:
    """Number of steps on the longest way to each node from a node that nothing leads to."""
    after: dict[str, list[str]] = defaultdict(list)
    before = dict.fromkeys(ids, 0)
    for source, target in edges:
        after[source].append(target)
        before[target] += 1
    layer = dict.fromkeys(ids, 0)
    ready = [i for i in ids if not before[i]]
    for node in ready:
        for target in after[node]:
            layer[target] = max(layer[target], layer[node] + 1)
            before[target] -= 1
            if not before[target]:
                ready.append(target)
    return layer


def _ordered(columns: list[list[_Slot]], links: set[tuple[_Slot, _Slot]]) -> list[list[_Slot]]:
    """The columns in the order with the fewest crossings that sweeping over barycentres finds."""
    left, right = _neighbours(links)
    best, fewest = [list(c) for c in columns], _crossings(columns, left)
    for sweep in range(_SWEEPS):
        side = left if sweep % 2 == 0 else right
        for column in columns if sweep % 2 == 0 else reversed(columns):
            place = {s: n for c in columns for n, s in enumerate(c)}
            mean = {s: sum(place[o] for o in side[s]) / len(side[s]) if side.get(s) else place[s] for s in column}
            column.sort(key=lambda s, mean=mean: mean[s])
        if (crossings := _crossings(columns, left)) < fewest:
            best, fewest = [list(c) for c in columns], crossings
    return best


def _neighbours(links: set[tuple[_Slot, _Slot]]) -> tuple[dict[_Slot, list[_Slot]], dict[_Slot, list[_Slot]]]:
    left: dict[_Slot, list[_Slot]] = defaultdict(list)
    right: dict[_Slot, list[_Slot]] = defaultdict(list)
    for source, target in sorted(links):
        left[target].append(source)
        right[source].append(target)
    return left, right


def _crossings(columns: list[list[_Slot]], left: Mapping[_Slot, list[_Slot]]) -> int:
    crossings = 0
    for before, column in pairwise(columns):
        place = {s: n for n, s in enumerate(before)}
        seen: list[int] = []
        for slot in column:
            ends = [place[o] for o in left.get(slot, ())]
            crossings += sum(len(seen) - bisect_right(seen, end) for end in ends)
            for end in ends:
                insort(seen, end)
    return crossings


def _places(
    columns: list[list[_Slot]], links: set[tuple[_Slot, _Slot]], heights: Mapping[_Slot, float]
) -> dict[_Slot, float]:
    """The middle of each slot: as near to its neighbours as order and height allow."""
    left, right = _neighbours(links)
    middle: dict[_Slot, float] = {}
    for column in columns:
        y = 0.0
        for slot in column:
            y += heights[slot] + _GAP
            middle[slot] = y - heights[slot] / 2
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            near = {s: [*left.get(s, ()), *right.get(s, ())] for s in column}
            wanted = [sum(middle[o] for o in near[s]) / len(near[s]) if near[s] else middle[s] for s in column]
            middle |= zip(column, _apart(wanted, [heights[s] for s in column]), strict=True)
    return middle


def _apart(wanted: Sequence[float], heights: Sequence[float]) -> list[float]:
    """The places nearest to the wanted ones, in their order, that do not overlap: isotonic regression (PAVA)."""
    offsets = [0.0]
    for above, below in pairwise(heights):
        offsets.append(offsets[-1] + (above + below) / 2 + _GAP)
    pools: list[tuple[float, int]] = []  # mean, size
    for want, offset in zip(wanted, offsets, strict=True):
        mean, size = want - offset, 1
        while pools and pools[-1][0] > mean:
            last, n = pools.pop()
            mean, size = (last * n + mean * size) / (n + size), n + size
        pools.append((mean, size))
    means = [mean for mean, size in pools for _ in range(size)]
    return [mean + offset for mean, offset in zip(means, offsets, strict=True)]
