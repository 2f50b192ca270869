"""A short name of what decides a store."""

import hashlib
import json
from typing import Any


def digest(identity: Any) -> str:
    """32 hexadecimal digits that name an identity, which is JSON."""
    content = json.dumps(identity, sort_keys=True, ensure_ascii=False)
    return hashlib.blake2b(content.encode(), digest_size=16).hexdigest()
