"""Tells bytes that are text from bytes that are not, where a decoder's error does not."""


def is_utf8(value: bytes) -> bool:
    """Tell whether `value` is valid UTF-8."""
    try:
        value.decode()
    except UnicodeDecodeError:
        return False
    return True
