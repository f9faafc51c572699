"""Checks of text columns: copies, markup, personal data, labels said aloud, languages, lengths."""

from __future__ import annotations

from fieldcraft.kinds.text.audit.label_words import LabelWords
from fieldcraft.kinds.text.audit.languages import Languages
from fieldcraft.kinds.text.audit.letters import WithoutLetters
from fieldcraft.kinds.text.audit.long_texts import LongTexts
from fieldcraft.kinds.text.audit.markup import Markup
from fieldcraft.kinds.text.audit.near_texts import NearTexts
from fieldcraft.kinds.text.audit.personal import Personal

CHECKS = (
    NearTexts(),
    Markup(),
    Personal(),
    LabelWords(),
    Languages(),
    LongTexts(),
    WithoutLetters(),
)
