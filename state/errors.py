"""Errors that a user can act on."""


class HeadwaterError(Exception):
    """Something the user can mend.

    The text says what is wrong, what came, what was expected and what to do. The command line prints the text
    without a traceback and exits with status 2.
    """


class CorruptBytes(HeadwaterError):
    """Stored or received bytes fail their magic, length or checksum."""


class UnknownSchema(HeadwaterError):
    """Stored bytes have a schema version that this build does not read."""
