from __future__ import annotations

import polars as pl
import pytest

from fieldcraft.kinds.text.checks.mixed_languages import MixedLanguages, identify_languages
from tests.checks.contexts import data_context, run_check
from tests.kinds.text.sentences import make_texts

SAMPLES = {
    "English": "I have not been at home and this is what they said to me.",
    "German": "Ich habe das nicht gewusst und wir sind auch nicht mit der Bahn gekommen.",
    "French": "Je ne sais pas si vous avez vu les enfants dans la rue avec elle.",
    "Spanish": "No lo sé, pero el niño y la niña están en casa con su madre por la tarde.",
    "Portuguese": "Não sei se ele está em casa, mas eu vou com você para a cidade também.",
    "Italian": "Non so che cosa ha detto, ma io sono con lui nel giardino della casa.",
    "Dutch": "Ik weet het niet, maar we zijn er nog en dat is niet wat je van ons dacht.",
    "Polish": "Nie wiem, czy to jest dobre, ale już się z nim na to nie zgodzę.",
    "Swedish": "Jag vet inte vad det är som hon har, men vi kan inte vara där för dem.",
    "Turkish": "Ben bu konuda ne diyeceğim bilmiyorum ama sen çok iyi bir insan gibi geldin.",
    "Indonesian": "Saya tidak tahu apa yang akan mereka lakukan dengan ini, tetapi kita ada.",
    "Russian": "Я не знаю, что он сказал, но мы все это видели и она тоже была там.",
    "Ukrainian": "Я не знаю, що він сказав, але ми це бачили і вона також була там.",
    "Greek": "Δεν ξέρω τι είπε αλλά το είδαμε όλοι.",
    "Arabic": "لا أعرف ماذا قال ولكننا رأينا ذلك جميعا",
    "Hebrew": "אני לא יודע מה הוא אמר אבל ראינו את זה",
    "Devanagari": "मुझे नहीं पता कि उसने क्या कहा",
    "Korean": "나는 그가 뭐라고 말했는지 모르겠다",
    "Chinese": "我不知道他说了什么，但是我们都看到了。",
    "Japanese": "彼が何を言ったのか私は知りません。",
    "Thai": "ฉันไม่รู้ว่าเขาพูดอะไร",
}


def test_languages_and_scripts_are_detected() -> None:
    assert dict(
        zip(SAMPLES, identify_languages(pl.Series(list(SAMPLES.values()))), strict=True)
    ) == {name: name for name in SAMPLES}


@pytest.mark.parametrize("text", ["", "123 :)", "kettle lamp", "OK", "Restaurant Taxi Hotel"])
def test_language_of_unclear_texts_is_empty(text: str) -> None:
    assert identify_languages(pl.Series([text])).tolist() == [""]


@pytest.mark.parametrize("language", ["German", "Russian", "Chinese"])
@pytest.mark.parametrize(("count", "reported"), [(10, False), (40, True)])
def test_minority_language_is_a_warning(language: str, count: int, reported: bool) -> None:
    texts = [*make_texts(400), *[f"{SAMPLES[language]} {i}" for i in range(count)]]
    findings = run_check(MixedLanguages(), data_context({"a": texts}, a="text"))
    assert [f.severity for f in findings] == ["warning"] * reported
    for finding in findings:
        assert f"91% English and 9% {language} of the 440 texts" in finding.title
        assert "(such as rows 401, 402, 403, ...)" in finding.title
        assert finding.evidence["fractions"] == {"English": 400 / 440, language: 40 / 440}
        assert finding.evidence["n_identified"] == 440


def test_number_of_undetected_texts_is_in_the_title() -> None:
    texts = [*make_texts(50), *[f"{SAMPLES['French']} {i}" for i in range(50)], *["lamp"] * 30]
    (finding,) = run_check(MixedLanguages(), data_context({"a": texts}, a="text"))
    assert "of the 100 texts whose language is detected" in finding.title
    assert "30 are too short or too mixed" in finding.title


@pytest.mark.parametrize(
    ("count", "rest", "undetected", "reported"),
    [
        (20, 300, 0, True), (19, 300, 0, False),  # twenty texts
        (30, 570, 0, True), (30, 571, 0, False),  # 5 % of the texts whose language is detected
        (20, 100, 1_880, True), (20, 100, 1_881, False),  # 1 % of all texts
    ],
)  # fmt: skip
def test_limits_of_a_minority(count: int, rest: int, undetected: int, reported: bool) -> None:
    texts = [SAMPLES["English"]] * rest + [SAMPLES["German"]] * count + ["lamp"] * undetected
    findings = run_check(MixedLanguages(), data_context({"a": texts}, a="text"))
    assert [f.evidence["n_identified"] for f in findings] == [count + rest] * reported


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("the lamp", ""), ("the lamp and saddle", "English"),  # two stop words
        ("the lamp and der saddle", "English"),
        ("the lamp and der ich saddle", ""),  # less than twice as many
        ("私の犬 漢字漢字漢", "Japanese"),
        ("の漢字漢字漢字漢字漢字", "Chinese"),  # less than a tenth are kana
    ],
)  # fmt: skip
def test_limits_of_detection(text: str, language: str) -> None:
    assert identify_languages(pl.Series([text])).tolist() == [language]
