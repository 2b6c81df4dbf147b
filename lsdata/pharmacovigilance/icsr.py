"""ICH E2B(R3) individual case safety reports: XML messages, one or many a file, data element by data element.

Source: ICH ICSR Implementation Guide version 5.02 (2016), with the regional elements of FDA left aside. Observation
codes are those of its code system 2.16.840.1.113883.3.989.2.1.1.19.
"""

import hashlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple
from xml.etree.ElementTree import Element, ParseError

import polars as pl

from lsdata.catalog import Dataset
from lsdata.catalog.pharmacovigilance import ICSR, ICSR_NARRATIVES
from lsdata.derived import arrow
from lsdata.errors import InvalidInput
from lsdata.lake.quarantine import Reject
from lsdata.lake.work import Outcome, Work

_NS = {"": "urn:hl7-org:v3"}
_MESSAGE = "{urn:hl7-org:v3}PORR_IN049016UV"
_SAFETY_REPORT, _WORLDWIDE = "2.16.840.1.113883.3.989.2.1.3.1", "2.16.840.1.113883.3.989.2.1.3.2"
IDENTIFYING = frozenset({"D.1", "D.2.1", "D.7.2", "H.1", "H.2", "H.4", "C.1.11.2"})
"""Elements that name a person or are free text: they are kept for stewards only."""
_SERIOUS = {"34": "E.i.3.2a", "21": "E.i.3.2b", "33": "E.i.3.2c", "35": "E.i.3.2d", "12": "E.i.3.2e", "26": "E.i.3.2f"}


class Value(NamedTuple):
    """A data element of a message; item and part as in `ICSR`."""

    element: str
    item: int
    part: int
    value: str | None
    unit: str | None = None
    version: str | None = None


def messages(data: bytes, where: str) -> Iterator[tuple[int, list[Value] | InvalidInput]]:
    """The messages of a file, each as its values or as the error that refuses it.

    Raises:
        InvalidInput: not well-formed, with a document type or entities, or without a message.
    """
    # Entities can blow up or read files (CWE-776, CWE-611); the standard parser would let them.
    from defusedxml import DefusedXmlException, ElementTree  # pyright: ignore[reportMissingModuleSource]

    try:
        root: Element = ElementTree.fromstring(data, forbid_dtd=True)
    except (ParseError, DefusedXmlException, ValueError) as error:
        raise _refused(where, "not_xml", f"not well-formed or not safe ({type(error).__name__})", "XML") from error
    batch = [value.get("value") for value in root.iterfind("creationTime", _NS)]
    found = [root] if root.tag == _MESSAGE else list(root.iter(_MESSAGE))
    if not found:
        raise _refused(where, "no_message", "no PORR_IN049016UV", "ICH E2B(R3) messages")
    for number, message in enumerate(found, 1):
        try:
            values = list(_values(message, f"{where}, message {number}"))
        except InvalidInput as error:
            yield number, error
            continue
        sent = batch[0] if batch and root.tag != _MESSAGE else None
        yield number, ([Value("N.1.5", 0, 0, sent)] if sent else []) + values


def _refused(where: str, code: str, found: str, allowed: str) -> InvalidInput:
    return InvalidInput(where, code=code, found=found, allowed=allowed, do="Have the sender correct it.")


def _values(message: Element, where: str) -> Iterator[Value]:
    act = message.find("controlActProcess", _NS)
    case = message.find("controlActProcess/subject/investigationEvent", _NS)
    if act is None or case is None:
        raise _refused(where, "no_case", "no investigationEvent", "a case in every message")
    ids = {one.get("root"): one.get("extension") for one in case.iterfind("id", _NS)}
    if not (ids.get(_SAFETY_REPORT) or ids.get(_WORLDWIDE)):
        raise _refused(where, "no_case_id", "neither C.1.1 nor C.1.8.1", "an identified case")
    yield from _some(
        Value("N.2.r.1", 0, 0, _get(message, "id", "extension")),
        Value("N.2.r.4", 0, 0, _get(message, "creationTime", "value")),
        Value("C.1.1", 0, 0, ids.get(_SAFETY_REPORT)),
        Value("C.1.8.1", 0, 0, ids.get(_WORLDWIDE)),
        Value("C.1.2", 0, 0, _get(act, "effectiveTime", "value")),
        Value("C.1.4", 0, 0, _get(case, "effectiveTime/low", "value")),
        Value("C.1.5", 0, 0, _get(case, "availabilityTime", "value")),
        Value("H.1", 0, 0, _words(case, "text")),
    )
    for told in case.iterfind("subjectOf2/investigationCharacteristic", _NS):
        match _get(told, "code", "code"):
            case "1":
                yield from _some(Value("C.1.3", 0, 0, _get(told, "value", "code")))
            case "3":
                yield from _some(Value("C.1.11.1", 0, 0, _get(told, "value", "code")))
            case "4":
                reason = _words(told, "value/originalText") or _words(told, "value")
                yield from _some(Value("C.1.11.2", 0, 0, reason))
            case _:
                pass
    yield from _reporters(case)
    for assessment in case.iterfind("component/adverseEventAssessment", _NS):
        yield from _assessment(assessment)


def _reporters(case: Element) -> Iterator[Value]:
    item = 0
    for told in case.iterfind("outboundRelationship", _NS):
        about = told.find("relatedInvestigation", _NS)
        if about is None or _get(about, "code", "code") != "2":
            continue
        item += 1
        person = "subjectOf2/controlActEvent/author/assignedEntity/assignedPerson"
        yield from _some(
            Value("C.2.r.3", item, 0, _get(about, f"{person}/asLocatedEntity/location/code", "code")),
            Value("C.2.r.4", item, 0, _get(about, f"{person}/asQualifiedEntity/code", "code")),
            Value("C.2.r.5", item, 0, _get(told, "priorityNumber", "value")),
        )


def _assessment(assessment: Element) -> Iterator[Value]:
    role = assessment.find("subject1/primaryRole", _NS)
    if role is None:
        return
    yield from _some(
        Value("D.1", 0, 0, _words(role, "player1/name")),
        Value("D.2.1", 0, 0, _get(role, "player1/birthTime", "value")),
        Value("D.5", 0, 0, _get(role, "player1/administrativeGenderCode", "code")),
    )
    roles: dict[str, str | None] = {}
    for told in assessment.iterfind("component/causalityAssessment", _NS):
        if _get(told, "code", "code") == "20":
            drug = _get(told, "subject2/productUseReference/id", "root")
            roles[drug or ""] = _get(told, "value", "code")
    for told in assessment.iterfind("component1/observationEvent", _NS):
        if _get(told, "code", "code") in ("10", "15"):
            element = "H.2" if _get(told, "code", "code") == "10" else "H.4"
            yield from _some(Value(element, 0, 0, _words(told, "value")))
    reaction = 0
    for told in role.iterfind("subjectOf2/observation", _NS):
        code, value = _get(told, "code", "code"), told.find("value", _NS)
        if value is None:
            continue
        if code == "3":
            yield from _some(Value("D.2.2", 0, 0, value.get("value"), value.get("unit")))
        elif code == "4":
            yield from _some(Value("D.2.3", 0, 0, value.get("code")))
        elif code == "7":
            yield from _some(Value("D.3", 0, 0, value.get("value"), value.get("unit")))
        elif code == "29":
            reaction += 1
            yield from _reaction(told, value, reaction)
    for organizer in role.iterfind("subjectOf2/organizer", _NS):
        code = _get(organizer, "code", "code")
        if code == "1":
            for told in organizer.iterfind("component/observation", _NS):
                if _get(told, "code", "code") == "18":
                    yield from _some(Value("D.7.2", 0, 0, _words(told, "value")))
        elif code == "4":
            for item, told in enumerate(organizer.iterfind("component/substanceAdministration", _NS), 1):
                yield from _drug(told, item, roles.get(_get(told, "id", "root") or ""))


def _reaction(told: Element, value: Element, item: int) -> Iterator[Value]:
    yield from _some(
        Value("E.i.1.1a", item, 0, _words(value, "originalText")),
        Value("E.i.2.1b", item, 0, value.get("code"), None, value.get("codeSystemVersion")),
        Value("E.i.2.1b.name", item, 0, value.get("displayName")),
        Value("E.i.4", item, 0, _get(told, "effectiveTime/low", "value") or _deep(told, "low")),
        Value("E.i.5", item, 0, _get(told, "effectiveTime/high", "value") or _deep(told, "high")),
        Value("E.i.9", item, 0, _get(told, "location/locatedEntity/locatedPlace/code", "code")),
    )
    for more in told.iterfind("outboundRelationship2/observation", _NS):
        code, said = _get(more, "code", "code") or "", more.find("value", _NS)
        if said is None:
            continue
        if code in _SERIOUS:
            yield from _some(Value(_SERIOUS[code], item, 0, said.get("value")))
        elif code == "27":
            yield from _some(Value("E.i.7", item, 0, said.get("code")))
        elif code == "30":
            yield from _some(Value("E.i.1.2", item, 0, said.text))


def _drug(told: Element, item: int, role: str | None) -> Iterator[Value]:
    product = "consumable/instanceOfKind/kindOfProduct"
    yield from _some(
        Value("G.k.1", item, 0, role),
        Value("G.k.2.2", item, 0, _words(told, f"{product}/name")),
        Value("G.k.8", item, 0, _get(told, "inboundRelationship/act/code", "code")),
    )
    for part, one in enumerate(told.iterfind(f"{product}/ingredient/ingredientSubstance", _NS), 1):
        yield from _some(Value("G.k.2.3.r.1", item, part, _words(one, "name")))
    for part, one in enumerate(told.iterfind("outboundRelationship2/substanceAdministration", _NS), 1):
        yield from _some(
            Value("G.k.4.r.4", item, part, _deep(one, "low")),
            Value("G.k.4.r.5", item, part, _deep(one, "high")),
            Value("G.k.4.r.8", item, part, _words(one, "text")),
            Value("G.k.4.r.10.1", item, part, _words(one, "routeCode/originalText")),
        )
    part = 0
    for one in told.iterfind("inboundRelationship/observation", _NS):
        if _get(one, "code", "code") == "19":
            part += 1
            yield from _some(
                Value("G.k.7.r.1", item, part, _words(one, "value/originalText")),
                Value(
                    "G.k.7.r.2b", item, part, _get(one, "value", "code"), None, _get(one, "value", "codeSystemVersion")
                ),
            )


def _some(*values: Value) -> list[Value]:
    return [value for value in values if value.value]


def _get(at: Element, path: str, name: str) -> str | None:
    found = at.find(path, _NS)
    return None if found is None else found.get(name)


def _deep(at: Element, end: str) -> str | None:
    """The low or high end of an element's time, which may be composed of several."""
    time = at.find("effectiveTime", _NS)
    found = next(time.iter(f"{{urn:hl7-org:v3}}{end}"), None) if time is not None else None
    return None if found is None else found.get("value")


def _words(at: Element, path: str) -> str | None:
    found = at.find(path, _NS)
    text = "".join(found.itertext()).strip() if found is not None else ""
    return text or None


# -- a delivery ------------------------------------------------------------------------------------------------------


def elements(work: Work, dataset: Dataset) -> Outcome:
    """The data elements of a file that the dataset may hold: identifying ones or all others.

    A message that names no case is refused, the others go on.

    Raises:
        InvalidInput: the file holds no message that can be read.
    """
    wanted: Callable[[str], bool] = lambda e: (e in IDENTIFYING) == (dataset == ICSR_NARRATIVES)  # noqa: E731
    rows: list[tuple[Any, ...]] = []
    rejects: list[Reject] = []
    landed: dict[str, str] = {}
    for file in work.landed:
        path = work.landing.local(file.path)
        data = path.read_bytes()
        landed[file.path] = hashlib.sha256(data).hexdigest()
        for number, found in messages(data, file.path):
            if isinstance(found, InvalidInput):
                rejects.append(Reject.of(found, f"{file.path} message {number}", [path]))
                continue
            rows += [(work.partition, number, *value) for value in _once(found) if wanted(value.element)]
    schema = arrow.polars_schema(ICSR)
    frame = pl.DataFrame(rows, schema=schema, orient="row")
    return Outcome(rows=frame.select(dataset.names), landed=landed, rejects=tuple(rejects))


def _once(values: Sequence[Value]) -> Iterator[Value]:
    """The first value of each element of an item."""
    seen: set[tuple[str, int, int]] = set()
    for value in values:
        if value[:3] not in seen:
            seen.add(value[:3])
            yield value
