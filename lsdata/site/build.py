"""The pages of the auditor's site, from declarations, ledger, file index and quarantine; no row of a table is read.

Every page has an address below the site's root, and links are relative, so the files work below any prefix. `Site.page`
makes any page; `Site.write` writes those that a reader is likely to ask for. What grows without end (older ledger
pages, entries, proofs and publications) is written for the newest only, and made on request by `lsdata.site.serve`.
"""

import json
import os
import re
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache, partial
from itertools import islice
from pathlib import Path
from typing import Any, cast
from urllib.parse import quote, unquote

import jinja2

from lsdata.catalog import DATASETS, Dataset, Sensitivity, Store
from lsdata.catalog.core import FILE_INDEX
from lsdata.derived.expectations import checks, violations
from lsdata.derived.lineage import column_sources
from lsdata.errors import LedgerTampered, SettingError
from lsdata.lake.lake import Lake
from lsdata.lake.ledger import Entry, Ledger, Verification, leaf_hash, node_hash
from lsdata.lake.lineage import LANDING, lines, walk
from lsdata.lake.state import Publication, State
from lsdata.site.graph import Box, Drawing, draw

PAGE = 200
"""Rows of a page: ledger entries, partitions, landing files."""

_NEWEST_PAGES = 5  # ledger pages that are written
_NAME_BYTES = 200  # longest file name that is written: file systems end at 255
_MARK = "lsdata-site.json"
_HERE = Path(__file__).parent


def build(lake: Lake, out: Path) -> Path:
    """Write the site of a lake; returns its first page.

    Args:
        out: a folder of its own; what an earlier build wrote there and this one does not is removed.

    Raises:
        SettingError: the folder holds something else.
    """
    Site(lake).write(out)
    return out / "index.html"


class Tree:
    """The Merkle tree of a growing list of leaf hashes; a proof costs as many steps as it has hashes.

    Each level holds the nodes over pairs of the level below, the odd last one as it is: the tree of RFC 6962 2.1.
    """

    def __init__(self) -> None:
        self.leaves: list[bytes] = []
        self._above: list[list[bytes]] = []

    def grow(self) -> None:
        """Take the leaves appended since into account."""
        below, number = self.leaves, 0
        while len(below) > 1:
            if number == len(self._above):
                self._above.append([])
            level = self._above[number]
            del level[max(len(level) - 1, 0) :]  # the last node may have been an odd one
            for at in range(2 * len(level), len(below), 2):
                level.append(node_hash(below[at], below[at + 1]) if at + 1 < len(below) else below[at])
            below, number = level, number + 1

    @property
    def root(self) -> str:
        """The tree hash, hex; '' of no leaves."""
        return (self._above[-1] if self._above else self.leaves or [b""])[0].hex()

    def path(self, index: int) -> list[str]:
        """Audit path of a leaf, hex, from the leaf up."""
        found: list[str] = []
        for level in [self.leaves, *self._above]:
            if index ^ 1 < len(level):
                found.append(level[index ^ 1].hex())
            index >>= 1
        return found


@dataclass
class _Reading:
    """Reads the ledger for `State` and keeps on the way what else the site needs of each entry."""

    ledger: Ledger
    tree: Tree
    newest: dict[str, Entry]  # by subject
    times: dict[str, Counter[str]]  # by subject and partition: how often it was published
    recent: deque[tuple[int, Entry]]  # the last entries: most pages that are written show them

    def entries(self, start: int = 0) -> Iterator[tuple[int, Entry]]:
        for index, entry in self.ledger.entries(start):
            self.tree.leaves.append(leaf_hash(entry.to_line()))
            self.newest[entry.subject] = entry
            self.recent.append((index, entry))
            if entry.action == "delete":
                self.times.pop(entry.subject, None)
            elif entry.action == "publish":
                partitions = cast("dict[str, Any]", entry.detail.get("partitions", {}))
                self.times.setdefault(entry.subject, Counter()).update(partitions.keys())
            yield index, entry


class Site:
    """The site of a lake as its ledger is now; `refresh` reads what it has gained."""

    def __init__(self, lake: Lake):
        self.lake = lake
        self.tree = Tree()
        self.newest: dict[str, Entry] = {}
        self.times: dict[str, Counter[str]] = {}
        self.recent: deque[tuple[int, Entry]] = deque(maxlen=PAGE)
        self.state = State(_Reading(lake.ledger, self.tree, self.newest, self.times, self.recent))
        self.verification = Verification(ok=True, size=0, root=None, problems=())
        self.files: Mapping[str, Mapping[str, Any]] = {}
        self.built_at = ""
        makers: dict[str, Callable[..., str | None]] = {
            r"index\.html": self._home,
            r"datasets/index\.html": self._plain,
            r"datasets/(.+)\.html": self._dataset,
            r"lineage\.html": self._graph,
            r"columns/([^/]+/[^/]+/[^/]+)/([^/]+)\.html": self._column,
            r"partitions/([^/]+/[^/]+/[^/]+)/page-([0-9]{1,9})\.html": self._publications,
            r"partitions/([^/]+/[^/]+/[^/]+)/([^/]*)@([0-9]{1,18})\.html": self._publication,
            r"landing\.html": self._landing,
            r"ledger/index\.html": self._ledger,
            r"ledger/([0-9]{1,15})\.html": self._ledger,
            r"entries/([0-9]{1,15})\.html": self._entry,
            r"proof/([0-9]{1,15})\.json": self._proof,
            r"reports\.html": self._reports,
            r"quarantine\.html": self._quarantine,
        }
        self._routes = [(re.compile(pattern), make) for pattern, make in makers.items()]
        self.refresh()

    @property
    def size(self) -> int:
        """Entries of the ledger that the site shows."""
        return len(self.tree.leaves)

    def refresh(self) -> None:
        """Read what the ledger has gained, and verify all of it. A ledger that does not verify is shown as such."""
        self.verification = self.lake.ledger.verify()
        try:
            self.state.refresh()
        except LedgerTampered:
            if self.verification.ok:
                raise
        self.tree.grow()
        self.files = {f["uri"]: f for f in self.lake.read(FILE_INDEX.key).collect().to_dicts()}
        self.built_at = datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")

    # -- writing -------------------------------------------------------------------------------------------------

    def write(self, out: Path) -> frozenset[str]:
        """Write the pages into a folder of their own; returns their addresses."""
        if out.is_dir() and any(out.iterdir()) and not (out / _MARK).exists():
            raise SettingError(
                str(out), found="files that are not of this site", allowed="a folder of its own, or a new one",
                do="Name another folder.",
            )  # fmt: skip
        out.mkdir(parents=True, exist_ok=True)
        told = {"size": self.size, "root": self.tree.root, "built_at": self.built_at}
        _put(out / _MARK, json.dumps(told).encode())
        written = {_MARK}
        for path in self.paths():
            text = self.page(path)
            if text is not None and max(len(part) for part in path.split("/")) <= _NAME_BYTES:
                _put(out / path, text.encode())
                written.add(path)
        for name, content in assets().items():
            _put(out / name, content)
            written.add(name)
        for file in [p for p in out.rglob("[!.]*") if p.is_file() and p.relative_to(out).as_posix() not in written]:
            file.unlink(missing_ok=True)
        return frozenset(written)

    def paths(self) -> Iterator[str]:
        """Addresses of the pages that are written."""
        yield from ("index.html", "datasets/index.html", "lineage.html", "landing.html", "reports.html")
        yield from ("quarantine.html", "ledger/index.html")
        for key, dataset in DATASETS.items():
            yield dataset_path(key)
            yield from (column_path(key, name) for name in dataset.names)
            yield from (partition_path(p) for p in self.publications(key)[:PAGE])
        last = max(self.size - 1, 0) // PAGE
        yield from (f"ledger/{page}.html" for page in range(last, max(last - _NEWEST_PAGES, -1), -1))
        for index in range(max(self.size - PAGE, 0), self.size):
            yield from (entry_path(index), f"proof/{index}.json")

    # -- pages ---------------------------------------------------------------------------------------------------

    def page(self, path: str) -> str | None:
        """The text of a page by its address; None where there is no such page."""
        for pattern, make in self._routes:
            if match := pattern.fullmatch(path):
                return make(path, *match.groups())
        return None

    def missing(self) -> str:
        """The page for an address that is none. It lies nowhere, so its links are from the root."""
        return self._render("missing.html", "", root="/")

    def _render(self, template: str, path: str, **values: Any) -> str:
        values = {"root": "../" * path.count("/"), "path": path, "site": self, **values}
        return _templates().get_template(template).render(values)

    def _home(self, path: str) -> str:
        domains = {name: [d for d in DATASETS.values() if d.domain == name] for name in _domains()}
        entries = self.entries(max(self.size - 10, 0), 10)
        return self._render("home.html", path, domains=domains, entries=entries, rejects=self.rejects())

    def _plain(self, path: str) -> str:
        return self._render(path.replace("/index", ""), path)

    def _dataset(self, path: str, key: str) -> str | None:
        if key not in DATASETS:
            return None
        dataset = DATASETS[key]
        return self._render(
            "dataset.html", path, dataset=dataset, sources=column_sources(dataset), checks=checks(dataset),
            violations=partial(violations, dataset), publications=self.publications(key),
            downstream=_downstream().get(key, ()), drawing=self._around(dataset),
        )  # fmt: skip

    def _around(self, dataset: Dataset) -> Drawing:
        """The dataset between what it is made from and what is made from it."""
        up = _parents(dataset)
        down = _downstream().get(dataset.key, ())
        boxes = [_box(i, dataset.domain, focus=i == dataset.key) for i in dict.fromkeys([*up, dataset.key, *down])]
        return draw(boxes, [*((u, dataset.key) for u in up), *((dataset.key, d) for d in down)])

    def _graph(self, path: str) -> str:
        drawings: dict[str, Drawing] = {}
        for domain in _domains():
            edges = [(up, d.key) for d in DATASETS.values() if d.domain == domain for up in _parents(d)]
            inside = [d.key for d in DATASETS.values() if d.domain == domain]
            drawings[domain] = draw([_box(i, domain) for i in dict.fromkeys([*(s for s, _ in edges), *inside])], edges)
        return self._render("lineage.html", path, drawings=drawings)

    def _column(self, path: str, key: str, name: str) -> str | None:
        name = unquote(name)
        if key not in DATASETS or name not in DATASETS[key].names:
            return None
        top = f"{key}.{name}"
        edges: list[tuple[str, str]] = []
        found = [top]
        for item in found:  # grows while it is walked
            before = _column_parents(item)
            edges += [(source, item) for source in before]
            found += [source for source in before if source not in found]
        drawing = draw([_box(i, focus=i == top) for i in found], edges)
        return self._render(
            "column.html", path, dataset=DATASETS[key], column=DATASETS[key].column(name), drawing=drawing,
            sources=column_sources(DATASETS[key]).get(name, []), made=_column_children().get(top, ()),
        )  # fmt: skip

    def _publications(self, path: str, key: str, page: str) -> str | None:
        found = self.publications(key)[int(page) * PAGE : (int(page) + 1) * PAGE]
        if not found:
            return None
        return self._render("partitions.html", path, dataset=DATASETS[key], shown=found, page=int(page))

    def _publication(self, path: str, key: str, partition: str, version: str) -> str | None:
        partition = "" if partition == "all" and not _partitioned(key) else unquote(partition)
        told = self.state.publication(key, partition, int(version))
        if told is None or told.version != int(version):
            return None
        return self._render(
            "partition.html", path, told=told, tree=list(lines(walk(self.state, key, partition, told.version))),
            history=list(islice(self._history(key, partition), PAGE)),
            files=[(name, sha256, self.report(told, name)) for name, sha256 in told.files.items()],
        )  # fmt: skip

    def _landing(self, path: str) -> str:
        zones: dict[str, list[tuple[Dataset, Any]]] = {}
        for dataset in DATASETS.values():
            for place in dataset.landing:
                zones.setdefault(_zone(place.pattern), []).append((dataset, place))
        used: dict[str, list[tuple[str, str, Publication]]] = {zone: [] for zone in zones}
        for told in self.current():
            for given in told.inputs:
                for name, sha256 in given.files.items():
                    used.setdefault(_zone(name), []).append((name, sha256, told))
        return self._render("landing.html", path, zones=zones, used=used)

    def _ledger(self, path: str, number: str | None = None) -> str | None:
        last = max(self.size - 1, 0) // PAGE
        page = last if number is None else int(number)
        if page > last:
            return None
        return self._render("ledger.html", path, page=page, last=last, entries=self.entries(page * PAGE, PAGE))

    def _entry(self, path: str, index: str) -> str | None:
        at = int(index)
        if at >= self.size:
            return None
        ((_, entry),) = self.entries(at, 1)
        line = entry.to_line().decode()
        return self._render("entry.html", path, index=at, entry=entry, line=line, proof=self.tree.path(at))

    def _proof(self, path: str, index: str) -> str | None:
        at = int(index)
        if at >= self.size:
            return None
        ((_, entry),) = self.entries(at, 1)
        told = {
            "index": at, "size": self.size, "root": self.tree.root, "leaf": self.tree.leaves[at].hex(),
            "line": entry.to_line().decode(), "path": self.tree.path(at),
        }  # fmt: skip
        return json.dumps(told, ensure_ascii=False)

    def _reports(self, path: str) -> str:
        found = [(t, n, uri) for t in self.current() for n in t.files if (uri := self.report(t, n))]
        return self._render("reports.html", path, reports=found)

    def _quarantine(self, path: str) -> str:
        return self._render("quarantine.html", path, rejects=self.rejects())

    # -- what pages show -----------------------------------------------------------------------------------------

    def entries(self, start: int, count: int) -> list[tuple[int, Entry]]:
        """Entries of the ledger, newest first."""
        known = self.recent and start >= self.recent[0][0]
        found = (e for e in self.recent if e[0] >= start) if known else self.lake.ledger.entries(start)
        return list(islice(found, min(count, self.size - start)))[::-1]

    def leaf(self, index: int) -> str:
        """Leaf hash of an entry, hex."""
        return self.tree.leaves[index].hex()

    def publications(self, key: str) -> list[Publication]:
        """The newest publication of each partition of a dataset, newest first."""
        return sorted(self.state.partitions(key).values(), key=lambda p: (-p.entry, p.partition))

    def current(self) -> Iterator[Publication]:
        """The newest publication of every partition of every declared dataset."""
        return (p for key in DATASETS for p in self.publications(key))

    def _history(self, key: str, partition: str) -> Iterator[Publication]:
        """The publications of a partition, newest first."""
        return reversed(self.state.history(key, partition))

    def versions(self, told: Publication) -> int:
        """How often a partition has been published."""
        return self.times[told.key][told.partition]

    def rows(self, dataset: Dataset) -> int:
        """Rows of a dataset as published; of the platform's own datasets, as they are."""
        if dataset.store is Store.LEDGER:
            return self.size
        if dataset.key == FILE_INDEX.key:
            return len(self.files)
        return sum(p.rows for p in self.state.partitions(dataset.key).values())

    def report(self, told: Publication, name: str) -> str | None:
        """The path below the files root of a published file that may be read here; None for all others.

        Only HTML, only with the bytes that were indexed and published, and nothing of a dataset that holds PHI.
        """
        uri = "/".join(part for part in (told.key, told.partition, name) if part)
        indexed, dataset = self.files.get(uri), DATASETS.get(told.key)
        if dataset is None or dataset.sensitivity is Sensitivity.PHI or not name.endswith(".html"):
            return None
        return uri if indexed and indexed["format"] == "HTML" and indexed["sha256"] == told.files.get(name) else None

    def report_at(self, uri: str) -> str | None:
        """SHA-256 of a report by its path below the files root; None where there is no such report."""
        if (indexed := self.files.get(uri)) is None:
            return None
        told = self.state.publication(indexed["dataset"], indexed["partition"])
        return indexed["sha256"] if told and any(self.report(told, name) == uri for name in told.files) else None

    def rejects(self) -> list[Mapping[str, Any]]:
        """Open quarantine items, newest first; of a dataset that holds PHI or is not declared only code and advice."""
        phi = {f"{d.domain}/{d.name}" for d in DATASETS.values() if d.sensitivity is Sensitivity.PHI}
        shown = {f"{d.domain}/{d.name}" for d in DATASETS.values()} - phi
        found: list[Mapping[str, Any]] = []
        for told in self.lake.quarantine.open():
            domain, dataset, partition, _ = told["path"].split("/", 3)
            place = f"{domain}/{dataset}"
            withheld = {} if place in shown else dict.fromkeys(("name", "where", "found"), "withheld: may hold PHI")
            found.append({**told, **withheld, "place": place, "partition": partition})
        return sorted(found, key=lambda told: told["quarantined_at"], reverse=True)


# -- addresses -----------------------------------------------------------------------------------------------------


def dataset_path(key: str) -> str:
    """Address of a dataset's page."""
    return f"datasets/{key}.html"


def column_path(key: str, name: str) -> str:
    """Address of a column's page."""
    return f"columns/{key}/{quote(name, safe='')}.html"


def partition_path(told: Publication) -> str:
    """Address of a publication's page; keys are quoted, so that each is one file name."""
    return f"partitions/{told.key}/{quote(told.partition, safe='') or 'all'}@{told.version}.html"


def entry_path(index: int) -> str:
    """Address of a ledger entry's page."""
    return f"entries/{index}.html"


def _partitioned(key: str) -> bool:
    return key in DATASETS and DATASETS[key].partition is not None


# -- lineage ------------------------------------------------------------------------------------------------------


def _domains() -> list[str]:
    """The domains in the order they are declared, the platform's own last."""
    own = FILE_INDEX.domain
    return [*dict.fromkeys(d.domain for d in DATASETS.values() if d.domain != own), own]


def _zone(path: str) -> str:
    """The first word of a landing pattern or path: a node of the graph, and a heading of the landing page."""
    return path.split("/")[0]


def _parents(dataset: Dataset) -> list[str]:
    zones = [f"{LANDING}:{_zone(place.pattern)}" for place in dataset.landing]
    return list(dict.fromkeys([*zones, *(u.key for u in dataset.upstream)]))


def _column_parents(item: str) -> list[str]:
    """What a column comes from: columns; where none are told, the landing files or whole datasets it is made from."""
    if item.startswith(LANDING):
        return []
    key, _, name = item.partition(".")
    if name and (sources := column_sources(DATASETS[key]).get(name)):
        return [f"{source}.{column}" for source, column in sources]
    parents = _parents(DATASETS[key])
    zones = [p for p in parents if p.startswith(LANDING)]
    return zones if name and zones else parents


@cache
def _downstream() -> Mapping[str, tuple[str, ...]]:
    return _turned((u.key, d.key) for d in DATASETS.values() for u in d.upstream)


@cache
def _column_children() -> Mapping[str, tuple[tuple[str, str], ...]]:
    return _turned(
        (f"{source}.{column}", (d.key, name))
        for d in DATASETS.values()
        for name, sources in column_sources(d).items()
        for source, column in sources
    )


def _turned(pairs: Iterable[tuple[str, Any]]) -> Mapping[str, tuple[Any, ...]]:
    found: dict[str, dict[Any, None]] = {}
    for source, target in pairs:
        found.setdefault(source, {})[target] = None
    return {source: tuple(targets) for source, targets in found.items()}


def _box(item: str, domain: str = "", *, focus: bool = False) -> Box:
    """The box of a landing zone, a column, or a dataset; the domain it is drawn in needs no mention."""
    if item.startswith(LANDING):
        zone = item.removeprefix(f"{LANDING}:")
        return Box(id=item, label=zone, above=LANDING, kind=LANDING, href=f"landing.html#{quote(zone)}", focus=focus)
    key, _, name = item.partition(".")
    dataset = DATASETS[key]
    if name:
        return Box(
            id=item, label=name, above=f"{dataset.layer} · {dataset.name}", kind=str(dataset.layer),
            href=column_path(key, name), title=dataset.column(name).doc, focus=focus,
        )  # fmt: skip
    layer = str(dataset.layer)
    above = layer if domain == dataset.domain else f"{layer} · {dataset.domain}" if domain else f"all of {layer}"
    return Box(
        id=item, label=dataset.name, above=above, kind=layer if domain else f"{layer} whole", href=dataset_path(key),
        title=dataset.doc, focus=focus,
    )  # fmt: skip


# -- templates and files --------------------------------------------------------------------------------------------


@cache
def _templates() -> jinja2.Environment:
    found = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE / "templates"), autoescape=True, trim_blocks=True, lstrip_blocks=True,
        undefined=jinja2.StrictUndefined,
    )  # fmt: skip
    # jinja2 types neither; both are plain dictionaries.
    environment: Any = found
    environment.filters.update({"count": _count, "instant": _instant, "url": quote})
    shared: dict[str, Any] = {
        "DATASETS": DATASETS, "PAGE": PAGE, "LANDING": LANDING, "zone": _zone, "dataset_path": dataset_path,
        "column_path": column_path, "partition_path": partition_path, "entry_path": entry_path,
    }  # fmt: skip
    environment.globals.update(shared)
    return found


def _count(number: int) -> str:
    return f"{number:,}"


def _instant(at: str) -> str:
    return at[:19].replace("T", " ")


def assets() -> dict[str, bytes]:
    """The site's own style and script, by address."""
    return {f"static/{p.name}": p.read_bytes() for p in sorted((_HERE / "static").iterdir()) if p.is_file()}


def _put(path: Path, content: bytes) -> None:
    """Write a file as a whole: a reader meets the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{os.getpid()}.tmp")
    temporary.write_bytes(content)
    temporary.replace(path)
