"""What many tests need: a lake of its own, valid rows of any declared dataset, and a graph without tools."""

import hashlib
import hmac
import random
import re
import shutil
import socket
import subprocess
import sys
import time
import urllib.request
from base64 import b32encode, b64decode, b64encode
from collections.abc import Callable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, timedelta
from email.utils import formatdate
from itertools import count
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from lsdata.catalog import DATASETS, Column, Dataset
from lsdata.derived import arrow
from lsdata.derived.expectations import CheckResult
from lsdata.lake.inputs import Inputs
from lsdata.lake.lake import Act, Lake, Made, Published
from lsdata.settings import Settings
from sensors.plan import Request, definitions, plan

Validate = Callable[[Dataset, pl.DataFrame], Sequence[CheckResult]]
Files = Mapping[str, Mapping[str, bytes]]
ACT = Act(operator="Ada", reason="a test", run_id="run-1", git_commit="c0ffee")


def pytest_configure(config: pytest.Config) -> None:
    """Warnings are errors, but for what others warn of themselves."""
    for theirs in ("great_expectations", "dagster"):
        config.addinivalue_line("filterwarnings", f"ignore::DeprecationWarning:{theirs}")


# ---------------------------------------------------------------- rows of any dataset


def make_frame(dataset: Dataset, n: int, partition: str | None = None, seed: int = 0, unlike: str = "") -> pl.DataFrame:
    """Rows that satisfy the declaration: n, or all there can be where the partition is the whole key.

    Args:
        partition: the value of the partition column; each row has its own without it.
        unlike: name of one expectation that all rows violate instead.
    """
    draw, numbers, found = random.Random(f"{dataset.key} {seed}"), count(1), arrow.empty(dataset)
    rules = [pl.sql_expr(e.rule).fill_null(value=True) for e in dataset.expectations if e.name != unlike]
    rules += [~pl.sql_expr(e.rule).fill_null(value=True) for e in dataset.expectations if e.name == unlike]
    cut = dataset.partition.column if dataset.partition and partition is not None else None
    few = all(name == cut or dataset.column(name).codelist for name in dataset.primary_key)
    for _ in range(100 + n):
        # Drawn in pieces of one size, so that the first rows are the same however many are wanted.
        index = [next(numbers) for _ in range(128)]
        made = {c.name: [_value(dataset, c, i, draw) for i in index] for c in dataset.columns}
        if cut:
            made[cut] = [partition] * len(index)
        more = pl.DataFrame(made, schema=arrow.polars_schema(dataset)).filter(*rules)
        found = pl.concat([found, more]).unique(dataset.primary_key, keep="first", maintain_order=True).head(n)
        if found.height == n or (few and found.height):
            return found
    raise AssertionError(f"{dataset.key}: no rows satisfy the declaration")


def _value(dataset: Dataset, column: Column, index: int, draw: random.Random) -> Any:
    if column.nullable and draw.random() < 0.2:
        return None
    number = index if column.name in dataset.primary_key else draw.randrange(1000)
    low = column.minimum if column.minimum is not None else 0.0
    high = column.maximum if column.maximum is not None else low + 1000
    match column.type:
        case "string":
            return _text(column, number)
        case "int32" | "int64":
            if column.name in dataset.primary_key:
                return int(low) + number
            return int(low) if draw.random() < 0.1 else draw.randint(int(low), int(high))
        case "float64":
            return draw.uniform(low, high if column.maximum is not None else 1.0)
        case "bool":
            return draw.random() < 0.8
        case "date":
            return date(2020, 1, 1) + timedelta(days=number)
        case "timestamp":
            return datetime(2020, 1, 1, tzinfo=UTC) + timedelta(seconds=number)
        case "list<string>":
            return [f"{column.name}{i}" for i in range(number % 4)]


def _text(column: Column, number: int) -> str:
    if column.codelist:
        return column.codelist[number % len(column.codelist)]
    plain = f"{column.name}{number}"
    hashes = [hashlib.new(name, plain.encode()) for name in ("sha256", "md5")]
    code = b32encode(hashes[0].digest()).decode().lower()[:12]
    for text in (plain, *(made.hexdigest() for made in hashes), code, f"{1900 + number}", f"{number % 1000:03d}"):
        if column.pattern is None or re.fullmatch(column.pattern, text):
            return text
    raise AssertionError(f"{column.name}: teach conftest a text that matches {column.pattern}")


@pytest.fixture(params=DATASETS.values(), ids=list(DATASETS))
def every(request: pytest.FixtureRequest) -> Dataset:
    """Each declared dataset in turn."""
    return request.param


@pytest.fixture(scope="session")
def sample_frame() -> Callable[..., pl.DataFrame]:
    """`make_frame`."""
    return make_frame


# ---------------------------------------------------------------- a lake, and publishing to it


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Everything below the test's own folder."""
    return Settings(home=tmp_path / "home", operator="Ada", reason="a test")


@pytest.fixture
def lake(settings: Settings) -> Lake:
    """An empty lake."""
    return Lake(settings)


def passes(dataset: Dataset, frame: pl.DataFrame) -> Sequence[CheckResult]:
    """No checks: what they are is tested elsewhere."""
    return ()


def put(
    lake: Lake, dataset: Dataset, rows: pl.DataFrame, made: Mapping[str, Made] | None = None, *,
    files: Files | None = None, validate: Validate = passes, act: Act = ACT,
) -> Published:  # fmt: skip
    """Publish rows, and files by partition and name; the partitions are those of the rows unless `made` says."""
    if made is None:
        column = dataset.partition.column if dataset.partition else None
        made = {p: Made(files=tuple((files or {}).get(p, ()))) for p in (rows[column].unique() if column else [""])}
    if files is None:
        return lake.publish(dataset, rows, made, act, validate)
    with lake.staging(dataset.key) as staging:
        for partition, contents in files.items():
            for name, content in contents.items():
                path = staging.folder(partition) / name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(content)
        return lake.publish(dataset, rows, made, act, validate, staging)


@pytest.fixture(scope="session")
def publish() -> Callable[..., Published]:
    """`put`."""
    return put


# ---------------------------------------------------------------- the graph, without tools


@dataclass
class Graph:
    """A lake whose partitions are made at once from declarations: what changes, when and why, is all that is real.

    Args:
        runs: run to its samples; cohorts: cohort to its samples. They are what has landed.
        seeds: (dataset, partition) to a number; another number is other content.
        registered: partition keys by definition, in the order in which Dagster learned of them.
        failed: run keys of runs that have failed.
    """

    lake: Lake
    runs: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    cohorts: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    seeds: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    registered: dict[str, list[str]] = field(default_factory=dict[str, list[str]])
    failed: set[str] = field(default_factory=set[str])

    def land(self, path: str, text: str = "x") -> None:
        """Drop a file into the landing zone."""
        place = self.lake.settings.path("landing") / path
        place.parent.mkdir(parents=True, exist_ok=True)
        if not place.exists() or place.read_text() != text:
            place.write_text(text)

    def deliver(self) -> None:
        """Land what `runs` and `cohorts` say."""
        for run, samples in self.runs.items():
            self.land(f"sequencing/{run}/SampleSheet.csv", "\n".join(samples))
        self.land("cohorts.csv", "\n".join(f"{c},{s}" for c, members in self.cohorts.items() for s in members))
        self.land("reference/ref/ref.fa", ">1\nACGT\n")

    def rows(self, dataset: Dataset, partition: str) -> pl.DataFrame:
        """What a materialization makes."""
        seed = self.seeds.get((dataset.key, partition), 0)
        match dataset.name:
            case "sequencing_runs":
                return self._named(dataset, [{"run_id": run, "state": "ready"} for run in self.runs], seed)
            case "cohorts":
                pairs = [{"cohort_id": c, "sample_id": s} for c, members in self.cohorts.items() for s in members]
                return self._named(dataset, pairs, seed)
            case "fastq_manifest":
                told = [{"run_id": partition, "sample_id": s, "path": f"{s}.fastq.gz"} for s in self.runs[partition]]
                return self._named(dataset, told, seed)
            case _:
                made = make_frame(dataset, 2, partition, seed)
                # What is aligned names the one reference there is.
                cut = dataset.partition.column if dataset.partition else ""
                named = "reference" in dataset.names and cut != "reference"
                return made.with_columns(reference=pl.lit("ref")) if named else made

    def _named(self, dataset: Dataset, named: Sequence[Mapping[str, str]], seed: int) -> pl.DataFrame:
        if not named:
            return arrow.empty(dataset)
        names = pl.DataFrame(named)
        made = make_frame(dataset, len(named), None, seed)
        none = {"reference": None} if dataset.name == "fastq_manifest" else {}
        return made.with_columns(*names.get_columns(), **none).cast(made.schema)  # pyright: ignore[reportArgumentType]

    def make(self, key: str, partition: str = "", seed: int | None = None) -> Published:
        """Materialize one partition."""
        dataset = DATASETS[key]
        if seed is not None:
            self.seeds[key, partition] = seed
        resolved = Inputs(self.lake).resolve(dataset, partition)
        assert not resolved.missing, f"{key} [{partition}] was asked for without {resolved.missing}"
        made = {partition: Made(inputs=resolved.inputs, fingerprint=resolved.fingerprint)}
        return put(self.lake, dataset, self.rows(dataset, partition), made)

    def register(self) -> None:
        """What sensors do first: add partition keys that are new."""
        inputs = Inputs(self.lake)
        for name, partition in definitions().items():
            known = self.registered.setdefault(name, [])
            known += [p for p in inputs.partitions(partition) if p not in known]

    def plan(self) -> list[Request]:
        """What the sensors would ask for."""
        self.register()
        return plan(self.lake, lambda name: self.registered[name], self.failed.__contains__)

    def run(self, request: Request) -> None:
        """Do what was asked for."""
        for key in request.assets:
            for partition in request.partitions:
                self.make(key, partition)

    def settle(self) -> list[Request]:
        """Plan and run until nothing is asked for; all requests in order."""
        done: list[Request] = []
        for _ in range(30):
            requests = [r for r in self.plan() if r.run_key not in self.failed]
            if not requests:
                return done
            for request in requests:
                self.run(request)
            done += requests
        raise AssertionError("the plan never comes to rest")


@pytest.fixture
def graph(lake: Lake) -> Graph:
    """What has landed: one run of two samples, one cohort of both, one reference."""
    found = Graph(lake, runs={"run1": ["A", "B"]}, cohorts={"fam": ["A", "B"]})
    found.deliver()
    return found


@pytest.fixture(scope="session")
def _settled(tmp_path_factory: pytest.TempPathFactory) -> Graph:
    home = tmp_path_factory.mktemp("settled")
    runs, cohorts = {"run1": ["A", "B"], "run2": ["C"]}, {"fam": ["A", "B"], "solo": ["C"]}
    found = Graph(Lake(Settings(home=home)), runs=runs, cohorts=cohorts)
    found.deliver()
    found.settle()
    return found


@pytest.fixture
def settled(_settled: Graph, settings: Settings) -> Graph:
    """A copy of a graph in which two runs and two cohorts are made to the end; nothing is due."""
    shutil.copytree(_settled.lake.settings.home, settings.home)
    return replace(deepcopy(replace(_settled, lake=None)), lake=Lake(settings))


# ---------------------------------------------------------------- an object store

AZURITE = (
    Path(__file__).parents[1] / ".tools" / "azurite" / "node_modules" / "azurite" / "dist" / "src" / "blob" / "main.js"
)
ACCOUNT, KEY = (
    "devstoreaccount1",
    "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw==",
)
"""Azurite's well-known account."""


@dataclass
class Azure:
    """Azure's storage emulator; each test takes a container of its own."""

    endpoint: str
    made: Iterator[int] = field(default_factory=count)

    @property
    def connection(self) -> str:
        """The connection string."""
        return f"AccountName={ACCOUNT};AccountKey={KEY};BlobEndpoint={self.endpoint}"

    def container(self) -> str:
        """The name of a new container (Put Container, signed with Shared Key)."""
        name = f"test{next(self.made)}"
        now, version, at = formatdate(usegmt=True), "2021-08-06", f"/{ACCOUNT}/{name}"
        signed = "PUT" + "\n" * 12 + f"x-ms-date:{now}\nx-ms-version:{version}\n/{ACCOUNT}{at}\nrestype:container"
        mac = b64encode(hmac.digest(b64decode(KEY), signed.encode(), "sha256")).decode()
        headers = {"x-ms-date": now, "x-ms-version": version, "Authorization": f"SharedKey {ACCOUNT}:{mac}"}
        asked = urllib.request.Request(f"{self.endpoint}/{name}?restype=container", method="PUT", headers=headers)
        urllib.request.urlopen(asked).close()
        return name

    def environ(self, home: Path, container: str) -> dict[str, str]:
        """Settings that put every area into a container."""
        areas = ("landing", "lake", "files", "ledger", "quarantine")
        urls = {f"LSDATA_{area.upper()}_URL": f"az://{container}/{area}" for area in areas}
        return {"LSDATA_HOME": str(home), "AZURE_STORAGE_CONNECTION_STRING": self.connection, **urls}


@pytest.fixture(scope="session")
def azure() -> Iterator[Azure]:
    """A running emulator."""
    if not AZURITE.exists():
        pytest.skip("Azurite is not installed: run `make setup`")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    node = Path(sys.executable).with_name("node")
    options = [
        "--blobPort",
        str(port),
        "--inMemoryPersistence",
        "--disableTelemetry",
        "--silent",
        "--skipApiVersionCheck",
    ]
    with subprocess.Popen([node, AZURITE, *options], stdout=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            try:
                socket.create_connection(("127.0.0.1", port)).close()
                break
            except OSError:
                time.sleep(0.05)
        yield Azure(f"http://127.0.0.1:{port}/{ACCOUNT}")
        process.terminate()
