"""Which scripts and languages texts are written in, as far as letters and small words tell."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import polars as pl

from fieldcraft.contracts import Array, Sight, View
from fieldcraft.core.words import joined
from fieldcraft.evidence.association import some
from fieldcraft.evidence.records import Finding
from fieldcraft.kinds.text.audit.written import Written, plain, texts_of

MINORITY = 0.05  # of the texts that can be told
LEAST = 0.01  # of all texts: where few can be told, these may be slips
FEWEST = 20  # texts
MOST = 5_000  # texts that are looked at; of more a random sample
SMALL_WORDS = 2  # that a text must say for its language to be told
CLEARLY = 2.0  # times as many as of the next language
SCRIPTS = {
    "Latin": r"\p{Latin}", "Cyrillic": r"\p{Cyrillic}", "Greek": r"\p{Greek}",
    "Arabic": r"\p{Arabic}", "Hebrew": r"\p{Hebrew}", "Devanagari": r"\p{Devanagari}",
    "Bengali": r"\p{Bengali}", "Tamil": r"\p{Tamil}", "Telugu": r"\p{Telugu}", "Thai": r"\p{Thai}",
    "Korean": r"\p{Hangul}", "Chinese": r"\p{Han}", "Japanese": r"[\p{Hiragana}\p{Katakana}]",
    "Armenian": r"\p{Armenian}", "Georgian": r"\p{Georgian}", "Ethiopic": r"\p{Ethiopic}",
}  # fmt: skip
KANA = 0.1  # of the signs: Japanese has Chinese signs too, Chinese has no kana
# Commonest words with little meaning of their own; one that several languages have counts for each.
WORDS = {
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


class Languages:
    """Texts of which some are in another language or script than most."""

    code = "languages"
    looks_at: Sight = "data"

    def run(self, view: View) -> Iterable[Finding]:
        """Tell the language of each text where it can be told, and count."""
        for written in texts_of(view):
            looked_at = written.of(some(len(written), MOST))
            tongue = tongues(looked_at.texts)
            told = {name: looked_at.of(tongue == name) for name in sorted({*tongue} - {""})}
            texts = sum(map(len, told.values()))
            second = sorted(map(len, told.values()))[-2] if len(told) > 1 else 0
            if second >= max(FEWEST, MINORITY * texts, LEAST * len(looked_at)):
                yield self._finding(looked_at, told, texts)

    def _finding(self, looked_at: Written, told: Mapping[str, Written], texts: int) -> Finding:
        order = sorted(told, key=lambda name: -len(told[name]))
        shares = {name: len(told[name]) / texts for name in order}
        shown = [f"{share:.0%} {name}" for name, share in shares.items() if share >= MINORITY]
        return Finding(
            self.code,
            "warn",
            f"{looked_at.name} is written in more than one language: of the {texts:,} texts that "
            f"can be told, {joined(shown)} (such as {told[order[1]].where()}); "
            f"{len(looked_at) - texts:,} are too short or too mixed to tell",
            looked_at.name,
            {"shares": shares, "told": texts, "texts": len(looked_at),
             "rows": {name: told[name].rows() for name in order[1:6]}},
            "a model needs enough texts of each: ask whether all of them will come to be "
            "predicted, and tell the figures by language (a column with it in problem.groups); "
            "this was told from scripts and small words, and may be wrong for single texts",
        )  # fmt: skip


def tongues(texts: pl.Series) -> Array:
    """The language of each text, or its script if that is all that can be told; else empty."""
    words = plain(texts)
    script = scripts(words)
    spoken = np.where(script == "Latin", "", script).astype(object)
    lettered = np.isin(script, ["Latin", "Cyrillic"])
    names = np.array([*WORDS, ""], dtype=object)
    counts = small_words(words)
    order = np.sort(counts, axis=1)
    clear = (order[:, -1] >= SMALL_WORDS) & (order[:, -1] >= CLEARLY * order[:, -2])
    best = names[np.where(clear, counts.argmax(axis=1), -1)]
    return np.where(lettered & (best != ""), best, spoken)


def scripts(words: pl.Series) -> Array:
    """The script that has most letters in each text, empty for a text without letters."""
    counts = np.stack([words.str.count_matches(sign).to_numpy() for sign in SCRIPTS.values()], 1)
    names = list(SCRIPTS)
    chinese, kana = names.index("Chinese"), names.index("Japanese")
    both = counts[:, chinese] + counts[:, kana]
    japanese = counts[:, kana] > KANA * both
    counts[:, kana] = np.where(japanese, both, 0)
    counts[:, chinese] = np.where(japanese, 0, both)
    return np.where(counts.any(axis=1), np.array(names)[counts.argmax(axis=1)], "")


def small_words(words: pl.Series) -> Array:
    """How many small words of each language each text says, shape (texts, languages)."""
    lists = words.str.split(" ")
    text = np.repeat(np.arange(len(words)), lists.list.len().to_numpy())
    said = lists.explode()
    found = np.zeros((len(words), len(WORDS)), dtype=np.int64)
    for i, line in enumerate(WORDS.values()):
        there = said.is_in(list(set(line.split()))).to_numpy()
        found[:, i] = np.bincount(text[there], minlength=len(words))
    return found
