"""Users by name or number."""

from __future__ import annotations

import pwd

from ..errors import UsageError


def uid_of(user: str) -> int:
    """Returns the id of a user, by name or number. Raises UsageError for a name that this machine doesn't know."""
    try:
        return pwd.getpwnam(user).pw_uid
    except (KeyError, ValueError):
        if user.isascii() and user.isdigit() and int(user) < 2**32 - 1:
            return int(user)
    raise UsageError(f"--user {user}: there is no such user", "getent passwd")
