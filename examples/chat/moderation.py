"""What may be said. The model is that of the package alt-profanity-check: TF-IDF and a linear support vector machine of scikit-learn,
trained by its authors on 200,000 labelled comments in English."""

from __future__ import annotations

import re
from collections.abc import Sequence

from profanity_check import predict_prob

LIMIT = 0.8  # a message that is offensive with a higher probability is refused
EMAIL = re.compile(r"[\w.+-]+@[\w-]+\.[\w.-]*\w")
NUMBER = re.compile(r"(?<![\w.])\+?\d(?:[ ()/-]{0,2}\d){8,18}(?![\w.])")  # of a telephone, a card or an account


def offence(texts: Sequence[str]) -> list[float]:
    """The probability of each text to be offensive."""
    return [float(one) for one in predict_prob(list(texts))] if texts else []


def without_secrets(text: str) -> str:
    """The text without e-mail addresses and long numbers, which a room keeps for everybody to read."""
    return NUMBER.sub("[number removed]", EMAIL.sub("[address removed]", text))
