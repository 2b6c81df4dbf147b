"""Where external tools run."""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import dagster as dg

if TYPE_CHECKING:
    from lsdata.compute import Runner
    from lsdata.settings import Settings


class ToolsResource(dg.ConfigurableResource):  # pyright: ignore[reportMissingTypeArgument] - it is its own resource value
    """Gives assets the runner that `LSDATA_COMPUTE` names."""

    def runner(self, settings: "Settings") -> "Runner":
        """The runner.

        Raises:
            SettingError: the runner is not available.
        """
        from lsdata.compute import LocalRunner
        from lsdata.errors import SettingError

        if settings.compute != "local":
            raise SettingError(
                "LSDATA_COMPUTE", found=settings.compute, allowed="local", do="Unset it: no other runner is installed."
            )
        # The environment's own tools (multiqc) lie beside its Python, GATK below .tools.
        path = [str(settings.tools / "bin"), str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]
        return LocalRunner(scratch=settings.scratch, path=os.pathsep.join(path))
