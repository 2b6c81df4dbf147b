"""Where things are and how they run: one frozen value read from `LSDATA_*` variables."""

import getpass
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, TypeVar, cast, get_args
from urllib.parse import urlsplit
from urllib.request import url2pathname

from lsdata.errors import SettingError

Area = Literal["landing", "lake", "files", "vault", "ledger", "reports", "quarantine"]
SqlEngine = Literal["duckdb", "spark"]
ComputePlace = Literal["local", "batch", "wdl"]
Aligner = Literal["bwa"]
Caller = Literal["gatk"]
"""What is installed: DRAGEN, Sentieon and DeepVariant need a server, a licence or a container runtime."""
KeyProviderName = Literal["file", "azure"]
_Choice = TypeVar("_Choice", bound=str)


def _one_of(environ: Mapping[str, str], name: str, allowed: tuple[_Choice, ...]) -> _Choice:
    value = environ.get(name) or allowed[0]
    if value not in allowed:
        raise SettingError(name, found=repr(value), allowed=", ".join(allowed), do="Set one of them, or unset it.")
    return cast("_Choice", value)


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise SettingError(
            "LSDATA_OPERATOR", found="not set, and this user has no name", allowed="who is accountable", do="Set it."
        ) from error


def local_path(url: str) -> Path:
    """The path of a `file://` URL or of a plain path.

    Raises:
        SettingError: the URL is of another scheme.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("", "file"):
        raise SettingError(url, found=f"scheme {parts.scheme}", allowed="file:// here", do="Use a local place.")
    return Path(url2pathname(parts.path)) if parts.scheme else Path(url)


@dataclass(frozen=True, kw_only=True)
class Settings:
    """All settings of a process. `Settings.read()` takes them from the environment.

    Args:
        home: folder of everything that has no place of its own.
        urls: place of an area, `area` or `area_region`, where it is not below home.
        engine: SQL engine of set-based steps.
        compute: where `Job`s run.
        reference: reference genome used where a run names none.
        operator: who is accountable for what is published.
        reason: why it is published.
        cores: processor cores a tool may use.
        site_url: where the auditor's site is served, for links in the UI.
        aligner, caller: which alternative `Job` aligns and calls.
        witness, keys: file of the newest tree head, folder of private keys; below home by default.
        tools: folder of GATK and the JVM jars.
        key_provider: who keeps the keys of the vault.
        vault_keys: folder of the vault's keys where they are files; below home by default.
        key_vault_url: Azure Key Vault where they are there.
    """

    home: Path
    urls: Mapping[str, str] = field(default_factory=dict[str, str])
    engine: SqlEngine = "duckdb"
    compute: ComputePlace = "local"
    reference: str | None = None
    operator: str = "unknown"
    reason: str = "scheduled processing"
    cores: int = 1
    site_url: str = "http://127.0.0.1:3001"
    aligner: Aligner = "bwa"
    caller: Caller = "gatk"
    witness: Path | None = None
    keys: Path | None = None
    key_provider: KeyProviderName = "file"
    vault_keys: Path | None = None
    key_vault_url: str | None = None
    tools: Path = field(default_factory=lambda: Path(__file__).resolve().parents[1] / ".tools")

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """The settings of this environment.

        Raises:
            SettingError: a variable has a value that cannot be used.
        """
        place = re.compile(rf"LSDATA_({'|'.join(get_args(Area)).upper()})_URL(_[A-Z0-9]+)?")
        urls = {
            f"{match[1]}{match[2] or ''}".lower(): value
            for name, value in environ.items()
            if value and (match := place.fullmatch(name))
        }
        urls = {area: url if urlsplit(url).scheme else Path(url).resolve().as_uri() for area, url in urls.items()}
        cores = environ.get("LSDATA_CORES") or str(os.cpu_count() or 1)
        if not re.fullmatch("[1-9][0-9]*", cores):
            raise SettingError("LSDATA_CORES", found=repr(cores), allowed="1 or more", do="Set a whole number.")
        paths = {
            name: Path(value).resolve()
            for name in ("witness", "keys", "vault_keys", "tools")
            if (value := environ.get(f"LSDATA_{name.upper()}"))
        }
        return cls(
            home=Path(environ.get("LSDATA_HOME") or ".lsdata").resolve(),
            urls=urls,
            engine=_one_of(environ, "LSDATA_ENGINE", get_args(SqlEngine)),
            compute=_one_of(environ, "LSDATA_COMPUTE", get_args(ComputePlace)),
            reference=environ.get("LSDATA_REFERENCE") or None,
            operator=environ.get("LSDATA_OPERATOR") or _user(),
            reason=environ.get("LSDATA_REASON") or "scheduled processing",
            cores=int(cores),
            site_url=(environ.get("LSDATA_SITE_URL") or "http://127.0.0.1:3001").rstrip("/"),
            aligner=_one_of(environ, "LSDATA_ALIGNER", get_args(Aligner)),
            caller=_one_of(environ, "LSDATA_CALLER", get_args(Caller)),
            key_provider=_one_of(environ, "LSDATA_KEY_PROVIDER", get_args(KeyProviderName)),
            key_vault_url=environ.get("LSDATA_KEY_VAULT_URL") or None,
            **paths,
        )

    def url(self, area: Area, region: str | None = None) -> str:
        """The URL of an area, in a region where data of that region has a place of its own.

        Raises:
            SettingError: a region is asked for that has no place: its data may not lie elsewhere.
        """
        if region:
            if url := self.urls.get(f"{area}_{region.lower()}"):
                return url.rstrip("/")
            raise SettingError(
                f"LSDATA_{area.upper()}_URL_{region.upper()}",
                found="not set",
                allowed=f"the place of data pinned to {region}",
                do="Set it.",
            )
        return (self.urls.get(area) or (self.home / area).as_uri()).rstrip("/")

    def path(self, area: Area) -> Path:
        """The local folder of an area.

        Raises:
            SettingError: the area is not on a local disk.
        """
        return local_path(self.url(area))

    @property
    def key_folder(self) -> Path:
        """Where private keys are: never below the ledger."""
        return self.keys or self.home / "keys"

    @property
    def vault_key_folder(self) -> Path:
        """Where the vault's keys are as files: never in the vault."""
        return self.vault_keys or self.home / "vault_keys"

    @property
    def witness_file(self) -> Path:
        """The newest signed tree head, kept apart from the ledger."""
        return self.witness or self.home / "witness" / "head.json"

    @property
    def scratch(self) -> Path:
        """Temporary space of tools."""
        return self.home / "scratch"
