"""Notes made of other templates, names and formats than the development data: nothing that was planted survives."""

import random
import re
from dataclasses import dataclass, field
from datetime import date

import pytest

from lsdata.deid.gazetteer import first_names, surnames
from lsdata.deid.scrub import Scrubber

# Names that are words as well, beside the usual ones.
_FIRST = ("Will", "May", "Grace", "Hope", "Summer", "Mark", "Art", "Drew", "Faith", "June", "Rich", "Frank")
_LAST = ("Young", "Long", "White", "Rice", "Woods", "Banks", "Price", "Love", "Bishop", "Park", "Orange", "Reading")
_TOWNS = ("Reading", "Orange", "Mobile", "Salem", "Kalamazoo", "Sandusky", "West Orange", "Santa Rosa")
_CARRIERS = (
    "The abdomen is soft and nontender, without hepatosplenomegaly.",
    "Blood pressure 118/76, pulse 92, temperature 98.6.",
    "Denies fever, chills, nausea or vomiting.",
    "Lasix 40 mg daily was continued.",
    "Strength 5/5 throughout; Babinski sign negative.",
)
_FORMS = (
    "{m:02}/{d:02}/{y}",
    "{y}-{m:02}-{d:02}",
    "{d:02}.{m:02}.{y}",
    "{month} {d}, {y}",
    "{d} {month} {y}",
    "{d:02}{mon}{y}",
    "{mon}-{d:02}-{y}",
    "{d}/{m}/{y}",
    "{month} {d}",
)


@dataclass
class _Draw:
    seed: int
    planted: list[str] = field(default_factory=list[str])

    def __post_init__(self) -> None:
        self.draw = random.Random(self.seed)

    def plant(self, value: str) -> str:
        self.planted.append(value)
        return value

    def digits(self, count: int) -> str:
        return str(self.draw.randrange(10 ** (count - 1), 10**count))

    def first(self) -> str:
        return self.draw.choice(_FIRST if self.draw.random() < 0.2 else first_names()[:400]).title()

    def last(self) -> str:
        return self.draw.choice(_LAST if self.draw.random() < 0.2 else surnames()[:1_000]).title()

    def day(self) -> str:
        day = date(self.draw.randint(1995, 2024), self.draw.randint(1, 12), self.draw.randint(13, 28))
        names = {"month": day.strftime("%B"), "mon": day.strftime("%b").upper()}
        return self.draw.choice(_FORMS).format(y=day.year, m=day.month, d=day.day, **names)

    def phone(self) -> str:
        area, office, line = self.draw.randint(201, 989), self.draw.randint(201, 989), self.digits(4)
        form = self.draw.choice(("({}) {}-{}", "{}.{}.{}", "{}-{}-{}", "+1 {} {} {}", "{}/{}-{}"))
        return form.format(area, office, line)

    def note(self) -> tuple[str, dict[str, str]]:
        """A note with a record; what was planted in it is in `planted`."""
        first, last, mrn = self.first(), self.last(), self.draw.choice(("", "H", "MR-")) + self.digits(8)
        phone, street = (
            self.phone(),
            f"{self.digits(3)} {self.last()} {self.draw.choice(('St', 'Ave', 'Road', 'Blvd'))}",
        )
        patient = {"first": first, "last": last, "mrn": mrn, "phone": phone, "street": street}
        plant = self.plant
        head = self.draw.choice(
            (
                f"{last.upper()}, {first.upper()}    {mrn}\n",
                f"RE: {first} {last}   Chart #: {mrn}\n",
                f"Patient name: {last}, {first}\nUnit No: {mrn}\n",
                f"To whom it may concern: {first} {last} of {street} was seen.\n",
            )
        )
        told = [
            f"Mr. {last} tolerated this well.",
            f"Reach the family at {phone}.",
            f"Seen on {plant(self.day())} by Dr. {plant(self.first())} {plant(self.last())}.",
            f"Next visit {plant(self.day())} with {plant(self.first())} {plant(self.last())}, NP.",
            f"Policy # W{plant(self.digits(9))}.",
            f"Results faxed to {plant(self.phone())}.",
            f"Accession no. S-{plant(self.digits(2))}-{plant(self.digits(5))}.",
            f"Moved here from {plant(self.draw.choice(_TOWNS))}, PA {plant(self.digits(5))}.",
            f"His mother died at {plant(str(self.draw.randint(90, 104)))}.",
            f"Login from 10.{self.digits(2)}.{self.digits(2)}.{plant(self.digits(3))}.",
            f"VIN 1HGCM82633A{plant(self.digits(6))}.",
        ]
        self.draw.shuffle(told)
        body = " ".join(f"{sentence} {self.draw.choice(_CARRIERS)}" for sentence in told)
        self.planted += [first, last, mrn.removeprefix("MR-"), *re.findall(r"\d+", phone), street.rsplit(" ", 1)[0]]
        return f"{head}\nHPI: {body}\nSigned: {plant(self.first())} {plant(self.last())}, MD\n", patient


@pytest.mark.parametrize("seed", range(40))
def test_nothing_planted_survives_and_the_medicine_does(seed: int) -> None:
    drawn = _Draw(seed)
    text, patient = drawn.note()
    [made] = Scrubber(ner=False).scrub([text], [patient])
    assert made.withheld is None
    left = re.sub(r"\[[A-Z_0-9]+\]", "|", made.text)
    for carrier in (carrier for carrier in _CARRIERS if carrier in text):
        assert carrier in left, carrier
        left = left.replace(carrier, "|")
    survivors = [value for value in drawn.planted if re.search(rf"(?<!\w){re.escape(value)}(?!\w)", left)]
    assert survivors == []


def test_a_plain_sentence_around_the_plants_stays() -> None:
    text, patient = _Draw(1).note()
    [made] = Scrubber(ner=False).scrub([text], [patient])
    for phrase in ("tolerated this well", "Reach the family at", "died at [AGE]", "Next visit [DATE] with [NAME], NP"):
        assert phrase in made.text
