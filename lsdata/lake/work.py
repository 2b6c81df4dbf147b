"""What a function that reads landing files or runs tools is given, and what it gives back."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import polars as pl

from lsdata.compute import Job, JobResult, Runner
from lsdata.lake.lake import Act, Lake, Staging
from lsdata.lake.landing import Landed, LandingZone
from lsdata.lake.quarantine import Reject
from lsdata.settings import Settings


class Markdown(str):
    """Text that is markdown."""

    __slots__ = ()


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What was made for one partition.

    Args:
        rows: exactly the declared columns.
        files: names of the files to publish, below the work's destination.
        landed: landing files that were used: path below the landing zone to SHA-256.
        rejects: input that was refused; it goes to quarantine.
        notes: what a person may want to see beside the result: markdown or numbers by name.
    """

    rows: pl.DataFrame
    files: tuple[str, ...] = ()
    landed: Mapping[str, str] = field(default_factory=dict[str, str])
    rejects: tuple[Reject, ...] = ()
    notes: Mapping[str, str | float] = field(default_factory=dict[str, "str | float"])


@dataclass(frozen=True, kw_only=True)
class Work:
    """One partition's work: input, place for files, how tools run, who does it and why, who hears of progress."""

    partition: str
    lake: Lake
    staging: Staging
    runner: Runner
    landing: LandingZone
    landed: tuple[Landed, ...]
    act: Act
    log: Callable[[str], None]

    @property
    def settings(self) -> Settings:
        """The settings of this process."""
        return self.lake.settings

    @property
    def destination(self) -> Path:
        """Folder of the files to publish."""
        return self.staging.folder(self.partition)

    def run(self, job: Job) -> JobResult:
        """Run a tool; its outputs lie in `destination` afterwards."""
        result = self.runner.run(job, self.destination.as_uri(), self.log)
        versions = ", ".join(f"{tool} {version}" for tool, version in result.tool_versions.items())
        self.log(
            f"{job.name}: {result.wall_seconds:.1f} s, {result.cpu_seconds:.1f} CPU-s, "
            f"peak {result.peak_memory_bytes / 2**20:.0f} MiB ({versions})"
        )
        return result

    def file(self, key: str, partition: str, name: str) -> Path:
        """A published file of an upstream dataset."""
        return self.lake.file(key, partition, name)
