"""The code location: merges what the rooms define, and nothing else."""

import dagster as dg

import assets
import resources
import sensors

defs = dg.Definitions.merge(assets.defs(), resources.defs(), sensors.defs())
