"""The compiled core: bytes in, bytes out."""
