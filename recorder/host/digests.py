"""Hash functions for a recorder, without OpenSSL, whose library takes 3 MiB of memory. Python's own are as exact.

Only for what a recorder imports: afterwards hashlib lacks what only OpenSSL has, which plugins of Datasette may need.
"""

from __future__ import annotations

import importlib.util

from . import optional_modules

_OWN = {"_md5", "_sha1", "_sha3", "_blake2"}
_SHA2 = ({"_sha256", "_sha512"}, {"_sha2"})  # before Python 3.12, and since


def _is_built_in() -> bool:
    """Returns whether this Python has all hash functions itself. Some distributions leave them to OpenSSL."""
    return any(all(map(importlib.util.find_spec, _OWN | names)) for names in _SHA2)


with optional_modules.hidden(*(["_hashlib"] if _is_built_in() else [])):
    import hashlib
    import hmac

sha256, hmac_digest = hashlib.sha256, hmac.digest
