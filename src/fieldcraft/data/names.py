"""What the name of a column says: its words, however they are joined."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Set as AbstractSet
from functools import lru_cache

# "customerID", "MS SubClass" and "two_year_recid" are words in three ways of joining.
WORD = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
LONGEST = 3  # words that are tried as one: "country of birth"


def without_accents(text: str) -> str:
    """Text with its letters bare of accents.

    >>> without_accents("Größe, état")
    'Grosse, etat'
    """
    bare = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    return "".join(letter for letter in bare if not unicodedata.combining(letter))


@lru_cache(maxsize=10_000)
def words_of(name: str) -> tuple[str, ...]:
    """The words of a column name, in lower case and without accents.

    >>> words_of("customerID"), words_of("MS SubClass"), words_of("état_civil.1")
    (('customer', 'id'), ('ms', 'sub', 'class'), ('etat', 'civil', '1'))
    """
    return tuple(word.lower() for word in WORD.findall(without_accents(name)))


def words_within(name: str, known: AbstractSet[str]) -> tuple[str, ...]:
    """The known words that stand in a name as a whole word, or as neighbouring words joined.

    >>> words_within("Marital_Status", {"maritalstatus", "stat"})
    ('maritalstatus',)
    """
    words = words_of(name)
    found = (
        "".join(words[start : start + length])
        for length in range(1, LONGEST + 1)
        for start in range(len(words) - length + 1)
    )
    return tuple(word for word in found if word in known)


AFTERWARDS = frozenset({
    "outcome", "outcomes", "closed", "closure", "chargeoff", "chargedoff", "discharge",
    "discharged", "deceased", "death", "died", "dead", "final", "actual", "resolved",
    "resolution", "settled", "settlement", "payoff", "paidoff", "paid", "repaid", "cancelled",
    "canceled", "cancellation", "churned", "refund", "refunded", "returned", "terminated",
    "termination", "exit", "exited", "recovered", "recovery", "recid", "recidivism", "verdict",
    "decision", "approved", "rejected", "denied", "declined", "end", "ended", "ending", "event",
    "completed", "completion", "finished", "followup", "post", "after", "afterwards",
    "result", "results", "converted", "conversion", "won", "lost", "delivered", "realized",
    "realised", "writeoff", "collections", "survived", "failed", "ergebnis", "ende", "danach",
    "nachher", "resultat", "resultado", "risultato", "esito",
})  # fmt: skip
BEFOREHAND = frozenset({
    "previous", "prev", "prior", "past", "last", "lag", "lagged", "history", "historical", "hist",
    "before", "baseline", "initial", "first", "old", "former", "earlier", "yesterday", "ago",
    "opening", "planned", "expected", "predicted", "forecast", "estimated", "scheduled",
    "vorher", "letzte", "letzter", "vorige", "anterior", "precedent",
})  # fmt: skip
EVERYDAY = frozenset({
    "median", "mean", "average", "total", "value", "values", "rate", "count", "name", "type",
    "level", "amount", "year", "years", "month", "months", "week", "weeks", "day", "days", "next",
    "three", "four", "five", "flag", "target", "label", "class", "number", "index", "status",
    "binary", "category", "group", "code", "date", "time", "within", "this", "will", "with",
    "from", "have", "does", "column", "feature", "variable", "field", "attribute", "output",
    "score", "risk", "high", "current", "quality", "indicator",
})  # fmt: skip
ENDINGS = ("ations", "ation", "ings", "ing", "ers", "er", "ies", "ed", "es", "s", "e", "y")
SHORTEST = 4  # letters of a stem


def stem(word: str) -> str:
    """A word without its usual ending, so that kin can be told.

    >>> stem("housing") == stem("houses"), stem("sale") == stem("sales")
    (True, True)
    """
    for ending in ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= SHORTEST:
            return word.removesuffix(ending)
    return word


def kin(name: str, target: str) -> str | None:
    """A word that a column shares with the target, everyday words and the past left out.

    >>> kin("is_recid", "two_year_recid"), kin("last_recid", "two_year_recid")
    ('recid', None)
    """
    if words_within(name, BEFOREHAND):
        return None
    ours = {stem(word) for word in words_of(target) if word not in EVERYDAY}
    shared = [word for word in words_of(name) if stem(word) in ours and len(stem(word)) >= SHORTEST]
    return shared[0] if shared else None


def sounds_later(name: str) -> str | None:
    """The word by which a column sounds as if it were known only after the event, if there is one.

    >>> sounds_later("discharge_date"), sounds_later("last_outcome")
    ('discharge', None)
    """
    if words_within(name, BEFOREHAND):
        return None
    found = words_within(name, AFTERWARDS)
    return found[0] if found else None


AGES = frozenset({
    "group", "cat", "category", "band", "range", "bracket", "bucket", "class", "years", "year",
    "yrs", "in", "at", "entry", "customer", "client", "patient", "driver", "applicant", "person",
    "user", "insured", "policyholder", "employee", "member", "mother", "father", "respondent",
    "borrower", "student", "subject", "participant", "donor", "holder", "current",
})  # fmt: skip
SENSITIVE = frozenset({
    "sex", "gender", "female", "male", "geschlecht", "sexe", "sexo", "genero", "sesso", "geslacht",
    "transgender", "pronouns", "sexualorientation", "orientationsexuelle",
    "race", "races", "ethnicity", "ethnic", "ethnicgroup", "ethnie", "raza", "raca", "etnia",
    "etnicidad", "hispanic", "latino", "latina", "skincolor", "skincolour", "caste", "tribe",
    "hautfarbe", "religion", "religious", "religione", "faith", "creed", "konfession", "culte",
    "nationality", "nationalitat", "nationalite", "nacionalidad", "nacionalidade", "nazionalita",
    "citizenship", "citizen", "nativecountry", "birthcountry", "countryofbirth", "placeofbirth",
    "birthplace", "geburtsland", "geburtsort", "nationalorigin", "staatsangehorigkeit",
    "foreignworker", "foreigner", "immigrant", "immigration", "migrant", "nativelanguage",
    "mothertongue", "muttersprache", "age", "alter", "edad", "idade", "leeftijd", "dob",
    "dateofbirth", "birthdate", "birthday", "birthyear", "yearofbirth", "geburtsdatum",
    "geburtsjahr", "seniorcitizen", "maritalstatus", "marital", "marriage", "married",
    "civilstatus", "personalstatus", "familystatus", "familienstand", "etatcivil", "estadocivil",
    "statocivile", "disability", "disabled", "handicap", "handicapped", "behinderung",
    "discapacidad", "pregnancy", "pregnant", "schwanger", "veteran", "politicalparty",
    "politicalaffiliation", "unionmember",
})  # fmt: skip


def sounds_sensitive(name: str) -> str | None:
    """The word by which a column sounds as if it were about who a person is, if there is one.

    The age of a house is not: "age" counts alone or beside a word for people.

    >>> sounds_sensitive("Native-Country"), sounds_sensitive("house_age")
    ('nativecountry', None)
    """
    found = [word for word in words_within(name, SENSITIVE) if word != "age"]
    words = words_of(name)
    if not found and "age" in words and all(w == "age" or w in AGES for w in words):
        return "age"
    return found[-1] if found else None
