"""RxNorm and MedDRA drops: public or licensed releases that are landed as they are distributed."""

import hashlib
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from lsdata.catalog.pharmacovigilance import MEDDRA, MEDDRA_SMQ, RXNORM
from lsdata.derived import arrow
from lsdata.errors import InvalidInput
from lsdata.lake.work import Outcome, Work

_CONSO = ("rxcui", "lat", "ts", "lui", "stt", "sui", "ispref", "rxaui", "saui", "scui", "sdui", "sab", "tty", "code",
          "str", "srl", "suppress", "cvf")  # fmt: skip
_REL = ("rxcui1", "rxaui1", "stype1", "rel", "rxcui2", "rxaui2", "stype2", "rela", "rui", "srui", "sab", "sl", "dir",
        "rg", "suppress", "cvf")  # fmt: skip
"""Columns of RXNCONSO.RRF and RXNREL.RRF (RxNorm Technical Documentation, section 12)."""

_TO_INGREDIENT = ("tradename_of", "form_of", "has_ingredient", "consists_of", "isa", "has_part", "has_form_of",
                  "ingredients_of", "has_ingredients", "has_tradename_of")  # fmt: skip
_STEPS = 4
"""Longest way from a name to an ingredient: SBD, SCD, SCDC, PIN, IN."""


def name_key(column: pl.Expr) -> pl.Expr:
    """Names that differ in letter case, spaces or a full stop at the end alone are one."""
    return (
        column.str.to_uppercase().str.replace_all(r"\s+", " ").str.strip_chars(" .").str.replace_all(r"\s*,\s*", ", ")
    )


def _newest(work: Work, files: Sequence[str], kind: str) -> tuple[str, dict[str, bytes], dict[str, str]]:
    """Version, contents by lower-case name and checksums of the newest drop that has all the files."""
    drops: dict[str, dict[str, str]] = {}
    for file in work.landed:
        version = file.path.split("/")[2]
        drops.setdefault(version, {})[Path(file.path).name.lower()] = file.path
    for version in sorted(drops, reverse=True):
        if all(name in drops[version] for name in files):
            paths = {name: drops[version][name] for name in files}
            data = {name: work.landing.local(path).read_bytes() for name, path in paths.items()}
            sums = {paths[name]: hashlib.sha256(content).hexdigest() for name, content in data.items()}
            return version, data, sums
    raise InvalidInput(
        f"vocabulary/{kind}", code="drop_incomplete", found=f"{len(drops)} drops without all of {', '.join(files)}",
        allowed="a release as it is distributed", do="Land all of these files.", files=(),
    )  # fmt: skip


def _table(data: bytes, separator: str, names: Sequence[str]) -> pl.DataFrame:
    """Columns by position; each line ends in a separator."""
    text = data.decode("utf-8-sig", errors="replace")
    lines = pl.Series("t", text.split("\n")).str.strip_chars_end("\r")
    lines = lines.filter(lines != "")
    fields = lines.str.split_exact(separator, len(names)).struct.rename_fields([*names, "_"])
    return (
        pl.DataFrame({"f": fields})
        .unnest("f")
        .drop("_")
        .with_columns(pl.when(pl.all() != "").then(pl.all()).name.keep())
    )


# -- RxNorm ----------------------------------------------------------------------------------------------------------


def rxnorm(work: Work) -> Outcome:
    """Names of the newest release and the ingredients they lead to.

    Raises:
        InvalidInput: no drop has RXNCONSO.RRF and RXNREL.RRF.
    """
    version, data, landed = _newest(work, ("rxnconso.rrf", "rxnrel.rrf"), "rxnorm")
    names = ingredients(_table(data["rxnconso.rrf"], "|", _CONSO), _table(data["rxnrel.rrf"], "|", _REL))
    rows = names.with_columns(version=pl.lit(version))
    return Outcome(rows=rows.select(RXNORM.names).cast(arrow.polars_schema(RXNORM)), landed=landed)


def ingredients(conso: pl.DataFrame, rel: pl.DataFrame) -> pl.DataFrame:
    """name_key, rxcui and ingredient of every name that leads to an ingredient (TTY IN).

    A relation of RXNREL reads `rxcui2 rela rxcui1`. Brand names, salts (PIN), combinations (MIN) and products are
    followed to their ingredients.
    """
    named = conso.filter(pl.col("suppress").fill_null("N") != "O")
    is_in = (
        named.filter((pl.col("sab") == "RXNORM") & (pl.col("tty") == "IN"))
        .unique("rxcui", keep="first", maintain_order=True)
        .select("rxcui", ingredient=name_key(pl.col("str")))
    )
    steps = (
        rel.filter(pl.col("rela").is_in(_TO_INGREDIENT))
        .select(rxcui=pl.col("rxcui2"), to=pl.col("rxcui1"))
        .drop_nulls()
        .unique()
    )
    reached = is_in.select("rxcui", "ingredient")
    frontier = reached
    for _ in range(_STEPS):
        frontier = (
            steps.join(frontier, left_on="to", right_on="rxcui")
            .select("rxcui", "ingredient")
            .join(is_in.select("rxcui"), on="rxcui", how="anti")
            .join(reached, on=["rxcui", "ingredient"], how="anti")
            .unique()
        )
        if frontier.is_empty():
            break
        reached = pl.concat([reached, frontier])
    keys = (
        named.select("rxcui", name_key=name_key(pl.col("str"))).drop_nulls().filter(pl.col("name_key") != "").unique()
    )
    found = keys.join(reached, on="rxcui").sort("name_key", pl.col("rxcui").str.to_integer(strict=False), "rxcui")
    # One name, one concept: of several the first, so that a name is not the sum of its meanings.
    first = found.unique("name_key", keep="first", maintain_order=True).select("name_key", "rxcui")
    return found.join(first, on=["name_key", "rxcui"]).unique(["name_key", "ingredient"]).sort("name_key", "ingredient")


# -- MedDRA ----------------------------------------------------------------------------------------------------------

_HIER = ("pt_code", "hlt_code", "hlgt_code", "soc_code", "pt", "hlt", "hlgt", "soc", "soc_abbrev", "null_field",
         "pt_soc_code", "primary_soc_fg")  # fmt: skip
_LLT = ("llt_code", "llt", "pt_code")
_SMQ_LIST = ("smq_code", "smq", "smq_level")
_SMQ_CONTENT = ("smq_code", "term_code", "term_level", "term_scope", "term_category", "term_weight", "term_status")
"""Columns of the distribution files (MedDRA Distribution File Format Document)."""


def meddra(work: Work) -> Outcome:
    """Lowest level terms with their preferred term and its primary place in the hierarchy.

    Raises:
        InvalidInput: no drop has mdhier.asc and llt.asc.
    """
    version, data, landed = _newest(work, ("mdhier.asc", "llt.asc"), "meddra")
    places = (
        _table(data["mdhier.asc"], "$", _HIER).filter(pl.col("primary_soc_fg") == "Y").unique("pt_code", keep="first")
    )
    terms = _table(data["llt.asc"], "$", _LLT)
    rows = terms.join(places.select("pt_code", "pt", "hlt", "hlgt", "soc"), on="pt_code").with_columns(
        version=pl.lit(version)
    )
    return Outcome(rows=rows.select(MEDDRA.names).drop_nulls(("llt_code", "llt")).unique("llt_code"), landed=landed)


def meddra_smq(work: Work) -> Outcome:
    """Preferred terms of the standardised queries; a term that is narrow anywhere in a query is narrow.

    Raises:
        InvalidInput: no drop has smq_list.asc and smq_content.asc.
    """
    version, data, landed = _newest(work, ("smq_list.asc", "smq_content.asc"), "meddra")
    content = _table(data["smq_content.asc"], "$", _SMQ_CONTENT).filter(
        pl.col("term_level") == "4", pl.col("term_status").fill_null("A") == "A"
    )
    rows = (
        content.join(_table(data["smq_list.asc"], "$", _SMQ_LIST), on="smq_code")
        .group_by("smq_code", "smq", pl.col("term_code").alias("pt_code"))
        .agg(scope=pl.when((pl.col("term_scope") == "2").any()).then(pl.lit("narrow")).otherwise(pl.lit("broad")))
        .with_columns(version=pl.lit(version))
    )
    return Outcome(rows=rows.select(MEDDRA_SMQ.names), landed=landed)
