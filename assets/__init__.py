"""The asset graph: every declared dataset bound to what makes it."""

from dagster import AssetsDefinition, Definitions

from assets import deid, genomics, pharmacovigilance
from assets.specs import external_assets


def defs() -> Definitions:
    """All assets of all rooms."""
    rooms = (genomics, deid, pharmacovigilance)
    bound = [value for room in rooms for value in vars(room).values() if isinstance(value, AssetsDefinition)]
    return Definitions(assets=[*bound, *deid.twins(), *external_assets()])
