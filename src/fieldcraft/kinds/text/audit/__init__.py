"""Checks of text columns: copies, markup, personal data, labels said aloud, languages, lengths."""

from __future__ import annotations

from fieldcraft.kinds.text.audit.boilerplate import Boilerplate
from fieldcraft.kinds.text.audit.escapes import Escapes
from fieldcraft.kinds.text.audit.giant_texts import GiantTexts
from fieldcraft.kinds.text.audit.label_words import LabelWords
from fieldcraft.kinds.text.audit.languages import Languages
from fieldcraft.kinds.text.audit.letters import WithoutLetters
from fieldcraft.kinds.text.audit.long_texts import LongTexts
from fieldcraft.kinds.text.audit.markup import Markup
from fieldcraft.kinds.text.audit.near_texts import NearTexts
from fieldcraft.kinds.text.audit.personal import Personal
from fieldcraft.kinds.text.audit.stand_ins import StandIns
from fieldcraft.kinds.text.audit.telling_words import TellingWords

CHECKS = (
    NearTexts(),
    Markup(),
    Escapes(),
    StandIns(),
    Boilerplate(),
    Personal(),
    LabelWords(),
    TellingWords(),
    Languages(),
    LongTexts(),
    GiantTexts(),
    WithoutLetters(),
)
