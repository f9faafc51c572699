"""Checks of text columns: copies, markup, personal data, labels said aloud, languages, lengths."""

from __future__ import annotations

from fieldcraft.kinds.text.checks.boilerplate import Boilerplate
from fieldcraft.kinds.text.checks.escape_sequences import EscapeSequences
from fieldcraft.kinds.text.checks.label_in_text import LabelInText
from fieldcraft.kinds.text.checks.markup import Markup
from fieldcraft.kinds.text.checks.mixed_languages import MixedLanguages
from fieldcraft.kinds.text.checks.near_duplicate_texts import NearDuplicateTexts
from fieldcraft.kinds.text.checks.oversized_texts import OversizedTexts
from fieldcraft.kinds.text.checks.personal_data import PersonalData
from fieldcraft.kinds.text.checks.placeholder_tokens import PlaceholderTokens
from fieldcraft.kinds.text.checks.single_word_leak import SingleWordLeak
from fieldcraft.kinds.text.checks.text_length import TextLength
from fieldcraft.kinds.text.checks.texts_without_letters import TextsWithoutLetters

CHECKS = (
    NearDuplicateTexts(),
    Markup(),
    EscapeSequences(),
    PlaceholderTokens(),
    Boilerplate(),
    PersonalData(),
    LabelInText(),
    SingleWordLeak(),
    MixedLanguages(),
    TextLength(),
    OversizedTexts(),
    TextsWithoutLetters(),
)
