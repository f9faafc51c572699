"""Words in column names that suggest values known after the outcome, or protected attributes."""

from __future__ import annotations

from collections.abc import Set as AbstractSet

from fieldcraft.contracts import CheckContext
from fieldcraft.data.column_names import split_words

MAX_JOINED_WORDS = 3  # neighboring words that are matched as one: "country of birth"
# Words for an event that ends a case. A column named after one is often filled in afterwards.
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
# Words for an earlier time: "last_outcome" is known when the next one is predicted.
BEFORE_OUTCOME_WORDS = frozenset({
    "previous", "prev", "prior", "past", "last", "lag", "lagged", "history", "historical", "hist",
    "before", "baseline", "initial", "first", "old", "former", "earlier", "yesterday", "ago",
    "opening", "planned", "expected", "predicted", "forecast", "estimated", "scheduled",
    "vorher", "letzte", "letzter", "vorige", "anterior", "precedent",
})  # fmt: skip
# Too common to show that two columns are about the same thing.
COMMON_WORDS = frozenset({
    "median", "mean", "average", "total", "value", "values", "rate", "count", "name", "type",
    "level", "amount", "year", "years", "month", "months", "week", "weeks", "day", "days", "next",
    "three", "four", "five", "flag", "target", "label", "class", "number", "index", "status",
    "binary", "category", "group", "code", "date", "time", "within", "this", "will", "with",
    "from", "have", "does", "column", "feature", "variable", "field", "attribute", "output",
    "score", "risk", "high", "current", "quality", "indicator",
})  # fmt: skip
# Longest first, as the first match is cut off.
STEM_SUFFIXES = ("ations", "ation", "ings", "ing", "ers", "er", "ies", "ed", "es", "s", "e", "y")
MIN_STEM_LETTERS = 4
# "age" is about a person if it stands alone or with these words only: not in "house_age".
PERSON_AGE_WORDS = frozenset({
    "group", "cat", "category", "band", "range", "bracket", "bucket", "class", "years", "year",
    "yrs", "in", "at", "entry", "customer", "client", "patient", "driver", "applicant", "person",
    "user", "insured", "policyholder", "employee", "member", "mother", "father", "respondent",
    "borrower", "student", "subject", "participant", "donor", "holder", "current",
})  # fmt: skip
# Attributes that anti-discrimination law protects (sex, race, religion, origin, age, disability,
# marital status and the like), in some European languages.
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


def find_known_words(name: str, known: AbstractSet[str]) -> tuple[str, ...]:
    """The known words that a name contains, as a whole word or as neighboring words joined.

    >>> find_known_words("Marital_Status", {"maritalstatus", "stat"})
    ('maritalstatus',)
    """
    words = split_words(name)
    candidates = (
        "".join(words[start : start + length])
        for length in range(1, MAX_JOINED_WORDS + 1)
        for start in range(len(words) - length + 1)
    )
    return tuple(word for word in candidates if word in known)


def stem(word: str) -> str:
    """A word without its usual ending, so that related words are equal.

    >>> stem("housing") == stem("houses"), stem("sale") == stem("sales")
    (True, True)
    """
    for suffix in STEM_SUFFIXES:
        if word.endswith(suffix) and len(word) - len(suffix) >= MIN_STEM_LETTERS:
            return word.removesuffix(suffix)
    return word


def find_shared_word(name: str, target: str) -> str | None:
    """A word that a column shares with the target; common words and names of the past do not count.

    >>> find_shared_word("is_recid", "two_year_recid")
    'recid'
    >>> find_shared_word("last_recid", "two_year_recid")
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


def find_after_outcome_word(name: str) -> str | None:
    """The word by which a name suggests that the column is known only after the outcome.

    >>> find_after_outcome_word("discharge_date"), find_after_outcome_word("last_outcome")
    ('discharge', None)
    """
    if find_known_words(name, BEFORE_OUTCOME_WORDS):
        return None
    matches = find_known_words(name, AFTER_OUTCOME_WORDS)
    return matches[0] if matches else None


def find_protected_attribute_word(name: str) -> str | None:
    """The word by which a name suggests a protected attribute of a person.

    The age of a house is not one: "age" counts only alone or beside a word for people.

    >>> find_protected_attribute_word("Native-Country"), find_protected_attribute_word("house_age")
    ('nativecountry', None)
    """
    matches = [word for word in find_known_words(name, PROTECTED_ATTRIBUTE_WORDS) if word != "age"]
    words = split_words(name)
    if not matches and "age" in words and all(w == "age" or w in PERSON_AGE_WORDS for w in words):
        return "age"
    return matches[-1] if matches else None


def find_sensitive_columns(context: CheckContext) -> list[str]:
    """The columns declared as sensitive, then those whose name suggests a protected attribute."""
    suspected = (name for name in context.column_profiles if find_protected_attribute_word(name))
    return list(dict.fromkeys([*context.sensitive_features, *suspected]))
