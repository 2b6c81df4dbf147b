"""What is out of date, as run requests: a function of the landing zone's listing and the lake's state, and no more.

A dataset's partition is out of date when the content of its inputs is not what it was made from. The answer needs no
memory of its own, so it is right after any crash, and a run asked for twice has the same run key.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from lsdata.catalog import DATASETS, Dataset, Engine, Partition, Upstream
from lsdata.lake.inputs import Inputs
from lsdata.lake.lake import Lake

BATCH = 500
"""Partitions of light datasets that go into one run at most."""


@dataclass(frozen=True, kw_only=True)
class Request:
    """A run to make.

    Args:
        definition: partitions definition; None for unpartitioned datasets.
        partitions: neighbouring keys in the order they are registered in; one for datasets that tools make.
        assets: dataset keys.
        run_key: equal for the same work on the same input.
    """

    definition: str | None
    partitions: tuple[str, ...]
    assets: tuple[str, ...]
    run_key: str


def definitions(domains: Iterable[str] | None = None) -> dict[str, Partition]:
    """Partitions definitions by name, of some domains."""
    wanted = set(domains) if domains else None
    return {
        d.partition.name: d.partition
        for d in DATASETS.values()
        if d.partition and (wanted is None or d.domain in wanted)
    }


def _computed(definition: str | None) -> list[Dataset]:
    """Datasets of a definition that the graph makes, upstream first: the order of declaration, checked by a test."""
    name = definition
    return [d for d in DATASETS.values() if d.domain != "core" and (d.partition.name if d.partition else None) == name]


def plan(
    lake: Lake,
    order: Callable[[str], Sequence[str]],
    ended: Callable[[str], bool],
    domains: Iterable[str] | None = None,
) -> list[Request]:
    """All runs that would bring the lake up to date with the landing zone, as far as can be seen now.

    Args:
        order: registered keys of a partitions definition; only these can be requested.
        ended: whether a run of this key has ended, so nobody waits for it: it has failed, or its input was refused,
            for had it made what was asked for, that would not be asked for any more.
    """
    inputs = Inputs(lake)
    ended = cache(ended)
    wanted = set(domains) if domains else None
    names: list[str | None] = [None, *definitions(domains)]
    registered = {name: list(order(name)) if name else [""] for name in names}
    existing = {name: set(inputs.partitions(p)) for name, p in definitions(domains).items()}
    datasets = {name: [d for d in _computed(name) if wanted is None or d.domain in wanted] for name in names}

    unregistered = {name: keys.difference(registered[name]) for name, keys in existing.items()}

    def requests(before: list[Request]) -> list[Request]:
        waiting = _Waiting(inputs, before, ended, unregistered)
        return [
            request
            for name in names
            for request in _requests(
                inputs, datasets[name], name, registered[name], existing.get(name or "", {""}), waiting
            )
        ]

    # Who waits for whom is known only when all that is out of date is known.
    return requests(requests([]))


class _Waiting:
    """Which partitions are about to be made anew by runs that have not ended, so that others had better wait."""

    def __init__(
        self,
        inputs: Inputs,
        before: Sequence[Request],
        ended: Callable[[str], bool],
        unregistered: Mapping[str, set[str]],
    ):
        self._inputs = inputs
        self._unregistered = unregistered
        self._soon: dict[str, set[str]] = {}
        for request in before:
            if not ended(request.run_key):
                for asset in request.assets:
                    self._soon.setdefault(asset, set()).update(request.partitions)

    def __call__(self, dataset: Dataset, partition: str) -> bool:
        """Whether a member of the partition, or a table it reads as a whole, is about to change."""
        return any(self._changes(dataset, upstream, partition) for upstream in dataset.upstream)

    def _changes(self, dataset: Dataset, upstream: Upstream, partition: str) -> bool:
        if upstream.by is None:
            # Waited for also where it is optional: what is made without it would be made again.
            return upstream.key in self._soon
        if not upstream.through:
            return False
        own = DATASETS[upstream.key].partition
        members = self._inputs.resolve(dataset, partition).members.get(upstream.key, ())
        if own and not self._unregistered.get(own.name, set()).isdisjoint(members):
            # Nobody can ask for them yet; the next glance will.
            return True
        return any(
            not soon.isdisjoint(members)
            for key in _ancestry(upstream.key)
            if DATASETS[key].partition == own and (soon := self._soon.get(key))
        )


def _requests(
    inputs: Inputs,
    datasets: list[Dataset],
    name: str | None,
    registered: list[str],
    existing: set[str],
    waiting: Callable[[Dataset, str], bool],
) -> Iterator[Request]:
    light: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for partition in registered:
        if partition not in existing:
            continue
        due = list(_due(inputs, datasets, partition, waiting))
        tools = [d for d in due if d.engine is Engine.TOOL]
        heavy = [d for d in due if any(d.key in _ancestry(t.key) for t in tools)]
        if name is None:
            # Unpartitioned datasets are separate landing files: each is a run of its own, upstream first.
            keys = {d.key for d in due}
            for dataset in due:
                if not any(u.key in keys for u in dataset.upstream):
                    yield _request(None, ("",), [dataset], [_fingerprint(inputs, dataset, "")])
        elif heavy:
            # What tools make, and need, goes first; what is light follows in a batch once it is there.
            yield _request(name, (partition,), heavy, [_fingerprint(inputs, d, partition) for d in heavy])
        elif due:
            prints = "".join(_fingerprint(inputs, d, partition) for d in due)
            light.setdefault(tuple(d.key for d in due), []).append((partition, prints))
    for assets, found in light.items():
        for batch in _neighbours(found, registered):
            yield _request(name, tuple(p for p, _ in batch), [DATASETS[a] for a in assets], [f for _, f in batch])


def _due(
    inputs: Inputs, datasets: list[Dataset], partition: str, waiting: Callable[[Dataset, str], bool]
) -> Iterator[Dataset]:
    """Out-of-date datasets of a partition, and those never made that only wait for one of these.

    One that was made before is left until its input has changed: an upstream that is made again may come out equal.
    """
    due: list[str] = []
    for dataset in datasets:
        resolved = inputs.resolve(dataset, partition)
        if not set(resolved.missing) <= set(due) or waiting(dataset, partition):
            continue
        changing = any(u.key in due for u in dataset.upstream)
        published = inputs.published(dataset.key).get(partition)
        if published is None or (not changing and published.fingerprint != resolved.fingerprint):
            due.append(dataset.key)
            yield dataset


def _ancestry(key: str) -> set[str]:
    found = {key}
    for upstream in DATASETS[key].upstream:
        found |= _ancestry(upstream.key)
    return found


def _neighbours(found: list[tuple[str, str]], keys: list[str]) -> Iterator[list[tuple[str, str]]]:
    """Runs of partitions that stand side by side among the registered keys: a range can name only such."""
    place = {k: i for i, k in enumerate(keys)}
    batch: list[tuple[str, str]] = []
    for one in found:
        if batch and (place[one[0]] != place[batch[-1][0]] + 1 or len(batch) == BATCH):
            yield batch
            batch = []
        batch.append(one)
    if batch:
        yield batch


def _fingerprint(inputs: Inputs, dataset: Dataset, partition: str) -> str:
    """What is to be made from what, and instead of what: going back to an earlier input is new work."""
    published = inputs.published(dataset.key).get(partition)
    instead = f"{published.entry if published else '-'}.{inputs.state.drops.get(dataset.key, 0)}"
    return f"{dataset.key}={inputs.resolve(dataset, partition).fingerprint}@{instead};"


def _request(
    name: str | None, partitions: tuple[str, ...], datasets: Sequence[Dataset], fingerprints: Sequence[str]
) -> Request:
    digest = hashlib.sha256("".join([*partitions, *fingerprints]).encode()).hexdigest()[:20]
    head = partitions[0] if len(partitions) == 1 else f"{partitions[0]}...{partitions[-1]}"
    return Request(
        definition=name,
        partitions=partitions,
        assets=tuple(d.key for d in datasets),
        run_key=f"{name or datasets[0].name}:{head}:{digest}",
    )
