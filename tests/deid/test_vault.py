"""The vault: one pseudonym a patient whoever asks, nothing readable without keys, nothing at all without them."""

import json
import os
import re
import subprocess
import sys
import types
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st

from lsdata.catalog.twin import PSEUDONYM
from lsdata.deid import keys
from lsdata.deid.vault import MOST_DAYS, Held, Vault
from lsdata.errors import KeyDestroyed, MissingData, SettingError, VaultTampered
from lsdata.lake.lake import Act, Lake
from lsdata.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
ACT = Act(operator="Ada", reason="a test", run_id="run-1", git_commit="c0ffee")
CANARY = "CANARY-7788-Beeblebrox"


@pytest.fixture
def vault(lake: Lake) -> Vault:
    return Vault.of(lake)


def people(*names: str | None) -> pl.Series:
    return pl.Series(names, dtype=pl.String)


def mapping(frame: pl.DataFrame) -> dict[str, tuple[Any, ...]]:
    return {row[0]: row[1:] for row in frame.iter_rows()}


def actions(lake: Lake) -> list[str]:
    return [entry.action for _, entry in lake.ledger.entries()]


# ---------------------------------------------------------------- one mapping


def test_a_patient_keeps_pseudonym_and_offset_across_runs_and_deliveries(vault: Vault) -> None:
    first = mapping(vault.open("S1", ACT).patients(people("a", "b", None, "a")))
    second = mapping(vault.open("S1", ACT).patients(people("c", "b")))
    assert set(first) == {"a", "b"}
    assert second["b"] == first["b"]
    assert mapping(vault.open("S1", ACT).patients(people("a", "b", "c"))) == first | second


def test_studies_do_not_link(vault: Vault) -> None:
    one, other = (mapping(vault.open(study, ACT).patients(people("a")))["a"] for study in ("S1", "S2"))
    assert one[0] != other[0]


def test_pseudonyms_are_distinct_and_offsets_are_never_zero(vault: Vault) -> None:
    made = vault.open("S1", ACT).patients(pl.Series([str(n) for n in range(5_000)]))
    assert made["pseudonym"].n_unique() == 5_000
    assert made["pseudonym"].str.contains(f"^{PSEUDONYM}$").all()
    days = made["offset_days"]
    assert (days.min(), days.max()) >= (-MOST_DAYS, 1)
    assert days.abs().is_between(1, MOST_DAYS).all()
    # 5,000 draws of 730 values: all but a few occur, and on both sides of zero alike.
    assert days.n_unique() > 700
    assert 0.45 < (days > 0).mean() < 0.55  # type: ignore[operator]


def test_pseudonyms_are_not_derived_from_the_identifier(tmp_path: Path) -> None:
    """45 CFR 164.514(c)(1): two vaults with the same patients share nothing."""
    made = [
        mapping(Vault.of(Lake(Settings(home=tmp_path / name))).open("S1", ACT).patients(people("a", "b", "c")))
        for name in ("one", "other")
    ]
    assert not {p for p, _ in made[0].values()} & {p for p, _ in made[1].values()}


def test_equal_values_of_two_kinds_get_different_codes(vault: Vault) -> None:
    opened = vault.open("S1", ACT)
    codes = {
        opened.tokens("claim_id", people("7"))["pseudonym"].item(),
        opened.tokens("account", people("7"))["pseudonym"].item(),
        opened.patients(people("7"))["pseudonym"].item(),
    }
    assert len(codes) == 3
    assert vault.open("S1", ACT).tokens("claim_id", people("7"))["pseudonym"].item() in codes


@given(batches=st.lists(st.lists(st.text(max_size=4), max_size=6), max_size=5))
@hypothesis_settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_order_of_deliveries_gives_one_mapping(batches: list[list[str]], tmp_path_factory: Any) -> None:
    vault = Vault.of(Lake(Settings(home=tmp_path_factory.mktemp("home"))))
    opened, seen = vault.open("S1", ACT), dict[str, tuple[Any, ...]]()
    for batch in batches:
        made = mapping(opened.patients(people(*batch)))
        assert set(made) == set(batch)
        assert all(seen.setdefault(name, told) == told for name, told in made.items())
    assert mapping(vault.open("S1", ACT).patients(people(*seen))) == seen
    assert len({p for p, _ in seen.values()}) == len(seen)


# ---------------------------------------------------------------- several at once, and crashes

_WORKER = """
import json, os, signal, sys
import polars as pl
from lsdata.deid import keys, vault
from lsdata.lake.lake import Act, Lake
from lsdata.settings import Settings
home, names, die = sys.argv[1], json.loads(sys.argv[2]), sys.argv[3]
if die:
    create, calls = keys.create, []
    def dying(path, data):
        calls.append(path)
        here = len(calls) == int(die.split()[1])
        if here and die.startswith("before"):
            path.parent.mkdir(parents=True, exist_ok=True)
            path.with_name(path.name + ".tmp").write_bytes(data[: len(data) // 2])
            os.kill(os.getpid(), signal.SIGKILL)
        made = create(path, data)
        if here:
            os.kill(os.getpid(), signal.SIGKILL)
        return made
    keys.create = vault.create = dying
opened = vault.Vault.of(Lake(Settings.read({"LSDATA_HOME": home, "LSDATA_OPERATOR": "Ada"}))).open(
    "S1", Act(operator="Ada", reason="a test"))
made = {}
for name in names:
    for row in opened.patients(pl.Series([name, "shared"])).iter_rows():
        made[row[0]] = row[1:]
print(json.dumps(made))
"""


def worker(home: Path, names: list[str], die: str = "") -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-c", _WORKER, str(home), json.dumps(names), die],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=ROOT,
    )  # fmt: skip


def test_concurrent_processes_give_no_patient_two_pseudonyms(settings: Settings) -> None:
    """The first use of a study included: keys are made by all of them at once."""
    names = [f"p{n}" for n in range(12)]
    running = [worker(settings.home, names if n % 2 else names[::-1]) for n in range(4)]
    made = [json.loads(process.communicate()[0]) for process in running]
    assert made[0] == made[1] == made[2] == made[3]
    assert len({p for p, _ in made[0].values()}) == 13
    # Processes that knew nothing of each other took turns on one row of batches, each patient once.
    held = Vault.of(Lake(settings)).studies()
    assert held == [Held(study="S1", patients=13, pseudonyms=13, destroyed=None)]


def test_threads_give_no_patient_two_pseudonyms(vault: Vault) -> None:
    names = [f"p{n}" for n in range(10)]

    def ask(_: int) -> dict[str, tuple[Any, ...]]:
        return mapping(vault.open("S1", ACT).patients(people(*names)))

    with ThreadPoolExecutor(6) as pool:
        made = list(pool.map(ask, range(6)))
    assert all(one == made[0] for one in made)


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("call", [1, 2, 3, 4], ids=["key", "wrapped key", "pseudonyms", "offsets"])
def test_a_killed_process_leaves_whole_batches_or_none(when: str, call: int, settings: Settings) -> None:
    dead = worker(settings.home, ["a"], f"{when} {call}")
    dead.communicate()
    assert dead.returncode == -9
    first = json.loads(worker(settings.home, ["a", "b"]).communicate()[0])
    assert json.loads(worker(settings.home, ["b", "a"]).communicate()[0]) == first
    assert len({p for p, _ in first.values()}) == 3


# ---------------------------------------------------------------- at rest


def everything_below(*folders: Path) -> bytes:
    return b"\n".join(
        str(path).encode() + path.read_bytes() for folder in folders for path in folder.rglob("*") if path.is_file()
    )


def test_nothing_at_rest_shows_an_identifier_or_a_pseudonym(vault: Vault, settings: Settings) -> None:
    opened = vault.open("S1", ACT)
    told = opened.patients(people(CANARY)).row(0)
    code = opened.tokens("claim_id", people(CANARY + "x"))["pseudonym"].item()
    found = everything_below(settings.home)
    for secret in (CANARY, told[1], code):
        assert secret.encode() not in found


def test_keys_are_private_and_lie_outside_the_vault(vault: Vault, settings: Settings) -> None:
    vault.open("S1", ACT).patients(people("a"))
    (key,) = settings.vault_key_folder.iterdir()
    assert key.stat().st_mode & 0o077 == 0
    assert not settings.vault_key_folder.is_relative_to(settings.path("vault"))
    for path in settings.path("vault").rglob("*"):
        assert not path.is_file() or key.read_bytes() not in path.read_bytes()


@pytest.mark.parametrize("folder", ["home/vault", "home/vault/keys", "home", "."])
def test_keys_in_one_folder_with_the_vault_are_refused(folder: str, tmp_path: Path) -> None:
    place = Settings(home=tmp_path / "home", vault_keys=tmp_path / folder)
    with pytest.raises(SettingError, match="LSDATA_VAULT_KEYS"):
        Vault.of(Lake(place))


def test_any_changed_byte_is_noticed(vault: Vault, settings: Settings) -> None:
    vault.open("S1", ACT).patients(people("a", "b"))
    for path in sorted(settings.path("vault").rglob("*")):
        if not path.is_file():
            continue
        data = path.read_bytes()
        for at in (0, len(data) // 2, len(data) - 1):
            path.write_bytes(data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :])
            with pytest.raises(VaultTampered):
                vault.open("S1", ACT).patients(people("a"))
        path.write_bytes(data[:5])
        with pytest.raises(VaultTampered):
            vault.open("S1", ACT).patients(people("a"))
        path.write_bytes(data)
    assert vault.open("S1", ACT).patients(people("a", "b")).height == 2


@pytest.mark.parametrize("table", ["pseudonyms", "date_offsets"])
def test_a_missing_batch_is_refused_not_filled(table: str, vault: Vault, settings: Settings) -> None:
    """A patient of the missing batch would get a second pseudonym."""
    for name in "abc":
        vault.open("S1", ACT).patients(people(name))
    (settings.path("vault") / "deid" / table / "S1" / f"{1:012d}").unlink()
    with pytest.raises(VaultTampered, match="batch 1 is missing"):
        vault.open("S1", ACT).patients(people("a"))


def test_batches_of_another_study_or_place_are_refused(vault: Vault, settings: Settings) -> None:
    for study in ("S1", "S2"):
        vault.open(study, ACT).patients(people("a"))
    place = settings.path("vault") / "deid" / "pseudonyms"
    original = (place / "S1" / f"{0:012d}").read_bytes()
    (place / "S1" / f"{0:012d}").write_bytes((place / "S2" / f"{0:012d}").read_bytes())
    with pytest.raises(VaultTampered):
        vault.open("S1", ACT).patients(people("a"))
    (place / "S1" / f"{0:012d}").write_bytes(original)
    (place / "S1" / f"{1:012d}").write_bytes(original)
    with pytest.raises(VaultTampered, match="says it is another"):
        vault.open("S1", ACT).patients(people("a"))


def test_a_vault_without_its_wrapped_key_is_refused(vault: Vault, settings: Settings) -> None:
    vault.open("S1", ACT).patients(people("a"))
    (settings.path("vault") / "deid" / "keys" / "S1.wrapped").unlink()
    with pytest.raises(VaultTampered, match="wrapped key"):
        vault.open("S1", ACT)


@pytest.mark.parametrize("study", ["", ".", "..", "../x", "a/b", "a\n", "x" * 64, "S1.tmp", "Zoë", ".hidden"])
def test_a_name_that_is_no_file_name_everywhere_is_refused(study: str, vault: Vault) -> None:
    with pytest.raises(SettingError):
        vault.open(study, ACT)
    with pytest.raises(SettingError):
        vault.destroy(study, ACT)


# ---------------------------------------------------------------- audit and destruction


def test_reading_is_recorded_before_anything_is_read(vault: Vault, lake: Lake, monkeypatch: pytest.MonkeyPatch) -> None:
    vault.open("S1", ACT).patients(people(CANARY))
    ((_, entry),) = lake.ledger.entries()
    assert (entry.action, entry.subject, entry.actor, entry.reason) == ("vault_read", "vault/deid/S1", "Ada", "a test")
    assert entry.detail["run_id"] == "run-1"
    assert lake.ledger.verify().ok

    def broken(_: object) -> int:
        raise OSError("no ledger")

    monkeypatch.setattr(lake.ledger, "append", broken)
    monkeypatch.setattr(keys.FileKeys, "unwrap", lambda *_: pytest.fail("read without a record"))
    with pytest.raises(OSError, match="no ledger"):
        vault.open("S1", ACT)


def test_destroyed_keys_leave_nothing_to_link_with(vault: Vault, lake: Lake, settings: Settings) -> None:
    opened = vault.open("S1", ACT)
    before = mapping(opened.patients(people("a")))
    (key,) = settings.vault_key_folder.iterdir()
    wrapped = settings.path("vault") / "deid" / "keys" / "S1.wrapped"
    secrets = [key.read_bytes(), wrapped.read_bytes()]
    other = mapping(vault.open("S2", ACT).patients(people("a")))

    vault.destroy("S1", replace(ACT, reason="the study is over"))
    left = everything_below(settings.home)
    assert not any(secret in left for secret in secrets)
    assert not key.exists()
    assert not wrapped.exists()
    for ask in (lambda: vault.open("S1", ACT), lambda: opened.patients(people("a", "new"))):
        with pytest.raises(KeyDestroyed, match="keys destroyed at"):
            ask()
    (held, _) = vault.studies()
    assert held.destroyed
    assert held.patients == 1

    (entry,) = [e for _, e in lake.ledger.entries() if e.action == "destroy_key"]
    assert (entry.subject, entry.reason, entry.actor) == ("vault/deid/S1", "the study is over", "Ada")
    assert lake.ledger.verify().ok
    assert mapping(vault.open("S2", ACT).patients(people("a"))) == other
    assert mapping(vault.open("S1b", ACT).patients(people("a")))["a"][0] != before["a"][0]


@pytest.mark.parametrize("restored", ["vault", "keys"])
def test_a_backup_of_one_side_brings_nothing_back(restored: str, vault: Vault, settings: Settings) -> None:
    vault.open("S1", ACT).patients(people("a"))
    folder = {"vault": settings.path("vault") / "deid" / "keys", "keys": settings.vault_key_folder}[restored]
    backup = {path: path.read_bytes() for path in folder.iterdir()}
    vault.destroy("S1", ACT)
    for path in list(folder.iterdir()):
        path.unlink()
    for path, data in backup.items():
        path.write_bytes(data)
    with pytest.raises(KeyDestroyed):
        vault.open("S1", ACT)


@pytest.mark.parametrize("dies_at", ["shred", "destroy", "append", "create"])
def test_a_destruction_that_was_cut_off_is_finished(
    dies_at: str, vault: Vault, lake: Lake, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault.open("S1", ACT).patients(people("a"))
    calls: list[str] = []

    def cut(name: str, real: Callable[..., Any], nth: int = 1) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            calls.append(name)
            if calls.count(name) == nth:
                raise SystemExit("killed")
            return real(*args)

        return call

    place, name, nth = {
        "shred": ("lsdata.deid.vault", "shred", 1), "destroy": ("lsdata.deid.keys.FileKeys", "destroy", 1),
        "append": ("lsdata.lake.ledger.Ledger", "append", 1), "create": ("lsdata.deid.vault", "create", 2),
    }[dies_at]  # fmt: skip
    with monkeypatch.context() as patched:
        module, _, attribute = place.rpartition(".")
        owner: Any = sys.modules.get(place) or getattr(sys.modules[module], attribute)
        patched.setattr(owner, name, cut(dies_at, getattr(owner, name), nth))
        with pytest.raises(SystemExit):
            vault.destroy("S1", ACT)
    with pytest.raises(KeyDestroyed):
        Vault.of(Lake(settings)).open("S1", ACT)
    assert not list(settings.vault_key_folder.iterdir())
    assert actions(Lake(settings)).count("destroy_key") == 1
    vault.destroy("S1", ACT)
    assert actions(Lake(settings)).count("destroy_key") == 1


def test_what_is_not_there_cannot_be_destroyed(vault: Vault, lake: Lake) -> None:
    with pytest.raises(MissingData, match="no such study"):
        vault.destroy("S1", ACT)
    assert actions(lake) == []


def test_the_command_line_destroys_shows_and_refuses(vault: Vault, settings: Settings) -> None:
    vault.open("S1", ACT).patients(people(CANARY, "b"))
    environ = {**os.environ, "LSDATA_HOME": str(settings.home), "LSDATA_OPERATOR": "Ada"}

    def run(*command: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [sys.executable, "-m", "lsdata.cli", *command], env=environ, capture_output=True, text=True, check=False,
            cwd=ROOT,
        )  # fmt: skip

    assert run("vault", "show").stdout == "S1: 2 patients, 2 pseudonyms, in use\n"
    assert run("vault", "destroy", "--study", "S1").returncode == 2
    assert run("vault", "destroy", "--study", "S2", "--reason", "x").returncode == 2
    done = run("vault", "destroy", "--study", "S1", "--reason", "withdrawn")
    assert (done.returncode, "destroyed" in done.stdout) == (0, True)
    assert re.fullmatch(r"S1: 2 patients, 2 pseudonyms, keys destroyed \S+\n", run("vault", "show").stdout)
    told = run("ledger", "show", "--subject", "vault/deid/S1").stdout
    assert "withdrawn" in told
    assert CANARY not in told
    assert run("ledger", "verify").returncode == 0


# ---------------------------------------------------------------- Azure Key Vault


def test_azure_without_its_sdk_or_url_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = Settings(home=tmp_path, key_provider="azure")
    with pytest.raises(SettingError, match="LSDATA_KEY_VAULT_URL"):
        Vault.of(Lake(place))
    monkeypatch.setitem(sys.modules, "azure.keyvault.keys.crypto", None)
    vault = Vault.of(Lake(replace(place, key_vault_url="https://x.vault.azure.net")))
    with pytest.raises(SettingError, match="azure-keyvault-keys"):
        vault.open("S1", ACT)


class NotFound(Exception):
    """What the SDK raises where there is no key."""


@pytest.fixture
def azure(monkeypatch: pytest.MonkeyPatch) -> dict[str, bytes]:
    """The SDK's names over a dictionary of keys: what is tested is our use of it, not Azure."""
    held: dict[str, bytes] = {}
    deleted: dict[str, bytes] = {}

    class Key:
        def __init__(self, name: str):
            self.id = f"https://x.vault.azure.net/keys/{name}/1"

    class Client:
        def __init__(self, vault_url: str, credential: object):
            del vault_url, credential

        def get_key(self, name: str) -> Key:
            if name not in held:
                raise NotFound
            return Key(name)

        def create_rsa_key(self, name: str, size: int) -> Key:
            assert size >= 3072
            assert re.fullmatch(r"[0-9A-Za-z-]{1,127}", name)
            held[name] = os.urandom(32)
            return Key(name)

        def begin_delete_key(self, name: str) -> Any:
            if name not in held:
                raise NotFound
            deleted[name] = held.pop(name)
            return types.SimpleNamespace(wait=lambda: None)

        def purge_deleted_key(self, name: str) -> None:
            if name not in deleted:
                raise NotFound
            del deleted[name]

    class Cipher:
        def __init__(self, key: Key | str, credential: object):
            del credential
            self.key_id = key if isinstance(key, str) else key.id
            self._key = held[self.key_id.split("/")[-2]]

        def wrap_key(self, algorithm: str, key: bytes) -> Any:
            return types.SimpleNamespace(encrypted_key=keys.seal(self._key, key, algorithm.encode()))

        def unwrap_key(self, algorithm: str, encrypted: bytes) -> Any:
            return types.SimpleNamespace(key=keys.unseal(self._key, encrypted, algorithm.encode()))

    for name, values in {
        "azure.identity": {"DefaultAzureCredential": object},
        "azure.keyvault.keys": {"KeyClient": Client},
        "azure.keyvault.keys.crypto": {
            "CryptographyClient": Cipher,
            "KeyWrapAlgorithm": types.SimpleNamespace(rsa_oaep_256="RSA-OAEP-256"),
        },
        "azure.core.exceptions": {"ResourceNotFoundError": NotFound},
    }.items():
        module = types.ModuleType(name)
        vars(module).update(values)
        monkeypatch.setitem(sys.modules, name, module)
    return held


def test_keys_in_azure_wrap_link_and_are_purged(azure: dict[str, bytes], tmp_path: Path) -> None:
    place = Settings(home=tmp_path, key_provider="azure", key_vault_url="https://x.vault.azure.net")
    vault = Vault.of(Lake(place))
    made = mapping(vault.open("S_1.x", ACT).patients(people("a")))
    assert mapping(vault.open("S_1.x", ACT).patients(people("a"))) == made
    assert not place.vault_key_folder.exists()
    vault.destroy("S_1.x", ACT)
    assert azure == {}
    with pytest.raises(KeyDestroyed):
        vault.open("S_1.x", ACT)
