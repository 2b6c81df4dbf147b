"""The command line: everything an auditor or operator does without the UI."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from lsdata.errors import LsdataError

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
ledger_app = typer.Typer(no_args_is_help=True, help="The audit ledger.")
demo_app = typer.Typer(no_args_is_help=True, help="The demonstration's own data.")
vault_app = typer.Typer(no_args_is_help=True, help="The vault of pseudonyms.")
app.add_typer(ledger_app, name="ledger")
app.add_typer(vault_app, name="vault")
app.add_typer(demo_app, name="demo")
faers_app = typer.Typer(no_args_is_help=True, help="FDA's public adverse event reports.")
app.add_typer(faers_app, name="faers")

_ROOT = Path(__file__).resolve().parents[1]

Key = Annotated[str, typer.Argument(help="Dataset key, layer/domain/dataset.")]
Reason = Annotated[str, typer.Option(help="Why; it is recorded.")]


def main() -> None:
    """Run, and print errors made for people without a traceback."""
    try:
        app()
    except LsdataError as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(2)


def _lake():
    from lsdata.lake.lake import Lake
    from lsdata.settings import Settings

    return Lake(Settings.read())


@app.command()
def check() -> None:
    """Fail on rendered files that are stale and on flows that would carry PHI too far."""
    from lsdata.derived import policy, rendered

    problems = [f"{path} is stale: run `lsdata render`" for path in rendered.stale(_ROOT)] + policy.forbidden_flows()
    for problem in problems:
        print(problem, file=sys.stderr)
    if problems:
        raise typer.Exit(1)
    print("Rendered files are up to date; no forbidden flow.")


@app.command()
def render() -> None:
    """Write the derived files that are checked in."""
    from lsdata.derived import rendered

    for path in rendered.render(_ROOT):
        print(path)


@app.command()
def dictionary(key: Annotated[str | None, typer.Argument(help="One dataset; all by default.")] = None) -> None:
    """Print the data dictionary."""
    from lsdata import catalog
    from lsdata.derived import dictionary as derived

    print("\n".join(derived.section(catalog.dataset(key))) if key else derived.markdown())


@app.command()
def lineage(
    key: Key,
    partition: Annotated[str, typer.Option(help="Partition key; empty for an unpartitioned dataset.")] = "",
    version: Annotated[int | None, typer.Option(help="Delta version; the newest by default.")] = None,
) -> None:
    """What a partition was made from, with exact versions, down to the landing files."""
    from lsdata import catalog
    from lsdata.lake.lineage import render_text, walk

    print(render_text(walk(_lake().state(), catalog.dataset(key).key, partition, version)))


@app.command()
def serve(
    port: Annotated[int, typer.Option(help="Port on this machine.")] = 3001,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
) -> None:
    """Serve the auditor's site: reports, dictionary, lineage, ledger."""
    from lsdata.site.serve import serve as run

    run(_lake(), port, host)


@app.command()
def drop(key: Key, reason: Reason) -> None:
    """Give up a table and its files; the ledger keeps the evidence."""
    from lsdata import catalog
    from lsdata.lake.lake import Act

    lake = _lake()
    lake.drop(catalog.dataset(key).key, Act(operator=lake.settings.operator, reason=reason))
    print(f"{key} dropped and recorded.")


@ledger_app.command()
def verify() -> None:
    """Prove that no entry was changed, removed, added or reordered, and that every table commit has its entry."""
    lake = _lake()
    result = lake.ledger.verify()
    for problem in result.problems:
        print(f"{problem.where}: {problem.found}. {problem.do}", file=sys.stderr)
    if not result.ok:
        print(f"NOT VERIFIED: {len(result.problems)} problems.", file=sys.stderr)
        raise typer.Exit(1)
    for line in lake.recover():
        print(f"after a crash: {line}")
    if missing := lake.rolled_back():
        for line in missing:
            print(line, file=sys.stderr)
        raise typer.Exit(1)
    size, head = lake.ledger.size(), lake.ledger.head()
    print(f"Verified: {size} entries, root {head.root if head else 'of the empty log'}.")


@ledger_app.command()
def show(
    start: Annotated[int, typer.Option(help="First index.")] = 0,
    subject: Annotated[str | None, typer.Option(help="Only entries about this dataset.")] = None,
) -> None:
    """Print entries, a JSON line each."""
    for _, entry in _lake().ledger.entries(start):
        if subject is None or entry.subject == subject:
            print(entry.to_line().decode())


def _vault():
    from lsdata.deid.vault import Vault

    lake = _lake()
    return Vault.of(lake), lake.settings


@vault_app.command()
def destroy(
    study: Annotated[str, typer.Option(help="Study whose keys are destroyed; there is no way back.")], reason: Reason
) -> None:
    """Destroy the keys of a study: pseudonymous data becomes anonymous; the ledger keeps the evidence."""
    from lsdata.lake.lake import Act, code_version

    vault, settings = _vault()
    vault.destroy(study, Act(operator=settings.operator, reason=reason, git_commit=code_version()))
    print(f"The keys of study {study} are destroyed; it is recorded.")


@vault_app.command("show")
def show_vault() -> None:
    """Print what the vault holds of each study: counts, never an identifier."""
    for held in _vault()[0].studies():
        state = f"keys destroyed {held.destroyed}" if held.destroyed else "in use"
        print(f"{held.study}: {held.patients} patients, {held.pseudonyms} pseudonyms, {state}")


@demo_app.command()
def land() -> None:
    """Land a sequencing run of a family, their clinical notes and four FAERS quarters, all made up; once."""
    from lsdata.deid import demonstration as deid
    from lsdata.genomics import demonstration as genomics
    from lsdata.pharmacovigilance import demonstration as pharmacovigilance
    from lsdata.settings import Settings

    settings = Settings.read()
    genomics.land(settings, print)
    deid.land(settings, print)
    pharmacovigilance.land(settings, print)


@demo_app.command()
def report() -> None:
    """Say what was made, how it compares with the simulated truth, and where to look."""
    from lsdata.deid import demonstration as deid
    from lsdata.genomics import demonstration as genomics
    from lsdata.pharmacovigilance import demonstration as pharmacovigilance

    lake = _lake()
    print(genomics.report(lake))
    print(deid.report(lake))
    print(pharmacovigilance.report(lake))


@faers_app.command()
def fetch(
    quarter: Annotated[str, typer.Argument(help="Quarter, e.g. 2024q4.")],
    base: Annotated[str | None, typer.Option(help="Another place than FDA's.")] = None,
    sha256: Annotated[str | None, typer.Option(help="The digest it must have.")] = None,
) -> None:
    """Fetch a quarter into the landing zone; what was broken off is resumed."""
    from lsdata.pharmacovigilance import download
    from lsdata.settings import Settings

    folder = Settings.read().path("landing") / "faers"
    download.fetch(quarter, folder, print, base or download.FDA, sha256)


if __name__ == "__main__":
    main()
