"""What the name of a column says: its words, however they are joined."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Set as AbstractSet
from functools import lru_cache

# "customerID", "MS SubClass" and "two_year_recid" are words in three ways of joining.
WORD_PATTERN = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+|[^\W\d_A-Za-z]+")
MAX_JOINED_WORDS = 3  # words that are tried as one: "country of birth"


def strip_accents(text: str) -> str:
    """Text with its letters bare of accents.

    >>> without_accents("Größe, état")
    'Grosse, etat'
    """
    decomposed = unicodedata.normalize("NFKD", text.replace("ß", "ss"))
    return "".join(letter for letter in decomposed if not unicodedata.combining(letter))


@lru_cache(maxsize=10_000)
def split_words(name: str) -> tuple[str, ...]:
    """The words of a column name, in lower case and without accents.

    >>> words_of("customerID"), words_of("MS SubClass"), words_of("état_civil.1")
    (('customer', 'id'), ('ms', 'sub', 'class'), ('etat', 'civil', '1'))
    """
    return tuple(word.lower() for word in WORD_PATTERN.findall(strip_accents(name)))


def find_known_words(name: str, known: AbstractSet[str]) -> tuple[str, ...]:
    """The known words that stand in a name as a whole word, or as neighbouring words joined.

    >>> words_within("Marital_Status", {"maritalstatus", "stat"})
    ('maritalstatus',)
    """
    words = split_words(name)
    candidates = (
        "".join(words[start : start + length])
        for length in range(1, MAX_JOINED_WORDS + 1)
        for start in range(len(words) - length + 1)
    )
    return tuple(word for word in candidates if word in known)


AFTER_OUTCOME_WORDS = frozenset({
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
BEFORE_OUTCOME_WORDS = frozenset({
    "previous", "prev", "prior", "past", "last", "lag", "lagged", "history", "historical", "hist",
    "before", "baseline", "initial", "first", "old", "former", "earlier", "yesterday", "ago",
    "opening", "planned", "expected", "predicted", "forecast", "estimated", "scheduled",
    "vorher", "letzte", "letzter", "vorige", "anterior", "precedent",
})  # fmt: skip
COMMON_WORDS = frozenset({
    "median", "mean", "average", "total", "value", "values", "rate", "count", "name", "type",
    "level", "amount", "year", "years", "month", "months", "week", "weeks", "day", "days", "next",
    "three", "four", "five", "flag", "target", "label", "class", "number", "index", "status",
    "binary", "category", "group", "code", "date", "time", "within", "this", "will", "with",
    "from", "have", "does", "column", "feature", "variable", "field", "attribute", "output",
    "score", "risk", "high", "current", "quality", "indicator",
})  # fmt: skip
STEM_SUFFIXES = ("ations", "ation", "ings", "ing", "ers", "er", "ies", "ed", "es", "s", "e", "y")
MIN_STEM_LETTERS = 4  # letters of a stem


def stem(word: str) -> str:
    """A word without its usual ending, so that kin can be told.

    >>> stem("housing") == stem("houses"), stem("sale") == stem("sales")
    (True, True)
    """
    for suffix in STEM_SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= MIN_STEM_LETTERS:
            return word.removesuffix(suffix)
    return word


def shared_word(name: str, target: str) -> str | None:
    """A word that a column shares with the target, everyday words and the past left out.

    >>> kin("is_recid", "two_year_recid"), kin("last_recid", "two_year_recid")
    ('recid', None)
    """
    if find_known_words(name, BEFORE_OUTCOME_WORDS):
        return None
    target_stems = {stem(word) for word in split_words(target) if word not in COMMON_WORDS}
    shared_words = [
        word
        for word in split_words(name)
        if stem(word) in target_stems and len(stem(word)) >= MIN_STEM_LETTERS
    ]
    return shared_words[0] if shared_words else None


def suggests_after_outcome(name: str) -> str | None:
    """The word by which a column sounds as if it were known only after the event, if there is one.

    >>> sounds_later("discharge_date"), sounds_later("last_outcome")
    ('discharge', None)
    """
    if find_known_words(name, BEFORE_OUTCOME_WORDS):
        return None
    matches = find_known_words(name, AFTER_OUTCOME_WORDS)
    return matches[0] if matches else None


PERSON_AGE_WORDS = frozenset({
    "group", "cat", "category", "band", "range", "bracket", "bucket", "class", "years", "year",
    "yrs", "in", "at", "entry", "customer", "client", "patient", "driver", "applicant", "person",
    "user", "insured", "policyholder", "employee", "member", "mother", "father", "respondent",
    "borrower", "student", "subject", "participant", "donor", "holder", "current",
})  # fmt: skip
PROTECTED_ATTRIBUTE_WORDS = frozenset({
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


def suggests_protected_attribute(name: str) -> str | None:
    """The word by which a column sounds as if it were about who a person is, if there is one.

    The age of a house is not: "age" counts alone or beside a word for people.

    >>> sounds_sensitive("Native-Country"), sounds_sensitive("house_age")
    ('nativecountry', None)
    """
    matches = [word for word in find_known_words(name, PROTECTED_ATTRIBUTE_WORDS) if word != "age"]
    words = split_words(name)
    if not matches and "age" in words and all(w == "age" or w in PERSON_AGE_WORDS for w in words):
        return "age"
    return matches[-1] if matches else None
