"""Running out of memory: how it is recognised, and what to do about it. Light."""

from __future__ import annotations

MEMORY_ADVICE = "Use a smaller --batch-size, --precision bf16, a smaller network or smaller images."

_WORDS = ("out of memory", "not enough memory", "can't allocate memory")


def out_of_memory(error: BaseException) -> bool:
    """Whether this is a device's or the machine's way to say that memory does not suffice."""
    if isinstance(error, MemoryError):
        return True
    text = str(error).lower()
    named = type(error).__name__ == "OutOfMemoryError"  # torch's, which must not be imported for this
    return named or (isinstance(error, RuntimeError) and any(words in text for words in _WORDS))
