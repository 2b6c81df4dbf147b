"""The code location: merges what the rooms define, and nothing else."""

import dagster as dg

import assets
import resources
import sensors

# Steps of a run share one process: each would load Great Expectations anew. Tools run in processes of their own.
defs = dg.Definitions.merge(
    assets.defs(), resources.defs(), sensors.defs(), dg.Definitions(executor=dg.in_process_executor)
)
