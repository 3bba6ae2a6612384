"""The one exception that this package raises for a user's mistake."""


class CocoAuditError(ValueError):
    """Input that cannot be used, explained in one sentence.

    The message says what is wrong, where (file, record, field), why it cannot
    be used and what to do about it. The command line and the App show the
    message alone, never a traceback.
    """
