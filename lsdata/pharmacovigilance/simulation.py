"""Quarters in FAERS format with signals, duplicates, follow-ups, deletions and masking planted: what the demo lands.

All names are made up. The same seed gives the same bytes.
"""

import io
import json
import zipfile
from dataclasses import asdict, dataclass, field, replace
from datetime import date, timedelta
from pathlib import Path

import numpy as np

QUARTERS = ("2023q1", "2023q2", "2023q3", "2023q4")
_SEED = 20230101
_CASES = 1500
"""New cases a quarter."""
_DUPLICATES, _FOLLOW_UPS, _DELETED = 12, 60, 8
"""Planted in each quarter but the first."""
_STEMS = ("ZEM", "LOR", "VAX", "QUIN", "DOR", "PEL", "RAM", "TIX", "MOR", "FEN")
_DRUGS = tuple(f"{stem}{end}" for stem in _STEMS for end in ("ATIDE", "OXIL", "ADINE", "UMOL"))
_SALTS = ("", " HYDROCHLORIDE", " SODIUM", "")
_EVENTS = tuple(
    f"{what} {where}" for what in ("Pain", "Swelling", "Itching", "Weakness", "Numbness", "Stiffness")
    for where in ("arm", "leg", "back", "neck", "hand", "foot", "chest")
)  # fmt: skip
_ODDS = 12.0
"""How many times likelier a planted event is with its drug."""
MASKER, MASKED, MASKED_EVENT = "LOROXIL", "PELADINE", "Dizziness sudden"


@dataclass(frozen=True)
class Truth:
    """What was planted.

    Attributes:
        signals: drug, event and the quarter from which on it is reported more often.
        masked: drug and event that the masker hides.
        duplicates: report and the one it repeats.
        deleted: case numbers, by the quarter of their list.
    """

    signals: list[tuple[str, str, str]] = field(default_factory=list[tuple[str, str, str]])
    masked: tuple[str, str, str] = (MASKED, MASKED_EVENT, MASKER)
    duplicates: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])
    deleted: dict[str, list[str]] = field(default_factory=dict[str, list[str]])


_PLANTED = (
    ("ZEMATIDE", "Weakness leg", "2023q1"),
    ("VAXADINE", "Itching neck", "2023q1"),
    ("TIXUMOL", "Swelling foot", "2023q3"),
)
_HEADERS = {
    "DEMO": "primaryid$caseid$caseversion$i_f_code$event_dt$mfr_dt$init_fda_dt$fda_dt$rept_cod$auth_num$mfr_num$"
    "mfr_sndr$lit_ref$age$age_cod$age_grp$sex$e_sub$wt$wt_cod$rept_dt$to_mfr$occp_cod$reporter_country$occr_country",
    "DRUG": "primaryid$caseid$drug_seq$role_cod$drugname$prod_ai$val_vbm$route$dose_vbm$cum_dose_chr$cum_dose_unit$"
    "dechal$rechal$lot_num$exp_dt$nda_num$dose_amt$dose_unit$dose_form$dose_freq",
    "REAC": "primaryid$caseid$pt$drug_rec_act",
    "OUTC": "primaryid$caseid$outc_cod",
    "RPSR": "primaryid$caseid$rpsr_cod",
    "THER": "primaryid$caseid$dsg_drug_seq$start_dt$end_dt$dur$dur_cod",
    "INDI": "primaryid$caseid$indi_drug_seq$indi_pt",
}


@dataclass
class _Case:
    number: int
    version: int
    received: date
    event: date
    sex: str
    age: int
    country: str
    drugs: list[tuple[str, str]]
    events: list[str]
    started: date

    @property
    def report(self) -> str:
        return f"{self.number}{self.version}"


def simulate(landing: Path) -> Truth:
    """Write the quarters and the lists of deleted cases below a landing zone; what was planted."""
    draw = np.random.default_rng(_SEED)
    truth = Truth(signals=list(_PLANTED))
    known: list[_Case] = []
    for quarter in QUARTERS:
        first = date(int(quarter[:4]), 3 * int(quarter[5]) - 2, 1)
        cases = [_case(draw, 30_000_001 + len(known) + i, quarter, first) for i in range(_CASES)]
        extra: list[_Case] = []
        if known:
            for i, old in enumerate(_some(draw, known, _DUPLICATES)):
                twin = replace(
                    old, number=40_000_001 + len(truth.duplicates), version=1, received=first + timedelta(days=i)
                )
                truth.duplicates.append((twin.report, old.report))
                extra.append(twin)
            later = [replace(c, version=2, received=first + timedelta(days=40))
                     for c in _some(draw, [k for k in known if k.version == 1], _FOLLOW_UPS)]  # fmt: skip
            extra += later
            gone = [str(c.number) for c in _some(draw, known[:_CASES], _DELETED)]
            truth.deleted[quarter] = gone
            _write(landing / "faers" / "deleted" / f"DELETE{quarter[2:4]}Q{quarter[5]}.txt", "\r\n".join(gone) + "\r\n")
        _zip(landing / "faers" / f"faers_ascii_{quarter}.zip", quarter, [*cases, *extra])
        known += cases
    return truth


def _some(draw: np.random.Generator, cases: list[_Case], n: int) -> list[_Case]:
    return [cases[int(i)] for i in draw.choice(len(cases), n, replace=False)]


def _case(draw: np.random.Generator, number: int, quarter: str, first: date) -> _Case:
    received = first + timedelta(days=int(draw.integers(0, 88)))
    event = received - timedelta(days=int(draw.integers(1, 200)))
    weights = 1 / np.arange(2, len(_DRUGS) + 2)
    drugs = [_DRUGS[int(i)] for i in draw.choice(len(_DRUGS), int(draw.integers(1, 4)), False, weights / weights.sum())]
    masker = draw.random() < 0.12
    if masker:
        drugs = [MASKER]
    common = 1 / np.arange(3, len(_EVENTS) + 3)
    odds = common / common.sum()
    for drug, what, since in _PLANTED:
        if drug in drugs and quarter >= since:
            odds[_EVENTS.index(what)] *= _ODDS
    events = [_EVENTS[int(i)] for i in draw.choice(len(_EVENTS), int(draw.integers(1, 4)), False, odds / odds.sum())]
    chance = 0.9 if masker else 0.35 if MASKED in drugs else 0.02
    if draw.random() < chance:
        events.append(MASKED_EVENT)
    planted = [what for drug, what, _ in _PLANTED if drug in drugs and what in events]
    # Planted events come early (shape 0.7), all others at any time (shape 1).
    days = 20 * draw.weibull(0.7) if planted else 60 * draw.weibull(1.0)
    return _Case(
        number, 1, received, event, "FM"[int(draw.integers(0, 2))], int(draw.integers(18, 90)),
        ("US", "DE", "FR", "JP")[int(draw.integers(0, 4))],
        [(d, ("PS" if i == 0 else "SS" if draw.random() < 0.4 else "C")) for i, d in enumerate(drugs)],
        events, event - timedelta(days=int(min(days, 2000))),
    )  # fmt: skip


def _zip(path: Path, quarter: str, cases: list[_Case]) -> None:
    lines: dict[str, list[str]] = {name: [header] for name, header in _HEADERS.items()}
    for c in cases:
        key = f"{c.report}${c.number}"
        day = c.received.strftime("%Y%m%d")
        lines["DEMO"].append(
            f"{key}${c.version}${'I' if c.version == 1 else 'F'}${c.event:%Y%m%d}$${day}${day}$EXP$$$DEMO$$"
            f"{c.age}$YR$A${c.sex}$Y$$${day}$$MD${c.country}${c.country}"
        )
        for n, (drug, role) in enumerate(c.drugs, 1):
            salt = _SALTS[_DRUGS.index(drug) % len(_SALTS)]
            lines["DRUG"].append(f"{key}${n}${role}${drug} 10 MG${drug}{salt}$1$Oral$$$$$$$$$$$$")
            lines["THER"].append(f"{key}${n}${c.started:%Y%m%d}$$$")
            lines["INDI"].append(f"{key}${n}${'Pain relief' if c.number % 3 else 'Prevention'}")
        lines["REAC"] += [f"{key}${event}$" for event in c.events]
        if c.number % 4 == 0:
            lines["OUTC"].append(f"{key}$HO")
        if c.number % 10 == 0:
            lines["RPSR"].append(f"{key}$HP")
    # A torn record, as real quarters have them: it is joined again.
    lines["DRUG"][5] = lines["DRUG"][5].replace(" 10 MG$", "\r\n10 MG$", 1)
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, told in lines.items():
            member = zipfile.ZipInfo(f"ascii/{name}{quarter[2:4]}Q{quarter[5]}.txt", (2023, 1, 1, 0, 0, 0))
            archive.writestr(member, "\r\n".join(told) + "\r\n", zipfile.ZIP_DEFLATED)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(out.getvalue())


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, newline="")


def keep(truth: Truth, path: Path) -> None:
    """Write down what was planted."""
    _write(path, json.dumps(asdict(truth), indent=2) + "\n")
