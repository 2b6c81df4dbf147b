"""Drug names as reported, and the ingredients they stand for."""

import re
from collections.abc import Mapping

import polars as pl

from lsdata.catalog.pharmacovigilance import DRUG_NAMES
from lsdata.derived import arrow
from lsdata.pharmacovigilance.vocabulary import name_key

SIMILAR, NEARLY = 0.92, 0.85
"""Similarity (1 - normalised indel distance) from which a spelling is taken for the name, and from which it is "
    "shown."""
_SHORTEST = 6
"""Characters below which one letter makes another drug too often."""

SALTS = frozenset(
    """
    ACETATE ACETONIDE ADIPATE ANHYDROUS ARGININE ASPARTATE AXETIL BENZOATE BESILATE BESYLATE BISULFATE BITARTRATE
    BROMIDE CALCIUM CAMSYLATE CAPROATE CARBONATE CHLORIDE CILEXETIL CITRATE CYPIONATE DECANOATE DIHYDRATE
    DIHYDROCHLORIDE DIMALEATE DIMESYLATE DIOLAMINE DIPROPIONATE DISODIUM DISOPROXIL EDISYLATE ENANTHATE ERBUMINE
    ESTOLATE ESYLATE ETABONATE ETEXILATE ETHYLSUCCINATE FUMARATE FUROATE GLUCEPTATE GLUCONATE HEMIFUMARATE
    HEMIHYDRATE HEMIPENTAHYDRATE HEMISULFATE HYCLATE HYDRATE HYDROBROMIDE HYDROCHLORIDE ISETHIONATE L-MALATE LACTATE
    LACTOBIONATE LAUROXIL LYSINE MAGNESIUM MALATE MALEATE MEDOXOMIL MEGLUMINE MESILATE MESYLATE METHYLSULFATE
    MOFETIL MONOHYDRATE MONONITRATE MONOSODIUM NAPSYLATE NITRATE OLAMINE OXALATE PALMITATE PAMOATE PHOSPHATE PIVOXIL
    POTASSIUM PROPIONATE S-MALATE SACCHARATE SESQUIHYDRATE SODIUM STEARATE SUCCINATE SULFATE SULPHATE TARTRATE
    TEOCLATE TOSYLATE TRIFENATATE TRIHYDRATE TROMETHAMINE UNDECANOATE VALERATE XINAFOATE ZINC
    """.split()  # noqa: SIM905 - a list of quoted words cannot be read
)
"""Words at the end of an ingredient's name that name its salt, ester or water (USP <1121>, INNM)."""
_IONS = frozenset(
    """
    ALUMINIUM ALUMINUM AMMONIUM AMYL BARIUM BISMUTH BUTYL CALCIUM CESIUM CHOLINE CHROMIC COPPER CUPRIC DIETHYL
    DIMETHYL DIROXIMEL ETHYL FERRIC FERROUS GALLIUM GOLD HYDROGEN IRON ISOPROPYL LITHIUM MAGNESIUM MANGANESE METHYL
    MONOMETHYL NITROUS POTASSIUM RADIUM RUBIDIUM SAMARIUM SELENIUM SILVER SODIUM STRONTIUM ZINC
    """.split()  # noqa: SIM905 - a list of quoted words cannot be read
)
"""Names of which what follows is the drug itself: lithium carbonate, potassium chloride."""


def without_salt(ingredient: str) -> str:
    """The ingredient without salt, ester or water.

    >>> [without_salt(n) for n in ("METFORMIN HYDROCHLORIDE", "POTASSIUM CHLORIDE", "AMOXICILLIN SODIUM ANHYDROUS")]
    ['METFORMIN', 'POTASSIUM CHLORIDE', 'AMOXICILLIN']
    >>> without_salt("DIMETHYL FUMARATE")
    'DIMETHYL FUMARATE'
    """
    words = ingredient.split()
    while len(words) > 1 and words[-1] in SALTS and not set(words[:-1]) <= _IONS:
        words.pop()
    return " ".join(words)


def mentions(faers_drug: pl.LazyFrame, icsr: pl.LazyFrame, report_lines: pl.LazyFrame) -> pl.LazyFrame:
    """Drugs of all reports in one form: source, delivery, report_id, drug_seq, role, drug_name, ingredients_given,
    source_file, source_line. Ingredients of an E2B drug are joined like PROD_AI.
    """
    role = pl.col("role_cod").str.to_uppercase()
    given = name_key(pl.col("prod_ai")).str.replace_all(r"\s*[\\;]\s*", "\\")
    faers = faers_drug.select(
        source=pl.lit("faers"),
        **faers_report(),
        drug_seq=pl.col("drug_seq").fill_null("0"),
        role=pl.when(role.is_in(["PS", "SS", "I", "C", "DN"])).then(role).otherwise(pl.lit("C")),
        drug_name=name_key(pl.col("drugname")).fill_null(""),
        ingredients_given=given.fill_null(""),
        source_file=pl.col("source_file"),
        source_line=pl.col("source_line"),
    )
    of_drug = icsr_items(icsr, "G.k.", {"role_cod": "G.k.1", "name": "G.k.2.2"})
    parts = (
        icsr.filter(pl.col("element") == "G.k.2.3.r.1")
        .sort("part")
        .group_by("delivery", "message", "item", maintain_order=True)
        .agg(given=name_key(pl.col("value")).str.join("\\"))
    )
    # G.k.1: 1 suspect, 2 concomitant, 3 interacting, 4 not administered. E2B knows no primary suspect.
    code = {"1": "SS", "2": "C", "3": "I", "4": "DN"}
    messages = (
        of_drug.join(parts, on=["delivery", "message", "item"], how="left")
        .join(icsr_ids(icsr), on=["delivery", "message"])
        .select(
            source=pl.lit("icsr"),
            delivery="delivery",
            report_id="report_id",
            drug_seq=pl.col("item").cast(pl.String),
            role=pl.col("role_cod").replace_strict(code, default="C", return_dtype=pl.String),
            drug_name=name_key(pl.col("name")).fill_null(""),
            ingredients_given=pl.col("given").fill_null(""),
            source_file=pl.col("delivery"),
            source_line=pl.col("message").cast(pl.Int64),
        )
    )
    listed = report_lines.select(
        "source",
        "delivery",
        report_id="case_id",
        drug_seq=listed_seq(),
        role=pl.lit("PS"),
        drug_name=pl.col("drug").str.replace_all(r"\s+", " ").str.strip_chars(),
        ingredients_given=pl.lit(""),
        source_file="source_file",
        source_line="source_line",
    ).unique(["source", "delivery", "report_id", "drug_name"], keep="first", maintain_order=True)
    both = pl.concat([faers, messages, listed])
    return both.filter((pl.col("drug_name") != "") | (pl.col("ingredients_given") != ""))


def faers_report() -> dict[str, pl.Expr]:
    """delivery and report_id of a FAERS row."""
    return {
        "delivery": pl.col("source_file").str.split("/").list.first(),
        "report_id": pl.coalesce("primaryid", "isr"),
    }


def listed_seq() -> pl.Expr:
    """Number of a listing's drug in its case: equal names are one drug."""
    return pl.col("drug").rank("dense").over("source", "delivery", "case_id").cast(pl.String)


def icsr_ids(icsr: pl.LazyFrame) -> pl.LazyFrame:
    """delivery, message and report_id: the message's identifier, else the case's with the message's number."""
    told = icsr.filter(pl.col("item") == 0)
    case = pl.col("value").filter(pl.col("element") == "C.1.1").first()
    world = pl.col("value").filter(pl.col("element") == "C.1.8.1").first()
    message = pl.col("value").filter(pl.col("element") == "N.2.r.1").first()
    return told.group_by("delivery", "message").agg(
        report_id=pl.coalesce(message, pl.format("{}#{}", pl.coalesce(case, world), pl.col("message").first()))
    )


def icsr_items(icsr: pl.LazyFrame, prefix: str, elements: Mapping[str, str]) -> pl.LazyFrame:
    """A row per message and item, with the first value of each element under its name."""
    return (
        icsr.filter(pl.col("element").str.starts_with(prefix))
        .group_by("delivery", "message", "item")
        .agg(
            pl.col("value").filter(pl.col("element") == element).first().alias(name)
            for name, element in elements.items()
        )
    )


def drug_names(
    deliveries: pl.LazyFrame,
    faers_drug: pl.LazyFrame,
    icsr: pl.LazyFrame,
    report_lines: pl.LazyFrame,
    rxnorm: pl.LazyFrame,
) -> pl.DataFrame:
    """What each name stands for.

    Given ingredients are parted and lose their salts. Names without are looked up in RxNorm, where one has landed,
    and then by similarity (rapidfuzz). Names of listings that are in no vocabulary are taken as they stand; those
    that differ in letter case alone are one, spelled as in the earliest delivery.
    """
    names = (
        mentions(faers_drug, icsr, report_lines)
        .join(deliveries.select("source", "delivery", "as_of"), on=["source", "delivery"], how="left")
        .group_by("source", "drug_name", "ingredients_given")
        .agg(mentions=pl.len().cast(pl.Int64), first=pl.col("as_of").min())
        .collect()
    )
    vocabulary = rxnorm.collect()
    version = vocabulary["version"].first() if vocabulary.height else None
    given = names.filter(pl.col("ingredients_given") != "")
    by_ai = given.with_columns(
        drug=pl.col("ingredients_given").str.split("\\").list.eval(pl.element().filter(pl.element() != ""))
    ).explode("drug")
    salts = {name: without_salt(name) for name in by_ai["drug"].drop_nulls().unique()}
    found = [
        by_ai.drop_nulls("drug").with_columns(
            drug=pl.col("drug").replace(salts), method=pl.lit("given"), confidence=pl.lit(1.0),
            suggestion=pl.lit(None, pl.String), vocabulary=pl.lit("ingredient as given"),
        )
    ]  # fmt: skip
    rest = names.filter(pl.col("ingredients_given") == "").with_columns(name_key=name_key(pl.col("drug_name")))
    known = rest.join(vocabulary.select("name_key", drug="ingredient"), on="name_key").with_columns(
        method=pl.lit("rxnorm"), confidence=pl.lit(1.0), suggestion=pl.lit(None, pl.String),
            vocabulary=pl.lit("RxNorm"),
    )  # fmt: skip
    unknown = rest.join(known.select("name_key"), on="name_key", how="anti")
    similar = _similar(unknown["name_key"].unique(), vocabulary)
    guessed = unknown.join(similar, on="name_key", how="left")
    taken = guessed.filter(pl.col("confidence") >= SIMILAR).with_columns(
        drug=pl.col("suggestion"), method=pl.lit("similar"), vocabulary=pl.lit("RxNorm")
    )
    spelled = (
        pl.col("drug_name").sort_by("first", "drug_name").first().over("source", pl.col("drug_name").str.to_uppercase())
    )
    reported = guessed.filter((pl.col("confidence") < SIMILAR) | pl.col("confidence").is_null()).with_columns(
        drug=spelled, method=pl.lit("reported"), confidence=pl.lit(0.0), vocabulary=pl.lit("as reported")
    )
    found += [frame.select(found[0].columns) for frame in (known, taken, reported)]
    return (
        pl.concat(found)
        .with_columns(
            review=(pl.col("method") == "similar") | pl.col("suggestion").is_not_null(),
            vocabulary_version=pl.when(pl.col("vocabulary") == "RxNorm").then(pl.lit(version, pl.String)),
        )
        .unique(DRUG_NAMES.primary_key, keep="first", maintain_order=True)
        .select(DRUG_NAMES.names)
        .cast(arrow.polars_schema(DRUG_NAMES))
    )


def _similar(names: pl.Series, vocabulary: pl.DataFrame) -> pl.DataFrame:
    """name_key, suggestion, confidence: the most similar name with the same first letter, and what it leads to.

    Names of several ingredients are no candidates: a similar name must lead to one drug.
    """
    from rapidfuzz import fuzz, process

    single = vocabulary.filter(pl.len().over("name_key") == 1)
    leads = dict(single.select("name_key", "ingredient").iter_rows())
    by_letter: dict[str, list[str]] = {}
    for name in sorted(leads):
        by_letter.setdefault(name[:1], []).append(name)
    rows: list[tuple[str, str, float]] = []
    for name in names.sort():
        plain = _without_strength(name)
        if len(plain) < _SHORTEST:
            continue
        best = process.extractOne(plain, by_letter.get(plain[:1], ()), scorer=fuzz.ratio, score_cutoff=100 * NEARLY)
        if best is not None:
            rows.append((name, leads[best[0]], best[1] / 100))
    schema = {"name_key": pl.String, "suggestion": pl.String, "confidence": pl.Float64}
    return pl.DataFrame(rows, schema=schema, orient="row")


_STRENGTH = re.compile(r"\s*[\[(/].*$|\s+\d[\d.,]*\s*(MG|MCG|G|ML|%|IU|UNITS?)\b.*$|\s+(TABLETS?|CAPSULES?|INJECTION)$")


def _without_strength(name: str) -> str:
    """The name without what follows it in brackets, its strength and its form."""
    return _STRENGTH.sub("", name).strip(" .,")


def case_drugs(
    deliveries: pl.LazyFrame,
    faers_drug: pl.LazyFrame,
    icsr: pl.LazyFrame,
    report_lines: pl.LazyFrame,
    drug_names: pl.LazyFrame,
) -> pl.LazyFrame:
    """Drugs of each report under their standard names; of one named twice under a number, the first line."""
    del deliveries
    names = drug_names.select(
        "source", "drug_name", "ingredients_given", "drug", "method", "vocabulary", "vocabulary_version"
    )
    return (
        mentions(faers_drug, icsr, report_lines)
        .join(names, on=["source", "drug_name", "ingredients_given"])
        .sort("source_file", "source_line")
        .unique(("source", "delivery", "report_id", "drug_seq", "drug"), keep="first", maintain_order=True)
        .with_columns(vocabulary_version=pl.coalesce("vocabulary_version", "delivery"))
        .select("source", "delivery", "report_id", "drug_seq", "drug", "role", "drug_name", "method", "vocabulary",
                "vocabulary_version", "source_file", "source_line")
    )  # fmt: skip
