"""The asset graph: every declared dataset bound to what makes it."""

from dagster import AssetsDefinition, Definitions

from assets import deid, genomics
from assets.specs import external_assets


def defs() -> Definitions:
    """All assets of all rooms."""
    bound = [value for room in (genomics, deid) for value in vars(room).values() if isinstance(value, AssetsDefinition)]
    return Definitions(assets=[*bound, *deid.twins(), *external_assets()])
