"""The asset graph: every declared dataset bound to what makes it."""

from dagster import AssetsDefinition, Definitions

from assets import genomics, pharmacovigilance
from assets.specs import external_assets


def defs() -> Definitions:
    """All assets of all rooms."""
    bound = [
        value
        for room in (genomics, pharmacovigilance)
        for value in vars(room).values()
        if isinstance(value, AssetsDefinition)
    ]
    return Definitions(assets=[*bound, *external_assets()])
