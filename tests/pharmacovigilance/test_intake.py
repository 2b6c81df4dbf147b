"""From landing to bronze: FAERS of both layouts, deleted cases, E2B(R3) messages, line listings, vocabularies."""

import gzip
import io
import json
import os
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path

import dagster as dg
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

import assets
from assets.specs import key
from lsdata.catalog import DATASETS
from lsdata.catalog import pharmacovigilance as pv
from lsdata.errors import InvalidInput
from lsdata.lake.lake import Lake
from lsdata.pharmacovigilance import faers, icsr, reports, vocabulary
from resources.lake import LakeResource
from resources.tools import ToolsResource

DATA = Path(os.environ.get("LSDATA_TEST_DATA", Path(__file__).parents[3] / "shared" / "data")) / "pv"
real = pytest.mark.skipif(not DATA.is_dir(), reason="the developers' data are not here")
Make = Callable[..., pl.DataFrame]

HEADER = b"primaryid$caseid$drug_seq$drugname\r\n"
AERS = b"ISR$DRUG_SEQ$ROLE_COD$DRUGNAME\r\n"


@pytest.fixture
def make(lake: Lake, monkeypatch: pytest.MonkeyPatch) -> Make:
    """Materializes a dataset from what has landed, and gives its rows."""
    monkeypatch.setattr(LakeResource, "open", lambda _: lake)

    def run(*keys: str, partition: str | None = None) -> pl.DataFrame:
        with dg.DagsterInstance.ephemeral() as instance:
            for one in (DATASETS[f"{'silver_phi' if 'narr' in k else 'bronze'}/pharmacovigilance/{k}"] for k in keys):
                cut = one.partition.name if one.partition else None
                if cut and partition:
                    instance.add_dynamic_partitions(cut, [partition])
                dg.materialize(
                    list(assets.defs().assets or ()), selection=[key(one)], partition_key=partition if cut else None,
                    resources={"lake": LakeResource(), "tools": ToolsResource()}, instance=instance,
                )  # fmt: skip
        return lake.read(one.key).collect()

    return run


def land(lake: Lake, path: str, data: bytes) -> Path:
    place = lake.settings.path("landing") / path
    place.parent.mkdir(parents=True, exist_ok=True)
    place.write_bytes(data)
    return place


def zipped(members: Mapping[str, bytes]) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return out.getvalue()


def reasons(lake: Lake) -> dict[str, str]:
    return {told["path"]: told["code"] for told in lake.quarantine.open("pharmacovigilance")}


# -- FAERS lines -------------------------------------------------------------------------------------------------------


def test_a_record_torn_by_line_breaks_is_joined() -> None:
    parsed = faers.parse(HEADER + b"11$1$1$ASPIRIN\r\n22$2$\r\n1$IBU\r\n33$3$1$X\r\n", "")
    assert parsed.rows["drugname"].to_list() == ["ASPIRIN", "IBU", "X"]
    assert parsed.rows["source_line"].to_list() == [2, 3, 5]
    assert (parsed.counts["joined_lines"], parsed.refused) == (1, ())


def test_what_may_be_two_torn_records_is_refused_line_by_line() -> None:
    parsed = faers.parse(HEADER + b"11$1$1\r\n22$2$1\r\n33$3$1$X\r\n44$4$1$Y$Z\r\n", "")
    assert parsed.rows["drugname"].to_list() == ["X"]
    assert [line for line, _ in parsed.refused] == [2, 3, 5]


def test_two_aers_records_in_a_line_are_parted() -> None:
    line = b"4000001$1$PS$A$\r\n"
    parsed = faers.parse(AERS + line + b"4000002$1$PS$B$4000003$1$PS$C$\r\n", "")
    assert parsed.rows.select("source_line", "record", "drugname").rows() == [(2, 1, "A"), (3, 1, "B"), (3, 2, "C")]
    assert parsed.counts["split_records"] == 1


def test_cp1252_is_read_and_bytes_that_are_no_character_are_refused() -> None:
    parsed = faers.parse(HEADER + b"11$1$1$CAF\xc9\r\n22$2$1$\x81\r\n33$3$1$\xc3\x89T\xc3\x89\r\n", "")
    assert parsed.rows["drugname"].to_list() == ["CAFÉ", "ÉTÉ"]
    assert (parsed.counts["recoded_lines"], parsed.refused[0][0]) == (1, 3)


def test_a_file_without_a_report_number_is_refused() -> None:
    with pytest.raises(InvalidInput, match="header"):
        faers.parse(b"a$b\n1$2\n", "DEMO")


@given(st.lists(st.text("ab1$ \n\r", max_size=12), max_size=12))
def test_lines_in_are_rows_and_what_was_refused(lines: list[str]) -> None:
    counts = (parsed := faers.parse(HEADER + "\n".join(lines).encode(), "")).counts
    out = parsed.rows.height + sum(
        counts[k] for k in ("quarantined_lines", "header_lines", "blank_lines", "joined_lines")
    )
    assert counts["lines"] + counts["split_records"] == out


@given(st.lists(st.lists(st.text("xyz é", max_size=6), min_size=2, max_size=2), min_size=1, max_size=20))
def test_whole_records_come_through_unchanged(records: list[list[str]]) -> None:
    body = "".join(f"{n}1${n}${seq}${name}\r\n" for n, (seq, name) in enumerate(records, 1))
    rows = faers.parse(HEADER + body.encode(), "").rows
    assert rows.select("drug_seq", "drugname").rows() == [(a or None, b or None) for a, b in records]


# -- FAERS deliveries --------------------------------------------------------------------------------------------------


@real
def test_every_line_of_a_real_quarter_is_a_row(lake: Lake, make: Make) -> None:
    # 100 cases of 2017q2 (MIT, Yunuuuu/faers)
    land(lake, "faers/faers_ascii_2017q2.zip", (DATA / "faers_ascii_2017q2.zip").read_bytes())
    assert make("deliveries").select("quarter", "layout", "state").row(0) == ("2017q2", "faers", "ready")
    tables = [f"faers_{name}" for name in pv.FAERS]
    files = make(*tables, "faers_files", partition="2017q2")
    rows = dict(files.select("table", "rows").iter_rows())
    assert rows == {"demo": 100, "drug": 328, "reac": 286, "outc": 75, "rpsr": 2, "ther": 142, "indi": 232}
    demo = lake.read(pv.FAERS_DEMO.key).filter(pl.col("source_line") == 2).collect().row(0, named=True)
    assert (demo["primaryid"], demo["caseid"], demo["sex"], demo["age_grp"], demo["isr"]) == (
        "109792364", "10979236", "M", "A", None,
    )  # fmt: skip


def test_a_legacy_quarter_fills_the_same_columns_and_bad_lines_wait_in_quarantine(lake: Lake, make: Make) -> None:
    land(
        lake, "faers/aers_ascii_2004q1.zip",
        zipped({
            "ascii/DEMO04Q1.TXT": b"ISR$CASE$I_F_COD$FOLL_SEQ$GNDR_COD\r\n4263085$4064950$I$$F$\r\n4263086$$F$1$M$\r\n",
            "ascii/DRUG04Q1.TXT": AERS + b"4263085$100$PS$ASPIRIN$\r\n4263086$PS$\r\n",
            "ascii/REAC04Q1.TXT": b"ISR$PT\r\n4263085$Nausea$\r\n",
            "ascii/THER04Q1.TXT": b"ISR$DRUG_SEQ$START_DT$NEW\r\n4263085$100$2004$z$\r\n",
        }),
    )  # fmt: skip
    assert make("deliveries")["layout"].to_list() == ["aers"]
    demo = make("faers_demo", partition="2004q1")
    assert demo.select("isr", "case", "i_f_code", "sex").rows() == [
        ("4263085", "4064950", "I", "F"), ("4263086", None, "F", "M"),
    ]  # fmt: skip
    assert make("faers_drug", partition="2004q1").height == 1
    assert list(reasons(lake).values()) == ["lines_not_understood"]
    kept = next(lake.settings.path("quarantine").rglob("*.lines"))
    assert kept.read_bytes() == b"4263086$PS$\r\n"
    ther = make("faers_ther", partition="2004q1").row(0, named=True)
    assert (ther["dsg_drug_seq"], json.loads(ther["extras"])) == ("100", {"new": "z"})


@pytest.mark.parametrize(
    ("name", "data", "code"),
    [
        ("faers/x.zip", b"no zip", "not_a_zip"),
        ("faers/x.zip", zipped({"DEMO17Q1.txt": b"primaryid\n"}), "incomplete_quarter"),
        (
            "faers/x.zip",
            zipped({f"{t}17Q{q}.txt": b"primaryid\n" for t in ("DEMO", "DRUG", "REAC") for q in (1, 2)}),
            "several_quarters",
        ),
        ("icsr/x.json", b"{}", "not_xml"),
        ("reports/faers/x.csv", b"", "reserved_source"),
        ("reports/eudra/x.xlsx", b"", "not_csv"),
    ],
)
def test_a_delivery_that_cannot_be_read_is_refused(lake: Lake, make: Make, name: str, data: bytes, code: str) -> None:
    land(lake, name, data)
    assert make("deliveries").select("state", "code").row(0) == ("quarantined", code)
    assert list(reasons(lake).values()) == [code]


def test_deleted_cases_come_from_lists_and_from_zips(lake: Lake, make: Make) -> None:
    land(lake, "faers/deleted/ADR19Q1DeletedCases.txt", b"CASEID\r\n100\r\n200\r\nx1\r\n")
    land(lake, "faers/deleted/list.txt", b"1\n")
    tables = {f"{t}19Q2.txt": b"primaryid\n" for t in ("DEMO", "DRUG", "REAC")}
    land(lake, "faers/faers_ascii_2019Q2.zip", zipped({**tables, "DELETED/DELETE19Q2.txt": b"300\n"}))
    make("deliveries")
    rows = make("faers_deleted").select("case_id", "quarter").sort("case_id").rows()
    assert rows == [("100", "2019q1"), ("200", "2019q1"), ("300", "2019q2")]
    assert sorted(reasons(lake).values()) == ["lines_not_understood", "no_quarter"]


# -- E2B(R3) -----------------------------------------------------------------------------------------------------------


@real
def test_the_elements_of_fda_s_sample_message_are_found() -> None:
    # FAERS2022Scenario1.xml: values as FDA's own comments name them
    data = (DATA / "FAERS2022Scenario1.xml").read_bytes()
    ((number, found),) = icsr.messages(data, "x")
    assert not isinstance(found, InvalidInput)
    values = {v[:3]: v.value for v in found}
    expected = {
        ("C.1.1", 0, 0): "US-APHARMA-8744554B", ("C.1.5", 0, 0): "20220614101010-0500", ("C.1.3", 0, 0): "1",
        ("N.1.5", 0, 0): "20220614101010-0500", ("D.5", 0, 0): "1", ("D.2.2", 0, 0): "48", ("D.1", 0, 0): "JD",
        ("E.i.2.1b", 1, 0): "10027940", ("E.i.2.1b", 2, 0): "10009896", ("E.i.4", 1, 0): "20141010",
        ("E.i.3.2d", 1, 0): "true", ("E.i.7", 1, 0): "3", ("G.k.1", 1, 0): "1", ("G.k.1", 3, 0): "2",
        ("G.k.2.2", 3, 0): "Drug C", ("G.k.2.3.r.1", 2, 1): "Ingredient B", ("G.k.7.r.1", 1, 1): "Embolism venous",
        ("C.2.r.3", 1, 0): "US", ("C.2.r.4", 1, 0): "1",
    }  # fmt: skip
    assert number == 1
    assert {k: values.get(k) for k in expected} == expected
    assert ("D.2.2", "a") in {(v.element, v.unit) for v in found}


@real
def test_all_sample_messages_are_read_and_names_and_words_go_to_stewards_only(lake: Lake, make: Make) -> None:
    for path in sorted(DATA.glob("FAERS2022Scenario*.xml")):
        land(lake, f"icsr/{path.name}", path.read_bytes())
    deliveries = make("deliveries")["delivery"].to_list()
    for delivery in deliveries:
        make("icsr", "icsr_narratives", partition=delivery)
    told = lake.read(pv.ICSR.key).collect()
    words = lake.read(pv.ICSR_NARRATIVES.key).collect()
    assert told["delivery"].n_unique() == len(deliveries) == 5
    assert {"C.1.1", "E.i.2.1b", "G.k.2.2", "G.k.1"} <= set(told["element"])
    assert set(words["element"]) <= icsr.IDENTIFYING
    assert not set(told["element"]) & icsr.IDENTIFYING


def message(number: int, extra: str = "") -> str:
    return (
        f'<PORR_IN049016UV><id extension="m{number}"/><controlActProcess><effectiveTime value="20240101"/><subject>'
        f'<investigationEvent><id root="2.16.840.1.113883.3.989.2.1.3.1" extension="CASE{number}"/>{extra}'
        "</investigationEvent></subject></controlActProcess></PORR_IN049016UV>"
    )


def batch(*messages: str) -> bytes:
    return f'<MCCI_IN200100UV01 xmlns="urn:hl7-org:v3">{"".join(messages)}</MCCI_IN200100UV01>'.encode()


def test_a_batch_holds_many_messages_and_a_nullification_is_told() -> None:
    nullified = (
        '<subjectOf2><investigationCharacteristic><code code="3"/><value code="1"/></investigationCharacteristic>'
        "</subjectOf2>"
    )
    found = list(icsr.messages(batch(message(1), message(2, nullified), "<PORR_IN049016UV/>"), "x"))
    assert [n for n, _ in found] == [1, 2, 3]
    assert ("C.1.11.1", "1") in {(v.element, v.value) for v in found[1][1]}  # pyright: ignore[reportGeneralTypeIssues]
    assert isinstance(found[2][1], InvalidInput)


@pytest.mark.parametrize(
    "data",
    [b"<a>", b"", b"<a/>", b'<!DOCTYPE a [<!ENTITY b "c">]><a>&b;</a>'],
    ids=["open", "empty", "no message", "entity"],
)
def test_xml_that_is_broken_or_not_safe_is_refused(data: bytes) -> None:
    with pytest.raises(InvalidInput):
        list(icsr.messages(data, "x"))


# -- line listings -----------------------------------------------------------------------------------------------------


def test_lines_without_case_drug_or_event_are_refused_and_the_rest_goes_on(lake: Lake, make: Make) -> None:
    text = 'Drug,CASE_ID,event,sex,lot\nA,1,X,F,\n,2,X,,\nB,3,Y,,,,\n"C, D",4, Z ,M,7\n'
    land(lake, "reports/eudra/2024q1.csv.gz", gzip.compress(text.encode("cp1252")))
    assert make("deliveries").select("source", "as_of").row(0) == ("eudra", "2024q1")
    rows = make("report_lines", partition="eudra").sort("source_line")
    assert rows.select("source_line", "case_id", "drug", "event", "sex").rows() == [
        (2, "1", "A", "X", "F"), (5, "4", "C, D", "Z", "M"),
    ]  # fmt: skip
    assert list(reasons(lake).values()) == ["lines_not_understood"]


@pytest.mark.parametrize("text", ["case_id,drug\n1,a\n", "case_id,drug,event,drug\n", ""])
def test_a_listing_without_its_columns_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="column"):
        reports.read(text.encode(), "x")


@real
def test_a_real_listing_of_249_thousand_lines_is_read_whole() -> None:
    # FAERS 2022q3, primary suspects, half of the cases (GPL-3 package pvLRT): 248,980 rows, 107,934 cases
    data = gzip.decompress((DATA / "faers_2022q3_ps_cases_A.csv.gz").read_bytes())
    lines, unknown = reports.read(data.replace(b"CASEID,DRUG,AE", b"case_id,drug,event", 1), "x")
    assert (lines.height, lines["case_id"].n_unique(), unknown) == (248_980, 107_934, [])


# -- vocabularies ------------------------------------------------------------------------------------------------------


def conso(*rows: tuple[str, str, str]) -> pl.DataFrame:
    told = {"rxcui": [r[0] for r in rows], "tty": [r[1] for r in rows], "str": [r[2] for r in rows]}
    return pl.DataFrame(told).with_columns(sab=pl.lit("RXNORM"), suppress=pl.lit("N"))


def test_brands_salts_and_combinations_lead_to_their_ingredients() -> None:
    names = conso(
        ("1", "IN", "Metformin"), ("2", "PIN", "metformin hydrochloride"), ("3", "BN", "Glucophage"),
        ("4", "IN", "Glipizide"), ("5", "MIN", "glipizide / metformin"), ("6", "IN", "Lonely"),
    )  # fmt: skip
    # RXNREL reads: rxcui2 rela rxcui1.
    rel = pl.DataFrame(
        {"rxcui2": ["2", "3", "5", "5"], "rela": ["form_of", "tradename_of", "has_part", "has_part"],
         "rxcui1": ["1", "2", "1", "4"]}
    )  # fmt: skip
    found = vocabulary.ingredients(names, rel).select("name_key", "ingredient").rows()
    assert found == [
        ("GLIPIZIDE", "GLIPIZIDE"), ("GLIPIZIDE / METFORMIN", "GLIPIZIDE"), ("GLIPIZIDE / METFORMIN", "METFORMIN"),
        ("GLUCOPHAGE", "METFORMIN"), ("LONELY", "LONELY"), ("METFORMIN", "METFORMIN"),
        ("METFORMIN HYDROCHLORIDE", "METFORMIN"),
    ]  # fmt: skip


def test_meddra_terms_have_their_primary_place_and_queries_their_scope(lake: Lake, make: Make) -> None:
    # Made-up terms in the layout of the distribution files: MedDRA itself is licensed.
    hier = "1$11$12$13$Pt one$Hlt$Hlgt$Soc$S$$13$Y$\n1$11$12$14$Pt one$Hlt$Hlgt$Other$S$$13$N$\n"
    folder = "vocabulary/meddra/27.0/MedAscii"
    land(lake, f"{folder}/mdhier.asc", hier.encode())
    land(lake, f"{folder}/llt.asc", b"1$Pt one$1$$$$$$$Y$$\n2$Llt two$1$$$$$$$Y$$\n")
    land(lake, f"{folder}/smq_list.asc", b"9$Query$1$$$27.0$A$N$\n")
    land(lake, f"{folder}/smq_content.asc", b"9$1$4$2$A$0$A$27.0$27.0$\n9$2$5$1$A$0$A$27.0$27.0$\n")
    rows = make("meddra").sort("llt_code").select("llt", "pt", "soc", "version").rows()
    assert rows == [("Pt one", "Pt one", "Soc", "27.0"), ("Llt two", "Pt one", "Soc", "27.0")]
    assert make("meddra_smq").select("smq", "pt_code", "scope").rows() == [("Query", "1", "narrow")]
