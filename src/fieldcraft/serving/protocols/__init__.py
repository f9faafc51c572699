"""The ways in which requests are put; a further one is a module like these and a name here.

Such a module has ``NAME``; ``TYPES``, of bodies that it reads; ``read``, from a body to rows and to
what the answer must carry; ``write``, from that and the answers of the rows to a body; and
``refuse``, what is wrong as a body.
"""

from __future__ import annotations

from typing import Any

from fieldcraft.serving.protocols import json_protocol, open_inference, vertex

PROTOCOLS: dict[str, Any] = {
    module.NAME: module for module in (json_protocol, open_inference, vertex)
}
