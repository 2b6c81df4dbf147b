"""The lake of this process."""

from functools import cache
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from lsdata.lake.lake import Lake


class LakeResource(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument] - it is its own resource value
    """Gives assets and sensors the lake that `LSDATA_*` variables describe."""

    def open(self) -> "Lake":
        """The lake, after what a crash may have left has been repaired once."""
        return _lake()


@cache
def _lake() -> "Lake":
    from lsdata.lake.lake import Lake
    from lsdata.settings import Settings

    lake = Lake(Settings.read())
    lake.recover()
    return lake
