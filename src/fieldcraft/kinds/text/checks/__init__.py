"""Checks of text columns: near-duplicates, markup, personal data, leaks, languages, length."""

from __future__ import annotations

from fieldcraft.kinds.text.checks.boilerplate import Boilerplate
from fieldcraft.kinds.text.checks.escape_sequences import EscapeSequences
from fieldcraft.kinds.text.checks.label_in_text import LabelInText
from fieldcraft.kinds.text.checks.leaky_words import LeakyWords
from fieldcraft.kinds.text.checks.markup import Markup
from fieldcraft.kinds.text.checks.mixed_languages import MixedLanguages
from fieldcraft.kinds.text.checks.near_duplicate_texts import NearDuplicateTexts
from fieldcraft.kinds.text.checks.personal_data import PersonalData
from fieldcraft.kinds.text.checks.placeholder_texts import PlaceholderTexts
from fieldcraft.kinds.text.checks.truncated_texts import TruncatedTexts
from fieldcraft.kinds.text.checks.very_long_texts import VeryLongTexts
from fieldcraft.kinds.text.checks.without_letters import TextsWithoutLetters

CHECKS = (
    NearDuplicateTexts(),
    Markup(),
    EscapeSequences(),
    PlaceholderTexts(),
    Boilerplate(),
    PersonalData(),
    LabelInText(),
    LeakyWords(),
    MixedLanguages(),
    TruncatedTexts(),
    VeryLongTexts(),
    TextsWithoutLetters(),
)
