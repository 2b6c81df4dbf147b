"""A desk of the sequencing core: what the graph does with a work function, on a real lake with real tools."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lsdata.catalog import Dataset
from lsdata.catalog.genomics import JOINT_CALLS
from lsdata.compute import LocalRunner
from lsdata.derived import arrow
from lsdata.errors import InvalidInput
from lsdata.lake.inputs import Inputs
from lsdata.lake.lake import Act, Lake, Made, Staging
from lsdata.lake.landing import Landed
from lsdata.lake.quarantine import Reject, originals
from lsdata.lake.state import Input
from lsdata.lake.work import Outcome, Work
from lsdata.settings import Settings

ACT = Act(operator="Ada", reason="a test", run_id="run-1", git_commit="c0ffee")


@dataclass
class Desk:
    """Lands files, runs work functions as `assets.binding` does, and looks at what came of it."""

    lake: Lake
    runner: LocalRunner
    heard: list[str] = field(default_factory=list[str])

    @property
    def landing(self) -> Path:
        """The landing zone."""
        return self.lake.settings.path("landing")

    def land(self, path: str, content: bytes | str) -> Path:
        """Drop a file."""
        place = self.landing / path
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(content.encode() if isinstance(content, str) else content)
        return place

    def work(self, partition: str, staging: Staging, landed: tuple[Landed, ...] = ()) -> Work:
        """What a work function is given."""
        return Work(
            partition=partition,
            lake=self.lake,
            staging=staging,
            landing=Inputs(self.lake).landing,
            landed=landed,
            runner=self.runner,
            act=ACT,
            log=self.heard.append,
        )

    def run(self, dataset: Dataset, function: Callable[..., Outcome], partition: str = "") -> Outcome | InvalidInput:
        """Make a partition: reject, quarantine and publish what is due. An error other than ours goes through."""
        inputs = Inputs(self.lake)
        resolved = inputs.resolve(dataset, partition)
        assert not resolved.missing, resolved.missing
        with self.lake.staging(dataset.key) as staging:
            work = self.work(partition, staging, resolved.landed)
            try:
                outcome = function(work=work, **inputs.load(dataset, [partition]))
            except InvalidInput as error:
                kept = originals(error, work.landing.local, (f.path for f in resolved.landed))
                self.quarantine(dataset, partition, [Reject.of(error, partition or dataset.name, kept)])
                return error
            self.quarantine(dataset, partition, outcome.rejects)
            landed = (Input(key="landing", version=None, files=outcome.landed),) if outcome.landed else ()
            made = Made(
                inputs=(*resolved.inputs, *landed), fingerprint=resolved.fingerprint, files=tuple(outcome.files)
            )
            assert outcome.rows.select(dataset.primary_key).is_unique().all(), f"{dataset.key}: key"
            self.lake.publish(dataset, outcome.rows, {partition: made}, ACT, lambda *_: (), staging)
        return outcome

    def quarantine(self, dataset: Dataset, partition: str, rejects: "list[Reject] | tuple[Reject, ...]") -> None:
        """Keep what was refused, and say so."""
        self.lake.quarantine.replace(dataset.domain, dataset.name, partition, rejects)
        self.heard += [f"quarantined {r.name}: {r.code}. {r.found} {r.do}" for r in rejects]

    def put(
        self, dataset: Dataset, rows: pl.DataFrame, partition: str = "", files: Mapping[str, bytes] | None = None
    ) -> None:
        """Publish rows and files as if they had been made."""
        with self.lake.staging(dataset.key) as staging:
            for name, content in (files or {}).items():
                (staging.folder(partition) / name).write_bytes(content)
            made = Made(files=tuple(files or ()), fingerprint="put")
            self.lake.publish(dataset, rows, {partition: made}, ACT, lambda *_: (), staging)

    def call(self, text: str, reference: str, cohort: str = "fam") -> None:
        """Publish a hand-written multi-sample VCF as the joint calls of a cohort."""
        place = self.lake.settings.scratch / "joint.vcf.gz"
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_bytes(subprocess.run(["bgzip", "-c"], input=text.encode(), capture_output=True, check=True).stdout)
        subprocess.run(["tabix", "-f", "-p", "vcf", place], check=True, capture_output=True)
        [columns] = [line for line in text.splitlines() if line.startswith("#CHROM")]
        told = {"called": True, "gvcf_sha256": None, "reference": reference, "import_mode": "full", "caller": "hand"}
        told |= {"filter_method": "hard_filters", "filter_reason": "few", "records": 0, "records_pass": 0}
        rows = [{"cohort_id": cohort, "sample_id": s, **told} for s in columns.split("\t")[9:] or ["nobody"]]
        frame = pl.DataFrame(rows, schema=arrow.polars_schema(JOINT_CALLS))
        files = {name: (place.parent / name).read_bytes() for name in ("joint.vcf.gz", "joint.vcf.gz.tbi")}
        self.put(JOINT_CALLS, frame, cohort, files)

    def open(self) -> list[dict[str, Any]]:
        """What is in quarantine."""
        return [dict(told) for told in self.lake.quarantine.open()]

    def codes(self) -> list[str]:
        """Why."""
        return sorted(told["code"] for told in self.open())


def desk_at(home: Path) -> Desk:
    """A desk with a lake of its own."""
    settings = Settings(home=home, operator="Ada", reason="a test", cores=2)
    tools = [str(settings.tools / "bin"), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
    return Desk(Lake(settings), LocalRunner(scratch=settings.scratch, path=os.pathsep.join(tools)))


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    """A desk of this test's own."""
    return desk_at(tmp_path / "home")


@pytest.fixture(scope="module")
def shared_desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """A desk that the tests of a module share."""
    return desk_at(tmp_path_factory.mktemp("home"))


@pytest.fixture(scope="session")
def data() -> Path:
    """Real genomics data; skips where they are not."""
    here = Path(__file__).parents[2] / "../shared/data"
    place = Path(os.environ.get("LSDATA_TEST_DATA", here)) / "genomics"
    if not (place / "annotation").is_dir():
        pytest.skip("the real data are not here: set LSDATA_TEST_DATA")
    return place


@pytest.fixture(scope="session")
def tool() -> Callable[..., list[str]]:
    """Run a program; the lines it writes."""

    def run(*command: object, stdin: bytes | None = None) -> list[str]:
        done = subprocess.run([str(part) for part in command], input=stdin, capture_output=True, check=True)
        return done.stdout.decode().splitlines()

    return run
