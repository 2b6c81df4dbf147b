"""Walking from a publication back to the landing files."""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

import pytest

from lsdata.errors import MissingData
from lsdata.lake.lineage import lines, render_text, walk
from lsdata.lake.state import Input, State

COHORTS, GVCFS, JOINT = "bronze/genomics/cohorts", "silver/genomics/gvcfs", "silver/genomics/joint_calls"


class Log:
    """A ledger in memory: entries as `State` reads them."""

    def __init__(self) -> None:
        self.written: list[Any] = []

    def entries(self, start: int = 0) -> Iterator[tuple[int, Any]]:
        return iter(list(enumerate(self.written))[start:])

    def act(self, key: str, version: int | None, action: str = "publish", **detail: Any) -> None:
        at = datetime(2026, 11, 22, 16, len(self.written) % 60, tzinfo=UTC).isoformat()
        self.written.append(
            SimpleNamespace(
                id=str(len(self.written)), at=at, actor="a.meyer", action=action, subject=key, reason="test",
                new_version=version, detail=detail,
            )
        )  # fmt: skip

    def publish(self, key: str, version: int, partitions: Mapping[str, str], *inputs: Input) -> None:
        told = [i.as_json() for i in inputs]
        self.act(key, version, partitions={p: {"rows": 1, "sha256": s, "inputs": told} for p, s in partitions.items()})


def landed(**files: str) -> Input:
    return Input(key="landing", version=None, files={name.replace("_", "."): sha256 for name, sha256 in files.items()})


def test_a_cohort_is_traced_to_its_landing_files() -> None:
    log = Log()
    log.publish(COHORTS, 0, {"": "c0"}, landed(cohorts_csv="l0"))
    log.publish(GVCFS, 0, {"S1": "g1"}, landed(s1_fastq="f1"))
    log.publish(GVCFS, 1, {"S2": "g2"}, landed(s2_fastq="f2"))
    log.publish(
        JOINT, 0, {"trio": "j0"}, Input(key=COHORTS, version=0, partitions={"": "c0"}),
        Input(key=GVCFS, version=1, partitions={"S1": "g1", "S2": "g2"}),
    )  # fmt: skip
    assert render_text(walk(State(log).refresh(), JOINT, "trio")).splitlines() == [
        "silver/genomics/joint_calls [trio] version 0, 1 row, sha256 j0, 2026-11-22 16:03:00 UTC by a.meyer",
        "  bronze/genomics/cohorts version 0, 1 row, sha256 c0, 2026-11-22 16:00:00 UTC by a.meyer",
        "    landing/cohorts.csv sha256 l0",
        "  silver/genomics/gvcfs [S1] version 0, 1 row, sha256 g1, 2026-11-22 16:01:00 UTC by a.meyer",
        "    landing/s1.fastq sha256 f1",
        "  silver/genomics/gvcfs [S2] version 1, 1 row, sha256 g2, 2026-11-22 16:02:00 UTC by a.meyer",
        "    landing/s2.fastq sha256 f2",
    ]


def test_an_older_version_keeps_its_own_inputs() -> None:
    log = Log()
    for version in range(2):
        log.publish(COHORTS, version, {"": f"c{version}"}, landed(cohorts_csv=f"l{version}"))
        log.publish(JOINT, version, {"trio": f"j{version}"}, Input(key=COHORTS, version=version))
    state = State(log).refresh()
    assert [node.sha256 for _, node, _ in lines(walk(state, JOINT, "trio", 0))] == ["j0", "c0", "l0"]
    assert [node.sha256 for _, node, _ in lines(walk(state, JOINT, "trio"))] == ["j1", "c1", "l1"]


def test_a_whole_table_means_its_partitions_at_that_version() -> None:
    log = Log()
    log.publish(GVCFS, 0, {"S1": "old", "S2": "two"})
    log.publish(GVCFS, 1, {"S1": "new"})
    log.publish(JOINT, 0, {"trio": "j"}, Input(key=GVCFS, version=1))
    log.publish(GVCFS, 2, {"S1": "later", "S3": "later"})
    inputs = walk(State(log).refresh(), JOINT, "trio").inputs
    assert [(n.name, n.version, n.sha256) for n in inputs] == [("S1", 1, "new"), ("S2", 0, "two")]


def test_what_is_reached_twice_is_one_node_told_once() -> None:
    log = Log()
    log.publish(COHORTS, 0, {"": "c"}, landed(cohorts_csv="l"))
    log.publish(GVCFS, 0, {"S1": "g"}, Input(key=COHORTS, version=0, partitions={"": "c"}))
    log.publish(JOINT, 0, {"trio": "j"}, Input(key=COHORTS, version=0), Input(key=GVCFS, version=0))
    top = walk(State(log).refresh(), JOINT, "trio")
    assert top.inputs[0] is top.inputs[1].inputs[0]
    assert render_text(top).splitlines()[-1].endswith("by a.meyer (as above)")
    assert render_text(top).count("landing/cohorts.csv") == 1


def test_ten_thousand_partitions_are_summarised_with_one_hash() -> None:
    log = Log()
    samples = {f"S{n:05d}": f"g{n}" for n in range(10_000)}
    log.publish(GVCFS, 0, samples)
    log.publish(JOINT, 0, {"named": "j"}, Input(key=GVCFS, version=0, partitions=samples))
    log.publish(JOINT, 1, {"whole": "j"}, Input(key=GVCFS, version=0))
    state = State(log).refresh()
    named, whole = walk(state, JOINT, "named"), walk(state, JOINT, "whole")
    assert [len(n.inputs) for n in (named, whole)] == [201, 201]
    assert [n.inputs[-1].omitted for n in (named, whole)] == [9_800, 9_800]
    assert named.inputs[-1].sha256 == whole.inputs[-1].sha256
    assert "silver/genomics/gvcfs: 9,800 more, together sha256" in render_text(named)


def test_content_that_was_given_up_is_told_as_lost_not_replaced_by_its_successor() -> None:
    log = Log()
    log.publish(GVCFS, 3, {"S1": "first"})
    log.publish(JOINT, 0, {"trio": "j"}, Input(key=GVCFS, version=3, partitions={"S1": "first"}))
    log.publish(JOINT, 1, {"whole": "j"}, Input(key=GVCFS, version=3))
    log.act(GVCFS, None, action="delete")
    log.publish(GVCFS, 0, {"S1": "first"})
    state = State(log).refresh()
    for partition, sha256 in (("trio", "first"), ("whole", None)):
        (gone,) = walk(state, JOINT, partition).inputs
        assert (gone.lost, gone.version, gone.sha256) == (True, 3, sha256)
        assert "not in the lake any more" in render_text(gone)


def test_a_cohort_that_grew_three_thousand_times_is_walked() -> None:
    log = Log()
    log.publish(JOINT, 0, {"trio": "j0"}, landed(cohorts_csv="l"))
    for n in range(1, 3_000):
        log.publish(JOINT, n, {"trio": f"j{n}"}, Input(key=JOINT, version=n - 1, partitions={"trio": f"j{n - 1}"}))
    assert (
        render_text(walk(State(log).refresh(), JOINT, "trio")).splitlines()[-1].strip()
        == "landing/cohorts.csv sha256 l"
    )


def test_what_was_never_published_has_no_lineage() -> None:
    with pytest.raises(MissingData, match=r"joint_calls \[trio\]: nothing published"):
        walk(State(Log()), JOINT, "trio")
