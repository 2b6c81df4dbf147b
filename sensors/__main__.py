"""Process what has landed, without a daemon: `python -m sensors [--domain D ...] [--register]`.

Every sensor is evaluated as the daemon does it, every run it requests is executed to its end in this process, and so
on until nothing is requested. Runs are recorded and deduplicated in the same instance that the UI shows.
"""

import argparse
import sys
import time
from collections.abc import Sequence

import dagster as dg

from lsdata.errors import LsdataError
from lsdata.settings import Settings

_SHOWN = 1_500
"""Characters of an error that are printed: tools say what is wrong at the end."""
SENSOR = "dagster/sensor_name"
_RUNNING = (dg.DagsterRunStatus.STARTED, dg.DagsterRunStatus.STARTING, dg.DagsterRunStatus.QUEUED)


def main(arguments: Sequence[str] | None = None) -> int:
    """Exit code 0 when all runs have succeeded; quarantined input is reported and is not a failure."""
    parser = argparse.ArgumentParser(prog="python -m sensors", description="Process what has landed, without a daemon.")
    parser.add_argument("--domain", action="append", help="only this domain; may be given several times")
    parser.add_argument("--verbose", action="store_true", help="show what assets and tools log")
    parser.add_argument("--register", action="store_true", help="only register partition keys")
    given = parser.parse_args(arguments)
    try:
        return process(given.domain, register=given.register, verbose=given.verbose)
    except LsdataError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        return 2


def process(domains: Sequence[str] | None, *, register: bool = False, verbose: bool = False) -> int:
    """See the module."""
    from resources.instance import instance

    settings = Settings.read()
    with instance(settings) as home:
        import definitions

        repository = definitions.defs.get_repository_def()
        sensors = [s for s in repository.sensor_defs if not domains or s.name.split("_")[0] in domains]
        unknown = set(domains or ()) - {s.name.split("_")[0] for s in repository.sensor_defs}
        if unknown:
            print(
                f"--domain: {', '.join(sorted(unknown))}; allowed: "
                f"{', '.join(sorted({s.name.split('_')[0] for s in repository.sensor_defs}))}",
                file=sys.stderr,
            )
            return 2
        headless = Headless(home, repository, "INFO" if verbose else "WARNING")
        while headless.tick(sensors, register=register):
            pass
        return headless.summary(settings)


class Headless:
    """Evaluates sensors and executes what they request, one run after another."""

    def __init__(self, home: dg.DagsterInstance, repository: dg.RepositoryDefinition, level: str = "WARNING"):
        self.home, self.repository, self.level = home, repository, level
        self.succeeded: list[str] = []
        self.failed: list[tuple[str, str]] = []
        self.done: set[str] = set()
        self.started = time.monotonic()

    def tick(self, sensors: Sequence[dg.SensorDefinition], *, register: bool) -> bool:
        """Whether anything was done."""
        worked = False
        for sensor in sensors:
            context = dg.SensorEvaluationContext(
                instance_ref=self.home.get_ref(),
                instance=self.home,
                repository_name=self.repository.name,
                repository_def=self.repository,
                sensor_name=sensor.name,
                resources=self.repository.get_top_level_resources(),
            )
            tick = sensor.evaluate_tick(context)
            for wanted in tick.dynamic_partitions_requests or ():
                if isinstance(wanted, dg.AddDynamicPartitionsRequest):
                    self.home.add_dynamic_partitions(wanted.partitions_def_name, list(wanted.partition_keys))
                    self._say(f"registered {wanted.partitions_def_name}: {', '.join(wanted.partition_keys[:20])}")
                    worked = True
            if not register:
                for request in tick.run_requests or ():
                    worked |= self._execute(sensor, request)
        return worked

    def _execute(self, sensor: dg.SensorDefinition, request: dg.RunRequest) -> bool:
        run_key = request.run_key or ""
        if run_key in self.done or self._known(sensor, run_key):
            return False
        self.done.add(run_key)
        tags = {**request.tags, SENSOR: sensor.name, "dagster/run_key": run_key}
        names = ", ".join(k.path[-1] for k in request.asset_selection or ())
        self._say(f"{run_key.rsplit(':', 1)[0]}: {names} ...")
        begun = time.monotonic()
        result = self.repository.get_implicit_global_asset_job_def().execute_in_process(
            instance=self.home,
            partition_key=request.partition_key,
            asset_selection=request.asset_selection,
            tags=tags,
            raise_on_error=False,
            run_config={"loggers": {"console": {"config": {"log_level": self.level}}}},
        )
        seconds = time.monotonic() - begun
        if result.success:
            self.succeeded.append(run_key)
            self._say(f"  done in {seconds:.1f} s")
        else:
            why = "; ".join(
                f"{e.step_key}: {_cause(e)}" for e in result.all_events if e.event_type_value == "STEP_FAILURE"
            )
            self.failed.append((run_key, why))
            self._say(f"  FAILED after {seconds:.1f} s: {why}")
        return True

    def _known(self, sensor: dg.SensorDefinition, run_key: str) -> bool:
        """Whether the run is done or under way. One that failed is tried again: somebody asked."""
        filters = dg.RunsFilter(tags={SENSOR: sensor.name, "dagster/run_key": run_key})
        newest = self.home.get_runs(filters=filters, limit=1)
        return bool(newest) and newest[0].status in (dg.DagsterRunStatus.SUCCESS, *_RUNNING)

    def _say(self, line: str) -> None:
        print(f"[{time.monotonic() - self.started:7.1f} s] {line}", flush=True)

    def summary(self, settings: Settings) -> int:
        """Print what was done and what is in quarantine; the exit code."""
        from lsdata.lake.places import place_of
        from lsdata.lake.quarantine import Quarantine

        waiting = list(Quarantine(place_of(settings, "quarantine")).open())
        if not self.succeeded and not self.failed:
            self._say("Nothing to do: everything that has landed is published.")
        else:
            self._say(f"{len(self.succeeded)} runs succeeded, {len(self.failed)} failed.")
        for told in waiting:
            print(f"quarantined: {told['path']}: {told['code']}. {told['found'].rstrip('.')}. {told['do']}")
        for run_key, why in self.failed:
            print(f"failed: {run_key}: {why}", file=sys.stderr)
        return 1 if self.failed else 0


def _cause(event: dg.DagsterEvent) -> str:
    error = event.step_failure_data.error
    while error is not None and error.cause is not None:
        error = error.cause
    return error.message.strip()[-_SHOWN:] if error else ""


if __name__ == "__main__":
    sys.exit(main())
