"""From a published partition back to the landing files: the exact versions and contents it was made from."""

from collections.abc import Iterator
from dataclasses import dataclass, field

from lsdata.errors import MissingData
from lsdata.lake.content import combined_sha256
from lsdata.lake.state import Input, Publication, State

LANDING = "landing"
"""Key of an input that is landing files."""

_SHOWN = 200  # partitions or files of one input that get a node each; the rest is one node


@dataclass(frozen=True, kw_only=True, eq=False)
class Node:
    """One partition or landing file, exactly. What is reached on several ways is one object.

    Args:
        key: dataset, or `landing`.
        name: partition key ('' for an unpartitioned dataset); of landing, the path below the landing zone.
        version: Delta version that published it; None for landing files.
        sha256: hash of its content; of several left out, their hashes combined; None where none was recorded.
        publication: what the ledger tells of it; None for landing files, for those left out, and for content that the
            lake gave up since (`lost`).
        omitted: number of partitions or files this node stands for; 0 for a node of its own.
        inputs: what it was made from.
    """

    key: str
    name: str
    version: int | None = None
    sha256: str | None = None
    publication: Publication | None = None
    omitted: int = 0
    inputs: tuple["Node", ...] = field(default=(), repr=False)

    @property
    def lost(self) -> bool:
        """Whether it was used, but the lake's present state does not hold it any more."""
        return self.key != LANDING and self.publication is None and not self.omitted


def walk(state: State, key: str, partition: str = "", version: int | None = None) -> Node:
    """The tree of inputs of a published partition, down to landing files.

    Args:
        partition: '' for an unpartitioned dataset.
        version: the table version that shows it; the newest by default.

    Raises:
        MissingData: the partition has not been published.
    """
    top = state.publication(key, partition, version)
    if top is None:
        found = "nothing published" if version is None else f"nothing published up to version {version}"
        raise MissingData(
            f"{key} [{partition}]" if partition else key, found=found, allowed="a published partition",
            do="Name a partition that `lsdata dictionary` or the auditor's site shows, or materialize it.",
        )  # fmt: skip
    tables: dict[tuple[str, int], list[Node | Publication]] = {}
    inputs: dict[tuple[int, str], list[Node | Publication]] = {}
    found_publications = [top]
    for publication in found_publications:  # grows while it is walked
        if (place := (publication.entry, publication.partition)) not in inputs:
            inputs[place] = [i for given in publication.inputs for i in _of(state, given, publication, tables)]
            found_publications += [i for i in inputs[place] if isinstance(i, Publication)]
    # What something was made from is older than it: in the order of the ledger each node finds its inputs made.
    nodes: dict[tuple[int, str], Node] = {}
    for publication in sorted(found_publications, key=lambda p: (p.entry, p.partition)):
        place = (publication.entry, publication.partition)
        if place not in nodes:
            nodes[place] = Node(
                key=publication.key, name=publication.partition, version=publication.version,
                sha256=publication.sha256, publication=publication,
                inputs=tuple(i if isinstance(i, Node) else nodes[i.entry, i.partition] for i in inputs[place]),
            )  # fmt: skip
    return nodes[top.entry, top.partition]


def _of(
    state: State, given: Input, of: Publication, tables: dict[tuple[str, int], list[Node | Publication]]
) -> list[Node | Publication]:
    """The publications, landing files and summaries that one recorded input stands for."""
    if given.files:
        return _cut(given.key, [Node(key=given.key, name=n, sha256=given.files[n]) for n in sorted(given.files)])
    if given.partitions or given.version is None:
        return _cut(given.key, [_exact(state, given, name, of) for name in sorted(given.partitions)])
    if (given.key, given.version) not in tables:
        shown = (state.publication(given.key, p, given.version) for p in sorted(state.partitions(given.key)))
        tables[given.key, given.version] = [p for p in shown if p]
    whole = [p for p in tables[given.key, given.version] if isinstance(p, Publication) and p.entry < of.entry]
    return _cut(given.key, list(whole)) or [Node(key=given.key, name="", version=given.version)]


def _exact(state: State, given: Input, name: str, of: Publication) -> Node | Publication:
    told = state.publication(given.key, name, given.version)
    if told and told.sha256 == given.partitions[name] and told.entry < of.entry:
        return told
    return Node(key=given.key, name=name, version=given.version, sha256=given.partitions[name])


def _cut(key: str, found: list[Node | Publication] | list[Node]) -> list[Node | Publication]:
    rest = found[_SHOWN:]
    if not rest:
        return [*found]
    names = {i.name if isinstance(i, Node) else i.partition: i.sha256 or "" for i in rest}
    return [*found[:_SHOWN], Node(key=key, name="", sha256=combined_sha256(names), omitted=len(rest))]


def lines(top: Node) -> Iterator[tuple[int, Node, bool]]:
    """The tree as lines, from the top: depth, node, and whether its inputs are left out as they stand above already."""
    above: set[Node] = set()
    stack = [(0, top)]
    while stack:
        depth, node = stack.pop()
        again = node in above and bool(node.inputs)
        yield depth, node, again
        if not again:
            above.add(node)
            stack += [(depth + 1, i) for i in reversed(node.inputs)]


def render_text(node: Node) -> str:
    """The tree as indented text, a line each, with full hashes."""
    return "\n".join("  " * depth + _line(at) + (" (as above)" if again else "") for depth, at, again in lines(node))


def _line(node: Node) -> str:
    sha256 = f"sha256 {node.sha256}"
    if node.omitted:
        return f"{node.key}: {node.omitted:,} more, together {sha256}"
    if node.key == LANDING:
        return f"{LANDING}/{node.name} {sha256}"
    where = (f"{node.key} [{node.name}]" if node.name else node.key) + f" version {node.version}"
    if (told := node.publication) is None:
        return where + (f" {sha256}" if node.sha256 else "") + ": not in the lake any more"
    rows = f"{told.rows:,} row{'s' * (told.rows != 1)}"
    return f"{where}, {rows}, {sha256}, {told.at[:19].replace('T', ' ')} UTC by {told.actor}"
