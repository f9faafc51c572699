"""Check for texts in several languages, detected by scripts and stop words."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl

from fieldcraft.contracts import CheckContext, CheckScope
from fieldcraft.core.formatting import join_names
from fieldcraft.core.types import Array
from fieldcraft.kinds.text.checks._base import ColumnTexts, iter_text_columns, normalize_words
from fieldcraft.ledger.records import Finding
from fieldcraft.statistics.association import sample_rows

MIN_MINORITY_FRACTION = 0.05  # of the texts whose language is detected
MIN_FRACTION_OF_ALL = 0.01  # where the language of few texts is detected, those may be errors
MIN_TEXTS = 20
MAX_TEXTS = 5_000  # a random sample of larger columns
# Languages share stop words ("de", "a", "in"), so a language needs two stop words, and twice as
# many as the runner-up.
MIN_STOP_WORDS = 2
MIN_STOP_WORD_RATIO = 2.0
SCRIPT_PATTERNS = {
    "Latin": r"\p{Latin}", "Cyrillic": r"\p{Cyrillic}", "Greek": r"\p{Greek}",
    "Arabic": r"\p{Arabic}", "Hebrew": r"\p{Hebrew}", "Devanagari": r"\p{Devanagari}",
    "Bengali": r"\p{Bengali}", "Tamil": r"\p{Tamil}", "Telugu": r"\p{Telugu}", "Thai": r"\p{Thai}",
    "Korean": r"\p{Hangul}", "Chinese": r"\p{Han}", "Japanese": r"[\p{Hiragana}\p{Katakana}]",
    "Armenian": r"\p{Armenian}", "Georgian": r"\p{Georgian}", "Ethiopic": r"\p{Ethiopic}",
}  # fmt: skip
MIN_KANA_FRACTION = 0.1  # Japanese has Chinese characters too, Chinese has no kana
# The most frequent function words; one that several languages share counts for each.
STOP_WORDS = {
    "English": "the and of to is in it you that for on with are this was be have not at my your i "
    "what can do how they from but or an will if we he she his her a so just me as there would by "
    "out up about all get no when who were had than some been them then their our us",
    "German": "der die das und ist ich nicht ein eine zu den mit für von auf es dem sich sie auch "
    "wie im aber wir war was hat als bei nach so noch nur oder wenn man mir mich dass in des einem "
    "einer einen eines am zum zur vor sind über du er habe haben bin bis mal dann da vom werden um "
    "wird doch kann schon aus kein keine hier jetzt immer mehr",
    "French": "le la les et est de des un une je vous pas que qui dans pour sur au ce il elle nous "
    "avec plus par mais on ne se à du en sont cette c d l j tu ai ça être fait y si aux ces ses "
    "leur comme tout bien même sans où me moi ma mon ou",
    "Spanish": "el la los las y es de que en un una no por con para se lo del al su me mi como más "
    "pero si te ya le muy está son cuando hay todo esta ser yo tu o qué eso este nos al era tiene "
    "porque hoy desde sin sobre nada quiero estoy soy",
    "Portuguese": "o a os as e é de que em um uma não por com para se do da no na ao mais mas eu "
    "você como meu foi isso está muito já também só dos das pra são tem ele ela",
    "Italian": "il lo la gli le e è di che in un una non per con si del della al da ma come mi ho "
    "più io sono anche ha nel questo ti se dei alla cosa quando ci i tutto",
    "Dutch": "de het een en is van ik niet dat in te zijn op voor met je die er maar om ook als "
    "aan wat bij nog naar heb we hij dan deze geen wel kan mijn was zo over",
    "Polish": "i w nie na się z do to że jest a o jak co po ale tak za od mnie już ja ten czy by "
    "tylko są dla przez jego bardzo mi może był",
    "Swedish": "och att det är en som jag på för med inte till av den har om ett i var men de så "
    "vi kan från man när mig du eller nu hur ska",
    "Turkish": "ve bir bu da de için çok ne ben mi ile var o gibi daha kadar ama sen değil en her "
    "olan olarak şey ya yok ki diye sonra",
    "Indonesian": "yang dan di ini itu dengan untuk tidak dari dalam saya ada akan pada juga ke "
    "kamu bisa sudah aku karena atau apa mereka kita lebih",
    "Russian": "и в не на что я с он как это по но она к у мы за из вы так бы от же то все для "
    "меня его есть был мне о только еще если",
    "Ukrainian": "і в не на що я з він як це та у до за але ми ви так би від же то все для мене "
    "його є був мені про тільки ще якщо його або й",
}


class MixedLanguages:
    """Finds texts in another language or script than most of the column."""

    code = "mixed_languages"
    scope: CheckScope = "data"

    def run(self, context: CheckContext) -> Iterable[Finding]:
        """Detect the language of each text and count languages."""
        for text_column in iter_text_columns(context):
            sample = text_column.select(sample_rows(len(text_column), MAX_TEXTS))
            languages = identify_languages(sample.texts)
            texts_by_language = {
                name: sample.select(languages == name) for name in sorted({*languages} - {""})
            }
            n_identified = sum(map(len, texts_by_language.values()))
            runner_up_count = (
                sorted(map(len, texts_by_language.values()))[-2]
                if len(texts_by_language) > 1
                else 0
            )
            if runner_up_count >= max(
                MIN_TEXTS, MIN_MINORITY_FRACTION * n_identified, MIN_FRACTION_OF_ALL * len(sample)
            ):
                yield self._build_finding(sample, texts_by_language, n_identified)

    def _build_finding(
        self, sample: ColumnTexts, texts_by_language: Mapping[str, ColumnTexts], n_identified: int
    ) -> Finding:
        names = sorted(texts_by_language, key=lambda name: -len(texts_by_language[name]))
        fractions = {name: len(texts_by_language[name]) / n_identified for name in names}
        descriptions = [
            f"{fraction:.0%} {name}"
            for name, fraction in fractions.items()
            if fraction >= MIN_MINORITY_FRACTION
        ]
        return Finding(
            self.code,
            "warning",
            f"{sample.name} is written in several languages: {join_names(descriptions)} of the "
            f"{n_identified:,} texts whose language is detected (such as "
            f"{texts_by_language[names[1]].format_rows()}); {len(sample) - n_identified:,} are too "
            "short or too mixed",
            sample.name,
            {
                "fractions": fractions,
                "n_identified": n_identified,
                "texts": len(sample),
                "rows": {name: texts_by_language[name].first_row_numbers() for name in names[1:6]},
            },
            "a model needs enough texts of each language: check which of them texts to predict "
            "will be in, and evaluate by language (add a column with the language to "
            "problem.sensitive_features); detection by scripts and stop words may be wrong for "
            "single texts",
        )


def identify_languages(texts: pl.Series) -> Array:
    """Detect the language of each text, or its script; empty where neither is clear."""
    words = normalize_words(texts)
    text_scripts = identify_scripts(words)
    script_names = np.where(text_scripts == "Latin", "", text_scripts).astype(object)
    # Stop words are known for languages in Latin and Cyrillic script only. "Latin" alone does not
    # identify a language, so it is left empty; other scripts stand for their language.
    has_stop_words = np.isin(text_scripts, ["Latin", "Cyrillic"])
    names = np.array([*STOP_WORDS, ""], dtype=object)
    counts = count_stop_words(words)
    sorted_counts = np.sort(counts, axis=1)
    is_clear = (sorted_counts[:, -1] >= MIN_STOP_WORDS) & (
        sorted_counts[:, -1] >= MIN_STOP_WORD_RATIO * sorted_counts[:, -2]
    )
    best_language = names[np.where(is_clear, counts.argmax(axis=1), -1)]
    return np.where(has_stop_words & (best_language != ""), best_language, script_names)


def identify_scripts(words: pl.Series) -> Array:
    """Detect the most frequent script of each text; empty for a text without letters."""
    counts = np.stack(
        [words.str.count_matches(pattern).to_numpy() for pattern in SCRIPT_PATTERNS.values()], 1
    )
    names = list(SCRIPT_PATTERNS)
    chinese, kana = names.index("Chinese"), names.index("Japanese")
    cjk_counts = counts[:, chinese] + counts[:, kana]
    is_japanese = counts[:, kana] > MIN_KANA_FRACTION * cjk_counts
    counts[:, kana] = np.where(is_japanese, cjk_counts, 0)
    counts[:, chinese] = np.where(is_japanese, 0, cjk_counts)
    return np.where(counts.any(axis=1), np.array(names)[counts.argmax(axis=1)], "")


def count_stop_words(words: pl.Series) -> Array:
    """Count the words of each text that are stop words of each language, (texts, languages)."""
    lists = words.str.split(" ")
    text_index = np.repeat(np.arange(len(words)), lists.list.len().to_numpy())
    words_in_order = lists.explode()
    counts = np.zeros((len(words), len(STOP_WORDS)), dtype=np.int64)
    for i, stop_words in enumerate(STOP_WORDS.values()):
        is_stop_word = words_in_order.is_in(list(set(stop_words.split()))).to_numpy()
        counts[:, i] = np.bincount(text_index[is_stop_word], minlength=len(words))
    return counts
