"""The outside world, as Dagster resources."""

from dagster import Definitions

from resources.lake import LakeResource
from resources.tools import ToolsResource


def defs() -> Definitions:
    """All resources, configured from the environment."""
    return Definitions(resources={"lake": LakeResource(), "tools": ToolsResource()})
