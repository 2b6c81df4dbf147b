"""Key providers: who keeps the keys that wrap the vault's data keys, one key-encryption key a study.

A provider is never asked for a key, only to wrap, unwrap and destroy; so keys in a hardware module stay there. Both
sides of a study's encryption are destroyed with it: the wrapped data key in the vault, and the key that wrapped it.
Either suffices, so a backup of one of the two places brings nothing back.
"""

import importlib
import os
import secrets
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lsdata.errors import KeyDestroyed, SettingError, VaultTampered
from lsdata.settings import Settings

_NONCE_BYTES = 12
"""96 bits, drawn at random: NIST SP 800-38D section 8.2.2."""


class KeyProvider(Protocol):
    """Wraps data keys under a key of the study's own."""

    def wrap(self, study: str, key: bytes) -> bytes:
        """The data key, readable only through `unwrap`; makes the study's key when there is none."""
        ...

    def unwrap(self, study: str, wrapped: bytes) -> bytes:
        """The data key.

        Raises:
            KeyDestroyed: the study's key is gone.
            VaultTampered: not what `wrap` gave for this study.
        """
        ...

    def destroy(self, study: str) -> None:
        """Destroy the study's key for good; nothing happens when it is gone."""
        ...


def seal(key: bytes, data: bytes, context: bytes) -> bytes:
    """Encrypt and authenticate: nonce, then AES-256-GCM of the data bound to its context (NIST SP 800-38D)."""
    nonce = secrets.token_bytes(_NONCE_BYTES)
    return nonce + AESGCM(key).encrypt(nonce, data, context)


def unseal(key: bytes, sealed: bytes, context: bytes) -> bytes:
    """What was sealed with this key in this context.

    Raises:
        VaultTampered: another key or context, or changed bytes.
    """
    try:
        return AESGCM(key).decrypt(sealed[:_NONCE_BYTES], sealed[_NONCE_BYTES:], context)
    except (InvalidTag, ValueError):
        raise VaultTampered(
            context.decode(errors="replace"),
            found="bytes that this key did not encrypt here",
            allowed="what the vault has written",
            do="Restore the vault and its keys from one backup, and find out who changed what.",
        ) from None


def shred(path: Path) -> None:
    """Overwrite a file with random bytes, then delete it; nothing happens when it is gone.

    Disks that write elsewhere (SSD, copy-on-write, snapshots, backups) may keep the old bytes; see the documentation.
    """
    try:
        with path.open("r+b") as file:
            file.write(secrets.token_bytes(path.stat().st_size))
            file.flush()
            os.fsync(file.fileno())
    except FileNotFoundError:
        return
    path.unlink(missing_ok=True)
    sync_folder(path.parent)


def create(path: Path, data: bytes) -> bool:
    """Create a private file durably, as a whole or not at all; False when it exists."""
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    temporary = path.with_name(f"{path.name}.{secrets.token_hex(8)}.tmp")
    try:
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.link(temporary, path)
    except FileExistsError:
        return False
    finally:
        temporary.unlink(missing_ok=True)
    sync_folder(path.parent)
    return True


def sync_folder(path: Path) -> None:
    """Make names created in, or taken from, a folder survive a power cut."""
    folder = os.open(path, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


@dataclass(frozen=True)
class FileKeys:
    """Keys as files of a folder that only the platform may read, away from the vault."""

    folder: Path

    def _path(self, study: str) -> Path:
        return self.folder / f"{study}.key"

    def _key(self, study: str) -> bytes:
        try:
            return self._path(study).read_bytes()
        except FileNotFoundError:
            raise KeyDestroyed(
                f"vault key of study {study}",
                found="no key in the folder of keys",
                allowed="the key the vault was made with",
                do="Restore LSDATA_VAULT_KEYS; if the key was destroyed, take a new study name.",
            ) from None

    def wrap(self, study: str, key: bytes) -> bytes:
        """See `KeyProvider`."""
        create(self._path(study), AESGCM.generate_key(256))  # who loses the race takes the winner's
        return seal(self._key(study), key, _context(study))

    def unwrap(self, study: str, wrapped: bytes) -> bytes:
        """See `KeyProvider`."""
        return unseal(self._key(study), wrapped, _context(study))

    def destroy(self, study: str) -> None:
        """See `KeyProvider`."""
        shred(self._path(study))


def _context(study: str) -> bytes:
    return f"data key of study {study}".encode()


@dataclass(frozen=True)
class AzureKeys:
    """Keys in Azure Key Vault: RSA-OAEP-256 by keys named `lsdata-<study>`, credentials as the Azure SDK finds them.

    Destroying a key needs the permission to purge; a vault with purge protection keeps deleted keys for its retention
    period, and until then a person with the permission could recover them.
    """

    url: str

    def _sdk(self, module: str) -> Any:
        try:
            return importlib.import_module(module)
        except ImportError:
            raise SettingError(
                "LSDATA_KEY_PROVIDER",
                found="azure, and its SDK is not installed",
                allowed="azure with the packages azure-keyvault-keys and azure-identity, or file",
                do="Install both packages.",
            ) from None

    def _client(self) -> Any:
        credential = self._sdk("azure.identity").DefaultAzureCredential()
        return self._sdk("azure.keyvault.keys").KeyClient(vault_url=self.url, credential=credential)

    def _cipher(self, study: str, *, make: bool) -> tuple[Any, Any]:
        crypto = self._sdk("azure.keyvault.keys.crypto")
        missing = self._sdk("azure.core.exceptions").ResourceNotFoundError
        client = self._client()
        try:
            key = client.get_key(_azure_name(study))
        except missing:
            if not make:
                raise KeyDestroyed(
                    f"vault key of study {study}",
                    found="no key in Azure Key Vault",
                    allowed="the key the vault was made with",
                    do="Recover it if it was deleted by mistake; if it was destroyed, take a new study name.",
                ) from None
            key = client.create_rsa_key(_azure_name(study), size=3072)
        credential = self._sdk("azure.identity").DefaultAzureCredential()
        return crypto.CryptographyClient(key, credential=credential), crypto.KeyWrapAlgorithm.rsa_oaep_256

    def wrap(self, study: str, key: bytes) -> bytes:
        """See `KeyProvider`."""
        cipher, algorithm = self._cipher(study, make=True)
        # The version of the key goes with what it wrapped: two that create one at once make two versions of it.
        return f"{cipher.key_id}\n".encode() + cipher.wrap_key(algorithm, key).encrypted_key

    def unwrap(self, study: str, wrapped: bytes) -> bytes:
        """See `KeyProvider`."""
        _, algorithm = self._cipher(study, make=False)
        key_id, _, encrypted = wrapped.partition(b"\n")
        credential = self._sdk("azure.identity").DefaultAzureCredential()
        cipher = self._sdk("azure.keyvault.keys.crypto").CryptographyClient(key_id.decode(), credential=credential)
        return cipher.unwrap_key(algorithm, encrypted).key

    def destroy(self, study: str) -> None:
        """See `KeyProvider`."""
        missing = self._sdk("azure.core.exceptions").ResourceNotFoundError
        client, name = self._client(), _azure_name(study)
        for act in (lambda: client.begin_delete_key(name).wait(), lambda: client.purge_deleted_key(name)):
            with suppress(missing):
                act()


def _azure_name(study: str) -> str:
    """Key Vault names hold letters, digits and hyphens; other characters are written as their number."""
    return "lsdata-" + "".join(c if c.isalnum() else f"-{ord(c):x}-" for c in study)


def provider(settings: Settings) -> KeyProvider:
    """The key provider of these settings.

    Raises:
        SettingError: keys would lie in the vault they lock, or Azure Key Vault has no URL.
    """
    if settings.key_provider == "file":
        vault, folder = settings.path("vault").resolve(), settings.vault_key_folder.resolve()
        if folder.is_relative_to(vault) or vault.is_relative_to(folder):
            raise SettingError(
                "LSDATA_VAULT_KEYS", found="in one folder with the vault", allowed="any other place", do="Move it."
            )
        return FileKeys(folder)
    if not settings.key_vault_url:
        raise SettingError(
            "LSDATA_KEY_VAULT_URL",
            found="not set",
            allowed="the URL of an Azure Key Vault, https://<name>.vault.azure.net",
            do="Set it, or use LSDATA_KEY_PROVIDER=file.",
        )
    return AzureKeys(settings.key_vault_url)
