"""Every error this library raises on purpose.

A message has four parts: where, what was found, what is allowed, what to do. It never holds a value of a PHI
column: counts, column names and partition keys only.
"""

from collections.abc import Iterable
from pathlib import Path


class LsdataError(Exception):
    """Base of all errors of this library.

    Args:
        where: the dataset, file or setting at fault.
        found: what was there.
        allowed: what may be there.
        do: the next step of the person who reads this.

    >>> print(SettingError("LSDATA_COMPUTE", found="'slurm'", allowed="local, batch or wdl", do="Set one of them."))
    LSDATA_COMPUTE: 'slurm'; allowed: local, batch or wdl. Set one of them.
    """

    def __init__(self, where: str, *, found: str, allowed: str, do: str):
        self.where, self.found, self.allowed, self.do = where, found, allowed, do
        super().__init__(where, found, allowed, do)

    def __str__(self) -> str:
        return f"{self.where}: {self.found}; allowed: {self.allowed}. {self.do}"

    def __reduce__(self):
        # Workers of a pool or of Spark send it home: the arguments have names, which pickle does not know of.
        return _unpickled, (type(self), self.args, self.__dict__)


def _unpickled(kind: type[LsdataError], args: tuple[str, ...], state: dict[str, object]) -> LsdataError:
    error = kind.__new__(kind, *args)
    error.__dict__.update(state)
    return error


class DeclarationError(LsdataError):
    """A dataset is declared in a way that cannot hold."""


class SettingError(LsdataError):
    """A setting has a value that cannot be used."""


class SchemaMismatch(LsdataError):
    """A frame is not the declared one. Lists every discrepancy, not the first."""


class UnsupportedTable(LsdataError):
    """A Delta table uses a feature that would be read wrongly (column mapping) or not at all."""


class MissingData(LsdataError):
    """A table, partition or file that is needed has not been published."""


class InvalidInput(LsdataError):
    """Delivered data that cannot be used. `code` is the short reason a row or file is quarantined under.

    `files` are the originals at fault, which quarantine keeps; None where that is not said (see
    `lsdata.lake.quarantine.originals`).
    """

    def __init__(
        self, where: str, *, code: str, found: str, allowed: str, do: str, files: Iterable[Path] | None = None
    ):
        super().__init__(where, found=found, allowed=allowed, do=do)
        self.code = code
        self.files = None if files is None else tuple(files)


class ChecksFailed(LsdataError):
    """A blocking check failed on staged data; the published version is untouched."""


class JobFailed(LsdataError):
    """An external tool did not finish. `passing` says that a retry may help (killed, out of memory, lost I/O)."""

    def __init__(self, where: str, *, found: str, allowed: str, do: str, passing: bool = False):
        super().__init__(where, found=found, allowed=allowed, do=do)
        self.passing = passing


class LedgerTampered(LsdataError):
    """The audit ledger does not verify; nothing may be appended to it until a person has looked."""


class PublishConflict(LsdataError):
    """Other writers kept winning the race for a table."""


class VaultTampered(LsdataError):
    """What lies in the vault is not what was written there."""


class KeyDestroyed(LsdataError):
    """The keys of a study were destroyed; who stands behind its pseudonyms cannot be found out, nor linked to."""


class ScrubFailed(LsdataError):
    """Free text was not scrubbed, so nothing of it goes on."""
