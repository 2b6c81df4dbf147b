"""What a dataset is: one frozen value from which schema, checks, lineage, docs and policy follow.

Nothing here is derived and nothing heavy is imported; `lsdata.derived` holds one file per reader of a declaration.
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Literal

from lsdata.errors import DeclarationError

Type = Literal["string", "int32", "int64", "float64", "bool", "date", "timestamp", "list<string>"]
NUMERIC: frozenset[Type] = frozenset({"int32", "int64", "float64"})


class Layer(StrEnum):
    """How far data has come. Data flows down this list; gold never reads bronze PHI or silver_phi."""

    BRONZE = "bronze"
    SILVER_PHI = "silver_phi"
    SILVER = "silver"
    GOLD = "gold"


class Sensitivity(StrEnum):
    """Who may see the rows."""

    PHI = "phi"  # identifies a person: stewards only
    CODED = "coded"  # a person stands behind a code whose key is kept elsewhere
    DEIDENTIFIED = "deidentified"  # 45 CFR 164.514 applied
    PUBLIC = "public"  # no person stands behind a row


class Phi(StrEnum):
    """Safe Harbor identifier classes, 45 CFR 164.514(b)(2)(i)(A)-(R); NONE for all else."""

    NONE = "none"
    NAME = "name"
    GEOGRAPHY = "geography"
    DATE = "date"
    PHONE = "phone"
    FAX = "fax"
    EMAIL = "email"
    SSN = "ssn"
    MRN = "mrn"
    HEALTH_PLAN = "health_plan"
    ACCOUNT = "account"
    LICENSE = "license"
    VEHICLE = "vehicle"
    DEVICE = "device"
    URL = "url"
    IP = "ip"
    BIOMETRIC = "biometric"
    PHOTO = "photo"
    OTHER_ID = "other_id"
    FREE_TEXT = "free_text"  # may hold any of the above: only a scrubber may pass it on


class Gxp(StrEnum):
    """The good-practice rules a dataset falls under."""

    NONE = "none"
    GCP = "gcp"
    GCLP = "gclp"
    GVP = "gvp"


class Residency(StrEnum):
    """Where rows may lie."""

    ANY = "any"
    PINNED = "pinned"  # a partition stays in the region its study or subject names


class Engine(StrEnum):
    """How a dataset is computed."""

    POLARS = "polars"  # a function of frames
    DBT = "dbt"  # set-based SQL
    TOOL = "tool"  # external programs run as `Job`s, one partition at a time


class Store(StrEnum):
    """Where rows are kept."""

    DELTA = "delta"
    LEDGER = "ledger"


@dataclass(frozen=True, kw_only=True)
class Retention:
    """How long rows are kept, and which rule says so."""

    years: int
    basis: str


@dataclass(frozen=True, kw_only=True)
class Column:
    """One column: what it is called, what it means, what may stand in it.

    Args:
        unit: of a number: UCUM where it has a symbol, else a noun (`count`, `bp`, `1-based position`).
        codelist: all values allowed.
        vocabulary: the outside vocabulary that the values come from.
        source: `layer/domain/dataset.column` of the columns it is derived from. For what is read from a file beside the
            rows of a dataset: the column with its checksum, or with the checksum of what that file was made from.
        constant: what the value follows from if not from data, e.g. the tool that ran; it has no source then.
        minimum, maximum: bounds, inclusive.
        pattern: regular expression the whole value matches (Rust/RE2 syntax).
    """

    name: str
    type: Type
    doc: str
    phi: Phi
    nullable: bool = False
    unit: str | None = None
    codelist: tuple[str, ...] | None = None
    vocabulary: str | None = None
    source: tuple[str, ...] = ()
    constant: str | None = None
    minimum: float | None = None
    maximum: float | None = None
    pattern: str | None = None

    def but(self, **changes: object) -> "Column":
        """The same column with some fields changed: `SAMPLE_ID.but(doc=...)`."""
        return replace(self, **changes)  # pyright: ignore[reportArgumentType] - dataclasses.replace checks the names


@dataclass(frozen=True, kw_only=True)
class Partition:
    """How a dataset is cut: into which partitions definition, by which column, and where the keys come from.

    Args:
        name: of the (Dagster) partitions definition; one in all domains.
        column: the column that holds the key, where it is not called like the definition.
        listed_in: the dataset whose rows name the partitions, by `listed_as`, among rows where `where` holds.
        landing: or the landing folder whose sub-folders are the partitions.
    """

    name: str
    doc: str
    listed_in: str | None = None
    listed_as: str | None = None
    where: tuple[tuple[str, str], ...] = ()
    landing: str | None = None
    column: str = ""

    def __post_init__(self):
        object.__setattr__(self, "column", self.column or self.name)


@dataclass(frozen=True, kw_only=True)
class Upstream:
    """A dataset this one is made from, and which of its rows one partition needs.

    Args:
        key: the upstream dataset.
        by: the upstream's column whose value equals this dataset's partition key; None for all rows.
        through: a membership dataset with this dataset's partition column and `by`: rows whose `by` is a member.
        setting: where the membership names nothing, the setting that does; else the only partition there is.
        required: False where an empty upstream is a normal case.
    """

    key: str
    by: str | None = None
    through: str | None = None
    setting: str | None = None
    required: bool = True


@dataclass(frozen=True, kw_only=True)
class Landing:
    """Files dropped from outside: a glob below the landing zone; `{partition}` stands for the partition key."""

    pattern: str
    doc: str


@dataclass(frozen=True, kw_only=True)
class FileKind:
    """A file kept beside the rows of a partition."""

    name: str  # a glob within the partition's folder
    format: str
    doc: str


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """A fact about the rows beyond what the columns say.

    Args:
        name: snake case, unique in the dataset; the check's name.
        doc: the fact in words.
        rule: SQL boolean expression over one row; rows where it is false violate it.
        blocking: whether a violation stops the publish.
    """

    name: str
    doc: str
    rule: str
    blocking: bool


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """One dataset, declared once.

    Args:
        deidentifies: the dataset is where identifiers are taken away: it reads PHI and has none.

    Raises:
        DeclarationError: what is declared cannot hold; every fault is listed.
    """

    key: str
    doc: str
    grain: str
    columns: tuple[Column, ...]
    primary_key: tuple[str, ...]
    sensitivity: Sensitivity
    gxp: Gxp
    retention: Retention
    residency: Residency
    owner: str
    engine: Engine
    partition: Partition | None = None
    upstream: tuple[Upstream, ...] = ()
    landing: tuple[Landing, ...] = ()
    files: tuple[FileKind, ...] = ()
    expectations: tuple[Expectation, ...] = ()
    pool: str | None = None
    kinds: tuple[str, ...] = ()
    store: Store = Store.DELTA
    deidentified_at_source: str | None = None
    deidentifies: bool = False
    _by_name: Mapping[str, Column] = field(init=False, repr=False, compare=False)

    def __post_init__(self):
        object.__setattr__(self, "_by_name", {c.name: c for c in self.columns})
        if faults := list(self._faults()):
            raise DeclarationError(
                self.key,
                found="; ".join(faults),
                allowed="see lsdata.catalog.declaration",
                do="Correct the declaration.",
            )

    def _faults(self) -> Iterator[str]:
        parts = self.key.split("/")
        if len(parts) != 3 or parts[0] not in set(Layer):
            yield f"key is not layer/domain/dataset with a layer of {', '.join(Layer)}"
        if len(self._by_name) != len(self.columns):
            yield "a column name occurs twice"
        if not self.primary_key:
            yield "no primary key"
        for missing in [k for k in self.primary_key if k not in self._by_name]:
            yield f"primary key {missing} is not a column"
        for name in ("doc", "grain", "owner"):
            if not str(getattr(self, name)).strip():
                yield f"no {name}"
        names = [e.name for e in self.expectations]
        for name in {n for n in names if names.count(n) > 1 or n == "primary_key" or n.startswith("column_")}:
            yield f"expectation {name} has the name of another check"
        for column in self.columns:
            if not column.doc:
                yield f"{column.name} has no meaning (doc)"
            if column.type in NUMERIC and not column.unit:
                yield f"{column.name} is a number without a unit"
            if column.name in self.primary_key and column.nullable:
                yield f"{column.name} is in the primary key and nullable"
            yield from _column_faults(column)
        if self.partition and self.partition.column not in self._by_name:
            yield f"partition column {self.partition.column} is not a column"
        elif self.partition and self._by_name[self.partition.column].nullable:
            yield f"partition column {self.partition.column} is nullable"
        identifying = [c.name for c in self.columns if c.phi is not Phi.NONE]
        if identifying and self.sensitivity is not Sensitivity.PHI:
            yield f"PHI columns {', '.join(identifying)} in a dataset declared {self.sensitivity}"
        if self.sensitivity is Sensitivity.PHI and self.layer not in (Layer.BRONZE, Layer.SILVER_PHI):
            yield f"PHI in layer {self.layer}"

    @property
    def layer(self) -> Layer:
        """The first word of the key."""
        return Layer(self.key.split("/")[0])

    @property
    def domain(self) -> str:
        """The second word of the key."""
        return self.key.split("/")[1]

    @property
    def name(self) -> str:
        """The last word of the key: also the dbt model's and the asset function's name."""
        return self.key.split("/")[2]

    @property
    def names(self) -> tuple[str, ...]:
        """The column names, in order."""
        return tuple(c.name for c in self.columns)

    def column(self, name: str) -> Column:
        """The column of this name.

        Raises:
            DeclarationError: there is none.
        """
        if name not in self._by_name:
            raise DeclarationError(
                self.key, found=f"column {name}", allowed=", ".join(self.names), do="Declare it or name another."
            )
        return self._by_name[name]


def _column_faults(column: Column) -> Iterator[str]:
    bounds = [b for b in (column.minimum, column.maximum) if b is not None]
    if bounds and column.type not in NUMERIC:
        yield f"{column.name} has bounds and is no number"
    if bounds != sorted(bounds):
        yield f"{column.name} has its minimum above its maximum"
    if (column.codelist or column.pattern) and column.type != "string":
        yield f"{column.name} has a codelist or a pattern and is no text"
    if column.constant and column.source:
        yield f"{column.name} is constant and has a source"
    try:
        re.compile(column.pattern or "")
    except re.error:
        yield f"{column.name} has a pattern that is no regular expression"
