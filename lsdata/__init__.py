"""Life-sciences data platform: the domain library (no Dagster inside)."""
