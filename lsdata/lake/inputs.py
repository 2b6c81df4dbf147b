"""What a partition of a dataset is made from right now, and whether what is published was made from just that."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import polars as pl

from lsdata.catalog import DATASETS, Dataset, Partition, Upstream
from lsdata.derived import arrow
from lsdata.lake.content import combined_sha256, groups_sha256
from lsdata.lake.lake import Lake
from lsdata.lake.landing import Landed, LandingZone, fingerprint
from lsdata.lake.places import place_of
from lsdata.lake.state import Input, Publication


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """The inputs of one partition.

    Args:
        inputs: upstream datasets with exact versions.
        landed: landing files, by listing.
        fingerprint: hash over the content of all of them; equal means there is nothing to do.
        missing: required inputs that are not there; with any, the partition cannot be made.
        members: by upstream reached through a membership, the partitions that belong.
    """

    inputs: tuple[Input, ...]
    landed: tuple[Landed, ...]
    fingerprint: str
    missing: tuple[str, ...]
    members: Mapping[str, tuple[str, ...]]


class Inputs:
    """Resolves inputs against one state of lake and landing zone; make a new one to see what is new."""

    def __init__(self, lake: Lake):
        self.lake = lake
        self.state = lake.state()
        self.versions = dict(self.state.versions)
        self.landing = LandingZone(place_of(lake.settings, "landing"))
        self._memberships: dict[tuple[str, str, str], dict[str, tuple[str, ...]]] = {}
        self._groups: dict[tuple[str, str], dict[str, tuple[str, tuple[str, ...]]]] = {}
        self._published: dict[str, dict[str, Publication]] = {}
        self._resolved: dict[tuple[str, str], Resolved] = {}

    def partitions(self, partition: Partition) -> tuple[str, ...]:
        """All partition keys that exist now, in a steady order: published order is the order of the listing."""
        if partition.landing is not None:
            return self.landing.folders(partition.landing)
        rows = self.lake.read(partition.listed_in or "").filter(
            *(pl.col(column) == value for column, value in partition.where)
        )
        return tuple(rows.select(pl.col(partition.listed_as or "").unique().sort()).collect().to_series().to_list())

    def published(self, key: str) -> dict[str, Publication]:
        """The newest publication of each partition, when this was made."""
        if key not in self._published:
            self._published[key] = self.state.partitions(key)
        return self._published[key]

    def resolve(self, dataset: Dataset, partition: str) -> Resolved:
        """The inputs of a partition ('' for an unpartitioned dataset)."""
        known = (dataset.key, partition)
        if known not in self._resolved:
            self._resolved[known] = self._resolve(dataset, partition)
        return self._resolved[known]

    def _resolve(self, dataset: Dataset, partition: str) -> Resolved:
        inputs: list[Input] = []
        hashes: dict[str, str] = {}
        missing: list[str] = []
        members: dict[str, tuple[str, ...]] = {}
        for upstream in dataset.upstream:
            found, sha256 = self._upstream(dataset, upstream, partition, members)
            if found is not None:
                inputs.append(found)
                hashes[upstream.key] = sha256
            elif upstream.required:
                missing.append(upstream.key)
        found = {f for place in dataset.landing for f in self.landing.listing(place.pattern, partition)}
        landed = tuple(sorted(found))
        if dataset.landing:
            hashes["landing"] = fingerprint(landed)
            # A folder that is a partition is looked at also when it holds nothing, so that somebody is told.
            if not landed and not dataset.upstream and not (dataset.partition and dataset.partition.landing):
                missing.append(", ".join(place.pattern for place in dataset.landing))
        return Resolved(
            inputs=tuple(inputs),
            landed=landed,
            fingerprint=combined_sha256(hashes),
            missing=tuple(missing),
            members=members,
        )

    def _upstream(
        self, dataset: Dataset, upstream: Upstream, partition: str, members: dict[str, tuple[str, ...]]
    ) -> tuple[Input | None, str]:
        source = DATASETS[upstream.key]
        version = self.versions.get(upstream.key)
        published = self.published(upstream.key)
        if version is None or not published:
            if upstream.through:
                members[upstream.key] = self._members(dataset, upstream, partition)
            return None, ""
        if upstream.by is None:
            sha256 = combined_sha256({p: told.sha256 for p, told in published.items()})
            return Input(key=upstream.key, version=version), sha256
        if upstream.through:
            members[upstream.key] = self._members(dataset, upstream, partition)
            used = {m: published[m].sha256 for m in members[upstream.key] if m in published}
        elif source.partition and source.partition.column == upstream.by:
            used = {partition: published[partition].sha256} if partition in published else {}
        else:
            sha256, parts = self._rows(source, upstream.by).get(partition, ("", ()))
            if not sha256:
                return None, ""
            whole = {p: published[p].sha256 for p in parts if p in published}
            return Input(key=upstream.key, version=version, partitions=whole), sha256
        if not used:
            return None, ""
        return Input(key=upstream.key, version=version, partitions=used), combined_sha256(used)

    def _members(self, dataset: Dataset, upstream: Upstream, partition: str) -> tuple[str, ...]:
        column = dataset.partition.column if dataset.partition else ""
        through, by = upstream.through or "", upstream.by or ""
        if (through, column, by) not in self._memberships:
            pairs = self.lake.read(through, version=self.versions.get(through)).select(column, by).drop_nulls()
            pairs = pairs.unique().sort(by)
            grouped = pairs.collect().group_by(column, maintain_order=True).agg(by)
            self._memberships[through, column, by] = {key: tuple(members) for key, members in grouped.iter_rows()}
        found = self._memberships[through, column, by].get(partition, ())
        return found or self._by_setting(upstream)

    def _by_setting(self, upstream: Upstream) -> tuple[str, ...]:
        if upstream.setting is None:
            return ()
        chosen = getattr(self.lake.settings, upstream.setting)
        # With several and none chosen, the function says what to do.
        return (chosen,) if chosen else tuple(self.published(upstream.key))

    def _rows(self, source: Dataset, by: str) -> dict[str, tuple[str, tuple[str, ...]]]:
        """By value of a column: the hash of the rows that have it, and the partitions they lie in."""
        if (source.key, by) not in self._groups:
            rows = self.lake.read(source.key, version=self.versions.get(source.key)).filter(pl.col(by).is_not_null())
            frame = rows.collect().sort(by, *source.primary_key)
            column = pl.col(source.partition.column) if source.partition else pl.lit("")
            parts = dict(frame.group_by(by).agg(column.unique().sort()).iter_rows())
            self._groups[source.key, by] = {
                value: (sha256, tuple(parts[value])) for value, (_, sha256) in groups_sha256(frame, by).items()
            }
        return self._groups[source.key, by]

    def stale(self, dataset: Dataset, partition: str) -> bool:
        """Whether the partition can be made and is not published from just these inputs."""
        resolved = self.resolve(dataset, partition)
        told = self.state.publication(dataset.key, partition)
        return not resolved.missing and (told is None or told.fingerprint != resolved.fingerprint)

    def load(self, dataset: Dataset, partitions: Iterable[str]) -> dict[str, pl.LazyFrame]:
        """The upstream rows that these partitions need, by the upstream's name."""
        wanted = list(partitions)
        return {DATASETS[u.key].name: self._load(dataset, u, wanted) for u in dataset.upstream}

    def _load(self, dataset: Dataset, upstream: Upstream, wanted: list[str]) -> pl.LazyFrame:
        source = DATASETS[upstream.key]
        # At the versions that are recorded as inputs, whatever has been published since.
        version = self.versions.get(upstream.key)
        if version is None:
            return arrow.empty(source).lazy()
        if upstream.by is None:
            return self.lake.read(upstream.key, version=version)
        if upstream.through:
            members = {m for p in wanted for m in self._members(dataset, upstream, p)}
            return self.lake.read(upstream.key, sorted(members), version)
        if source.partition and source.partition.column == upstream.by:
            return self.lake.read(upstream.key, wanted, version)
        return self.lake.read(upstream.key, version=version).filter(pl.col(upstream.by).is_in(wanted))
