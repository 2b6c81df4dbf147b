"""The outside world, as Dagster resources."""

from dagster import Definitions

from lsdata.settings import Settings
from resources.lake import LakeResource
from resources.tools import ToolsResource


def defs() -> Definitions:
    """All resources, configured from the environment.

    Raises:
        SettingError: a setting cannot be used, e.g. a tool that is not on this machine: now, not halfway.
    """
    Settings.read()
    return Definitions(resources={"lake": LakeResource(), "tools": ToolsResource()})
