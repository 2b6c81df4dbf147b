"""Access, retention and flow policy, from sensitivity and retention of the declarations."""

from collections.abc import Mapping
from typing import Any

from lsdata.catalog import DATASETS, Dataset, Layer, Phi, Sensitivity

_ROLES: dict[Sensitivity, tuple[str, ...]] = {
    Sensitivity.PHI: ("steward",),
    Sensitivity.CODED: ("steward", "scientist"),
    Sensitivity.DEIDENTIFIED: ("steward", "scientist", "analyst"),
    Sensitivity.PUBLIC: ("steward", "scientist", "analyst", "public"),
}
"""Who reads what; minimum necessary, 45 CFR 164.502(b). The platform's own identity writes, no person does."""


def access(datasets: Mapping[str, Dataset] = DATASETS) -> dict[str, Any]:
    """By dataset: who may read it, and which columns are masked for whom."""
    return {
        key: {
            "sensitivity": str(d.sensitivity),
            "read": list(_ROLES[d.sensitivity]),
            "write": ["platform"],
            "phi_columns": {c.name: str(c.phi) for c in d.columns if c.phi is not Phi.NONE},
        }
        for key, d in datasets.items()
    }


def lifecycle(datasets: Mapping[str, Dataset] = DATASETS) -> dict[str, Any]:
    """Retention as Azure Storage lifecycle rules: moved to cool storage after a year, deleted at the end.

    Only rules; nothing here deletes. Source: Azure Storage lifecycle management policy definition.
    """
    return {
        "rules": [
            {
                "name": key.replace("/", "-").replace("_", "-"),
                "enabled": True,
                "type": "Lifecycle",
                "definition": {
                    "filters": {"blobTypes": ["blockBlob"], "prefixMatch": [f"lake/{key}/", f"files/{key}/"]},
                    "actions": {
                        "baseBlob": {
                            "tierToCool": {"daysAfterModificationGreaterThan": 365},
                            "delete": {"daysAfterModificationGreaterThan": round(d.retention.years * 365.25)},
                        }
                    },
                },
                "basis": d.retention.basis,
            }
            for key, d in datasets.items()
        ]
    }


def forbidden_flows(datasets: Mapping[str, Dataset] = DATASETS) -> list[str]:
    """Declared flows that would carry PHI where it may not be; each as a sentence.

    Gold is made from silver and gold alone, and nothing outside bronze and silver_phi reads PHI: what needs it reads
    the de-identified twin. Only what is declared to de-identify, in silver, reads PHI and has none.
    """
    found: list[str] = []
    for key, dataset in datasets.items():
        for upstream in dataset.upstream:
            source = datasets.get(upstream.key)
            if source is None:
                found.append(f"{key} reads {upstream.key}, which is not declared")
            elif dataset.layer is Layer.GOLD and source.layer in (Layer.BRONZE, Layer.SILVER_PHI):
                found.append(f"{key} is gold and reads {source.key} ({source.layer}); read its silver twin")
            elif dataset.deidentifies and dataset.layer is Layer.SILVER:
                continue
            elif source.sensitivity is Sensitivity.PHI and dataset.sensitivity is not Sensitivity.PHI:
                found.append(f"{key} ({dataset.sensitivity}) reads PHI from {source.key}; read its de-identified twin")
    return found
