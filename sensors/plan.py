"""What is out of date, as run requests: a function of the landing zone's listing and the lake's state, and no more.

A dataset's partition is out of date when the content of its inputs is not what it was made from. The answer needs no
memory of its own, so it is right after any crash, and a run asked for twice has the same run key.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from lsdata.catalog import DATASETS, Dataset, Engine, Partition
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
    failed: Callable[[str], bool],
    domains: Iterable[str] | None = None,
) -> list[Request]:
    """All runs that would bring the lake up to date with the landing zone, as far as can be seen now.

    Args:
        order: registered keys of a partitions definition; only these can be requested.
        failed: whether a run of this key has failed, so that nobody waits for it.
    """
    inputs = Inputs(lake)
    wanted = set(domains) if domains else None
    names: list[str | None] = [None, *definitions(domains)]
    requests: list[Request] = []
    for name in _upstream_first(names):
        datasets = [d for d in _computed(name) if wanted is None or d.domain in wanted]
        keys = [""] if name is None else [p for p in order(name) if p in _existing(inputs, name)]
        requests += _requests(inputs, datasets, name, keys, requests, failed)
    return requests


def _existing(inputs: Inputs, name: str) -> set[str]:
    return set(inputs.partitions(definitions()[name]))


def _upstream_first(names: list[str | None]) -> list[str | None]:
    """Definitions in the order in which their datasets are first declared."""
    first = {(d.partition.name if d.partition else None): i for i, d in reversed(list(enumerate(DATASETS.values())))}
    return sorted(names, key=lambda n: first.get(n, len(first)))


def _requests(
    inputs: Inputs,
    datasets: list[Dataset],
    name: str | None,
    keys: list[str],
    before: list[Request],
    failed: Callable[[str], bool],
) -> Iterator[Request]:
    light: dict[tuple[str, ...], list[tuple[str, str]]] = {}
    for partition in keys:
        due = list(_due(inputs, datasets, partition, before, failed))
        tools = [d for d in due if d.engine is Engine.TOOL]
        heavy = [d for d in due if any(d.key in _ancestry(t.key) for t in tools)]
        if name is None:
            # Unpartitioned datasets are separate landing files: each is a run of its own.
            for dataset in due:
                yield _request(None, ("",), [dataset], [_fingerprint(inputs, dataset, "")])
        elif heavy:
            # What tools make, and need, goes first; what is light follows in a batch once it is there.
            yield _request(name, (partition,), heavy, [_fingerprint(inputs, d, partition) for d in heavy])
        elif due:
            prints = "".join(_fingerprint(inputs, d, partition) for d in due)
            light.setdefault(tuple(d.key for d in due), []).append((partition, prints))
    for assets, found in light.items():
        for batch in _neighbours(found, keys):
            yield _request(name, tuple(p for p, _ in batch), [DATASETS[a] for a in assets], [f for _, f in batch])


def _due(
    inputs: Inputs, datasets: list[Dataset], partition: str, before: list[Request], failed: Callable[[str], bool]
) -> Iterator[Dataset]:
    """Out-of-date datasets of a partition, and those never made that only wait for one of these.

    One that was made before is left until its input has changed: an upstream that is made again may come out equal.
    """
    due: list[str] = []
    for dataset in datasets:
        resolved = inputs.resolve(dataset, partition)
        waits = [k for k in resolved.missing if k in due]
        if set(resolved.missing) - set(waits) or _pending(inputs, dataset, partition, before, failed):
            continue
        changing = [u.key for u in dataset.upstream if u.key in due]
        published = inputs.state.publication(dataset.key, partition)
        if published is None or (not changing and published.fingerprint != resolved.fingerprint):
            due.append(dataset.key)
            yield dataset


def _pending(
    inputs: Inputs, dataset: Dataset, partition: str, before: list[Request], failed: Callable[[str], bool]
) -> bool:
    """Whether a member that belongs to the partition is about to be made anew, by a run that has not failed.

    Optional and whole-table upstreams are waited for as well: a first pass without them would be made again.
    """
    members = inputs.resolve(dataset, partition).members
    for request in before:
        if failed(request.run_key):
            continue
        for upstream in dataset.upstream:
            if upstream.through:
                mine = set(members.get(upstream.key, ()))
                touched = set(request.assets) & _ancestry(upstream.key)
                if (
                    touched
                    and mine & set(request.partitions)
                    and DATASETS[upstream.key].partition
                    and (
                        request.definition == DATASETS[upstream.key].partition.name  # pyright: ignore[reportOptionalMemberAccess] - checked before
                    )
                ):
                    return True
            elif upstream.by is None and upstream.key in request.assets:
                return True
    return False


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
    return f"{dataset.key}={inputs.resolve(dataset, partition).fingerprint};"


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
